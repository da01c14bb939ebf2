//! Processes that would have ended, stood still or been started.

use executor::{Outcome, ProcessId, ProcessName, Signal};
use serde_json::Value;

use super::Effects;
use crate::fact::ProcessFilter;
use crate::world::{FoundProcess, World};

impl Effects {
    /// The processes of which the filter holds, with what would be different.
    pub(in crate::dry_run) fn processes(
        &self,
        host: &dyn World,
        filter: &ProcessFilter,
    ) -> Result<Vec<FoundProcess>, String> {
        let mut found = host.find_processes(&ProcessFilter { state: None, ..filter.clone() })?;
        let name = filter.name.as_deref().unwrap_or_default();
        let restarted = self.restarted.contains(name);
        found.retain(|process| {
            !restarted && !self.gone.contains(&process.id) && !self.restarted.contains(&process.unit)
        });
        for process in &mut found {
            if let Some((_, state)) = self.states.iter().rev().find(|(id, _)| *id == process.id) {
                process.state = *state;
            }
        }
        let started = self.started.iter().filter(|(known, process)| {
            (filter.name.is_none() || known == name)
                && filter.pid.is_none_or(|pid| pid == process.id.pid)
                && filter.ppid.is_none_or(|ppid| ppid == process.ppid)
                && filter.unit.as_ref().is_none_or(|unit| *unit == process.unit)
                && !self.gone.contains(&process.id)
        });
        found.extend(started.map(|(_, process)| process.clone()));
        found.retain(|process| filter.state.is_none_or(|state| state == process.state));
        Ok(found)
    }

    pub(super) fn restart_process(&mut self, host: &dyn World, process: &ProcessName) -> Outcome {
        let name = process.as_str().to_owned();
        let filter = ProcessFilter { name: Some(name.clone()), ..ProcessFilter::default() };
        let before = self.processes(host, &filter).unwrap_or_default();
        self.started.retain(|(known, _)| *known != name);
        self.restarted.insert(name.clone());
        let pid = self.next_pid();
        let fresh = FoundProcess {
            id: ProcessId { pid, start_ticks: 0 },
            state: 'S',
            command: name.clone(),
            ppid: 1,
            unit: String::new(),
            age_seconds: 0,
            rss_bytes: 0,
        };
        self.started.push((name, fresh));
        let ended = before.first().map(|process| process.id.pid);
        Outcome::Restarted { process: process.clone(), ended, killed: false, pid, unnamed_by: None }
    }

    pub(super) fn signal(&mut self, host: &dyn World, process: ProcessId, signal: Signal) -> Outcome {
        let filter = ProcessFilter { pid: Some(process.pid), ..ProcessFilter::default() };
        let found = self.processes(host, &filter).unwrap_or_default();
        let command = found.iter().find(|found| found.id == process).map(|found| found.command.clone());
        match signal {
            Signal::Kill | Signal::Term | Signal::Int | Signal::Quit | Signal::Abrt => {
                self.gone.push(process);
            }
            Signal::Stop => self.states.push((process, 'T')),
            Signal::Cont => self.states.push((process, 'S')),
            Signal::Hup | Signal::Usr1 | Signal::Usr2 | Signal::Chld => {}
        }
        Outcome::Signalled { process, command: command.unwrap_or_default(), signal }
    }

    pub(super) fn top(&self, top: Value) -> Value {
        let Value::Array(mut processes) = top else { return top };
        processes.retain(|process| {
            let number = |name: &str| process.get(name).and_then(Value::as_u64);
            let pid = number("pid").and_then(|pid| u32::try_from(pid).ok());
            let id = pid.zip(number("start_ticks"));
            let unit = process.get("unit").and_then(Value::as_str).unwrap_or_default();
            !id.is_some_and(|(pid, start_ticks)| self.gone.contains(&ProcessId { pid, start_ticks }))
                && !self.restarted.contains(unit)
        });
        Value::Array(processes)
    }
}
