//! The samples of one series.
//!
//! The newest lie in two slices, oldest first, as they are read: the ring. Series that get a value from every collection
//! share the times of the collections; one that misses a collection gets times of its own, until the collections of its
//! ring are again those of all. What has left the ring is packed in chunks and unpacked when a window reaches behind the
//! ring.

mod read;
mod sealed;
mod values;

pub use read::{Samples, Scratch};
pub(crate) use sealed::Sealed;
use values::Values;

use crate::timeline::{Sliding, Timeline};

/// So often, in samples, a ring gives its older samples away.
const TURN: u8 = 16;

/// Samples in a ring at most, give or take a turn, however short a time they span.
const MOST_IN_RING: usize = 1_024;

#[derive(Debug)]
enum Times {
    Shared { first: u64 },
    Own(Sliding<i64>),
}

/// What of a series is kept, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Samples up to this time leave the ring.
    pub(crate) cold: i64,
    /// Samples up to this time are forgotten.
    pub(crate) cutoff: i64,
    /// Of more samples than so many the oldest are forgotten.
    pub(crate) samples: usize,
}

#[derive(Debug)]
pub(crate) struct Ring {
    sealed: Option<Box<Sealed>>,
    times: Times,
    /// Never empty while there is a sample.
    values: Values,
    last: i64,
    stale: bool,
    turn: u8,
}

impl Ring {
    /// A ring whose first sample will come with the collection `tick`, or with a time of its own.
    pub(crate) fn new(tick: Option<u64>) -> Self {
        let times = tick.map_or_else(|| Times::Own(Sliding::default()), |first| Times::Shared { first });
        Self { sealed: None, times, values: Values::default(), last: i64::MIN, stale: false, turn: 0 }
    }

    /// Has the ring give its older samples away in other turns than its neighbours, so that the work is spread.
    pub(crate) fn spread(&mut self, number: u32) {
        self.turn = (number % u32::from(TURN)) as u8;
    }

    /// The time of the newest sample, or the least number when there is none.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    /// The time of the newest sample, if it says that the series has ended.
    pub(crate) fn ended_at(&self) -> Option<i64> {
        self.values.newest().is_some_and(crate::is_stale).then_some(self.last)
    }

    /// Appends the value of the collection `tick`, which took place at `at`.
    pub(crate) fn push_tick(&mut self, timeline: &Timeline, tick: u64, at: i64, value: f64) {
        if let Times::Shared { first } = &mut self.times {
            let old = timeline.base().saturating_sub(*first).min(self.values.len() as u64);
            *first += old;
            if old > 0 {
                self.values.drop_front(old as usize);
                self.sealed = None;
            }
            if self.values.len() == 0 {
                *first = tick;
            }
            if *first + self.values.len() as u64 == tick {
                self.push_value(at, value);
                return;
            }
        }
        self.push_own(timeline, at, value);
    }

    /// Appends a value with a time of its own.
    pub(crate) fn push_own(&mut self, timeline: &Timeline, at: i64, value: f64) {
        self.own_times(timeline).push(at);
        self.push_value(at, value);
    }

    /// The times of its own, which a ring that shared the timeline's gets now.
    fn own_times(&mut self, timeline: &Timeline) -> &mut Sliding<i64> {
        if let Times::Shared { first } = self.times {
            if timeline.base() > first {
                self.values.drop_front((timeline.base() - first) as usize);
                self.sealed = None;
            }
            let times = timeline.times_of(first.max(timeline.base()), self.values.len());
            self.times = Times::Own(Sliding::from_vec(times.to_vec()));
        }
        match &mut self.times {
            Times::Own(times) => times,
            Times::Shared { .. } => unreachable!("the times became the ring's own"),
        }
    }

    /// Puts another value in the place of the newest.
    pub(crate) fn replace_newest(&mut self, value: f64) {
        self.values.replace_newest(value);
        self.stale |= crate::is_stale(value);
    }

    fn push_value(&mut self, at: i64, value: f64) {
        self.values.push(value);
        self.last = at;
        self.stale |= crate::is_stale(value);
    }

    /// Forgets what is too old or too much, and gives what need not be at hand to the chunks: to be called after each
    /// sample. Shared times are trimmed by their timeline.
    pub(crate) fn settle(&mut self, timeline: &Timeline, keep: &Keep) {
        if let Times::Own(times) = &mut self.times {
            let slice = times.as_slice();
            let mut old = slice.len().saturating_sub(keep.samples);
            while slice.get(old).is_some_and(|time| *time <= keep.cutoff) {
                old += 1;
            }
            if old > 0 {
                times.drop_front(old);
                self.values.drop_front(old);
                // What is packed is older still.
                self.sealed = None;
            }
        }
        self.turn = self.turn.wrapping_add(1);
        if self.turn.is_multiple_of(TURN) {
            self.seal(timeline, keep);
        }
    }

    #[cold]
    fn seal(&mut self, timeline: &Timeline, keep: &Keep) {
        let count = self.values.len();
        let old = match &self.times {
            Times::Shared { first } => timeline.first_after(keep.cold).saturating_sub(*first) as usize,
            Times::Own(times) => times.as_slice().partition_point(|time| *time <= keep.cold),
        };
        let over = old.max(count.saturating_sub(MOST_IN_RING)).min(count.saturating_sub(1));
        if over >= usize::from(TURN / 2) {
            let sealed = self.sealed.get_or_insert_with(|| Box::new(Sealed::new()));
            let values = self.values.iter().take(over);
            match &mut self.times {
                Times::Shared { first } => {
                    sealed.push(Some(*first), timeline.times_of(*first, over), values);
                    *first += over as u64;
                }
                Times::Own(times) => {
                    sealed.push(None, times.as_slice().get(..over).unwrap_or_default(), values);
                    times.drop_front(over);
                    times.fit();
                }
            }
            self.values.drop_front(over);
            self.values.fit();
        }
        self.values.merge();
        self.share_again(timeline);
        if let Some(sealed) = &mut self.sealed {
            let mut count = sealed.count() + self.values.len();
            while let Some((last, samples)) = sealed.oldest()
                && (last <= keep.cutoff || count - samples >= keep.samples)
            {
                count -= sealed.drop_oldest();
            }
            self.sealed.take_if(|sealed| sealed.is_empty());
        }
    }

    /// Gives up times of its own that are those of the last collections.
    fn share_again(&mut self, timeline: &Timeline) {
        let Times::Own(times) = &self.times else { return };
        let first = timeline.end().saturating_sub(times.len() as u64);
        if times.len() > 0 && timeline.times_of(first, times.len()) == times.as_slice() {
            self.times = Times::Shared { first };
        }
    }

    /// Forgets the samples from `from` on, after the timeline has.
    pub(crate) fn forget_from(&mut self, timeline: &Timeline, from: i64) {
        if self.last < from {
            return;
        }
        let last = match &mut self.times {
            Times::Shared { first } => {
                // Without a collection left, values that are older than the timeline have no time.
                let keep = if timeline.last().is_some() { timeline.end().saturating_sub(*first) } else { 0 };
                self.values.truncate(keep as usize);
                timeline.last()
            }
            Times::Own(times) => {
                times.truncate(times.as_slice().partition_point(|time| *time < from));
                self.values.truncate(times.len());
                times.as_slice().last().copied()
            }
        };
        self.last = last.unwrap_or(i64::MIN);
        self.refill(timeline, from);
    }

    /// Fills an empty ring with the newest chunk that holds samples before `before`.
    fn refill(&mut self, timeline: &Timeline, before: i64) {
        while self.values.len() == 0 {
            self.last = i64::MIN;
            let Some(sealed) = self.sealed.as_mut().filter(|sealed| !sealed.is_empty()) else {
                self.sealed = None;
                return;
            };
            let (mut times, mut values) = (Vec::new(), Vec::new());
            sealed.unpack_newest(timeline, &mut times, &mut values);
            let keep = times.partition_point(|time| *time < before);
            times.truncate(keep);
            values.truncate(keep);
            self.last = times.last().copied().unwrap_or(i64::MIN);
            self.times = Times::Own(Sliding::from_vec(times));
            self.values = Values::from_vec(values);
        }
    }

    /// Forgets the ends that are the newest samples: what came after them was forgotten, and the series lives.
    pub(crate) fn forget_newest_ends(&mut self, timeline: &Timeline) {
        while self.ended_at().is_some() {
            let ends = {
                let mut ends = 0;
                for value in self.values.iter() {
                    ends = if crate::is_stale(value) { ends + 1 } else { 0 };
                }
                ends
            };
            let times = self.own_times(timeline);
            times.truncate(times.len().saturating_sub(ends));
            let (count, last) = (times.len(), times.as_slice().last().copied());
            self.values.truncate(count);
            self.last = last.unwrap_or(i64::MIN);
            self.refill(timeline, i64::MAX);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    #[cfg(test)]
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.times, Times::Shared { .. })
    }

    pub(crate) fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_deref()
    }

    /// Takes the oldest chunk away and says how many samples it had.
    pub(crate) fn drop_oldest_chunk(&mut self) -> usize {
        let dropped = self.sealed.as_mut().map_or(0, |sealed| sealed.drop_oldest());
        self.sealed.take_if(|sealed| sealed.is_empty());
        dropped
    }

    /// How many samples there are, and what they take outside the ring itself, in bytes: at hand, and in chunks.
    pub(crate) fn size(&self) -> (usize, usize, usize) {
        let own = match &self.times {
            Times::Shared { .. } => 0,
            Times::Own(times) => times.capacity() * size_of::<i64>(),
        };
        let (count, bytes) = self.sealed.as_ref().map_or((0, 0), |sealed| (sealed.count(), sealed.bytes()));
        (count + self.values.len(), own + self.values.capacity(), bytes)
    }
}
