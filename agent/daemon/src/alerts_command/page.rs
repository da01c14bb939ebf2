//! Alerts and rules as a page of text. Pure, so that a test can hold what a person sees.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use telemetry::{Labels, OneLine, Timestamp, format_duration};

use crate::moment;
use crate::status::ShownLine;

/// Of the lines of each alert, the last: all of them are told by `hostmend explain` and `--json`.
const LINES_SHOWN: usize = 3;

/// What `/api/v1/alerts` answers, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    state: String,
    #[serde(deserialize_with = "moment::deserialize")]
    active_at: Timestamp,
    #[serde(default, deserialize_with = "moment::optional")]
    fired_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "moment::optional")]
    keep_firing_since: Option<Timestamp>,
    value: String,
    #[serde(default)]
    origins: Vec<String>,
    #[serde(default)]
    flapping: bool,
    #[serde(default)]
    silenced_by: Vec<String>,
    #[serde(default, deserialize_with = "moment::optional")]
    held_until: Option<Timestamp>,
    #[serde(default)]
    repair: Option<String>,
    #[serde(default)]
    lines: Vec<ShownLine>,
}

/// What `/api/v1/rules` answers, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    file: String,
    interval: f64,
    evaluation_time: f64,
    #[serde(default)]
    missed_evaluations: u64,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: String,
    state: Option<String>,
    #[serde(default)]
    duration: f64,
    health: String,
    last_error: Option<String>,
    evaluation_time: f64,
    #[serde(default)]
    alerts: Vec<Alert>,
    #[serde(default)]
    matches_nothing: Vec<String>,
}

/// Those that fire first, the oldest first.
pub(super) fn alerts(alerts: &Alerts, now: Timestamp) -> String {
    if alerts.alerts.is_empty() {
        return "no alert is pending or fires\n".to_owned();
    }
    let mut sorted: Vec<&Alert> = alerts.alerts.iter().collect();
    sorted.sort_by_key(|alert| (alert.state != "firing", alert.since()));
    sorted.into_iter().fold(String::new(), |mut text, alert| {
        alert.describe(&mut text, now);
        text
    })
}

impl Alert {
    /// Since when it is in its state.
    fn since(&self) -> Timestamp {
        self.fired_at.unwrap_or(self.active_at)
    }

    fn describe(&self, text: &mut String, now: Timestamp) {
        let name = self.labels.get("alertname").map_or("", String::as_str);
        let lasted = whole_seconds(now.since(self.since()));
        let value: f64 = self.value.parse().unwrap_or(f64::NAN);
        let _ = write!(text, "{} {} for {lasted}, value {value}", self.state, OneLine(name));
        for (holds, word) in [
            (!self.silenced_by.is_empty(), ", silenced"),
            (self.held_until.is_some(), ", held back until it is repaired or that fails"),
            (self.keep_firing_since.is_some(), ", its condition is over"),
            (self.flapping, ", flapping"),
        ] {
            text.push_str(if holds { word } else { "" });
        }
        text.push('\n');
        let others = self.labels.iter().filter(|(name, _)| *name != "alertname").collect::<Labels>();
        if !others.is_empty() {
            let _ = writeln!(text, "  {others}");
        }
        for (name, annotation) in &self.annotations {
            let _ = writeln!(text, "  {}: {}", OneLine(name), OneLine(annotation));
        }
        if self.origins.iter().any(|origin| origin != "host" && origin != "rule") {
            let _ = writeln!(text, "  depends on {}", OneLine(self.origins.join(", ")));
        }
        if let Some(repair) = &self.repair {
            let _ = writeln!(text, "  repair: {}", OneLine(repair));
        }
        for line in self.lines.iter().skip(self.lines.len().saturating_sub(LINES_SHOWN)) {
            let _ = writeln!(text, "  {line}");
        }
    }
}

/// Group by group, with what is wrong below its rule.
pub(super) fn rules(groups: &Groups) -> String {
    if groups.groups.is_empty() {
        return "there are no rules\n".to_owned();
    }
    groups.groups.iter().fold(String::new(), |mut text, group| {
        let (every, took) = (duration(group.interval), millis(group.evaluation_time));
        let _ = write!(text, "{} in {}: every {every}, {took}", OneLine(&group.name), OneLine(&group.file));
        if group.missed_evaluations > 0 {
            let _ = write!(text, ", {} missed", group.missed_evaluations);
        }
        text.push('\n');
        let width = group.rules.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0);
        for rule in &group.rules {
            rule.describe(&mut text, width);
        }
        text
    })
}

impl Rule {
    fn describe(&self, text: &mut String, width: usize) {
        let state = self.state.as_deref().unwrap_or("records");
        let _ = write!(
            text,
            "  {state:8}  {:width$}  {:>8}",
            OneLine(&self.name).to_string(),
            millis(self.evaluation_time)
        );
        if self.duration > 0.0 {
            let _ = write!(text, "  for {}", duration(self.duration));
        }
        if !self.alerts.is_empty() {
            let _ = write!(text, "  alerts: {}", self.alerts.len());
        }
        text.push('\n');
        if self.health == "err" {
            let error = self.last_error.as_deref().unwrap_or("it says not why");
            let _ = writeln!(text, "    ! fails: {}", OneLine(error));
        }
        for selector in &self.matches_nothing {
            let _ = writeln!(text, "    - no series matches {}", OneLine(selector));
        }
    }
}

fn duration(seconds: f64) -> String {
    format_duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e10)))
}

fn whole_seconds(duration: Duration) -> String {
    format_duration(Duration::from_secs(duration.as_secs()))
}

fn millis(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fires_comes_first_with_all_that_is_known_of_it() {
        let text = r#"{ "alerts": [
            { "labels": { "alertname": "Later" }, "annotations": {}, "state": "pending",
              "activeAt": "1970-01-01T00:00:00Z", "value": "1e+00" },
            { "labels": { "alertname": "Full", "disk": "sda\u001b" }, "annotations": { "summary": "a\nb" },
              "state": "firing", "activeAt": "1970-01-01T00:00:00Z", "firedAt": "1970-01-01T00:01:00Z",
              "value": "9.5e-01", "origins": ["host", "otlp:apps"], "flapping": true,
              "repair": "no runbook answers it",
              "lines": [
                { "at": "1970-01-01T00:00:00Z", "origin": "log:app", "text": "one" },
                { "at": "1970-01-01T00:00:01Z", "origin": "log:app", "text": "two" },
                { "at": "1970-01-01T00:00:02Z", "origin": "log:app", "text": "a\u001bb" },
                { "at": "1970-01-01T00:00:03Z", "origin": "otlp:apps", "text": "four" }] }] }"#;
        let page = alerts(&serde_json::from_str(text).unwrap(), Timestamp::from_secs(150));
        let expected = "firing Full for 1m30s, value 0.95, flapping\n  {disk=\"sda\\u{1b}\"}\n  summary: a\\nb\n  \
                        depends on host, otlp:apps\n  repair: no runbook answers it\n  1970-01-01T00:00:01Z log:app: two\n  \
                        1970-01-01T00:00:02Z log:app: a\\u{1b}b\n  1970-01-01T00:00:03Z otlp:apps: four\n\
                        pending Later for 2m30s, value 1\n";
        assert_eq!(page, expected);
        assert_eq!(
            alerts(&Alerts { alerts: Vec::new() }, Timestamp::EPOCH),
            "no alert is pending or fires\n"
        );
    }

    #[test]
    fn rules_that_fail_or_can_say_nothing_are_told_with_the_reason() {
        let text = r#"{ "groups": [{ "name": "g", "file": "r.yaml", "interval": 15, "evaluationTime": 0.0012,
            "missedEvaluations": 3, "rules": [
            { "name": "Full", "state": "inactive", "duration": 300, "health": "err", "lastError": "too many",
              "evaluationTime": 0.001 },
            { "name": "a:b", "health": "ok", "evaluationTime": 0.0002, "matchesNothing": ["nothing{a=\"b\"}"] }] }] }"#;
        let page = rules(&serde_json::from_str(text).unwrap());
        let expected = "g in r.yaml: every 15s, 1.20 ms, 3 missed\n  inactive  Full   1.00 ms  for 5m\n    ! fails: too many\n  \
                        records   a:b    0.20 ms\n    - no series matches nothing{a=\"b\"}\n";
        assert_eq!(page, expected);
    }
}
