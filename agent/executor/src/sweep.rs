//! Deletes old files below one directory.
//!
//! Every step from the allowed directory downwards is resolved by the kernel with "beneath, no links, same file
//! system", and what is unlinked is a name in a directory held open, so nobody who can write below the directory can
//! lead the deletion out of it. Only what a listing saw as a regular file is deleted, the oldest first.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, openat2, statat, unlinkat};
use rustix::io::Errno;
use telemetry::Timestamp;

use crate::{ActionError, ByteCount, Outcome};

/// The most directory entries that are looked at.
const MAX_ENTRIES: usize = 50_000;

/// The most that their names and paths may take in memory. Ordinary names stay far below it; whoever can write below the
/// directory can make names that do not, and the executor has little memory. Beyond it a sweep is incomplete.
const MAX_NAME_BYTES: usize = 8 << 20;

/// How deep the walk goes below the directory.
const MAX_DEPTH: usize = 16;

/// The size of a unit of `st_blocks`, whatever the file system's block is: stat(2).
const STAT_BLOCK_BYTES: u64 = 512;

/// What every file counts at least against the limit, in bytes: one block of most file systems. An empty file, or one
/// name of several, frees nothing and would otherwise be deleted without limit.
const LEAST_CHARGE_BYTES: u64 = 4096;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const NO_LINKS: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);
const BENEATH: ResolveFlags = NO_LINKS.union(ResolveFlags::BENEATH).union(ResolveFlags::NO_XDEV);

/// What a sweep deletes.
#[derive(Clone, Debug)]
pub(crate) struct Sweep<'a> {
    /// The directory that the policy allows.
    pub(crate) allowed: &'a Path,
    /// The directory to sweep, the same or one below it.
    pub(crate) under: &'a Path,
    /// Only files last written before this.
    pub(crate) written_before: Timestamp,
    /// Never more disk space than this, where each file counts in full, and at least as one block.
    pub(crate) at_most: ByteCount,
}

/// A file that is old enough. Device and inode tell whether the name still means the same file later.
#[derive(Debug)]
struct Candidate {
    written: Timestamp,
    directory: usize,
    name: CString,
    identity: (u64, u64),
}

#[derive(Default)]
struct Walk {
    directories: Vec<PathBuf>,
    candidates: Vec<Candidate>,
    seen: usize,
    name_bytes: usize,
    incomplete: bool,
}

impl Walk {
    /// Whether a name or path of so many bytes may still be kept.
    fn keeps(&mut self, bytes: usize) -> bool {
        self.name_bytes += bytes;
        self.incomplete |= self.name_bytes > MAX_NAME_BYTES;
        self.name_bytes <= MAX_NAME_BYTES
    }
}

#[derive(Default)]
struct Tally {
    files: u64,
    freed: u64,
    charged: u64,
    too_large: u64,
    failed: u64,
    first_failure: Option<String>,
}

impl Sweep<'_> {
    /// Deletes.
    pub(crate) fn run(&self) -> Result<Outcome, ActionError> {
        let root = self.open_root()?;
        let mut walk = self.walk(&root)?;
        walk.candidates.sort_by(|a, b| (a.written, &a.name).cmp(&(b.written, &b.name)));
        let mut tally = Tally::default();
        for candidate in &walk.candidates {
            let directory = walk.directories.get(candidate.directory);
            let directory = directory.expect("a candidate's directory was listed by the walk");
            if let Err(error) = self.delete(&root, directory, candidate, &mut tally) {
                tally.failed += 1;
                let file = directory.join(OsStr::from_bytes(candidate.name.to_bytes()));
                tally.first_failure.get_or_insert_with(|| format!("{}: {error}", file.display()));
            }
        }
        Ok(Outcome::Deleted {
            files: tally.files,
            bytes: ByteCount(tally.freed),
            too_large: tally.too_large,
            failed: tally.failed,
            first_failure: tally.first_failure,
            incomplete: walk.incomplete,
        })
    }

    fn open_root(&self) -> Result<OwnedFd, ActionError> {
        let failed = |path: &Path, error: Errno| {
            let doing = format!("opening {} without following links", path.display());
            ActionError::failed(doing, error)
        };
        let allowed = openat2(CWD, self.allowed, DIRECTORY, Mode::empty(), NO_LINKS)
            .map_err(|error| failed(self.allowed, error))?;
        let below = self.under.strip_prefix(self.allowed).unwrap_or(self.under);
        if below.as_os_str().is_empty() {
            return Ok(allowed);
        }
        open_beneath(&allowed, below).map_err(|error| failed(self.under, error))
    }

    fn walk(&self, root: &OwnedFd) -> Result<Walk, ActionError> {
        let mut walk = Walk { directories: vec![PathBuf::new()], ..Walk::default() };
        let mut next = 0;
        while let Some(directory) = walk.directories.get(next).cloned() {
            match self.list(root, &directory, next, &mut walk) {
                // Somebody was faster, or made it a link: there is nothing of ours to delete in it.
                Ok(()) | Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::XDEV) => {}
                Err(error) if next == 0 => {
                    return Err(ActionError::failed(format!("listing {}", self.under.display()), error));
                }
                Err(_) => walk.incomplete = true,
            }
            next += 1;
        }
        Ok(walk)
    }

    fn list(&self, root: &OwnedFd, path: &Path, number: usize, walk: &mut Walk) -> Result<(), Errno> {
        let directory = open_beneath(root, path)?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if walk.seen >= MAX_ENTRIES {
                walk.incomplete = true;
                return Ok(());
            }
            walk.seen += 1;
            let Ok(stat) = look(&directory, name) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile if self.is_old(&stat) => {
                    if !walk.keeps(name.count_bytes()) {
                        return Ok(());
                    }
                    walk.candidates.push(Candidate {
                        written: written(&stat),
                        directory: number,
                        name: name.to_owned(),
                        identity: identity(&stat),
                    });
                }
                FileType::Directory if path.components().count() >= MAX_DEPTH => walk.incomplete = true,
                FileType::Directory => {
                    let below = path.join(OsStr::from_bytes(name.to_bytes()));
                    if !walk.keeps(below.as_os_str().len()) {
                        return Ok(());
                    }
                    walk.directories.push(below);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn delete(
        &self,
        root: &OwnedFd,
        directory: &Path,
        candidate: &Candidate,
        tally: &mut Tally,
    ) -> Result<(), Errno> {
        let directory = open_beneath(root, directory)?;
        let stat = match look(&directory, &candidate.name) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        if identity(&stat) != candidate.identity || !self.is_old(&stat) {
            return Ok(());
        }
        let charge = disk_space(&stat).max(LEAST_CHARGE_BYTES);
        if charge > self.at_most.0.saturating_sub(tally.charged) {
            tally.too_large += 1;
            return Ok(());
        }
        unlinkat(&directory, &candidate.name, AtFlags::empty())?;
        tally.files += 1;
        tally.charged += charge;
        tally.freed += if stat.st_nlink > 1 { 0 } else { disk_space(&stat) };
        Ok(())
    }

    fn is_old(&self, stat: &Stat) -> bool {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && written(stat) < self.written_before
    }
}

fn open_beneath(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    openat2(root, path, DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), BENEATH)
}

fn look(directory: &OwnedFd, name: &CStr) -> Result<Stat, Errno> {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

#[expect(clippy::unnecessary_cast, reason = "the fields' types differ between architectures")]
fn written(stat: &Stat) -> Timestamp {
    Timestamp::from_secs(stat.st_mtime as i64)
        .plus(std::time::Duration::from_nanos(stat.st_mtime_nsec as u64))
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn disk_space(stat: &Stat) -> u64 {
    stat.st_blocks as u64 * STAT_BLOCK_BYTES
}

#[cfg(test)]
mod tests;
