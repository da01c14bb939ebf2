//! The alert state machine: a pure function of a rule, its state, the result of its expression and the time.
//!
//! ```text
//! sample there        ──▶ pending ── held for `for` ──▶ firing
//! sample gone, pending ─▶ dropped
//! sample gone, firing ──▶ resolved, once it has been gone for `keep_firing_for`
//! ```
//!
//! With `for: 0` an alert fires in the round in which it begins. A resolved alert is forgotten: when its sample comes
//! back, it is a new alert. A step that fails leaves the state as it was, with one exception: too many alerts clear the
//! rule, as in Prometheus, and the error then carries the transitions of what was cleared.

use std::collections::BTreeMap;

use telemetry::{Alert, AlertState, Labels, Timestamp};

use crate::brief::identity;
use crate::rule::AlertingRule;

/// The alerts of one rule: one for each sample of its expression, so what bounds the series bounds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleState {
    active: BTreeMap<Labels, Active>,
}

#[derive(Clone, Debug, PartialEq)]
struct Active {
    alert: Alert,
    /// Since when a firing alert has been without a sample.
    missing_since: Option<Timestamp>,
}

/// What became of an alert in a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// The condition began to hold, and must go on for `for`.
    Pending(Alert),
    /// The alert began to fire.
    Firing(Alert),
    /// The alert had been firing and is over.
    Resolved(Alert),
    /// The condition ended before the alert fired.
    Dropped(Alert),
}

impl Transition {
    /// The alert as it is after the step.
    pub fn alert(&self) -> &Alert {
        match self {
            Self::Pending(alert) | Self::Firing(alert) | Self::Resolved(alert) | Self::Dropped(alert) => {
                alert
            }
        }
    }
}

/// Why a step has no outcome.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StepError {
    /// Labels identify an alert.
    #[error("two samples give the alert {}; keep a label that tells them apart", identity(&labels.to_string()))]
    SameLabels {
        /// The labels.
        labels: Labels,
    },
    /// Over the group's limit. All alerts of the rule are cleared.
    #[error("{count} alerts are over the group's limit of {limit}")]
    OverLimit {
        /// The group's limit.
        limit: usize,
        /// How many there would have been.
        count: usize,
        /// What became of the alerts that were there.
        cleared: Vec<Transition>,
    },
}

impl RuleState {
    /// The alerts that are pending or firing, by labels.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.active.values().map(|active| &active.alert)
    }

    pub(crate) fn clear(&mut self, now: Timestamp) -> Vec<Transition> {
        std::mem::take(&mut self.active).into_values().map(|active| active.end(now)).collect()
    }
}

/// Takes the result of a rule's expression at `now` into the rule's state.
///
/// The transitions come sorted by labels, endings first.
///
/// # Errors
///
/// Two samples that give one alert, or more alerts than the group's limit.
pub fn step(
    rule: &AlertingRule,
    state: &mut RuleState,
    result: &[(Labels, f64)],
    now: Timestamp,
) -> Result<Vec<Transition>, StepError> {
    let mut present: BTreeMap<Labels, (&Labels, f64)> = BTreeMap::new();
    for (sample, value) in result {
        let labels = rule.alert_labels(sample, *value);
        if present.insert(labels.clone(), (sample, *value)).is_some() {
            return Err(StepError::SameLabels { labels });
        }
    }
    let kept = state
        .active
        .iter()
        .filter(|(labels, active)| !present.contains_key(*labels) && active.outlasts_its_sample(rule, now));
    let count = present.len() + kept.count();
    if let Some(limit) = rule.limit.filter(|limit| count > *limit) {
        return Err(StepError::OverLimit { limit, count, cleared: state.clear(now) });
    }
    let mut transitions = end_what_is_missing(rule, state, &present, now);
    for (labels, (sample, value)) in present {
        transitions.extend(hold(rule, state, labels, sample, value, now));
    }
    Ok(transitions)
}

fn end_what_is_missing(
    rule: &AlertingRule,
    state: &mut RuleState,
    present: &BTreeMap<Labels, (&Labels, f64)>,
    now: Timestamp,
) -> Vec<Transition> {
    let mut transitions = Vec::new();
    state.active.retain(|labels, active| {
        if present.contains_key(labels) {
            return true;
        }
        if active.outlasts_its_sample(rule, now) {
            active.missing_since.get_or_insert(now);
            return true;
        }
        transitions.push(active.clone().end(now));
        false
    });
    transitions
}

/// Begins an alert, or refreshes it, and lets it fire when it is time.
fn hold(
    rule: &AlertingRule,
    state: &mut RuleState,
    labels: Labels,
    sample: &Labels,
    value: f64,
    now: Timestamp,
) -> Option<Transition> {
    let annotations = rule
        .annotations
        .iter()
        .map(|(name, template)| (name.clone(), template.expand(sample, value)))
        .collect();
    let known = state.active.contains_key(&labels);
    let active = state.active.entry(labels).or_insert_with_key(|labels| Active::begin(labels, now));
    active.alert.value = value;
    active.alert.annotations = annotations;
    active.missing_since = None;
    let alert = &mut active.alert;
    if alert.state == AlertState::Pending && now.since(alert.active_at) >= rule.hold_for {
        alert.state = AlertState::Firing;
        alert.fired_at = Some(now);
        return Some(Transition::Firing(alert.clone()));
    }
    (!known).then(|| Transition::Pending(alert.clone()))
}

impl Active {
    fn begin(labels: &Labels, now: Timestamp) -> Self {
        let alert = Alert {
            labels: labels.clone(),
            annotations: BTreeMap::new(),
            state: AlertState::Pending,
            value: 0.0,
            active_at: now,
            fired_at: None,
            resolved_at: None,
        };
        Self { alert, missing_since: None }
    }

    fn outlasts_its_sample(&self, rule: &AlertingRule, now: Timestamp) -> bool {
        self.alert.state == AlertState::Firing
            && now.since(self.missing_since.unwrap_or(now)) < rule.keep_firing_for
    }

    fn end(self, now: Timestamp) -> Transition {
        let mut alert = self.alert;
        if alert.state == AlertState::Pending {
            return Transition::Dropped(alert);
        }
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(now);
        Transition::Resolved(alert)
    }
}

#[cfg(test)]
mod tests;
