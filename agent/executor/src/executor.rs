//! Judges an action against the policy and performs it.
//!
//! The order is always the same: what nothing may touch, then the rule, then its budget, then the deed. The budget is
//! spent before the deed, and on disk, so a deed that fails counts, and one that ends the agent too. What systemd would
//! refuse is asked before.

mod cgroups;
mod commands;
mod files;
mod flags;
mod journal;
mod kernel;
mod links;
mod open_files;
mod processes;
mod undo;
mod units;

use std::path::PathBuf;
use std::time::Duration;

use rustix::net::UCred;
use telemetry::Timestamp;

use crate::changes::Changes;
use crate::children::{Children, Deadline};
use crate::journal_files::Journal;
use crate::kernel_files::{KernelFileError, KernelFiles};
use crate::policy::Budgeted;
use crate::process::Process;
use crate::spending::Spending;
use crate::systemd::Systemd;
use crate::{Action, ActionError, Outcome, Policy, freeze};

/// The file of changes, beside that of the budgets.
const CHANGES_FILE: &str = "changes.json";

/// Performs what the policy allows, on this host.
///
/// Dropping it ends the processes that it started and whose rule says so.
#[derive(Debug)]
pub struct Executor {
    policy: Policy,
    spending: Spending,
    changes: Changes,
    children: Children,
    systemd: Systemd,
    journal: Journal,
    sysctls: KernelFiles,
    cgroups: KernelFiles,
    /// Where the kernel lists the interfaces of this process's network.
    interfaces: PathBuf,
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

impl Executor {
    /// An executor that keeps in the file `budgets` what it has spent of its budgets, and beside it, in `changes.json`, how to
    /// take back what it has changed; it begins with what stands there.
    /// Without one it begins with all unspent. A file that cannot be read or written refuses every action, until it is
    /// mended or removed.
    pub fn new(policy: Policy, budgets: Option<PathBuf>) -> Self {
        let changes = budgets.as_ref().map(|budgets| budgets.with_file_name(CHANGES_FILE));
        let spending = Spending::open(budgets, policy.rule_names().collect());
        Self {
            policy,
            spending,
            changes: Changes::open(changes),
            children: Children::default(),
            systemd: Systemd::default(),
            journal: Journal::default(),
            sysctls: KernelFiles::new("/proc/sys".into(), "executor-sysctls.conf"),
            cgroups: KernelFiles::new("/sys/fs/cgroup".into(), "executor-cgroups.conf"),
            interfaces: "/proc/self/net/dev".into(),
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

    /// Judges by another policy from now on. What was spent stays spent until its window is over, also under rules that come
    /// back.
    pub(crate) fn judge_by(&mut self, policy: Policy) {
        self.spending.know(policy.rule_names().collect());
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
        if let Some(reason) = freeze::reason(&self.policy.file, now) {
            return Err(ActionError::refused(reason));
        }
        match action {
            Action::RestartProcess { process } => self.restart_process(process, now),
            Action::Unit { verb, unit } => self.unit(*verb, unit, now),
            Action::LimitUnit { unit, limits } => self.limit_unit(unit, *limits, now),
            Action::LimitCgroup { cgroup, limits } => self.limit_cgroup(cgroup, *limits, now),
            Action::ReclaimCgroup { cgroup, bytes } => self.reclaim(cgroup, *bytes, now),
            Action::FreezeCgroup { cgroup, frozen } => self.freeze_cgroup(cgroup, *frozen, now),
            Action::SetSysctl { name, value } => self.set_sysctl(name, *value, now),
            Action::Undo { change } => self.undo(change),
            Action::SignalProcess { process, signal } => self.signal(*process, *signal, now),
            Action::RemoveFiles { selection } => self.remove_files(selection, now),
            Action::TruncateFile { path, keep } => self.truncate_file(path, *keep, now),
            Action::SwitchLink { link, to } => self.switch_link(link, to, now),
            Action::RotateJournal => self.rotate_journal(now),
            Action::VacuumJournal { keep } => self.vacuum_journal(*keep, now),
            Action::SetFlag { flag, variant } => self.set_flag(flag, variant, now),
            Action::RunCommand { command, arguments } => self.run_command(command, arguments, now),
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

    fn spend<R: Budgeted>(&mut self, index: usize, rule: &R, now: Timestamp) -> Result<(), ActionError> {
        match self.spending.spend(&rule.name(), rule.at_most(), now) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => {
                let why = telemetry::with_causes(&error);
                return Err(ActionError::refused(format!("its budget cannot be counted: {why}")));
            }
        }
        let (place, file, budget) = (R::place(index), self.policy.file.display(), rule.at_most());
        Err(ActionError::refused(format!("the budget of {place} in {file} is used up: {budget}")))
    }

    fn no_rule<R: Budgeted>(&self, entry: &str) -> ActionError {
        if self.policy.file.as_os_str().is_empty() {
            return ActionError::refused("no policy is configured; set `policy:` in hostmend.yaml");
        }
        let (list, file) = (R::LIST, self.policy.file.display());
        ActionError::refused(format!("nothing under `{list}` in {file} allows it; `{entry}` there would"))
    }
}

fn failed(doing: String, error: &KernelFileError) -> ActionError {
    ActionError::failed(doing, telemetry::with_causes(error))
}

#[cfg(test)]
mod tests;
