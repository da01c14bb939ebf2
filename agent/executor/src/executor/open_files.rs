//! How many files the processes of a service may open, at once and without a restart.
//!
//! prlimit(2) takes a number, and that can be another process's by then. So each process is held by a pidfd, listed again
//! after that, and looked at once more when it is done: what hit another is put back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{Executor, failed};
use crate::changes::{OpenFiles, ProcessFiles};
use crate::process::Process;
use crate::{ActionError, UnitName};

/// Processes of one service; one with more is left alone.
const MAX_PROCESSES: usize = 1024;

/// How often the processes are listed, until none is left that was begun meanwhile.
const MAX_ROUNDS: usize = 4;

impl OpenFiles {
    pub(super) fn is_so(&self) -> bool {
        self.before.iter().all(|files| files.soft == self.after)
    }
}

impl Executor {
    /// What each process of the unit may open now.
    pub(super) fn open_files(
        &self,
        unit: &UnitName,
        cgroup: &str,
        after: u64,
    ) -> Result<OpenFiles, ActionError> {
        let before = self.processes_in(cgroup)?.into_iter().filter_map(|process| read(&process)).collect();
        let files = OpenFiles { before, after };
        if files.before.is_empty() {
            return Err(ActionError::refused(format!(
                "{unit} has no processes now, whose open files could be limited"
            )));
        }
        Ok(files)
    }

    /// Sets the limit of all processes, those begun meanwhile too, and returns what has become of it.
    pub(super) fn set_open_files(
        &self,
        cgroup: &str,
        mut files: OpenFiles,
    ) -> Result<OpenFiles, ActionError> {
        for _ in 0..MAX_ROUNDS {
            let mut is_so = true;
            for process in self.processes_in(cgroup)? {
                let Some(now) = read(&process).filter(|now| now.soft != files.after) else { continue };
                is_so = false;
                set(&process, files.after, now.hard.max(files.after))?;
                if !files.before.iter().any(|known| known.process == now.process) {
                    files.before.push(now);
                }
            }
            if is_so {
                return Ok(files);
            }
        }
        Err(ActionError::failed(
            format!("limiting the open files of {cgroup}"),
            "new processes with other limits begin all the time",
        ))
    }

    /// Puts the limits back, those of processes begun since too; not where a process has another by now.
    pub(super) fn undo_open_files(&self, cgroup: &str, files: &OpenFiles) -> Result<(), ActionError> {
        for process in self.processes_in(cgroup)? {
            let known = files.before.iter().find(|known| known.process == process.id());
            let before = known.or_else(|| files.before.first());
            let is_ours = read(&process).is_some_and(|now| now.soft == files.after);
            if let Some(before) = before.filter(|_| is_ours) {
                set(&process, before.soft, before.hard)?;
            }
        }
        Ok(())
    }

    /// The processes of a control group and of those below it; none if the unit has none.
    fn processes_in(&self, cgroup: &str) -> Result<Vec<Process>, ActionError> {
        if cgroup.is_empty() {
            return Ok(Vec::new());
        }
        let mut opened = Vec::new();
        for pid in self.pids_in(cgroup)? {
            opened.extend(Process::open(pid)?);
        }
        let still = self.pids_in(cgroup)?;
        opened.retain(|process| still.contains(&process.pid));
        Ok(opened)
    }

    fn pids_in(&self, cgroup: &str) -> Result<BTreeSet<u32>, ActionError> {
        let failed = |error| failed(format!("listing the processes of {cgroup}"), &error);
        let mut directories = vec![PathBuf::from(cgroup.trim_start_matches('/'))];
        let mut pids = BTreeSet::new();
        while let Some(directory) = directories.pop() {
            let text = self.cgroups.read(&directory.join("cgroup.procs")).map_err(failed)?;
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            let below = self.cgroups.directories(&directory).map_err(failed)?;
            directories.extend(below.into_iter().map(|name| directory.join(name)));
            if pids.len() + directories.len() > MAX_PROCESSES {
                let reason = format!(
                    "{cgroup} holds more than {MAX_PROCESSES} processes, which are too many to be limited one by one"
                );
                return Err(ActionError::refused(reason));
            }
        }
        Ok(pids)
    }
}

/// None if it has just ended.
fn read(process: &Process) -> Option<ProcessFiles> {
    let text =
        std::fs::read_to_string(Path::new("/proc").join(process.pid.to_string()).join("limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut values = line.split_ascii_whitespace().map(|value| match value {
        "unlimited" => Some(u64::MAX),
        value => value.parse().ok(),
    });
    Some(ProcessFiles { process: process.id(), soft: values.next()??, hard: values.next()?? })
}

fn set(process: &Process, soft: u64, hard: u64) -> Result<(), ActionError> {
    let limit = |value: u64| (value != u64::MAX).then_some(value);
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    if process.ended_within(Duration::ZERO)? {
        return Ok(());
    }
    let wanted = Rlimit { current: limit(soft), maximum: limit(hard) };
    let earlier = match prlimit(Some(pid), Resource::Nofile, wanted) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(rustix::io::Errno::PERM) => {
            return Err(ActionError::failed(
                format!("letting process {} open {soft} files", process.pid),
                "hostmend-executor.service may not: the drop-in executor-limits.conf in /usr/share/doc/hostmend/examples lets it",
            ));
        }
        other => other.map_err(|error| {
            ActionError::failed(format!("letting process {} open {soft} files", process.pid), error)
        })?,
    };
    if process.ended_within(Duration::ZERO)? && Process::open(process.pid)?.is_some() {
        // Its number was another's by then, perhaps already when the limit was set.
        let _ = prlimit(Some(pid), Resource::Nofile, earlier);
    }
    Ok(())
}
