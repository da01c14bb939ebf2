//! From a firing alert to a verified repair.
//!
//! The [`Remediator`] coordinates: it finds the runbook, asks the guards, writes the start down and hands a [`Run`] over, which
//! somebody performs on a thread of its own. The coordinator never waits for one. Every step is an event, in the journal
//! before it is anywhere else; an action whose intention cannot be written down is not performed.

mod changes;
mod chronicle;
mod decision;
mod evidence;
mod foresight;
mod news;
mod performance;
mod places;
mod recovery;
mod refusals;
mod replay;
mod session;
mod standings;
mod taking_back;
#[cfg(test)]
mod tests;
mod verification;
mod wellness;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use telemetry::{Alert, AlertState, RunId, RunOutcome, RunStep, Stage, Timestamp, with_causes};

use crate::circumstances::{Circumstances, Subject};
use crate::fleet_lock::FleetLock;
use crate::guard::{self, HostGuards, Question, Verdict, attempts_within};
use crate::header::{Class, Risk};
use crate::ledger::Ledger;
use crate::runbook::Runbook;
use crate::runner::Sandbox;
use crate::script::Script;
use crate::world::World;
use chronicle::{Chronicle, locked};
use decision::Waiting;
pub use decision::{Decision, Undecided, WaitingRun};
pub use foresight::{Explanation, GuardSays, Plan};
use news::News;
pub use performance::Run;
use places::Places;
use refusals::Refusals;
pub use standings::{RunbookStanding, standings_of};
pub use wellness::Look;
use wellness::Wellness;

/// Guards whose refusal is over when another run is. The alert is considered again then, so that they are no news.
const PASSING: [&str; 3] = ["one at a time", "one per target", "at once"];

/// Answers alerts with runbooks.
#[derive(Debug)]
pub struct Remediator {
    runbooks: Vec<Runbook>,
    scripts: BTreeMap<String, Script>,
    ledger: Arc<Mutex<Ledger>>,
    sandbox: Sandbox,
    guards: HostGuards,
    places: Places,
    news: News,
    refusals: Refusals,
    wellness: Wellness,
    waiting: BTreeMap<RunId, Waiting>,
    runs: u64,
}

/// What has become of a firing alert.
#[derive(Debug)]
pub enum Considered {
    /// Nothing is run, and all of it is told.
    Told(RunOutcome),
    /// A run has begun, and is to be performed.
    Begun(Box<Run>),
}

impl Remediator {
    /// Answers alerts with these runbooks, the first that matches. `scripts` holds every script they name, by its name.
    pub fn new(
        runbooks: Vec<Runbook>,
        scripts: BTreeMap<String, Script>,
        ledger: Ledger,
        sandbox: Sandbox,
    ) -> Self {
        Self {
            runbooks,
            scripts,
            ledger: Arc::new(Mutex::new(ledger)),
            sandbox,
            guards: HostGuards::default(),
            places: Places::default(),
            news: News::default(),
            refusals: Refusals::default(),
            wellness: Wellness::default(),
            waiting: BTreeMap::new(),
            runs: 0,
        }
    }

    /// Answers by other runbooks and scripts from now on. What is remembered of runs and alerts stays.
    pub fn answer_by(&mut self, runbooks: Vec<Runbook>, scripts: BTreeMap<String, Script>) {
        (self.runbooks, self.scripts) = (runbooks, scripts);
    }

    /// Holds all runbooks of this host to these limits from now on.
    pub fn guard_by(&mut self, guards: HostGuards) {
        self.guards = guards;
    }

    /// Agrees by this lock with other hosts from now on. Without one, runbooks that ask for a place are refused.
    pub fn agree_by(&mut self, lock: Option<Arc<dyn FleetLock>>) {
        self.places.agree_by(lock);
    }

    /// Refusals that were not told of, because too many came in a minute.
    pub fn untold_refusals(&self) -> u64 {
        self.refusals.untold()
    }

    /// The journal.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    /// Answers a firing alert.
    ///
    /// None if no runbook matches; if the alert no longer fires, or was not seen firing since the runbook's last run, so
    /// that nothing is known of its effect; if it has to wait until another run is over or a person has decided; or if
    /// nothing was run and nothing has changed since this was last told: the same guards still refuse the same alert, or its
    /// runbook only observes; or while a person's denial holds. May be called at every evaluation.
    pub fn consider(&mut self, world: &mut dyn World, alert: &Alert) -> Option<Considered> {
        if alert.state != AlertState::Firing {
            return None;
        }
        let (runbook, script) = self.answer_to(alert)?;
        let seen_firing = world.seen_firing(alert)?;
        let now = world.now();
        if self.predates_last_run(&runbook, seen_firing, now)
            || self.waits_for(&runbook, alert)
            || self.news.denial(&runbook, &script, alert, now).is_some()
        {
            return None;
        }
        let subject = Subject { alert, runbook: &runbook };
        // Decided before the host is looked at: that takes long, and anybody may send what an alert is made of.
        let mut verdicts = match guard::distrusts(&subject) {
            Some(_) if self.refusals.knows_untrusted(&runbook.name, alert, world.now()) => return None,
            Some(refusal) => vec![refusal],
            None => self.judge(world, &subject, seen_firing, None),
        };
        if refused_by(&verdicts).iter().any(|name| PASSING.contains(name)) {
            return None;
        }
        let run = self.next_id(world.now());
        if runbook.stage == Stage::Auto {
            self.places.claim(&runbook, &run, &mut verdicts, world.now());
        }
        let considered = self.answer(world, (runbook, script), alert, &run, &verdicts);
        if !matches!(considered, Some(Considered::Begun(_))) {
            self.places.give_back(&run, world.now());
        }
        considered
    }

    /// Runs, asks or tells why not, if that is news.
    fn answer(
        &mut self,
        world: &mut dyn World,
        (runbook, script): (Runbook, Script),
        alert: &Alert,
        run: &RunId,
        verdicts: &[(&'static str, Verdict)],
    ) -> Option<Considered> {
        let refused_by = refused_by(verdicts);
        let (refused, untrusted) = (!refused_by.is_empty(), refused_by == [guard::TRUST]);
        if !refused && runbook.stage != Stage::Observe {
            self.news.runs(&runbook, alert);
        } else if !self.news.is_new(&runbook, alert, refused_by)
            || (refused && !self.refusals.may_be_told(untrusted, world.now()))
        {
            return None;
        }
        let chronicle = self.announce(world, run, &runbook, &script, alert, verdicts);
        let (outcome, reason) = if let Some(reason) = Self::refusal(verdicts) {
            (RunOutcome::Refused, reason)
        } else if runbook.stage == Stage::Observe {
            let parameters = runbook.printed_params();
            (RunOutcome::Observed, format!("would have run {} with {parameters}", runbook.script))
        } else if world.seen_firing(alert).is_none() {
            (RunOutcome::Skipped, "the alert resolved by itself".to_owned())
        } else if runbook.stage == Stage::Ask {
            match self.ask(world, runbook, script, alert, chronicle.clone()) {
                Ok(()) => return None,
                Err(reason) => (RunOutcome::Refused, reason),
            }
        } else {
            match self.begin(world, &runbook, script, alert, chronicle.clone()) {
                Ok(run) => return Some(Considered::Begun(Box::new(run))),
                Err(reason) => (RunOutcome::Refused, reason),
            }
        };
        chronicle.tell(world, RunStep::Finished { outcome, reason });
        Some(Considered::Told(outcome))
    }

    /// Closes a run that nobody performs any more, because its thread has died: takes back what it changed, and calls a person.
    pub fn give_up(&self, world: &mut dyn World, run: &RunId) {
        let mut reason = "the thread that performed it has died".to_owned();
        let chronicle = self.chronicle(run.clone());
        let open =
            self.ledger().history().open().find(|(open, _)| *open == run).map(|(_, open)| open.clone());
        if let Some(open) = open {
            reason = self.wind_up(world, &chronicle, &open, reason);
        }
        chronicle.tell(world, RunStep::Finished { outcome: RunOutcome::Interrupted, reason });
        self.places.give_back(run, world.now());
    }

    /// The runbook that answers an alert, and its script.
    fn answer_to(&self, alert: &Alert) -> Option<(Runbook, Script)> {
        let runbook = self.runbooks.iter().find(|runbook| runbook.answers(&alert.labels))?;
        let answer = self.as_it_answers(runbook, alert);
        if answer.is_none() {
            let (runbook, script) = (&runbook.name, &runbook.script);
            tracing::error!(runbook, script, "a runbook's script was not loaded");
        }
        answer
    }

    /// A runbook as guards judge it and runs follow it: with what the alert's labels choose, narrowed to what its script
    /// needs for that, and at the stage in force. None if its script was not loaded.
    fn as_it_answers(&self, runbook: &Runbook, alert: &Alert) -> Option<(Runbook, Script)> {
        let script = self.scripts.get(&runbook.script)?;
        let answer = narrowed(runbook.filled_in(&alert.labels), script);
        let stage = self.stage_in_force(runbook, script, &answer.targets());
        Some((Runbook { stage, ..answer }, script.clone()))
    }

    /// How much the runbook may do by itself to these targets now. Where it is not known what an earlier run has done to one, a
    /// person decides.
    fn stage_in_force(&self, runbook: &Runbook, script: &Script, targets: &[String]) -> Stage {
        let ledger = self.ledger();
        let stage = ledger.history().standing(runbook, script.sha256()).in_force;
        let doubted = stage == Stage::Auto && ledger.history().in_doubt(targets).is_some();
        if doubted { Stage::Ask } else { stage }
    }

    /// Writes the start down. A start that is not counted would not count against the budget.
    fn begin(
        &self,
        world: &mut dyn World,
        runbook: &Runbook,
        script: Script,
        alert: &Alert,
        chronicle: Chronicle,
    ) -> Result<Run, String> {
        let fitted = script.fit(runbook)?;
        let attempt = 1 + self.attempts(runbook, world.now());
        let started = RunStep::Started { parameters: runbook.printed_params() };
        let recorded = chronicle.record(world, started);
        recorded.map_err(|error| format!("its start cannot be written down: {}", with_causes(&error)))?;
        let (alert, sandbox) = (alert.clone(), self.sandbox.clone());
        let simulated = runbook.stage == Stage::Shadow;
        let places = self.places.clone();
        Ok(Run {
            runbook: fitted,
            script,
            alert,
            attempt,
            sandbox,
            chronicle,
            places,
            simulated,
            resumed: None,
        })
    }

    /// How many runs of the runbook on its target count against its budget.
    fn attempts(&self, runbook: &Runbook, now: Timestamp) -> usize {
        let (budget, target) = (runbook.guards.attempts, runbook.printed_params());
        attempts_within(budget, &runbook.name, &target, self.ledger().history(), now)
    }

    fn chronicle(&self, run: RunId) -> Chronicle {
        Chronicle::new(Arc::clone(&self.ledger), run)
    }

    /// Begins a run: what met, and what every guard said.
    fn announce(
        &self,
        world: &mut dyn World,
        run: &RunId,
        runbook: &Runbook,
        script: &Script,
        alert: &Alert,
        verdicts: &[(&'static str, Verdict)],
    ) -> Chronicle {
        let chronicle = self.chronicle(run.clone());
        let matched = RunStep::Matched {
            alert: alert.labels.to_string(),
            runbook: runbook.name.clone(),
            stage: runbook.stage,
            script: runbook.script.clone(),
            script_sha256: script.sha256().to_owned(),
            target: runbook.printed_params(),
            runbook_sha256: runbook.sha256.clone(),
            touches: runbook.targets(),
        };
        chronicle.tell(world, matched);
        Self::tell_verdicts(&chronicle, world, verdicts);
        chronicle
    }

    /// What let a run pass is told for what it then does; of one that is refused, only what refuses it.
    fn tell_verdicts(chronicle: &Chronicle, world: &mut dyn World, verdicts: &[(&'static str, Verdict)]) {
        let refused = verdicts.iter().any(|(_, verdict)| !verdict.allowed);
        for (name, verdict) in verdicts.iter().filter(|(_, verdict)| !(refused && verdict.allowed)) {
            let (guard, allowed, reason) = ((*name).to_owned(), verdict.allowed, verdict.reason.clone());
            chronicle.tell(world, RunStep::Guard { guard, allowed, reason });
        }
    }

    /// Why guards refuse, if any does.
    fn refusal(verdicts: &[(&'static str, Verdict)]) -> Option<String> {
        let refusals = verdicts.iter().filter(|(_, verdict)| !verdict.allowed);
        let reasons: Vec<String> =
            refusals.map(|(name, verdict)| format!("{name}: {}", verdict.reason)).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn predates_last_run(&self, runbook: &Runbook, seen_firing: Timestamp, now: Timestamp) -> bool {
        let (ledger, target) = (self.ledger(), runbook.printed_params());
        let rehearsal = ledger.history().rehearsal(&runbook.name, &target);
        let runs = ledger.history().attempts(&runbook.name, &target);
        let runs = runs.chain(rehearsal.filter(|_| runbook.stage == Stage::Shadow));
        let ends = runs.filter_map(|attempt| attempt.ended);
        // An end in the future is one of before the clock jumped back; the guards refuse for it, and say so.
        ends.map(|(at, _)| at).max().is_some_and(|last| seen_firing <= last && last <= now)
    }

    fn judge(
        &self,
        world: &dyn World,
        subject: &Subject<'_>,
        seen_firing: Timestamp,
        goes_on: Option<&RunId>,
    ) -> Vec<(&'static str, Verdict)> {
        let circumstances = Circumstances {
            frozen: world.frozen(),
            seen_firing: Some(seen_firing),
            ..world.circumstances(subject)
        };
        let ledger = self.ledger();
        let question = Question {
            subject,
            circumstances: &circumstances,
            settings: &self.guards,
            journal_writable: ledger.is_writable(),
            spares_error_budget: self.spares_error_budget(subject.runbook),
        };
        // A run that goes on does not stand in its own way.
        let others = goes_on.map(|run| ledger.history().without(run));
        guard::judge(&question, others.as_ref().unwrap_or(ledger.history()), world.now())
    }

    /// Whether no error budget holds the runbook back, as its script says of itself.
    fn spares_error_budget(&self, runbook: &Runbook) -> bool {
        let header = self.scripts.get(&runbook.script).map(Script::header);
        header.is_some_and(|header| header.risk == Risk::Low || header.class == Class::Restore)
    }

    /// Unique on this host, and in the order of time.
    fn next_id(&mut self, now: Timestamp) -> RunId {
        loop {
            self.runs += 1;
            let run = RunId(format!("{:012x}-{:04x}", now.as_millis().max(0), self.runs & 0xffff));
            if !self.ledger().history().remembers(&run) {
                return run;
            }
        }
    }
}

/// The guards that refuse.
fn refused_by(verdicts: &[(&'static str, Verdict)]) -> Vec<&'static str> {
    verdicts.iter().filter(|(_, verdict)| !verdict.allowed).map(|(name, _)| *name).collect()
}

/// The runbook with the grants that its script needs for these parameters, or with why they do not fit. Guards judge what a
/// run may touch by it.
fn narrowed(mut runbook: Runbook, script: &Script) -> Runbook {
    match script.fit(&runbook) {
        Ok(fitted) => runbook.grants = fitted.grants,
        Err(why) => runbook.unfit.push(why),
    }
    runbook
}
