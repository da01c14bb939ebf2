//! What groups know of their alerts, as it survives a restart.
//!
//! Saved are the alerts that are pending or firing, those that others are still told of after their end, and how
//! restless each is. A rule finds its own again by file, group, name and labels, as in a reload. What the program was
//! not there to see it does not make up: down time counts towards no `for`, and no alert ends because its series are not
//! there yet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use telemetry::{Alert, AlertState, Labels, Origins, Timestamp};

use crate::group::{GroupState, RuleRun, series_of};
use crate::rule::{ALERT_NAME, AlertingRule, Rule, RuleGroup};
use crate::state::{Active, Flaps, RuleState, SETTLE, Score, is_recent};

/// The version of the layout. Another one is not read.
const VERSION: u32 = 1;

/// The longest text that is written or read.
pub const MAX_SAVED_BYTES: usize = 64 << 20;

/// After a longer time without evaluations a pending alert begins anew. As Prometheus' outage tolerance.
const OUTAGE_TOLERANCE: Duration = Duration::from_hours(1);

/// The states of all groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedGroups {
    version: u32,
    groups: Vec<SavedGroup>,
}

/// Why saved states cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// Longer than anything that is written.
    #[error("the saved alerts take {bytes} bytes, more than {MAX_SAVED_BYTES}")]
    TooLong {
        /// How long the text is.
        bytes: usize,
    },
    /// Written by another version of the program.
    #[error("the saved alerts have the layout {found}; this program reads {VERSION}")]
    Version {
        /// The layout's version.
        found: u32,
    },
    /// Not written by this program, or damaged.
    #[error("the saved alerts cannot be read")]
    Malformed(#[source] serde_json::Error),
}

/// The state of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedGroup {
    file: PathBuf,
    name: String,
    rules: Vec<SavedRule>,
    /// Resolved alerts of rules that are gone.
    former: Vec<SavedAlert>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedRule {
    name: String,
    labels: Vec<(String, String)>,
    active: Vec<SavedActive>,
    resolved: Vec<SavedAlert>,
    flaps: Vec<SavedScore>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedActive {
    alert: SavedAlert,
    #[serde(deserialize_with = "labels")]
    sample: Labels,
    over_since: Option<Timestamp>,
    unobserved_nanos: u64,
    judged_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedAlert {
    #[serde(deserialize_with = "labels")]
    labels: Labels,
    annotations: BTreeMap<String, String>,
    /// JSON has no infinities.
    #[serde(serialize_with = "number_text", deserialize_with = "text_number")]
    value: f64,
    active_at: Timestamp,
    fired_at: Option<Timestamp>,
    resolved_at: Option<Timestamp>,
    origins: Origins,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedScore {
    #[serde(deserialize_with = "labels")]
    labels: Labels,
    score: Score,
}

impl SavedGroups {
    /// The states of these groups.
    pub fn of<'a>(groups: impl IntoIterator<Item = &'a GroupState>) -> Self {
        Self { version: VERSION, groups: groups.into_iter().map(GroupState::save).collect() }
    }

    /// As text, for [`SavedGroups::read`].
    ///
    /// # Errors
    ///
    /// The text would be too long to be read.
    pub fn to_text(&self) -> Result<String, SavedError> {
        let text = serde_json::to_string(self).expect("maps have texts as keys, and numbers are finite");
        if text.len() > MAX_SAVED_BYTES { Err(SavedError::TooLong { bytes: text.len() }) } else { Ok(text) }
    }

    /// Reads what [`SavedGroups::to_text`] wrote.
    ///
    /// # Errors
    ///
    /// The text is of another version, damaged or too long.
    pub fn read(text: &[u8]) -> Result<Self, SavedError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        if text.len() > MAX_SAVED_BYTES {
            return Err(SavedError::TooLong { bytes: text.len() });
        }
        let Head { version: found } = serde_json::from_slice(text).map_err(SavedError::Malformed)?;
        if found != VERSION {
            return Err(SavedError::Version { found });
        }
        serde_json::from_slice(text).map_err(SavedError::Malformed)
    }

    /// The state of this group, if it is there.
    pub fn of_group(&self, group: &RuleGroup) -> Option<&SavedGroup> {
        self.groups.iter().find(|saved| saved.file == group.file && saved.name == group.name)
    }
}

impl GroupState {
    /// What is known of the group's alerts.
    pub fn save(&self) -> SavedGroup {
        let rules = self.group.rules.iter().zip(&self.rules);
        SavedGroup {
            file: self.group.file.clone(),
            name: self.group.name.clone(),
            rules: rules.filter_map(|(rule, run)| SavedRule::of(rule, &run.state)).collect(),
            former: self.former.iter().map(SavedAlert::of).collect(),
        }
    }

    /// Goes on with the alerts that were saved, in place of those of now, and says how many are pending or firing. A rule
    /// that has changed its name or labels since then begins without any.
    ///
    /// Time since the last evaluation, as far as it is longer than an interval, does not count for `for`; after an hour
    /// a pending alert begins anew. Alerts that are resolved or firing are restored after any time.
    pub fn restore(&mut self, saved: &SavedGroup, now: Timestamp) -> usize {
        let mut rules: Vec<Option<&SavedRule>> = saved.rules.iter().map(Some).collect();
        let mut count = 0;
        for (rule, run) in self.group.rules.iter().zip(&mut self.rules) {
            let Rule::Alerting(rule) = rule else { continue };
            let own =
                rules.iter_mut().find(|slot| slot.is_some_and(|saved| saved.is(rule))).and_then(Option::take);
            if let Some(own) = own {
                run.restore(own.state(rule, self.interval, now));
                count += run.state.active.len();
            }
        }
        let former = saved.former.iter().map(|alert| alert.restored(AlertState::Resolved));
        self.former = former.filter(|alert| is_recent(alert.resolved_at, now)).collect();
        count
    }
}

impl RuleRun {
    fn restore(&mut self, state: RuleState) {
        let series = state.active().flat_map(|alert| series_of(&alert.labels, alert.state));
        self.written = series.collect();
        self.state = state;
    }
}

impl SavedRule {
    /// Of a rule that has nothing to tell, nothing.
    fn of(rule: &Rule, state: &RuleState) -> Option<Self> {
        let Rule::Alerting(alerting) = rule else { return None };
        let saved = Self {
            name: alerting.name.clone(),
            labels: rule.labels().collect(),
            active: state.active.values().map(SavedActive::of).collect(),
            resolved: state.resolved().map(SavedAlert::of).collect(),
            flaps: state
                .flaps
                .iter()
                .map(|(labels, score)| SavedScore { labels: labels.clone(), score })
                .collect(),
        };
        let silent = saved.active.is_empty() && saved.resolved.is_empty() && saved.flaps.is_empty();
        (!silent).then_some(saved)
    }

    fn is(&self, rule: &AlertingRule) -> bool {
        self.name == rule.name
            && self
                .labels
                .iter()
                .map(|(name, text)| (name.as_str(), text.as_str()))
                .eq(rule.labels.iter().map(|(name, template)| (name.as_str(), template.source())))
    }

    fn state(&self, rule: &AlertingRule, interval: Duration, now: Timestamp) -> RuleState {
        let own = |labels: &Labels| labels.get(ALERT_NAME) == rule.name;
        let active = self.active.iter().filter(|saved| own(&saved.alert.labels));
        let active = active.filter_map(|saved| saved.restored(interval, now));
        let resolved = self.resolved.iter().filter(|saved| own(&saved.labels));
        let resolved = resolved.map(|saved| saved.restored(AlertState::Resolved));
        let scores = self.flaps.iter().map(|saved| (saved.labels.clone(), saved.score));
        let mut state = RuleState {
            active: active.map(|active| (active.alert.labels.clone(), active)).collect(),
            resolved: resolved
                .filter(|alert| is_recent(alert.resolved_at, now))
                .map(|alert| (alert.labels.clone(), alert))
                .collect(),
            flaps: Flaps::restore(scores, now),
        };
        state.belong_to(rule);
        state
    }
}

impl SavedActive {
    fn of(active: &Active) -> Self {
        Self {
            alert: SavedAlert::of(&active.alert),
            sample: active.sample.clone(),
            over_since: active.over_since,
            unobserved_nanos: u64::try_from(active.unobserved.as_nanos()).unwrap_or(u64::MAX),
            judged_at: active.judged_at,
        }
    }

    fn restored(&self, interval: Duration, now: Timestamp) -> Option<Active> {
        let away = now.since(self.judged_at).saturating_sub(interval);
        let pending = self.alert.fired_at.is_none();
        if pending && away > OUTAGE_TOLERANCE {
            return None;
        }
        let state = if pending { AlertState::Pending } else { AlertState::Firing };
        let unobserved = Duration::from_nanos(self.unobserved_nanos);
        Some(Active {
            alert: Alert { resolved_at: None, ..self.alert.restored(state) },
            sample: self.sample.clone(),
            over_since: self.over_since,
            unobserved: if pending { unobserved + away } else { unobserved },
            judged_at: self.judged_at.plus(away),
            settles_at: Some(now.plus(SETTLE)),
        })
    }
}

impl SavedAlert {
    fn of(alert: &Alert) -> Self {
        Self {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            value: alert.value,
            active_at: alert.active_at,
            fired_at: alert.fired_at,
            resolved_at: alert.resolved_at,
            origins: alert.origins.clone(),
        }
    }

    fn restored(&self, state: AlertState) -> Alert {
        Alert {
            annotations: self.annotations.clone(),
            value: self.value,
            fired_at: self.fired_at,
            resolved_at: self.resolved_at,
            origins: self.origins.clone(),
            ..Alert::new(self.labels.clone(), state, self.active_at)
        }
    }
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    BTreeMap::<String, String>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn number_text<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn text_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests;
