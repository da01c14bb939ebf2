//! Rules that have been read and cannot be wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use promql::Query;
use telemetry::{Labels, METRIC_NAME};

use crate::Template;

/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";

/// Rules that are evaluated in order, at the same times.
#[derive(Debug)]
pub struct RuleGroup {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    pub(crate) interval: Option<Duration>,
    pub(crate) query_offset: Duration,
    pub(crate) rules: Vec<Rule>,
}

/// A rule of either kind.
#[derive(Debug)]
pub enum Rule {
    /// Raises alerts.
    Alerting(AlertingRule),
    /// Computes series.
    Recording(RecordingRule),
}

/// One alert for each sample that the expression gives.
#[derive(Debug)]
pub struct AlertingRule {
    pub(crate) name: String,
    pub(crate) query: Query,
    pub(crate) hold_for: Duration,
    pub(crate) keep_firing_for: Duration,
    pub(crate) labels: Vec<(String, Template)>,
    pub(crate) annotations: Vec<(String, Template)>,
    pub(crate) limit: Option<usize>,
}

/// One series for each sample that the expression gives.
#[derive(Debug)]
pub struct RecordingRule {
    pub(crate) name: String,
    pub(crate) query: Query,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) limit: Option<usize>,
}

impl RuleGroup {
    /// The file that it was read from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its name, which no other group of the file has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How often it is evaluated, if the file says so.
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Its rules, in the order in which they are evaluated.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Rule {
    /// The alert's name, or the series' that it records.
    pub fn name(&self) -> &str {
        match self {
            Self::Alerting(rule) => &rule.name,
            Self::Recording(rule) => &rule.name,
        }
    }

    /// The text of its expression.
    pub fn expression(&self) -> &str {
        match self {
            Self::Alerting(rule) => rule.query.text(),
            Self::Recording(rule) => rule.query.text(),
        }
    }
}

impl Rule {
    /// Whether this is the other rule, perhaps changed: of the same kind, name and labels, by which its series and alerts
    /// are known.
    pub(crate) fn continues(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Alerting(new), Self::Alerting(old)) => {
                (&new.name, &new.labels) == (&old.name, &old.labels)
            }
            (Self::Recording(new), Self::Recording(old)) => {
                (&new.name, &new.labels) == (&old.name, &old.labels)
            }
            _ => false,
        }
    }
}

impl AlertingRule {
    /// The alert's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long the condition must hold before the alert fires.
    pub fn hold_for(&self) -> Duration {
        self.hold_for
    }

    /// How long the alert goes on firing after the condition has ended.
    pub fn keep_firing_for(&self) -> Duration {
        self.keep_firing_for
    }

    /// The labels of the alert that a sample raises. A rule's label overrides the sample's; an empty one removes it.
    pub(crate) fn alert_labels(&self, sample: &Labels, value: f64) -> Labels {
        let mut labels = sample.to_builder();
        labels.set(METRIC_NAME, "");
        for (name, template) in &self.labels {
            labels.set(name, &template.expand(sample, value));
        }
        labels.set(ALERT_NAME, &self.name);
        labels.build()
    }
}

impl RecordingRule {
    /// The labels of the series that a sample is recorded under.
    pub(crate) fn series_labels(&self, sample: &Labels) -> Labels {
        let mut labels = sample.to_builder();
        labels.set(METRIC_NAME, &self.name);
        for (name, value) in &self.labels {
            labels.set(name, value);
        }
        labels.build()
    }
}
