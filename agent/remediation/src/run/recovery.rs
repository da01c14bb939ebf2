//! What becomes of the runs that the agent's end has cut off.
//!
//! A run goes on if its runbook and its script are what they were, it is not long ago, it was not undoing already, and
//! nobody has taken hold of its targets meanwhile. Otherwise it is closed, and if it may have changed the host, a person is called: nobody else knows of it.

use std::time::Duration;

use telemetry::{
    Alert, AlertState, Labels, RunEvent, RunId, RunOutcome, RunStep, Stage, Timestamp, with_causes,
};

use super::Remediator;
use super::changes::Changes;
use super::chronicle::Chronicle;
use super::evidence::alert_of;
use super::performance::{Run, acts, call};
use super::replay::{Replay, tried};
use super::taking_back::{TakenBack, TakingBack, in_words};
use crate::circumstances::Subject;
use crate::history::OpenRun;
use crate::runbook::Runbook;
use crate::script::Script;
use crate::world::{Page, World};

/// After this long the host has changed too much to go on as if nothing had happened.
const RESUME_WITHIN: Duration = Duration::from_mins(10);

/// A run during which the agent has ended as often may be why.
const MAX_RESUMED: usize = 3;

/// Guards that are asked again, about what may have changed since the start. The budgets have counted it.
pub(super) const ASKED_AGAIN: [&str; 8] = [
    "kill switch",
    "journal",
    "window",
    "operator",
    "other controllers",
    "dependencies",
    "starvation",
    "one per target",
];

impl Remediator {
    /// Closes the runs that the agent's end has cut off, and returns those that go on, which are to be performed. To be
    /// called once, before the first alert.
    pub fn recover(&mut self, world: &mut dyn World) -> Vec<Run> {
        let cut_off: Vec<_> =
            self.ledger().history().open().map(|(run, open)| (run.clone(), open.clone())).collect();
        let mut resumed = Vec::new();
        for (run, open) in cut_off {
            match self.resume(&run, &open, world) {
                Ok(run) => resumed.push(run),
                Err(why) => self.close(world, &run, &open, &why),
            }
        }
        self.places.give_back_unknown(world.now());
        resumed
    }

    fn resume(&self, id: &RunId, open: &OpenRun, world: &dyn World) -> Result<Run, String> {
        if !open.started {
            return Err("it had not begun".to_owned());
        }
        if let Some(why) = world.frozen() {
            return Err(format!("repairs are frozen: {why}"));
        }
        let events = self.ledger().events_of(id).map_err(|error| with_causes(&error))?;
        goes_on(&events, world.now())?;
        let runbook = self.runbooks.iter().find(|runbook| runbook.name == open.runbook);
        let runbook = runbook.ok_or_else(|| format!("there is no runbook {} any more", open.runbook))?;
        let script = self.scripts.get(&runbook.script).ok_or("its script was not loaded")?;
        let stage = acting_stage(&events, runbook, script).ok_or("its runbook or its script has changed")?;
        let alert = events.iter().find_map(|event| alert_of(&event.step));
        let alert = alert.ok_or("how its alert was is not in the journal")?;
        let runbook = Runbook { stage, ..runbook.filled_in(&alert.labels) };
        let attempt = self.attempts(&runbook, world.now());
        let runbook = script.fit(&runbook)?;
        let subject = Subject { alert: &alert, runbook: &runbook };
        let mut verdicts = self.judge(world, &subject, world.now(), Some(id));
        verdicts.retain(|(name, _)| ASKED_AGAIN.contains(name));
        if let Some(refused) = Self::refusal(&verdicts) {
            return Err(refused);
        }
        self.places.take(&runbook, id, world.now())?;
        Ok(Run {
            runbook,
            script: script.clone(),
            alert,
            attempt,
            sandbox: self.sandbox.clone(),
            chronicle: self.chronicle(id.clone()),
            places: self.places.clone(),
            simulated: false,
            resumed: Some(Replay::of(&events)),
        })
    }

    fn close(&self, world: &mut dyn World, id: &RunId, open: &OpenRun, why: &str) {
        let chronicle = self.chronicle(id.clone());
        let mut reason = "the agent ended before the run did".to_owned();
        if !open.uncertain.is_empty() {
            let uncertain = open.uncertain.join(", ");
            reason = format!("{reason}; it is not known whether this was done: {uncertain}");
        }
        reason = format!("{reason}; it does not go on: {why}");
        if open.started {
            reason = self.wind_up(world, &chronicle, open, reason);
        }
        chronicle.tell(world, RunStep::Finished { outcome: RunOutcome::Interrupted, reason });
    }

    /// Takes back what a run has changed that nobody performs any more, and calls a person. Returns why it is over, with what
    /// has become of that.
    pub(super) fn wind_up(
        &self,
        world: &mut dyn World,
        chronicle: &Chronicle,
        open: &OpenRun,
        why: String,
    ) -> String {
        let why = unwound(world, chronicle, why);
        self.page_for(world, chronicle, open, &why);
        why
    }

    fn page_for(&self, world: &mut dyn World, chronicle: &Chronicle, open: &OpenRun, why: &str) {
        let events = self.ledger().events_of(chronicle.run()).unwrap_or_default();
        let simulated =
            |event: &RunEvent| matches!(event.step, RunStep::Matched { stage, .. } if !acts(stage));
        if events.iter().any(simulated) {
            return;
        }
        let alert = events.iter().find_map(|event| alert_of(&event.step));
        let unknown = || Alert::new(Labels::empty(), AlertState::Firing, world.now());
        let runbook = self.runbooks.iter().find(|runbook| runbook.name == open.runbook);
        let page = Page {
            run: chronicle.run().clone(),
            alert: alert.unwrap_or_else(unknown),
            runbook: open.runbook.clone(),
            escalation: runbook.and_then(Runbook::escalation).unwrap_or_default(),
            tried: tried(&events),
            why: why.to_owned(),
        };
        let paging = runbook.map(|runbook| runbook.escalate.page).unwrap_or_default();
        let paged = call(world, &page, why.to_owned(), paging);
        chronicle.tell(world, paged);
    }
}

/// What is left of a run is taken back, unless it was verified to have helped. Its script's own undoing is lost with its
/// process.
fn unwound(world: &mut dyn World, chronicle: &Chronicle, why: String) -> String {
    let Some(events) = chronicle.events() else {
        return format!("{why}; the journal does not tell what it changed, and that stays");
    };
    let stays = |event: &RunEvent| match &event.step {
        RunStep::Matched { stage, .. } => !acts(*stage),
        RunStep::Verified { ok, .. } => *ok,
        _ => false,
    };
    if events.iter().any(stays) {
        return why;
    }
    let number = Replay::of(&events).last_number();
    let taking = TakingBack { chronicle, world, number, simulated: false };
    let Some(TakenBack { ok, what, .. }) = taking.all(&mut Changes::of(&events)) else { return why };
    let why = format!("{why}; {}", in_words(ok, &what));
    chronicle.tell(world, RunStep::RolledBack { ok, result: what });
    why
}

/// The stage of a run that changes the host, if its runbook and its script are what they were.
fn acting_stage(events: &[RunEvent], runbook: &Runbook, script: &Script) -> Option<Stage> {
    let RunStep::Matched { stage, runbook_sha256, script_sha256, .. } = &events.first()?.step else {
        return None;
    };
    let same = *runbook_sha256 == runbook.sha256 && *script_sha256 == script.sha256();
    (same && acts(*stage)).then_some(*stage)
}

/// Whether a run with these events can go on at all.
fn goes_on(events: &[RunEvent], now: Timestamp) -> Result<(), String> {
    let started = events.iter().find(|event| matches!(event.step, RunStep::Started { .. }));
    let started = started.ok_or("its start is not in the journal")?.at;
    if now.since(started) > RESUME_WITHIN || started.since(now) > RESUME_WITHIN {
        return Err(format!("it began at {started}"));
    }
    let resumed = events.iter().filter(|event| matches!(event.step, RunStep::Resumed { .. })).count();
    if resumed >= MAX_RESUMED {
        return Err(format!("the agent has ended {} times during it", resumed + 1));
    }
    let ended = events.iter().position(|event| matches!(event.step, RunStep::Ended { .. }));
    let after = ended.map_or(&[][..], |at| events.get(at..).unwrap_or_default());
    let undoing = after.iter().any(|event| {
        matches!(
            event.step,
            RunStep::Ended { ok: false, .. } | RunStep::Verified { .. } | RunStep::ActionIntended { .. }
        )
    });
    if undoing { Err("its script had ended".to_owned()) } else { Ok(()) }
}
