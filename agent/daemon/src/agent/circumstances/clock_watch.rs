//! Notices when the clock is set.
//!
//! The time of day is compared with the time since boot, which nobody sets and which goes on while the host sleeps. A clock
//! that is kept by slewing moves too little between two looks to be noticed, as it should.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use telemetry::Timestamp;

use crate::clock;

/// A smaller step is none: samples and timers bear it.
const STEP: Duration = Duration::from_secs(1);

/// When the clock was last set, as far as that was noticed.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Look>,
    set: Option<Timestamp>,
}

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    now: Timestamp,
    since_boot: Duration,
}

impl ClockWatch {
    /// Compares the clocks. To be called often: a step is noticed at the first look after it.
    pub(crate) fn look(&self) {
        let look = Look { now: clock::now(), since_boot: clock::since_boot() };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.take(look) {
            tracing::warn!("the clock was set; runs wait until what is known of the host is newer");
        }
    }

    /// When the clock was last set, by the clock as it is since.
    pub(crate) fn last_set(&self) -> Option<Timestamp> {
        self.look();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set
    }
}

impl State {
    /// Whether the clock was set since the look before.
    fn take(&mut self, look: Look) -> bool {
        let Some(last) = self.last.replace(look) else { return false };
        let expected = last.now.plus(look.since_boot.saturating_sub(last.since_boot));
        let was_set = look.now.since(expected) >= STEP || expected.since(look.now) >= STEP;
        if was_set {
            self.set = Some(look.now);
        } else if self.set.is_some_and(|set| set > look.now) {
            // A small step back, so that the last one seems to lie ahead.
            self.set = Some(look.now);
        }
        was_set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_second_either_way_is_noticed_and_a_slow_correction_is_not() {
        let mut state = State::default();
        let mut take = |now: i64, since_boot: u64| {
            let look =
                Look { now: Timestamp::from_millis(now), since_boot: Duration::from_millis(since_boot) };
            (state.take(look), state.set)
        };
        assert_eq!(take(1_000_000, 10_000), (false, None));
        assert_eq!(take(1_010_005, 20_000), (false, None));
        assert_eq!(take(1_021_005, 30_000), (true, Some(Timestamp::from_millis(1_021_005))));
        assert_eq!(take(1_031_005, 40_000), (false, Some(Timestamp::from_millis(1_021_005))));
        assert_eq!(take(1_000_000, 50_000), (true, Some(Timestamp::from_millis(1_000_000))));
        assert_eq!(take(4_600_000, 3_650_000), (false, Some(Timestamp::from_millis(1_000_000))));
    }
}
