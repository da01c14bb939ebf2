//! What is shown of a group: plain data that is written as Prometheus' `/api/v1/rules` writes it, with keys of our own
//! beside its keys.
//!
//! Prometheus' own keys are in its spelling: durations in seconds, times in RFC 3339, an alert's value as a text.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};
use telemetry::{Alert, AlertState, Labels, MatchedLine, Origins, Timestamp};

use crate::group::{GroupState, RuleRun};
use crate::rule::{AlertingRule, OnMissing, Rule};
use crate::state::{Active, FLAPPING};

/// A group as it is now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// The file that it was read from.
    pub file: PathBuf,
    /// Its rules in their order.
    pub rules: Vec<RuleView>,
    /// How often it is evaluated.
    #[serde(serialize_with = "seconds")]
    pub interval: Duration,
    /// How many alerts or series one of its rules may give; 0 is any number.
    pub limit: usize,
    /// How long the last evaluation took.
    #[serde(serialize_with = "seconds")]
    pub evaluation_time: Duration,
    /// When it was last evaluated.
    #[serde(serialize_with = "moment")]
    pub last_evaluation: Option<Timestamp>,
    /// How many evaluations were left out because the one before them was late.
    pub missed_evaluations: u64,
}

/// A rule as it is now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleView {
    /// The alert's name, or the series' that it records.
    pub name: String,
    /// The expression as Prometheus prints it.
    pub query: String,
    /// Its own labels, those of the group included, as they are written.
    pub labels: BTreeMap<String, String>,
    /// What only alerts have.
    #[serde(flatten)]
    pub kind: KindView,
    /// Whether the last evaluation went well.
    pub health: Health,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How long the last evaluation took.
    #[serde(serialize_with = "seconds")]
    pub evaluation_time: Duration,
    /// When it was last evaluated.
    #[serde(serialize_with = "moment")]
    pub last_evaluation: Option<Timestamp>,
    /// The last evaluations, the newest last.
    pub evaluations: Vec<Evaluation>,
    /// The selectors that match no series, as of the last minute. Such a rule can say nothing.
    pub matches_nothing: Vec<String>,
    /// All that it read when it was last evaluated.
    #[serde(serialize_with = "texts")]
    pub origins: Origins,
}

/// What is shown of a rule of either kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum KindView {
    /// Raises alerts.
    Alerting(AlertingView),
    /// Computes series.
    Recording,
}

/// What is shown of a rule that raises alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertingView {
    /// The most that one of its alerts has come to: `inactive`, `pending` or `firing`.
    pub state: &'static str,
    /// `for`.
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
    /// `keep_firing_for`.
    #[serde(serialize_with = "seconds")]
    pub keep_firing_for: Duration,
    /// `clear_when`, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_when: Option<String>,
    /// `on_missing`.
    pub on_missing: OnMissing,
    /// Its texts as they are written.
    pub annotations: BTreeMap<String, String>,
    /// Those that are pending or firing.
    pub alerts: Vec<AlertView>,
    /// Those that were resolved within [`RESOLVED_FOR`](crate::RESOLVED_FOR).
    pub resolved: Vec<AlertView>,
}

/// An alert as `/api/v1/alerts` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertView {
    /// All labels, `alertname` among them.
    pub labels: Labels,
    /// Its texts.
    pub annotations: BTreeMap<String, String>,
    /// Pending, firing or resolved.
    pub state: AlertState,
    /// Since when its condition has held.
    #[serde(serialize_with = "moment")]
    pub active_at: Option<Timestamp>,
    /// Since when it is firing only because of `keep_firing_for`.
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub keep_firing_since: Option<Timestamp>,
    /// The value of the expression when it last had one.
    #[serde(serialize_with = "go_float")]
    pub value: f64,
    /// When it began to fire.
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub fired_at: Option<Timestamp>,
    /// When it was resolved.
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// All that its expression read since it began.
    #[serde(serialize_with = "texts")]
    pub origins: Origins,
    /// How often it fired or ended of late; see [`FLAP_HALF_LIFE`](crate::FLAP_HALF_LIFE).
    pub flap_score: f64,
    /// Whether that is [often](FLAPPING).
    pub flapping: bool,
    /// The silence that keeps it from being told; this crate knows of none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silenced_by: Vec<String>,
    /// Until when people are not told of it, because a runbook is to repair it first; this crate knows of none.
    #[serde(serialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// What is or was last done about it; this crate knows of nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<String>,
    /// The last lines that log rules matched whose counts it reads, the oldest first; this crate knows of none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<MatchedLine>,
}

/// Whether a rule's last evaluation went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It was not evaluated yet.
    Unknown,
    /// It did.
    Ok,
    /// It did not.
    Err,
}

/// One evaluation of a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// The time that it was evaluated for.
    #[serde(serialize_with = "instant")]
    pub at: Timestamp,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// How many samples its expression gave.
    pub samples: usize,
    /// How many series were read.
    pub series_read: u64,
    /// How many samples were read.
    pub samples_read: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl GroupState {
    /// What is shown of the group.
    pub fn view(&self) -> GroupView {
        let now = self.last.map(|(at, _)| at).unwrap_or_default();
        GroupView {
            name: self.group.name.clone(),
            file: self.group.file.clone(),
            rules: self.group.rules.iter().zip(&self.rules).map(|(rule, run)| run.view(rule, now)).collect(),
            interval: self.interval,
            limit: self.group.limit.unwrap_or(0),
            evaluation_time: self.last.map(|(_, took)| took).unwrap_or_default(),
            last_evaluation: self.last.map(|(at, _)| at),
            missed_evaluations: self.missed_rounds(),
        }
    }
}

impl GroupState {
    /// The rules that select series of which there are none, with those selectors, as of the last minute.
    pub fn matching_nothing(&self) -> impl Iterator<Item = (&Rule, &[String])> {
        let rules = self.group.rules.iter().zip(&self.rules);
        rules.filter_map(|(rule, run)| {
            let selectors = run.unmatched.selectors.as_slice();
            (!selectors.is_empty()).then_some((rule, selectors))
        })
    }

    /// The alerts that fire and end again and again, over at the moment or not.
    pub fn flapping(&self, now: Timestamp) -> impl Iterator<Item = &Labels> {
        let scores = self.rules.iter().flat_map(|run| run.state.flaps.iter());
        scores.filter(move |(_, score)| score.at(now) >= FLAPPING).map(|(labels, _)| labels)
    }
}

impl RuleRun {
    fn view(&self, rule: &Rule, now: Timestamp) -> RuleView {
        let last = self.evaluations.back();
        let last_error = last.and_then(|last| last.error.clone());
        RuleView {
            name: rule.name().to_owned(),
            query: rule.query().expr().to_string(),
            labels: rule.labels().collect(),
            kind: match rule {
                Rule::Alerting(rule) => KindView::Alerting(self.alerting_view(rule, now)),
                Rule::Recording(_) => KindView::Recording,
            },
            health: match (last, &last_error) {
                (None, _) => Health::Unknown,
                (Some(_), None) => Health::Ok,
                (Some(_), Some(_)) => Health::Err,
            },
            last_error,
            evaluation_time: last.map(|last| last.took).unwrap_or_default(),
            last_evaluation: last.map(|last| last.at),
            evaluations: self.evaluations.iter().cloned().collect(),
            matches_nothing: self.unmatched.selectors.clone(),
            origins: (*self.origins).clone(),
        }
    }

    fn alerting_view(&self, rule: &AlertingRule, now: Timestamp) -> AlertingView {
        let most = self.state.active().map(|alert| alert.state).max_by_key(|state| *state as u8);
        AlertingView {
            state: match most {
                None | Some(AlertState::Resolved) => "inactive",
                Some(AlertState::Pending) => "pending",
                Some(AlertState::Firing) => "firing",
            },
            duration: rule.hold_for,
            keep_firing_for: rule.keep_firing_for,
            clear_when: rule.clear_when.as_ref().map(|query| query.expr().to_string()),
            on_missing: rule.on_missing,
            annotations: rule.annotations().collect(),
            alerts: self.state.active.values().map(|active| self.active_view(active, now)).collect(),
            resolved: self.state.resolved().map(|alert| self.alert_view(alert, now)).collect(),
        }
    }

    fn active_view(&self, active: &Active, now: Timestamp) -> AlertView {
        AlertView { keep_firing_since: active.over_since, ..self.alert_view(&active.alert, now) }
    }

    fn alert_view(&self, alert: &Alert, now: Timestamp) -> AlertView {
        let flap_score = self.state.flap_score(&alert.labels, now);
        AlertView {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            state: alert.state,
            active_at: Some(alert.active_at),
            keep_firing_since: None,
            value: alert.value,
            fired_at: alert.fired_at,
            resolved_at: alert.resolved_at,
            origins: alert.origins.clone(),
            flap_score,
            flapping: flap_score >= FLAPPING,
            silenced_by: Vec::new(),
            held_until: None,
            repair: None,
            lines: Vec::new(),
        }
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn instant<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// Go's zero time where there is none.
#[expect(clippy::ref_option, reason = "serde gives a reference")]
fn moment<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_str("0001-01-01T00:00:00Z"),
    }
}

fn texts<S: Serializer>(origins: &Origins, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(origins.iter().map(ToString::to_string))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn go_float<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&exponential(*value))
}

/// A number as Go writes it with `%e` and the digits that it needs: `1e+00`, `-2.5e-03`, `+Inf`.
fn exponential(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests;
