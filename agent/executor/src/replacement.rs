//! A file's successor, written beside it under a name of its own.
//!
//! It takes the file's place whole, so that nobody reads half of it; dropped before that, it leaves nothing behind.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Replacement {
    path: PathBuf,
    fresh: PathBuf,
    file: File,
}

impl Replacement {
    /// An empty successor with these permissions. What an earlier one has left behind is removed.
    pub(crate) fn create(path: &Path, mode: u32) -> std::io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let fresh = path.with_file_name(name);
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        Ok(Self { path: path.to_owned(), fresh, file })
    }

    /// Takes the file's place with this text.
    pub(crate) fn put(mut self, text: &[u8]) -> std::io::Result<()> {
        self.file.write_all(text)?;
        std::fs::rename(&self.fresh, &self.path)
    }

    /// The same; on disk when this returns.
    pub(crate) fn put_durably(mut self, text: &[u8]) -> std::io::Result<()> {
        self.file.write_all(text)?;
        self.file.sync_all()?;
        std::fs::rename(&self.fresh, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Where it has taken the file's place it is no longer there.
        let _ = std::fs::remove_file(&self.fresh);
    }
}
