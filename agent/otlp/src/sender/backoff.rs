//! How long to wait before a batch is sent again.
//!
//! Doubles from a second to ten and forgets after a success. A destination that names its own delay is left
//! alone for at least that long. The jitter spreads agents that lost the same collector at the same moment.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
/// What is fresh is to arrive within ten seconds of the end of an outage.
const LONGEST: Duration = Duration::from_secs(10);
/// A destination may ask for more; it is asked again after five minutes all the same, so that a mistaken or hostile
/// answer does not silence the host.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// For who asked for a delay, and so is there and has too much to do; and for what time alone seldom mends.
const LONGEST_IN_PATIENCE: Duration = Duration::from_secs(30);

/// The delays between failures that follow one another.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    last: Duration,
    is_patient: bool,
}

impl Backoff {
    /// The delay after one more failure. `jitter` is a random number from 0 to 1; without an answer from the
    /// destination it picks from the upper half of the delay, with one it adds up to a tenth.
    pub fn after_failure(&mut self, retry_after: Option<Duration>, jitter: f64) -> Duration {
        if let Some(asked) = retry_after.filter(|asked| !asked.is_zero()) {
            (self.last, self.is_patient) = (asked.min(LONGEST_ASKED), true);
            return self.last.mul_f64(1.0 + jitter / 10.0);
        }
        let longest = if self.is_patient { LONGEST_IN_PATIENCE } else { LONGEST };
        self.last = (self.last * 2).clamp(FIRST, longest.max(self.last));
        self.last.mul_f64(0.5 + jitter / 2.0)
    }

    /// Lets delays grow longer until a success.
    pub fn be_patient(&mut self) {
        self.is_patient = true;
    }

    /// Starts over.
    pub fn after_success(&mut self) {
        *self = Self::default();
    }
}

/// From 0 to 1. The standard library's hash keys are random enough to spread retries.
pub fn random() -> f64 {
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn delays_double_up_to_ten_seconds_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..7).map(|_| backoff.after_failure(None, 1.0)).collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10, 10].map(secs));
        backoff.after_success();
        assert_eq!(backoff.after_failure(None, 1.0), secs(1));
    }

    #[test]
    fn a_delay_that_was_asked_for_is_kept_and_doubled_from() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_failure(Some(secs(10)), 0.0), secs(10));
        assert_eq!(backoff.after_failure(None, 1.0), secs(20));
        assert_eq!(backoff.after_failure(Some(secs(60)), 1.0), secs(66));
        assert_eq!(backoff.after_failure(None, 1.0), secs(60));
    }

    #[test]
    fn an_asked_delay_of_zero_is_no_invitation_to_hammer() {
        assert_eq!(Backoff::default().after_failure(Some(Duration::ZERO), 1.0), secs(1));
    }

    proptest! {
        #[test]
        fn every_delay_is_bounded_and_never_shorter_than_asked(
            failures in proptest::collection::vec((proptest::option::of(0_u64..1_000), 0.0..1.0), 1..20),
        ) {
            let mut backoff = Backoff::default();
            for (asked, jitter) in failures {
                let delay = backoff.after_failure(asked.map(secs), jitter);
                prop_assert!(delay >= Duration::from_millis(500));
                prop_assert!(delay >= secs(asked.unwrap_or(0).min(300)));
                prop_assert!(delay <= secs(330));
            }
        }
    }
}
