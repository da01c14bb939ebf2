//! How samples come in: from collections, from looks between them, and from rules.

use std::sync::Arc;

use telemetry::{EntityView, Labels, Number, Origin, Origins, PointView, SampleBuffer, Timestamp};

use super::retention::millis;
use super::{Rejected, Store};
use crate::ring::Ring;
use crate::{STALE, is_stale};

/// What became of the points of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Samples kept, stale markers included.
    pub samples: u64,
    /// Points refused: of a series too many, or not newer than the newest sample of their series. One that was measured
    /// before its collection is not refused for its age: it is known already.
    pub rejected: u64,
}

impl Store {
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
                self.end_what_did_not_go_on(at);
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
        self.append_counted(labels, origin, None, at, value)
    }

    /// Appends one sample that a rule has computed of `origins`. They are added to those of the series: as long as it has
    /// samples, any of them may have been computed of what the newest was not.
    ///
    /// # Errors
    ///
    /// As of [`Store::append_sample`].
    pub fn append_recorded(
        &mut self,
        labels: &Labels,
        origins: &Arc<Origins>,
        at: Timestamp,
        value: f64,
    ) -> Result<(), Rejected> {
        self.append_counted(labels, &Origin::Rule, Some(origins), at, value)
    }

    fn append_counted(
        &mut self,
        labels: &Labels,
        origin: &Origin,
        origins: Option<&Arc<Origins>>,
        at: Timestamp,
        value: f64,
    ) -> Result<(), Rejected> {
        let result = self.try_append_sample(labels, origin, origins, at.as_millis(), value);
        if let Err(reason) = &result {
            self.rejections.count(reason);
        }
        result
    }

    /// Says what the next samples of a series were computed from. Without a sample yet it has those origins, otherwise those
    /// as well.
    pub(super) fn adopt_origins(&mut self, number: u32, origins: &Arc<Origins>) {
        let Some(series) = self.series.get_mut(number) else { return };
        if Arc::ptr_eq(&series.origins, origins) {
            return;
        }
        if series.ring.is_empty() || series.origins.is_subset(origins) {
            if series.origins == *origins {
                return;
            }
            series.origins = Arc::clone(origins);
        } else if origins.is_subset(&series.origins) {
            return;
        } else {
            series.origins = Arc::new(series.origins.union(origins).cloned().collect());
        }
        self.generation += 1;
    }

    /// Says that a series of `origin` has ended.
    ///
    /// # Errors
    ///
    /// There is no such series, it has a sample that is not older than `at`, or it is of another origin: only who gives a
    /// series its samples may end it.
    pub fn mark_stale(&mut self, labels: &Labels, origin: &Origin, at: Timestamp) -> Result<(), Rejected> {
        let id = self.by_labels.get(labels).copied().ok_or(Rejected::Unknown)?;
        let series = self.series.get_mut(id.series).ok_or(Rejected::Unknown)?;
        if series.origin != *origin {
            let foreign = Rejected::Foreign { owner: series.origin.clone() };
            self.rejections.count(&foreign);
            return Err(foreign);
        }
        if at.as_millis() <= series.ring.last() {
            self.rejections.count(&Rejected::NotNewer);
            return Err(Rejected::NotNewer);
        }
        series.ring.push_own(&self.timeline, at.as_millis(), STALE);
        self.note_end(id.series);
        Ok(())
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
        if at <= collected.saturating_sub(millis(self.limits.retention)) {
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
        series.ring.settle(&self.timeline, &self.limits.keep(series.reach, collected, self.hot));
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
        origins: Option<&Arc<Origins>>,
        at: i64,
        value: f64,
    ) -> Result<(), Rejected> {
        let number = match self.by_labels.get(labels) {
            Some(id) => id.series,
            None => self.begin(labels, origin, Ring::new(None))?,
        };
        let series = self.series.get(number).ok_or(Rejected::Unknown)?;
        if series.origin != *origin {
            return Err(Rejected::Foreign { owner: series.origin.clone() });
        }
        if at <= series.ring.last() {
            return Err(Rejected::NotNewer);
        }
        if let Some(origins) = origins {
            self.adopt_origins(number, origins);
        }
        let series = self.series.get_mut(number).ok_or(Rejected::Unknown)?;
        series.ring.push_own(&self.timeline, at, value);
        series.ring.settle(&self.timeline, &self.limits.keep(series.reach, at, self.hot));
        if is_stale(value) {
            self.note_end(number);
        }
        Ok(())
    }
}
