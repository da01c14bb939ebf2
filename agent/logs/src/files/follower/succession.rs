//! What follows when a file loses its name or its content.
//!
//! A rotation may have happened more than once since anyone looked, while the agent was down or had no time, and the copies
//! may be packed by now. So the place is looked for among the names that rotation gives; what is younger than where it is
//! found, and not known, is read whole in the order of its age, and then what has the name now.

use std::path::Path;

use super::Follower;
use crate::files::content::Content;
use crate::files::disk::{Disk, Facts, Handle as _};
use crate::files::file::{File, Key, Location, Start};
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
        let (Some(directory), inode, id) = (file.home.parent(), file.id.inode, file.id) else { return false };
        let directory = directory.to_owned();
        let mut found = Vec::new();
        let _ = self.disk.scan(&directory, &mut |_, other, _| other == inode, &mut found);
        for (name, facts) in found {
            if facts.id == id {
                let (directory, _) = self.directory(&directory);
                self.rename(key, Location { directory, name }, &facts);
            }
        }
        self.files.get(&key).is_some_and(|file| file.location.is_some())
    }

    /// The file has left its home for the first time: what was there between it and what is there now is read as well.
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
        let Some(file) = self.files.get(&key) else { return };
        let (home, spot) = (file.home.clone(), file.reading.spot);
        let name =
            file.location.as_ref().filter(|at| home.parent() == Some(&*at.directory)).map(|at| &at.name);
        let has_name = name.is_some();
        let home_name = home.file_name().unwrap_or_default();
        let age = Age::of(home_name, name.map_or(home_name, |name| name), file.modified);
        let between = match name {
            Some(_) if age.is_youngest() => Vec::new(),
            _ => {
                let siblings = self.siblings(&home);
                let younger = |sibling: &Sibling| Self::age(&home, sibling).is_younger_than(&age);
                siblings.into_iter().filter(younger).collect()
            }
        };
        // Many files begin with the same half of a line; what was packed has no name of its own any more.
        let can_tell = spot.offset > 0 || !has_name;
        let between = between.into_iter().filter(|it| !(can_tell && self.holds(it, &spot))).collect();
        self.read_in_order(key, between, &home);
    }

    /// The file is not there any more under its identity: its content is looked for.
    fn search(&mut self, key: Key) {
        let Some(file) = self.files.get(&key) else { return };
        if !self.is_home_meant(key) || file.copy_of.is_some() {
            return self.remove(key);
        }
        let (home, spot, from, is_read) = (file.home.clone(), file.reading.spot, file.from(), file.is_read());
        let (has_moved, is_seen, modified) = (file.has_moved, file.is_seen, file.modified);
        let (is_empty, is_known) = (file.size == 0, spot.head.len > 0);
        // What has not been read is known by when it was written, which a packed copy keeps.
        let seen = if is_known { file.read_at.as_nanos() } else { modified - i64::from(!is_empty) };
        if file.is_over || has_moved && is_read && !is_known {
            return self.remove(key);
        }
        let siblings = self.siblings(&home);
        let siblings = if is_known { siblings } else { self.unclaimed(siblings, &home) };
        let mut is_same = |sibling: &Sibling| {
            if is_known {
                self.holds(sibling, &spot)
            } else {
                !is_empty && sibling.facts.modified >= modified
            }
        };
        let found = siblings.iter().find(|sibling| is_same(sibling)).cloned();
        let younger = |sibling: &Sibling| match &found {
            Some(found) => Self::age(&home, sibling).is_younger_than(&Self::age(&home, found)),
            None => sibling.facts.modified > seen,
        };
        let between: Vec<Sibling> =
            if has_moved { Vec::new() } else { siblings.iter().filter(|it| younger(it)).cloned().collect() };
        let last = if let Some(found) = found {
            Some(self.adopt_at(&found, &home, spot, from))
        } else {
            if !(is_read && (is_seen || has_moved)) {
                self.counts.lose("rotated_away");
            }
            None
        };
        self.remove(key);
        self.read_in_order(last.unwrap_or_default(), between, &home);
    }

    /// Those that are no packed copies of files which are open still.
    fn unclaimed(&mut self, siblings: Vec<Sibling>, home: &Path) -> Vec<Sibling> {
        let is_open = |file: &&File<D>| file.location.is_none() && file.handle.is_some() && file.home == home;
        let spots: Vec<Spot> = self.files.values().filter(is_open).map(|file| file.reading.spot).collect();
        let mut is_claimed = |sibling: &Sibling| spots.iter().any(|spot| self.holds(sibling, spot));
        siblings.into_iter().filter(|sibling| !is_claimed(sibling)).collect()
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

    /// Has `between` read in its order after `first`, and then what is called `home` now, if it is new.
    fn read_in_order(&mut self, first: Key, between: Vec<Sibling>, home: &Path) {
        let mut last = first;
        for sibling in between {
            let key = self.adopt_whole(&sibling, home);
            self.read_after(key, last);
            last = key;
        }
        let Some(at) = Location::of(home) else { return };
        let now = self.directories.get(&at.directory).and_then(|directory| directory.names.get(&at.name));
        if let Some(key) = now.copied() {
            self.read_after(key, last);
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
        let is_unread = |facts: &Facts| {
            let known = self.by_id.get(&facts.id).and_then(|key| self.files.get(key));
            facts.refusal().is_none() && known.is_none_or(File::is_fresh)
        };
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
        let at = &sibling.location;
        let Ok((handle, facts)) = self.disk.open(&at.directory, &at.name) else { return false };
        if facts.id != sibling.facts.id {
            return false;
        }
        Content::of(&handle).and_then(|mut content| spot.is_in(&mut content)).unwrap_or(false)
    }

    fn is_home_meant(&self, key: Key) -> bool {
        self.files.get(&key).is_some_and(|file| self.globs.matches(&file.home))
    }
}
