//! One script, from its start to its end, with the agent answering what it asks.
//!
//! The script is not believed: each call is read anew, each target is compared with the grants, a process can be
//! signalled only if this run has found it, and everything is counted.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use executor::{Action, ProcessId};
use serde_json::{Value, json};
use telemetry::{Alert, RunId, RunStep, Timestamp, with_causes};

use super::Remediator;
use crate::functions::{Arguments, Call, HOST_FUNCTIONS, HostFunction, Target};
use crate::grants::Capability;
use crate::runbook::Runbook;
use crate::runner::{Answer, Job, Request, RunnerError, Session};
use crate::sandbox::Ending;
use crate::script::Script;
use crate::world::World;

/// The most that one script may ask; what it asks is written down.
const MAX_CALLS: u32 = 500;
/// The most that one script may do.
const MAX_ACTIONS: u32 = 20;
/// The most processes that one question finds; a script that repairs means a handful.
const MAX_FOUND: usize = 1000;
/// How much of an answer or of a script's words is written down.
const MAX_SHOWN: usize = 300;

/// How a script ended.
pub(super) enum Ended {
    Fixed(String),
    Skipped(String),
    Failed(String),
    /// It did not come to an end of its own.
    Broke(String),
    /// The agent is stopping.
    Stopped(String),
}

pub(super) struct ScriptRun<'a> {
    remediator: &'a mut Remediator,
    world: &'a mut dyn World,
    run: &'a RunId,
    runbook: &'a Runbook,
    deadline: Timestamp,
    calls: u32,
    actions: u32,
    tried: Vec<String>,
    /// Processes that this run has found, with the names they were asked for under.
    found: HashMap<ProcessId, BTreeSet<String>>,
}

impl<'a> ScriptRun<'a> {
    pub(super) fn new(
        remediator: &'a mut Remediator,
        world: &'a mut dyn World,
        run: &'a RunId,
        runbook: &'a Runbook,
    ) -> Self {
        let deadline = world.now().plus(runbook.timeout);
        let (tried, found) = (Vec::new(), HashMap::new());
        Self { remediator, world, run, runbook, deadline, calls: 0, actions: 0, tried, found }
    }

    /// What was done, in one clause.
    pub(super) fn tried(&self) -> String {
        if self.tried.is_empty() { "nothing was done".to_owned() } else { self.tried.join(", ") }
    }

    pub(super) fn run(&mut self, script: &Script, alert: &Alert, attempt: usize) -> Ended {
        let granted = |function: &&HostFunction| {
            function.needs.is_none_or(|capability| self.runbook.grants.has(capability))
        };
        let labels: serde_json::Map<String, Value> =
            alert.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let job = Job {
            script: script.text().to_owned(),
            context: json!({
                "alert": { "labels": labels, "value": alert.value },
                "parameters": self.runbook.parameters,
                "attempt": attempt,
            }),
            functions: HOST_FUNCTIONS.iter().filter(granted).map(HostFunction::path).collect(),
        };
        let ended = self.remediator.sandbox.start(&job).and_then(|mut session| self.serve(&mut session));
        match ended {
            Ok(ended) => ended,
            Err(RunnerError::Stopping) => Ended::Stopped(RunnerError::Stopping.to_string()),
            Err(RunnerError::Timeout(_)) => {
                Ended::Broke(RunnerError::Timeout(self.runbook.timeout).to_string())
            }
            Err(error) => Ended::Broke(with_causes(&error)),
        }
    }

    fn serve(&mut self, session: &mut Session) -> Result<Ended, RunnerError> {
        loop {
            let remaining = self.remaining()?;
            let mut go_on = || {
                if self.world.wait(Duration::ZERO) {
                    self.remaining().map(drop)
                } else {
                    Err(RunnerError::Stopping)
                }
            };
            match session.next(remaining, &mut go_on)? {
                Request::Ended(Ending::Fixed(why)) => return Ok(Ended::Fixed(shown(why))),
                Request::Ended(Ending::Skip(why)) => return Ok(Ended::Skipped(shown(why))),
                Request::Ended(Ending::Failed(why)) => return Ok(Ended::Failed(shown(why))),
                Request::Broke(error) => return Ok(Ended::Broke(shown(error))),
                Request::Call { function, arguments } => {
                    let answer = match self.answer(&function, &arguments)? {
                        Ok(value) => Answer::Value(value),
                        Err(error) => Answer::Error(error),
                    };
                    session.answer(&answer)?;
                }
            }
        }
    }

    fn remaining(&self) -> Result<Duration, RunnerError> {
        let remaining = self.deadline.since(self.world.now());
        if remaining.is_zero() { Err(RunnerError::Timeout(self.runbook.timeout)) } else { Ok(remaining) }
    }

    /// The answer to one call; the inner error is for the script.
    fn answer(&mut self, path: &str, values: &[Value]) -> Result<Result<Value, String>, RunnerError> {
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Ok(Err(format!("a script may ask {MAX_CALLS} times")));
        }
        let Some(function) = HostFunction::at(path) else {
            return Ok(Err(format!("there is no function `{path}`")));
        };
        let call = match (function.read)(&Arguments { function, values }) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let written = written(path, values);
        let answer = match call {
            Call::Sleep { duration } => return self.sleep(duration).map(Ok),
            Call::Note { text } => {
                self.remediator.tell(self.world, self.run, RunStep::Note { text });
                return Ok(Ok(Value::Null));
            }
            Call::Act { action, on } => {
                let capability = function.needs.expect("the table gives every action its capability");
                match self.permit(capability, &on, &written) {
                    Ok(()) => return Ok(self.act(&action)),
                    Err(error) => Err(error),
                }
            }
            Call::FindProcesses { name } => self.find_processes(&name),
            Call::DirectoryUsage { path } => self.world.directory_usage(&path).map(|bytes| json!(bytes)),
            Call::Query { expr } => self
                .world
                .query(&expr, None)
                .map(|answer| answer.values.first().map_or(Value::Null, |(_, value)| json!(value))),
        };
        let told = match &answer {
            Ok(value) => shown(value.to_string()),
            Err(error) => shown(error.clone()),
        };
        self.remediator.tell(self.world, self.run, RunStep::Fact { call: written, answer: told });
        Ok(answer)
    }

    fn sleep(&mut self, duration: Duration) -> Result<Value, RunnerError> {
        let remaining = self.remaining()?;
        if !self.world.wait(duration.min(remaining)) {
            return Err(RunnerError::Stopping);
        }
        self.remaining().map(|_| Value::Null)
    }

    fn find_processes(&mut self, name: &str) -> Result<Value, String> {
        let mut processes = self.world.find_processes(name)?;
        processes.truncate(MAX_FOUND);
        for process in &processes {
            self.found.entry(process.id).or_default().insert(name.to_owned());
        }
        serde_json::to_value(processes).map_err(|error| error.to_string())
    }

    /// Whether the runbook grants the capability on this target.
    fn permit(&self, capability: Capability, on: &Target, written: &str) -> Result<(), String> {
        let reached = match on {
            Target::Named(target) => self.runbook.grants.reach(capability, target),
            Target::Found(id) => {
                let names = self.found.get(id).ok_or_else(|| {
                    format!("permission denied: {written}: process {} was not found by this run", id.pid)
                })?;
                names.iter().any(|name| self.runbook.grants.reach(capability, name))
            }
        };
        let capability = capability.name();
        let runbook = &self.runbook.name;
        if reached {
            Ok(())
        } else {
            Err(format!(
                "permission denied: {written} needs {capability}, which runbook {runbook} does not grant there"
            ))
        }
    }

    /// Performs an action: its intention is on disk before, its outcome after.
    fn act(&mut self, action: &Action) -> Result<Value, String> {
        if self.world.frozen() {
            return Err("repairs are frozen by an operator".to_owned());
        }
        if self.actions >= MAX_ACTIONS {
            return Err(format!("a script may act {MAX_ACTIONS} times"));
        }
        self.actions += 1;
        let (number, printed) = (self.actions, action.to_string());
        let intended = RunStep::ActionIntended { number, action: printed.clone() };
        self.remediator.record(self.world, self.run, intended).map_err(|error| {
            format!("not done, because it cannot be written down: {}", with_causes(&error))
        })?;
        let before = self.world.now();
        let result = self.world.perform(action);
        let took = self.world.now().since(before);
        let (ok, outcome) = match &result {
            Ok(outcome) => (true, outcome.to_string()),
            Err(error) => (false, with_causes(error)),
        };
        self.tried.push(if ok { outcome.clone() } else { format!("{printed}: {outcome}") });
        let done = RunStep::ActionDone { number, ok, outcome: outcome.clone(), took };
        self.remediator.tell(self.world, self.run, done);
        result
            .map_err(|_| outcome)
            .and_then(|outcome| serde_json::to_value(outcome).map_err(|error| error.to_string()))
    }
}

fn shown(mut text: String) -> String {
    if text.len() > MAX_SHOWN {
        text.truncate(text.floor_char_boundary(MAX_SHOWN));
        text.push('…');
    }
    text
}

/// A call as the script wrote it: `process::find("web")`.
fn written(path: &str, values: &[Value]) -> String {
    let arguments: Vec<String> = values.iter().map(Value::to_string).collect();
    shown(format!("{path}({})", arguments.join(", ")))
}
