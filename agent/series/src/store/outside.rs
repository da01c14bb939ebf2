//! Series from outside: what somebody sent, or what was made of it.
//!
//! Each origin has a budget, so a flood of new series costs its sender alone: the host's series and those of other
//! origins stay as they are. Such a series bears no name of the host's, and loses its labels to the host when they
//! clash all the same. Samples come with times of their own; those of the last collection's time share its timeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use telemetry::{Labels, Origin, Timestamp};

use super::ended::Ended;
use super::retention::millis;
use super::{Rejected, Rejections, Store};
use crate::host_names::HostNames;
use crate::is_stale;
use crate::ring::Ring;

/// A series from outside, by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Who said it.
    pub origin: Origin,
    /// The canonical name.
    pub labels: Labels,
    /// A further name, which it gets if nobody has it.
    pub alias: Option<Labels>,
    /// Whether it counts from zero, so that it was zero at the collection before its first sample, or a millisecond before
    /// where there is none: without this, what makes a counter appear would be no increase.
    pub from_zero: bool,
}

/// What an origin has, and what it was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutsideFigures {
    /// Series kept now.
    pub series: usize,
    /// Series kept at most.
    pub budget: usize,
    /// Samples that were not kept since the start.
    pub rejections: Rejections,
}

#[derive(Debug, Default)]
struct Outsider {
    figures: OutsideFigures,
    ended: Ended,
}

/// What there is of each origin outside, and the names that are not theirs.
#[derive(Debug, Default)]
pub(super) struct Outsiders {
    host_names: Arc<HostNames>,
    origins: BTreeMap<Origin, Outsider>,
}

impl Outsiders {
    /// How many series come from outside.
    pub(super) fn series(&self) -> usize {
        self.origins.values().map(|outsider| outsider.figures.series).sum()
    }

    pub(super) fn left(&mut self, origin: &Origin) {
        if let Some(outsider) = self.origins.get_mut(origin) {
            outsider.figures.series = outsider.figures.series.saturating_sub(1);
        }
    }

    pub(super) fn ended_of(&mut self, origin: &Origin) -> Option<&mut Ended> {
        self.origins.get_mut(origin).map(|outsider| &mut outsider.ended)
    }

    pub(super) fn forget_ends(&mut self) {
        self.origins.values_mut().for_each(|outsider| outsider.ended = Ended::default());
    }
}

impl Store {
    /// Says which names series from outside may not bear, from now on. Those that do are given up.
    pub fn set_host_names(&mut self, names: &Arc<HostNames>) {
        if Arc::ptr_eq(names, &self.outsiders.host_names) {
            return;
        }
        self.outsiders.host_names = Arc::clone(names);
        let outside = self.series.iter().filter(|(_, series)| series.origin.is_outside());
        let taken = outside.filter(|(_, series)| {
            let mut entries = series.entries.iter().filter_map(|entry| self.entries.get(*entry));
            entries.any(|entry| !names.allow(&series.origin, entry.labels.metric_name()))
        });
        let taken: Vec<u32> = taken.map(|(number, _)| number).collect();
        for number in taken {
            self.remove(number);
        }
    }

    /// Says how many series an origin outside may have; without a budget it has none. What is there beyond a lower one stays
    /// until it ends or ages.
    pub fn set_budget(&mut self, origin: Origin, max_series: usize) {
        self.outsiders.origins.entry(origin).or_default().figures.budget = max_series;
    }

    /// What each origin outside has and was refused.
    pub fn outside(&self) -> impl Iterator<Item = (&Origin, OutsideFigures)> {
        self.outsiders.origins.iter().map(|(origin, outsider)| (origin, outsider.figures))
    }

    /// Appends one sample of a series from outside; a stale marker ends it.
    ///
    /// # Errors
    ///
    /// The sample is refused, and counted for its origin: it is too old or not newer than the newest of its series, the
    /// name is the host's, the labels belong to another series, or the origin has spent its budget and none of its
    /// series has ended.
    pub fn append_outside(&mut self, series: &Outside, at: Timestamp, value: f64) -> Result<(), Rejected> {
        let result = self.try_append_outside(series, at.as_millis(), value);
        if let Err(reason) = &result
            && let Some(outsider) = self.outsiders.origins.get_mut(&series.origin)
        {
            outsider.figures.rejections.count(reason);
        }
        result
    }

    fn try_append_outside(&mut self, outside: &Outside, at: i64, value: f64) -> Result<(), Rejected> {
        let last = self.timeline.tick(0);
        let now = last.map_or(at, |(_, last)| last);
        if at <= now.saturating_sub(millis(self.limits.retention)) {
            return Err(Rejected::TooOld);
        }
        let tick = last.filter(|(_, last)| *last == at).map(|(tick, _)| tick);
        let number = match self.by_labels.get(&outside.labels) {
            Some(id) => id.series,
            None if is_stale(value) => return Ok(()),
            None => self.begin_outside(outside, at, tick)?,
        };
        let series = self.series.get_mut(number).ok_or(Rejected::Unknown)?;
        if series.origin != outside.origin {
            return Err(Rejected::Foreign { owner: series.origin.clone() });
        }
        if at <= series.ring.last() {
            return Err(Rejected::NotNewer);
        }
        match tick {
            Some(tick) => series.ring.push_tick(&self.timeline, tick, at, value),
            None => series.ring.push_own(&self.timeline, at, value),
        }
        series.ring.settle(&self.timeline, &self.limits.keep(series.reach, now, self.hot));
        if is_stale(value) {
            self.note_end(number);
        }
        Ok(())
    }

    fn begin_outside(&mut self, outside: &Outside, at: i64, tick: Option<u64>) -> Result<u32, Rejected> {
        let names = std::iter::once(&outside.labels).chain(&outside.alias);
        if !self.allows(&outside.origin, names) {
            return Err(Rejected::HostName);
        }
        let last = self.timeline.tick(0).filter(|(_, last)| *last < at);
        let ring = match (tick, self.timeline.tick(1)) {
            (None, _) if outside.from_zero && last.is_some() => {
                let mut ring = Ring::new(last.map(|(tick, _)| tick));
                if let Some((tick, last)) = last {
                    ring.push_tick(&self.timeline, tick, last, 0.0);
                }
                ring
            }
            (Some(_), Some((before, earlier))) if outside.from_zero => {
                let mut ring = Ring::new(Some(before));
                ring.push_tick(&self.timeline, before, earlier, 0.0);
                ring
            }
            // No collection is known from before it.
            (None, _) | (Some(_), None) if outside.from_zero => {
                let mut ring = Ring::new(None);
                ring.push_own(&self.timeline, at.saturating_sub(1), 0.0);
                ring
            }
            _ => Ring::new(tick),
        };
        let number = self.begin(&outside.labels, &outside.origin, ring)?;
        if let Some(alias) = &outside.alias
            && !self.by_labels.contains_key(alias)
        {
            self.add_entry(number, alias, true);
        }
        Ok(number)
    }

    /// Whether a series from there may bear all these names.
    pub(super) fn allows<'a>(&self, origin: &Origin, names: impl IntoIterator<Item = &'a Labels>) -> bool {
        names.into_iter().all(|labels| self.outsiders.host_names.allow(origin, labels.metric_name()))
    }

    /// Lets a further series of an origin in, in the place of the one that ended longest ago if need be.
    pub(super) fn admit(&mut self, origin: &Origin) -> Result<(), Rejected> {
        // A store without limits is for looking at what another has taken.
        if self.limits.max_series == usize::MAX && !self.outsiders.origins.contains_key(origin) {
            self.set_budget(origin.clone(), usize::MAX);
        }
        let Some(outsider) = self.outsiders.origins.get_mut(origin) else {
            return Err(Rejected::OverBudget { limit: 0 });
        };
        if outsider.figures.series >= outsider.figures.budget {
            let limit = outsider.figures.budget;
            let ended = outsider.ended.take_first(&self.series).ok_or(Rejected::OverBudget { limit })?;
            self.remove(ended);
            self.evicted += 1;
        }
        if let Some(outsider) = self.outsiders.origins.get_mut(origin) {
            outsider.figures.series += 1;
        }
        Ok(())
    }
}
