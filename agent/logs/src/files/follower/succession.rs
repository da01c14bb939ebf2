//! What follows when a file loses its name or its content.
//!
//! It may have been renamed, and packed, more than once since anyone looked, while the agent was down or had no time. So its
//! identity is looked for beside its home, then what was read of it among the names that rotation gives; reading goes on
//! there, and what has its name now is read after it. What came in between is found by `stock.rs`.

use std::ffi::OsString;
use std::path::Path;

use super::Follower;
use super::stock::{SECOND, is_kept};
use crate::files::content::Content;
use crate::files::disk::{Disk, Facts, FileId, Handle as _};
use crate::files::file::{Key, Location, Start};
use crate::files::place::Spot;
use crate::files::reading::Reading;
use crate::files::siblings::{Age, is_sibling, sort_by_age};

/// A rotated sibling.
#[derive(Clone, Debug)]
pub(super) struct Sibling {
    pub(super) location: Location,
    pub(super) facts: Facts,
}

impl<D: Disk> Follower<D> {
    /// Deals with the files that lost or changed their names.
    pub(super) fn settle_names(&mut self) {
        /// How often names are looked at again because others were found; then the sweep has to.
        const ROUNDS: usize = 8;
        for _ in 0..ROUNDS {
            self.settle_names_once();
            self.look_at_changed();
            if self.nameless.is_empty() && self.moved.is_empty() {
                return;
            }
        }
        self.must_sweep = true;
    }

    fn settle_names_once(&mut self) {
        let mut gone = Vec::new();
        for key in std::mem::take(&mut self.nameless) {
            let Some(file) = self.files.get_mut(&key).filter(|file| file.location.is_none()) else {
                continue;
            };
            if let Some(handle) = &file.handle {
                if let Ok(facts) = handle.facts() {
                    file.is_deleted = facts.names == 0;
                    file.note(&facts);
                }
                self.waiting.insert(key);
                self.enqueue(key);
                self.unsettle(key);
                self.moved.push(key);
            } else if !self.find_new_name(key) {
                gone.push(key);
            }
        }
        for key in std::mem::take(&mut self.moved) {
            self.succeed(key);
        }
        // Files of which something was read find their copies first; of the others, only the age is known.
        gone.sort_by_key(|key| self.files.get(key).is_none_or(|file| file.reading.spot.head.len == 0));
        for key in gone {
            self.search(key);
        }
    }

    /// Looks for the file of that identity beside where it was.
    fn find_new_name(&mut self, key: Key) -> bool {
        let Some(file) = self.files.get(&key) else { return false };
        let (Some(directory), id) = (file.home.parent(), file.id) else { return false };
        let directory = directory.to_owned();
        for (name, facts) in self.names_of(&directory, id) {
            let (directory, _) = self.directory(&directory);
            self.rename(key, Location { directory, name }, &facts);
        }
        self.files.get(&key).is_some_and(|file| file.location.is_some())
    }

    /// The names that the file of that identity has in the directory.
    pub(super) fn names_of(&mut self, directory: &Path, id: FileId) -> Vec<(OsString, Facts)> {
        let mut found = Vec::new();
        let _ = self.disk.scan(directory, &mut |_, inode, _| inode == id.inode, &mut found);
        found.retain(|(_, facts)| facts.id == id);
        found
    }

    /// The file has left its home for the first time: what has that name now is read after it.
    fn succeed(&mut self, key: Key) {
        let Some(file) = self.files.get_mut(&key).filter(|file| !file.has_moved) else { return };
        let (id, location) = (file.id, file.location.clone());
        if location.as_ref().is_some_and(|at| at.path() == file.home) {
            return;
        }
        file.has_moved = true;
        if !self.is_home_meant(key) {
            return;
        }
        // It may have been rotated again by now.
        if let Some(at) = location
            && !self.disk.look(&at.directory, &at.name).is_ok_and(|facts| facts.id == id)
        {
            self.find_new_name(key);
        }
        let Some(home) = self.files.get(&key).map(|file| file.home.clone()) else { return };
        self.stir(&home);
        self.read_home_after(key, &home);
    }

    /// The file is not there any more under its identity: its content is looked for. What came after it is found by the look at
    /// what is new.
    fn search(&mut self, key: Key) {
        let Some(file) = self.files.get(&key) else { return };
        if self.is_home_meant(key) && file.copy_of.is_none() {
            let home = file.home.clone();
            let is_read = file.size == 0 || file.is_read() && (file.is_seen || file.has_moved);
            self.stir(&home);
            if !self.is_found_in_copies(key, &home) && !is_read {
                self.counts.lose("rotated_away");
            }
        }
        self.remove(key);
    }

    /// Whether there are copies that hold what was not read of the file; then they will be read.
    fn is_found_in_copies(&mut self, key: Key, home: &Path) -> bool {
        let Some(file) = self.files.get(&key) else { return false };
        let (spot, from, modified) = (file.reading.spot, file.from(), file.modified);
        let (is_empty, is_over) = (file.size == 0, file.is_over);
        let siblings = self.siblings(home);
        if spot.offset == 0 && spot.head.len == 0 {
            return !is_empty && self.open_kept(&siblings, modified);
        }
        if is_over && siblings.iter().any(|it| it.facts.modified == modified) {
            return true;
        }
        let mut later = siblings.iter().filter(|it| it.facts.modified > modified - SECOND);
        let holds = |it: &&Sibling| {
            if spot.is_unproven { is_kept(modified, it.facts.modified) } else { self.holds(it, &spot) }
        };
        let Some(found) = later.find(holds) else { return false };
        let copy = self.adopt_at(found, home, spot, from);
        self.read_home_after(copy, home);
        true
    }

    /// Has those be judged that may be packed copies of what was written at `modified`; whether there are any.
    fn open_kept(&mut self, siblings: &[Sibling], modified: i64) -> bool {
        let kept = siblings.iter().filter(|sibling| is_kept(modified, sibling.facts.modified));
        let open = kept.map(|sibling| {
            let (_, directory) = self.directory(&sibling.location.directory);
            directory.stock.keep_open(&sibling.facts, None);
        });
        open.count() > 0
    }

    /// Follows a copy from the place on that was found in it.
    pub(super) fn adopt_at(&mut self, sibling: &Sibling, home: &Path, spot: Spot, from: u64) -> Key {
        let key = self.adopt_whole(sibling, home);
        if let Some(file) = self.files.get_mut(&key) {
            file.reading = Reading::at(spot);
            file.start = Start::Placed(from);
        }
        key
    }

    pub(super) fn adopt_whole(&mut self, sibling: &Sibling, home: &Path) -> Key {
        let known = self.by_id.get(&sibling.facts.id).copied();
        let key = known.unwrap_or_else(|| {
            self.adopt(home.to_owned(), sibling.location.clone(), &sibling.facts, Start::Fresh)
        });
        let at = self.files.get(&key).and_then(|file| file.location.as_ref());
        if at != Some(&sibling.location) {
            self.rename(key, sibling.location.clone(), &sibling.facts);
        }
        // It may have been opened as something to be refused.
        self.close(key);
        if let Some(file) = self.files.get_mut(&key) {
            home.clone_into(&mut file.home);
            file.note(&sibling.facts);
            (file.may_be_packed, file.has_moved, file.copy_of) = (true, true, None);
            file.quiet_since = self.now;
        }
        self.enqueue(key);
        self.unsettle(key);
        self.waiting.insert(key);
        key
    }

    /// The rotated files beside `home` are to be looked at.
    fn stir(&mut self, home: &Path) {
        if let Some(directory) = home.parent() {
            self.stirred.insert(directory.into());
        }
    }

    /// Has what is called `home` now be read after this file, if it is new.
    fn read_home_after(&mut self, key: Key, home: &Path) {
        let Some(at) = Location::of(home) else { return };
        let now = self.directories.get(&at.directory).and_then(|directory| directory.names.get(&at.name));
        if let Some(now) = now.copied() {
            self.read_after(now, key);
        }
    }

    /// Has a file that has not been begun wait for another one, if that does not wait for it in turn.
    pub(super) fn read_after(&mut self, key: Key, other: Key) {
        let before = std::iter::successors(Some(other), |key| self.files.get(key)?.after);
        let waits_in_turn = before.take(self.files.len()).any(|other| other == key);
        if let Some(file) = self.files.get_mut(&key).filter(|_| !waits_in_turn)
            && file.reading.spot.offset == 0
        {
            file.after = Some(other);
        }
    }

    /// The rotated siblings that have not been read, the oldest first.
    pub(super) fn siblings(&mut self, home: &Path) -> Vec<Sibling> {
        let Some(at) = Location::of(home) else { return Vec::new() };
        let mut found = Vec::new();
        let mut want =
            |name: &std::ffi::OsStr, _, is_directory: bool| !is_directory && is_sibling(&at.name, name);
        let _ = self.disk.scan(&at.directory, &mut want, &mut found);
        let is_unread = |facts: &Facts| facts.refusal().is_none() && self.is_fresh(facts.id);
        let directory = &at.directory;
        let sibling =
            |(name, facts)| Sibling { location: Location { directory: directory.clone(), name }, facts };
        let unread = found.into_iter().filter(|(_, facts)| is_unread(facts)).map(sibling);
        let mut siblings: Vec<(Age, Sibling)> = unread.map(|it| (Self::age(home, &it), it)).collect();
        sort_by_age(&mut siblings);
        siblings.into_iter().map(|(_, sibling)| sibling).collect()
    }

    pub(super) fn age(home: &Path, sibling: &Sibling) -> Age {
        let home = home.file_name().unwrap_or_default();
        Age::of(home, &sibling.location.name, sibling.facts.modified)
    }

    /// Whether the sibling holds all that was read up to `spot`.
    fn holds(&mut self, sibling: &Sibling, spot: &Spot) -> bool {
        let Some(handle) = self.open_sibling(sibling) else { return false };
        Content::of(&handle).and_then(|mut content| spot.is_in(&mut content)).unwrap_or(false)
    }

    fn is_home_meant(&self, key: Key) -> bool {
        self.files.get(&key).is_some_and(|file| self.globs.matches(&file.home))
    }
}
