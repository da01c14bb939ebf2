//! The samples of one series.
//!
//! Values and times lie in two slices, oldest first. Series that get a value from every collection share the times of
//! the collections and pay eight bytes a sample; one that misses a collection gets times of its own and pays sixteen.

/// A queue that is always one slice: the front is cut by moving an offset and reclaimed when memory is needed.
#[derive(Debug)]
pub(crate) struct Sliding<T> {
    items: Vec<T>,
    start: usize,
}

impl<T> Default for Sliding<T> {
    fn default() -> Self {
        Self { items: Vec::new(), start: 0 }
    }
}

impl<T: Copy> Sliding<T> {
    pub(crate) fn from_slice(items: &[T]) -> Self {
        Self { items: items.to_vec(), start: 0 }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        self.items.get(self.start..).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len() - self.start
    }

    /// Appends; a full buffer is first compacted if a fifth of it is free, and else grows by a quarter, so that no more
    /// than that is wasted.
    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() == self.items.capacity() {
            if self.start * 5 > self.items.len() {
                self.items.drain(..self.start);
                self.start = 0;
            } else {
                self.items.reserve_exact(self.items.len() / 4 + 8);
            }
        }
        self.items.push(item);
    }

    fn last_mut(&mut self) -> Option<&mut T> {
        self.items.get_mut(self.start..)?.last_mut()
    }

    pub(crate) fn drop_front(&mut self, count: usize) {
        self.start = (self.start + count).min(self.items.len());
    }

    pub(crate) fn truncate(&mut self, keep: usize) {
        self.items.truncate(self.start + keep);
    }
}

/// The times of the collections, in milliseconds, numbered from the first one on.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    base: u64,
    times: Sliding<i64>,
}

impl Timeline {
    pub(crate) fn last(&self) -> Option<i64> {
        self.times.as_slice().last().copied()
    }

    /// The number and the time of the collection that is `back` before the last.
    pub(crate) fn tick(&self, back: usize) -> Option<(u64, i64)> {
        let at = self.times.len().checked_sub(back + 1)?;
        Some((self.base + at as u64, *self.times().get(at)?))
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Adds a collection and says its number.
    pub(crate) fn push(&mut self, at: i64) -> u64 {
        self.times.push(at);
        self.base + self.times.len() as u64 - 1
    }

    /// Forgets the collections up to `cutoff` and all but the last `keep`.
    pub(crate) fn trim(&mut self, cutoff: i64, keep: usize) {
        let times = self.times.as_slice();
        let old = times.partition_point(|time| *time <= cutoff).max(times.len().saturating_sub(keep));
        self.times.drop_front(old);
        self.base += old as u64;
    }

    /// Forgets the collections from `from` on; their numbers are given again.
    pub(crate) fn forget_from(&mut self, from: i64) {
        self.times.truncate(self.times().partition_point(|time| *time < from));
    }

    pub(crate) fn times(&self) -> &[i64] {
        self.times.as_slice()
    }

    fn from(&self, tick: u64, count: usize) -> &[i64] {
        let from = tick.saturating_sub(self.base) as usize;
        self.times.as_slice().get(from..from + count).unwrap_or_default()
    }
}

#[derive(Debug)]
enum Times {
    Shared { first: u64 },
    Own(Sliding<i64>),
}

/// Samples of one series in order of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Samples<'a> {
    /// Milliseconds since the epoch, ascending.
    pub times: &'a [i64],
    /// The value at each time, stale markers included.
    pub values: &'a [f64],
    /// Whether the series has ever ended, so that stale markers may be among the values.
    pub may_be_stale: bool,
}

/// The bounds of a window within the shared timeline, found once for all series that use it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) first: u64,
    pub(crate) end: u64,
}

impl Bounds {
    pub(crate) fn new(timeline: &Timeline, from: i64, to: i64) -> Self {
        let times = timeline.times();
        let first = times.partition_point(|time| *time <= from) as u64;
        let end = times.partition_point(|time| *time <= to) as u64;
        Self { from, to, first: timeline.base() + first, end: timeline.base() + end }
    }
}

#[derive(Debug)]
pub(crate) struct Ring {
    times: Times,
    values: Sliding<f64>,
    last: i64,
    stale: bool,
}

impl Ring {
    /// A ring whose first sample will come with the collection `tick`.
    pub(crate) fn shared(tick: u64) -> Self {
        Self {
            times: Times::Shared { first: tick },
            values: Sliding::default(),
            last: i64::MIN,
            stale: false,
        }
    }

    /// A ring with times of its own.
    pub(crate) fn own() -> Self {
        Self {
            times: Times::Own(Sliding::default()),
            values: Sliding::default(),
            last: i64::MIN,
            stale: false,
        }
    }

    /// The time of the newest sample, or the least number when there is none.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    /// The time of the newest sample, if it says that the series has ended.
    pub(crate) fn ended_at(&self) -> Option<i64> {
        self.values.as_slice().last().copied().is_some_and(crate::is_stale).then_some(self.last)
    }

    /// Appends the value of the collection `tick`, which took place at `at`.
    pub(crate) fn push_tick(&mut self, timeline: &Timeline, tick: u64, at: i64, value: f64) {
        if let Times::Shared { first } = &mut self.times {
            let old = timeline.base().saturating_sub(*first).min(self.values.len() as u64);
            *first += old;
            self.values.drop_front(old as usize);
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
            self.values.drop_front(timeline.base().saturating_sub(first) as usize);
            let first = first.max(timeline.base());
            self.times = Times::Own(Sliding::from_slice(timeline.from(first, self.values.len())));
        }
        match &mut self.times {
            Times::Own(times) => times,
            Times::Shared { .. } => unreachable!("the times became the ring's own"),
        }
    }

    /// Puts another value in the place of the newest.
    pub(crate) fn replace_newest(&mut self, value: f64) {
        if let Some(newest) = self.values.last_mut() {
            *newest = value;
            self.stale |= crate::is_stale(value);
        }
    }

    fn push_value(&mut self, at: i64, value: f64) {
        self.values.push(value);
        self.last = at;
        self.stale |= crate::is_stale(value);
    }

    /// Forgets samples up to `cutoff` and all but the last `keep`. Shared times are trimmed by their timeline.
    pub(crate) fn trim(&mut self, cutoff: i64, keep: usize) {
        if let Times::Own(times) = &mut self.times {
            let slice = times.as_slice();
            let mut old = slice.len().saturating_sub(keep);
            while slice.get(old).is_some_and(|time| *time <= cutoff) {
                old += 1;
            }
            times.drop_front(old);
            self.values.drop_front(old);
        }
    }

    /// Forgets the samples from `from` on, after the timeline has.
    pub(crate) fn forget_from(&mut self, timeline: &Timeline, from: i64) {
        if self.last < from {
            return;
        }
        let last = match &mut self.times {
            Times::Shared { first } => {
                let end = timeline.base() + timeline.times().len() as u64;
                // Without a collection left, values that are older than the timeline have no time.
                let keep = if timeline.last().is_some() { end.saturating_sub(*first) } else { 0 };
                self.values.truncate(keep as usize);
                timeline.last()
            }
            Times::Own(times) => {
                times.truncate(times.as_slice().partition_point(|time| *time < from));
                self.values.truncate(times.len());
                times.as_slice().last().copied()
            }
        };
        self.last = last.filter(|_| !self.is_empty()).unwrap_or(i64::MIN);
    }

    /// Forgets the ends that are the newest samples: what came after them was forgotten, and the series lives.
    pub(crate) fn forget_newest_ends(&mut self, timeline: &Timeline) {
        if self.ended_at().is_none() {
            return;
        }
        let keep =
            self.values.as_slice().iter().rposition(|value| !crate::is_stale(*value)).map_or(0, |at| at + 1);
        let dropped = self.values.len() - keep;
        let times = self.own_times(timeline);
        times.truncate(times.len().saturating_sub(dropped));
        let (count, last) = (times.len(), times.as_slice().last().copied());
        self.values.truncate(count);
        self.last = last.unwrap_or(i64::MIN);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    #[cfg(test)]
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.times, Times::Shared { .. })
    }

    pub(crate) fn within<'a>(&'a self, timeline: &'a Timeline, bounds: Bounds) -> Samples<'a> {
        let values = self.values.as_slice();
        match &self.times {
            Times::Shared { first } => {
                let from = bounds.first.max(*first);
                let end = bounds.end.min(*first + values.len() as u64);
                if from >= end {
                    return Samples::default();
                }
                let at = (from - first) as usize;
                let count = (end - from) as usize;
                Samples {
                    times: timeline.from(from, count),
                    values: values.get(at..at + count).unwrap_or_default(),
                    may_be_stale: self.stale,
                }
            }
            Times::Own(times) => {
                let times = times.as_slice();
                let from = times.partition_point(|time| *time <= bounds.from);
                let end = times.partition_point(|time| *time <= bounds.to);
                Samples {
                    times: times.get(from..end).unwrap_or_default(),
                    values: values.get(from..end).unwrap_or_default(),
                    may_be_stale: self.stale,
                }
            }
        }
    }
}
