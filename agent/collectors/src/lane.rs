//! Which collectors are asked together, and in which ticks.
//!
//! Collectors of one interval form a lane. The tick is what all intervals have in common; lanes that are slower than it
//! have a phase, so that their work does not bunch in one tick. All is counted in ticks: nothing here knows the time. What
//! would surprise: in the first tick every lane is due, so that everything is known at once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::collector::{COLLECTORS, CollectorSpec};

/// Ticks shorter than this would cost more than they show.
pub const MIN_TICK: Duration = Duration::from_millis(100);

/// Rules look back five minutes for the newest sample of a series. One that comes every two minutes is seen although one
/// collection failed; intervals are not stretched beyond it.
pub const LONGEST_SEEN: Duration = Duration::from_mins(2);

/// Phases that are tried for a lane; later ones of a very slow lane would not be better.
const TRIED_PHASES: u64 = 1_000;

/// How often collectors are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Those of which nothing else is said.
    pub default: Duration,
    /// By the collector's name.
    pub by_name: BTreeMap<String, Duration>,
}

/// The intervals have too little in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the intervals have only {common:?} in common, and every {MIN_TICK:?} is most often; make each a multiple of {MIN_TICK:?}"
)]
pub struct UnevenIntervals {
    common: Duration,
}

impl Intervals {
    /// All at the same interval, unless a collector has one of its own.
    pub fn every(default: Duration) -> Self {
        Self { default, by_name: BTreeMap::new() }
    }

    /// As it is set, else the collector's own, which is never shorter than the default and a multiple of it.
    pub fn of(&self, spec: &CollectorSpec) -> Duration {
        self.by_name.get(spec.name).copied().unwrap_or_else(|| {
            let own = spec.interval.unwrap_or_default().as_nanos();
            let times = own.div_ceil(self.default.as_nanos().max(1)).max(1);
            self.default.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
        })
    }
}

/// Collectors that are asked at the same times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    collectors: Vec<&'static str>,
    /// In ticks.
    every: u64,
    /// In ticks, less than `every`.
    phase: u64,
}

impl Lane {
    /// Whether the collector of this name is in it.
    pub fn has(&self, collector: &str) -> bool {
        self.collectors.contains(&collector)
    }
}

/// The lanes of a host, the fastest first; there is always one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lanes {
    tick: Duration,
    lanes: Vec<Lane>,
}

impl Lanes {
    /// Those of the collectors whose name is `enabled`.
    ///
    /// # Errors
    ///
    /// The greatest common divisor of the intervals is shorter than [`MIN_TICK`].
    pub fn new(intervals: &Intervals, enabled: &dyn Fn(&str) -> bool) -> Result<Self, UnevenIntervals> {
        Self::of(COLLECTORS.iter().filter(|spec| enabled(spec.name)), intervals)
    }

    fn of(
        collectors: impl Iterator<Item = &'static CollectorSpec>,
        intervals: &Intervals,
    ) -> Result<Self, UnevenIntervals> {
        let mut by_interval = BTreeMap::<Duration, Vec<&'static str>>::new();
        for spec in collectors {
            by_interval.entry(intervals.of(spec)).or_default().push(spec.name);
        }
        if by_interval.is_empty() {
            by_interval.insert(intervals.default, Vec::new());
        }
        let nanos = by_interval.keys().map(Duration::as_nanos).fold(0, gcd);
        let tick = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        if tick < MIN_TICK {
            return Err(UnevenIntervals { common: tick });
        }
        let mut lanes: Vec<Lane> = Vec::new();
        for (interval, collectors) in by_interval {
            let every = u64::try_from(interval.as_nanos() / nanos.max(1)).unwrap_or(u64::MAX).max(1);
            let phase = free_phase(every, &lanes);
            lanes.push(Lane { collectors, every, phase });
        }
        Ok(Self { tick, lanes })
    }

    /// The time between two ticks.
    pub fn tick(&self) -> Duration {
        self.tick
    }

    /// The lanes, the fastest first.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The number of the lane in which the collector of this name is.
    pub fn lane_of(&self, collector: &str) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.has(collector))
    }

    /// Whether the lane of this number has come round after the tick `before` (none: before the first) up to `tick`, its
    /// interval `stretch` times as long. What was due in ticks that were missed is due now, once.
    pub fn is_due(&self, lane: usize, before: Option<u64>, tick: u64, stretch: u32) -> bool {
        let (Some(lane), Some(before)) = (self.lanes.get(lane), before) else { return before.is_none() };
        self.round(lane, tick, stretch) > self.round(lane, before, stretch)
    }

    /// The first tick after `tick` in which a lane is due.
    pub fn next(&self, tick: u64, stretch: u32) -> u64 {
        let next = self.lanes.iter().map(|lane| {
            let every = self.every(lane, stretch);
            self.round(lane, tick, stretch).saturating_mul(every).saturating_add(lane.phase)
        });
        next.min().unwrap_or(tick).max(tick.saturating_add(1))
    }

    /// How many ticks of the lane's have come up to `tick`.
    fn round(&self, lane: &Lane, tick: u64, stretch: u32) -> u64 {
        tick.checked_sub(lane.phase).map_or(0, |since| since / self.every(lane, stretch) + 1)
    }

    /// The lane's interval in ticks, no longer than rules can see unless it is so unstretched.
    fn every(&self, lane: &Lane, stretch: u32) -> u64 {
        let seen = u64::try_from(LONGEST_SEEN.as_nanos() / self.tick.as_nanos().max(1)).unwrap_or(u64::MAX);
        lane.every.saturating_mul(u64::from(stretch.max(1))).min(seen.max(lane.every))
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The phase at which a lane meets the fewest others, and keeps farthest from them.
fn free_phase(every: u64, others: &[Lane]) -> u64 {
    let score = |phase: u64| {
        let distances = others.iter().filter_map(|other| {
            // Both come round together sooner or later unless they differ in what their intervals have in common.
            let common = gcd(every.into(), other.every.into()) as u64;
            let apart = phase.abs_diff(other.phase) % common;
            (common > 1).then(|| apart.min(common - apart))
        });
        distances
            .fold((0, u64::MAX), |(met, nearest), apart| (met + u64::from(apart == 0), nearest.min(apart)))
    };
    let best = (0..every.min(TRIED_PHASES)).min_by_key(|phase| {
        let (met, nearest) = score(*phase);
        (met, u64::MAX - nearest, *phase)
    });
    best.unwrap_or(0)
}

#[cfg(test)]
mod tests;
