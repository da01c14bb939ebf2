//! A directory of the host, by system calls relative to its descriptor, so that a moved or replaced path changes
//! nothing for an open queue.

use std::fs::TryLockError;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};

use super::{File, FileSystem, Listed};

const LOCK: &str = "lock";
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The most parts that one `pwritev` takes (`IOV_MAX`).
const PARTS_PER_WRITE: usize = 1024;

/// A directory.
pub(crate) struct Disk {
    directory: OwnedFd,
}

/// Keeps a directory from others until it is dropped.
pub(crate) struct Lock {
    _file: std::fs::File,
}

/// Why a directory cannot be had.
pub(crate) enum Denied {
    InUse,
    Failed(io::Error),
}

impl From<io::Error> for Denied {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Disk {
    /// Makes the directory if need be, and takes it for this process alone.
    pub(crate) fn own(path: &Path) -> Result<(Self, Lock), Denied> {
        let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.exists()).collect();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        for parent in missing.iter().filter_map(|made| made.parent()) {
            // Or a crash might take the queue with its directory.
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            std::fs::File::open(parent)?.sync_all()?;
        }
        let disk = Self::look(path)?;
        let flags = OFlags::CREATE | OFlags::RDWR;
        // On a file system that turned read-only the lock is still there to be opened.
        let lock = disk.open_at(LOCK, flags).or_else(|_| disk.open_at(LOCK, OFlags::RDONLY))?;
        let lock = std::fs::File::from(lock);
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Denied::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok((disk, Lock { _file: lock }))
    }

    /// Opens the directory to be looked at, beside whoever owns it.
    pub(crate) fn look(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self { directory: rustix::fs::open(path, flags, Mode::empty())? })
    }

    /// Whether somebody has [taken](Self::own) the directory.
    pub(crate) fn is_owned(path: &Path) -> io::Result<bool> {
        let lock = match Self::look(path)?.open_at(LOCK, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            lock => std::fs::File::from(lock?),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat(&self.directory, name, flags, PRIVATE)?)
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(std::fs::File::from(self.open_at(name, flags)?)))
    }
}

impl FileSystem for Disk {
    fn list(&self) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            let entry = entry?;
            let status = rustix::fs::statat(&self.directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
            let Ok(status) = status else { continue };
            if rustix::fs::FileType::from_raw_mode(status.st_mode).is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                listed.push(Listed { name, size: u64::try_from(status.st_size).unwrap_or(0) });
            }
        }
        listed.retain(|file| file.name != LOCK);
        Ok(listed)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.file(name, OFlags::RDONLY)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    fn open_for_writing(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.file(name, OFlags::RDWR)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.directory, from, &self.directory, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.directory)?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let status = rustix::fs::fstatvfs(&self.directory)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}

impl File for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        while !parts.is_empty() {
            let now = parts.get(..PARTS_PER_WRITE).unwrap_or(parts);
            match rustix::io::pwritev(self, now, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut parts, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(self, FallocateFlags::KEEP_SIZE, 0, length)?)
    }
}
