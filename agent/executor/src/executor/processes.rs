//! Processes: starts those that the policy defines anew, and signals those that it allows.

use telemetry::Timestamp;

use super::Executor;
use crate::policy::{ProcessRule, SignalRule, Subject};
use crate::process::Process;
use crate::{ActionError, Outcome, ProcessId, ProcessName, Signal, protected, restart};

impl Executor {
    pub(super) fn restart_process(
        &mut self,
        name: &ProcessName,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let found = self.policy.processes.iter().position(|rule| rule.name == *name);
        let index = found.ok_or_else(|| self.no_rule::<ProcessRule>(&format!("- name: {name}")))?;
        let rule = self.policy.processes.get(index).cloned().expect("the position was just found");
        if !self.may_start_processes {
            let file = self.policy.file.display();
            return Err(ActionError::refused(format!(
                "an executor behind a socket starts no processes, which would end with it; let a unit run {name}, name that unit \
                 under `units` in {file}, and restart it with unit::restart"
            )));
        }
        self.spend(index, &rule, now)?;
        restart::restart(&rule, &mut self.children)
    }

    pub(super) fn signal(
        &mut self,
        id: ProcessId,
        signal: Signal,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let gone =
            || ActionError::refused(format!("process {id} has ended; its number may be another's now"));
        let process = Process::open_exactly(id)?.ok_or_else(gone)?;
        if self.asker.map_or(Ok(false), |asker| asker.has(&process))? {
            return Err(ActionError::refused(format!(
                "process {} ({}) is never touched: it is hostmend or belongs to its user",
                process.pid, process.stat.comm
            )));
        }
        if let Some(reason) = protected::process(&process) {
            return Err(ActionError::refused(reason));
        }
        let command = process.stat.comm.clone();
        let allows =
            |rule: &SignalRule| rule.signals.contains(&signal) && self.is_about(&rule.subject, &process);
        let index = self.policy.signals.iter().position(allows).ok_or_else(|| {
            self.no_rule::<SignalRule>(&format!("- {{ command: {command}, signals: [{signal}] }}"))
        })?;
        let rule = self.policy.signals.get(index).cloned().expect("the position was just found");
        self.spend(index, &rule, now)?;
        process.signal(signal)?;
        Ok(Outcome::Signalled { process: id, command, signal })
    }

    fn is_about(&self, subject: &Subject, process: &Process) -> bool {
        match subject {
            Subject::Command(name) => {
                process.stat.comm == *name || process.executable_name().as_ref() == Some(name)
            }
            Subject::Process(name) => {
                let rule: Option<&ProcessRule> = self.policy.process(name);
                rule.is_some_and(|rule| restart::is_defined_by(process, rule))
            }
        }
    }
}
