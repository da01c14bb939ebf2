//! An alert as others are told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use telemetry::{Alert, AlertState, Labels, Timestamp};

/// How many times over the longer of evaluation and resending may pass before a receiver takes a firing alert for
/// resolved. Prometheus' figure: up to three rounds may be lost on the way.
const VALID_ROUNDS: u32 = 4;

/// An alert that fires, or that did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// All labels of the alert, without those that are added on the way out. They identify it.
    #[serde(deserialize_with = "labels")]
    pub labels: Labels,
    /// Texts for people.
    pub annotations: BTreeMap<String, String>,
    /// When it began to fire.
    pub fired_at: Timestamp,
    /// When it was over; none while it fires.
    pub resolved_at: Option<Timestamp>,
    /// Until when it is to be believed that it fires, if nothing more is heard of it.
    pub valid_until: Timestamp,
    /// The expression of its rule.
    pub expression: String,
    /// People who do not know of it are not told before then: something else is at work on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

impl Notice {
    /// What is told of an alert at `now`, whose group is evaluated each `interval`; nothing while it is pending.
    pub fn of(alert: &Alert, interval: Duration, resend_delay: Duration, now: Timestamp) -> Option<Self> {
        if alert.state == AlertState::Pending {
            return None;
        }
        let resolved = alert.state == AlertState::Resolved;
        Some(Self {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            fired_at: alert.fired_at.unwrap_or(alert.active_at),
            resolved_at: resolved.then(|| alert.resolved_at.unwrap_or(now)),
            valid_until: valid_until(interval, resend_delay, now),
            expression: alert.source.expression.clone(),
            held_until: None,
        })
    }

    /// The same, held back from people for so long from its beginning. A beginning that lies in the future says that the
    /// clock was set back; then nothing is held back, as nobody knows for how long that would be.
    #[must_use]
    pub fn held_back(mut self, duration: Option<Duration>, now: Timestamp) -> Self {
        let until = duration.map(|duration| self.fired_at.plus(duration));
        self.held_until = until.filter(|_| self.fires() && self.fired_at <= now);
        self
    }

    /// Whether it fires.
    pub const fn fires(&self) -> bool {
        self.resolved_at.is_none()
    }

    /// The value of the label `alertname`.
    pub fn name(&self) -> &str {
        self.labels.get("alertname")
    }
}

/// Until when what is told at `now` is to be believed.
pub(crate) fn valid_until(interval: Duration, resend_delay: Duration, now: Timestamp) -> Timestamp {
    now.plus(interval.max(resend_delay).saturating_mul(VALID_ROUNDS))
}

fn labels<'de, D: Deserializer<'de>>(from: D) -> Result<Labels, D::Error> {
    Ok(BTreeMap::<String, String>::deserialize(from)?.into_iter().collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::externals::Externals;

    pub(crate) fn externals() -> Externals {
        Externals {
            labels: [("host", "web-01"), ("region", "eu")].into_iter().collect(),
            url: "https://web-01.example/hostmend/".to_owned(),
        }
    }

    pub(crate) fn notice() -> Notice {
        let labels = [("alertname", "DiskFull"), ("path", "/a \"b\""), ("host", "own")];
        let mut alert =
            Alert::new(labels.into_iter().collect(), AlertState::Firing, Timestamp::from_secs(1_700_000_000));
        alert.annotations.insert("summary".to_owned(), "full".to_owned());
        let expression = "up{job=\"a b\"} == 0".to_owned();
        alert.source = std::sync::Arc::new(telemetry::AlertSource { expression, ..Default::default() });
        let now = Timestamp::from_secs(1_700_000_010);
        Notice::of(&alert, Duration::from_secs(10), Duration::from_mins(1), now).unwrap()
    }

    #[test]
    fn what_is_pending_is_told_to_nobody_and_what_fires_is_valid_for_four_rounds_of_the_slower_kind() {
        let at = Timestamp::from_secs(100);
        let seconds = Duration::from_secs;
        let alert = |state| Alert::new(Labels::empty(), state, at);
        assert_eq!(Notice::of(&alert(AlertState::Pending), seconds(10), seconds(60), at), None);
        for (interval, resend, valid) in [(10, 60, 240), (300, 60, 1_200)] {
            let told =
                Notice::of(&alert(AlertState::Firing), seconds(interval), seconds(resend), at).unwrap();
            assert_eq!(told.valid_until, at.plus(seconds(valid)));
        }
    }

    #[test]
    fn a_saved_notice_reads_back() {
        let text = serde_json::to_string(&notice()).unwrap();
        assert_eq!(serde_json::from_str::<Notice>(&text).unwrap(), notice());
    }
}
