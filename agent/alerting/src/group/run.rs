//! One rule of a group, round after round.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use promql::{EvalError, Query, Value};
use series::Store;
use telemetry::{AlertState, Labels, METRIC_NAME, Origin, Origins, Timestamp, with_causes};

use super::asked::Asked;
use super::departed::Ended;
use super::failure::Failure;
use crate::inputs::{Inputs, Unmatched, absent_labels};
use crate::rule::{AlertingRule, Externals, OnMissing, RecordingRule, Rule};
use crate::state::{Active, Findings, Instance, RuleState, StepError, Transition, step};
use crate::template::Scene;
use crate::view::Evaluation;

const ALERTS: &str = "ALERTS";
const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
const ALERT_STATE: &str = "alertstate";

/// The evaluations of a rule that are remembered.
const EVALUATIONS: usize = 10;

/// When a rule is evaluated, and for whom.
pub(super) struct When<'a> {
    /// By this alerts are judged.
    pub(super) judged_at: Timestamp,
    pub(super) now: Timestamp,
    /// Earlier than now by the group's `query_offset`.
    pub(super) sampled_at: Timestamp,
    pub(super) externals: &'a Externals,
    pub(super) asked: &'a RefCell<Asked>,
}

/// The series that a rule wrote.
pub(crate) type Written = HashSet<Labels, RandomState>;

/// What is known of a rule from its past rounds.
#[derive(Debug, Default)]
pub(crate) struct RuleRun {
    pub(crate) state: RuleState,
    /// The series that the rule wrote in its last good round.
    pub(crate) written: Written,
    /// Of a recording rule: by the labels of a sample those that it is recorded under.
    names: HashMap<Labels, Labels, RandomState>,
    /// All that the rule read when it was last asked.
    pub(crate) origins: Arc<Origins>,
    /// The newest last.
    pub(crate) evaluations: VecDeque<Evaluation>,
    pub(crate) unmatched: Unmatched,
}

/// A sample on its way to the store.
struct Recorded {
    labels: Labels,
    value: f64,
    origins: Arc<Origins>,
}

impl RuleRun {
    pub(super) fn end(mut self, now: Timestamp) -> Ended {
        let transitions = self.state.clear(now);
        let resolved = self.state.resolved().cloned().collect();
        Ended { transitions, resolved, series: self.written }
    }

    /// The rule reads otherwise from now on.
    pub(super) fn is_now(&mut self, rule: &Rule) {
        self.unmatched = Unmatched::default();
        if let Rule::Alerting(rule) = rule {
            self.state.belong_to(rule);
        }
    }

    /// Evaluates the rule; says how many samples its expression gave.
    pub(super) fn evaluate(
        &mut self,
        rule: &mut Rule,
        store: &mut Store,
        when: &When<'_>,
        transitions: &mut Vec<Transition>,
    ) -> Result<usize, Failure> {
        self.unmatched.look(rule, store, when.now);
        match rule {
            Rule::Alerting(rule) => self.alert(rule, store, when, transitions),
            Rule::Recording(rule) => self.record(rule, store, when.sampled_at),
        }
    }

    /// Remembers an evaluation.
    pub(super) fn note(
        &mut self,
        rule: &Rule,
        at: Timestamp,
        took: Duration,
        result: &Result<usize, Failure>,
    ) {
        if self.evaluations.len() == EVALUATIONS {
            self.evaluations.pop_front();
        }
        let reads = rule.query().reads();
        self.evaluations.push_back(Evaluation {
            at,
            took,
            samples: *result.as_ref().unwrap_or(&0),
            series_read: reads.series,
            samples_read: reads.samples,
            error: result.as_ref().err().map(|failure| with_causes(failure)),
        });
    }

    fn alert(
        &mut self,
        rule: &mut AlertingRule,
        store: &mut Store,
        when: &When<'_>,
        transitions: &mut Vec<Transition>,
    ) -> Result<usize, Failure> {
        let samples = samples(&mut rule.query, store, when.sampled_at)?;
        let mut origins = origins(rule, store);
        let count = samples.len();
        let findings = self.findings(rule, &samples, store, when);
        origins.extend(when.asked.borrow_mut().take_origins());
        self.reads(origins);
        let findings = Findings { origins: (*self.origins).clone(), ..findings? };
        match step(rule, &mut self.state, findings, when.judged_at) {
            Ok(more) => transitions.extend(more),
            Err(mut error) => {
                if let StepError::OverLimit { cleared, .. } = &mut error {
                    transitions.append(cleared);
                }
                return Err(error.into());
            }
        }
        let series: Vec<Recorded> =
            self.state.active.values().flat_map(|active| self.alert_series(active)).collect();
        let labels = series.iter().map(|recorded| recorded.labels.clone()).collect();
        self.write(series, labels, store, when.sampled_at).map(|()| count)
    }

    fn record(
        &mut self,
        rule: &mut RecordingRule,
        store: &mut Store,
        sampled_at: Timestamp,
    ) -> Result<usize, Failure> {
        let samples = samples(&mut rule.query, store, sampled_at)?;
        let count = samples.len();
        if let Some(limit) = rule.limit.filter(|limit| count > *limit) {
            return Err(Failure::OverLimit { limit, count });
        }
        self.reads(rule.query.origins(store));
        // Names of samples that are gone make at most half.
        if self.names.len() > count * 2 {
            self.names.clear();
        }
        let mut distinct = Written::with_capacity_and_hasher(count, RandomState::default());
        let mut series = Vec::with_capacity(count);
        for (sample, value) in samples {
            let name = self.names.entry(sample).or_insert_with_key(|sample| rule.series_labels(sample));
            let labels = name.clone();
            if !distinct.insert(labels.clone()) {
                return Err(Failure::SameLabels { labels });
            }
            series.push(Recorded { labels, value, origins: Arc::clone(&self.origins) });
        }
        self.write(series, distinct, store, sampled_at).map(|()| count)
    }

    fn reads(&mut self, origins: Origins) {
        if *self.origins != origins {
            self.origins = Arc::new(origins);
        }
    }

    /// What the samples mean for the rule's alerts, those without a sample included. It does not know the origins.
    fn findings(
        &self,
        rule: &mut AlertingRule,
        samples: &[(Labels, f64)],
        store: &Store,
        when: &When<'_>,
    ) -> Result<Findings, Failure> {
        let mut findings = instances(rule, samples, store, when);
        let inputs = Inputs::new(store, when.sampled_at);
        let asks = |active: &&Active| {
            rule.on_missing != OnMissing::Clear || rule.clear_when.is_some() || active.settles_at.is_some()
        };
        for active in self.state.without_sample(&findings.instances).filter(asks) {
            if inputs.missing(rule.query.expr(), &active.sample).is_some() {
                findings.unseen.insert(active.alert.labels.clone());
            }
        }
        if rule.on_missing == OnMissing::Fire
            && findings.instances.is_empty()
            && let Some(selector) = inputs.missing(rule.query.expr(), &Labels::empty())
        {
            let absent = vec![(absent_labels(selector), f64::NAN)];
            let raised = instances(rule, &absent, store, when);
            if self.state.active().all(|alert| raised.instances.iter().any(|it| it.labels == alert.labels)) {
                findings.instances = raised.instances;
            }
        }
        self.clear(rule, &mut findings, store, when)?;
        Ok(findings)
    }

    /// Finds the firing alerts without a sample for which `clear_when` has one.
    fn clear(
        &self,
        rule: &mut AlertingRule,
        findings: &mut Findings,
        store: &Store,
        when: &When<'_>,
    ) -> Result<(), Failure> {
        let Some(clear_when) = &mut rule.clear_when else { return Ok(()) };
        let firing = |active: &&Active| active.alert.state == AlertState::Firing;
        let mut waiting = self.state.without_sample(&findings.instances).filter(firing).peekable();
        if waiting.peek().is_none() {
            return Ok(());
        }
        let clearing = samples(clear_when, store, when.sampled_at)?;
        let cleared = waiting.filter(|active| {
            clearing.iter().any(|(labels, _)| {
                labels.iter().all(|(name, value)| name == METRIC_NAME || active.sample.get(name) == value)
            })
        });
        let cleared: Vec<Labels> = cleared.map(|active| active.alert.labels.clone()).collect();
        findings.cleared.extend(cleared);
        Ok(())
    }

    /// `ALERTS` and `ALERTS_FOR_STATE` of an alert.
    fn alert_series(&self, active: &Active) -> [Recorded; 2] {
        let alert = &active.alert;
        let origins = if alert.origins == *self.origins {
            Arc::clone(&self.origins)
        } else {
            Arc::new(alert.origins.clone())
        };
        let [alerts, since] = series_of(&alert.labels, alert.state);
        // Whole seconds, as Prometheus writes and reads it.
        let active_at = alert.active_at.as_nanos().div_euclid(1_000_000_000) as f64;
        [
            Recorded { labels: alerts, value: 1.0, origins: Arc::clone(&origins) },
            Recorded { labels: since, value: active_at, origins },
        ]
    }

    /// Appends what a rule gave, which has these labels, and says of the series that it gave last time and not now that they
    /// have ended.
    fn write(
        &mut self,
        series: Vec<Recorded>,
        mut labels: Written,
        store: &mut Store,
        at: Timestamp,
    ) -> Result<(), Failure> {
        let mut refused = 0;
        let mut first = None;
        for recorded in series {
            if let Err(source) =
                store.append_recorded(&recorded.labels, &recorded.origins, at, recorded.value)
            {
                labels.remove(&recorded.labels);
                refused += 1;
                first.get_or_insert((recorded.labels, source));
            }
        }
        for ended in self.written.difference(&labels) {
            // Refused only if the series has aged out, is another's now, or has a sample of this very time: then it has
            // not ended.
            let _ = store.mark_stale(ended, &Origin::Rule, at);
        }
        self.written = labels;
        first.map_or(Ok(()), |(first, source)| Err(Failure::Store { refused, first, source }))
    }
}

/// The labels of `ALERTS` and `ALERTS_FOR_STATE`.
pub(crate) fn series_of(labels: &Labels, state: AlertState) -> [Labels; 2] {
    let mut alerts = labels.to_builder();
    alerts.set(METRIC_NAME, ALERTS).set(ALERT_STATE, &state.to_string());
    let mut since = labels.to_builder();
    since.set(METRIC_NAME, ALERTS_FOR_STATE);
    [alerts.build(), since.build()]
}

/// All that the rule's expressions read, `clear_when` included.
fn origins(rule: &mut AlertingRule, store: &Store) -> Origins {
    let mut origins = rule.query.origins(store);
    if let Some(clear_when) = &mut rule.clear_when {
        origins.extend(clear_when.origins(store));
    }
    origins
}

fn instances(rule: &AlertingRule, samples: &[(Labels, f64)], store: &Store, when: &When<'_>) -> Findings {
    // As in Prometheus not earlier by the group's offset, other than the rule's own expression.
    let mut ask = |expression: &str| when.asked.borrow_mut().ask(expression, store, when.now);
    let raise = |(labels, value): &(Labels, f64)| -> Instance {
        rule.raise(&mut Scene {
            rule: &rule.name,
            at: when.now,
            labels,
            value: *value,
            externals: when.externals,
            ask: &mut ask,
        })
    };
    Findings { instances: samples.iter().map(raise).collect(), ..Findings::default() }
}

pub(super) fn samples(
    query: &mut Query,
    store: &Store,
    at: Timestamp,
) -> Result<Vec<(Labels, f64)>, Failure> {
    let value: Result<Value, EvalError> = query.instant(store, at);
    match value {
        Ok(Value::Vector(samples)) => {
            Ok(samples.into_iter().map(|sample| (sample.labels, sample.value)).collect())
        }
        Ok(Value::Scalar(value)) => Ok(vec![(Labels::empty(), value)]),
        Ok(Value::Matrix(_) | Value::String(_)) => Err(Failure::Type { expression: query.text().to_owned() }),
        Err(source) => Err(Failure::Query { expression: query.text().to_owned(), source }),
    }
}
