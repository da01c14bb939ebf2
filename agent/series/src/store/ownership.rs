//! Who owns a name.
//!
//! A label set is the name of one series at most. Facts about the host go before what a rule computed or somebody sent,
//! which lose their series to them; among host series the first keeps an alias.

use std::sync::Arc;

use telemetry::{EntityView, Labels, Origin, Origins, PointView, Scope};

use super::identity::{otel_labels, prometheus_labels};
use super::{Entry, Rejected, Series, SeriesId, Store};
use crate::ring::Ring;

impl Store {
    /// The series that a point of the host belongs to from now on: a new one, or the host's of these labels.
    pub(super) fn begin_host_series(
        &mut self,
        entity: &EntityView<'_>,
        point: &PointView<'_>,
        tick: Option<u64>,
    ) -> Result<u32, Rejected> {
        let labels = otel_labels(entity, point, &self.scraped);
        if let Some(owner) = self.by_labels.get(&labels).map(|id| id.series) {
            // What a rule computed or somebody sent gives way: nothing shadows a fact about the host.
            if self.series.get(owner).is_some_and(|series| series.origin == Origin::Host) {
                self.remember(point.fingerprint, owner);
                return Ok(owner);
            }
            self.remove(owner);
        }
        let number = self.begin(&labels, &Origin::Host, Ring::new(tick))?;
        let alias = prometheus_labels(point, &labels);
        if alias != labels && point.metric.scope != Scope::NodeExporter {
            self.add_alias(number, &alias);
        }
        self.remember(point.fingerprint, number);
        Ok(number)
    }

    /// Points with this fingerprint belong to this series, and those with its former one no longer.
    fn remember(&mut self, fingerprint: u64, number: u32) {
        if let Some(series) = self.series.get_mut(number)
            && let Some(old) = series.fingerprint.replace(fingerprint)
        {
            self.by_fingerprint.remove(&old);
        }
        self.by_fingerprint.insert(fingerprint, number);
    }

    /// A new series under a name that nobody has. In a full store it takes the place of the one that ended longest ago.
    pub(super) fn begin(&mut self, labels: &Labels, origin: &Origin, ring: Ring) -> Result<u32, Rejected> {
        if origin.is_outside() {
            self.admit(origin)?;
        } else if self.series.len() - self.outsiders.series() >= self.limits.max_series && !self.evict() {
            return Err(Rejected::TooManySeries { limit: self.limits.max_series });
        }
        let alone = || Arc::new(Origins::from([origin.clone()]));
        let origins = Arc::clone(self.alone.entry(origin.clone()).or_insert_with(alone));
        let number = self.series.insert(Series {
            ring,
            origin: origin.clone(),
            origins,
            entries: Vec::with_capacity(2),
            fingerprint: None,
            reach: 0,
        });
        if let Some(series) = self.series.get_mut(number) {
            series.ring.spread(number);
        }
        self.add_entry(number, labels, false);
        Ok(number)
    }

    /// Gives a host series a further name, unless another host series has it.
    fn add_alias(&mut self, number: u32, alias: &Labels) {
        if let Some(owner) = self.by_labels.get(alias).map(|id| id.series) {
            if self.series.get(owner).is_some_and(|series| series.origin == Origin::Host) {
                return;
            }
            self.remove(owner);
        }
        self.add_entry(number, alias, true);
    }

    pub(super) fn add_entry(&mut self, number: u32, labels: &Labels, alias: bool) {
        let entry = self.entries.insert(Entry { labels: Labels::empty(), series: number, alias });
        self.generation += 1;
        let labels = self.index.insert(entry, labels, self.generation);
        if let Some(entry) = self.entries.get_mut(entry) {
            entry.labels = labels.clone();
        }
        self.extend(number, self.reach_of(&labels));
        self.by_labels.insert(labels, SeriesId { entry, series: number });
        if let Some(series) = self.series.get_mut(number) {
            series.entries.push(entry);
        }
    }

    /// Gives up a series with all its names.
    pub(super) fn remove(&mut self, number: u32) {
        let Some(series) = self.series.remove(number) else { return };
        self.outsiders.left(&series.origin);
        if let Some(fingerprint) = series.fingerprint {
            self.by_fingerprint.remove(&fingerprint);
        }
        self.generation += 1;
        for entry in series.entries {
            if let Some(Entry { labels, .. }) = self.entries.remove(entry) {
                self.index.remove(entry, &labels, self.generation);
                self.by_labels.remove(&labels);
            }
        }
    }
}
