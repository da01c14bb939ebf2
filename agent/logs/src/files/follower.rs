//! All files of a source: which is read next, and what of each is saved.
//!
//! Files that changed stand in a queue and are read in turns of one buffer each, so that one that grows fast does not keep
//! the others from being read. What is looked at otherwise: the names of which the kernel said that they changed, and every
//! few seconds everything, for what it did not say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt as _};
use serde::{Deserialize, Serialize};
use telemetry::{AttributeValue, Attributes, LogBuffer, LogGroup, Timestamp};

use super::FilesOptions;
use super::disk::{Change, Disk, FileId, Handle as _};
use super::file::{File, Key, keep_beginning};
use super::globs::{GlobError, Globs};
use super::place::{self, Place};
use super::reading::{Limits, READ_BYTES, Turn};
use crate::{FollowedFile, Positions, Ready, Recorder, SourceFigures};

mod copies;
mod find;
mod open;
mod succession;

/// How often everything is looked through for what the kernel did not tell.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How long a file without its name must not have grown before its end is taken for one.
const QUIET: Duration = Duration::from_secs(5);

/// How long to wait when every file that has something waits for another one.
const BLOCKED: Duration = Duration::from_millis(500);

/// How many files one source follows. More are listed as not followed.
const MAX_FILES: usize = 32_768;

/// How many bytes are read in one call for each that is wanted: lines may be left out, and the call must still end.
const READ_FOR_EACH: u64 = 8;

/// A directory with files that are followed or might be.
#[derive(Debug, Default)]
pub(super) struct Directory {
    names: HashMap<OsString, Key>,
    refused: BTreeMap<OsString, Refused>,
    trouble: Option<String>,
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

/// Counters since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    figures: SourceFigures,
    lost: BTreeMap<&'static str, u64>,
}

/// Saved once a source has been started: what it finds from then on is read whole.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    begun: Timestamp,
}

/// Follows the files of one source.
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
    swept: Timestamp,
    must_sweep: bool,
    sweeps: u64,
    /// When the source was started for the very first time, until that is saved.
    begun: Option<Timestamp>,
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
            swept: now,
            must_sweep: false,
            sweeps: 0,
            begun: None,
            is_first_sweep: true,
            resources: Vec::new(),
            counts: Counts::default(),
            buffer: Vec::new(),
            now,
            options,
        };
        follower.restore(positions);
        follower.sweep();
        follower.is_first_sweep = false;
        Ok(follower)
    }

    fn restore(&mut self, positions: &Positions) {
        let prefix = format!("files/{}/", self.options.name);
        let keys: Vec<&str> = positions.keys(&prefix).collect();
        for key in keys {
            let id = key.strip_prefix(&prefix).and_then(place::id_of);
            if let (Some(id), Some(place)) = (id, positions.get::<Place>(key)) {
                let is_nameless = place.path.is_empty();
                let file = self.insert(File::at_place(id, place));
                self.enqueue(file);
                if is_nameless {
                    self.nameless.push(file);
                }
            }
        }
        if positions.get::<Begun>(&self.marker()).is_none() {
            self.begun = Some(self.now);
        }
    }

    fn marker(&self) -> String {
        format!("files/{}", self.options.name)
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
        self.wake_waiting(out);
        let ready = self.take_turns(out, max_bytes);
        if self.buffer.len() > READ_BYTES {
            self.buffer = Vec::new();
        }
        ready
    }

    fn hear(&mut self) {
        let Self { disk, directories, files, queue, changed, must_sweep, .. } = self;
        disk.changes(&mut |change| match change {
            Change::Written(directory, name) => {
                let Some((directory, known)) = directories.get_key_value(directory) else { return };
                let file = known.names.get(name).and_then(|key| Some((*key, files.get_mut(key)?)));
                if let Some((key, file)) = file {
                    if !file.is_queued {
                        file.is_queued = true;
                        queue.push_back(key);
                    }
                } else if known.refused.get(name).is_some_and(|refused| !refused.is_packed) {
                    // By now it may be another file; a name that never was meant is not.
                    changed.insert((directory.clone(), name.to_owned()));
                }
            }
            Change::Named(directory, name) => {
                if let Some((directory, _)) = directories.get_key_value(directory) {
                    changed.insert((directory.clone(), name.to_owned()));
                }
            }
            Change::Anything => *must_sweep = true,
        });
    }

    fn take_turns(&mut self, out: &mut LogBuffer, max_bytes: usize) -> Ready {
        let limit = self.counts.figures.bytes + READ_FOR_EACH * (max_bytes.max(READ_BYTES) as u64);
        let mut passed = 0;
        while out.size_bytes() < max_bytes && self.counts.figures.bytes < limit {
            if passed >= self.queue.len() {
                return Ready::CaughtUp;
            }
            let Some(key) = self.queue.pop_front() else { break };
            match self.turn(key, out, max_bytes) {
                Next::Later => passed += 1,
                Next::Again => passed = 0,
                Next::Done => {
                    passed = 0;
                    if let Some(file) = self.files.get_mut(&key) {
                        file.is_queued = false;
                    }
                    continue;
                }
            }
            self.queue.push_back(key);
        }
        if self.queue.is_empty() { Ready::CaughtUp } else { Ready::More }
    }

    /// Lets one file read as much as fits the buffer.
    fn turn(&mut self, key: Key, out: &mut LogBuffer, max_bytes: usize) -> Next {
        let Some(file) = self.files.get(&key) else { return Next::Done };
        if file.after.is_some_and(|after| self.files.get(&after).is_some_and(|after| after.is_queued)) {
            return Next::Later;
        }
        match self.make_ready(key, out) {
            Ok(None) => {}
            Ok(Some(next)) => return next,
            Err(error) => return self.fail(key, &error),
        }
        match self.read(key, out, max_bytes) {
            Ok(Turn::More) => Next::Again,
            Ok(Turn::CaughtUp) => Next::Done,
            Ok(Turn::Replaced) => {
                self.replaced(key, out);
                Next::Again
            }
            Err(error) => self.fail(key, &error),
        }
    }

    fn read(&mut self, key: Key, out: &mut LogBuffer, max_bytes: usize) -> io::Result<Turn> {
        let now = self.now;
        let group = self.files.get(&key).filter(|file| file.recorder.is_none()).map(|file| file.home.clone());
        let group = group.map(|home| self.group_of(&home));
        let recorder = group.map(|group| Box::new(Recorder::new(&self.options.record, group)));
        let Some(file) = self.files.get_mut(&key) else { return Ok(Turn::CaughtUp) };
        if recorder.is_some() {
            file.recorder = recorder;
        }
        let is_last = file.is_at_its_end(now);
        let limits = Limits { line_bytes: self.options.max_line_bytes, is_last };
        let (Some(content), Some(recorder)) = (&mut file.content, &mut file.recorder) else {
            return Ok(Turn::CaughtUp);
        };
        let (before, end) = (file.reading.spot, file.reading.end);
        let mut cut = 0;
        let turn = file.reading.turn(content, &mut self.buffer, limits, &mut |line| {
            cut += u64::from(line.is_cut);
            recorder.line(line.text, line.begins_at, line.is_cut, now, out);
            out.size_bytes() < max_bytes
        })?;
        self.counts.figures.truncated += cut;
        self.counts.figures.bytes += file.reading.spot.offset - before.offset;
        if turn == Turn::Replaced {
            return Ok(turn);
        }
        file.trouble = None;
        file.read_at = now;
        if !content.is_packed() {
            keep_beginning(&mut file.begins, content, file.reading.spot.head)?;
            file.size = file.reading.end;
        }
        if file.reading.end != end {
            (file.quiet_since, file.is_over) = (now, false);
        }
        if turn == Turn::CaughtUp && is_last && !file.is_over {
            recorder.finish(now, out);
            file.is_over = true;
        }
        self.counts.add(recorder);
        if recorder.next_flush(now).is_some() || file.is_leaving() && !file.is_over {
            self.waiting.insert(key);
        }
        if file.reading.spot != before || file.is_over {
            self.unsettle(key);
        }
        Ok(turn)
    }

    fn fail(&mut self, key: Key, error: &io::Error) -> Next {
        if let Some(file) = self.files.get_mut(&key) {
            // What is damaged stays so; a packed copy that is still being written is tried again by the sweep.
            if file.trouble.is_none() && file.may_be_packed && error.kind() != io::ErrorKind::UnexpectedEof {
                self.counts.lose("damaged");
            }
            file.trouble = Some(error.to_string());
        }
        self.close(key);
        Next::Done
    }

    /// Ends what has waited long enough.
    fn wake_waiting(&mut self, out: &mut LogBuffer) {
        for key in std::mem::take(&mut self.waiting) {
            let Some(file) = self.files.get_mut(&key) else { continue };
            let mut waits = false;
            if let Some(recorder) = &mut file.recorder {
                if recorder.next_flush(self.now).is_some_and(|wait| wait.is_zero()) {
                    recorder.flush(self.now, out);
                    self.counts.add(recorder);
                }
                waits = recorder.next_flush(self.now).is_some();
            }
            let is_leaving = file.is_leaving() && !file.is_over;
            if is_leaving && self.now.since(file.quiet_since) >= QUIET {
                self.enqueue(key);
            }
            if waits || is_leaving {
                self.waiting.insert(key);
            }
            self.unsettle(key);
        }
    }

    /// How long after `now` something is due.
    pub(crate) fn next_look(&self, now: Timestamp) -> Duration {
        if self.must_sweep || !self.changed.is_empty() {
            return Duration::ZERO;
        }
        let until = |due: Timestamp| due.since(now);
        let mut next = until(self.swept.plus(SWEEP_EVERY));
        if !self.queue.is_empty() {
            next = next.min(BLOCKED);
        }
        for file in self.waiting.iter().filter_map(|key| self.files.get(key)) {
            if let Some(wait) = file.recorder.as_ref().and_then(|recorder| recorder.next_flush(now)) {
                next = next.min(wait);
            }
            if file.is_leaving() && !file.is_over && !file.is_queued {
                next = next.min(until(file.quiet_since.plus(QUIET)));
            }
        }
        next
    }

    /// All that was appended is durable.
    pub(crate) fn settle(&mut self, positions: &mut Positions) {
        if let Some(begun) = self.begun.take() {
            positions.set(&self.marker(), &Begun { begun });
        }
        let name = self.options.name.clone();
        let key_of = |id: FileId| format!("files/{name}/{}", place::key(id));
        for id in std::mem::take(&mut self.forgotten) {
            if !self.by_id.contains_key(&id) {
                positions.remove(&key_of(id));
            }
        }
        let mut unsettled = std::mem::take(&mut self.unsettled);
        // A torn write must not lose that a file is to be read while it keeps that the one before has been.
        unsettled.sort_by_key(|key| self.files.get(key).is_some_and(|file| file.is_saved));
        for key in unsettled {
            let Some(file) = self.files.get_mut(&key) else { continue };
            file.is_unsettled = false;
            if file.copy_of.is_some() {
                // It is judged anew after a restart.
                positions.remove(&key_of(file.id));
                continue;
            }
            file.is_saved = true;
            if file.is_over && file.is_deleted {
                positions.remove(&key_of(file.id));
                self.remove(key);
                continue;
            }
            positions.set(&key_of(file.id), &file.place(self.now));
            if file.is_over && file.may_be_packed {
                self.close(key);
            }
        }
    }

    /// What it has done, and how far behind it is.
    pub(crate) fn figures(&self) -> SourceFigures {
        let mut figures = self.counts.figures.clone();
        figures.lost = self.counts.lost.iter().map(|(reason, count)| (*reason, *count)).collect();
        figures.files = self.files.len() as u64;
        figures.behind_bytes = self.files.values().map(|file| file.listed().behind_bytes).sum();
        figures
    }

    /// What it follows and what it does not, by path.
    pub(crate) fn listing(&self) -> Vec<FollowedFile> {
        let mut listing: Vec<FollowedFile> = self.files.values().map(File::listed).collect();
        for (path, directory) in &self.directories {
            let refused = directory.refused.iter();
            listing.extend(refused.map(|(name, refused)| {
                FollowedFile::refused(path.join(name), refused.reason.clone(), refused.size)
            }));
            let trouble = directory.trouble.clone();
            listing.extend(trouble.map(|reason| FollowedFile::refused(path.to_path_buf(), reason, 0)));
        }
        listing.sort_by(|left, right| left.path.cmp(&right.path));
        listing
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
        if let Some(at) = &file.location {
            let directory = self.directories.entry(at.directory.clone()).or_default();
            directory.refused.remove(&at.name);
            directory.names.insert(at.name.clone(), key);
        }
        self.files.insert(key, file);
        key
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
        self.remember_copy(&file);
        self.forgotten.push(file.id);
    }

    /// What the records of the file begun at `home` have in common.
    fn group_of(&mut self, home: &Path) -> LogGroup {
        let text = |text: &OsStr| AttributeValue::Text(text.to_string_lossy().into_owned());
        let mut shared = Attributes::new();
        shared.push(("log.file.name".to_owned(), text(home.file_name().unwrap_or_default())));
        if self.options.file_path_attribute {
            shared.push(("log.file.path".to_owned(), text(home.as_os_str())));
        }
        let attributes = self.options.resource.attributes(home);
        LogGroup {
            source: self.options.name.clone(),
            resource: self.shared_resource(attributes),
            shared: Arc::new(shared),
        }
    }

    /// Files with the same resource share it, so that it is sent once for all that is read from them in a row.
    fn shared_resource(&mut self, attributes: Attributes) -> Arc<Attributes> {
        /// How many resources are remembered; beyond, the oldest are made anew.
        const RESOURCES: usize = 64;
        if let Some(known) = self.resources.iter().find(|known| ***known == attributes) {
            return known.clone();
        }
        if self.resources.len() >= RESOURCES {
            self.resources.remove(0);
        }
        let new = Arc::new(attributes);
        self.resources.push(new.clone());
        new
    }
}

impl<D: Disk> File<D> {
    /// Whether what has no line end is a line: nothing was added for a while, and nothing is now.
    fn is_at_its_end(&self, now: Timestamp) -> bool {
        if self.may_be_packed && self.content.as_ref().is_some_and(super::content::Content::is_packed) {
            return true;
        }
        let is_quiet = self.is_leaving() && now.since(self.quiet_since) >= QUIET;
        let size = || self.handle.as_ref().and_then(|handle| handle.facts().ok()).map(|facts| facts.size);
        is_quiet && size() == Some(self.reading.end)
    }
}

/// What becomes of a file after its turn.
enum Next {
    /// It has more.
    Again,
    /// It cannot be read before another one.
    Later,
    /// It has nothing more, or cannot be read.
    Done,
}

impl Counts {
    pub(super) fn lose(&mut self, reason: &'static str) {
        *self.lost.entry(reason).or_default() += 1;
    }

    fn add(&mut self, recorder: &mut Recorder) {
        let new = recorder.take_figures();
        self.figures.records += new.records;
        self.figures.truncated += new.split;
        self.figures.unparsed += new.unparsed;
        self.figures.left_out += new.left_out;
        self.figures.invalid_utf8 += new.invalid_utf8;
    }
}

#[cfg(test)]
mod tests;
