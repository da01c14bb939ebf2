//! The series that received points belong to, found by a hash of what names them.
//!
//! A point is known by its resource, metric and attributes as they lie in the request; the labels are made once, when it
//! is first seen. Holds no more series than its budget. One that was idle for [`IDLE`] makes room for new ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use series::{Outside, STALE, Store};
use telemetry::{Labels, Timestamp};

/// After how long without a point a series may make room for another.
const IDLE: Duration = Duration::from_mins(10);

/// Samples that wait for the next collection, for each series that there may be: one a second for ten seconds.
const WAITING_FOR_EACH: usize = 10;

/// The series of one point: one, or those of a histogram.
pub(super) type Places = Arc<[u32]>;

#[derive(Debug)]
struct Received {
    series: Outside,
    /// What deltas add up to.
    total: f64,
    /// The time of its newest point, in nanoseconds since the epoch.
    newest: u64,
    seen: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    room: usize,
    series: Vec<Option<Received>>,
    free: Vec<u32>,
    by_labels: HashMap<Labels, u32, foldhash::fast::RandomState>,
    /// By the hash of what names a point. Points that are refused for their names have no places.
    by_hash: HashMap<u64, Places, foldhash::fast::RandomState>,
    waiting: Vec<(u32, Timestamp, f64)>,
}

impl Registry {
    pub(super) fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    pub(super) fn find(&self, hash: u64) -> Option<Places> {
        self.by_hash.get(&hash).cloned()
    }

    /// Whether so many series would still fit, if all of them are new.
    pub(super) fn fits(&self, count: usize) -> bool {
        self.series.len() - self.free.len() + count <= self.room
    }

    /// Keeps the series of a point that was not known, to be found by any of these. The caller has asked whether they fit.
    pub(super) fn begin(&mut self, hashes: [u64; 2], all: Vec<Outside>, now: Timestamp) -> Places {
        let places: Places = all.into_iter().map(|series| self.place(series, now)).collect();
        // Known points can be found again by their labels, so forgetting all hashes costs time and nothing else.
        if self.by_hash.len() >= 4 * self.room {
            self.by_hash.clear();
        }
        for hash in hashes {
            self.by_hash.insert(hash, Arc::clone(&places));
        }
        places
    }

    fn place(&mut self, series: Outside, now: Timestamp) -> u32 {
        if let Some(place) = self.by_labels.get(&series.labels) {
            return *place;
        }
        let labels = series.labels.clone();
        let received = Received { series, total: 0.0, newest: 0, seen: now };
        let place = self.free.pop().unwrap_or_else(|| {
            self.series.push(None);
            self.series.len() as u32 - 1
        });
        if let Some(slot) = self.series.get_mut(place as usize) {
            *slot = Some(received);
        }
        self.by_labels.insert(labels, place);
        place
    }

    /// The time of the newest point of a series, in nanoseconds since the epoch.
    pub(super) fn newest(&self, place: u32) -> u64 {
        self.series.get(place as usize).and_then(Option::as_ref).map_or(0, |received| received.newest)
    }

    /// Lets a value wait for the next collection; `delta` adds it to those before. Says whether there was room.
    pub(super) fn push(&mut self, place: u32, time: u64, delta: bool, value: f64, now: Timestamp) -> bool {
        let full = self.waiting.len() >= self.room * WAITING_FOR_EACH;
        let Some(Some(received)) = self.series.get_mut(place as usize) else { return false };
        (received.newest, received.seen) = (time, now);
        let value = match delta {
            _ if series::is_stale(value) => {
                received.total = 0.0;
                value
            }
            true => {
                received.total += value;
                received.total
            }
            false => value,
        };
        if !full {
            let at = Timestamp::from_nanos(i64::try_from(time).unwrap_or(i64::MAX));
            self.waiting.push((place, at, value));
        }
        !full
    }

    /// Appends what waits. A time after the collection's counts as the collection's. Refusals are counted by the store.
    pub(super) fn append(&mut self, store: &mut Store, at: Timestamp) {
        for (place, time, value) in self.waiting.drain(..) {
            if let Some(Some(received)) = self.series.get(place as usize) {
                let _ = store.append_outside(&received.series, time.min(at), value);
            }
        }
        if !self.fits(1) {
            self.make_room(store, at);
        }
    }

    fn make_room(&mut self, store: &mut Store, at: Timestamp) {
        for (place, slot) in self.series.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|received| at.since(received.seen) >= IDLE)
                && let Some(received) = slot.take()
            {
                let _ = store.append_outside(&received.series, at, STALE);
                self.by_labels.remove(&received.series.labels);
                self.free.push(place as u32);
                self.by_hash.clear();
            }
        }
    }
}
