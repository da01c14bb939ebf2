//! The host's file system.
//!
//! The directories up to the first wildcard of a glob are the operator's word and may be links. Below, any user may have
//! made a directory a link to elsewhere, so each step is taken without following one.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Statx, StatxFlags, openat, statx};

use super::watch::Watch;
use super::{Change, Disk, Facts, FileId, Handle, Kind, Want};

/// How much of a directory is read at once.
const LISTING_BYTES: usize = 32 * 1024;

#[derive(Debug)]
pub(crate) struct RealDisk {
    /// Directories that the operator named.
    bases: Vec<PathBuf>,
    watch: Option<Watch>,
    listing: Vec<u8>,
}

impl RealDisk {
    /// Trusts the paths up to `bases`.
    pub(crate) fn new(bases: Vec<PathBuf>) -> Self {
        Self { bases, watch: Watch::open().ok(), listing: Vec::with_capacity(LISTING_BYTES) }
    }

    /// The descriptor that can be read when something changed.
    pub(crate) fn wakes(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(Watch::fd)
    }

    fn directory(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let bases = self.bases.iter().filter(|base| path.starts_with(base));
        let base = bases.max_by_key(|base| base.as_os_str().len()).map_or(path, PathBuf::as_path);
        let rest = path.strip_prefix(base).unwrap_or(Path::new(""));
        let step = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut steps = rest.iter().peekable();
        let kind = |is_last: bool| if is_last { flags } else { OFlags::PATH };
        let mut at = openat(CWD, base, step | kind(steps.peek().is_none()), Mode::empty())?;
        while let Some(name) = steps.next() {
            let kind = kind(steps.peek().is_none()) | OFlags::NOFOLLOW;
            at = openat(&at, name, step | kind, Mode::empty())?;
        }
        Ok(at)
    }
}

impl Disk for RealDisk {
    type File = Arc<File>;

    fn scan(
        &mut self,
        directory: &Path,
        want: &mut Want<'_>,
        found: &mut Vec<(OsString, Facts)>,
    ) -> io::Result<()> {
        let at = self.directory(directory, OFlags::RDONLY)?;
        let mut entries = RawDir::new(&at, self.listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let is_directory = match entry.file_type() {
                FileType::Directory => true,
                FileType::Unknown => is_directory(&at, entry.file_name()),
                _ => false,
            };
            if name == "." || name == ".." || !want(name, entry.ino(), is_directory) {
                continue;
            }
            // A name that is gone again is as good as never seen.
            if let Ok(facts) = facts_of(&at, entry.file_name()) {
                found.push((name.to_owned(), facts));
            }
        }
        Ok(())
    }

    fn look(&mut self, directory: &Path, name: &OsStr) -> io::Result<Facts> {
        let at = self.directory(directory, OFlags::PATH)?;
        facts_of(&at, name)
    }

    fn open(&mut self, directory: &Path, name: &OsStr) -> io::Result<(Arc<File>, Facts)> {
        let at = self.directory(directory, OFlags::PATH)?;
        let link_owner = link_owner(&at, name)?;
        // A FIFO would wait for its writer and a terminal would become ours.
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if link_owner.is_none() {
            flags |= OFlags::NOFOLLOW;
        }
        let file = File::from(openat(&at, name, flags, Mode::empty())?);
        let facts = Facts { link_owner, ..facts(&file)? };
        match facts.refusal() {
            Some(reason) => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)),
            None => Ok((Arc::new(file), facts)),
        }
    }

    fn watch(&mut self, directory: &Path) {
        if let Some(watch) = &mut self.watch {
            watch.add(directory);
        }
    }

    fn changes(&mut self, each: &mut dyn FnMut(Change<'_>)) {
        if let Some(watch) = &mut self.watch {
            watch.drain(each);
        }
    }
}

impl Handle for Arc<File> {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(&**self, rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn facts(&self) -> io::Result<Facts> {
        facts(self)
    }
}

const ASKED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

fn facts(file: &File) -> io::Result<Facts> {
    Ok(from(&statx(file, c"", AtFlags::EMPTY_PATH, ASKED)?, None))
}

/// What has the name; of a link, what it leads to.
fn facts_of<N: rustix::path::Arg + Copy>(at: impl AsFd, name: N) -> io::Result<Facts> {
    let found = statx(&at, name, AtFlags::SYMLINK_NOFOLLOW, ASKED)?;
    if FileType::from_raw_mode(found.stx_mode.into()) != FileType::Symlink {
        return Ok(from(&found, None));
    }
    Ok(from(&statx(&at, name, AtFlags::empty(), ASKED)?, Some(found.stx_uid)))
}

fn link_owner(at: impl AsFd, name: &OsStr) -> io::Result<Option<u32>> {
    let found = statx(&at, name, AtFlags::SYMLINK_NOFOLLOW, ASKED)?;
    Ok((FileType::from_raw_mode(found.stx_mode.into()) == FileType::Symlink).then_some(found.stx_uid))
}

fn is_directory(at: impl AsFd, name: &CStr) -> bool {
    let found = statx(&at, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE);
    found.is_ok_and(|found| FileType::from_raw_mode(found.stx_mode.into()) == FileType::Directory)
}

fn from(found: &Statx, link_owner: Option<u32>) -> Facts {
    let nanos = |seconds: i64, nanos: u32| seconds.saturating_mul(1_000_000_000) + i64::from(nanos);
    let knows_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let kind = match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Fifo => Kind::Other("it is a FIFO"),
        FileType::Socket => Kind::Other("it is a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Kind::Other("it is a device"),
        _ => Kind::Other("it is no regular file"),
    };
    Facts {
        id: FileId {
            device: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
            inode: found.stx_ino,
            born: if knows_birth { nanos(found.stx_btime.tv_sec, found.stx_btime.tv_nsec) } else { 0 },
        },
        kind,
        size: found.stx_size,
        modified: nanos(found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
        names: found.stx_nlink,
        owner: found.stx_uid,
        link_owner,
    }
}
