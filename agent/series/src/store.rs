//! The store: series by fingerprint, by labels and by selector.
//!
//! It answers for limits and names. Times given to it are those of the samples; it never asks what time it is. The
//! surprise is that ids are only good for one [`Store::generation`]: a series that aged out or made room gives its id away.

mod ended;
mod identity;
mod outside;
mod ownership;
mod rejected;
mod scraped;
mod slots;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use telemetry::{EntityView, Labels, METRIC_NAME, Number, Origin, PointView, SampleBuffer, Timestamp};

use crate::index::Index;
use crate::matcher::{MatchOp, Matcher};
use crate::ring::{Bounds, Ring, Samples, Timeline};
use crate::{STALE, is_stale};
use ended::Ended;
use outside::Outsiders;
pub use outside::{Outside, OutsideFigures};
pub use rejected::{Rejected, Rejections};
pub use scraped::ScrapedAs;
use slots::Slots;

/// How much a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series of the host and of rules at most. A further one takes the place of the series that ended longest ago;
    /// while none has ended, it is refused. Both are counted. Aliases do not count, nor does what comes from outside: each
    /// origin there has a budget of its own.
    pub max_series: usize,
    /// How long a sample is kept after it was taken.
    pub retention: Duration,
    /// Samples of one series at most; beyond it the oldest go.
    pub max_samples_per_series: usize,
}

/// 20,000 series, two hours, one sample a second.
impl Default for Limits {
    fn default() -> Self {
        Self { max_series: 20_000, retention: Duration::from_hours(2), max_samples_per_series: 7_200 }
    }
}

/// What became of the points of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Samples kept, stale markers included.
    pub samples: u64,
    /// Points refused: of a series too many, or not newer than the newest sample of their series. One that was measured
    /// before its collection is not refused for its age: it is known already.
    pub rejected: u64,
}

/// One name of one series, good while [`Store::generation`] stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId {
    entry: u32,
    series: u32,
}

#[derive(Debug)]
struct Entry {
    labels: Labels,
    series: u32,
    alias: bool,
}

#[derive(Debug)]
struct Series {
    ring: Ring,
    origin: Origin,
    /// The canonical entry first, then the aliases.
    entries: Vec<u32>,
    fingerprint: Option<u64>,
}

/// Tells stores apart by their generations, so that what was bound to one is not read from another.
static STORES: AtomicU64 = AtomicU64::new(0);

/// Recent samples of all series.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    entries: Slots<Entry>,
    series: Slots<Series>,
    index: Index,
    by_labels: HashMap<Labels, SeriesId, RandomState>,
    by_fingerprint: HashMap<u64, u32, RandomState>,
    ended: Ended,
    outsiders: Outsiders,
    scraped: ScrapedAs,
    timeline: Timeline,
    /// When the newest buffer was collected.
    newest: Option<i64>,
    /// When the last look between two collections was.
    looked: Option<i64>,
    generation: u64,
    evicted: u64,
    rejections: Rejections,
    clock_jumps: u64,
}

impl Store {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: Slots::default(),
            series: Slots::default(),
            index: Index::default(),
            by_labels: HashMap::default(),
            by_fingerprint: HashMap::default(),
            ended: Ended::default(),
            outsiders: Outsiders::default(),
            scraped: ScrapedAs::default(),
            timeline: Timeline::default(),
            newest: None,
            looked: None,
            generation: STORES.fetch_add(1, Ordering::Relaxed) << 40,
            evicted: 0,
            rejections: Rejections::default(),
            clock_jumps: 0,
        }
    }

    /// How much is kept.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Keeps so much from now on. Series above a lower limit stay until they end; new ones are refused meanwhile. Samples
    /// that are too old or too many go with the next that comes.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Appends what a collection saw, and forgets what has become too old.
    ///
    /// A point without a value ([`Number::Gone`]) appends a stale marker. Host series get their labels when first
    /// seen: the metric's name, the attributes of the point and those of its entity. A point that was measured before
    /// the collection is kept under its own time, once.
    ///
    /// A collection may come in several buffers of the same time.
    ///
    /// When the clock has been set back since the last collection, the samples from the new time on are forgotten, so
    /// that the rules are not blind until it has caught up.
    pub fn append(&mut self, buffer: &SampleBuffer) -> Appended {
        let at = buffer.at().as_millis();
        self.notice_set_back(at);
        let tick = match self.timeline.tick(0) {
            Some((tick, last)) if last == at => tick,
            _ => {
                let tick = self.timeline.push(at);
                self.expire(buffer.at());
                tick
            }
        };
        self.append_points(buffer, Some(tick))
    }

    /// Like [`Store::append`], for a look at a few series between two collections: the others do not miss one by it. Of a
    /// look and a collection in the same millisecond the later counts.
    pub fn append_between(&mut self, buffer: &SampleBuffer) -> Appended {
        self.notice_set_back(buffer.at().as_millis());
        self.looked = Some(buffer.at().as_millis());
        self.append_points(buffer, None)
    }

    fn notice_set_back(&mut self, at: i64) {
        if self.newest.is_some_and(|newest| at < newest) {
            self.set_back(at);
        }
        self.newest = Some(at);
    }

    /// Points of the collection `tick`, or of none.
    fn append_points(&mut self, buffer: &SampleBuffer, tick: Option<u64>) -> Appended {
        let at = buffer.at().as_millis();
        let before = self.rejected();
        let mut done = Appended::default();
        for entity in buffer.entities() {
            for point in entity.points() {
                if !self.scraped.keeps(point.metric) {
                    continue;
                }
                match self.append_point(&entity, &point, tick, at) {
                    Ok(true) => done.samples += 1,
                    Ok(false) => {}
                    Err(reason) => self.rejections.count(&reason),
                }
            }
        }
        done.rejected = self.rejected() - before;
        done
    }

    /// Forgets what was sampled when the clock said `at` or more. A series that had ended stays ended, from a millisecond
    /// before; one that had come back stays alive, so that its former end is forgotten with its return.
    fn set_back(&mut self, at: i64) {
        self.clock_jumps += 1;
        let from = at.saturating_sub(1);
        self.timeline.forget_from(from);
        let (mut emptied, mut ended) = (Vec::new(), Vec::new());
        for (number, series) in self.series.iter_mut() {
            let end = series.ring.ended_at();
            series.ring.forget_from(&self.timeline, from);
            if end.is_none() {
                series.ring.forget_newest_ends(&self.timeline);
            }
            if series.ring.is_empty() {
                emptied.push(number);
            } else if let Some(end) = end {
                if end >= from {
                    series.ring.push_own(&self.timeline, from, STALE);
                }
                ended.push(number);
            }
        }
        for number in emptied {
            self.remove(number);
        }
        self.ended = Ended::default();
        self.outsiders.forget_ends();
        for number in ended {
            self.note_end(number);
        }
    }

    /// Appends one sample of a series that is known by its labels: what a rule has computed. What comes from outside is for
    /// [`Store::append_outside`].
    ///
    /// # Errors
    ///
    /// The sample is refused, and counted, when it is not newer than the newest of its series, when it would begin a
    /// series too many, or when the labels belong to a series of another origin.
    pub fn append_sample(
        &mut self,
        labels: &Labels,
        origin: &Origin,
        at: Timestamp,
        value: f64,
    ) -> Result<(), Rejected> {
        debug_assert!(!origin.is_outside(), "append_outside is for {origin}");
        let result = self.try_append_sample(labels, origin, at.as_millis(), value);
        if let Err(reason) = &result {
            self.rejections.count(reason);
        }
        result
    }

    /// Says that a series has ended.
    ///
    /// # Errors
    ///
    /// There is no such series, or it has a sample that is not older than `at`.
    pub fn mark_stale(&mut self, labels: &Labels, at: Timestamp) -> Result<(), Rejected> {
        let id = self.by_labels.get(labels).copied().ok_or(Rejected::Unknown)?;
        let series = self.series.get_mut(id.series).ok_or(Rejected::Unknown)?;
        if at.as_millis() <= series.ring.last() {
            self.rejections.count(&Rejected::NotNewer);
            return Err(Rejected::NotNewer);
        }
        series.ring.push_own(&self.timeline, at.as_millis(), STALE);
        self.note_end(id.series);
        Ok(())
    }

    /// Forgets what is older than the retention at `now`, whole series included.
    fn expire(&mut self, now: Timestamp) {
        let cutoff = now.minus(self.limits.retention).as_millis();
        self.timeline.trim(cutoff, self.limits.max_samples_per_series);
        let ended: Vec<u32> = self
            .series
            .iter()
            .filter(|(_, series)| series.ring.last() <= cutoff)
            .map(|(number, _)| number)
            .collect();
        for number in ended {
            self.remove(number);
        }
    }

    /// The series that satisfy all matchers, in the order in which they were first seen.
    ///
    /// Each series is there once: under its canonical name, unless a matcher on `__name__` asks for an alias.
    pub fn select(&self, matchers: &[Matcher]) -> Vec<SeriesId> {
        let named = matchers
            .iter()
            .any(|m| m.name() == METRIC_NAME && matches!(m.op(), MatchOp::Equal | MatchOp::Regex));
        let accept = |number: u32, entry: &Entry| {
            ((named || !entry.alias) && matchers.iter().all(|m| m.matches(entry.labels.get(m.name()))))
                .then_some((entry.alias, SeriesId { entry: number, series: entry.series }))
        };
        let mut found: Vec<(bool, SeriesId)> = match self.index.candidates(matchers) {
            Some(candidates) => candidates
                .into_iter()
                .filter_map(|number| accept(number, self.entries.get(number)?))
                .collect(),
            None => self.entries.iter().filter_map(|(number, entry)| accept(number, entry)).collect(),
        };
        if found.iter().any(|(alias, _)| *alias) {
            found.sort_unstable();
            let mut seen = HashSet::new();
            found.retain(|(_, id)| seen.insert(id.series));
        }
        let mut ids: Vec<SeriesId> = found.into_iter().map(|(_, id)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// Changes whenever a series comes or goes; ids of another generation mean nothing.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Changes whenever a series comes or goes that `matchers` might mean: ids selected by them stay good while it does
    /// not.
    pub fn generation_of(&self, matchers: &[Matcher]) -> u64 {
        self.index.changed(matchers).unwrap_or(self.generation)
    }

    /// A window over all series: samples after `from` and not after `to`, in milliseconds since the epoch.
    pub fn between(&self, from: i64, to: i64) -> Between<'_> {
        Between { store: self, bounds: Bounds::new(&self.timeline, from, to) }
    }

    /// The samples of one series after `from` and not after `to`, in milliseconds since the epoch.
    pub fn samples(&self, id: SeriesId, from: i64, to: i64) -> Samples<'_> {
        self.between(from, to).samples(id)
    }

    /// The newest sample in the `lookback` milliseconds up to `at`, unless it says that the series has ended.
    pub fn latest(&self, id: SeriesId, at: i64, lookback: i64) -> Option<(i64, f64)> {
        self.between(at.saturating_sub(lookback), at).latest(id)
    }

    /// The labels under which the series was selected.
    ///
    /// # Panics
    ///
    /// The id is of another generation and its series is gone.
    pub fn labels(&self, id: SeriesId) -> &Labels {
        &self.entries.get(id.entry).expect("an id of this generation has an entry").labels
    }

    /// Where the series comes from.
    ///
    /// # Panics
    ///
    /// The id is of another generation and its series is gone.
    pub fn origin(&self, id: SeriesId) -> &Origin {
        &self.series.get(id.series).expect("an id of this generation has a series").origin
    }

    /// How many series there are, aliases not counted.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// How many series that had ended made room for new ones since the start, before they were too old.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How many points and samples were refused since the start.
    pub fn rejected(&self) -> u64 {
        self.rejections.total()
    }

    /// How many points and samples were refused since the start, by reason.
    pub fn rejections(&self) -> Rejections {
        self.rejections
    }

    /// How often a collection was older than the one before it, because the clock had been set back.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps
    }

    /// Whether the point was new; what was measured before the collection may be known already.
    fn append_point(
        &mut self,
        entity: &EntityView<'_>,
        point: &PointView<'_>,
        tick: Option<u64>,
        collected: i64,
    ) -> Result<bool, Rejected> {
        let at = point.at.as_millis();
        let cutoff = collected.saturating_sub(millis(self.limits.retention));
        if at <= cutoff {
            return Ok(false);
        }
        let number = match self.by_fingerprint.get(&point.fingerprint) {
            Some(number) => *number,
            // The end of a series that was never taken, or is forgotten.
            None if point.number == Number::Gone => return Ok(false),
            None => self.begin_host_series(entity, point, tick)?,
        };
        let series = self.series.get_mut(number).ok_or(Rejected::Unknown)?;
        let value = point.number.as_f64().unwrap_or(STALE);
        if at <= series.ring.last() {
            if at < collected {
                return Ok(false);
            }
            if self.looked != Some(at) || at < series.ring.last() {
                return Err(Rejected::NotNewer);
            }
            series.ring.replace_newest(value);
        } else {
            match tick {
                Some(tick) if at >= collected => series.ring.push_tick(&self.timeline, tick, at, value),
                _ => series.ring.push_own(&self.timeline, at, value),
            }
        }
        series.ring.trim(cutoff, self.limits.max_samples_per_series);
        if is_stale(value) {
            self.by_fingerprint.remove(&point.fingerprint);
            series.fingerprint = None;
            self.note_end(number);
        }
        Ok(true)
    }

    fn try_append_sample(
        &mut self,
        labels: &Labels,
        origin: &Origin,
        at: i64,
        value: f64,
    ) -> Result<(), Rejected> {
        let number = match self.by_labels.get(labels) {
            Some(id) => id.series,
            None => self.begin(labels, origin, Ring::own())?,
        };
        let series = self.series.get_mut(number).ok_or(Rejected::Unknown)?;
        if series.origin != *origin {
            return Err(Rejected::Foreign { owner: series.origin.clone() });
        }
        if at <= series.ring.last() {
            return Err(Rejected::NotNewer);
        }
        series.ring.push_own(&self.timeline, at, value);
        let cutoff = at.saturating_sub(millis(self.limits.retention));
        series.ring.trim(cutoff, self.limits.max_samples_per_series);
        if is_stale(value) {
            self.note_end(number);
        }
        Ok(())
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// A window over all series of a store, its bounds found once.
#[derive(Clone, Copy)]
pub struct Between<'a> {
    store: &'a Store,
    bounds: Bounds,
}

impl<'a> Between<'a> {
    /// The samples of one series in the window, stale markers included.
    pub fn samples(&self, id: SeriesId) -> Samples<'a> {
        self.store
            .series
            .get(id.series)
            .map_or_else(Samples::default, |series| series.ring.within(&self.store.timeline, self.bounds))
    }

    /// The newest sample in the window, unless it says that the series has ended.
    pub fn latest(&self, id: SeriesId) -> Option<(i64, f64)> {
        let samples = self.samples(id);
        let (time, value) = (*samples.times.last()?, *samples.values.last()?);
        (!is_stale(value)).then_some((time, value))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
