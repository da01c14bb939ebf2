//! The process that a pid file names.
//!
//! Only a file that is not there, or is empty, says that the service is not running. One that cannot be read says
//! nothing, and is an error. A file outlives its process, and the kernel gives the number to another: a process that
//! started clearly after the file was written is not the one that it means. Where the clock was set forward in between,
//! the one that it means looks like that too, until the file is written again.

use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use telemetry::Timestamp;

use crate::cpu::boot_time;
use crate::error::CollectError;
use crate::host::{HostRoot, display};
use crate::processes::files::ProcFiles;
use crate::processes::since_boot;

/// A process may start so much after its file was written: the time of boot is known to the second only, and clocks are
/// corrected a little.
const START_SLACK: Duration = Duration::from_secs(2);

/// What a pid file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: u32,
    written: Timestamp,
}

impl PidFile {
    /// Whether the process of this number is the one that was meant, which it is not if it started later.
    ///
    /// # Errors
    ///
    /// The time of boot cannot be read.
    pub(crate) fn means(
        &self,
        start_ticks: u64,
        files: &mut ProcFiles,
        host: &HostRoot,
    ) -> Result<bool, CollectError> {
        // A captured file was written when it was checked out.
        if host.is_captured() {
            return Ok(true);
        }
        // Some containers are told their own time of boot, which is when their process 1 started; ticks still count
        // from the host's. On a host process 1 starts with the boot.
        let first = files.live(1).ok().flatten().map_or(0, |first| first.start_ticks);
        let started = boot_time(host)?.plus(since_boot(start_ticks.saturating_sub(first), host));
        Ok(started.since(self.written) <= START_SLACK)
    }
}

/// What the file says; `None` when the service removed the file, or has not written it yet.
pub(crate) fn read(host: &HostRoot, path: &Path) -> Result<Option<PidFile>, CollectError> {
    let file = match host.read(path) {
        Ok(file) => file,
        Err(error) => return absence(error).map(|()| None),
    };
    let text = file.text().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let pid = text.parse().map_err(|_| file.malformed("the number of a process", text))?;
    // Asked after the reading: of a file that is replaced just now, an old number with a new time is still believed.
    match rustix::fs::stat(host.path(path)) {
        Ok(stat) => {
            let nanos = Duration::from_nanos(stat.st_mtime_nsec);
            Ok(Some(PidFile { pid, written: Timestamp::from_secs(stat.st_mtime).plus(nanos) }))
        }
        Err(source) => absence(CollectError::Read { path: display(&host.path(path)), source }).map(|()| None),
    }
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

    #[test]
    fn a_process_that_started_clearly_after_the_file_was_written_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let first = |ticks: u64| format!("1 (init) S{}{ticks}{}", " 0".repeat(18) + " ", " 0".repeat(30));
        let host = HostRoot::at(dir.path());
        let second = host.ticks_per_second() as u64;
        write(
            "proc/stat",
            "cpu 1 1 1 1 1 1 1 1\nctxt 1\nbtime 1800000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
        );
        let file = PidFile { pid: 7, written: Timestamp::from_secs(1_800_000_100) };
        for (first_ticks, started_secs, is_meant) in [
            (2, 0, true),
            (2, 99, true),
            // The time of boot is not known better.
            (2, 101, true),
            (2, 104, false),
            (2, 100_000, false),
            (500_000 * second, 500_099, true),
            (500_000 * second, 500_104, false),
        ] {
            write("proc/1/stat", &first(first_ticks));
            let mut files = ProcFiles::open(&host).unwrap();
            let meant = file.means(started_secs * second, &mut files, &host);
            assert_eq!(meant, Ok(is_meant), "{first_ticks} {started_secs}");
        }
    }

    #[test]
    fn the_time_of_a_file_is_when_its_contents_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it.pid");
        std::fs::write(&path, "7\n").unwrap();
        let modified = std::time::UNIX_EPOCH + Duration::from_millis(1_800_000_000_250);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let file = read(&HostRoot::at(dir.path()), Path::new("it.pid"));
        assert_eq!(file, Ok(Some(PidFile { pid: 7, written: Timestamp::from_millis(1_800_000_000_250) })));
    }
}
