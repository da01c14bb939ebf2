//! When a group is evaluated: at slots, whatever the wall clock says when its turn comes.
//!
//! Slots lie one interval apart at a phase of the group's own, so that groups do not all run at once and run at the
//! same times after a restart. A slot that passed while an evaluation was late is left out and counted, not made up for.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use telemetry::Timestamp;

/// The shortest interval between evaluations; a shorter one is drawn out to it.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// The slots of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    interval: i64,
    phase: i64,
    last: Timestamp,
    missed: u64,
}

impl Schedule {
    /// Slots `interval` apart whose phase is told by `key`. The first is after `now`.
    pub(crate) fn new(key: impl Hash, interval: Duration, now: Timestamp) -> Self {
        let interval = i64::try_from(interval.max(MIN_INTERVAL).as_nanos()).unwrap_or(i64::MAX);
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        // Whole milliseconds, because series keep no finer times.
        let phase = (hasher.finish() % (interval as u64).div_ceil(1_000_000)) as i64 * 1_000_000;
        let mut schedule = Self { interval, phase, last: now, missed: 0 };
        schedule.last = schedule.slot(now);
        schedule
    }

    /// The slot to evaluate now, if one has come since the last that was given.
    ///
    /// After the clock was set back by more than a slot, the slots begin anew from there.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let slot = self.slot(now);
        let passed = (slot.as_nanos().saturating_sub(self.last.as_nanos())) / self.interval;
        if passed < -1 {
            self.last = slot;
        }
        if passed <= 0 {
            return None;
        }
        self.missed += passed as u64 - 1;
        self.last = slot;
        Some(slot)
    }

    /// The first slot after the last that was given: when [`Schedule::due`] is worth asking again.
    pub(crate) fn next(&self) -> Timestamp {
        Timestamp::from_nanos(self.last.as_nanos().saturating_add(self.interval))
    }

    /// Whether both lie at the same times.
    pub(crate) fn has_the_slots_of(&self, other: &Self) -> bool {
        (self.interval, self.phase) == (other.interval, other.phase)
    }

    /// How many slots have been left out.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// The last slot that is not after `now`.
    fn slot(&self, now: Timestamp) -> Timestamp {
        let nanos = now.as_nanos();
        let since = nanos.saturating_sub(self.phase).rem_euclid(self.interval);
        Timestamp::from_nanos(nanos.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEN: Duration = Duration::from_secs(10);

    fn at(schedule: &Schedule, seconds: i64) -> Timestamp {
        Timestamp::from_nanos(schedule.phase + seconds * 1_000_000_000)
    }

    /// A schedule that began at 1005 s of its own phase.
    fn schedule() -> Schedule {
        let mut schedule = Schedule::new("node.yaml;node", TEN, Timestamp::EPOCH);
        schedule.due(at(&schedule, 1005));
        schedule.missed = 0;
        schedule
    }

    #[test]
    fn a_slot_is_given_once_when_its_time_has_come() {
        let mut schedule = schedule();
        assert_eq!(schedule.next(), at(&schedule, 1010));
        assert_eq!(schedule.due(at(&schedule, 1009)), None);
        assert_eq!(schedule.due(at(&schedule, 1013)), Some(at(&schedule, 1010)));
        assert_eq!(schedule.due(at(&schedule, 1013)), None);
        assert_eq!(schedule.due(at(&schedule, 1020)), Some(at(&schedule, 1020)));
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn missed_slots_are_left_out_and_counted() {
        let mut schedule = schedule();
        assert_eq!(schedule.due(at(&schedule, 1047)), Some(at(&schedule, 1040)));
        assert_eq!(schedule.missed(), 3);
        assert_eq!(schedule.due(at(&schedule, 1050)), Some(at(&schedule, 1050)));
        assert_eq!(schedule.missed(), 3);
    }

    #[test]
    fn after_the_clock_was_set_back_rules_run_again_within_an_interval() {
        let mut schedule = schedule();
        assert_eq!(schedule.due(at(&schedule, 12)), None);
        assert_eq!(schedule.due(at(&schedule, 21)), Some(at(&schedule, 20)));
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn a_clock_that_steps_back_a_little_gives_no_slot_twice() {
        let mut schedule = schedule();
        assert_eq!(schedule.due(at(&schedule, 1010)), Some(at(&schedule, 1010)));
        assert_eq!(schedule.due(at(&schedule, 1008)), None);
        assert_eq!(schedule.due(at(&schedule, 1011)), None);
        assert_eq!(schedule.due(at(&schedule, 1020)), Some(at(&schedule, 1020)));
    }

    #[test]
    fn groups_keep_their_phase_over_restarts_and_differ_in_it() {
        let one = Schedule::new("a.yaml;disk", TEN, Timestamp::from_secs(7));
        let again = Schedule::new("a.yaml;disk", TEN, Timestamp::from_secs(70_000));
        let other = Schedule::new("a.yaml;memory", TEN, Timestamp::from_secs(7));
        assert_eq!(one.phase, again.phase);
        assert_ne!(one.phase, other.phase);
    }

    proptest! {
        #[test]
        fn a_slot_is_never_in_the_future_nor_older_than_an_interval(
            key in any::<u64>(),
            interval in 1_u64..100_000,
            start in 0_i64..1 << 60,
            gap in 0_u64..1 << 40,
        ) {
            let interval = Duration::from_millis(interval);
            let mut schedule = Schedule::new(key, interval, Timestamp::from_nanos(start));
            let now = Timestamp::from_nanos(start).plus(Duration::from_nanos(gap));
            let next = schedule.next();
            match schedule.due(now) {
                Some(slot) => prop_assert!(slot <= now && slot >= next && now.since(slot) < interval),
                None => prop_assert!(now < next),
            }
        }
    }
}
