//! From a firing alert to a verified repair.
//!
//! A run passes the guards, lets the script ask, performs what is granted, and believes nothing before the verification
//! holds. Every step is an event, in the journal before it is anywhere else; an action whose intention cannot be written
//! down is not performed. One run at a time.

mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use telemetry::{Alert, AlertState, Labels, RunEvent, RunId, RunOutcome, RunStep, Stage, Timestamp};

use crate::guard::{GUARDS, Question, Verdict, attempts_within};
use crate::ledger::{Ledger, LedgerError};
use crate::runbook::Runbook;
use crate::runner::Sandbox;
use crate::script::Script;
use crate::world::World;
use session::{Ended, ScriptRun};

/// How often a verification is asked again.
const VERIFY_EVERY: Duration = Duration::from_millis(250);

/// Alerts whose last refusal or observation is remembered, so that it is told once and not at every evaluation. At the
/// limit all are forgotten and told once more.
const MAX_TOLD: usize = 10_000;

/// Answers alerts with runbooks.
#[derive(Debug)]
pub struct Remediator {
    runbooks: Vec<Runbook>,
    scripts: BTreeMap<String, Script>,
    ledger: Ledger,
    sandbox: Sandbox,
    told: HashMap<(String, Labels), Told>,
    runs: u64,
}

/// What was last said about an alert without running anything.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    active_at: Timestamp,
    refused_by: Vec<&'static str>,
}

impl Remediator {
    /// Answers alerts with these runbooks, the first that matches. `scripts` holds every script they name, by its name.
    pub fn new(
        runbooks: Vec<Runbook>,
        scripts: BTreeMap<String, Script>,
        ledger: Ledger,
        sandbox: Sandbox,
    ) -> Self {
        Self { runbooks, scripts, ledger, sandbox, told: HashMap::new(), runs: 0 }
    }

    /// Answers by other runbooks and scripts from now on. What is remembered of runs and alerts stays.
    pub fn answer_by(&mut self, runbooks: Vec<Runbook>, scripts: BTreeMap<String, Script>) {
        (self.runbooks, self.scripts) = (runbooks, scripts);
    }

    /// The journal.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Closes the runs that the agent's end has cut off. To be called once, before the first alert.
    pub fn recover(&mut self, world: &mut dyn World) {
        let cut_off: Vec<_> =
            self.ledger.history().open().map(|(run, open)| (run.clone(), open.clone())).collect();
        for (run, open) in cut_off {
            let reason = match open.uncertain.as_slice() {
                [] => "the agent ended before the run did".to_owned(),
                uncertain => format!(
                    "the agent ended before the run did; it is not known whether this was done: {}",
                    uncertain.join(", ")
                ),
            };
            self.tell(world, &run, RunStep::Finished { outcome: RunOutcome::Interrupted, reason });
        }
    }

    /// Answers a firing alert, and returns when the run is over.
    ///
    /// None if no runbook matches; if the alert no longer fires, or was not seen firing since the runbook's last run, so
    /// that nothing is known of its effect; or if nothing was run and nothing has changed since this was last told: the
    /// same guards still refuse the same alert, or its runbook only observes. May be called at every evaluation.
    pub fn respond(&mut self, world: &mut dyn World, alert: &Alert) -> Option<RunOutcome> {
        if alert.state != AlertState::Firing {
            return None;
        }
        let runbook = self.runbooks.iter().find(|runbook| runbook.answers(&alert.labels))?.clone();
        let Some(script) = self.scripts.get(&runbook.script).cloned() else {
            tracing::error!(
                runbook = runbook.name,
                script = runbook.script,
                "a runbook's script was not loaded"
            );
            return None;
        };
        let seen_firing = world.seen_firing(alert)?;
        if self.predates_last_run(&runbook, seen_firing, world.now()) {
            return None;
        }
        let verdicts = self.judge(world, &runbook, seen_firing);
        let refusals: Vec<_> = verdicts.iter().filter(|(_, verdict)| !verdict.allowed).collect();
        let refused_by: Vec<&'static str> = refusals.iter().map(|(name, _)| *name).collect();
        let runs = refused_by.is_empty() && runbook.stage == Stage::Auto;
        if !self.is_news(&runbook, alert, runs, &refused_by) {
            return None;
        }
        let run = self.announce(world, &runbook, &script, alert, &verdicts);
        let (outcome, reason) = if !refusals.is_empty() {
            let reasons: Vec<String> =
                refusals.iter().map(|(name, verdict)| format!("{name}: {}", verdict.reason)).collect();
            (RunOutcome::Refused, reasons.join("; "))
        } else if runbook.stage == Stage::Observe {
            let parameters = runbook.printed_parameters();
            (RunOutcome::Observed, format!("would have run {} with {parameters}", runbook.script))
        } else if world.seen_firing(alert).is_none() {
            (RunOutcome::Skipped, "the alert resolved by itself".to_owned())
        } else {
            self.repair(world, &run, &runbook, &script, alert)
        };
        self.tell(world, &run, RunStep::Finished { outcome, reason });
        Some(outcome)
    }

    /// Begins a run: what met, and what every guard said.
    fn announce(
        &mut self,
        world: &mut dyn World,
        runbook: &Runbook,
        script: &Script,
        alert: &Alert,
        verdicts: &[(&'static str, Verdict)],
    ) -> RunId {
        let run = self.next_id(world.now());
        let matched = RunStep::Matched {
            alert: alert.labels.to_string(),
            runbook: runbook.name.clone(),
            stage: runbook.stage,
            script: runbook.script.clone(),
            script_sha256: script.sha256().to_owned(),
        };
        self.tell(world, &run, matched);
        for (name, verdict) in verdicts {
            let (guard, allowed, reason) = ((*name).to_owned(), verdict.allowed, verdict.reason.clone());
            self.tell(world, &run, RunStep::Guard { guard, allowed, reason });
        }
        run
    }

    fn predates_last_run(&self, runbook: &Runbook, seen_firing: Timestamp, now: Timestamp) -> bool {
        let ends = self.ledger.history().attempts(&runbook.name).filter_map(|attempt| attempt.ended);
        // An end in the future is one of before the clock jumped back; the guards refuse for it, and say so.
        ends.map(|(at, _)| at).max().is_some_and(|last| seen_firing <= last && last <= now)
    }

    fn judge(
        &self,
        world: &dyn World,
        runbook: &Runbook,
        seen_firing: Timestamp,
    ) -> Vec<(&'static str, Verdict)> {
        let question = Question {
            runbook: &runbook.name,
            guards: &runbook.guards,
            frozen: world.frozen(),
            journal_writable: self.ledger.is_writable(),
            seen_firing,
        };
        let now = world.now();
        GUARDS
            .iter()
            .map(|guard| (guard.name, (guard.judge)(&question, self.ledger.history(), now)))
            .collect()
    }

    fn is_news(&mut self, runbook: &Runbook, alert: &Alert, runs: bool, refused_by: &[&'static str]) -> bool {
        let key = (runbook.name.clone(), alert.labels.clone());
        if runs {
            self.told.remove(&key);
            return true;
        }
        if self.told.len() >= MAX_TOLD {
            self.told.clear();
        }
        let told = Told { active_at: alert.active_at, refused_by: refused_by.to_vec() };
        self.told.insert(key, told.clone()) != Some(told)
    }

    /// Unique on this host, and in the order of time.
    fn next_id(&mut self, now: Timestamp) -> RunId {
        loop {
            self.runs += 1;
            let run = RunId(format!("{:012x}-{:04x}", now.as_millis().max(0), self.runs & 0xffff));
            if !self.ledger.history().remembers(&run) {
                return run;
            }
        }
    }

    /// Runs the script and verifies.
    fn repair(
        &mut self,
        world: &mut dyn World,
        run: &RunId,
        runbook: &Runbook,
        script: &Script,
        alert: &Alert,
    ) -> (RunOutcome, String) {
        // Written down first: a start that is not counted would not count against the budget.
        let started = RunStep::Started { parameters: runbook.printed_parameters() };
        if let Err(error) = self.record(world, run, started) {
            return (
                RunOutcome::Refused,
                format!("its start cannot be written down: {}", telemetry::with_causes(&error)),
            );
        }
        let (budget, now) = (runbook.guards.attempts, world.now());
        let attempt = attempts_within(budget, &runbook.name, self.ledger.history(), now);
        let mut script_run = ScriptRun::new(self, world, run, runbook);
        let ended = script_run.run(script, alert, attempt);
        let tried = script_run.tried();
        let ended_at = world.now();
        let (ok, result) = match &ended {
            Ended::Fixed(why) => (true, format!("fixed: {why}")),
            Ended::Skipped(why) => (false, format!("skip: {why}")),
            Ended::Failed(why) => (false, format!("failed: {why}")),
            Ended::Broke(why) | Ended::Stopped(why) => (false, why.clone()),
        };
        self.tell(world, run, RunStep::Ended { ok, result: result.clone() });
        match ended {
            Ended::Fixed(_) => self.verify(world, run, runbook, &tried, ended_at),
            Ended::Skipped(why) => (RunOutcome::Skipped, why),
            Ended::Failed(_) | Ended::Broke(_) => {
                (RunOutcome::Escalated, escalation(runbook, &tried, &result))
            }
            Ended::Stopped(why) => (RunOutcome::Interrupted, format!("{why}; {tried}")),
        }
    }

    /// Waits until the verification has held for its time, or its time is over. Samples from before the script's end show
    /// what was, not what it has mended.
    fn verify(
        &mut self,
        world: &mut dyn World,
        run: &RunId,
        runbook: &Runbook,
        tried: &str,
        ended_at: Timestamp,
    ) -> (RunOutcome, String) {
        let verify = &runbook.verify;
        let limit = world.now().plus(verify.within);
        let mut holds_since: Option<Timestamp> = None;
        // Counted as well, so that a clock that stands still ends it too.
        let mut looks = verify.within.as_millis() / VERIFY_EVERY.as_millis() + 2;
        let (ok, observed) = loop {
            let now = world.now();
            let (holds, observed) = match world.query(&verify.expr, Some(ended_at)) {
                Ok(answer) => (!answer.values.is_empty(), answer.describe()),
                Err(error) => (false, error),
            };
            holds_since = if holds { Some(holds_since.unwrap_or(now)) } else { None };
            if holds_since.is_some_and(|since| now.since(since) >= verify.settle) {
                break (true, observed);
            }
            looks = looks.saturating_sub(1);
            if now >= limit || looks == 0 {
                break (false, observed);
            }
            if !world.wait(VERIFY_EVERY.min(limit.since(now))) {
                return (RunOutcome::Interrupted, format!("the agent is stopping; {tried}; not verified"));
            }
        };
        let verified = RunStep::Verified { expression: verify.expr.clone(), ok, observed: observed.clone() };
        self.tell(world, run, verified);
        if ok {
            return (RunOutcome::Repaired, format!("{tried}; verified: {} gave {observed}", verify.expr));
        }
        let what = format!(
            "{} did not hold within {}: it gave {observed}",
            verify.expr,
            telemetry::format_duration(verify.within)
        );
        (RunOutcome::Escalated, escalation(runbook, tried, &what))
    }

    /// Writes an event down and passes it on.
    fn record(&mut self, world: &mut dyn World, run: &RunId, step: RunStep) -> Result<(), LedgerError> {
        let event = RunEvent { run: run.clone(), at: world.now(), step };
        self.ledger.append(&event)?;
        world.record(&event);
        Ok(())
    }

    /// Passes an event on and writes it down, where nothing depends on its being written.
    fn tell(&mut self, world: &mut dyn World, run: &RunId, step: RunStep) {
        let event = RunEvent { run: run.clone(), at: world.now(), step };
        if let Err(error) = self.ledger.append(&event) {
            tracing::error!(%run, error = &error as &dyn std::error::Error, "a run event is not in the journal");
        }
        world.record(&event);
    }
}

/// What the person who is called needs to know first.
fn escalation(runbook: &Runbook, tried: &str, what: &str) -> String {
    match runbook.escalation() {
        Some(text) => format!("{text}; {tried}; {what}"),
        None => format!("{tried}; {what}"),
    }
}
