//! What the queue asks of a file system: one directory of flat files.
//!
//! Two implementations: [`disk`] is the real one; the tests' model keeps files in memory, loses and tears what was not
//! synced, and fails on request.

use std::io::{self, IoSlice};
use std::sync::Arc;

pub(crate) mod disk;
#[cfg(test)]
pub(crate) mod model;

/// A file in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// One directory. Names are those of files directly in it.
pub(crate) trait FileSystem: Send + Sync {
    /// The regular files in it, in no order.
    fn list(&self) -> io::Result<Vec<Listed>>;
    /// Opens a file to be read.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Makes a new file, readable by its owner only; it must not exist.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Opens a file to be written.
    fn open_for_writing(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name, in place of any file of that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes what was created, renamed and removed survive a crash.
    fn sync_directory(&self) -> io::Result<()>;
    /// Bytes that this user may still write.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub(crate) trait File: Send + Sync {
    /// Reads from `offset` until the buffer is full or the file ends; says how much.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all parts, one after the other, from `offset`.
    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes what was written survive a crash.
    fn sync_data(&self) -> io::Result<()>;
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Reserves room for `length` bytes without making the file longer.
    fn allocate(&self, length: u64) -> io::Result<()>;
}

/// Whether a write failed because there is no room, rather than because the disk fails.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
