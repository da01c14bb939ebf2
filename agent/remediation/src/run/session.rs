//! One script, from its start to its end, with the agent answering what it asks.
//!
//! The script is not believed: each call is read anew, each target is compared with the grants, a process can be
//! signalled only if this run has found it, and everything is counted. When it has ended its process stays, because only
//! that can undo what was done. Where it cannot, another process is brought as far as the run had come, and undoes that.

mod answers;
mod undoing;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use executor::ProcessId;
use serde_json::{Value, json};
use telemetry::{RunStep, Timestamp, with_causes};

use super::changes::Changes;
use super::performance::Run;
use super::replay::Replay;
use crate::functions::{HOST_FUNCTIONS, HostFunction};
use crate::ledger::LedgerError;
use crate::runner::{Answer, Job, Request, RunnerError, Session, StepState};
use crate::sandbox::{Ending, MAX_ID_BYTES, MAX_STEPS};
use crate::world::World;

/// The most that one script may do; undoing may do as much again.
const MAX_ACTIONS: u32 = 20;
/// The most that one script may ask, the beginnings of steps among it; what it asks is written down.
const MAX_CALLS: u32 = 500;
/// The longest result of a step, as JSON.
const MAX_RESULT_BYTES: usize = 64 << 10;
/// How much of an answer or of a script's words is written down.
const MAX_SHOWN: usize = 300;

/// How a script ended.
pub(super) enum Ended {
    Fixed(String),
    Skipped(String),
    Failed(String),
    /// It did not come to an end of its own.
    Broke(String),
    /// It has taken another way than before the agent's start.
    Diverged(String),
    /// The agent is stopping.
    Stopped(String),
}

impl Ended {
    /// Whether the script holds the cause to be repaired, and what it says.
    pub(super) fn in_words(&self) -> (bool, String) {
        match self {
            Self::Fixed(why) => (true, format!("fixed: {why}")),
            Self::Skipped(why) => (false, format!("skip: {why}")),
            Self::Failed(why) => (false, format!("failed: {why}")),
            Self::Broke(why) | Self::Stopped(why) | Self::Diverged(why) => (false, why.clone()),
        }
    }
}

/// Why a script is not answered any more.
enum Halt {
    Runner(RunnerError),
    Diverged(String),
    /// Nobody knows whether an action was done, so that nothing can follow it.
    Uncertain(String),
    /// The script has come as far as the run had.
    CaughtUp,
}

impl From<RunnerError> for Halt {
    fn from(error: RunnerError) -> Self {
        Self::Runner(error)
    }
}

/// What the script said last.
enum Last {
    Ended(Ending),
    Broke(String),
    RolledBack { ok: bool, what: String },
}

pub(super) struct ScriptRun<'a> {
    run: &'a Run,
    pub(super) world: &'a mut dyn World,
    pub(super) session: Option<Session>,
    replay: Replay,
    deadline: Timestamp,
    calls: u32,
    /// Actions that the script may still ask for.
    actions_left: u32,
    /// The number of the last action.
    number: u32,
    /// The step that is under way.
    inside: Option<String>,
    /// The steps that were begun.
    begun: BTreeSet<String>,
    /// Whether the script's process waits for an answer.
    waits: bool,
    rolling_back: bool,
    /// Whether the script is only brought as far as the run had come.
    catching_up: bool,
    tried: Vec<String>,
    changes: Changes,
    /// Processes that this run has found, with the names they were asked for under.
    found: HashMap<ProcessId, BTreeSet<String>>,
}

impl<'a> ScriptRun<'a> {
    /// Starts the script's process, so that it is ready when [`ScriptRun::run`] answers it.
    pub(super) fn start(run: &'a Run, world: &'a mut dyn World, replay: Replay) -> (Self, Option<Ended>) {
        let mut script = Self {
            run,
            session: None,
            deadline: world.now().plus(run.runbook.timeout),
            world,
            number: replay.last_number(),
            actions_left: MAX_ACTIONS.saturating_sub(replay.last_number()),
            tried: replay.tried().to_vec(),
            changes: replay.changes().clone(),
            replay,
            calls: 0,
            inside: None,
            begun: BTreeSet::new(),
            waits: false,
            rolling_back: false,
            catching_up: false,
            found: HashMap::new(),
        };
        match run.sandbox.start(&job(run)) {
            Ok(session) => {
                script.session = Some(session);
                (script, None)
            }
            Err(error) => {
                let ended = script.halted(Halt::Runner(error));
                (script, Some(ended))
            }
        }
    }

    /// What was done, one action each with what became of it; first of all what is not known to be done.
    pub(super) fn tried(&self) -> &[String] {
        &self.tried
    }

    /// Answers the script until it ends. Its time begins now.
    pub(super) fn run(&mut self) -> Ended {
        self.deadline = self.world.now().plus(self.run.runbook.timeout);
        let ended = match self.serve() {
            Ok(Last::Ended(Ending::Fixed(why))) => Ended::Fixed(shown(why)),
            Ok(Last::Ended(Ending::Skip(why))) => Ended::Skipped(shown(why)),
            Ok(Last::Ended(Ending::Failed(why))) => Ended::Failed(shown(why)),
            Ok(Last::Broke(error)) => Ended::Broke(shown(placed(&self.run.runbook.script, error))),
            Ok(Last::RolledBack { .. }) => self.halted(Halt::Runner(RunnerError::Babble)),
            Err(halt) => self.halted(halt),
        };
        match (&ended, self.replay.left_over()) {
            (Ended::Fixed(_), Some(what)) => {
                Ended::Diverged(format!("the script did not ask again for what it had done: {what}"))
            }
            _ => ended,
        }
    }

    /// Whether it has asked the host for a change, now or before the agent's start.
    pub(super) fn has_acted(&self) -> bool {
        self.number > 0
    }

    /// Lets the script's process end.
    pub(super) fn finish(&mut self) {
        if let Some(mut session) = self.session.take() {
            // One that is gone has finished too.
            let _ = session.answer(&Answer::Finish);
        }
    }

    /// The script does not go on. Its process is kept where it may still be of use: it can undo.
    fn halted(&mut self, halt: Halt) -> Ended {
        match halt {
            Halt::Runner(RunnerError::Timeout(_)) => {
                Ended::Broke(RunnerError::Timeout(self.run.runbook.timeout).to_string())
            }
            Halt::Runner(error) => {
                self.session = None;
                match error {
                    RunnerError::Stopping => Ended::Stopped(error.to_string()),
                    error => Ended::Broke(with_causes(&error)),
                }
            }
            Halt::Diverged(why) => Ended::Diverged(why),
            Halt::Uncertain(why) => Ended::Broke(why),
            Halt::CaughtUp => Ended::Broke("the script has come as far as before".to_owned()),
        }
    }

    /// Answers until the script has nothing more to ask.
    fn serve(&mut self) -> Result<Last, Halt> {
        loop {
            let answer = match self.next()? {
                Request::Ended(ending) => return Ok(Last::Ended(ending)),
                Request::Broke(error) => return Ok(Last::Broke(error)),
                Request::RolledBack { ok, what } if self.rolling_back => {
                    return Ok(Last::RolledBack { ok, what });
                }
                Request::RolledBack { .. } if !self.counts() => Answer::Value(Value::Null),
                Request::RolledBack { ok, what } => {
                    let rolled_back = RunStep::RolledBack { ok, result: shown(what) };
                    self.run.chronicle.tell(self.world, rolled_back);
                    Answer::Value(Value::Null)
                }
                Request::Call { function, arguments } => {
                    self.answer(&function, &arguments)?.map_or_else(Answer::Error, Answer::Value)
                }
                Request::StepBegin { id, keeps } => self.step_begins(id, keeps)?,
                Request::StepEnd { id, result } => self.step_ends(id, &result)?,
                Request::StepFailed { id, error } => self.step_fails(id, error)?,
                Request::UndoBegin { step } => self.undo_begins(step)?,
                Request::UndoEnd { step, ok } => self.undo_ends(step, ok)?,
            };
            self.say(&answer)?;
        }
    }

    /// Counts what is written down, and says whether that is not too much.
    fn counts(&mut self) -> bool {
        self.calls = self.calls.saturating_add(1);
        self.calls <= MAX_CALLS
    }

    fn say(&mut self, answer: &Answer) -> Result<(), Halt> {
        self.waits = false;
        let session = self.session.as_mut().ok_or(RunnerError::Babble)?;
        Ok(session.answer(answer)?)
    }

    fn next(&mut self) -> Result<Request, Halt> {
        let remaining = self.remaining()?;
        let (world, deadline, timeout) = (&*self.world, self.deadline, self.run.runbook.timeout);
        let mut go_on = || {
            if !world.wait(Duration::ZERO) {
                Err(RunnerError::Stopping)
            } else if deadline.since(world.now()).is_zero() {
                Err(RunnerError::Timeout(timeout))
            } else {
                Ok(())
            }
        };
        let session = self.session.as_mut().ok_or(RunnerError::Babble)?;
        let request = session.next(remaining, &mut go_on)?;
        self.waits = true;
        Ok(request)
    }

    fn remaining(&self) -> Result<Duration, RunnerError> {
        let remaining = self.deadline.since(self.world.now());
        if remaining.is_zero() { Err(RunnerError::Timeout(self.run.runbook.timeout)) } else { Ok(remaining) }
    }

    /// Writes a step down on which something depends, and takes it into account.
    fn record(&mut self, step: RunStep) -> Result<(), LedgerError> {
        self.changes.see(&step);
        self.run.chronicle.record(self.world, step)
    }

    fn tell(&mut self, step: RunStep) {
        self.changes.see(&step);
        self.run.chronicle.tell(self.world, step);
    }

    /// A step is written down before it begins.
    fn step_begins(&mut self, id: String, keeps: bool) -> Result<Answer, Halt> {
        check_id(&id)?;
        if !self.counts() {
            return Ok(Answer::Error(format!("a script may ask {MAX_CALLS} times")));
        }
        if self.begun.len() >= MAX_STEPS && !self.begun.contains(&id) {
            return Ok(Answer::Error(format!("a script may have {MAX_STEPS} steps")));
        }
        self.begun.insert(id.clone());
        let state = self.replay.begin(&id);
        if matches!(state, StepState::Done(_)) {
            return Ok(Answer::Step(state));
        }
        if self.catching_up {
            return Err(Halt::CaughtUp);
        }
        let begun = RunStep::StepBegun { id: id.clone(), keeps };
        if let Err(error) = self.run.chronicle.record(self.world, begun.clone()) {
            return Ok(Answer::Error(format!(
                "step {id:?} is not begun, because it cannot be written down: {}",
                with_causes(&error)
            )));
        }
        self.changes.see(&begun);
        self.inside = Some(id);
        Ok(Answer::Step(state))
    }

    fn step_ends(&mut self, id: String, result: &Value) -> Result<Answer, Halt> {
        self.leave(&id)?;
        self.replay.done(&id);
        let result = result.to_string();
        if result.len() > MAX_RESULT_BYTES {
            return Ok(Answer::Error(format!(
                "the result of step {id:?} has more than {MAX_RESULT_BYTES} bytes"
            )));
        }
        let done = RunStep::StepDone { id, result };
        Ok(match self.record(done) {
            Ok(()) => Answer::Value(Value::Null),
            Err(error) => Answer::Error(with_causes(&error)),
        })
    }

    fn step_fails(&mut self, id: String, error: String) -> Result<Answer, Halt> {
        self.leave(&id)?;
        self.replay.failed(&id);
        self.tell(RunStep::StepFailed { id, error: shown(error) });
        Ok(Answer::Value(Value::Null))
    }

    /// Only the step that is under way can be over.
    fn leave(&mut self, id: &str) -> Result<(), Halt> {
        let inside = self.inside.take();
        if inside.as_deref() == Some(id) { Ok(()) } else { Err(RunnerError::Babble.into()) }
    }
}

/// What is written down as the name of a step is one.
fn check_id(id: &str) -> Result<(), Halt> {
    let is_one = !id.is_empty() && id.len() <= MAX_ID_BYTES && !id.contains(char::is_control);
    if is_one { Ok(()) } else { Err(RunnerError::Babble.into()) }
}

/// What the script's process is told.
fn job(run: &Run) -> Job {
    let Run { runbook, script, alert, attempt, .. } = run;
    let granted =
        |function: &&HostFunction| function.needs.is_none_or(|capability| runbook.grants.has(capability));
    let labels: serde_json::Map<String, Value> =
        alert.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    Job {
        script: script.text().to_owned(),
        context: json!({
            "alert": { "labels": labels, "value": alert.value },
            "params": runbook.params,
            "run": { "attempt": attempt },
        }),
        functions: HOST_FUNCTIONS.iter().filter(granted).map(HostFunction::path).collect(),
        catches_up: false,
    }
}

/// A script's error with where it is, as the checker writes that: the language says the line and column at the end.
fn placed(script: &str, error: String) -> String {
    let place = |error: &str| {
        let (what, place) = error.rsplit_once(" (line ")?;
        let (line, column) = place.strip_suffix(')')?.split_once(", position ")?;
        let [line, column] = [line, column].map(|number| number.parse::<u32>().ok());
        Some(format!("{script}:{}:{}: {what}", line?, column?))
    };
    place(&error).unwrap_or(error)
}

fn shown(mut text: String) -> String {
    if text.len() > MAX_SHOWN {
        text.truncate(text.floor_char_boundary(MAX_SHOWN));
        text.push('…');
    }
    text
}
