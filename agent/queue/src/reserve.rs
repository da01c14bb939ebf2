//! Room for one more segment, allocated in advance: on a full disk it becomes the next segment.

use std::io;
use std::sync::Arc;

use crate::fs::{File, FileSystem};

/// The name of its file.
pub(crate) const FILE: &str = "reserve";

/// Allocates the reserve, unless that would leave others less than `keep_free` bytes.
pub(crate) fn fill(fs: &dyn FileSystem, bytes: u64, keep_free: u64) -> io::Result<()> {
    if fs.free_bytes()? < bytes.saturating_add(keep_free) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let file = fs.create(FILE).or_else(|_| fs.open_for_writing(FILE))?;
    file.allocate(bytes).inspect_err(|_| {
        let _ = fs.remove(FILE);
    })
}

/// Turns the reserve into the file `name`.
pub(crate) fn take(fs: &dyn FileSystem, name: &str) -> io::Result<Arc<dyn File>> {
    fs.rename(FILE, name)?;
    fs.open_for_writing(name)
}
