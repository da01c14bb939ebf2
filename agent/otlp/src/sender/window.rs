//! What is being sent to one destination, of one signal: parts in order, and the requests that carry them.
//!
//! Pure. A part is a request as it was received; a job is a request as it is sent: several parts joined, or a piece of
//! one. Jobs may be answered in any order; parts leave in theirs, once all of a part and of those before it is settled.
//! A refusal of joined parts says nothing about any one of them, so they are then sent one by one, as they came.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use queue::Position;
use telemetry::{Batch, Signal};

use crate::{concatenate, split};

/// How many bytes of parts are joined to one request at most. More would gain nothing and cost memory.
const JOINED_BYTES: usize = 512 << 10;

/// How many bytes of parts are in the window at most, but for one that is larger.
const WINDOW_BYTES: usize = 2 << 20;

/// How many parts are in the window at most, however small.
const WINDOW_PARTS: usize = 4096;

/// Where a part comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Memory,
    /// It ends there in the queue.
    Disk(Position),
    /// It ends there among the dead letters, and is sent once more.
    DeadLetters(Position),
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) payload: Bytes,
    pub(crate) items: u64,
    /// Nanoseconds since the epoch.
    pub(crate) received: i64,
    pub(crate) source: Source,
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) batch: Batch,
    /// The parts in it, by number; one, if it is a piece.
    parts: Range<u64>,
    /// When the first of them was received.
    pub(crate) received: i64,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) source: Source,
    pub(crate) items: u64,
    /// Of the items, those that are lost because the destination does not want them.
    pub(crate) refused: u64,
    /// Of the items, those that were kept as dead letters.
    pub(crate) dead: u64,
    /// Of the delivered items, those that another destination took.
    pub(crate) by_others: u64,
}

impl Settled {
    pub(crate) const fn delivered(&self) -> u64 {
        self.items - self.refused - self.dead
    }
}

#[derive(Debug)]
struct Slot {
    part: Part,
    /// Jobs with something of it that are not settled.
    left: usize,
    settled: Settled,
}

#[derive(Debug)]
pub(crate) struct Window {
    signal: Signal,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    /// The number of the first slot that no job was made of yet.
    fresh: u64,
    bytes: usize,
    /// Jobs that are to be sent before fresh ones.
    again: VecDeque<Job>,
}

impl Window {
    pub(crate) fn new(signal: Signal) -> Self {
        Self { signal, slots: VecDeque::new(), first: 0, fresh: 0, bytes: 0, again: VecDeque::new() }
    }

    pub(crate) fn wants_more(&self) -> bool {
        self.bytes < WINDOW_BYTES && self.slots.len() < WINDOW_PARTS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether there is something to be sent.
    pub(crate) fn has_next(&self) -> bool {
        !self.again.is_empty() || self.fresh < self.first + self.slots.len() as u64
    }

    /// When the oldest part was received.
    pub(crate) fn oldest(&self) -> Option<i64> {
        self.slots.front().map(|slot| slot.part.received)
    }

    pub(crate) fn push(&mut self, part: Part) {
        self.bytes += part.payload.len();
        let settled = Settled { source: part.source, items: part.items, refused: 0, dead: 0, by_others: 0 };
        self.slots.push_back(Slot { part, left: 1, settled });
    }

    /// The next request, of at most `limit` bytes if that can be had. Parts that `is_gone` are passed over.
    pub(crate) fn next(&mut self, limit: usize, is_gone: impl Fn(&Part) -> bool) -> Option<Job> {
        while let Some(job) = self.again.pop_front() {
            if !self.is_gone(&job, &is_gone) {
                return Some(job);
            }
            for number in job.parts {
                if let Some(slot) = self.slot(number) {
                    slot.left -= 1;
                }
            }
        }
        let begin = loop {
            let number = self.fresh;
            let slot = self.slot(number)?;
            if !is_gone(&slot.part) {
                break number;
            }
            slot.left = 0;
            self.fresh += 1;
        };
        let (mut bytes, mut end) = (0, begin);
        while let Some(slot) = self.slot(end) {
            let Part { payload, source, .. } = &slot.part;
            let is_joined = end > begin;
            // What was refused before is nobody's neighbour.
            let alone = matches!(source, Source::DeadLetters(_));
            if is_joined && (alone || bytes + payload.len() > limit.min(JOINED_BYTES) || is_gone(&slot.part))
            {
                break;
            }
            bytes += payload.len();
            end += 1;
            if alone {
                break;
            }
        }
        self.fresh = end;
        let job = self.joined(begin..end);
        if bytes > limit { self.divided(job, limit).or_else(|| self.again.pop_front()) } else { Some(job) }
    }

    /// Nothing came of it; it is to be sent again, before everything else.
    pub(crate) fn later(&mut self, job: Job) {
        self.again.push_front(job);
    }

    /// The destination took it, without `rejected` of its items; or another one did.
    pub(crate) fn taken(&mut self, job: &Job, rejected: u64, by_other: bool) {
        let (mut rejected, mut taken) = (rejected.min(job.batch.items), job.batch.items);
        for number in job.parts.clone() {
            let Some(Slot { left, settled, .. }) = self.slot(number) else { continue };
            *left -= 1;
            let items = settled.items.min(taken);
            taken -= items;
            let here = rejected.min(settled.delivered()).min(items);
            rejected -= here;
            settled.refused += here;
            if by_other {
                settled.by_others = (settled.by_others + items - here).min(settled.delivered());
            }
        }
    }

    /// It was refused for good. Of several parts, each is now sent as it came; one is given back.
    pub(crate) fn refused(&mut self, job: Job) -> Option<Job> {
        if job.parts.end - job.parts.start == 1 {
            return Some(job);
        }
        for number in job.parts.rev() {
            let single = self.joined(number..number + 1);
            self.again.push_front(single);
        }
        None
    }

    /// It was too large. It is now sent in smaller ones; what cannot be made smaller is given back.
    pub(crate) fn too_large(&mut self, job: Job) -> Option<Job> {
        let Range { start, end } = job.parts;
        if end - start > 1 {
            let middle = start + (end - start) / 2;
            for half in [middle..end, start..middle] {
                let half = self.joined(half);
                self.again.push_front(half);
            }
            return None;
        }
        let limit = job.batch.payload.len() / 2;
        self.divided(job, limit)
    }

    /// What is in it, which is one part or a piece of one, was kept as a dead letter or, `kept` or not, is lost.
    pub(crate) fn given_up(&mut self, job: &Job, kept: bool) {
        if let Some(Slot { left, settled, .. }) = self.slot(job.parts.start) {
            *left -= 1;
            let items = job.batch.items.min(settled.delivered());
            *if kept { &mut settled.dead } else { &mut settled.refused } += items;
            settled.by_others = settled.by_others.min(settled.delivered());
        }
    }

    /// The first part, if all of it is settled.
    pub(crate) fn pop_settled(&mut self) -> Option<Settled> {
        let slot = self.slots.pop_front_if(|slot| slot.left == 0)?;
        self.first += 1;
        self.bytes -= slot.part.payload.len();
        Some(slot.settled)
    }

    fn is_gone(&mut self, job: &Job, is_gone: impl Fn(&Part) -> bool) -> bool {
        job.parts.clone().all(|number| self.slot(number).is_none_or(|slot| is_gone(&slot.part)))
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }

    /// A job of all of these parts.
    fn joined(&mut self, parts: Range<u64>) -> Job {
        let mut received = i64::MAX;
        let mut items = 0;
        let mut payloads = Vec::with_capacity(parts.clone().count());
        for number in parts.clone() {
            if let Some(Slot { part, .. }) = self.slot(number) {
                received = received.min(part.received);
                items += part.items;
                payloads.push(part.payload.clone());
            }
        }
        let payload = match payloads.as_slice() {
            [payload] => payload.clone(),
            _ => concatenate(&payloads),
        };
        Job { batch: Batch { signal: self.signal, payload, items }, parts, received }
    }

    /// Queues pieces of at most `limit` bytes instead of `job`, which is of one part; gives it back if that cannot be.
    fn divided(&mut self, job: Job, limit: usize) -> Option<Job> {
        let pieces = match split(self.signal, &job.batch.payload, limit.max(1)) {
            Ok(pieces) if pieces.len() > 1 => pieces,
            _ => return Some(job),
        };
        if let Some(slot) = self.slot(job.parts.start) {
            slot.left += pieces.len() - 1;
        }
        for (payload, items) in pieces.into_iter().rev() {
            let batch = Batch { signal: self.signal, payload, items };
            self.again.push_front(Job { batch, parts: job.parts.clone(), received: job.received });
        }
        None
    }
}

#[cfg(test)]
mod tests;
