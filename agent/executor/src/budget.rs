//! How often something may be done: `10 per 1h`.
//!
//! A budget is spent before the deed, so a deed that fails has been counted. What was spent at a time that the clock
//! has since jumped back from still counts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{Timestamp, format_duration, parse_duration};

/// The largest count in a budget: each spent entry is kept, and more than this per window is no limit.
const MAX_COUNT: u32 = 10_000;

/// How long what was spent counts where no window stands beside it.
const UNWRITTEN_WINDOW: Duration = Duration::from_hours(24);

/// At most so many within any window of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How many.
    pub at_most: u32,
    /// The length of the window.
    pub per: Duration,
}

/// A text that is not a budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a budget; write it as in `10 per 1h`, from 1 to {MAX_COUNT} per window")]
pub struct BudgetError {
    text: String,
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let read = || {
            let (count, per) = text.split_once(" per ")?;
            let budget = Self { at_most: count.trim().parse().ok()?, per: parse_duration(per.trim()).ok()? };
            let sound = (1..=MAX_COUNT).contains(&budget.at_most) && !budget.per.is_zero();
            sound.then_some(budget)
        };
        read().ok_or_else(|| BudgetError { text: text.to_owned() })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.at_most, format_duration(self.per))
    }
}

/// What of one budget has been spent: the latest moments, as many as the budget has.
///
/// The latest by their time, not by their order: with these alone no window can be overfilled, however the clock jumps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct Spent {
    moments: Vec<Timestamp>,
    /// The longest window of those that it was spent under.
    per: Duration,
}

/// As it may stand in a file: the moments alone, as they once did, or all of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Moments(Vec<Timestamp>),
    All { moments: Vec<Timestamp>, per: Duration },
}

impl From<Written> for Spent {
    fn from(written: Written) -> Self {
        let (mut moments, per) = match written {
            Written::Moments(moments) => (moments, UNWRITTEN_WINDOW),
            Written::All { moments, per } => (moments, per),
        };
        moments.sort_unstable_by(|a, b| b.cmp(a));
        Self { moments, per }
    }
}

impl Spent {
    /// Counts one deed, unless the budget is used up.
    pub(crate) fn spend(&mut self, budget: Budget, now: Timestamp) -> bool {
        let limit = budget.at_most as usize;
        if self.moments.iter().filter(|at| at.plus(budget.per) > now).count() >= limit {
            return false;
        }
        let place = self.moments.partition_point(|at| *at > now);
        self.moments.insert(place, now);
        self.moments.truncate(limit);
        self.per = self.per.max(budget.per);
        true
    }

    /// Whether anything of it still counts.
    pub(crate) fn counts(&self, now: Timestamp) -> bool {
        self.latest().is_some_and(|at| at.plus(self.per) > now)
    }

    /// All of a budget spent at one moment.
    #[cfg(test)]
    pub(crate) fn full(budget: Budget, at: Timestamp) -> Self {
        Self { moments: vec![at; budget.at_most as usize], per: budget.per }
    }

    /// When something was last spent.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        self.moments.first().copied()
    }

    /// How many moments it takes to know it.
    pub(crate) fn len(&self) -> usize {
        self.moments.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn budgets_read_back_and_nonsense_is_refused() {
        let budget: Budget = "3 per 10m".parse().unwrap();
        assert_eq!(budget, Budget { at_most: 3, per: Duration::from_mins(10) });
        assert_eq!(budget.to_string(), "3 per 10m");
        for text in ["", "3", "0 per 1h", "3 per 0", "3 in 1h", "-1 per 1h", "10001 per 1h", "3 per hour"] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_budget_even_if_the_clock_jumps(
            steps in proptest::collection::vec(-150_i64..150, 1..200),
            at_most in 1_u32..6,
        ) {
            let budget = Budget { at_most, per: Duration::from_mins(1) };
            let mut spent = Spent::default();
            let (mut now, mut done) = (100_000_i64, Vec::<i64>::new());
            for step in steps {
                now += step;
                if spent.spend(budget, Timestamp::from_secs(now)) {
                    done.push(now);
                }
                for end in &done {
                    let within = done.iter().filter(|at| **at > end - 60 && *at <= end).count();
                    prop_assert!(within <= at_most as usize);
                }
            }
        }
    }
}
