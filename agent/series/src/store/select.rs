//! Which series a selector means, and their samples over a window.

use std::collections::HashSet;

use telemetry::{METRIC_NAME, Timestamp};

use super::{Entry, SeriesId, Store};
use crate::is_stale;
use crate::matcher::{MatchOp, Matcher};
use crate::ring::{Samples, Scratch};
use crate::timeline::Bounds;

impl Store {
    /// The series that satisfy all matchers, in the order in which they were first seen.
    ///
    /// Each series is there once: under its canonical name, unless a matcher on `__name__` asks for an alias.
    pub fn select(&self, matchers: &[Matcher]) -> Vec<SeriesId> {
        let named = matchers
            .iter()
            .any(|m| m.name() == METRIC_NAME && matches!(m.op(), MatchOp::Equal | MatchOp::Regex));
        let entries = self.entries_of(matchers).into_iter().filter_map(|number| {
            let entry = self.entries.get(number).filter(|entry| named || !entry.alias)?;
            Some((entry.alias, SeriesId { entry: number, series: entry.series }))
        });
        let mut found: Vec<(bool, SeriesId)> = entries.collect();
        if found.iter().any(|(alias, _)| *alias) {
            found.sort_unstable();
            let mut seen = HashSet::new();
            found.retain(|(_, id)| seen.insert(id.series));
        }
        let mut ids: Vec<SeriesId> = found.into_iter().map(|(_, id)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// The numbers of all entries that satisfy the matchers.
    pub(super) fn entries_of(&self, matchers: &[Matcher]) -> Vec<u32> {
        let accept = |entry: &Entry| matchers.iter().all(|m| m.matches(entry.labels.get(m.name())));
        match self.index.candidates(matchers) {
            Some(mut candidates) => {
                candidates.retain(|number| self.entries.get(*number).is_some_and(accept));
                candidates
            }
            None => {
                self.entries.iter().filter(|(_, entry)| accept(entry)).map(|(number, _)| number).collect()
            }
        }
    }

    /// A window over all series: samples after `from` and not after `to`, in milliseconds since the epoch.
    pub fn between(&self, from: i64, to: i64) -> Between<'_> {
        Between { store: self, bounds: Bounds::new(&self.timeline, from, to) }
    }

    /// The samples of one series after `from` and not after `to`, in milliseconds since the epoch, in the window of which
    /// they are said to be.
    pub fn samples<'a>(&'a self, id: SeriesId, from: i64, to: i64, scratch: &'a mut Scratch) -> Samples<'a> {
        self.between(from, to).samples(id, scratch)
    }

    /// When the newest collection was taken.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest.map(Timestamp::from_millis)
    }

    /// The newest sample in the `lookback` milliseconds up to `at`, unless it says that the series has ended.
    pub fn latest(&self, id: SeriesId, at: i64, lookback: i64) -> Option<(i64, f64)> {
        self.between(at.saturating_sub(lookback), at).latest(id)
    }
}

/// A window over all series of a store, its bounds found once.
#[derive(Clone, Copy)]
pub struct Between<'a> {
    store: &'a Store,
    bounds: Bounds,
}

impl<'a> Between<'a> {
    /// The samples of one series in the window, stale markers included. They stay where they are as far as they can, and
    /// are otherwise put into `scratch`.
    #[inline]
    pub fn samples<'b>(&self, id: SeriesId, scratch: &'b mut Scratch) -> Samples<'b>
    where
        'a: 'b,
    {
        let store = self.store;
        let Some(series) = store.series.get(id.series) else { return Samples::default() };
        series.ring.within(&store.timeline, self.bounds, || store.keep_of(series), scratch)
    }

    /// The newest sample in the window, unless it says that the series has ended.
    #[inline]
    pub fn latest(&self, id: SeriesId) -> Option<(i64, f64)> {
        let store = self.store;
        let series = store.series.get(id.series)?;
        let newest = series.ring.newest_within(&store.timeline, self.bounds, || store.keep_of(series));
        newest.filter(|(_, value)| !is_stale(*value))
    }
}
