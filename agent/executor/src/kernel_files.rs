//! Small files by which the kernel is asked and told: `/proc/sys` and `/sys/fs/cgroup`.
//!
//! They are opened beneath their root, without following links and without leaving its file system, so that no name can
//! lead elsewhere. A unit of systemd often sees them read-only, and the error then says which drop-in changes that.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// More than any of these files holds that is read here.
const MAX_FILE_BYTES: u64 = 64 << 10;

const NO_LINKS: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);
const BENEATH: ResolveFlags = NO_LINKS.union(ResolveFlags::BENEATH).union(ResolveFlags::NO_XDEV);

/// The kernel's files below one directory.
#[derive(Clone, Debug)]
pub(crate) struct KernelFiles {
    root: PathBuf,
    /// What lets a unit of systemd write there.
    drop_in: &'static str,
}

/// A file of the kernel that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KernelFileError {
    #[error("{}", file.display())]
    Absent { file: PathBuf },
    #[error("reading {}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("writing {text:?} to {}", file.display())]
    Write { file: PathBuf, text: String, source: std::io::Error },
    #[error(
        "writing {text:?} to {}; if hostmend-executor.service may not, the drop-in {drop_in} in /usr/share/doc/hostmend/examples \
         lets it",
        file.display()
    )]
    MayNotWrite { file: PathBuf, text: String, drop_in: &'static str, source: std::io::Error },
}

impl KernelFiles {
    pub(crate) const fn new(root: PathBuf, drop_in: &'static str) -> Self {
        Self { root, drop_in }
    }

    /// What stands in the file, without white space around it.
    pub(crate) fn read(&self, path: &Path) -> Result<String, KernelFileError> {
        let file = self.root.join(path);
        let opened = match self.open(path, OFlags::RDONLY) {
            Err(Errno::NOENT) => return Err(KernelFileError::Absent { file }),
            Err(error) => return Err(KernelFileError::Read { file, source: error.into() }),
            Ok(opened) => opened,
        };
        let mut text = String::new();
        let read = File::from(opened).take(MAX_FILE_BYTES).read_to_string(&mut text);
        read.map_err(|source| KernelFileError::Read { file, source })?;
        Ok(text.trim().to_owned())
    }

    /// Writes the text in one piece.
    pub(crate) fn write(&self, path: &Path, text: &str) -> Result<(), KernelFileError> {
        let opened = self.open(path, OFlags::WRONLY | OFlags::TRUNC).map_err(std::io::Error::from);
        let written = opened.and_then(|opened| File::from(opened).write_all(text.as_bytes()));
        written.map_err(|source| {
            let (file, text) = (self.root.join(path), text.to_owned());
            match source.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => {
                    KernelFileError::MayNotWrite { file, text, drop_in: self.drop_in, source }
                }
                Some(Errno::NOENT) => KernelFileError::Absent { file },
                _ => KernelFileError::Write { file, text, source },
            }
        })
    }

    /// The names of the directories in one.
    pub(crate) fn directories(&self, path: &Path) -> Result<Vec<String>, KernelFileError> {
        let file = self.root.join(path);
        let failed = |error: Errno| match error {
            Errno::NOENT => KernelFileError::Absent { file: file.clone() },
            error => KernelFileError::Read { file: file.clone(), source: error.into() },
        };
        let opened = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&opened).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == FileType::Directory && name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat2(CWD, &self.root, directory, Mode::empty(), NO_LINKS)?;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        openat2(&root, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), BENEATH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_the_root_is_read_or_written() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("sys");
        std::fs::create_dir_all(root.join("vm")).unwrap();
        std::fs::write(root.join("vm/swappiness"), "60\n").unwrap();
        std::fs::write(directory.path().join("outside"), "1\n").unwrap();
        std::os::unix::fs::symlink(directory.path().join("outside"), root.join("vm/link")).unwrap();
        std::os::unix::fs::symlink(directory.path(), root.join("up")).unwrap();
        let files = KernelFiles::new(root, "x.conf");
        for path in ["../outside", "vm/link", "up/outside", "vm/../../outside", "/etc/hostname"] {
            assert!(files.read(Path::new(path)).is_err(), "{path}");
            assert!(files.write(Path::new(path), "2").is_err(), "{path}");
        }
        assert_eq!(std::fs::read_to_string(directory.path().join("outside")).unwrap(), "1\n");
        files.write(Path::new("vm/swappiness"), "10").unwrap();
        assert_eq!(files.read(Path::new("vm/swappiness")).unwrap(), "10");
        assert_eq!(files.directories(Path::new("")).unwrap(), ["vm"]);
        assert!(matches!(files.write(Path::new("vm/new"), "1"), Err(KernelFileError::Absent { .. })));
    }
}
