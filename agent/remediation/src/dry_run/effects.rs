//! What would be different on the host.
//!
//! Kept as the answers to facts will show it. What an action would change that no fact shows is not simulated.

mod change;
mod files;
mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use executor::{
    Action, ActionError, Cause, ChangeId, Limits, Outcome, ProcessId, UnitName, UnitState, UnitVerb,
};
use serde_json::{Value, json};
use telemetry::Timestamp;

use crate::fact::Fact;
use crate::world::{FoundProcess, World};
use change::Change;

/// The first number of a process that only seems to have been started: above every number that the kernel gives.
const FIRST_PID: u32 = 1 << 30;

/// The state of a service that a verb has changed.
#[derive(Clone, Debug)]
struct UnitNow {
    active: &'static str,
    sub: &'static str,
    main_pid: Option<u32>,
    since: Timestamp,
    freezer: &'static str,
}

/// All that would be different.
#[derive(Default)]
pub(super) struct Effects {
    units: BTreeMap<UnitName, UnitNow>,
    gone: Vec<ProcessId>,
    states: Vec<(ProcessId, char)>,
    started: Vec<(String, FoundProcess)>,
    /// Services and processes of the policy whose earlier processes are gone, by the name that they are found by.
    restarted: BTreeSet<String>,
    removed: BTreeSet<PathBuf>,
    freed: Vec<(PathBuf, u64)>,
    /// By link, flag, parameter, or what has limits.
    values: BTreeMap<String, Value>,
    limits: BTreeMap<String, Limits>,
    frozen: BTreeMap<String, bool>,
    changes: BTreeMap<ChangeId, Change>,
    changed: u32,
    pids: u32,
}

impl Effects {
    /// What an action would bring.
    pub(super) fn take_place(
        &mut self,
        host: &dyn World,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        match action {
            Action::RestartProcess { process } => Ok(self.restart_process(host, process)),
            Action::SignalProcess { process, signal } => Ok(self.signal(host, *process, *signal)),
            Action::Unit { verb, unit } => self.unit(host, *verb, unit, now),
            Action::LimitUnit { unit, limits } => {
                let fact = Fact::UnitLimits { unit: unit.clone() };
                Ok(self.limit(host, &unit.to_string(), &fact, *limits))
            }
            Action::LimitCgroup { cgroup, limits } => {
                Ok(self.limit(host, cgroup, &Fact::CgroupLimits { cgroup: cgroup.clone() }, *limits))
            }
            Action::FreezeCgroup { cgroup, frozen } => Ok(self.freeze(host, cgroup, *frozen)),
            Action::ReclaimCgroup { bytes, .. } => Ok(Outcome::Reclaimed { bytes: *bytes }),
            Action::RemoveFiles { selection } => self.remove(host, selection),
            Action::TruncateFile { path, keep } => self.truncate(host, path, *keep),
            Action::RotateJournal => Ok(Outcome::JournalRotated),
            Action::VacuumJournal { keep } => self.vacuum(host, *keep),
            Action::SwitchLink { link, to } => self.switch(host, link, to),
            Action::SetSysctl { name, value } => {
                let before = self.amended(host, &Fact::Sysctl { name: name.clone() }, now);
                let before = before.map_err(|error| failed(format!("reading {name}"), error))?;
                Ok(self.set(format!("sysctl {name}"), &before, &json!(value)))
            }
            Action::SetFlag { flag, variant } => {
                let before = self.amended(host, &Fact::Flag { flag: flag.clone() }, now);
                let before = before.map_err(|error| failed(format!("reading flag {flag}"), error))?;
                let variant_before = before.get("variant").cloned().unwrap_or(Value::Null);
                let before = match before.get("targeted") {
                    Some(Value::Bool(true)) => json!(format!("{variant_before} but for some")),
                    _ => variant_before,
                };
                Ok(self.set(format!("flag {flag}"), &before, &json!(variant)))
            }
            Action::RunCommand { .. } => Ok(Outcome::Ran { status: Some(0), output: String::new() }),
            Action::Undo { change } => self.undo(change),
        }
    }

    /// The answer to a fact, with what would be different.
    pub(super) fn amended(&self, host: &dyn World, fact: &Fact, now: Timestamp) -> Result<Value, String> {
        match fact {
            Fact::Sysctl { name } => match self.values.get(&format!("sysctl {name}")) {
                Some(value) => Ok(value.clone()),
                None => host.fact(fact),
            },
            Fact::Flag { flag } => Ok(self.flag(host.fact(fact)?, flag)),
            Fact::UnitStatus { unit } => Ok(self.status(host.fact(fact)?, unit, now)),
            Fact::UnitLimits { unit } => Ok(self.limits(host.fact(fact)?, &unit.to_string())),
            Fact::CgroupLimits { cgroup } => Ok(self.limits(host.fact(fact)?, cgroup)),
            Fact::TopProcesses { .. } => Ok(self.top(host.fact(fact)?)),
            Fact::DiskUsage { .. } => self.disk(host, host.fact(fact)?),
            Fact::DirectoryUsage { path } => Ok(self.directory(&host.fact(fact)?, path)),
            Fact::Files { .. } => Ok(self.files(host.fact(fact)?)),
            Fact::Releases { link } => Ok(self.releases(host.fact(fact)?, link)),
            Fact::ProcessStack { .. }
            | Fact::ProcessMaps { .. }
            | Fact::JournalTail { .. }
            | Fact::Conntrack
            | Fact::HeaviestProcesses { .. }
            | Fact::Sockets
            | Fact::HttpGet { .. }
            | Fact::Pressure => host.fact(fact),
        }
    }

    fn unit(
        &mut self,
        host: &dyn World,
        verb: UnitVerb,
        unit: &UnitName,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let status = self.amended(host, &Fact::UnitStatus { unit: unit.clone() }, now);
        let status = status.map_err(|error| failed(format!("asking for {unit}"), error))?;
        let before = unit_state(&status);
        let running = |pid| UnitNow {
            active: "active",
            sub: "running",
            main_pid: Some(pid),
            since: now,
            freezer: "running",
        };
        let dead =
            UnitNow { active: "inactive", sub: "dead", main_pid: None, since: now, freezer: "running" };
        let is_active = before.active == "active";
        let after = match verb {
            UnitVerb::Restart => Some(running(self.next_pid())),
            UnitVerb::Start if !is_active => Some(running(self.next_pid())),
            UnitVerb::Stop => Some(dead),
            UnitVerb::ResetFailed if before.active == "failed" => Some(dead),
            UnitVerb::Freeze | UnitVerb::Thaw => {
                let pid = before.main_pid.unwrap_or_default();
                let freezer = if verb == UnitVerb::Freeze { "frozen" } else { "running" };
                is_active.then(|| UnitNow { freezer, main_pid: Some(pid), ..running(pid) })
            }
            UnitVerb::Start | UnitVerb::Reload | UnitVerb::ResetFailed => None,
        };
        if matches!(verb, UnitVerb::Restart | UnitVerb::Stop) {
            self.restarted.insert(unit.to_string());
        }
        if let Some(after) = after {
            self.units.insert(unit.clone(), after);
        }
        let after = unit_state(&self.status(status, unit, now));
        Ok(Outcome::UnitChanged { verb, unit: unit.clone(), before, after })
    }

    fn status(&self, mut status: Value, unit: &UnitName, now: Timestamp) -> Value {
        let Some((unit, fields)) = self.units.get(unit).zip(status.as_object_mut()) else { return status };
        let active = unit.active == "active";
        for (name, value) in [
            ("active", json!(unit.active)),
            ("sub", json!(unit.sub)),
            ("main_pid", json!(unit.main_pid)),
            ("result", json!("success")),
            ("active_seconds", json!(active.then(|| now.since(unit.since).as_secs()))),
            ("freezer", json!(unit.freezer)),
        ] {
            fields.insert(name.to_owned(), value);
        }
        status
    }

    fn next_pid(&mut self) -> u32 {
        self.pids += 1;
        FIRST_PID + self.pids
    }
}

fn unit_state(status: &Value) -> UnitState {
    let text = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let pid = status.get("main_pid").and_then(Value::as_u64);
    UnitState { active: text("active"), sub: text("sub"), main_pid: pid.and_then(|pid| pid.try_into().ok()) }
}

fn failed(doing: String, cause: String) -> ActionError {
    ActionError::Failed { doing, cause: Cause(cause) }
}
