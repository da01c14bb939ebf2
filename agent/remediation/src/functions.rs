//! The functions that a script can call, in one table.
//!
//! Registration in the sandbox, the check of a script, `hostmend list functions` and what the agent does with a call are
//! all read from [`HOST_FUNCTIONS`]. A row turns the arguments of a call into a [`Call`]; it performs nothing.

use std::time::Duration;

use executor::{Action, ByteCount, ProcessId, Signal, UnitName};
use serde_json::Value;
use telemetry::parse_duration;

use crate::grants::Capability;

/// The longest note that is kept of what a script has to say.
const MAX_NOTE_BYTES: usize = 4096;

/// Whether a function looks or acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// It asks for a fact, waits, or leaves a note: the host stays as it is.
    Read,
    /// It asks for a change to the host.
    Act,
}

/// One function that a script can call.
#[derive(Debug)]
pub struct HostFunction {
    /// `process` in `process::find`.
    pub namespace: &'static str,
    /// `find` in `process::find`.
    pub name: &'static str,
    /// Its parameters with their types: `name: string`.
    pub parameters: &'static [&'static str],
    /// What it returns.
    pub returns: &'static str,
    /// One sentence for the author of a script.
    pub summary: &'static str,
    /// Whether it looks or acts.
    pub kind: FunctionKind,
    /// The capability without which it does not exist for the script.
    pub needs: Option<Capability>,
    /// Understands the arguments of a call.
    pub(crate) read: fn(&Arguments<'_>) -> Result<Call, String>,
}

impl HostFunction {
    /// `process::find`.
    pub fn path(&self) -> String {
        format!("{}::{}", self.namespace, self.name)
    }

    /// `process::find(name: string) -> array of maps`.
    pub fn signature(&self) -> String {
        let parameters = self.parameters.join(", ");
        let returns = if self.returns.is_empty() { String::new() } else { format!(" -> {}", self.returns) };
        format!("{}({parameters}){returns}", self.path())
    }

    /// The function of this path.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        HOST_FUNCTIONS.iter().find(|function| function.path() == path)
    }
}

/// What a script asks of the agent, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    FindProcesses { name: String },
    DirectoryUsage { path: String },
    Query { expr: String },
    Sleep { duration: Duration },
    Note { text: String },
    Act { action: Action, on: Target },
}

/// What an action must be granted on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// A name or a path.
    Named(String),
    /// A process that the run itself has found; the run knows under which name.
    Found(ProcessId),
}

/// Every function that a script can call, apart from the language's own.
pub const HOST_FUNCTIONS: &[HostFunction] = &[
    HostFunction {
        namespace: "process",
        name: "find",
        parameters: &["name: string"],
        returns: "array of #{pid, start_ticks, state, command}",
        summary: "The live processes of this name, or of the name under which the policy defines one.",
        kind: FunctionKind::Read,
        needs: None,
        read: |a| Ok(Call::FindProcesses { name: a.text(0)? }),
    },
    HostFunction {
        namespace: "process",
        name: "restart",
        parameters: &["name: string"],
        returns: "#{process, ended, killed, pid}",
        summary: "Ends the process that the policy defines under this name, if it runs, and starts it again.",
        kind: FunctionKind::Act,
        needs: Some(Capability::ProcessRestart),
        read: |a| {
            let name = a.text(0)?;
            let action = Action::RestartProcess { process: name.as_str().into() };
            Ok(Call::Act { action, on: Target::Named(name) })
        },
    },
    HostFunction {
        namespace: "unit",
        name: "restart",
        parameters: &["name: string"],
        returns: "#{unit, before, after}, each with active, sub and main_pid",
        summary: "Lets systemd restart a service, as in \"nginx.service\", and waits until that is done.",
        kind: FunctionKind::Act,
        needs: Some(Capability::UnitRestart),
        read: |a| {
            let name = a.text(0)?;
            let unit = name.parse::<UnitName>().map_err(|error| error.to_string())?;
            Ok(Call::Act { action: Action::RestartUnit { unit }, on: Target::Named(name) })
        },
    },
    HostFunction {
        namespace: "process",
        name: "signal",
        parameters: &["process: map from process::find", "signal: string"],
        returns: "#{process, command, signal}",
        summary: "Sends a signal, as in \"KILL\", to one process that process::find has returned in this run.",
        kind: FunctionKind::Act,
        needs: Some(Capability::ProcessSignal),
        read: |a| {
            let process = a.process(0)?;
            let signal: Signal =
                a.text(1)?.parse().map_err(|error: executor::UnknownSignal| error.to_string())?;
            Ok(Call::Act { action: Action::SignalProcess { process, signal }, on: Target::Found(process) })
        },
    },
    HostFunction {
        namespace: "file",
        name: "delete_old",
        parameters: &["directory: string", "older_than: duration", "at_most: bytes"],
        returns: "#{files, bytes, too_large, failed, first_failure, incomplete}",
        summary: "Deletes files below a directory, the oldest first, never more than so many bytes.",
        kind: FunctionKind::Act,
        needs: Some(Capability::FileDelete),
        read: |a| {
            let directory = a.text(0)?;
            let action = Action::DeleteOldFiles {
                under: directory.clone().into(),
                older_than: a.duration(1)?,
                at_most: a.bytes(2)?,
            };
            Ok(Call::Act { action, on: Target::Named(directory) })
        },
    },
    HostFunction {
        namespace: "disk",
        name: "directory_usage",
        parameters: &["path: string"],
        returns: "int",
        summary: "The bytes of disk space that the files below a directory take.",
        kind: FunctionKind::Read,
        needs: None,
        read: |a| Ok(Call::DirectoryUsage { path: a.text(0)? }),
    },
    HostFunction {
        namespace: "metric",
        name: "query",
        parameters: &["expr: string"],
        returns: "float, or () without a finite result",
        summary: "The value that a PromQL expression has now; of several series, the first.",
        kind: FunctionKind::Read,
        needs: None,
        read: |a| Ok(Call::Query { expr: a.text(0)? }),
    },
    HostFunction {
        namespace: "clock",
        name: "sleep",
        parameters: &["duration: duration"],
        returns: "",
        summary: "Waits, as in \"500ms\" or \"5s\"; the run's timeout goes on.",
        kind: FunctionKind::Read,
        needs: None,
        read: |a| Ok(Call::Sleep { duration: a.duration(0)? }),
    },
    HostFunction {
        namespace: "incident",
        name: "note",
        parameters: &["text: string"],
        returns: "",
        summary: "Leaves a note for whoever reads the incident.",
        kind: FunctionKind::Read,
        needs: None,
        read: |a| {
            let mut text = a.text(0)?;
            text.truncate(text.floor_char_boundary(MAX_NOTE_BYTES));
            Ok(Call::Note { text })
        },
    },
];

/// The arguments of one call, as they came from the sandbox: nothing in them is to be believed.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    pub(crate) function: &'a HostFunction,
    pub(crate) values: &'a [Value],
}

impl Arguments<'_> {
    fn get(&self, at: usize) -> Result<&Value, String> {
        self.values.get(at).ok_or_else(|| format!("`{}` lacks an argument", self.function.path()))
    }

    fn wrong(&self, at: usize, wanted: &str) -> String {
        let given = self.values.get(at).map_or("nothing", kind_of);
        format!("argument {} of `{}` must be {wanted}, not {given}", at + 1, self.function.path())
    }

    fn text(&self, at: usize) -> Result<String, String> {
        self.get(at)?.as_str().map(str::to_owned).ok_or_else(|| self.wrong(at, "a string"))
    }

    fn duration(&self, at: usize) -> Result<Duration, String> {
        let text = self.get(at)?.as_str().ok_or_else(|| self.wrong(at, "a duration, as in \"5s\""))?;
        parse_duration(text).map_err(|error| error.to_string())
    }

    fn bytes(&self, at: usize) -> Result<ByteCount, String> {
        match self.get(at)? {
            Value::String(text) => text.parse().map_err(|error| format!("{error}")),
            value => {
                value.as_u64().map(ByteCount).ok_or_else(|| self.wrong(at, "bytes, as in 65536 or \"64KiB\""))
            }
        }
    }

    fn process(&self, at: usize) -> Result<ProcessId, String> {
        let process = self.get(at)?;
        let read = || {
            Some(ProcessId {
                pid: process.get("pid")?.as_u64()?.try_into().ok()?,
                start_ticks: process.get("start_ticks")?.as_u64()?,
            })
        };
        read().ok_or_else(|| self.wrong(at, "a process that process::find has returned"))
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "()",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(path: &str, values: &[Value]) -> Result<Call, String> {
        let function = HostFunction::at(path).unwrap();
        (function.read)(&Arguments { function, values })
    }

    #[test]
    fn every_function_that_acts_needs_a_capability_and_no_other_does() {
        for function in HOST_FUNCTIONS {
            assert_eq!(function.kind == FunctionKind::Act, function.needs.is_some(), "{}", function.path());
            assert!(function.summary.ends_with('.') && function.parameters.len() <= 3);
        }
    }

    #[test]
    fn arguments_become_a_typed_call() {
        let process = ProcessId { pid: 42, start_ticks: 7 };
        assert_eq!(
            call("process::signal", &[json!({"pid": 42, "start_ticks": 7, "command": "x"}), json!("KILL")]),
            Ok(Call::Act {
                action: Action::SignalProcess { process, signal: Signal::Kill },
                on: Target::Found(process)
            })
        );
        let deleted = call("file::delete_old", &[json!("/var/spool/web"), json!("1m"), json!("1MiB")]);
        let Ok(Call::Act { action: Action::DeleteOldFiles { at_most, .. }, .. }) = deleted else { panic!() };
        assert_eq!(at_most, ByteCount(1 << 20));
    }

    #[test]
    fn a_wrong_argument_is_refused_with_what_would_be_right() {
        for (path, values, expected) in [
            ("process::find", vec![json!(7)], "argument 1 of `process::find` must be a string, not a number"),
            (
                "unit::restart",
                vec![json!("*.service")],
                "\"*.service\" is not the exact name of a service; write it as in nginx.service or getmail@ann.service",
            ),
            ("process::find", vec![], "`process::find` lacks an argument"),
            (
                "clock::sleep",
                vec![json!(5)],
                "argument 1 of `clock::sleep` must be a duration, as in \"5s\", not a number",
            ),
            ("clock::sleep", vec![json!("5")], "\"5\" is not a duration; write it as in 90s, 5m or 1h30m"),
            (
                "process::signal",
                vec![json!(42), json!("KILL")],
                "argument 1 of `process::signal` must be a process that process::find has returned, not a number",
            ),
            (
                "file::delete_old",
                vec![json!("/x"), json!("1m"), json!(-1)],
                "argument 3 of `file::delete_old` must be bytes, as in 65536 or \"64KiB\", not a number",
            ),
        ] {
            assert_eq!(call(path, &values).unwrap_err(), expected);
        }
    }
}
