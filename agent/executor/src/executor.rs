//! Judges an action against the policy and performs it.
//!
//! The order is always the same: what nothing may touch, then the rule, then its budget, then the deed. The budget is
//! spent before the deed, and on disk, so a deed that fails counts, and one that ends the agent too. What systemd would
//! refuse is asked before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::UCred;
use telemetry::{Timestamp, format_duration};

use crate::children::{Children, Deadline};
use crate::policy::{DirectoryRule, ProcessRule, SignalRule, Subject};
use crate::process::Process;
use crate::spending::Spending;
use crate::sweep::Sweep;
use crate::systemd::Systemd;
use crate::{
    Action, ActionError, Budget, ByteCount, Outcome, Policy, ProcessId, ProcessName, Signal, UnitName,
    protected, restart,
};

/// Performs what the policy allows, on this host.
///
/// Dropping it ends the processes that it started and whose rule says so.
#[derive(Debug)]
pub struct Executor {
    policy: Policy,
    spending: Spending,
    children: Children,
    systemd: Systemd,
    may_start_processes: bool,
    asker: Option<Asker>,
}

/// Who asks over a socket, and is never touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pid: u32,
    user: u32,
}

impl Asker {
    pub(crate) fn of(peer: UCred) -> Self {
        Self { pid: peer.pid.as_raw_nonzero().get().cast_unsigned(), user: peer.uid.as_raw() }
    }

    /// Whether the process is the asker, or belongs to it. Where the asker has no user of its own, only its own process
    /// is known for one.
    fn has(self, process: &Process) -> Result<bool, ActionError> {
        let has_own_user = self.user != rustix::process::geteuid().as_raw();
        Ok(self.pid == process.pid || (has_own_user && process.user()? == self.user))
    }
}

/// A rule of the policy, by its place in its list.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Process(usize),
    Unit(usize),
    Signal(usize),
    Directory(usize),
}

impl Rule {
    /// What it is about, which stays the same when rules before it come or go.
    fn name(self, policy: &Policy) -> Option<String> {
        Some(match self {
            Self::Process(at) => format!("process {}", policy.processes.get(at)?.name),
            Self::Unit(at) => format!("unit {}", policy.units.get(at)?.name),
            Self::Signal(at) => {
                let rule = policy.signals.get(at)?;
                let signals: Vec<String> = rule.signals.iter().map(Signal::to_string).collect();
                match &rule.subject {
                    Subject::Command(command) => {
                        format!("signals {} to command {command}", signals.join(","))
                    }
                    Subject::Process(process) => {
                        format!("signals {} to process {process}", signals.join(","))
                    }
                }
            }
            Self::Directory(at) => format!("directory {}", policy.directories.get(at)?.path.display()),
        })
    }
}

fn rule_names(policy: &Policy) -> impl Iterator<Item = String> {
    let rules = (0..policy.processes.len()).map(Rule::Process);
    let rules = rules.chain((0..policy.units.len()).map(Rule::Unit));
    let rules = rules.chain((0..policy.signals.len()).map(Rule::Signal));
    let rules = rules.chain((0..policy.directories.len()).map(Rule::Directory));
    rules.filter_map(|rule| rule.name(policy))
}

impl Executor {
    /// An executor that keeps in the file `budgets` what it has spent of its budgets, and begins with what stands there.
    /// Without one it begins with all unspent. A file that cannot be read or written refuses every action, until it is
    /// mended or removed.
    pub fn new(policy: Policy, budgets: Option<PathBuf>) -> Self {
        let spending = Spending::open(budgets, rule_names(&policy).collect());
        Self {
            policy,
            spending,
            children: Children::default(),
            systemd: Systemd::default(),
            may_start_processes: true,
            asker: None,
        }
    }

    /// Refuses to start processes, as behind a socket: whoever ends this process, as systemd does with a service, would end
    /// them too.
    #[must_use]
    pub fn without_starting(self) -> Self {
        Self { may_start_processes: false, ..self }
    }

    /// Judges by another policy from now on. What was spent under rules that it has too stays spent.
    pub(crate) fn judge_by(&mut self, policy: Policy) {
        self.spending.know(rule_names(&policy).collect());
        self.policy = policy;
    }

    /// Performs `action` for an asker, which it may not touch; see [`Executor::perform`].
    pub(crate) fn perform_for(
        &mut self,
        asker: Asker,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        self.asker = Some(asker);
        self.perform(action, now)
    }

    /// Performs `action`, if the policy allows it at `now`.
    ///
    /// # Errors
    ///
    /// See [`ActionError`]: refused, and the host is unchanged; or failed on the way.
    pub fn perform(&mut self, action: &Action, now: Timestamp) -> Result<Outcome, ActionError> {
        match action {
            Action::RestartProcess { process } => self.restart(process, now),
            Action::RestartUnit { unit } => self.restart_unit(unit, now),
            Action::SignalProcess { process, signal } => self.signal(*process, *signal, now),
            Action::DeleteOldFiles { under, older_than, at_most } => {
                self.delete_old_files(under, *older_than, *at_most, now)
            }
        }
    }

    /// Ends the processes that this executor started and whose rule says `stop_with_executor`; those that have not
    /// ended `within` are killed.
    pub fn stop_started(&mut self, within: Duration) {
        self.stop_started_until(Deadline::after(within));
    }

    pub(crate) fn stop_started_until(&mut self, deadline: Deadline) {
        self.children.stop(deadline);
    }

    fn restart(&mut self, name: &ProcessName, now: Timestamp) -> Result<Outcome, ActionError> {
        let found = self.policy.processes.iter().position(|rule| rule.name == *name);
        let index = found.ok_or_else(|| self.no_rule("processes", &format!("- name: {name}")))?;
        let rule = self.policy.processes.get(index).cloned().expect("the position was just found");
        if !self.may_start_processes {
            let file = self.policy.file.display();
            return Err(ActionError::refused(format!(
                "an executor behind a socket starts no processes, which would end with it; let a unit run {name}, name that unit \
                 under `units` in {file}, and restart it with unit::restart"
            )));
        }
        self.spend(Rule::Process(index), rule.at_most, now)?;
        restart::restart(&rule, &mut self.children)
    }

    fn restart_unit(&mut self, name: &UnitName, now: Timestamp) -> Result<Outcome, ActionError> {
        if let Some(reason) = protected::unit(name) {
            return Err(ActionError::refused(reason));
        }
        let found = self.policy.units.iter().position(|rule| rule.name == *name);
        let index = found.ok_or_else(|| self.no_rule("units", &format!("- name: {name}")))?;
        let rule = self.policy.units.get(index).cloned().expect("the position was just found");
        let systemd = self.systemd.clone();
        let spend = || self.spend(Rule::Unit(index), rule.at_most, now);
        systemd.restart(&rule.name, rule.restart_timeout, spend)
    }

    fn signal(&mut self, id: ProcessId, signal: Signal, now: Timestamp) -> Result<Outcome, ActionError> {
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
            self.no_rule("signals", &format!("- {{ command: {command}, signals: [{signal}] }}"))
        })?;
        let budget = self.policy.signals.get(index).map(|rule| rule.at_most);
        self.spend(Rule::Signal(index), budget.expect("the position was just found"), now)?;
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

    fn delete_old_files(
        &mut self,
        under: &Path,
        older_than: Duration,
        at_most: ByteCount,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        if !protected::is_plain_path(under) {
            let reason = format!(
                "{} is not an absolute path without `.`, `..` and control characters",
                under.display()
            );
            return Err(ActionError::refused(reason));
        }
        if let Some(reason) = protected::directory(under) {
            return Err(ActionError::refused(reason));
        }
        let covers = |rule: &DirectoryRule| under.starts_with(&rule.path);
        let found = self.policy.directories.iter().position(covers);
        let index =
            found.ok_or_else(|| self.no_rule("directories", &format!("- path: {}", under.display())))?;
        let rule = self.policy.directories.get(index).cloned().expect("the position was just found");
        self.within_bounds(&rule, older_than, at_most)?;
        self.spend(Rule::Directory(index), rule.at_most, now)?;
        let written_before = now.minus(older_than);
        Sweep { allowed: &rule.path, under, written_before, at_most }.run()
    }

    fn within_bounds(
        &self,
        rule: &DirectoryRule,
        older_than: Duration,
        at_most: ByteCount,
    ) -> Result<(), ActionError> {
        let beyond = if older_than < rule.at_least_age {
            format!("at_least_age: {} keeps files younger than that", format_duration(rule.at_least_age))
        } else if at_most > rule.at_most_bytes {
            format!("at_most_bytes: {} is less than the {at_most} asked for", rule.at_most_bytes)
        } else {
            return Ok(());
        };
        let (file, path) = (self.policy.file.display(), rule.path.display());
        Err(ActionError::refused(format!("for {path}, {file} says {beyond}")))
    }

    fn spend(&mut self, rule: Rule, budget: Budget, now: Timestamp) -> Result<(), ActionError> {
        let name = rule.name(&self.policy).expect("the rule was just found");
        match self.spending.spend(&name, budget, now) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => {
                let why = telemetry::with_causes(&error);
                return Err(ActionError::refused(format!("its budget cannot be counted: {why}")));
            }
        }
        let (list, index) = match rule {
            Rule::Process(index) => ("processes", index),
            Rule::Unit(index) => ("units", index),
            Rule::Signal(index) => ("signals", index),
            Rule::Directory(index) => ("directories", index),
        };
        let file = self.policy.file.display();
        Err(ActionError::refused(format!("the budget of {list}[{index}] in {file} is used up: {budget}")))
    }

    fn no_rule(&self, list: &str, entry: &str) -> ActionError {
        if self.policy.file.as_os_str().is_empty() {
            return ActionError::refused("no policy is configured; set `policy:` in hostmend.yaml");
        }
        let file = self.policy.file.display();
        ActionError::refused(format!("nothing under `{list}` in {file} allows it; `{entry}` there would"))
    }
}

#[cfg(test)]
mod tests;
