//! Commits groups of records: written together, synced together, then acknowledged.
//!
//! A segment whose write or sync failed is never written again, for a failed sync may drop what was written and the
//! next one may say that all is well. What was not acknowledged is written once more, in a new segment.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::vec::IntoIter;

use crate::cursor::{Position, Record};
use crate::error::AppendError;
use crate::fs::{self, File};
use crate::options::SyncPolicy;
use crate::record::{self, Entry, Header};
use crate::reserve;
use crate::segment::{self, Name};
use crate::shared::{Segment, State, Waiting};
use crate::totals::{LossReason, Mark};
use crate::writer::Writer;

/// How many segments are tried before the records of a commit are refused.
const ATTEMPTS: usize = 4;

/// The segment that is appended to.
pub(crate) struct Active {
    file: Arc<dyn File>,
    pub(crate) name: Name,
    start: Mark,
    opened: i64,
    /// Bytes written, the header included; 0 before the first write.
    length: u64,
    /// Whether records in it were acknowledged.
    published: bool,
    /// Whether something written is not synced.
    pub(crate) unsynced: bool,
    from_reserve: bool,
}

/// What failed, and on which file.
struct Failure {
    doing: &'static str,
    file: String,
    source: io::Error,
}

impl Failure {
    fn of(doing: &'static str, name: Name) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { doing, file: name.file(), source }
    }
}

impl Writer {
    pub(crate) fn commit(&mut self, group: Vec<Waiting>) {
        let mut rest = group.into_iter();
        while !rest.as_slice().is_empty() {
            let run = self.take_run(&mut rest);
            self.commit_run(run);
            self.enforce_bytes();
        }
    }

    /// Takes as many records as fit in the active segment, or in a new one if not even the first does.
    fn take_run(&mut self, rest: &mut IntoIter<Waiting>) -> Vec<Waiting> {
        let limit = self.shared.options.segment_bytes;
        let fits = |length: u64| {
            let mut length = length.max(segment::HEADER as u64);
            let ends = rest.as_slice().iter().map(|waiting| {
                length += record::size_of(waiting.entry.payload.len());
                length
            });
            ends.take_while(|end| *end <= limit).count()
        };
        let mut count = self.active.as_ref().map_or(0, |active| fits(active.length));
        if count == 0 {
            count = fits(0);
            self.seal();
        }
        rest.by_ref().take(count.max(1)).collect()
    }

    fn commit_run(&mut self, run: Vec<Waiting>) {
        let start = self.shared.lock().end;
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            match self.write(&run, start) {
                Ok(end) => return self.publish(run, start, end),
                Err(failed) => {
                    self.abandon();
                    let full = fs::is_full(&failed.source);
                    failure = Some(failed);
                    if full && !self.make_room() {
                        break;
                    }
                }
            }
        }
        if let Some(Failure { doing, file, source }) = failure {
            self.shared.lock().counters.refused_storage += run.len() as u64;
            let source = Arc::new(source);
            for Waiting { done, .. } in run {
                done(Err(AppendError::Storage { doing, file: file.clone(), source: Arc::clone(&source) }));
            }
        }
    }

    /// Writes the records behind the active segment, and syncs them if the policy says so.
    fn write(&mut self, run: &[Waiting], start: Mark) -> Result<Mark, Failure> {
        let opened = run.first().map_or(0, |waiting| waiting.entry.received);
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.begin(start, opened)?,
        };
        let written = active.write(self.shared.id, run, start);
        let name = active.name;
        let (is_new, always) = (!active.published, self.shared.options.sync == SyncPolicy::Always);
        let active = self.active.insert(active);
        let end = written.map_err(Failure::of("writing", name))?;
        if always {
            self.shared.lock().counters.syncs += 1;
            active.file.sync_data().map_err(Failure::of("syncing", name))?;
            active.unsynced = false;
        }
        if is_new {
            self.shared.fs.sync_directory().map_err(Failure::of("syncing the directory of", name))?;
        }
        Ok(end)
    }

    /// Makes the file of a new segment.
    fn begin(&mut self, start: Mark, opened: i64) -> Result<Active, Failure> {
        let attempt = match self.last_name {
            Some(last) if last.first == start.seq => last.attempt + 1,
            _ => 0,
        };
        let name = Name { first: start.seq, attempt };
        self.last_name = Some(name);
        let from_reserve = std::mem::take(&mut self.needs_reserve);
        let file = if from_reserve {
            let mut state = self.shared.lock();
            state.reserve_bytes = 0;
            state.counters.reserve_used += 1;
            drop(state);
            reserve::take(&*self.shared.fs, &name.file())
        } else {
            self.shared.fs.create(&name.file())
        };
        let file = file.map_err(Failure::of("making", name))?;
        Ok(Active { file, name, start, opened, length: 0, published: false, unsynced: false, from_reserve })
    }

    /// Lets readers see the records, then tells those who appended them.
    fn publish(&mut self, run: Vec<Waiting>, start: Mark, end: Mark) {
        let Some(active) = &mut self.active else { return };
        let newest = run.iter().map(|waiting| waiting.entry.received).max().unwrap_or(i64::MIN);
        let wakes = {
            let mut state = self.shared.lock();
            if !std::mem::replace(&mut active.published, true) {
                state.segments.push_back(active.as_segment(self.shared.id));
            }
            if let Some(segment) = state.segments.back_mut() {
                segment.end = end;
                segment.length = active.length;
                segment.disk_bytes =
                    if active.from_reserve { self.shared.options.segment_bytes } else { active.length };
                segment.newest = segment.newest.max(newest);
            }
            state.end = end;
            keep_recent(&mut state, &run, start, active, self.shared.options.recent_bytes);
            state.counters.commits += 1;
            state.wakes()
        };
        self.shared.progress.notify_all();
        for wake in wakes {
            wake();
        }
        for (seq, Waiting { done, .. }) in (start.seq..).zip(run) {
            done(Ok(seq));
        }
    }

    /// Ends the active segment after a failure: nothing is written to it or expected of it any more.
    pub(crate) fn abandon(&mut self) {
        let Some(active) = self.active.take() else { return };
        self.shared.lock().counters.sealed_after_failure += 1;
        if !active.published {
            // Nothing in it was acknowledged; should the file stay, a later attempt at the same start outranks it.
            let _ = self.shared.fs.remove(&active.name.file());
        }
    }

    /// Ends the active segment because it is full, or to let it be dropped.
    pub(crate) fn seal(&mut self) {
        self.sync_active();
        let Some(active) = self.active.take() else { return };
        if active.from_reserve && active.file.set_length(active.length).is_ok() {
            let mut state = self.shared.lock();
            if let Some(segment) = state.segments.iter_mut().find(|segment| segment.name == active.name) {
                segment.disk_bytes = active.length;
            }
        }
    }

    pub(crate) fn sync_active(&mut self) {
        let Some(active) = self.active.as_mut().filter(|active| active.unsynced) else { return };
        self.shared.lock().counters.syncs += 1;
        match active.file.sync_data() {
            Ok(()) => active.unsynced = false,
            Err(_) => self.abandon(),
        }
    }

    /// Finds room on a full disk: the reserve first, then the oldest segment's. Says whether there was any.
    fn make_room(&mut self) -> bool {
        if self.shared.lock().reserve_bytes > 0 {
            self.needs_reserve = true;
            return true;
        }
        self.drop_oldest(LossReason::Disk)
    }
}

/// Keeps the records, which end where the segment does, for those who follow closely.
fn keep_recent(state: &mut State, run: &[Waiting], start: Mark, active: &Active, limit: u64) {
    if limit == 0 || !state.is_followed(start.seq) {
        return state.recent.clear();
    }
    let bytes: u64 = run.iter().map(|waiting| record::size_of(waiting.entry.payload.len())).sum();
    let (mut at, mut offset) = (start, active.length - bytes);
    for Waiting { entry, .. } in run {
        let Entry { class, items, received, ref payload } = *entry;
        let seq = at.seq;
        at = at.after(items, payload.len());
        offset += record::size_of(payload.len());
        let position = Position::new(at, active.name, offset);
        state.recent.keep(Record { seq, class, items, received, payload: payload.clone(), position }, limit);
    }
}

impl Active {
    fn write(&mut self, id: u64, run: &[Waiting], start: Mark) -> io::Result<Mark> {
        let mut end = start;
        let headers: Vec<_> = run
            .iter()
            .map(|waiting| {
                let header = Header::new(end, &waiting.entry);
                end = header.end();
                header.encode(id)
            })
            .collect();
        let first = segment::Header { id, start: self.start, opened: self.opened }.encode();
        let mut parts = Vec::with_capacity(2 * run.len() + 1);
        if self.length == 0 {
            parts.push(IoSlice::new(&first));
        }
        for (header, waiting) in headers.iter().zip(run) {
            parts.push(IoSlice::new(header));
            parts.push(IoSlice::new(&waiting.entry.payload));
        }
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        self.unsynced = true;
        self.file.write_at(&mut parts, self.length)?;
        self.length += bytes;
        Ok(end)
    }

    fn as_segment(&self, id: u64) -> Segment {
        Segment {
            name: self.name,
            start: self.start,
            end: self.start,
            length: 0,
            disk_bytes: 0,
            id,
            opened: self.opened,
            newest: i64::MIN,
        }
    }
}
