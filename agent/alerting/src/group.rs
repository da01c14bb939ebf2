//! Evaluates a group of rules, one after the other, at one time.
//!
//! What a rule gives is in the store before the next rule is asked, so a rule can build on those above it. A rule that
//! fails keeps nobody from running, and its series are not said to have ended: an error says nothing about them.

use std::collections::BTreeSet;
use std::time::Duration;

use promql::{EvalError, Value};
use series::{Rejected, Store};
use telemetry::{Alert, Labels, METRIC_NAME, Origin, Timestamp};

use crate::brief::{brief, identity};
use crate::rule::{AlertingRule, RecordingRule, Rule, RuleGroup};
use crate::schedule::Schedule;
use crate::state::{RuleState, StepError, Transition, step};

const ALERTS: &str = "ALERTS";
const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
const ALERT_STATE: &str = "alertstate";

/// What a round gave.
#[derive(Debug, Default)]
pub struct Round {
    /// What became of alerts, in the order of the rules.
    pub transitions: Vec<Transition>,
    /// The rules that failed, in their order.
    pub errors: Vec<RuleError>,
}

/// A rule that failed in a round.
#[derive(Debug, thiserror::Error)]
#[error("evaluating rule {} of group {}", brief(rule), brief(group))]
pub struct RuleError {
    /// The group's name.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// Why.
    #[source]
    pub failure: Failure,
}

/// Why a rule failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The expression has no value at this time.
    #[error("the expression {:?} has no value", identity(expression))]
    Query {
        /// The expression.
        expression: String,
        /// Why.
        #[source]
        source: EvalError,
    },
    /// The alerts could not be brought up to date.
    #[error(transparent)]
    Alerts(#[from] StepError),
    /// Two samples would be recorded under one name.
    #[error("two samples give the series {}; keep a label that tells them apart", identity(&labels.to_string()))]
    SameLabels {
        /// The series.
        labels: Labels,
    },
    /// Over the group's limit. Nothing is recorded.
    #[error("{count} series are over the group's limit of {limit}")]
    OverLimit {
        /// The group's limit.
        limit: usize,
        /// How many there would have been.
        count: usize,
    },
    /// The store did not take some samples.
    #[error("{refused} of its series could not be stored, {} among them", identity(&first.to_string()))]
    Store {
        /// How many.
        refused: usize,
        /// The first.
        first: Labels,
        /// Why that one.
        #[source]
        source: Rejected,
    },
}

/// A group with the state of its rules.
#[derive(Debug)]
pub struct GroupState {
    group: RuleGroup,
    /// One for each rule, in their order.
    rules: Vec<RuleRun>,
    schedule: Schedule,
}

#[derive(Debug, Default)]
struct RuleRun {
    state: RuleState,
    /// The series that the rule wrote in its last good round.
    written: BTreeSet<Labels>,
}

impl RuleRun {
    fn end(mut self, store: &mut Store, now: Timestamp) -> Vec<Transition> {
        for ended in &self.written {
            // Refused only if the series has aged out.
            let _ = store.mark_stale(ended, now);
        }
        self.state.clear(now)
    }
}

impl GroupState {
    /// A group without history. It is first due after `now`, and then every `default_interval` if it has no interval
    /// of its own.
    pub fn new(group: RuleGroup, default_interval: Duration, now: Timestamp) -> Self {
        let rules = group.rules.iter().map(|_| RuleRun::default()).collect();
        let interval = group.interval.unwrap_or(default_interval);
        let schedule = Schedule::new((&group.file, &group.name), interval, now);
        Self { group, rules, schedule }
    }

    /// Goes on as `group`, the same group as its file says now. A rule that is still there, known by its kind, name and
    /// labels, keeps its alerts and series, as in Prometheus, even if it judges by another expression from now on. Rules
    /// that are gone end. Returns what became of their alerts.
    #[must_use]
    pub fn go_on_as(
        mut self,
        group: RuleGroup,
        default_interval: Duration,
        store: &mut Store,
        now: Timestamp,
    ) -> (Self, Vec<Transition>) {
        let mut next = Self::new(group, default_interval, now);
        if next.schedule.has_the_slots_of(&self.schedule) {
            next.schedule = self.schedule.clone();
        }
        let mut before: Vec<Option<(Rule, RuleRun)>> = std::mem::take(&mut self.group.rules)
            .into_iter()
            .zip(std::mem::take(&mut self.rules))
            .map(Some)
            .collect();
        for (rule, run) in next.group.rules.iter().zip(&mut next.rules) {
            let found =
                before.iter_mut().find(|slot| slot.as_ref().is_some_and(|(old, _)| rule.continues(old)));
            if let Some((_, kept)) = found.and_then(Option::take) {
                *run = kept;
            }
        }
        let gone = before.into_iter().flatten().map(|(_, run)| run);
        let transitions = gone.flat_map(|run| run.end(store, now)).collect();
        (next, transitions)
    }

    /// Ends the group: its alerts are over and its series have ended.
    pub fn end(self, store: &mut Store, now: Timestamp) -> Vec<Transition> {
        self.rules.into_iter().flat_map(|run| run.end(store, now)).collect()
    }

    /// The group.
    pub fn group(&self) -> &RuleGroup {
        &self.group
    }

    /// The time to evaluate at, if the group is due.
    pub fn due(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.schedule.due(now)
    }

    /// When the group is next due.
    pub fn next_due(&self) -> Timestamp {
        self.schedule.next()
    }

    /// How many rounds were left out because the one before them was late.
    pub fn missed_rounds(&self) -> u64 {
        self.schedule.missed()
    }

    /// The alerts that are pending or firing, in the order of the rules.
    pub fn active_alerts(&self) -> impl Iterator<Item = &Alert> {
        self.rules.iter().flat_map(|run| run.state.active())
    }

    /// Evaluates all rules at `at`, each against a store that holds what those before it gave.
    pub fn evaluate(&mut self, store: &mut Store, at: Timestamp) -> Round {
        let mut round = Round::default();
        let sampled_at = at.minus(self.group.query_offset);
        for (rule, run) in self.group.rules.iter_mut().zip(&mut self.rules) {
            let failure = match rule {
                Rule::Alerting(rule) => alert(rule, run, store, at, sampled_at, &mut round.transitions),
                Rule::Recording(rule) => record(rule, run, store, sampled_at),
            };
            if let Err(failure) = failure {
                let (group, rule) = (self.group.name.clone(), rule.name().to_owned());
                round.errors.push(RuleError { group, rule, failure });
            }
        }
        round
    }
}

fn alert(
    rule: &mut AlertingRule,
    run: &mut RuleRun,
    store: &mut Store,
    at: Timestamp,
    sampled_at: Timestamp,
    transitions: &mut Vec<Transition>,
) -> Result<(), Failure> {
    let samples = samples(rule.query.instant(store, sampled_at), rule.query.text())?;
    match step(rule, &mut run.state, &samples, at) {
        Ok(more) => transitions.extend(more),
        Err(mut error) => {
            if let StepError::OverLimit { cleared, .. } = &mut error {
                transitions.append(cleared);
            }
            return Err(error.into());
        }
    }
    let series = run.state.active().flat_map(|alert| {
        let mut alerts = alert.labels.to_builder();
        alerts.set(METRIC_NAME, ALERTS).set(ALERT_STATE, &alert.state.to_string());
        let mut since = alert.labels.to_builder();
        since.set(METRIC_NAME, ALERTS_FOR_STATE);
        [(alerts.build(), 1.0), (since.build(), alert.active_at.as_secs_f64())]
    });
    write(&mut run.written, series.collect(), store, sampled_at)
}

fn record(
    rule: &mut RecordingRule,
    run: &mut RuleRun,
    store: &mut Store,
    sampled_at: Timestamp,
) -> Result<(), Failure> {
    let samples = samples(rule.query.instant(store, sampled_at), rule.query.text())?;
    if let Some(limit) = rule.limit.filter(|limit| samples.len() > *limit) {
        return Err(Failure::OverLimit { limit, count: samples.len() });
    }
    let mut seen = BTreeSet::new();
    let mut series = Vec::with_capacity(samples.len());
    for (sample, value) in samples {
        let labels = rule.series_labels(&sample);
        if !seen.insert(labels.clone()) {
            return Err(Failure::SameLabels { labels });
        }
        series.push((labels, value));
    }
    write(&mut run.written, series, store, sampled_at)
}

fn samples(value: Result<Value, EvalError>, expression: &str) -> Result<Vec<(Labels, f64)>, Failure> {
    match value {
        Ok(Value::Vector(samples)) => {
            Ok(samples.into_iter().map(|sample| (sample.labels, sample.value)).collect())
        }
        Ok(Value::Scalar(value)) => Ok(vec![(Labels::empty(), value)]),
        Ok(Value::Matrix(_) | Value::String(_)) => {
            unreachable!("a rule file with an expression of another type is refused when it is read")
        }
        Err(source) => Err(Failure::Query { expression: expression.to_owned(), source }),
    }
}

/// Appends what a rule gave, and says of the series that it gave last time and not now that they have ended.
fn write(
    written: &mut BTreeSet<Labels>,
    series: Vec<(Labels, f64)>,
    store: &mut Store,
    at: Timestamp,
) -> Result<(), Failure> {
    let mut refused = 0;
    let mut first = None;
    let mut now_written = BTreeSet::new();
    for (labels, value) in series {
        match store.append_sample(&labels, &Origin::Rule, at, value) {
            Ok(()) => {
                now_written.insert(labels);
            }
            Err(source) => {
                refused += 1;
                first.get_or_insert((labels, source));
            }
        }
    }
    for ended in written.difference(&now_written) {
        // Refused only if the series has aged out, or has a sample of this very time: then it has not ended.
        let _ = store.mark_stale(ended, at);
    }
    *written = now_written;
    first.map_or(Ok(()), |(first, source)| Err(Failure::Store { refused, first, source }))
}

#[cfg(test)]
mod tests;
