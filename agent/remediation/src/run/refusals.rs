//! How often refusals are told of, so that whoever can make alerts fire cannot fill the journal or hold up repairs by it.
//!
//! An alert on the word of somebody whom its runbook does not trust is refused by that alone, and told of once an hour,
//! however often it comes and goes. Beyond so many refusals in a minute the others are counted and not told; those of
//! untrusted alerts have a bound of their own, and so take no room from the rest.

use std::collections::HashMap;
use std::time::Duration;

use telemetry::{Alert, Labels, Timestamp};

/// How long an alert that is not trusted is no news.
const UNTRUSTED_FOR: Duration = Duration::from_hours(1);

/// Untrusted alerts that are remembered. At the limit all are forgotten; the bound of each minute stays.
const MAX_UNTRUSTED: usize = 10_000;

/// Refusals that are told of in a minute: of untrusted alerts, and of others.
const UNTRUSTED_EACH_MINUTE: u32 = 10;
const OTHERS_EACH_MINUTE: u32 = 60;

const MINUTE: Duration = Duration::from_mins(1);

/// What was told of, and what was not.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    untrusted: HashMap<(String, Labels), Timestamp>,
    told: [Minute; 2],
    untold: u64,
}

#[derive(Debug, Default)]
struct Minute {
    begun: Option<Timestamp>,
    told: u32,
}

impl Minute {
    fn takes(&mut self, most: u32, now: Timestamp) -> bool {
        // Also when the clock has jumped back.
        if self.begun.is_none_or(|begun| now.since(begun) >= MINUTE || begun > now) {
            *self = Self { begun: Some(now), told: 0 };
        }
        let takes = self.told < most;
        self.told += u32::from(takes);
        takes
    }
}

impl Refusals {
    /// Whether an untrusted alert was refused within the hour. Remembers that it is now.
    pub(super) fn knows_untrusted(&mut self, runbook: &str, alert: &Alert, now: Timestamp) -> bool {
        let key = (runbook.to_owned(), alert.labels.clone());
        if self.untrusted.get(&key).is_some_and(|at| now < at.plus(UNTRUSTED_FOR) && *at <= now) {
            return true;
        }
        if self.untrusted.len() >= MAX_UNTRUSTED {
            self.untrusted.clear();
        }
        self.untrusted.insert(key, now);
        false
    }

    /// Whether one more may be told of now; counts one that may not.
    pub(super) fn may_be_told(&mut self, untrusted: bool, now: Timestamp) -> bool {
        let [of_untrusted, others] = &mut self.told;
        let takes = if untrusted {
            of_untrusted.takes(UNTRUSTED_EACH_MINUTE, now)
        } else {
            others.takes(OTHERS_EACH_MINUTE, now)
        };
        self.untold += u64::from(!takes);
        takes
    }

    /// How many were not told of.
    pub(super) fn untold(&self) -> u64 {
        self.untold
    }
}
