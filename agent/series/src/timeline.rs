//! When the collections were.
//!
//! Collections are numbered from the first one on, so that a series that gets a value from each needs to know only the
//! number of its first. Times are milliseconds since the epoch.

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
    pub(crate) fn from_vec(items: Vec<T>) -> Self {
        Self { items, start: 0 }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        self.items.get(self.start..).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len() - self.start
    }

    pub(crate) fn capacity(&self) -> usize {
        self.items.capacity()
    }

    /// Appends; a full buffer is first compacted if a tenth of it is free, and else grows by an eighth, so that no more
    /// than that is wasted.
    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() == self.items.capacity() {
            if self.start * 10 > self.items.len() {
                self.items.drain(..self.start);
                self.start = 0;
            } else {
                self.items.reserve_exact(self.items.len() / 8 + 8);
            }
        }
        self.items.push(item);
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.items.get_mut(self.start..)?.last_mut()
    }

    pub(crate) fn drop_front(&mut self, count: usize) {
        self.start = (self.start + count).min(self.items.len());
    }

    /// Gives memory back of which more than a third is free.
    pub(crate) fn fit(&mut self) {
        let len = self.len();
        if self.items.capacity() > len + len / 2 + 32 {
            self.items.drain(..self.start);
            self.start = 0;
            self.items.shrink_to(len + len / 8 + 8);
        }
    }

    pub(crate) fn truncate(&mut self, keep: usize) {
        self.items.truncate(self.start + keep);
    }
}

/// The times of the collections, numbered from the first one on.
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

    /// The number of the collection that comes next.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.times.len() as u64
    }

    /// Adds a collection and says its number.
    pub(crate) fn push(&mut self, at: i64) -> u64 {
        self.times.push(at);
        self.end() - 1
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

    /// The times of `count` collections from number `first` on. Of the oldest some may be forgotten, and of the newest.
    pub(crate) fn times_of(&self, first: u64, count: usize) -> &[i64] {
        let from = first.saturating_sub(self.base) as usize;
        let end = (first.saturating_add(count as u64)).saturating_sub(self.base) as usize;
        let end = end.min(self.times.len());
        self.times().get(from.min(end)..end).unwrap_or_default()
    }

    /// The number of the first collection after `at`.
    pub(crate) fn first_after(&self, at: i64) -> u64 {
        self.base + self.times().partition_point(|time| *time <= at) as u64
    }
}

/// The bounds of a window, found once in the shared timeline for all series that use it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) first: u64,
    pub(crate) end: u64,
}

impl Bounds {
    /// Samples after `from` and not after `to`.
    pub(crate) fn new(timeline: &Timeline, from: i64, to: i64) -> Self {
        Self { from, to, first: timeline.first_after(from), end: timeline.first_after(to) }
    }
}
