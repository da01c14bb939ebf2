//! Reads `/proc/PID/…` at little cost: descriptors stay open between cycles, one buffer serves all.
//!
//! A descriptor of `/proc/PID/stat` belongs to the process and not to its number: once the process has ended, reading
//! it says `ESRCH`, even when the number was given to another. Each kept descriptor costs the kernel about one page.

use std::fmt::Write as _;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom, openat, statat};
use rustix::io::Errno;

use super::stat::{self, Stat};
use crate::descriptors::{Descriptors, KeptDescriptor};
use crate::error::{CollectError, Found};
use crate::host::{HostRoot, display};

/// The longest file of a process that is read: most are far shorter, of others the beginning suffices.
const BUFFER_BYTES: usize = 4096;

/// One file of one process.
#[derive(Debug, Default)]
pub(crate) enum ProcessFile {
    /// Is opened for each reading, or not yet.
    #[default]
    Closed,
    /// Stays open.
    Kept(KeptDescriptor),
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
    descriptors: Descriptors,
    /// Whether the size of `/proc/PID/fd` says how many descriptors there are, as it does since Linux 6.2.
    has_descriptor_sizes: bool,
}

impl ProcFiles {
    /// Opens `/proc` of the host.
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
        // This program has at least the descriptor of /proc open.
        let own = statat(&proc, "self/fd", AtFlags::empty());
        let has_descriptor_sizes = !host.is_captured() && own.is_ok_and(|own| own.st_size > 0);
        Ok(Self {
            proc,
            path: path_text,
            listing: Vec::with_capacity(32 << 10),
            name: String::new(),
            buffer: vec![0; BUFFER_BYTES],
            descriptors: host.descriptors_of_processes().clone(),
            has_descriptor_sizes,
        })
    }

    #[cfg(test)]
    pub(crate) fn limit_kept(&mut self, most: usize) {
        self.descriptors = Descriptors::at_most(most);
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
                if let Some(kept) = self.descriptors.keep(descriptor) {
                    *file = ProcessFile::Kept(kept);
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
        Ok(self.stat(pid)?.filter(Stat::is_alive))
    }

    /// As [`Self::live`], and of a zombie too.
    pub(crate) fn stat(&mut self, pid: u32) -> Result<Option<Stat<'_>>, CollectError> {
        let length = match self.fill(pid, "stat") {
            Ok(length) => length,
            Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
            Err(error) => return Err(self.unread(error)),
        };
        let line = self.bytes(length);
        match stat::parse(line) {
            Some(stat) => Ok(Some(stat)),
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
        self.executable(pid).unwrap_or_default()
    }

    /// As [`Self::executable_name`], and why it could not be told.
    pub(crate) fn executable(&mut self, pid: u32) -> Result<Option<&[u8]>, Errno> {
        self.locate(pid, "exe");
        let length = rustix::fs::readlinkat_raw(&self.proc, self.name.as_str(), &mut *self.buffer)?;
        let target = self.bytes(length);
        // Said of a program that was replaced, as an upgrade does.
        let target = target.strip_suffix(b" (deleted)").unwrap_or(target);
        Ok(target.rsplit(|byte| *byte == b'/').next().filter(|name| !name.is_empty()))
    }

    /// Whether [`Self::descriptor_count`] costs little and needs no right.
    pub(crate) fn has_descriptor_sizes(&self) -> bool {
        self.has_descriptor_sizes
    }

    /// How many descriptors a process has open.
    pub(crate) fn descriptor_count(&mut self, pid: u32) -> Result<u64, Errno> {
        self.locate(pid, "fd");
        if self.has_descriptor_sizes {
            let directory = statat(&self.proc, self.name.as_str(), AtFlags::empty())?;
            return Ok(u64::try_from(directory.st_size).unwrap_or(0));
        }
        let mut count = 0;
        self.list_numbers(|_| count += 1)?;
        Ok(count)
    }

    /// Appends the numbers of at most `most` threads of a process, oldest first.
    pub(crate) fn threads(&mut self, pid: u32, most: usize, found: &mut Vec<u32>) -> Result<(), Errno> {
        self.locate(pid, "task");
        self.list_numbers(|thread| {
            if found.len() < most {
                found.push(thread);
            }
        })
    }

    /// Calls `found` with every number that names an entry of the directory that was located.
    fn list_numbers(&mut self, mut found: impl FnMut(u32)) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&self.proc, self.name.as_str(), flags, Mode::empty())?;
        let mut entries = RawDir::new(&directory, self.listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            if let Some(number) = stat::decimal(entry?.file_name().to_bytes()) {
                found(u32::try_from(number).unwrap_or(u32::MAX));
            }
        }
        Ok(())
    }

    /// Reads the beginning of a file of a thread of a process, or of the process, once.
    pub(crate) fn read_of(&mut self, pid: u32, thread: Option<u32>, name: &str) -> Result<&[u8], Errno> {
        let Some(thread) = thread else { return self.read_once(pid, name) };
        self.name.clear();
        write!(self.name, "{pid}/task/{thread}/{name}").expect("a String takes any text");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let descriptor = openat(&self.proc, self.name.as_str(), flags, Mode::empty())?;
        let length = rustix::io::pread(&descriptor, &mut *self.buffer, 0)?;
        Ok(self.bytes(length))
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
