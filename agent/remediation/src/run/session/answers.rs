//! What a script is answered: facts, waits, notes and actions.

use std::time::Duration;

use executor::{Action, ActionError, Outcome, UnitName};
use serde_json::{Value, json};
use telemetry::{RunStep, Timestamp, with_causes};

use super::{Halt, MAX_CALLS, ScriptRun, shown};
use crate::fact::{Fact, ProcessFilter};
use crate::functions::{Arguments, Call, HostFunction, Target};
use crate::grants::Capability;
use crate::run::replay::Known;
use crate::runner::RunnerError;

/// The most processes that one question finds; a script that repairs means a handful.
const MAX_FOUND: usize = 1000;
/// How often a unit that is waited for is looked at.
const WAIT_EVERY: Duration = Duration::from_millis(100);

/// For the script: a value, or an error that it can catch.
type ToScript = Result<Value, String>;

impl ScriptRun<'_> {
    /// The answer to one call.
    pub(super) fn answer(&mut self, path: &str, values: &[Value]) -> Result<ToScript, Halt> {
        if !self.counts() {
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
            Call::Sleep { duration } => return Ok(Ok(self.sleep(duration)?)),
            Call::WaitActive { unit, within, settle } => self.wait_active(&unit, within, settle)?,
            Call::Now => return Ok(Ok(json!(self.world.now().as_secs_f64()))),
            Call::Note { text } => {
                self.run.chronicle.tell(self.world, RunStep::Note { text });
                return Ok(Ok(Value::Null));
            }
            Call::Attach { name, text } => {
                self.world.attach(self.run.id(), &name, &text).map(|file| json!(file))
            }
            Call::Act { action, on } => {
                let capability = function.needs.expect("the table gives every action its capability");
                match self.permit(capability, &on, &written) {
                    Ok(()) => return self.act(&action),
                    Err(error) => Err(error),
                }
            }
            Call::FindProcesses { filter } => self.find_processes(&filter),
            Call::Ask { fact, on } => match function.needs.zip(on) {
                Some((capability, on)) => {
                    self.permit(capability, &on, &written).and_then(|()| self.world.fact(&fact))
                }
                None => self.world.fact(&fact),
            },
            Call::Query { expr } => self
                .world
                .query(&expr, None)
                .map(|answer| answer.values.first().map_or(Value::Null, |(_, value)| json!(value))),
        };
        let told = match &answer {
            Ok(value) => shown(value.to_string()),
            Err(error) => shown(error.clone()),
        };
        self.run.chronicle.tell(self.world, RunStep::Fact { call: written, answer: told });
        Ok(answer)
    }

    fn sleep(&mut self, duration: Duration) -> Result<Value, RunnerError> {
        let remaining = self.remaining()?;
        // It has waited before.
        let duration = if self.catching_up { Duration::ZERO } else { duration };
        if !self.world.wait(duration.min(remaining)) {
            return Err(RunnerError::Stopping);
        }
        self.remaining().map(|_| Value::Null)
    }

    /// Whether a unit has been active for `settle` without a break before `within` is over.
    fn wait_active(&mut self, unit: &UnitName, within: Duration, settle: Duration) -> Result<ToScript, Halt> {
        let fact = Fact::UnitStatus { unit: unit.clone() };
        let within = if self.catching_up { Duration::ZERO } else { within };
        let limit = self.world.now().plus(within).min(self.deadline);
        let mut since = None;
        loop {
            let status = match self.world.fact(&fact) {
                Ok(status) => status,
                Err(error) => return Ok(Err(error)),
            };
            let now = self.world.now();
            let is_active = status.get("active").and_then(Value::as_str) == Some("active");
            since = if is_active { Some(since.unwrap_or(now)) } else { None };
            if since.is_some_and(|since: Timestamp| now.since(since) >= settle) {
                return Ok(Ok(json!(true)));
            }
            if now >= limit {
                return Ok(Ok(json!(false)));
            }
            self.sleep(WAIT_EVERY.min(limit.since(now)))?;
        }
    }

    fn find_processes(&mut self, filter: &ProcessFilter) -> Result<Value, String> {
        let mut processes = self.world.find_processes(filter)?;
        processes.truncate(MAX_FOUND);
        for process in &processes {
            let names = self.found.entry(process.id).or_default();
            names.extend(filter.name.clone());
            names.insert(process.command.clone());
            names.insert(process.unit.clone());
        }
        serde_json::to_value(processes).map_err(|error| error.to_string())
    }

    /// Whether the runbook grants the capability on this target.
    fn permit(&self, capability: Capability, on: &Target, written: &str) -> Result<(), String> {
        let reached = match on {
            Target::Named(target) => self.run.runbook.grants.reach(capability, target),
            Target::Found(id) => {
                let names = self.found.get(id).ok_or_else(|| {
                    format!("permission denied: {written}: process {} was not found by this run", id.pid)
                })?;
                names.iter().any(|name| self.run.runbook.grants.reach(capability, name))
            }
        };
        let capability = capability.name();
        let runbook = &self.run.runbook.name;
        if reached {
            Ok(())
        } else {
            Err(format!(
                "permission denied: {written} needs {capability}, which runbook {runbook} does not grant there"
            ))
        }
    }

    /// Performs an action, unless the journal knows what became of it.
    fn act(&mut self, action: &Action) -> Result<ToScript, Halt> {
        let printed = action.to_string();
        match self.replay.next(&printed, self.inside.as_deref()) {
            Known::New | Known::Uncertain if self.catching_up => Err(Halt::CaughtUp),
            Known::New => self.act_anew(action, &printed),
            Known::Done(answer) => Ok(answer),
            Known::Uncertain => {
                Ok(Err(format!("{printed}: the agent ended before that was known; it is not repeated")))
            }
            Known::Another(before) => Err(Halt::Diverged(format!(
                "the script asked to {printed} where it had asked to {before} before the agent ended"
            ))),
        }
    }

    /// Its intention is on disk before it is done, its outcome after.
    fn act_anew(&mut self, action: &Action, printed: &str) -> Result<ToScript, Halt> {
        if let Some(why) = self.world.frozen() {
            return Ok(Err(format!("repairs are frozen: {why}")));
        }
        let Some(left) = self.actions_left.checked_sub(1) else {
            return Ok(Err(format!("a script may act {} times", super::MAX_ACTIONS)));
        };
        self.actions_left = left;
        self.number += 1;
        let (number, simulated) = (self.number, self.run.simulated);
        let intended = RunStep::ActionIntended { number, action: printed.to_owned(), simulated };
        if let Err(error) = self.record(intended) {
            let why = with_causes(&error);
            return Ok(Err(format!("not done, because it cannot be written down: {why}")));
        }
        let before = self.world.now();
        let result = self.world.perform(action);
        let took = self.world.now().since(before);
        let answer = answer_of(&result);
        let (ok, outcome) = match &result {
            Ok(outcome) => (true, outcome.to_string()),
            Err(error) => (false, with_causes(error)),
        };
        self.tried.push(format!("{printed}: {outcome}"));
        // Without an outcome in the journal it is uncertain, for the next agent too. One undo does not keep the rest from it.
        if matches!(result, Err(ActionError::NoAnswer { .. } | ActionError::HungUp { .. }))
            && !self.rolling_back
        {
            return Err(Halt::Uncertain(format!("{printed}: {outcome}")));
        }
        let answered = answer.as_ref().ok().map(Value::to_string);
        let done = RunStep::ActionDone { number, ok, outcome, answer: answered, took };
        self.tell(done);
        Ok(answer)
    }
}

fn answer_of(result: &Result<Outcome, ActionError>) -> ToScript {
    match result {
        Ok(outcome) => serde_json::to_value(outcome).map_err(|error| error.to_string()),
        Err(error) => Err(with_causes(error)),
    }
}

/// A call as the script wrote it: `proc::find("web")`.
fn written(path: &str, values: &[Value]) -> String {
    let arguments: Vec<String> = values.iter().map(Value::to_string).collect();
    shown(format!("{path}({})", arguments.join(", ")))
}
