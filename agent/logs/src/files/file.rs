//! One file that is followed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use telemetry::{LogBuffer, Timestamp};

use super::content::Content;
use super::disk::{Disk, Facts, FileId};
use super::place::{Place, Spot};
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

impl<D: Disk> File<D> {
    pub(crate) fn new(id: FileId, home: PathBuf, location: Option<Location>, start: Start) -> Self {
        Self {
            id,
            home,
            location,
            reading: Reading::default(),
            start,
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
        file.is_over = place.is_over;
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
