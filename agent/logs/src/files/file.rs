//! One file that is followed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use telemetry::{LogBuffer, Timestamp};

use super::content::Content;
use super::disk::{Disk, Facts, FileId, Handle};
use super::place::{HEAD_BYTES, Head, Held, Place, Spot};
use super::reading::Reading;
use super::{FileState, FollowedFile};
use crate::Recorder;

/// Names a file within a follower; never used again.
pub(crate) type Key = u64;

/// Where a file is: its directory and its name in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    pub(crate) directory: Arc<Path>,
    pub(crate) name: OsString,
}

impl Location {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(crate) fn of(path: &Path) -> Option<Self> {
        Some(Self { directory: path.parent()?.into(), name: path.file_name()?.to_owned() })
    }
}

/// What is to be done before the first line is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// All of it is read, if it is no copy of what has been read.
    Fresh,
    /// What was there at this size is passed over.
    AtEnd(u64),
    /// A place is held against it, and reading begins at the offset.
    Placed(u64),
    /// All of it is read: it was truncated.
    Again,
    /// Nothing.
    Begun,
}

/// How far a file had been read when it was cut.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) spot: Spot,
    /// Its beginning, see [`keep_beginning`].
    pub(crate) begins: Vec<u8>,
    /// Where reading goes on in a copy.
    pub(crate) from: u64,
    /// Whether the copy that holds what was cut has been found, and is followed.
    pub(crate) is_followed: bool,
}

/// How many cuts of a file are remembered. A copy that was made before an older one is known by its age alone.
const MAX_PAST: usize = 8;

/// A file with its place.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct File<D: Disk> {
    pub(crate) id: FileId,
    /// The path under which it was begun, which its records bear.
    pub(crate) home: PathBuf,
    /// Where it is now; `None` when it has no name that is known.
    pub(crate) location: Option<Location>,
    pub(crate) reading: Reading,
    pub(crate) start: Start,
    /// Its beginning, see [`keep_beginning`] and [`File::forget_beginnings`].
    pub(crate) begins: Vec<u8>,
    pub(crate) content: Option<Content<D::File>>,
    pub(crate) handle: Option<D::File>,
    /// When it was used last, if it may be closed for others.
    pub(crate) used: Option<u64>,
    pub(crate) recorder: Option<Box<Recorder>>,
    /// As it was seen last.
    pub(crate) size: u64,
    pub(crate) modified: i64,
    /// Whether this process has seen it.
    pub(crate) is_seen: bool,
    /// Whether it was truncated before any of it was read.
    pub(crate) has_shrunk: bool,
    /// The sweep that saw it last.
    pub(crate) sweep: u64,
    pub(crate) is_queued: bool,
    /// It is read after this one.
    pub(crate) after: Option<Key>,
    /// It holds what that one held when it was looked at, so there is nothing to be read in it.
    pub(crate) copy_of: Option<Key>,
    /// Whether there was a copy of it, so that it may be cut.
    pub(crate) has_copies: bool,
    pub(crate) was_cut: bool,
    /// Up to where it was read before each of its cuts, and up to where copies that are gone were read; the last ones.
    pub(crate) past: VecDeque<Past>,
    /// It may be read though it is packed: what is in it was missed.
    pub(crate) may_be_packed: bool,
    /// Whether it has had another name than `home`, or none.
    pub(crate) has_moved: bool,
    pub(crate) is_deleted: bool,
    /// All of it is records, also what has no line end.
    pub(crate) is_over: bool,
    /// When it grew last, or lost its name.
    pub(crate) quiet_since: Timestamp,
    /// When it was read last.
    pub(crate) read_at: Timestamp,
    pub(crate) is_unsettled: bool,
    pub(crate) is_saved: bool,
    pub(crate) trouble: Option<String>,
}

/// Keeps in `begins` the first bytes of `content`, as many as the print `head` is of: a copy may be shorter than that.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn keep_beginning<H: Handle>(
    begins: &mut Vec<u8>,
    content: &mut Content<H>,
    head: Head,
) -> io::Result<()> {
    if begins.len() != head.len {
        begins.resize(head.len, 0);
        let read = content.read_at(begins, 0)?;
        if !head.is_of(begins.get(..read).unwrap_or_default()) {
            begins.clear();
        }
    }
    Ok(())
}

/// How much a `content` that is shorter than what was kept of a beginning holds of what was read up to `spot`.
///
/// # Errors
///
/// It cannot be read.
pub(crate) fn held_by_short<H: Handle>(
    begins: &[u8],
    spot: &Spot,
    content: &mut Content<H>,
) -> io::Result<Held> {
    let mut bytes = vec![0; begins.len()];
    let read = content.read_at(&mut bytes, 0)?;
    if read == 0 || read >= begins.len() || begins.get(..read) != bytes.get(..read) {
        return Ok(Held::Nothing);
    }
    Ok(if read as u64 >= spot.offset { Held::All } else { Held::Beginning })
}

impl<D: Disk> File<D> {
    pub(crate) fn new(id: FileId, home: PathBuf, location: Option<Location>, start: Start) -> Self {
        Self {
            id,
            home,
            location,
            reading: Reading::default(),
            start,
            begins: Vec::new(),
            content: None,
            handle: None,
            used: None,
            recorder: None,
            size: 0,
            modified: 0,
            is_seen: false,
            has_shrunk: false,
            sweep: 0,
            is_queued: false,
            after: None,
            copy_of: None,
            has_copies: false,
            was_cut: false,
            past: VecDeque::new(),
            may_be_packed: false,
            has_moved: false,
            is_deleted: false,
            is_over: false,
            quiet_since: Timestamp::EPOCH,
            read_at: Timestamp::EPOCH,
            is_unsettled: false,
            is_saved: false,
            trouble: None,
        }
    }

    /// The file at a place that was saved; whether it is still there is seen later.
    pub(crate) fn at_place(id: FileId, place: Place) -> Self {
        let (home, path) = (PathBuf::from(place.home), PathBuf::from(place.path));
        let mut file = Self::new(id, home, Location::of(&path), Start::Placed(place.from));
        file.reading = Reading::at(place.spot);
        (file.size, file.modified) = (place.size, place.modified);
        file.may_be_packed = place.packed;
        file.has_moved = path != file.home;
        (file.is_over, file.was_cut) = (place.is_over, place.was_cut);
        file.quiet_since = place.seen;
        file.read_at = place.seen;
        file.is_saved = true;
        file
    }

    /// What is saved of it.
    pub(crate) fn place(&self, now: Timestamp) -> Place {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Place {
            path: self.location.as_ref().map(|at| text(&at.path())).unwrap_or_default(),
            home: text(&self.home),
            spot: match self.start {
                // It has not been opened: of what was there nothing is wanted.
                Start::AtEnd(size) => Spot { offset: size, is_unproven: true, ..Spot::default() },
                _ => self.reading.spot,
            },
            from: self.from(),
            size: self.size.max(self.reading.end),
            modified: self.modified,
            packed: self.may_be_packed,
            is_over: self.is_over,
            was_cut: self.was_cut,
            seen: if self.read_at == Timestamp::EPOCH { now } else { self.read_at },
        }
    }

    /// Where a restart begins.
    pub(crate) fn from(&self) -> u64 {
        match self.start {
            Start::Placed(from) => from,
            Start::AtEnd(size) => size,
            _ => {
                let held = self.recorder.as_ref().and_then(|recorder| recorder.holds_from());
                held.map_or(self.reading.spot.offset, |held| held.min(self.reading.spot.offset))
            }
        }
    }

    pub(crate) fn note(&mut self, facts: &Facts) {
        // Where nothing was read there is no byte that could tell.
        self.has_shrunk |= facts.size < self.size && self.reading.spot.offset == 0;
        (self.size, self.modified, self.is_seen) = (facts.size, facts.modified, true);
    }

    /// It was cut: what was read of it is in copies, if anywhere, and it is read from its beginning.
    pub(crate) fn begin_anew(&mut self) {
        let begins = std::mem::take(&mut self.begins);
        self.remember(Past { spot: self.reading.spot, begins, from: self.from(), is_followed: false });
        self.was_cut = true;
        self.reading = Reading::after_truncation();
        (self.start, self.is_over, self.may_be_packed) = (Start::Again, false, false);
    }

    /// Whether no line has been taken since it was cut.
    pub(crate) fn is_hardly_begun(&self) -> bool {
        self.start == Start::Begun && self.reading.spot.offset == 0 && (self.was_cut || self.has_copies)
    }

    /// Beginnings of many files would take much memory: of those that are closed, only short ones are kept.
    pub(crate) fn forget_beginnings(&mut self) {
        let past = self.past.iter_mut().map(|past| &mut past.begins);
        for begins in past.chain([&mut self.begins]).filter(|begins| begins.len() == HEAD_BYTES) {
            *begins = Vec::new();
        }
    }

    /// Remembers what a copy may hold.
    pub(crate) fn remember(&mut self, past: Past) {
        if past.spot.offset == 0 || past.spot.head.len == 0 {
            return;
        }
        if self.past.len() == MAX_PAST {
            self.past.pop_front();
        }
        self.past.iter_mut().for_each(|past| past.begins = Vec::new());
        self.past.push_back(past);
    }

    /// All of it has been read, elsewhere.
    pub(crate) fn pass_over(&mut self) {
        self.reading = Reading::at(Spot { offset: self.size, is_unproven: true, ..Spot::default() });
        (self.start, self.copy_of, self.is_over) = (Start::Placed(self.size), None, true);
    }

    /// Whether it will get no more lines but from writers that have not noticed yet.
    pub(crate) fn is_leaving(&self) -> bool {
        self.has_moved || self.location.is_none()
    }

    /// Whether all that is known to be in it has been read.
    pub(crate) fn is_read(&self) -> bool {
        let offset = match self.start {
            Start::AtEnd(size) => size,
            _ => self.reading.spot.offset,
        };
        self.is_over || self.size <= offset
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.start == Start::Fresh
    }

    /// Ends the records that wait for more.
    pub(crate) fn finish(&mut self, now: Timestamp, out: &mut LogBuffer) {
        if let Some(recorder) = &mut self.recorder {
            recorder.finish(now, out);
        }
    }

    /// What people are told of it.
    pub(crate) fn listed(&self) -> FollowedFile {
        let offset = match self.start {
            Start::AtEnd(size) => size,
            _ => self.reading.spot.offset,
        };
        let size = self.size.max(self.reading.end);
        let state = match (&self.trouble, self.copy_of) {
            (Some(trouble), _) => FileState::NotFollowed(trouble.clone()),
            (None, Some(_)) => FileState::NotFollowed("it is a copy of what has been read".to_owned()),
            (None, None) if self.is_deleted => FileState::Deleted,
            (None, None) if self.is_leaving() => FileState::Rotated,
            (None, None) => FileState::Following,
        };
        let path = self.location.as_ref().map_or_else(|| self.home.clone(), Location::path);
        let behind_bytes = match self.copy_of {
            None if !self.may_be_packed => size.saturating_sub(offset),
            _ => 0,
        };
        FollowedFile { path, state, offset, size, behind_bytes }
    }
}
