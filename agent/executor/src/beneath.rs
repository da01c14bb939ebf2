//! Files reached from a directory downwards.
//!
//! The kernel resolves each path without following links; below a directory that is held open it neither climbs out nor
//! crosses onto another file system. So nobody who can write there can lead an action elsewhere, at whatever moment.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, openat2, statat};
use rustix::io::Errno;
use telemetry::Timestamp;

use crate::ActionError;

/// The size of a unit of `st_blocks`, whatever the file system's block is: stat(2).
pub(crate) const STAT_BLOCK_BYTES: u64 = 512;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const NO_LINKS: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);
const BENEATH: ResolveFlags = NO_LINKS.union(ResolveFlags::BENEATH).union(ResolveFlags::NO_XDEV);

/// Opens a directory by its absolute path.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, ActionError> {
    openat2(CWD, path, DIRECTORY, Mode::empty(), NO_LINKS).map_err(|error| not_opened(path, error))
}

/// Opens the directory `path`, which is `allowed` or lies below it.
pub(crate) fn open_below(allowed: &Path, path: &Path) -> Result<OwnedFd, ActionError> {
    let root = open_directory(allowed)?;
    let below = path.strip_prefix(allowed).unwrap_or(path);
    if below.as_os_str().is_empty() {
        return Ok(root);
    }
    open_beneath(&root, below).map_err(|error| not_opened(path, error))
}

/// The error for a path that could not be opened.
pub(crate) fn not_opened(path: &Path, error: Errno) -> ActionError {
    ActionError::failed(format!("opening {} without following links", path.display()), error)
}

/// Opens a directory below one that is held open; the empty path is that one.
pub(crate) fn open_beneath(root: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    openat2(root, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), BENEATH)
}

/// Opens a file in a directory that is held open. One that would make the opener wait, as a FIFO does, does not.
pub(crate) fn open_file(
    directory: impl AsFd,
    name: impl rustix::path::Arg,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    openat2(directory, name, flags, Mode::empty(), BENEATH)
}

/// Has the kernel put on disk what was just renamed in a directory. What was renamed stays so even if that fails: only
/// whoever loses power now may find it as before.
pub(crate) fn synced(directory: impl AsFd, path: &Path) {
    if let Err(error) = rustix::fs::fsync(directory) {
        tracing::warn!(path = %path.display(), %error, "replaced, but it may not be on disk yet");
    }
}

/// A directory in which names can be changed, but not synced.
#[cfg(test)]
pub(crate) fn not_to_be_synced(path: &Path) -> OwnedFd {
    let directory = openat2(CWD, path, DIRECTORY | OFlags::PATH, Mode::empty(), NO_LINKS).unwrap();
    rustix::fs::fsync(&directory).unwrap_err();
    directory
}

/// What an entry of a directory is, without following it.
pub(crate) fn look(directory: impl AsFd, name: impl rustix::path::Arg) -> Result<Stat, Errno> {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether an entry is the directory itself or the one above.
pub(crate) fn is_dot(name: &CStr) -> bool {
    name == c"." || name == c".."
}

pub(crate) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

pub(crate) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// When a file was last written.
#[expect(clippy::unnecessary_cast, reason = "the fields' types differ between architectures")]
pub(crate) fn written(stat: &Stat) -> Timestamp {
    Timestamp::from_secs(stat.st_mtime as i64)
        .plus(std::time::Duration::from_nanos(stat.st_mtime_nsec as u64))
}

/// By which a name is known to mean the same file later.
pub(crate) fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// The disk space that a file takes, in bytes.
pub(crate) fn disk_space(stat: &Stat) -> u64 {
    stat.st_blocks as u64 * STAT_BLOCK_BYTES
}
