//! Removes old files below one directory.
//!
//! Every step from the allowed directory downwards is taken by [`beneath`](crate::beneath), and what is removed is a name
//! in a directory held open, so nobody who can write below the directory can lead the removal out of it. Only what a
//! listing saw as a regular file is removed, the oldest first, and no more once the limit or the goal is reached.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Stat, fstatvfs, unlinkat};
use rustix::io::Errno;
use telemetry::Timestamp;

use crate::beneath::{disk_space, identity, is_dot, is_regular, look, open_below, open_beneath, written};
use crate::pattern::name_matches;
use crate::quarantine::Batch;
use crate::{ActionError, ByteCount, protected};

/// The most directory entries that are looked at.
const MAX_ENTRIES: usize = 50_000;

/// The most that their names and paths may take in memory. Ordinary names stay far below it; whoever can write below the
/// directory can make names that do not, and the executor has little memory. Beyond it a sweep is incomplete.
const MAX_NAME_BYTES: usize = 8 << 20;

/// How deep the walk goes below the directory.
const MAX_DEPTH: usize = 16;

/// What every file counts at least against the limit, in bytes: one block of most file systems. An empty file, or one
/// name of several, frees nothing and would otherwise be deleted without limit.
const LEAST_CHARGE_BYTES: u64 = 4096;

/// What a sweep removes.
#[derive(Clone, Debug)]
pub(crate) struct Sweep<'a> {
    /// The directory that the policy allows.
    pub(crate) allowed: &'a Path,
    /// The directory to sweep, the same or one below it.
    pub(crate) under: &'a Path,
    /// Only names like this.
    pub(crate) matching: Option<&'a str>,
    /// Only files last written before this.
    pub(crate) written_before: Timestamp,
    /// Never more disk space than this, where each file counts in full, and at least as one block.
    pub(crate) at_most: ByteCount,
    /// Never more files than this.
    pub(crate) at_most_files: u64,
    /// No more once the file system is not fuller than this, in percent.
    pub(crate) until_used_percent: Option<u8>,
}

/// A file that is old enough. Device and inode tell whether the name still means the same file later.
#[derive(Debug)]
pub(crate) struct Candidate {
    written: Timestamp,
    directory: usize,
    name: CString,
    identity: (u64, u64),
    /// What it counts against the limit, in bytes.
    charge: u64,
    /// The disk space that is free without it, in bytes.
    frees: u64,
}

/// The files that a sweep may remove, the oldest first.
#[derive(Debug)]
pub(crate) struct Found {
    root: OwnedFd,
    walk: Walk,
}

#[derive(Debug, Default)]
struct Walk {
    directories: Vec<PathBuf>,
    candidates: Vec<Candidate>,
    seen: usize,
    name_bytes: usize,
    /// How many were found that the limits leave.
    too_large: u64,
    incomplete: bool,
}

impl Walk {
    /// Whether a name or path of so many bytes may still be kept.
    fn keeps(&mut self, bytes: usize) -> bool {
        self.name_bytes += bytes;
        self.incomplete |= self.name_bytes > MAX_NAME_BYTES;
        self.name_bytes <= MAX_NAME_BYTES
    }

    fn directory(&self, candidate: &Candidate) -> &Path {
        self.directories.get(candidate.directory).expect("a candidate's directory was listed by the walk")
    }
}

/// What a sweep has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) files: u64,
    /// The disk space they took, in bytes.
    pub(crate) freed: u64,
    charged: u64,
    /// Files that stayed because they would have gone beyond a limit.
    pub(crate) too_large: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
    /// Whether there was more than could be seen.
    pub(crate) incomplete: bool,
}

impl Found {
    /// The paths of all files below the swept directory, with what tells them from others.
    pub(crate) fn files(&self) -> impl Iterator<Item = (PathBuf, (u64, u64))> {
        let candidates = self.walk.candidates.iter();
        candidates.map(|candidate| (self.path(candidate), candidate.identity))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.walk.candidates.is_empty()
    }

    /// What all of them count against the limit, in bytes.
    pub(crate) fn charge(&self) -> u64 {
        self.walk.candidates.iter().map(|candidate| candidate.charge).sum()
    }

    /// The directory that is swept.
    pub(crate) fn root(&self) -> &OwnedFd {
        &self.root
    }

    fn path(&self, candidate: &Candidate) -> PathBuf {
        self.walk.directory(candidate).join(OsStr::from_bytes(candidate.name.to_bytes()))
    }
}

impl Sweep<'_> {
    /// Looks for what can be removed, and removes nothing.
    pub(crate) fn find(&self) -> Result<Found, ActionError> {
        let root = open_below(self.allowed, self.under)?;
        let mut walk = self.walk(&root)?;
        walk.candidates.sort_by(|a, b| (a.written, &a.name).cmp(&(b.written, &b.name)));
        Ok(Found { root, walk })
    }

    /// Leaves of what was found what would be removed as things are now, by the limits and the goal.
    pub(crate) fn choose(&self, found: &mut Found) -> Result<(), ActionError> {
        let goal = self.goal(found)?;
        let (mut chosen, mut charged, mut freed) = (Vec::new(), 0, 0);
        for candidate in std::mem::take(&mut found.walk.candidates) {
            if self.is_reached(goal.as_ref(), found, freed)? {
                break;
            }
            if self.is_beyond(chosen.len() as u64, charged, candidate.charge) {
                found.walk.too_large += 1;
                continue;
            }
            charged += candidate.charge;
            freed += candidate.frees;
            chosen.push(candidate);
        }
        found.walk.candidates = chosen;
        Ok(())
    }

    /// Removes what was found: into the batch, in which each has its place in the order as its number, or for good.
    pub(crate) fn remove(&self, found: &Found, batch: Option<&Batch>) -> Result<Swept, ActionError> {
        let Walk { too_large, incomplete, .. } = found.walk;
        let mut swept = Swept { too_large, incomplete, ..Swept::default() };
        let goal = self.goal(found)?;
        for (number, candidate) in found.walk.candidates.iter().enumerate() {
            if self.is_reached(goal.as_ref(), found, swept.freed)? {
                break;
            }
            let place = batch.map(|batch| (batch, number));
            if let Err(error) = self.remove_one(found, candidate, place, &mut swept) {
                swept.failed += 1;
                let file = found.path(candidate);
                swept.first_failure.get_or_insert_with(|| format!("{}: {error}", file.display()));
            }
        }
        Ok(swept)
    }

    fn goal(&self, found: &Found) -> Result<Option<Goal>, ActionError> {
        let goal = self.until_used_percent.map(|percent| Goal::new(&found.root, percent)).transpose();
        goal.map_err(|error| self.not_measured(error))
    }

    fn is_reached(&self, goal: Option<&Goal>, found: &Found, freed: u64) -> Result<bool, ActionError> {
        let reached = goal.map_or(Ok(false), |goal| goal.is_reached(&found.root, freed));
        reached.map_err(|error| self.not_measured(error))
    }

    /// Whether one file more would go beyond a limit.
    fn is_beyond(&self, files: u64, charged: u64, charge: u64) -> bool {
        files >= self.at_most_files || charge > self.at_most.0.saturating_sub(charged)
    }

    fn not_measured(&self, error: Errno) -> ActionError {
        let doing = format!("asking how full the file system of {} is", self.under.display());
        ActionError::failed(doing, error)
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
            if is_dot(name) {
                continue;
            }
            if walk.seen >= MAX_ENTRIES {
                walk.incomplete = true;
                return Ok(());
            }
            walk.seen += 1;
            let Ok(stat) = look(&directory, name) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile if self.is_meant(&stat, name.to_bytes()) => {
                    if !walk.keeps(name.count_bytes()) {
                        return Ok(());
                    }
                    walk.candidates.push(Candidate {
                        written: written(&stat),
                        directory: number,
                        name: name.to_owned(),
                        identity: identity(&stat),
                        charge: charge(&stat),
                        frees: frees(&stat),
                    });
                }
                FileType::Directory if path.components().count() >= MAX_DEPTH => walk.incomplete = true,
                FileType::Directory => {
                    let below = path.join(OsStr::from_bytes(name.to_bytes()));
                    if protected::tree(&self.under.join(&below)).is_some() {
                        continue;
                    }
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

    fn remove_one(
        &self,
        found: &Found,
        candidate: &Candidate,
        place: Option<(&Batch, usize)>,
        swept: &mut Swept,
    ) -> Result<(), Errno> {
        let directory = open_beneath(&found.root, found.walk.directory(candidate))?;
        let stat = match look(&directory, &*candidate.name) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        if identity(&stat) != candidate.identity || !self.is_old(&stat) {
            return Ok(());
        }
        let charge = charge(&stat);
        if self.is_beyond(swept.files, swept.charged, charge) {
            swept.too_large += 1;
            return Ok(());
        }
        match place {
            Some((batch, number))
                if !batch.take(&directory, &candidate.name, number, candidate.identity)? =>
            {
                return Ok(());
            }
            Some(_) => {}
            None => unlinkat(&directory, &*candidate.name, AtFlags::empty())?,
        }
        swept.files += 1;
        swept.charged += charge;
        swept.freed += frees(&stat);
        Ok(())
    }

    fn is_meant(&self, stat: &Stat, name: &[u8]) -> bool {
        let is_like = |pattern: &str| name_matches(pattern, &String::from_utf8_lossy(name));
        self.is_old(stat) && self.matching.is_none_or(is_like)
    }

    fn is_old(&self, stat: &Stat) -> bool {
        is_regular(stat) && written(stat) < self.written_before
    }
}

fn charge(stat: &Stat) -> u64 {
    disk_space(stat).max(LEAST_CHARGE_BYTES)
}

fn frees(stat: &Stat) -> u64 {
    if stat.st_nlink > 1 { 0 } else { disk_space(stat) }
}

/// How full the file system shall be at most, as `df` counts: without what is kept for root.
#[derive(Debug)]
struct Goal {
    percent: u64,
    used_at_first: u64,
}

impl Goal {
    fn new(root: &OwnedFd, percent: u8) -> Result<Self, Errno> {
        Ok(Self { percent: percent.into(), used_at_first: used_and_available(root)?.0 })
    }

    /// Some file systems free the space a while later, and quarantine only when it is purged; so what was removed counts
    /// as freed.
    fn is_reached(&self, root: &OwnedFd, freed: u64) -> Result<bool, Errno> {
        let (used, available) = used_and_available(root)?;
        let size = u128::from(used) + u128::from(available);
        let used = used.min(self.used_at_first.saturating_sub(freed));
        Ok(u128::from(used) * 100 <= u128::from(self.percent) * size)
    }
}

fn used_and_available(root: &OwnedFd) -> Result<(u64, u64), Errno> {
    let fill = fstatvfs(root)?;
    let bytes = |blocks: u64| blocks.saturating_mul(fill.f_frsize);
    Ok((bytes(fill.f_blocks.saturating_sub(fill.f_bfree)), bytes(fill.f_bavail)))
}

#[cfg(test)]
mod tests;
