//! Rules that have been read and cannot be wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use promql::Query;
use serde::Serialize;
use series::Matcher;
use telemetry::{AlertSource, Labels, METRIC_NAME};

use crate::{Instance, Scene, Template};

/// The label that holds an alert's name.
pub const ALERT_NAME: &str = "alertname";

/// Who this host is to those that alerts are sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Externals {
    /// Labels that every alert gets on its way out, unless it has them.
    pub labels: Labels,
    /// Where people reach the agent, for links in notifications.
    pub url: String,
}

/// What holds for groups that do not say otherwise.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// How often a group is evaluated.
    pub interval: Duration,
    /// Who this host is.
    pub externals: Arc<Externals>,
}

/// Rules that are evaluated in order, at the same times.
#[derive(Debug)]
pub struct RuleGroup {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    pub(crate) interval: Option<Duration>,
    pub(crate) query_offset: Duration,
    pub(crate) limit: Option<usize>,
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

/// What a rule does when the series that it judges are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// Its alerts stay as they are.
    Keep,
    /// Its alerts go on as if their condition held; if nothing at all is there, it raises one for that.
    Fire,
    /// Its alerts end, as in Prometheus.
    #[default]
    Clear,
}

/// One alert for each sample that the expression gives.
#[derive(Debug)]
pub struct AlertingRule {
    pub(crate) name: String,
    pub(crate) query: Query,
    pub(crate) hold_for: Duration,
    pub(crate) keep_firing_for: Duration,
    pub(crate) clear_when: Option<Box<Query>>,
    pub(crate) on_missing: OnMissing,
    /// What its alerts are told to come from.
    pub(crate) source: Arc<AlertSource>,
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

    /// How long before the time of an evaluation series are read.
    pub fn query_offset(&self) -> Duration {
        self.query_offset
    }

    /// What a rule of the group selects, and how far before the time of an evaluation it may read of it, `query_offset`
    /// included; [`Duration::MAX`] where the expression says a fixed time.
    pub fn reads(&self, rule: &Rule) -> Vec<(Vec<Matcher>, Duration)> {
        let parsed = rule.expressions().filter_map(|text| promql::parse(text).ok());
        let selections = parsed.flat_map(|expression| expression.reach());
        selections.map(|(matchers, reach)| (matchers, reach.saturating_add(self.query_offset))).collect()
    }

    /// Its rules, in the order in which they are evaluated.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Evaluates subqueries that do not say how often so often.
    pub(crate) fn set_subquery_step(&mut self, step: Duration) {
        for rule in &mut self.rules {
            match rule {
                Rule::Alerting(rule) => {
                    rule.query.set_subquery_step(step);
                    if let Some(query) = &mut rule.clear_when {
                        query.set_subquery_step(step);
                    }
                }
                Rule::Recording(rule) => rule.query.set_subquery_step(step),
            }
        }
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
        self.query().text()
    }

    /// The texts of all expressions that it evaluates: its own, `clear_when`, and what its templates ask for word for
    /// word.
    pub fn expressions(&self) -> impl Iterator<Item = &str> {
        let (clear_when, templates) = match self {
            Self::Alerting(rule) => {
                (rule.clear_when.as_deref(), Some(rule.labels.iter().chain(&rule.annotations)))
            }
            Self::Recording(_) => (None, None),
        };
        let asked = templates.into_iter().flatten().flat_map(|(_, template)| template.queries());
        std::iter::once(self.query()).chain(clear_when).map(Query::text).chain(asked)
    }

    /// Its labels and those of its group, as they are written.
    pub fn labels(&self) -> Box<dyn Iterator<Item = (String, String)> + '_> {
        match self {
            Self::Alerting(rule) => Box::new(sources(&rule.labels)),
            Self::Recording(rule) => Box::new(rule.labels.iter().cloned()),
        }
    }

    pub(crate) fn query(&self) -> &Query {
        match self {
            Self::Alerting(rule) => &rule.query,
            Self::Recording(rule) => &rule.query,
        }
    }
}

fn sources(pairs: &[(String, Template)]) -> impl Iterator<Item = (String, String)> {
    pairs.iter().map(|(name, template)| (name.clone(), template.source().to_owned()))
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

    /// Its annotations, as they are written.
    pub fn annotations(&self) -> impl Iterator<Item = (String, String)> {
        sources(&self.annotations)
    }

    /// The alert that a sample raises. A rule's label overrides the sample's; an empty one removes it.
    pub(crate) fn raise(&self, scene: &mut Scene<'_>) -> Instance {
        let mut labels = scene.labels.to_builder();
        labels.set(METRIC_NAME, "");
        for (name, template) in &self.labels {
            labels.set(name, &template.expand(scene));
        }
        labels.set(ALERT_NAME, &self.name);
        let texts = self.annotations.iter();
        let annotations = texts.map(|(name, template)| (name.clone(), template.expand(scene))).collect();
        let (sample, value) = (scene.labels.clone(), scene.value);
        Instance { labels: labels.build(), sample, annotations, value }
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
