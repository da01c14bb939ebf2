//! What the appenders, the readers and the writer's thread have in common, under one lock.
//!
//! No file is written under the lock. Progress is published under it before anybody is woken, so that whoever wakes
//! sees it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::AppendError;
use crate::figures::{Counters, CursorFigures, Figures};
use crate::fs::{File, FileSystem};
use crate::options::Options;
use crate::progress::{Progress, Wake};
use crate::recent::Recent;
use crate::record::{self, Entry};
use crate::segment::Name;
use crate::totals::{LossReason, Mark};

/// Told what became of a record: its sequence number, or why it was refused.
pub(crate) type Done = Box<dyn FnOnce(Result<u64, AppendError>) + Send>;

/// A commit starts at once when this many payload bytes wait.
pub(crate) const GROUP_BYTES: u64 = 1 << 20;

/// A record that waits to be committed.
pub(crate) struct Waiting {
    pub(crate) entry: Entry,
    pub(crate) done: Done,
}

/// A segment that holds acknowledged records.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) name: Name,
    pub(crate) start: Mark,
    /// Records from here on are in later segments.
    pub(crate) end: Mark,
    /// Readable bytes, up to the end of the last acknowledged record.
    pub(crate) length: u64,
    /// Bytes of the file.
    pub(crate) disk_bytes: u64,
    /// The id that its records' checksums are seeded with.
    pub(crate) id: u64,
    pub(crate) opened: i64,
    /// No record in it was received later.
    pub(crate) newest: i64,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) waiting_bytes: u64,
    /// How many waiting records are worth waking the writer for again.
    pub(crate) wake_at: usize,
    pub(crate) closing: bool,
    /// The writer's thread has ended.
    pub(crate) writer_gone: bool,
    /// The time for which limits are to be applied.
    pub(crate) maintain: Option<i64>,
    pub(crate) positions_due: bool,
    /// How often a cursor was taken.
    pub(crate) incarnations: u64,
    /// Cursors whose files are to be removed.
    pub(crate) removed: Vec<String>,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) end: Mark,
    pub(crate) cursors: BTreeMap<String, Progress>,
    pub(crate) recent: Recent,
    pub(crate) counters: Counters,
    pub(crate) reserve_bytes: u64,
}

pub(crate) struct Shared {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) options: Options,
    pub(crate) id: u64,
    state: Mutex<State>,
    /// Wakes the writer's thread.
    pub(crate) work: Condvar,
    /// Wakes readers.
    pub(crate) progress: Condvar,
}

impl State {
    /// The mark of the oldest record that is held.
    pub(crate) fn oldest(&self) -> Mark {
        self.segments.front().map_or(self.end, |segment| segment.start)
    }

    /// The segment that holds the record `seq`.
    pub(crate) fn segment_of(&self, seq: u64) -> Option<&Segment> {
        let behind = self.segments.partition_point(|segment| segment.start.seq <= seq);
        behind.checked_sub(1).and_then(|index| self.segments.get(index))
    }

    /// Whether somebody has read up to `start`, where the newest records begin, or nearly.
    pub(crate) fn is_followed(&self, start: u64) -> bool {
        let recent = self.recent.first().unwrap_or(start);
        self.cursors.values().any(|progress| progress.taken && progress.read >= recent)
    }

    /// Notes that the cursor has read everything before `seq`, and lets go of what nobody will read from memory.
    pub(crate) fn has_read(&mut self, cursor: &str, incarnation: u64, seq: u64) {
        if let Some(progress) =
            self.cursors.get_mut(cursor).filter(|progress| progress.incarnation == incarnation)
        {
            progress.read = seq;
        }
        let recent = self.recent.first().unwrap_or(u64::MAX);
        let followers = self.cursors.values().filter(|progress| progress.taken && progress.read >= recent);
        match followers.map(|progress| progress.read).min() {
            Some(all) => self.recent.forget_before(all),
            None => self.recent.clear(),
        }
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.disk_bytes).sum::<u64>() + self.reserve_bytes
    }

    /// Takes the oldest segment out and charges its loss to every cursor that had not passed it.
    pub(crate) fn drop_oldest(&mut self, reason: LossReason) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        for progress in self.cursors.values_mut() {
            progress.advance(segment.end, Some(reason));
        }
        self.counters.segments_dropped += 1;
        self.close_files_of(segment.name);
        Some(segment)
    }

    /// Whether every cursor has passed the oldest segment, by its saved position. A queue without cursors keeps all.
    ///
    /// The newest segment always stays: it tells where numbering goes on, and that no position lies in the future.
    pub(crate) fn front_is_passed(&self) -> bool {
        if self.segments.len() < 2 {
            return false;
        }
        let saved = self.cursors.values().map(|progress| progress.saved.map_or(0, |mark| mark.seq)).min();
        self.segments.front().zip(saved).is_some_and(|(segment, saved)| segment.end.seq <= saved)
    }

    /// Takes out the oldest segment if every cursor has passed it.
    pub(crate) fn take_passed(&mut self) -> Option<Segment> {
        let segment = if self.front_is_passed() { self.segments.pop_front()? } else { return None };
        self.close_files_of(segment.name);
        Some(segment)
    }

    fn close_files_of(&mut self, segment: Name) {
        for progress in self.cursors.values_mut() {
            progress.open.take_if(|(name, _)| *name == segment);
        }
    }

    pub(crate) fn wakes(&self) -> Vec<Wake> {
        self.cursors.values().filter_map(|progress| progress.wake.clone()).collect()
    }

    /// What became of the records for the cursor `name`, if it is still that one.
    pub(crate) fn cursor_figures(&self, name: &str, incarnation: u64) -> Option<CursorFigures> {
        let progress = self.cursors.get(name).filter(|progress| progress.incarnation == incarnation)?;
        Some(self.figures_of(name, progress))
    }

    fn figures_of(&self, name: &str, progress: &Progress) -> CursorFigures {
        let queued = self.end.since(progress.acknowledged);
        let segment = self.segment_of(progress.acknowledged.seq).filter(|_| queued.records > 0);
        CursorFigures {
            name: name.to_owned(),
            accepted: self.end.since(progress.base),
            delivered: progress.to_save(0).delivered(),
            queued,
            lost: progress.lost,
            oldest: segment.map(|segment| segment.opened),
        }
    }
}

impl Shared {
    pub(crate) fn new(fs: Arc<dyn FileSystem>, options: Options, id: u64, state: State) -> Self {
        Self { fs, options, id, state: Mutex::new(state), work: Condvar::new(), progress: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands records to the writer, all of them or none. Each `done` is called from the writer's thread, or from here if
    /// they are refused at once.
    pub(crate) fn append(&self, group: Vec<Waiting>) {
        if let Err((group, error)) = self.enqueue(group) {
            for Waiting { done, .. } in group {
                done(Err(error.clone()));
            }
        }
    }

    fn enqueue(&self, group: Vec<Waiting>) -> Result<(), (Vec<Waiting>, AppendError)> {
        let limit = self.options.max_record_bytes();
        let largest = group.iter().map(|waiting| waiting.entry.payload.len()).max().unwrap_or(0) as u64;
        // Headers count, or empty records could wait without limit.
        let bytes: u64 = group.iter().map(|waiting| record::size_of(waiting.entry.payload.len())).sum();
        let mut state = self.lock();
        if state.closing || state.writer_gone {
            return Err((group, AppendError::Closed));
        }
        if largest > limit {
            state.counters.refused_too_large += group.len() as u64;
            return Err((group, AppendError::TooLarge { bytes: largest, limit }));
        }
        let waiting = state.waiting_bytes;
        // What comes alone always may wait.
        if waiting > 0 && waiting + bytes > self.options.max_waiting_bytes {
            state.counters.refused_busy += group.len() as u64;
            return Err((group, AppendError::Busy { waiting }));
        }
        let before = state.waiting.len();
        state.waiting_bytes += bytes;
        state.waiting.extend(group);
        let count = state.waiting.len();
        let full = waiting < GROUP_BYTES && state.waiting_bytes >= GROUP_BYTES;
        let wake = before == 0 || (before < state.wake_at && count >= state.wake_at) || full;
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Opens a segment for a cursor, or takes the file that is open.
    pub(crate) fn file_for(&self, cursor: &str, segment: Name) -> std::io::Result<Arc<dyn File>> {
        let open = self.lock().cursors.get(cursor).and_then(|progress| progress.open.clone());
        if let Some((_, file)) = open.filter(|(name, _)| *name == segment) {
            return Ok(file);
        }
        let file = self.fs.open(&segment.file())?;
        let mut state = self.lock();
        // A segment that was dropped meanwhile must not be kept open.
        if state.segments.iter().any(|held| held.name == segment)
            && let Some(progress) = state.cursors.get_mut(cursor)
        {
            progress.open = Some((segment, Arc::clone(&file)));
        }
        Ok(file)
    }

    pub(crate) fn figures(&self) -> Figures {
        let (mut figures, places) = {
            let state = self.lock();
            let cursors = state.cursors.iter().map(|(name, progress)| state.figures_of(name, progress));
            let figures = Figures {
                appended: state.end.since(Mark::default()),
                segments: state.segments.len() as u64,
                disk_bytes: state.disk_bytes(),
                waiting: state.waiting.len() as u64,
                waiting_bytes: state.waiting_bytes,
                counters: state.counters,
                cursors: cursors.collect(),
            };
            let places: Vec<_> = state.cursors.values().map(|progress| progress.place).collect();
            (figures, places)
        };
        for (cursor, place) in figures.cursors.iter_mut().zip(places) {
            if let Some(received) = place.filter(|_| cursor.oldest.is_some()).and_then(|at| self.received(at))
            {
                cursor.oldest = Some(received);
            }
        }
        figures
    }

    /// When the record at a place was received.
    fn received(&self, (segment, offset): (Name, u64)) -> Option<i64> {
        let mut bytes = [0; record::HEADER];
        self.fs.open(&segment.file()).ok()?.read_at(&mut bytes, offset).ok()?;
        record::Header::decode(self.id, &bytes).map(|header| header.received)
    }
}
