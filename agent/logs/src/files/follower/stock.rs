//! What came under rotated names since a directory was looked at last, and is followed by nobody.
//!
//! Rotations may follow each other faster than anyone looks: a generation is made, written, rotated, copied or packed, and no
//! name or identity that is known leads to it. So whenever names in a directory change, its rotated files that are new and were
//! written since are held against all that was read; what nobody has read is read then.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt as _};
use telemetry::{LogBuffer, Timestamp};

use super::copies::{Verdict, is_of_the_same};
use super::places::Before;
use super::succession::Sibling;
use super::{Follower, SWEEP_EVERY};
use crate::files::content::Content;
use crate::files::disk::{Disk, Facts, FileId};
use crate::files::file::{File, Key, Location, Start};
use crate::files::place::{HEAD_BYTES, Held, Spot};
use crate::files::siblings::{before_packing, origin};

/// A listing may miss what is renamed meanwhile, and the kernel may not tell of it: what was written so shortly before a look is
/// still news at the next one.
const MARGIN: Duration = SWEEP_EVERY;

/// What some programs that pack cut off the time, in nanoseconds.
pub(super) const SECOND: i64 = 1_000_000_000;

/// How long what was read of a file that is gone is remembered: whoever packs it has written the copy before.
const REMEMBERED: Duration = Duration::from_mins(1);

/// How many such are remembered, of all files. Then the oldest are forgotten, and their copies read again.
const MAX_GONE: usize = 4096;

const fn before(now: Timestamp) -> i64 {
    now.as_nanos() - MARGIN.as_nanos() as i64
}

/// What is known of the rotated files in a directory.
#[derive(Debug)]
pub(super) struct Stock {
    /// What was written last before, in nanoseconds since the epoch, is no news.
    since: i64,
    /// What may be news later though it was written before, and until which file has been read to its end.
    open: HashMap<FileId, Option<(Facts, Key)>>,
    /// What is not followed and need not be, with its size and when it was written last.
    settled: HashMap<FileId, (u64, i64)>,
}

impl Default for Stock {
    fn default() -> Self {
        Self { since: i64::MAX, open: HashMap::new(), settled: HashMap::new() }
    }
}

impl Stock {
    pub(super) fn is_settled(&self, facts: &Facts) -> bool {
        self.settled.get(&facts.id) == Some(&(facts.size, facts.modified))
    }

    pub(super) fn is_news(&self, facts: &Facts) -> bool {
        // Only its second may have been kept.
        let kept = if facts.modified % SECOND == 0 { SECOND - 1 } else { 0 };
        !self.is_settled(facts) && (facts.modified + kept > self.since || self.open.contains_key(&facts.id))
    }

    pub(super) fn settle(&mut self, facts: &Facts) {
        self.settled.insert(facts.id, (facts.size, facts.modified));
        self.open.remove(&facts.id);
    }

    pub(super) fn keep_open(&mut self, facts: &Facts, until: Option<Key>) {
        self.open.insert(facts.id, until.map(|until| (*facts, until)));
    }

    /// It is followed from now on.
    pub(super) fn close(&mut self, facts: &Facts) {
        self.open.remove(&facts.id);
    }

    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = FileId> {
        self.open.keys().copied()
    }

    /// The file has been read to its end: so has what was made of it.
    fn settle_all_of(&mut self, read: Key) {
        let made = self.open.values().flatten().filter(|(_, until)| *until == read);
        let made: Vec<Facts> = made.map(|(facts, _)| *facts).collect();
        for facts in made {
            self.settle(&facts);
        }
    }

    fn looked_at(&mut self, look: &Look, now: Timestamp) {
        self.settled.retain(|id, _| look.there.contains(id));
        self.open.retain(|id, _| look.there.contains(id));
        // A clock that was ahead is put right.
        self.since = self.since.min(now.as_nanos()).max(before(now));
    }

    /// A directory was found: what was written in it since everything was swept last is news.
    pub(super) fn begin(&mut self, now: Timestamp) {
        if self.since == i64::MAX {
            self.since = before(now);
        }
    }
}

/// What a look at a directory found.
#[derive(Debug, Default)]
struct Look {
    /// Those that are followed under a name of which there are rotated files with news.
    homes: BTreeSet<Key>,
    /// Rotated files with news of a name that nobody has now, with that name.
    orphans: Vec<(OsString, Sibling)>,
    /// All rotated files.
    there: HashSet<FileId>,
}

/// How far a file had been read that is gone.
#[derive(Debug)]
pub(super) struct Gone {
    home: Arc<Path>,
    spot: Spot,
    /// When it was written last, in nanoseconds since the epoch, if all of it was read.
    modified: Option<i64>,
    at: Timestamp,
}

impl<D: Disk> Follower<D> {
    /// The rotated files there are before anything is followed are history; not what came since all was swept last.
    pub(super) fn begin_stock(&mut self, before: Option<&Before>) {
        self.stirred.clear();
        for (path, directory) in &mut self.directories {
            directory.stock.since = before.map_or(self.now, |before| before.swept.min(self.now)).as_nanos();
            if let Some(before) = before {
                directory.stock.open = before.open.iter().map(|id| (*id, None)).collect();
                self.stirred.insert(path.clone());
            }
        }
    }

    /// Looks for what is new in directories whose names have changed.
    pub(super) fn take_stock(&mut self, out: &mut LogBuffer) {
        for directory in std::mem::take(&mut self.stirred) {
            self.must_save_sweep = true;
            let Some(look) = self.look_for_news(&directory) else { continue };
            for key in &look.homes {
                if self.is_cut(*key) {
                    self.replaced(*key, out);
                } else {
                    self.take_missed(*key);
                }
            }
            for (left, sibling) in &look.orphans {
                self.keep_orphan(&directory.join(left), sibling);
            }
            let now = self.now;
            if let Some(known) = self.directories.get_mut(&directory) {
                known.stock.looked_at(&look, now);
            }
        }
        while self.gone.front().is_some_and(|gone| self.now.since(gone.at) > REMEMBERED) {
            self.gone.pop_front();
        }
    }

    /// Nothing where it cannot be told.
    fn look_for_news(&mut self, path: &Arc<Path>) -> Option<Look> {
        let Self { disk, directories, .. } = self;
        let known = directories.get(path)?;
        let mut found = Vec::new();
        let mut want = |name: &OsStr, _, is_directory: bool| !is_directory && known.is_rotated(name);
        disk.scan(path, &mut want, &mut found).ok()?;
        let mut look = Look { there: found.iter().map(|(_, facts)| facts.id).collect(), ..Look::default() };
        found.retain(|(_, facts)| facts.size > 0 && known.stock.is_news(facts));
        let known = self.directories.get(path)?;
        for (name, facts) in found {
            if !self.is_fresh(facts.id) {
                continue;
            }
            let original = known.original_of(&name).and_then(|key| self.files.get(&key));
            let home = original.and_then(|file| known.names.get(file.home.file_name()?));
            if let Some(home) = home {
                look.homes.insert(*home);
            } else if let Some(left) = origin(&name, |home| known.left.get(home).cloned()) {
                let location = Location { directory: path.clone(), name };
                look.orphans.push((left, Sibling { location, facts }));
            }
        }
        Some(look)
    }

    /// Whether nobody follows the file, or nothing of it has been read.
    pub(super) fn is_fresh(&self, id: FileId) -> bool {
        self.by_id.get(&id).and_then(|key| self.files.get(key)).is_none_or(File::is_fresh)
    }

    /// Nobody has the name of which rotation made the file: if it was not read, it will be once somebody has.
    fn keep_orphan(&mut self, home: &Path, sibling: &Sibling) {
        let Some(handle) = self.open_sibling(sibling) else { return };
        let made = Content::of(&handle).and_then(|mut content| {
            if content.is_packed() { self.made_of(home, &sibling.facts, &mut content) } else { Ok(None) }
        });
        let (_, directory) = self.directory(&sibling.location.directory);
        match made {
            Ok(Some(Verdict::Read)) => directory.stock.settle(&sibling.facts),
            Ok(Some(Verdict::Pending(until))) => directory.stock.keep_open(&sibling.facts, Some(until)),
            _ => directory.stock.keep_open(&sibling.facts, None),
        }
    }

    /// Whether what was read of the file is not in it any more.
    fn is_cut(&mut self, key: Key) -> bool {
        let Some(file) = self.files.get(&key).filter(|file| file.start == Start::Begun) else { return false };
        let spot = file.reading.spot;
        if spot.head.len == 0 || spot.is_unproven {
            return false;
        }
        let Some(handle) = self.handle_of(key) else { return false };
        spot.held_by(&mut Content::Plain(handle)).is_ok_and(|held| held != Held::All)
    }

    /// What is known of the rotated files beside the file's home.
    pub(super) fn stock_of(&self, key: Key) -> Option<&Stock> {
        let home = self.files.get(&key)?.home.parent()?;
        Some(&self.directories.get(home)?.stock)
    }

    /// The rotated file of which packing is making this one, if that is still there, and nothing if nobody follows it: then it will
    /// be judged itself, or is history.
    #[expect(clippy::option_option, reason = "it is not there; it is, and nobody follows it")]
    pub(super) fn packed_from(&mut self, sibling: &Sibling) -> Option<Option<Key>> {
        let at = &sibling.location;
        let is_rotated =
            |name: &&OsStr| self.directories.get(&at.directory).is_some_and(|known| known.is_rotated(name));
        let plain = before_packing(&at.name).filter(is_rotated)?;
        let facts = self.disk.look(&at.directory, plain).ok()?;
        Some(self.by_id.get(&facts.id).copied())
    }

    /// Whether the packed `content` was made of what is followed or gone: it begins alike, and keeps when that was written.
    pub(super) fn made_of(
        &self,
        home: &Path,
        facts: &Facts,
        content: &mut Content<D::File>,
    ) -> io::Result<Option<Verdict>> {
        let mut bytes = [0; HEAD_BYTES];
        let read = content.read_at(&mut bytes, 0)?;
        let head = bytes.get(..read).unwrap_or_default();
        let is_it = |modified, spot: &Spot| {
            let is_proven = spot.head.len > 0 && !spot.is_unproven && spot.head.is_of(head);
            is_proven && is_kept(modified, facts.modified)
        };
        let mut gone = self.gone.iter().filter(|gone| *gone.home == *home);
        if gone.any(|gone| gone.modified.is_some_and(|modified| is_it(modified, &gone.spot))) {
            return Ok(Some(Verdict::Read));
        }
        let mut others =
            self.files.iter().filter(|(_, file)| file.id != facts.id && is_of_the_same(home, &file.home));
        let found = others.find(|(_, file)| is_it(file.modified, &file.reading.spot));
        Ok(found.map(|(key, file)| if file.is_read() { Verdict::Read } else { Verdict::Pending(*key) }))
    }

    /// A file is gone: what was packed of it begins with what has been read.
    pub(super) fn remember_gone(&mut self, key: Key, file: &File<D>) {
        let directory = file.home.parent().and_then(|directory| self.directories.get_mut(directory));
        if let Some(directory) = directory.filter(|_| file.is_over) {
            directory.stock.settle_all_of(key);
        }
        let spot = file.reading.spot;
        if spot.offset == 0 || spot.head.len == 0 || spot.is_unproven {
            return;
        }
        if self.gone.len() == MAX_GONE {
            self.gone.pop_front();
        }
        let modified = file.is_read().then_some(file.modified);
        self.gone.push_back(Gone { home: file.home.as_path().into(), spot, modified, at: self.now });
    }

    /// How far files of the same name were read that are gone.
    pub(super) fn gone_from<'a>(&'a self, home: &'a Path) -> impl Iterator<Item = Spot> + 'a {
        self.gone.iter().filter(move |gone| *gone.home == *home).map(|gone| gone.spot)
    }
}

/// Whether a packed copy that was written at `copy`, in nanoseconds since the epoch, may be of what was written at `original`:
/// packing keeps the time, but some programs only its seconds or microseconds.
pub(super) fn is_kept(original: i64, copy: i64) -> bool {
    [1, 1000, SECOND].iter().any(|unit| original.div_euclid(*unit) * unit == copy)
}
