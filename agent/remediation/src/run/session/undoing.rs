//! Taking back what a script did: by its own process, which knows how, or by another that is brought as far as it had come.
//!
//! A process that waits for an answer is told to undo instead; one that computes is given a moment to ask for something.

use std::time::Duration;

use serde_json::Value;
use telemetry::RunStep;

use super::{Ended, Halt, Last, MAX_ACTIONS, ScriptRun, check_id, job, shown};
use crate::run::replay::Replay;
use crate::run::taking_back::TakingBack;
use crate::runner::{Answer, Job, Request, RunnerError};

/// How long a script that is to be broken off may still compute.
const GRACE: Duration = Duration::from_secs(2);

impl ScriptRun<'_> {
    /// Has the script undo what it did, and says whether all of it is undone. None if there was nothing to undo.
    pub(in crate::run) fn roll_back(&mut self) -> Option<(bool, String)> {
        if !self.has_acted() {
            return None;
        }
        let mut stays = None;
        if self.session.is_none() || self.replay.left_over_step().is_some() {
            let caught_up = self.catch_up();
            stays = self
                .replay
                .left_over_step()
                .map(|id| format!("step {id} was not reached again, so that the script does not undo it"));
            if caught_up.is_err() || self.session.is_none() {
                self.session = None;
                return Some((false, "the script's process is gone, and undoes nothing".to_owned()));
            }
        }
        let done = self.number;
        let (ok, what) = match self.undo() {
            Ok(Last::RolledBack { ok, what }) => (ok, what),
            Ok(Last::Ended(_) | Last::Broke(_)) => {
                self.session = None;
                (false, RunnerError::Babble.to_string())
            }
            Err(halt) => {
                let (_, why) = self.halted(halt).in_words();
                self.session = None;
                (false, why)
            }
        };
        match stays {
            Some(stays) => Some((false, shown(format!("{what}; {stays}")))),
            None => (!ok || self.number > done).then(|| (ok, shown(what))),
        }
    }

    /// Takes back by its id each change that the script has not undone and does not keep. None if there is none.
    pub(in crate::run) fn take_changes_back(&mut self) -> Option<(bool, String)> {
        let (chronicle, simulated) = (&self.run.chronicle, self.run.simulated);
        let taking = TakingBack { chronicle, world: self.world, number: self.number, simulated };
        let taken = taking.all(&mut self.changes)?;
        self.tried.extend(taken.tried);
        Some((taken.ok, taken.what))
    }

    /// The script undoes a step, or what its own `rollback` sees to.
    pub(super) fn undo_begins(&mut self, step: Option<String>) -> Result<Answer, Halt> {
        step.as_deref().map_or(Ok(()), check_id)?;
        if self.counts() {
            self.tell(RunStep::UndoBegun { id: step });
        }
        Ok(Answer::Value(Value::Null))
    }

    /// What is not written down does not count as undone.
    pub(super) fn undo_ends(&mut self, step: Option<String>, ok: bool) -> Result<Answer, Halt> {
        step.as_deref().map_or(Ok(()), check_id)?;
        if self.counts() {
            self.tell(RunStep::UndoEnded { id: step, ok });
        }
        Ok(Answer::Value(Value::Null))
    }

    fn undo(&mut self) -> Result<Last, Halt> {
        self.break_off()?;
        self.deadline = self.world.now().plus(self.run.runbook.timeout);
        (self.calls, self.actions_left, self.inside) = (0, MAX_ACTIONS, None);
        self.begun.clear();
        // What is undone has not been undone before.
        (self.replay, self.rolling_back) = (Replay::default(), true);
        self.changes.ends();
        self.say(&Answer::Rollback)?;
        self.serve()
    }

    /// Waits until the script's process asks for something. A step that is over meanwhile is over: it can be undone.
    fn break_off(&mut self) -> Result<(), Halt> {
        self.deadline = self.world.now().plus(GRACE);
        while !self.waits {
            let answer = match self.next()? {
                Request::StepEnd { id, result } => self.step_ends(id, &result)?,
                Request::StepFailed { id, error } => self.step_fails(id, error)?,
                Request::UndoEnd { step, ok } => self.undo_ends(step, ok)?,
                _ => return Ok(()),
            };
            self.say(&answer)?;
        }
        Ok(())
    }

    /// Brings a new process as far as the journal says that the run had come, so that it knows how to undo that.
    fn catch_up(&mut self) -> Result<(), Halt> {
        let Some(events) = self.run.chronicle.events() else { return Ok(()) };
        let job = Job { catches_up: true, ..job(self.run) };
        self.session = Some(self.run.sandbox.start(&job)?);
        (self.replay, self.calls, self.inside, self.waits) = (Replay::of(&events), 0, None, false);
        self.begun.clear();
        self.deadline = self.world.now().plus(self.run.runbook.timeout);
        self.catching_up = true;
        let reached = self.serve();
        self.catching_up = false;
        match reached {
            Err(halt @ Halt::Runner(_)) => match self.halted(halt) {
                Ended::Broke(_) if self.session.is_some() => Ok(()),
                _ => Err(RunnerError::Babble.into()),
            },
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
