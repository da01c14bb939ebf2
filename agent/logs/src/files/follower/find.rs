//! Which files there are, under which names.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Directory, Follower, MAX_FILES, Refused};
use crate::StartAt;
use crate::files::disk::{Disk, Facts, Handle as _};
use crate::files::file::{File, Key, Location, Start};

/// How many directories the globs of one source lead through. Beyond, nothing is looked for.
const MAX_DIRECTORIES: usize = 8192;

/// How many names that were left are remembered of a directory. What came and went under others is missed.
const MAX_LEFT: usize = 1024;

impl<D: Disk> Follower<D> {
    /// Looks through all that the globs lead to.
    pub(super) fn sweep(&mut self) {
        self.sweeps += 1;
        (self.swept, self.must_sweep) = (self.now, false);
        self.must_save_sweep |= std::mem::take(&mut self.has_acted);
        self.changed.clear();
        let directories = self.walk();
        for directory in &directories {
            self.scan(directory);
        }
        let left: Vec<Arc<Path>> =
            self.directories.keys().filter(|path| !directories.contains(&***path)).cloned().collect();
        for directory in left {
            self.leave(&directory);
        }
        self.look_at_open();
    }

    /// The directories with files that may be meant. All on the way are watched.
    fn walk(&mut self) -> BTreeSet<PathBuf> {
        let Self { globs, disk, .. } = self;
        let mut on_the_way: BTreeSet<PathBuf> = BTreeSet::new();
        let mut with_files = BTreeSet::new();
        let mut below = |at: &Path| {
            let mut found = Vec::new();
            // Where it cannot be listed, `scan` says so.
            let _ = disk.scan(at, &mut |_, _, is_directory| is_directory, &mut found);
            found.into_iter().map(|(name, _)| at.join(name)).collect()
        };
        globs.walk(&mut below, &mut |directory, has_files| {
            if on_the_way.len() < MAX_DIRECTORIES {
                on_the_way.insert(directory.to_owned());
                if has_files {
                    with_files.insert(directory.to_owned());
                }
            }
        });
        for directory in &on_the_way {
            disk.watch(directory);
        }
        with_files
    }

    /// Looks at the names in one directory that are followed, or meant, or may be new names of what is followed.
    fn scan(&mut self, path: &Path) {
        let mut found = Vec::new();
        let known = self.directories.get(path);
        let Self { disk, globs, inodes, .. } = self;
        let mut want = |name: &OsStr, inode: u64, is_directory: bool| {
            !is_directory
                && (known.is_some_and(|known| known.names.contains_key(name))
                    || inodes.contains_key(&inode)
                    || globs.matches(&path.join(name)))
        };
        let scanned = disk.scan(path, &mut want, &mut found);
        let (path, _) = self.directory(path);
        for (name, facts) in found {
            self.observe(&path, &name, &facts);
        }
        let is_whole = match &scanned {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let (sweep, now) = (self.sweeps, self.now);
        let (_, directory) = self.directory(&path);
        directory.stock.begin(now);
        directory.trouble = scanned.err().map(|error| error.to_string());
        if !is_whole {
            return;
        }
        directory.refused.retain(|_, refused| refused.sweep == sweep);
        let keys: Vec<Key> = directory.names.values().copied().collect();
        for key in keys {
            if self.files.get(&key).is_some_and(|file| file.sweep != sweep) {
                self.unname(key);
            }
        }
    }

    pub(super) fn directory(&mut self, path: &Path) -> (Arc<Path>, &mut Directory) {
        let shared =
            self.directories.get_key_value(path).map_or_else(|| path.into(), |(path, _)| path.clone());
        let directory = self.directories.entry(Arc::clone(&shared)).or_default();
        (shared, directory)
    }

    /// No glob leads into the directory any more, or it is gone.
    fn leave(&mut self, path: &Arc<Path>) {
        let Some(directory) = self.directories.get(path) else { return };
        let names: Vec<OsString> = directory.names.keys().cloned().collect();
        for name in names {
            self.look(path, &name);
        }
        if self.directories.get(path).is_some_and(|directory| directory.names.is_empty()) {
            self.directories.remove(path);
        }
    }

    /// Files without a name of which nobody tells anything, those that could not be read, and copies: what they are copies of
    /// may have turned out to be another.
    fn look_at_open(&mut self) {
        let mut again = Vec::new();
        for (key, file) in &mut self.files {
            if let (None, Some(handle)) = (&file.location, &file.handle) {
                let Ok(facts) = handle.facts() else { continue };
                let has_grown = facts.size != file.reading.end;
                if has_grown || facts.names == 0 && !file.is_deleted {
                    file.is_deleted = facts.names == 0;
                    file.note(&facts);
                    again.push(*key);
                }
            } else if (file.trouble.is_some() || file.copy_of.is_some()) && file.location.is_some() {
                again.push(*key);
            }
        }
        for key in again {
            self.enqueue(key);
            self.waiting.insert(key);
        }
    }

    /// Looks at the names of which the kernel said that they changed.
    pub(super) fn look_at_changed(&mut self) {
        while let Some((directory, name)) = self.changed.pop_first() {
            self.look(&directory, &name);
        }
    }

    fn look(&mut self, directory: &Arc<Path>, name: &OsStr) {
        match self.disk.look(directory, name) {
            Ok(facts) => self.observe(directory, name, &facts),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let Some(known) = self.directories.get_mut(directory) else { return };
                known.refused.remove(name);
                if let Some(key) = known.names.get(name).copied() {
                    self.unname(key);
                }
            }
            // The sweep says why.
            Err(_) => {}
        }
    }

    /// The file of `facts` has the name now.
    fn observe(&mut self, directory: &Arc<Path>, name: &OsStr, facts: &Facts) {
        let here = self.directories.get(directory).and_then(|directory| directory.names.get(name)).copied();
        let sweep = self.sweeps;
        if let Some(key) = here {
            if let Some(file) = self.files.get_mut(&key).filter(|file| file.id == facts.id) {
                let has_changed = !file.is_seen || (file.size, file.modified) != (facts.size, facts.modified);
                file.sweep = sweep;
                file.note(facts);
                // A file of which nothing was read is known again by when it was written.
                let is_known_by_time = file.reading.spot.head.len == 0;
                if has_changed {
                    self.enqueue(key);
                }
                if has_changed && is_known_by_time {
                    self.unsettle(key);
                }
                return;
            }
            self.unname(key);
        }
        let location = Location { directory: directory.clone(), name: name.to_owned() };
        match self.by_id.get(&facts.id).copied() {
            Some(key) => self.rename(key, location, facts),
            None if self.globs.matches(&location.path()) => self.meet(location, facts),
            None => {}
        }
    }

    /// A file that is known has a name under which it was not known.
    pub(super) fn rename(&mut self, key: Key, location: Location, facts: &Facts) {
        let sweep = self.sweeps;
        if let Some(before) = self.files.get(&key).and_then(|file| file.location.clone()) {
            let there = self.disk.look(&before.directory, &before.name);
            if there.is_ok_and(|there| there.id == facts.id) {
                if let Some(file) = self.files.get_mut(&key) {
                    file.sweep = sweep;
                }
                if self.globs.matches(&location.path()) {
                    let reason = format!("it is another name of {}", before.path().display());
                    self.refuse(&location, facts, reason, false);
                }
                return;
            }
            self.unname(key);
        }
        self.name(key, location.clone());
        let Some(file) = self.files.get_mut(&key) else { return };
        file.is_deleted = false;
        file.sweep = sweep;
        file.note(facts);
        if location.path() != file.home {
            file.quiet_since = self.now;
            self.moved.push(key);
        }
        file.location = Some(location);
        self.may_close(key);
        self.waiting.insert(key);
        self.enqueue(key);
        self.unsettle(key);
    }

    /// A file that was not known has a name that is meant.
    fn meet(&mut self, location: Location, facts: &Facts) {
        let sweep = self.sweeps;
        let known = self.directories.get_mut(&location.directory);
        if let Some(refused) = known.and_then(|known| known.refused.get_mut(&location.name))
            && refused.id == facts.id
            && refused.is_packed
        {
            (refused.sweep, refused.size) = (sweep, facts.size);
            return;
        }
        if let Some(reason) = facts.refusal() {
            return self.refuse(&location, facts, reason.to_owned(), false);
        }
        if self.files.len() >= MAX_FILES {
            let reason = format!("{MAX_FILES} files are followed already; name fewer by `include`");
            return self.refuse(&location, facts, reason, false);
        }
        let is_old = self.is_first_sweep && self.is_first_start && self.options.start == StartAt::End;
        let start = if is_old { Start::AtEnd(facts.size) } else { Start::Fresh };
        self.adopt(location.path(), location, facts, start);
    }

    /// Follows a file from now on.
    pub(super) fn adopt(&mut self, home: PathBuf, location: Location, facts: &Facts, start: Start) -> Key {
        let mut file = File::new(facts.id, home, Some(location), start);
        file.note(facts);
        file.sweep = self.sweeps;
        file.quiet_since = self.now;
        let key = self.insert(file);
        self.enqueue(key);
        self.unsettle(key);
        key
    }

    pub(super) fn refuse(&mut self, location: &Location, facts: &Facts, reason: String, is_packed: bool) {
        let refused = Refused { id: facts.id, reason, size: facts.size, is_packed, sweep: self.sweeps };
        let (_, directory) = self.directory(&location.directory);
        directory.refused.insert(location.name.clone(), refused);
    }

    /// The file has lost its name; whether it has another one is looked for later.
    pub(super) fn unname(&mut self, key: Key) {
        let Some(file) = self.files.get_mut(&key) else { return };
        let Some(at) = file.location.take() else { return };
        file.quiet_since = self.now;
        if let Some(used) = file.used.take() {
            self.idle.remove(&used);
        }
        if let Some(directory) = self.directories.get_mut(&at.directory)
            && directory.names.get(&at.name) == Some(&key)
        {
            directory.names.remove(&at.name);
            if directory.left.len() == MAX_LEFT {
                directory.left.pop_first();
            }
            directory.left.insert(at.name.clone());
        }
        self.stirred.insert(at.directory.clone());
        // Another file may have the name.
        self.changed.insert((at.directory, at.name));
        self.nameless.push(key);
    }
}
