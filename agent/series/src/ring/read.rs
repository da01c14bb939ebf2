//! Windows over the samples of one series.
//!
//! A window over the ring alone is a slice of it. Only one that begins before the ring has chunks unpacked, into room that
//! the caller keeps.

use super::{Keep, Ring, Times};
use crate::chunk::ChunkTimes;
use crate::timeline::{Bounds, Timeline};

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

/// Room for the samples of one series where they do not lie in memory as they are read; one serves many series in turn.
#[derive(Debug, Default)]
pub struct Scratch(Box<Room>);

#[derive(Debug, Default)]
struct Room {
    times: Vec<i64>,
    values: Vec<f64>,
    same: Vec<f64>,
}

impl Ring {
    /// The samples at hand, from the oldest: their first collection if they share the times of collections, their times
    /// and their values.
    pub(crate) fn at_hand<'a>(
        &'a self,
        timeline: &'a Timeline,
    ) -> (Option<u64>, &'a [i64], impl Iterator<Item = f64> + Clone) {
        match &self.times {
            Times::Shared { first } => {
                // The series may have ended before the last collection, but its oldest values are those without a time.
                let old = timeline.base().saturating_sub(*first).min(self.values.len() as u64);
                let times = timeline.times_of(first + old, self.values.len() - old as usize);
                (Some(first + old), times, self.values.skip(old as usize))
            }
            Times::Own(times) => (None, times.as_slice(), self.values.skip(0)),
        }
    }

    /// Which of the samples at hand are in the window.
    fn at_hand_within(&self, bounds: Bounds) -> (usize, usize) {
        let count = self.values.len();
        match &self.times {
            Times::Shared { first } => {
                let end = (bounds.end.saturating_sub(*first) as usize).min(count);
                let from = (bounds.first.saturating_sub(*first) as usize).min(end);
                (from, end)
            }
            Times::Own(times) => {
                let times = times.as_slice();
                let end = times.partition_point(|time| *time <= bounds.to);
                (times.partition_point(|time| *time <= bounds.from).min(end), end)
            }
        }
    }

    fn times_at_hand<'a>(&'a self, timeline: &'a Timeline, from: usize, end: usize) -> &'a [i64] {
        match &self.times {
            Times::Shared { first } => timeline.times_of(first + from as u64, end - from),
            Times::Own(times) => times.as_slice().get(from..end).unwrap_or_default(),
        }
    }

    /// The samples in the window. `keep` is asked for only if it begins before the samples at hand.
    #[inline]
    pub(crate) fn within<'a>(
        &'a self,
        timeline: &'a Timeline,
        bounds: Bounds,
        keep: impl FnOnce() -> Keep,
        scratch: &'a mut Scratch,
    ) -> Samples<'a> {
        let (from, end) = self.at_hand_within(bounds);
        if from == 0 && self.sealed.as_ref().is_some_and(|sealed| sealed.last() > bounds.from) {
            return self.within_all(timeline, bounds, &keep(), scratch);
        }
        Samples {
            times: self.times_at_hand(timeline, from, end),
            values: self.values.slice(from, end, &mut scratch.0.same),
            may_be_stale: self.stale,
        }
    }

    fn within_all<'a>(
        &'a self,
        timeline: &'a Timeline,
        bounds: Bounds,
        keep: &Keep,
        scratch: &'a mut Scratch,
    ) -> Samples<'a> {
        let bounds = Bounds::new(timeline, bounds.from.max(keep.cutoff), bounds.to);
        let Room { times, values, .. } = &mut *scratch.0;
        times.clear();
        values.clear();
        if let Some(sealed) = &self.sealed {
            let skip = (sealed.count() + self.values.len()).saturating_sub(keep.samples);
            sealed.unpack_within(timeline, bounds, skip, times, values);
        }
        let (from, end) = self.at_hand_within(bounds);
        times.extend_from_slice(self.times_at_hand(timeline, from, end));
        values.extend(self.values.iter().skip(from).take(end - from));
        let from = times.partition_point(|time| *time <= bounds.from);
        let end = times.partition_point(|time| *time <= bounds.to).max(from);
        Samples {
            times: times.get(from..end).unwrap_or_default(),
            values: values.get(from..end).unwrap_or_default(),
            may_be_stale: self.stale,
        }
    }

    /// The newest sample in the window.
    #[inline]
    pub(crate) fn newest_within(
        &self,
        timeline: &Timeline,
        bounds: Bounds,
        keep: impl FnOnce() -> Keep,
    ) -> Option<(i64, f64)> {
        let (from, end) = self.at_hand_within(bounds);
        if from < end {
            let at = end - 1;
            return Some((*self.times_at_hand(timeline, at, end).first()?, self.values.get(at)?));
        }
        if end > 0 || self.sealed.is_none() {
            return None;
        }
        let mut scratch = Scratch::default();
        let samples = self.within_all(timeline, bounds, &keep(), &mut scratch);
        Some((*samples.times.last()?, *samples.values.last()?))
    }

    /// When the oldest sample was taken, as far as that is known.
    pub(crate) fn oldest(&self, timeline: &Timeline) -> Option<i64> {
        let oldest = self.sealed.as_ref().and_then(|sealed| sealed.chunks().next());
        let sealed = oldest.and_then(|oldest| match oldest.chunk.times {
            ChunkTimes::Own => oldest.chunk.first_time(),
            ChunkTimes::Shared(first) => {
                timeline.times_of(first, usize::from(oldest.chunk.count)).first().copied()
            }
        });
        sealed.or_else(|| self.at_hand(timeline).1.first().copied())
    }
}
