//! Reads `/proc/PID/…` at little cost: descriptors stay open between cycles, one buffer serves all.
//!
//! A descriptor of `/proc/PID/stat` belongs to the process and not to its number: once the process has ended, reading
//! it says `ESRCH`, even when the number was given to another. Each kept descriptor costs the kernel about one page.

use std::fmt::Write as _;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, RawDir, SeekFrom, openat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::stat::{self, Stat};
use crate::error::{CollectError, Found};
use crate::host::{HostRoot, display};

/// Descriptors kept open at most, three per process. A process beyond it is opened anew in each cycle.
const MOST_KEPT: usize = 3000;

/// The longest file of a process that is read: `io`, `stat` and `statm` are far shorter, of others the beginning
/// suffices.
const BUFFER_BYTES: usize = 4096;

/// One file of one process.
#[derive(Debug, Default)]
pub(crate) enum ProcessFile {
    /// Is opened for each reading, or not yet.
    #[default]
    Closed,
    /// Stays open.
    Kept(OwnedFd),
    /// This user may not read it, or this kernel does not have it; not tried again.
    Unreadable,
}

impl ProcessFile {
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

/// An open `/proc`.
pub(crate) struct ProcFiles {
    proc: OwnedFd,
    path: String,
    listing: Vec<u8>,
    name: String,
    buffer: Vec<u8>,
    kept: usize,
    most_kept: usize,
}

impl ProcFiles {
    /// Opens `/proc` of the host. At most half of the descriptors that this program may have are kept.
    ///
    /// # Errors
    ///
    /// There is no `/proc`.
    pub(crate) fn open(host: &HostRoot) -> Result<Self, CollectError> {
        let path = host.path("proc");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path_text = display(&path);
        let proc = openat(CWD, &path, flags, Mode::empty())
            .map_err(|source| CollectError::Read { path: path_text.clone(), source })?;
        let allowed = getrlimit(Resource::Nofile).current.map_or(MOST_KEPT, |limit| (limit / 2) as usize);
        Ok(Self {
            proc,
            path: path_text,
            listing: Vec::with_capacity(32 << 10),
            name: String::new(),
            buffer: vec![0; BUFFER_BYTES],
            kept: 0,
            most_kept: MOST_KEPT.min(allowed),
        })
    }

    /// How many descriptors are still kept, after processes have gone.
    pub(crate) fn set_kept(&mut self, kept: usize) {
        self.kept = kept;
    }

    #[cfg(test)]
    pub(crate) fn limit_kept(&mut self, most_kept: usize) {
        self.most_kept = most_kept;
    }

    /// Calls `found` with the number of every process and the inode of its directory, in no particular order.
    pub(crate) fn list(&mut self, mut found: impl FnMut(u32, u64)) -> Result<(), CollectError> {
        let failed = |source| CollectError::Read { path: self.path.clone(), source };
        rustix::fs::seek(&self.proc, SeekFrom::Start(0)).map_err(failed)?;
        let mut entries = RawDir::new(&self.proc, self.listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if let Some(pid) = stat::decimal(name).and_then(|pid| u32::try_from(pid).ok()) {
                found(pid, entry.ino());
            }
        }
        Ok(())
    }

    /// Reads the file `name` of process `pid` from its beginning and says how many bytes [`Self::bytes`] holds.
    pub(crate) fn read(&mut self, pid: u32, name: &str, file: &mut ProcessFile) -> Result<usize, Errno> {
        match file {
            ProcessFile::Kept(descriptor) => rustix::io::pread(&*descriptor, &mut *self.buffer, 0),
            ProcessFile::Unreadable => Err(Errno::ACCESS),
            ProcessFile::Closed => {
                let descriptor = self.open_file(pid, name)?;
                let length = rustix::io::pread(&descriptor, &mut *self.buffer, 0)?;
                if self.kept < self.most_kept {
                    self.kept += 1;
                    *file = ProcessFile::Kept(descriptor);
                }
                Ok(length)
            }
        }
    }

    /// Reads the beginning of a file of a process once.
    pub(crate) fn read_once(&mut self, pid: u32, name: &str) -> Result<&[u8], Errno> {
        let length = self.fill(pid, name)?;
        Ok(self.bytes(length))
    }

    /// `stat` of a process that lives; `None` when it has ended or is a zombie.
    ///
    /// # Errors
    ///
    /// [`CollectError::Hidden`] when this user may not look; else what was wrong with the file.
    pub(crate) fn live(&mut self, pid: u32) -> Result<Option<Stat<'_>>, CollectError> {
        let length = match self.fill(pid, "stat") {
            Ok(length) => length,
            Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
            Err(error) => return Err(self.unread(error)),
        };
        let line = self.bytes(length);
        match stat::parse(line) {
            Some(stat) => Ok(stat.is_alive().then_some(stat)),
            None => Err(CollectError::Malformed {
                path: self.path_of(pid, "stat"),
                expected: stat::EXPECTED,
                found: Found::new(&String::from_utf8_lossy(line)),
            }),
        }
    }

    /// Refuses to say that a process is not there where those of others are hidden, as the mount option `hidepid` does.
    /// Process 1 always is there, so not seeing it tells. An agent of the same user as process 1 is not warned.
    pub(crate) fn check_none_is_hidden(&mut self) -> Result<(), CollectError> {
        match self.fill(1, "stat") {
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => Err(CollectError::Hidden { path: self.path.clone() }),
            Err(error) => Err(self.unread(error)),
        }
    }

    fn unread(&self, error: Errno) -> CollectError {
        match error {
            Errno::ACCESS | Errno::PERM => CollectError::Hidden { path: self.path.clone() },
            source => CollectError::Read { path: format!("{}/PID/stat", self.path), source },
        }
    }

    /// Reads the beginning of a file into the buffer and says how many bytes it holds.
    fn fill(&mut self, pid: u32, name: &str) -> Result<usize, Errno> {
        let descriptor = self.open_file(pid, name)?;
        rustix::io::pread(&descriptor, &mut *self.buffer, 0)
    }

    fn open_file(&mut self, pid: u32, name: &str) -> Result<OwnedFd, Errno> {
        self.locate(pid, name);
        openat(&self.proc, self.name.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// The file name of the program that a process runs, without its directory; `None` for a kernel thread and where
    /// this user may not look.
    pub(crate) fn executable_name(&mut self, pid: u32) -> Option<&[u8]> {
        self.locate(pid, "exe");
        let length = rustix::fs::readlinkat_raw(&self.proc, self.name.as_str(), &mut *self.buffer).ok()?;
        let target = self.bytes(length);
        // Said of a program that was replaced, as an upgrade does.
        let target = target.strip_suffix(b" (deleted)").unwrap_or(target);
        target.rsplit(|byte| *byte == b'/').next().filter(|name| !name.is_empty())
    }

    /// The first `length` bytes of the last reading.
    pub(crate) fn bytes(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or_default()
    }

    /// The path of `/proc`, for messages.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path of a file of a process, for messages.
    pub(crate) fn path_of(&self, pid: u32, name: &str) -> String {
        format!("{}/{pid}/{name}", self.path)
    }

    fn locate(&mut self, pid: u32, name: &str) {
        self.name.clear();
        write!(self.name, "{pid}/{name}").expect("a String takes any text");
    }
}

/// Whether the process ended, or belongs to another user and is hidden: no failure, there is just nothing to say.
pub(crate) fn is_gone_or_hidden(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM)
}
