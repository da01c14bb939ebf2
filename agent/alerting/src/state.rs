//! The alert state machine: a pure function of a rule, its state, what an evaluation found and the time.
//!
//! ```text
//! sample there        ──▶ pending ── held for `for` ──▶ firing
//! sample gone, pending ─▶ dropped
//! sample gone, firing ──▶ resolved, once it has been gone for `keep_firing_for`
//! ```
//!
//! With `for: 0` an alert fires in the round in which it begins. A resolved alert is told of for [`RESOLVED_FOR`]; when
//! its sample comes back, it is a new alert. `clear_when` and `on_missing` decide which samples count as gone. A step that
//! fails leaves the state as it was, with one exception: too many alerts clear the rule, as in Prometheus, and the error
//! then carries the transitions of what was cleared.

mod flaps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use telemetry::{Alert, AlertState, Labels, Origins, Timestamp};

use crate::brief::identity;
use crate::rule::{AlertingRule, OnMissing};
pub use flaps::{FLAP_HALF_LIFE, FLAPPING};
pub(crate) use flaps::{Flaps, Score};

/// How long after its end an alert is still told of, so that whoever missed the end learns of it. As in Prometheus.
pub const RESOLVED_FOR: Duration = Duration::from_mins(15);

/// For so long after a restart an alert does not end merely because its series are missing: whoever sends them may have to
/// find us first, and windows to fill.
pub(crate) const SETTLE: Duration = promql::LOOKBACK;

/// Resolved alerts of one rule that are kept. Beyond it those go that have been over the longest.
const MAX_RESOLVED: usize = 1_000;

/// The alerts of one rule: one for each sample of its expression, so what bounds the series bounds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleState {
    pub(crate) active: BTreeMap<Labels, Active>,
    pub(crate) resolved: BTreeMap<Labels, Alert>,
    pub(crate) flaps: Flaps,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Active {
    pub(crate) alert: Alert,
    /// The labels of the sample that raised it.
    pub(crate) sample: Labels,
    /// Since when a firing alert's condition is over.
    pub(crate) over_since: Option<Timestamp>,
    /// How much of the time since it began nobody could see whether the condition holds; it does not count for `for`.
    pub(crate) unobserved: Duration,
    /// When it was last looked at.
    pub(crate) judged_at: Timestamp,
    /// Of an alert from before a restart: until then it is not over merely because its series are not there yet.
    pub(crate) settles_at: Option<Timestamp>,
}

/// A sample of a rule's expression, as the alert that it raises.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The labels of the alert.
    pub labels: Labels,
    /// The labels of the sample.
    pub sample: Labels,
    /// The alert's texts.
    pub annotations: BTreeMap<String, String>,
    /// The sample's value.
    pub value: f64,
}

/// What an evaluation found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The samples of the expression.
    pub instances: Vec<Instance>,
    /// All that was read.
    pub origins: Origins,
    /// Alerts without a sample of which nobody can say whether they are over, because series are missing.
    pub unseen: BTreeSet<Labels>,
    /// Alerts for which `clear_when` gave a sample.
    pub cleared: BTreeSet<Labels>,
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

    fn alert_mut(&mut self) -> &mut Alert {
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

/// What becomes of an active alert that has no sample.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its condition counts as holding.
    Holds,
    /// It stays as it is, and time stands still for it.
    Waits,
    /// Its condition is over, and `keep_firing_for` keeps it.
    Lingers,
    /// It ends.
    Ends,
}

impl RuleState {
    /// The alerts that are pending or firing, by labels.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.active.values().map(|active| &active.alert)
    }

    /// The alerts that were resolved within [`RESOLVED_FOR`], by labels.
    pub fn resolved(&self) -> impl Iterator<Item = &Alert> {
        self.resolved.values()
    }

    /// How often the alert with these labels fired or ended of late; see [`FLAP_HALF_LIFE`].
    pub fn flap_score(&self, labels: &Labels, now: Timestamp) -> f64 {
        self.flaps.score(labels, now)
    }

    /// Whether there is such an alert, or was until a little while ago.
    pub(crate) fn knows(&self, labels: &Labels) -> bool {
        self.active.contains_key(labels) || self.resolved.contains_key(labels)
    }

    /// The alerts are those of `rule` from now on.
    pub(crate) fn belong_to(&mut self, rule: &AlertingRule) {
        let active = self.active.values_mut().map(|active| &mut active.alert);
        for alert in active.chain(self.resolved.values_mut()) {
            alert.source = Arc::clone(&rule.source);
        }
    }

    /// The active alerts without a sample among these.
    pub(crate) fn without_sample(&self, instances: &[Instance]) -> impl Iterator<Item = &Active> {
        let present: BTreeSet<&Labels> = instances.iter().map(|instance| &instance.labels).collect();
        self.active.iter().filter(move |(labels, _)| !present.contains(labels)).map(|(_, active)| active)
    }

    pub(crate) fn clear(&mut self, now: Timestamp) -> Vec<Transition> {
        let ended = std::mem::take(&mut self.active);
        let transitions: Vec<Transition> = ended.into_values().map(|active| active.end(now)).collect();
        for transition in &transitions {
            self.remember(transition, now);
        }
        transitions
    }

    /// Keeps what is told of a change after it.
    fn remember(&mut self, transition: &Transition, now: Timestamp) {
        let alert = transition.alert();
        match transition {
            Transition::Firing(_) => self.flaps.count(&alert.labels, now),
            Transition::Resolved(_) => {
                self.flaps.count(&alert.labels, now);
                self.resolved.insert(alert.labels.clone(), alert.clone());
            }
            Transition::Pending(_) | Transition::Dropped(_) => {}
        }
    }

    /// Forgets what has been over for long enough. A clock that was set far back counts as a long time.
    fn forget(&mut self, now: Timestamp) {
        self.flaps.fade(now);
        self.resolved.retain(|_, alert| is_recent(alert.resolved_at, now));
        while self.resolved.len() > MAX_RESOLVED {
            let oldest = self.resolved.iter().min_by_key(|(_, alert)| alert.resolved_at);
            let Some(labels) = oldest.map(|(labels, _)| labels.clone()) else { return };
            self.resolved.remove(&labels);
        }
    }
}

/// Whether an alert that was resolved then is still told of.
pub(crate) fn is_recent(resolved_at: Option<Timestamp>, now: Timestamp) -> bool {
    resolved_at.is_some_and(|at| now.since(at) <= RESOLVED_FOR && at.since(now) <= RESOLVED_FOR)
}

/// Takes what an evaluation of a rule found at `now` into the rule's state.
///
/// The transitions come sorted by labels, those of alerts without a sample first.
///
/// # Errors
///
/// Two samples that give one alert, or more alerts than the group's limit.
pub fn step(
    rule: &AlertingRule,
    state: &mut RuleState,
    findings: Findings,
    now: Timestamp,
) -> Result<Vec<Transition>, StepError> {
    let Findings { instances, origins, unseen, cleared } = findings;
    let mut present: BTreeMap<Labels, Instance> = BTreeMap::new();
    for instance in instances {
        let labels = instance.labels.clone();
        if present.insert(labels.clone(), instance).is_some() {
            return Err(StepError::SameLabels { labels });
        }
    }
    let fate = |(labels, active): (&Labels, &Active)| {
        active.fate(rule, unseen.contains(labels), cleared.contains(labels), now)
    };
    let absent = state.active.iter().filter(|(labels, _)| !present.contains_key(*labels));
    let fates: Vec<(Labels, Fate)> = absent.map(|entry| (entry.0.clone(), fate(entry))).collect();
    let count = present.len() + fates.iter().filter(|(_, fate)| *fate != Fate::Ends).count();
    if let Some(limit) = rule.limit.filter(|limit| count > *limit) {
        return Err(StepError::OverLimit { limit, count, cleared: state.clear(now) });
    }
    let mut transitions: Vec<Transition> =
        fates.into_iter().filter_map(|(labels, fate)| state.suffer(rule, &labels, fate, now)).collect();
    for instance in present.into_values() {
        transitions.extend(state.hold(rule, instance, now));
    }
    for active in state.active.values_mut() {
        active.alert.origins.extend(origins.iter().cloned());
        active.judged_at = now;
    }
    for transition in &mut transitions {
        transition.alert_mut().origins.extend(origins.iter().cloned());
        state.remember(transition, now);
    }
    state.forget(now);
    Ok(transitions)
}

impl RuleState {
    /// Lets an alert without a sample go on or end.
    fn suffer(
        &mut self,
        rule: &AlertingRule,
        labels: &Labels,
        fate: Fate,
        now: Timestamp,
    ) -> Option<Transition> {
        if fate == Fate::Ends {
            return self.active.remove(labels).map(|active| active.end(now));
        }
        let active = self.active.get_mut(labels)?;
        match fate {
            Fate::Holds => {
                active.over_since = None;
                active.advance(rule, now)
            }
            Fate::Waits => {
                if active.alert.state == AlertState::Pending {
                    active.unobserved += now.since(active.judged_at);
                }
                None
            }
            Fate::Lingers | Fate::Ends => {
                active.over_since = Some(active.over_since.unwrap_or(now).min(now));
                None
            }
        }
    }

    /// Begins an alert, or refreshes it, and lets it fire when it is time.
    fn hold(&mut self, rule: &AlertingRule, instance: Instance, now: Timestamp) -> Option<Transition> {
        let Instance { labels, sample, annotations, value } = instance;
        let known = self.active.contains_key(&labels);
        if !known {
            self.resolved.remove(&labels);
        }
        let active = self.active.entry(labels).or_insert_with_key(|labels| Active::begin(rule, labels, now));
        active.alert.value = value;
        active.alert.annotations = annotations;
        active.sample = sample;
        active.over_since = None;
        active.settles_at = None;
        let moved = active.advance(rule, now);
        if known { moved } else { moved.or_else(|| Some(Transition::Pending(active.alert.clone()))) }
    }
}

impl Active {
    fn begin(rule: &AlertingRule, labels: &Labels, now: Timestamp) -> Self {
        let mut alert = Alert::new(labels.clone(), AlertState::Pending, now);
        alert.source = Arc::clone(&rule.source);
        Self {
            alert,
            sample: Labels::empty(),
            over_since: None,
            unobserved: Duration::ZERO,
            judged_at: now,
            settles_at: None,
        }
    }

    fn fate(&self, rule: &AlertingRule, unseen: bool, cleared: bool, now: Timestamp) -> Fate {
        let firing = self.alert.state == AlertState::Firing;
        if unseen {
            match rule.on_missing {
                OnMissing::Fire => return Fate::Holds,
                OnMissing::Keep => return Fate::Waits,
                OnMissing::Clear if self.is_settling(now) => return Fate::Waits,
                OnMissing::Clear => {}
            }
        } else if firing && rule.clear_when.is_some() && !cleared {
            return Fate::Holds;
        }
        if firing && now.since(self.over_since.unwrap_or(now)) < rule.keep_firing_for {
            Fate::Lingers
        } else {
            Fate::Ends
        }
    }

    /// Whether its series may not have come back yet since a restart.
    fn is_settling(&self, now: Timestamp) -> bool {
        self.settles_at.is_some_and(|at| now < at && at.since(now) <= SETTLE)
    }

    /// Lets a pending alert fire that has held for `for`, and a firing one wait again of which a reload asks for longer.
    fn advance(&mut self, rule: &AlertingRule, now: Timestamp) -> Option<Transition> {
        if self.alert.state == AlertState::Pending && self.alert.active_at > now {
            // The clock was set back; how long it has held is not known any more.
            self.alert.active_at = now;
            self.unobserved = Duration::ZERO;
        }
        let held = |until: Timestamp| until.since(self.alert.active_at).saturating_sub(self.unobserved);
        match (self.alert.state, self.alert.fired_at) {
            (AlertState::Pending, _) if held(now) >= rule.hold_for => {
                self.alert.state = AlertState::Firing;
                self.alert.fired_at = Some(now);
                Some(Transition::Firing(self.alert.clone()))
            }
            // It fired too early for the rule as it is now. To look at both times keeps a clock that is set back from
            // doing the same.
            (AlertState::Firing, Some(fired_at))
                if held(now) < rule.hold_for && held(fired_at) < rule.hold_for =>
            {
                self.alert.state = AlertState::Pending;
                self.alert.fired_at = None;
                Some(Transition::Pending(self.alert.clone()))
            }
            _ => None,
        }
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
