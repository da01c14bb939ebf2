//! The process that a pid file names.
//!
//! Only a file that is not there, or is empty, says that the service is not running. One that cannot be read says
//! nothing, and is an error.

use std::path::Path;

use rustix::io::Errno;

use crate::error::CollectError;
use crate::host::HostRoot;

/// The number in the file; `None` when the service removed the file, or has not written it yet.
pub(crate) fn read(host: &HostRoot, path: &Path) -> Result<Option<u32>, CollectError> {
    let file = match host.read(path) {
        Ok(file) => file,
        Err(error) => return absence(error).map(|()| None),
    };
    let text = file.text().trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| file.malformed("the number of a process", text))
}

/// `Ok` when the error says that there is no such file.
fn absence(error: CollectError) -> Result<(), CollectError> {
    match error {
        CollectError::Read { source: Errno::NOENT, .. } => Ok(()),
        CollectError::Read { path, source: source @ (Errno::ACCESS | Errno::PERM) } => {
            Err(CollectError::Denied { path, source })
        }
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_does_not_exist_is_absent() {
        let failed = |source| absence(CollectError::Read { path: "/run/it.pid".to_owned(), source });
        assert_eq!(failed(Errno::NOENT), Ok(()));
        for source in [Errno::ACCESS, Errno::PERM] {
            let text = failed(source).unwrap_err().to_string();
            assert_eq!(
                text,
                "reading /run/it.pid: the agent's user needs permission for it and its directories"
            );
        }
        for source in [Errno::NOTDIR, Errno::IO, Errno::LOOP, Errno::MFILE, Errno::STALE] {
            assert_eq!(failed(source).unwrap_err().to_string(), "reading /run/it.pid", "{source}");
        }
    }
}
