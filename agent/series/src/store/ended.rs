//! Which series have ended, and which of them makes room for a new one.
//!
//! Ends are queued in the order of their times. What is queued is checked only when room is needed, since a series may
//! come back or age out: an end counts if the series under that number ended at just that time. It knows nothing of
//! names.

use std::collections::BTreeSet;

use super::slots::Slots;
use super::{Series, Store};
use crate::STALE;

/// How long a restored series has for its next sample, in milliseconds: as long as queries look back.
const PATIENCE: i64 = 300_000;

/// Ends by time, each with the number of its series.
#[derive(Debug, Default)]
pub(super) struct Ended {
    ends: BTreeSet<(i64, u32)>,
}

impl Ended {
    /// Queues the end of a series, if its newest sample says that it has ended. Ends that no longer count are dropped
    /// once there are more ends than two for each series.
    pub(super) fn note(&mut self, number: u32, all: &Slots<Series>) {
        let Some(at) = ended_at(all, number) else { return };
        self.ends.insert((at, number));
        if self.ends.len() > 2 * all.len() {
            self.ends.retain(|(at, number)| ended_at(all, *number) == Some(*at));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Takes the series that ended longest ago out of the queue.
    pub(super) fn take_first(&mut self, all: &Slots<Series>) -> Option<u32> {
        while let Some((at, number)) = self.ends.pop_first() {
            if ended_at(all, number) == Some(at) {
                return Some(number);
            }
        }
        None
    }
}

fn ended_at(all: &Slots<Series>, number: u32) -> Option<i64> {
    all.get(number)?.ring.ended_at()
}

impl Store {
    /// Queues the end of a series among those that it may make room for.
    pub(super) fn note_end(&mut self, number: u32) {
        let Some(series) = self.series.get(number) else { return };
        let queue = if series.origin.is_outside() {
            self.outsiders.ended_of(&series.origin)
        } else {
            Some(&mut self.ended)
        };
        if let Some(queue) = queue {
            queue.note(number, &self.series);
        }
    }

    /// Ends the restored series that got no sample since, once they have had the time for it.
    pub(super) fn end_what_did_not_go_on(&mut self, now: i64) {
        let Some(restored) = self.restored.take_if(|restored| now >= restored.saturating_add(PATIENCE))
        else {
            return;
        };
        let mut ended = Vec::new();
        for (number, series) in self.series.iter_mut() {
            if series.ring.last() <= restored && series.ring.ended_at().is_none() {
                let end = series.ring.last().saturating_add(1);
                series.ring.push_own(&self.timeline, end, STALE);
                ended.push(number);
            }
        }
        for number in ended {
            self.note_end(number);
        }
    }

    /// Gives up the series that ended longest ago, and says whether there was one.
    pub(super) fn evict(&mut self) -> bool {
        let Some(number) = self.ended.take_first(&self.series) else { return false };
        self.remove(number);
        self.evicted += 1;
        true
    }
}
