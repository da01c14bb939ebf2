//! All files of a source, and what is looked at: the names of which the kernel said that they changed, and every few seconds
//! everything, for what it did not say.
//!
//! `find.rs` says which files there are, `open.rs` where each begins, `turns.rs` which is read next, `succession.rs` and
//! `copies.rs` what a rotation means, `stock.rs` what came and went unseen, `places.rs` what is saved.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt as _};
use telemetry::{Attributes, LogBuffer, Timestamp};

use self::figures::Counts;
use self::stock::{Gone, Stock};
use super::FilesOptions;
use super::disk::{Change, Disk, FileId};
use super::file::{File, Key, Location};
use super::globs::{GlobError, Globs};
use super::reading::READ_BYTES;
use super::siblings::{before_packing, origin};
use crate::{Positions, Ready};

mod copies;
mod figures;
mod find;
mod groups;
mod open;
mod places;
mod stock;
mod succession;
mod turns;

/// How often everything is looked through for what the kernel did not tell.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How many files one source follows. More are listed as not followed.
const MAX_FILES: usize = 32_768;

/// A directory with files that are followed or might be.
#[derive(Debug, Default)]
pub(super) struct Directory {
    names: HashMap<OsString, Key>,
    refused: BTreeMap<OsString, Refused>,
    trouble: Option<String>,
    /// Names that what was followed has left, and that nothing has now.
    left: BTreeSet<OsString>,
    stock: Stock,
}

impl Directory {
    /// What is followed under the name of which rotation may have made `name`.
    fn original_of(&self, name: &OsStr) -> Option<Key> {
        origin(name, |home| self.names.get(home).copied())
    }

    /// Whether rotation may have made `name` of one that is followed, or was.
    fn is_rotated(&self, name: &OsStr) -> bool {
        let is_home = |home: &OsStr| self.names.contains_key(home) || self.left.contains(home);
        origin(name, |home| is_home(home).then_some(())).is_some()
    }
}

/// A name that is meant and whose file is not read.
#[derive(Debug)]
pub(super) struct Refused {
    id: FileId,
    reason: String,
    size: u64,
    /// It was opened and is packed: that does not change.
    is_packed: bool,
    sweep: u64,
}

/// Follows the files of one source.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Follower<D: Disk> {
    pub(super) disk: D,
    options: FilesOptions,
    globs: Globs,
    files: HashMap<Key, File<D>>,
    by_id: HashMap<FileId, Key>,
    /// How many of the files have the inode, which is what a listing of a directory gives.
    inodes: HashMap<u64, u32>,
    directories: HashMap<Arc<Path>, Directory>,
    last_key: Key,
    queue: VecDeque<Key>,
    /// Files that may be closed, by when they were used.
    idle: BTreeMap<u64, Key>,
    open_files: usize,
    uses: u64,
    /// Files of which something is due later: a record that waits, an end.
    waiting: BTreeSet<Key>,
    unsettled: Vec<Key>,
    forgotten: Vec<FileId>,
    /// Files that lost their name, and files that got another one, since this was last dealt with.
    nameless: Vec<Key>,
    moved: Vec<Key>,
    /// Names to look at.
    changed: BTreeSet<(Arc<Path>, OsString)>,
    /// Directories whose rotated files are to be looked at.
    stirred: BTreeSet<Arc<Path>>,
    gone: VecDeque<Gone>,
    swept: Timestamp,
    must_sweep: bool,
    sweeps: u64,
    /// Whether the source was never started before.
    is_first_start: bool,
    /// Whether anything was saved since everything was swept, and whether it is to be saved when that was.
    has_acted: bool,
    must_save_sweep: bool,
    is_first_sweep: bool,
    resources: Vec<Arc<Attributes>>,
    counts: Counts,
    buffer: Vec<u8>,
    now: Timestamp,
}

impl<D: Disk> Follower<D> {
    /// Finds the files and their places.
    pub(crate) fn open(
        disk: D,
        options: FilesOptions,
        positions: &Positions,
        now: Timestamp,
    ) -> Result<Self, GlobError> {
        let globs = Globs::new(&options.include, &options.exclude)?;
        let mut follower = Self {
            disk,
            globs,
            files: HashMap::new(),
            by_id: HashMap::new(),
            inodes: HashMap::new(),
            directories: HashMap::new(),
            last_key: 0,
            queue: VecDeque::new(),
            idle: BTreeMap::new(),
            open_files: 0,
            uses: 0,
            waiting: BTreeSet::new(),
            unsettled: Vec::new(),
            forgotten: Vec::new(),
            nameless: Vec::new(),
            moved: Vec::new(),
            changed: BTreeSet::new(),
            stirred: BTreeSet::new(),
            gone: VecDeque::new(),
            swept: now,
            must_sweep: false,
            sweeps: 0,
            is_first_start: false,
            has_acted: false,
            must_save_sweep: true,
            is_first_sweep: true,
            resources: Vec::new(),
            counts: Counts::default(),
            buffer: Vec::new(),
            now,
            options,
        };
        let before = follower.restore(positions);
        follower.sweep();
        follower.begin_stock(before.as_ref());
        follower.is_first_sweep = false;
        Ok(follower)
    }

    /// Appends the lines that are there, until `out` holds about `max_bytes`.
    pub(crate) fn read_ready(&mut self, now: Timestamp, out: &mut LogBuffer, max_bytes: usize) -> Ready {
        self.now = now;
        self.hear();
        if self.must_sweep || now < self.swept || now.since(self.swept) >= SWEEP_EVERY {
            self.sweep();
        } else {
            self.look_at_changed();
        }
        self.settle_names();
        self.take_stock(out);
        self.wake_waiting(out);
        let ready = self.take_turns(out, max_bytes);
        if self.buffer.len() > READ_BYTES {
            self.buffer = Vec::new();
        }
        ready
    }

    fn hear(&mut self) {
        let Self { disk, directories, files, queue, changed, stirred, must_sweep, .. } = self;
        disk.changes(&mut |change| match change {
            Change::Written(directory, name) => {
                let Some((directory, known)) = directories.get_key_value(directory) else { return };
                let file = known.names.get(name).and_then(|key| Some((*key, files.get_mut(key)?)));
                if let Some((key, file)) = file {
                    if !file.is_queued {
                        file.is_queued = true;
                        queue.push_back(key);
                    }
                    return;
                }
                // What is packed matters once it is whole and a name changes, and of copies their beginning.
                if !known.stock.has_open() && before_packing(name).is_none() && known.is_rotated(name) {
                    stirred.insert(directory.clone());
                }
                if known.refused.get(name).is_some_and(|refused| !refused.is_packed) {
                    // By now it may be another file; a name that never was meant is not.
                    changed.insert((directory.clone(), name.to_owned()));
                }
            }
            Change::Named(directory, name) => {
                if let Some((directory, known)) = directories.get_key_value(directory) {
                    changed.insert((directory.clone(), name.to_owned()));
                    if known.is_rotated(name) {
                        stirred.insert(directory.clone());
                    }
                }
            }
            Change::Anything => *must_sweep = true,
        });
    }

    fn enqueue(&mut self, key: Key) {
        if let Some(file) = self.files.get_mut(&key).filter(|file| !file.is_queued) {
            file.is_queued = true;
            self.queue.push_back(key);
        }
    }

    fn unsettle(&mut self, key: Key) {
        if let Some(file) = self.files.get_mut(&key).filter(|file| !file.is_unsettled) {
            file.is_unsettled = true;
            self.unsettled.push(key);
        }
    }

    fn insert(&mut self, file: File<D>) -> Key {
        self.last_key += 1;
        let key = self.last_key;
        self.by_id.insert(file.id, key);
        *self.inodes.entry(file.id.inode).or_default() += 1;
        let at = file.location.clone();
        self.files.insert(key, file);
        if let Some(at) = at {
            self.name(key, at);
        }
        key
    }

    /// The file has this name now; another one that had it has lost it.
    fn name(&mut self, key: Key, at: Location) {
        let directory = self.directories.entry(at.directory.clone()).or_default();
        directory.refused.remove(&at.name);
        directory.left.remove(&at.name);
        let former = directory.names.insert(at.name, key);
        if let Some(former) = former.filter(|former| *former != key) {
            self.unname(former);
        }
    }

    /// Knows nothing of the file any more.
    fn remove(&mut self, key: Key) {
        self.close(key);
        let Some(file) = self.files.remove(&key) else { return };
        if self.by_id.get(&file.id) == Some(&key) {
            self.by_id.remove(&file.id);
        }
        if let Some(count) = self.inodes.get_mut(&file.id.inode) {
            *count -= 1;
            if *count == 0 {
                self.inodes.remove(&file.id.inode);
            }
        }
        if let Some(at) = &file.location
            && let Some(directory) = self.directories.get_mut(&at.directory)
        {
            directory.names.remove(&at.name);
        }
        self.waiting.remove(&key);
        self.remember_gone(key, &file);
        self.forgotten.push(file.id);
    }
}

#[cfg(test)]
mod tests;
