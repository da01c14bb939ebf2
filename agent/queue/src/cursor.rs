//! Reading by a named cursor.
//!
//! Reading goes ahead of acknowledging: what is in flight was read, and is not acknowledged. Only acknowledging moves
//! what a restart begins with; a cursor that is dropped and taken again starts at what was last acknowledged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::error::ReadError;
use crate::figures::CursorFigures;
use crate::position;
use crate::progress::Progress;
use crate::scan::{BLOCK, Found, Scanner, Window};
use crate::segment::{self, Name};
use crate::shared::{Segment, Shared, State};
use crate::totals::Mark;

/// A record as it was appended. Its payload shares a buffer with its neighbours.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its sequence number: that of the record before it, and one more.
    pub seq: u64,
    /// As appended.
    pub class: u8,
    /// As appended.
    pub items: u32,
    /// As appended.
    pub received: i64,
    /// As appended.
    pub payload: Bytes,
    /// The place behind it, to be acknowledged once it and everything before it are done with.
    pub position: Position,
}

/// A place in the queue, as reading found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    mark: Mark,
    segment: Name,
    offset: u64,
}

impl Position {
    /// Behind the record that ends at `mark`, so many bytes into the segment.
    pub(crate) const fn new(mark: Mark, segment: Name, offset: u64) -> Self {
        Self { mark, segment, offset }
    }
}

/// Reads a queue for one destination. It may be shared between threads.
pub struct Cursor {
    shared: Arc<Shared>,
    name: String,
    /// Tells it from a cursor of the same name that was removed.
    incarnation: u64,
    place: Mutex<Place>,
}

/// Where reading is.
#[derive(Default)]
struct Place {
    expected: Mark,
    segment: Option<Name>,
    scanner: Scanner,
}

/// A segment as it was when reading of it began.
struct Visit {
    segment: Segment,
    is_last: bool,
    salvage: bool,
}

impl Cursor {
    pub(crate) fn new(shared: Arc<Shared>, name: String, incarnation: u64, from: Mark) -> Self {
        let place = Mutex::new(Place { expected: from, ..Place::default() });
        Self { shared, name, incarnation, place }
    }

    /// What the queue knows of this cursor, unless it was removed.
    fn progress<'a>(&self, state: &'a mut State) -> Option<&'a mut Progress> {
        state.cursors.get_mut(&self.name).filter(|progress| progress.incarnation == self.incarnation)
    }

    /// The cursor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the records that follow, without waiting: as many as there are, at most `max_records`, and no more once
    /// they have `max_bytes` of payload; none if everything was read. Blocks on the disk only.
    ///
    /// # Errors
    ///
    /// When a segment cannot be read and nothing was read before it: the disk may come back, so reading goes no further
    /// by itself. What can be read and is damaged is no error: it is passed over and counted.
    pub fn read(&self, max_records: usize, max_bytes: usize) -> Result<Vec<Record>, ReadError> {
        self.read_on(max_records, max_bytes, false)
    }

    /// Reads like [`read`](Self::read), but passes over what the disk cannot read and counts it as damaged: for when it
    /// has failed for so long that it will not come back.
    pub fn salvage(&self, max_records: usize, max_bytes: usize) -> Vec<Record> {
        self.read_on(max_records, max_bytes, true).unwrap_or_default()
    }

    fn read_on(&self, max_records: usize, max_bytes: usize, salvage: bool) -> Result<Vec<Record>, ReadError> {
        let mut place = self.place();
        let mut records = Vec::new();
        let mut budget = max_bytes;
        while records.len() < max_records && budget > 0 {
            if self.read_recent(&mut place, &mut records, max_records, &mut budget) {
                continue;
            }
            let Some(visit) = self.visit(&mut place, max_bytes, salvage) else { break };
            match self.read_segment(&mut place, &visit, &mut records, max_records, &mut budget) {
                Ok(true) => {}
                Ok(false) => break,
                Err(source) => {
                    self.shared.lock().counters.read_failures += 1;
                    if records.is_empty() {
                        return Err(ReadError { file: visit.segment.name.file(), source });
                    }
                    break;
                }
            }
        }
        self.shared.lock().has_read(&self.name, self.incarnation, place.expected.seq);
        Ok(records)
    }

    /// Takes what is in memory of the records that follow; says whether there was any.
    fn read_recent(
        &self,
        place: &mut Place,
        records: &mut Vec<Record>,
        max_records: usize,
        budget: &mut usize,
    ) -> bool {
        let before = records.len();
        let mut state = self.shared.lock();
        let Some(progress) = self.progress(&mut state) else { return false };
        place.expected = place.expected.later(progress.acknowledged);
        for record in state.recent.from(place.expected.seq) {
            if records.len() == max_records || *budget == 0 {
                break;
            }
            *budget = budget.saturating_sub(record.payload.len().max(1));
            records.push(record.clone());
        }
        drop(state);
        let Some(last) = records.get(before..).and_then(<[_]>::last) else { return false };
        let Position { mark, segment, offset } = last.position;
        // Reading goes on behind it, on disk if need be.
        *place = Place { expected: mark, segment: Some(segment), scanner: Scanner::new(offset, BLOCK) };
        true
    }

    /// Waits until there is something to read, for at most `timeout`; says whether there is.
    pub fn wait(&self, timeout: Duration) -> bool {
        let expected = self.place().expected.seq;
        let state = self.shared.lock();
        let more = |state: &mut State| state.end.seq > expected && self.progress(state).is_some();
        let nothing_yet = |state: &mut State| !more(state) && !state.writer_gone;
        let waited = self.shared.progress.wait_timeout_while(state, timeout, nothing_yet);
        more(&mut waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Has `wake` called whenever there is more to read, from the writer's thread; it must not block. There may be
    /// something to read already.
    pub fn on_progress(&self, wake: impl Fn() + Send + Sync + 'static) {
        if let Some(progress) = self.progress(&mut self.shared.lock()) {
            progress.wake = Some(Arc::new(wake));
        }
    }

    /// Everything before `position` is done with. The position is saved soon; until then a crash has it read again.
    /// Says whether the cursor moved: not when it [has passed](Self::has_passed) the position already.
    pub fn acknowledge(&self, position: Position) -> bool {
        let mut state = self.shared.lock();
        if position.mark.seq > state.end.seq {
            return false;
        }
        let Some(progress) = self.progress(&mut state) else { return false };
        let moves = progress.acknowledged.seq < position.mark.seq;
        progress.advance(position.mark, None);
        if progress.acknowledged == position.mark {
            progress.place = Some((position.segment, position.offset));
        }
        let wake = !std::mem::replace(&mut state.positions_due, true);
        drop(state);
        if wake {
            self.shared.work.notify_one();
        }
        moves
    }

    /// Whether everything before `position` is acknowledged or lost: a limit may take what was read and is not
    /// acknowledged yet.
    pub fn has_passed(&self, position: Position) -> bool {
        let mut state = self.shared.lock();
        self.progress(&mut state).is_none_or(|progress| progress.acknowledged.seq >= position.mark.seq)
    }

    /// What became of the records so far; none once the cursor was removed. Unlike [`Queue::figures`](crate::Queue::figures)
    /// it reads nothing from disk, and so `oldest` is when the oldest record of that segment was received.
    pub fn figures(&self) -> Option<CursorFigures> {
        self.shared.lock().cursor_figures(&self.name, self.incarnation)
    }

    /// Whether a cursor may have this name.
    pub fn is_name(name: &str) -> bool {
        position::is_name(name)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment to read from, with the place moved into it; none if everything was read.
    fn visit(&self, place: &mut Place, block: usize, salvage: bool) -> Option<Visit> {
        let mut state = self.shared.lock();
        // Dropping segments moves what is acknowledged ahead of what was read.
        place.expected = place.expected.later(self.progress(&mut state)?.acknowledged);
        if place.expected.seq >= state.end.seq {
            return None;
        }
        let segment = state.segment_of(place.expected.seq)?.clone();
        if place.segment != Some(segment.name) {
            place.segment = Some(segment.name);
            place.scanner = Scanner::new(segment::HEADER as u64, block.min(BLOCK));
        }
        let is_last = state.segments.back().is_some_and(|last| last.name == segment.name);
        Some(Visit { segment, is_last, salvage })
    }

    /// Reads from one segment; says whether reading may go on behind it.
    fn read_segment(
        &self,
        place: &mut Place,
        visit: &Visit,
        records: &mut Vec<Record>,
        max_records: usize,
        budget: &mut usize,
    ) -> std::io::Result<bool> {
        let salvage = visit.salvage;
        let file = match self.shared.file_for(&self.name, visit.segment.name) {
            Ok(file) => file,
            // It was dropped between the look at it and here; what comes next is elsewhere.
            Err(_) if !self.is_held(visit.segment.name) => return Ok(true),
            Err(_) if salvage => {
                self.pass_gap(place, visit.segment.end);
                return Ok(!visit.is_last);
            }
            Err(error) => return Err(error),
        };
        let Segment { id, length: limit, end, .. } = visit.segment;
        let window = Window { file: &*file, id, limit, below: end.seq, salvage };
        while records.len() < max_records && *budget > 0 {
            let Some(found) = place.scanner.next(window, place.expected.seq)? else {
                self.pass_gap(place, end);
                return Ok(!visit.is_last);
            };
            self.pass_gap(place, found.header.at);
            place.expected = found.header.end();
            *budget = budget.saturating_sub(found.payload.len().max(1));
            records.push(as_record(visit.segment.name, found));
        }
        Ok(true)
    }

    fn is_held(&self, segment: Name) -> bool {
        self.shared.lock().segments.iter().any(|held| held.name == segment)
    }

    fn pass_gap(&self, place: &mut Place, to: Mark) {
        if to.seq > place.expected.seq {
            let mut state = self.shared.lock();
            if let Some(progress) = self.progress(&mut state) {
                progress.note_gap(place.expected, to);
            }
            state.positions_due = true;
            place.expected = to;
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if let Some(progress) = self.progress(&mut self.shared.lock()) {
            progress.release();
        }
    }
}

fn as_record(segment: Name, found: Found) -> Record {
    let position = Position { mark: found.header.end(), segment, offset: found.end() };
    let Found { header, payload, .. } = found;
    let (seq, class, items, received) = (header.at.seq, header.class, header.items, header.received);
    Record { seq, class, items, received, payload, position }
}
