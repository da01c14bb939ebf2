//! How restless an alert is: a count of its changes that fades.
//!
//! Each time an alert begins to fire or is resolved counts one, and a count loses half its weight every
//! [`FLAP_HALF_LIFE`]. Alerts that are over are remembered until little is left of their count, because one that flaps is
//! over most of the time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{Labels, Timestamp};

/// After so long a change counts half.
pub const FLAP_HALF_LIFE: Duration = Duration::from_mins(15);

/// From this score on an alert is flapping: it fires for the third time within some 5 minutes, or comes and goes all the
/// time at least every 10. What fires twice in a row may have failed twice.
pub const FLAPPING: f64 = 4.5;

/// A score under this is forgotten.
const FORGOTTEN: f64 = 0.1;

/// Alerts of one rule whose score is kept. Beyond it those with the least are forgotten.
const MAX_SCORES: usize = 1_000;

/// The scores of the alerts of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Flaps(BTreeMap<Labels, Score>);

/// A score as it was at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Score {
    score: f64,
    at: Timestamp,
}

impl Score {
    pub(crate) fn at(self, now: Timestamp) -> f64 {
        let half_lives = now.since(self.at).as_secs_f64() / FLAP_HALF_LIFE.as_secs_f64();
        self.score * (-half_lives).exp2()
    }
}

impl Flaps {
    /// Counts a change of an alert.
    pub(crate) fn count(&mut self, labels: &Labels, now: Timestamp) {
        let score = self.score(labels, now) + 1.0;
        self.0.insert(labels.clone(), Score { score, at: now });
        self.bound(now);
    }

    /// The score of an alert at `now`.
    pub(crate) fn score(&self, labels: &Labels, now: Timestamp) -> f64 {
        self.0.get(labels).map_or(0.0, |score| score.at(now))
    }

    /// Forgets what has faded.
    pub(crate) fn fade(&mut self, now: Timestamp) {
        self.0.retain(|_, score| score.at(now) >= FORGOTTEN);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Labels, Score)> {
        self.0.iter().map(|(labels, score)| (labels, *score))
    }

    /// The scores as they were saved, without those that cannot be.
    pub(crate) fn restore(scores: impl Iterator<Item = (Labels, Score)>, now: Timestamp) -> Self {
        let sane = |(_, score): &(Labels, Score)| score.score.is_finite() && score.at <= now;
        let mut flaps = Self(scores.filter(sane).take(MAX_SCORES).collect());
        flaps.fade(now);
        flaps
    }

    fn bound(&mut self, now: Timestamp) {
        while self.0.len() > MAX_SCORES {
            let least = self.0.iter().min_by(|(_, one), (_, other)| one.at(now).total_cmp(&other.at(now)));
            let Some(labels) = least.map(|(labels, _)| labels.clone()) else { return };
            self.0.remove(&labels);
        }
    }
}
