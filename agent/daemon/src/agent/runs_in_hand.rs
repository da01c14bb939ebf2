//! The runs that are under way or wait for a person, and what became of the others, for whoever asks what the agent does.
//!
//! Follows runs by their steps alone; which runbook would answer what, it is told. Counts begin with the agent.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use remediation::LedgerFigures;
use series::LabelMatcher;
use telemetry::{Labels, RunEvent, RunId, RunOutcome, RunStep, Stage, Timestamp};

/// Guards that are told apart; there are fewer.
const MAX_GUARDS: usize = 100;

/// Alerts of which it is kept how their last run ended. At the limit the one whose run ended longest ago is forgotten.
const MAX_ALERTS: usize = 1_000;

/// A run that is not over.
#[derive(Clone, Debug)]
pub(crate) struct InHand {
    /// Its alert's labels, printed.
    pub(crate) alert: String,
    pub(crate) runbook: String,
    pub(crate) target: String,
    pub(crate) stage: Stage,
    pub(crate) since: Timestamp,
    /// What it would do, and when it is given up, while it waits for a person.
    pub(crate) waits: Option<(Vec<String>, Timestamp)>,
}

/// A runbook, as far as it says which alerts it answers.
#[derive(Clone, Debug)]
pub(crate) struct Answering {
    pub(crate) runbook: String,
    /// In force.
    pub(crate) stage: Stage,
    pub(crate) matchers: Vec<LabelMatcher>,
}

impl Answering {
    fn describe(&self) -> String {
        format!("{} (stage {})", self.runbook, self.stage)
    }
}

/// What became of runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunFigures {
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// By guard: how often it refused.
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) waiting: u64,
    pub(crate) under_way: u64,
    pub(crate) ledger: LedgerFigures,
    /// Refusals that were not told of, because too many came.
    pub(crate) untold_refusals: u64,
    /// Questions to the lock of the fleet that were not answered in time.
    pub(crate) fleet_lock_unanswered: u64,
}

/// How the last run for an alert ended.
#[derive(Clone, Debug)]
struct Last {
    run: RunId,
    at: Timestamp,
    outcome: RunOutcome,
    reason: String,
}

#[derive(Debug, Default)]
struct State {
    /// Each from its match to its end.
    in_hand: BTreeMap<RunId, InHand>,
    /// By the alert's labels, printed.
    last: BTreeMap<String, Last>,
    /// In the order in which they are asked; None until that is known.
    answering: Option<Vec<Answering>>,
    figures: RunFigures,
}

impl State {
    fn ended(&mut self, alert: String, last: Last) {
        if self.last.len() >= MAX_ALERTS && !self.last.contains_key(&alert) {
            let oldest = self.last.iter().min_by_key(|(_, last)| last.at).map(|(alert, _)| alert.clone());
            oldest.and_then(|oldest| self.last.remove(&oldest));
        }
        self.last.insert(alert, last);
    }
}

/// Written by the runs, read by whoever asks.
#[derive(Debug, Default)]
pub(crate) struct RunsInHand(Mutex<State>);

impl RunsInHand {
    /// Follows a run by its steps.
    pub(crate) fn stepped(&self, event: &RunEvent) {
        let mut state = self.lock();
        match &event.step {
            RunStep::Matched { alert, runbook, target, stage, .. } => {
                let (alert, runbook, target) = (alert.clone(), runbook.clone(), target.clone());
                let run = InHand { alert, runbook, target, stage: *stage, since: event.at, waits: None };
                state.in_hand.insert(event.run.clone(), run);
            }
            RunStep::Guard { guard, allowed: false, .. } => {
                let refusals = &mut state.figures.refusals;
                if refusals.len() < MAX_GUARDS || refusals.contains_key(guard) {
                    *refusals.entry(guard.clone()).or_default() += 1;
                }
            }
            RunStep::Awaiting { plan, until } => {
                if let Some(run) = state.in_hand.get_mut(&event.run) {
                    run.waits = Some((plan.clone(), *until));
                }
            }
            RunStep::Decided { .. } => {
                if let Some(run) = state.in_hand.get_mut(&event.run) {
                    run.waits = None;
                }
            }
            RunStep::Finished { outcome, reason } => {
                if let Some(run) = state.in_hand.remove(&event.run) {
                    let (id, reason) = (event.run.clone(), reason.clone());
                    state.ended(run.alert, Last { run: id, at: event.at, outcome: *outcome, reason });
                }
                *state.figures.outcomes.entry(outcome.to_string()).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Follows a run, which the agent before this one began, from here on.
    pub(crate) fn goes_on(&self, past: &[RunEvent]) {
        if let Some(matched) = past.first().filter(|event| matches!(event.step, RunStep::Matched { .. })) {
            self.stepped(matched);
        }
    }

    /// Keeps how the journal fares, and how many refusals are not in it.
    pub(crate) fn journal_is(&self, figures: LedgerFigures, untold_refusals: u64) {
        let mut state = self.lock();
        (state.figures.ledger, state.figures.untold_refusals) = (figures, untold_refusals);
    }

    /// Keeps how often the lock of the fleet has not answered in time.
    pub(crate) fn fleet_lock_is(&self, unanswered: u64) {
        self.lock().figures.fleet_lock_unanswered = unanswered;
    }

    /// Since when the journal has taken nothing, if writing to it fails.
    pub(crate) fn journal_failing_since(&self) -> Option<Timestamp> {
        self.lock().figures.ledger.failing_since
    }

    /// These runbooks answer alerts from now on.
    pub(crate) fn answered_by(&self, runbooks: Vec<Answering>) {
        self.lock().answering = Some(runbooks);
    }

    /// What is done about an alert with these labels, how that ended, or why nothing is. `silenced` if a silence keeps
    /// runbooks from it. None before it is known which runbooks there are.
    pub(crate) fn about(&self, labels: &Labels, silenced: bool) -> Option<String> {
        let (state, alert) = (self.lock(), labels.to_string());
        if let Some((id, run)) = state.in_hand.iter().find(|(_, run)| run.alert == alert) {
            let InHand { runbook, stage, waits, .. } = run;
            return Some(match waits {
                Some((_, until)) => format!(
                    "{runbook} (stage {stage}) waits for approval until {until}: `hostmend approve {id}`"
                ),
                None => format!("{runbook} (stage {stage}) is at work on it in run {id}"),
            });
        }
        if silenced {
            return Some("a silence keeps runbooks from it".to_owned());
        }
        let ended = state
            .last
            .get(&alert)
            .map(|Last { run, outcome, reason, .. }| format!("{outcome} in run {run}: {reason}"));
        let answers = |runbook: &&Answering| runbook.matchers.iter().all(|matcher| matcher.matches(labels));
        let Some(answering) = &state.answering else { return ended };
        Some(match (answering.iter().find(answers), ended) {
            (Some(runbook), Some(ended)) => format!("{}: {ended}", runbook.describe()),
            (Some(runbook), None) => {
                format!(
                    "{} answers it, and has begun nothing yet; `hostmend explain` says why",
                    runbook.describe()
                )
            }
            (None, Some(ended)) => format!("no runbook answers it any more; {ended}"),
            (None, None) => "no runbook answers it".to_owned(),
        })
    }

    /// All that are not over, the oldest first.
    pub(crate) fn in_hand(&self) -> Vec<(RunId, InHand)> {
        self.lock().in_hand.iter().map(|(id, run)| (id.clone(), run.clone())).collect()
    }

    /// What became of runs so far.
    pub(crate) fn figures(&self) -> RunFigures {
        let state = self.lock();
        let waiting = state.in_hand.values().filter(|run| run.waits.is_some()).count();
        let under_way = state.in_hand.len() - waiting;
        RunFigures { waiting: waiting as u64, under_way: under_way as u64, ..state.figures.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use telemetry::RunOutcome;

    fn matched() -> RunStep {
        RunStep::Matched {
            alert: "{}".into(),
            runbook: "restart".into(),
            stage: Stage::Ask,
            script: String::new(),
            script_sha256: String::new(),
            target: "web".into(),
            runbook_sha256: String::new(),
            touches: Vec::new(),
        }
    }

    #[test]
    fn a_run_of_the_last_agent_that_goes_on_is_in_hand_since_its_match() {
        let runs = RunsInHand::default();
        let event = |at, step| RunEvent { run: RunId("1".into()), at: Timestamp::from_secs(at), step };
        let guard = RunStep::Guard { guard: "cooldown".into(), allowed: false, reason: String::new() };
        runs.goes_on(&[event(1, matched()), event(2, guard)]);
        runs.stepped(&event(3, RunStep::Resumed { reason: String::new() }));
        let (figures, in_hand) = (runs.figures(), runs.in_hand());
        assert_eq!((figures.under_way, figures.refusals.len()), (1, 0));
        assert_eq!((in_hand.len(), in_hand[0].1.since), (1, Timestamp::from_secs(1)));
    }

    #[test]
    fn a_run_is_in_hand_from_its_match_to_its_end_and_then_counted() {
        let runs = RunsInHand::default();
        let step =
            |step| runs.stepped(&RunEvent { run: RunId("1".into()), at: Timestamp::from_secs(1), step });
        let waiting = || (runs.figures().waiting, runs.figures().under_way);
        step(matched());
        assert_eq!((runs.in_hand().len(), waiting()), (1, (0, 1)));
        let until = Timestamp::from_secs(1).plus(Duration::from_mins(10));
        step(RunStep::Awaiting { plan: vec!["restart web".into()], until });
        assert_eq!(waiting(), (1, 0));
        step(RunStep::Decided { approved: true, by: "ann (1000)".into(), comment: String::new() });
        assert_eq!(waiting(), (0, 1));
        for allowed in [true, false] {
            step(RunStep::Guard { guard: "cooldown".into(), allowed, reason: String::new() });
        }
        step(RunStep::Finished { outcome: RunOutcome::Escalated, reason: String::new() });
        let figures = runs.figures();
        assert_eq!(
            (runs.in_hand().len(), figures.outcomes["escalated"], figures.refusals["cooldown"]),
            (0, 1, 1)
        );
    }

    #[test]
    fn of_each_alert_it_is_known_what_is_done_about_it_and_how_that_ended() {
        let runs = RunsInHand::default();
        let labels: Labels = [("alertname", "Web")].into_iter().collect();
        let step = |step| RunEvent { run: RunId("r1".to_owned()), at: Timestamp::EPOCH, step };
        let RunStep::Matched {
            runbook, stage, script, script_sha256, target, runbook_sha256, touches, ..
        } = matched()
        else {
            panic!("it is a match");
        };
        let alert = labels.to_string();
        let matched = RunStep::Matched {
            alert,
            runbook,
            stage,
            script,
            script_sha256,
            target,
            runbook_sha256,
            touches,
        };
        let decided = RunStep::Decided { approved: true, by: String::new(), comment: String::new() };
        let reason = "cooldown: 10s left of 1m".to_owned();
        assert_eq!(runs.about(&labels, false), None);
        let answers = |matcher: &str| {
            let matchers = vec![matcher.parse().unwrap()];
            runs.answered_by(vec![Answering { runbook: "restart".to_owned(), stage: Stage::Ask, matchers }]);
            runs.about(&labels, false).unwrap()
        };
        assert_eq!(answers("alertname=\"Db\""), "no runbook answers it");
        assert_eq!(
            answers("alertname=\"Web\""),
            "restart (stage ask) answers it, and has begun nothing yet; `hostmend explain` says why"
        );
        assert_eq!(runs.about(&labels, true).unwrap(), "a silence keeps runbooks from it");
        for (what, says) in [
            (matched, "restart (stage ask) is at work on it in run r1"),
            (
                RunStep::Awaiting { plan: Vec::new(), until: Timestamp::EPOCH },
                "restart (stage ask) waits for approval until 1970-01-01T00:00:00.000Z: `hostmend approve r1`",
            ),
            (decided, "restart (stage ask) is at work on it in run r1"),
            (
                RunStep::Finished { outcome: RunOutcome::Refused, reason },
                "restart (stage ask): refused in run r1: cooldown: 10s left of 1m",
            ),
        ] {
            runs.stepped(&step(what));
            assert_eq!(runs.about(&labels, false).as_deref(), Some(says));
        }
        let gone = "no runbook answers it any more; refused in run r1: cooldown: 10s left of 1m";
        assert_eq!(answers("alertname=\"Db\""), gone);
    }
}
