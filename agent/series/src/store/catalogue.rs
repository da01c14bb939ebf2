//! What there is to ask for: the names and values of labels.
//!
//! A series is looked for by all its names here, so that whoever browses finds each of them. Whether it has samples in a
//! span of time is judged by its oldest and its newest.

use std::collections::BTreeSet;
use std::sync::Arc;

use telemetry::Labels;

use super::{SeriesId, Store};
use crate::matcher::Matcher;

impl Store {
    /// The names of all labels of series that satisfy the matchers and have samples in the span, in milliseconds since the
    /// epoch: sorted, the first `limit` of them.
    pub fn label_names(&self, matchers: &[Matcher], from: i64, to: i64, limit: usize) -> Vec<Arc<str>> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for labels in self.labels_within(matchers, from, to) {
            names.extend(labels.iter().map(|(name, _)| name));
        }
        names.into_iter().take(limit).map(Arc::from).collect()
    }

    /// The values that the label `name` has in series that satisfy the matchers and have samples in the span, in
    /// milliseconds since the epoch: sorted, the first `limit` of them.
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        from: i64,
        to: i64,
        limit: usize,
    ) -> Vec<Arc<str>> {
        let labels = self.labels_within(matchers, from, to);
        let values: BTreeSet<&str> = labels.map(|labels| labels.get(name)).collect();
        values.into_iter().filter(|value| !value.is_empty()).take(limit).map(Arc::from).collect()
    }

    /// The series that [`Store::select`] finds and that have samples in the span, in milliseconds since the epoch: the
    /// first `limit` of them.
    pub fn select_within(&self, matchers: &[Matcher], from: i64, to: i64, limit: usize) -> Vec<SeriesId> {
        let mut found = self.select(matchers);
        found.retain(|id| self.has_samples(id.series, from, to));
        found.truncate(limit);
        found
    }

    fn labels_within(&self, matchers: &[Matcher], from: i64, to: i64) -> impl Iterator<Item = &Labels> {
        let entries = self.entries_of(matchers).into_iter().filter_map(|number| self.entries.get(number));
        entries.filter(move |entry| self.has_samples(entry.series, from, to)).map(|entry| &entry.labels)
    }

    /// Whether some sample may have been taken at `from`, at `to` or between.
    fn has_samples(&self, number: u32, from: i64, to: i64) -> bool {
        let Some(series) = self.series.get(number) else { return false };
        let visible = series.ring.oldest(&self.timeline).map(|oldest| {
            let cutoff = self.keep_of(series).cutoff;
            oldest.max(cutoff.saturating_add(1))
        });
        series.ring.last() >= from && visible.is_some_and(|oldest| oldest <= to)
    }
}
