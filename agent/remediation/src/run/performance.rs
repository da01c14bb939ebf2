//! One run, from its start to its end, on a thread of its own.
//!
//! Believes nothing before the verification holds; what did not help is undone, and a person is called. It knows no other
//! run: what may run beside it, the coordinator has decided, and its start is in the journal before this begins.

use std::time::Duration;

use telemetry::{Alert, RunId, RunOutcome, RunStep, Stage, format_duration};

use super::chronicle::Chronicle;
use super::evidence::{self, Later};
use super::places::Places;
use super::replay::Replay;
use super::session::{Ended, ScriptRun};
use super::taking_back::in_words;
use super::verification::{Verification, verify};
use crate::dry_run::DryRun;
use crate::runbook::{Paging, Runbook};
use crate::runner::Sandbox;
use crate::script::Script;
use crate::world::{Page, World};

/// A run that has been begun: the guards let it pass, and its start is written down. It must be performed, or it stays open
/// until the agent's next start.
#[derive(Debug)]
pub struct Run {
    pub(super) runbook: Runbook,
    pub(super) script: Script,
    pub(super) alert: Alert,
    /// Which run of its runbook's window it is, from 1.
    pub(super) attempt: usize,
    pub(super) sandbox: Sandbox,
    pub(super) chronicle: Chronicle,
    pub(super) places: Places,
    /// Whether its actions are only simulated.
    pub(super) simulated: bool,
    /// What the agent before this one had done of it.
    pub(super) resumed: Option<Replay>,
}

/// How a run ends, and why.
type End = (RunOutcome, String);

impl Run {
    /// Its name.
    pub fn id(&self) -> &RunId {
        self.chronicle.run()
    }

    /// What it answers.
    pub fn alert(&self) -> &Alert {
        &self.alert
    }

    /// The runbook that answers.
    pub fn runbook(&self) -> &Runbook {
        &self.runbook
    }

    /// Runs the script and verifies, and returns when the run is over. The thread must live as long.
    pub fn perform(mut self, world: &mut dyn World) -> RunOutcome {
        let replay = self.resumed.take();
        let end = if self.simulated {
            Some(self.simulate(&mut DryRun::of(world)))
        } else {
            self.repair(world, replay)
        };
        let Some((outcome, reason)) = end else {
            let text = "the agent is stopping; the run waits for the next one".to_owned();
            self.chronicle.tell(world, RunStep::Note { text });
            return RunOutcome::Interrupted;
        };
        self.chronicle.tell(world, RunStep::Finished { outcome, reason });
        if let Some(reason) = self.chronicle.falls_short(&self.runbook, &self.script) {
            let demoted = RunStep::Demoted { from: Stage::Auto, to: Stage::Ask, reason };
            self.chronicle.tell(world, demoted);
        }
        self.places.give_back(self.id(), world.now());
        outcome
    }

    /// None if the agent is stopping: then the run stays open, and the next agent goes on with it or closes it.
    fn repair(&self, world: &mut dyn World, replay: Option<Replay>) -> Option<End> {
        let resumed = replay.is_some();
        let replay = replay.unwrap_or_default();
        if resumed {
            let reason = match replay.uncertain().as_slice() {
                [] => "all that it did is known".to_owned(),
                uncertain => format!("it is not known whether this was done: {}", uncertain.join(", ")),
            };
            self.chronicle.tell(world, RunStep::Resumed { reason });
        } else {
            evidence::alert(self, world);
        }
        // The script's process starts while the host is looked at.
        let (mut script, broken) = ScriptRun::start(self, world, replay);
        let later = if resumed { Later::default() } else { evidence::gather(self, script.world) };
        let ended = broken.unwrap_or_else(|| script.run());
        let end = self.conclude(script, ended);
        if world.wait(Duration::ZERO) {
            later.tell(self, world);
        }
        end
    }

    /// Believes the script's end if the verification holds.
    fn conclude(&self, mut script: ScriptRun<'_>, ended: Ended) -> Option<End> {
        if matches!(ended, Ended::Stopped(_)) {
            if !script.has_acted() {
                // It may not go on for long, and has put nothing at risk.
                self.places.give_back(self.id(), script.world.now());
            }
            return None;
        }
        let result = self.tell_end(script.world, &ended);
        self.places.keep(self.id(), script.world.now());
        match ended {
            Ended::Stopped(_) => None,
            Ended::Fixed(_) => self.verified(script),
            Ended::Skipped(_) if script.has_acted() => {
                Some(self.escalate(script, &format!("{result}, though it had acted")))
            }
            Ended::Skipped(why) => {
                script.finish();
                Some((RunOutcome::Skipped, why))
            }
            Ended::Failed(_) | Ended::Broke(_) => Some(self.escalate(script, &result)),
            Ended::Diverged(why) => {
                let why = format!("it cannot go on after the agent's start: {why}");
                let (tried, why) = self.take_back(script, &why);
                Some((RunOutcome::Interrupted, format!("{why}; {}", clause(&tried))))
            }
        }
    }

    /// The script says that it has repaired the cause; whether it has.
    fn verified(&self, mut script: ScriptRun<'_>) -> Option<End> {
        let Some(by) = &self.runbook.verify else {
            return Some(self.escalate(script, "nothing says how one knows that it helped"));
        };
        let expr = &by.expr;
        match verify(by, &self.chronicle, script.world) {
            Verification::Holds(observed) => {
                script.finish();
                let reason = format!("{}; verified: {expr} gave {observed}", tried(&script));
                Some((RunOutcome::Repaired, reason))
            }
            Verification::Fails(observed) => {
                let within = format_duration(by.within);
                let why = format!("{expr} did not hold within {within}: it gave {observed}");
                Some(self.escalate(script, &why))
            }
            Verification::Stopped => None,
        }
    }

    /// Runs the script on paper, and tells it.
    fn simulate(&self, world: &mut DryRun<'_>) -> End {
        let (mut script, broken) = ScriptRun::start(self, world, Replay::default());
        let ended = broken.unwrap_or_else(|| script.run());
        let tried = tried(&script);
        let result = self.tell_end(script.world, &ended);
        if let Ended::Stopped(why) = ended {
            return (RunOutcome::Interrupted, why);
        }
        let mut reason = format!("would have: {tried}; {result}");
        if is_taken_back(&ended, &script)
            && let Some(taken_back) = self.unwind(&mut script)
        {
            reason = format!("{reason}; {taken_back}");
        }
        script.finish();
        (RunOutcome::Shadowed, reason)
    }

    /// Runs the script on paper.
    pub(super) fn rehearse(&self, world: &mut DryRun<'_>) -> Ended {
        let (mut script, broken) = ScriptRun::start(self, world, Replay::default());
        let ended = broken.unwrap_or_else(|| script.run());
        if is_taken_back(&ended, &script) {
            self.unwind(&mut script);
        }
        script.finish();
        ended
    }

    /// Writes down how the script ended, and returns that.
    fn tell_end(&self, world: &mut dyn World, ended: &Ended) -> String {
        let (ok, result) = ended.in_words();
        self.chronicle.tell(world, RunStep::Ended { ok, result: result.clone() });
        result
    }

    /// Undoes what did not help, and calls a person.
    fn escalate(&self, script: ScriptRun<'_>, why: &str) -> End {
        let (tried, why) = self.take_back(script, why);
        let tried = clause(&tried);
        let reason = match self.runbook.escalation() {
            Some(text) => format!("{text}; {tried}; {why}"),
            None => format!("{tried}; {why}"),
        };
        (RunOutcome::Escalated, reason)
    }

    /// Undoes, calls a person, and returns what was tried and why it did not help.
    fn take_back(&self, mut script: ScriptRun<'_>, why: &str) -> (Vec<String>, String) {
        self.places.keep(self.id(), script.world.now());
        let why = match self.unwind(&mut script) {
            Some(taken_back) => format!("{why}; {taken_back}"),
            None => why.to_owned(),
        };
        let tried = script.tried().to_vec();
        script.finish();
        self.page(script.world, &tried, &why);
        (tried, why)
    }

    /// Has the script undo what it did, takes back what it leaves, and says what has become of it. None if there was
    /// nothing.
    fn unwind(&self, script: &mut ScriptRun<'_>) -> Option<String> {
        let parts = [script.roll_back(), script.take_changes_back()];
        let (ok, parts): (Vec<bool>, Vec<String>) = parts.into_iter().flatten().unzip();
        if parts.is_empty() {
            return None;
        }
        let (ok, result) = (!ok.contains(&false), parts.join("; "));
        let told = in_words(ok, &result);
        self.chronicle.tell(script.world, RunStep::RolledBack { ok, result });
        Some(told)
    }

    /// Tells people what was tried, and why it did not help.
    pub(super) fn page(&self, world: &mut dyn World, tried: &[String], why: &str) {
        let escalation = self.runbook.escalation().unwrap_or_default();
        let page = Page {
            run: self.id().clone(),
            alert: self.alert.clone(),
            runbook: self.runbook.name.clone(),
            escalation: escalation.clone(),
            tried: tried.to_vec(),
            why: why.to_owned(),
        };
        let text = if escalation.is_empty() { why.to_owned() } else { format!("{escalation}; {why}") };
        let paged = call(world, &page, text, self.runbook.escalate.page);
        self.chronicle.tell(world, paged);
    }
}

/// Whether runs at this stage change the host.
pub(super) fn acts(stage: Stage) -> bool {
    matches!(stage, Stage::Ask | Stage::Auto)
}

/// Whether a run whose script ended so is taken back without a look at whether it helped.
fn is_taken_back(ended: &Ended, script: &ScriptRun<'_>) -> bool {
    match ended {
        Ended::Failed(_) | Ended::Broke(_) => true,
        Ended::Skipped(_) => script.has_acted(),
        Ended::Fixed(_) | Ended::Diverged(_) | Ended::Stopped(_) => false,
    }
}

fn tried(script: &ScriptRun<'_>) -> String {
    clause(script.tried())
}

/// Tells people, unless the runbook never does; what has become of it.
pub(super) fn call(world: &mut dyn World, page: &Page, text: String, paging: Paging) -> RunStep {
    if paging == Paging::Never {
        let text = format!("nobody is called, as the runbook says (escalate.page: never); {text}");
        return RunStep::Note { text };
    }
    RunStep::Paged { to: world.page(page), text }
}

/// What was done, in one clause.
pub(super) fn clause(tried: &[String]) -> String {
    if tried.is_empty() { "nothing was done".to_owned() } else { tried.join(", ") }
}
