//! A small file that outlives the agent, replaced as a whole.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Several times what the limits let be written.
const LARGEST: u64 = 64 << 20;

/// A file by its path.
#[derive(Clone, Debug)]
pub(crate) struct StateFile(PathBuf);

impl StateFile {
    pub(crate) fn new(directory: &Path, name: &str) -> Self {
        Self(directory.join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What `parse` makes of it; the default where there is none. What is of no use is set aside, and said to be.
    pub(crate) fn load<T: Default, E: std::error::Error>(
        &self,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> T {
        let text = match self.read() {
            Ok(Some(text)) => text,
            Ok(None) => return T::default(),
            Err(error) => {
                tracing::warn!(file = %self.0.display(), "not read, so begun anew: {error}");
                return T::default();
            }
        };
        parse(&text).unwrap_or_else(|error| {
            let aside = self.0.with_extension("damaged");
            let kept = std::fs::rename(&self.0, &aside).is_ok();
            let why = telemetry::with_causes(&error);
            tracing::warn!(file = %self.0.display(), aside = %aside.display(), kept, "begun anew: {why}");
            T::default()
        })
    }

    fn read(&self) -> std::io::Result<Option<Vec<u8>>> {
        // A pipe that nobody writes to is not waited for.
        let not_to_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(not_to_wait).open(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        Ok(Some(text))
    }

    /// Puts `text` in its place; it is on disk when this returns. Two at once are not for it.
    pub(crate) fn replace(&self, text: &[u8]) -> std::io::Result<()> {
        let fresh = self.0.with_extension("new");
        let written = write_new(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.0));
        if written.is_err() {
            // A disk that is full is not to stay so by what could not be finished.
            let _ = std::fs::remove_file(&fresh);
        }
        written?;
        self.0.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

fn write_new(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<String, std::string::FromUtf8Error> {
        String::from_utf8(text.to_vec())
    }

    #[test]
    fn what_was_written_is_read_and_what_is_damaged_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path(), "notify.json");
        assert_eq!(file.load(parse), "");
        file.replace(b"told").unwrap();
        assert_eq!(file.load(parse), "told");
        file.replace(b"\xff").unwrap();
        assert_eq!(file.load(parse), "");
        assert_eq!(std::fs::read(directory.path().join("notify.damaged")).unwrap(), b"\xff");
        assert!(!file.path().exists());
    }

    #[test]
    fn what_cannot_take_its_place_is_not_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path(), "notify.json");
        std::fs::create_dir(file.path()).unwrap();
        file.replace(b"told").unwrap_err();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
