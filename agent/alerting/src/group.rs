//! Evaluates a group of rules, one after the other, at one time.
//!
//! What a rule gives is in the store before the next rule is asked, so a rule can build on those above it. A rule that
//! fails keeps nobody from running, and its series are not said to have ended: an error says nothing about them. How long
//! things take is told by whoever has a clock; nothing here reads one.

mod asked;
mod departed;
mod failure;
mod run;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use series::Store;
use telemetry::{Alert, AlertState, Labels, Origin, Timestamp};

use crate::rule::{Defaults, Externals, Rule, RuleGroup};
use crate::schedule::Schedule;
use crate::state::{Transition, is_recent};
pub use departed::Departed;
pub use failure::{Failure, RuleError};
pub(crate) use run::{RuleRun, series_of};

/// What a round gave.
#[derive(Debug, Default)]
pub struct Round {
    /// What became of alerts, in the order of the rules.
    pub transitions: Vec<Transition>,
    /// The rules that failed, in their order.
    pub errors: Vec<RuleError>,
    /// How long it took.
    pub took: Duration,
}

/// The two times of a round. A time that is given alone is both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTimes {
    /// When the round was due. Alerts are judged by it, so that a round that comes late makes no `for` longer.
    pub slot: Timestamp,
    /// When it takes place. Series are read and written at it, so that the newest samples count.
    pub now: Timestamp,
}

impl From<Timestamp> for RoundTimes {
    fn from(at: Timestamp) -> Self {
        Self { slot: at, now: at }
    }
}

/// A group with the state of its rules.
#[derive(Debug)]
pub struct GroupState {
    pub(crate) group: RuleGroup,
    /// One for each rule, in their order.
    pub(crate) rules: Vec<RuleRun>,
    schedule: Schedule,
    externals: Arc<Externals>,
    /// How often it is evaluated.
    pub(crate) interval: Duration,
    /// When it was last evaluated, and how long that took.
    pub(crate) last: Option<(Timestamp, Duration)>,
    /// By what time its alerts were last judged.
    judged_at: Option<Timestamp>,
    /// What its templates ask.
    asked: asked::Asked,
    /// Series of rules that are gone, which end with the next round.
    orphans: BTreeSet<Labels>,
    /// Alerts of rules that are gone.
    pub(crate) former: Vec<Alert>,
}

impl GroupState {
    /// A group without history. It is first due after `now`.
    pub fn new(group: RuleGroup, defaults: &Defaults, now: Timestamp) -> Self {
        let interval = group.interval.unwrap_or(defaults.interval);
        Self {
            rules: group.rules.iter().map(|_| RuleRun::default()).collect(),
            schedule: Schedule::new((&group.file, &group.name), interval, now),
            group,
            externals: Arc::clone(&defaults.externals),
            interval,
            last: None,
            judged_at: None,
            asked: asked::Asked::default(),
            orphans: BTreeSet::new(),
            former: Vec::new(),
        }
    }

    /// Goes on as `group`, the same group as its file says now. A rule that is still there, known by its kind, name and
    /// labels, keeps its alerts and series, as in Prometheus, even if it judges by another expression from now on. Rules
    /// that are gone end, their series with the next round. Returns what became of their alerts.
    #[must_use]
    pub fn go_on_as(
        mut self,
        group: RuleGroup,
        defaults: &Defaults,
        now: Timestamp,
    ) -> (Self, Vec<Transition>) {
        let mut next = Self::new(group, defaults, now);
        if next.schedule.has_the_slots_of(&self.schedule) {
            next.schedule = self.schedule;
        }
        next.last = self.last;
        next.judged_at = self.judged_at;
        next.orphans = std::mem::take(&mut self.orphans);
        next.former = std::mem::take(&mut self.former);
        let mut before: Vec<Option<(Rule, RuleRun)>> =
            self.group.rules.into_iter().zip(self.rules).map(Some).collect();
        for (rule, run) in next.group.rules.iter().zip(&mut next.rules) {
            let found =
                before.iter_mut().find(|slot| slot.as_ref().is_some_and(|(old, _)| rule.continues(old)));
            if let Some((_, kept)) = found.and_then(Option::take) {
                *run = kept;
                run.is_now(rule);
            }
        }
        let mut transitions = Vec::new();
        for (_, run) in before.into_iter().flatten() {
            let ended = run.end(now);
            next.orphans.extend(ended.series);
            next.former.extend(ended.resolved);
            transitions.extend(ended.transitions);
        }
        (next, transitions)
    }

    /// Ends the group: its alerts are over at once, its series after two intervals, so that a group of another name that
    /// has taken over its rules does not find them ended.
    pub fn end(self, now: Timestamp) -> (Departed, Vec<Transition>) {
        let mut departed = Departed::new(now, self.interval, self.orphans, self.former);
        let transitions = self.rules.into_iter().flat_map(|run| departed.take(run.end(now))).collect();
        (departed, transitions)
    }

    /// The group.
    pub fn group(&self) -> &RuleGroup {
        &self.group
    }

    /// How often the group is evaluated.
    pub fn interval(&self) -> Duration {
        self.interval
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

    /// The names of the alerts of which it is not known whether they should fire: their rule failed when it was last
    /// evaluated, or has not been evaluated yet.
    pub fn unknown_alerts(&self) -> impl Iterator<Item = &str> {
        let rules = self.group.rules.iter().zip(&self.rules);
        rules.filter_map(|(rule, run)| {
            let known = run.evaluations.back().is_some_and(|last| last.error.is_none());
            matches!(rule, Rule::Alerting(_) if !known).then(|| rule.name())
        })
    }

    /// The alerts that others are told of: those that fire, and those that were resolved within
    /// [`RESOLVED_FOR`](crate::RESOLVED_FOR).
    pub fn reported(&self) -> impl Iterator<Item = &Alert> {
        let runs = self.rules.iter().flat_map(|run| run.state.active().chain(run.state.resolved()));
        runs.filter(|alert| alert.state != AlertState::Pending).chain(&self.former)
    }

    /// Evaluates all rules at their time, each against a store that holds what those before it gave. `clock` says how much time
    /// has passed since a moment that stays the same during the call, so that durations can be told.
    pub fn evaluate(
        &mut self,
        store: &mut Store,
        times: impl Into<RoundTimes>,
        clock: &mut dyn FnMut() -> Duration,
    ) -> Round {
        let RoundTimes { slot, now } = times.into();
        let judged_at = self.judged(slot, now);
        self.judged_at = Some(judged_at);
        let mut round = Round::default();
        let begun = clock();
        let mut before = begun;
        let sampled_at = now.minus(self.group.query_offset);
        let mut asked = std::mem::take(&mut self.asked);
        asked.begin_round();
        let asked = RefCell::new(asked);
        let when = run::When { judged_at, now, sampled_at, externals: &self.externals, asked: &asked };
        for (rule, run) in self.group.rules.iter_mut().zip(&mut self.rules) {
            let result = run.evaluate(rule, store, &when, &mut round.transitions);
            let after = clock();
            run.note(rule, now, after.saturating_sub(before), &result);
            before = after;
            if let Err(failure) = result {
                let (group, rule) = (self.group.name.clone(), rule.name().to_owned());
                round.errors.push(RuleError { group, rule, failure });
            }
        }
        self.asked = asked.into_inner();
        self.end_orphans(store, sampled_at);
        self.forget_former(judged_at);
        round.took = before.saturating_sub(begun);
        self.last = Some((now, round.took));
        round
    }

    /// The time to judge alerts by: that of the slot, or of a round out of turn that came after it.
    fn judged(&self, slot: Timestamp, now: Timestamp) -> Timestamp {
        // One that lies ahead of now is from before the clock was set back.
        self.judged_at.filter(|before| *before <= now).map_or(slot, |before| slot.max(before))
    }

    /// Forgets alerts of rules that are gone once they have been over for long enough, or when another rule raises them.
    fn forget_former(&mut self, now: Timestamp) {
        let rules = &self.rules;
        let again = |alert: &Alert| rules.iter().any(|run| run.state.knows(&alert.labels));
        self.former.retain(|alert| is_recent(alert.resolved_at, now) && !again(alert));
    }

    /// Says of the series of rules that are gone that they have ended, unless another rule of the group goes on with them.
    fn end_orphans(&mut self, store: &mut Store, at: Timestamp) {
        for labels in std::mem::take(&mut self.orphans) {
            if !self.rules.iter().any(|run| run.written.contains(&labels)) {
                // Refused only if the series has aged out or is another's now.
                let _ = store.mark_stale(&labels, &Origin::Rule, at);
            }
        }
    }
}

#[cfg(test)]
mod tests;
