//! By what time records are judged too old, though the clock may be set.
//!
//! A clock that is set forward makes everything look old at once, and would have it all dropped. So a leap, which is
//! more time by the clock than has passed, is not counted; and it need not be for longer than the limit of age, for then
//! everything from before the leap has truly waited for so long, and nothing from after it has yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The clock may run ahead by so much between two looks, for clocks are also adjusted a little at a time.
const TOLERANCE: Duration = Duration::from_secs(10);

/// A clock that leaps more often within the limit of age is not trusted: its latest leaps are taken as one.
const LEAPS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct AgeClock {
    last: Option<(i64, Instant)>,
    /// When the clock leapt, and how far in nanoseconds.
    leaps: VecDeque<(Instant, i64)>,
}

impl AgeClock {
    /// The time to compare with those of the records, when the clock shows `now` at `moment` and records may be kept
    /// for `max_age`. Never later than `now`.
    pub(crate) fn judge(&mut self, now: i64, moment: Instant, max_age: Duration) -> i64 {
        if let Some((last, at)) = self.last.replace((now, moment)) {
            let passed = nanos(moment.saturating_duration_since(at));
            let leap = now.saturating_sub(last).saturating_sub(passed);
            if leap > nanos(TOLERANCE) {
                let is_full = self.leaps.len() >= LEAPS;
                match self.leaps.back_mut().filter(|_| is_full) {
                    Some(latest) => *latest = (moment, latest.1.saturating_add(leap)),
                    None => self.leaps.push_back((moment, leap)),
                }
            }
        }
        while self.leaps.pop_front_if(|(at, _)| moment.saturating_duration_since(*at) > max_age).is_some() {}
        self.leaps.iter().fold(now, |time, (_, leap)| time.saturating_sub(*leap))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: i64 = 24 * 3_600_000_000_000;

    #[expect(clippy::disallowed_methods, reason = "there is no other way to make the first moment")]
    fn moment() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_clock_set_forward_ages_nothing_until_everything_from_before_is_truly_old() {
        let (mut clock, begin) = (AgeClock::default(), moment());
        assert_eq!(clock.judge(DAY, begin, HOUR), DAY);
        let second = nanos(Duration::from_secs(1));
        assert_eq!(clock.judge(DAY + second, begin + Duration::from_secs(1), HOUR), DAY + second);
        // A year passes in a second.
        let later = 366 * DAY + 2 * second;
        assert_eq!(clock.judge(later, begin + Duration::from_secs(2), HOUR), DAY + 2 * second);
        let mut time = later;
        for minute in 1..=60 {
            time = later + minute * 60 * second;
            let judged = clock.judge(time, begin + Duration::from_secs(2 + 60 * minute as u64), HOUR);
            assert_eq!(judged, DAY + 2 * second + minute * 60 * second, "minute {minute}");
        }
        let moment = begin + HOUR + Duration::from_secs(4);
        assert_eq!(clock.judge(time + 2 * second, moment, HOUR), time + 2 * second);
    }

    #[test]
    fn a_clock_set_back_makes_nothing_older_and_a_slow_drift_is_no_leap() {
        let (mut clock, begin) = (AgeClock::default(), moment());
        clock.judge(10 * DAY, begin, HOUR);
        assert_eq!(clock.judge(DAY, begin + HOUR, HOUR), DAY);
        let drifted = DAY + nanos(HOUR) + nanos(TOLERANCE);
        assert_eq!(clock.judge(drifted, begin + 2 * HOUR, HOUR), drifted);
    }

    #[test]
    fn a_clock_that_leaps_all_the_time_costs_no_memory() {
        let (mut clock, begin) = (AgeClock::default(), moment());
        for leap in 0..1_000 {
            let judged = clock.judge(leap * DAY, begin, HOUR);
            assert_eq!(judged, 0, "no time has passed");
        }
        assert_eq!(clock.leaps.len(), LEAPS);
    }
}
