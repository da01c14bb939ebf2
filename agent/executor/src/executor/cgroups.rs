//! Control groups: limits, memory taken back, processes stopped and let go on.

use std::path::{Path, PathBuf};

use telemetry::Timestamp;

use super::{Executor, failed};
use crate::changes::{Change, FileValue};
use crate::kernel_files::KernelFileError;
use crate::policy::CgroupRule;
use crate::{ActionError, ByteCount, Limits, Outcome, protected};

/// Control groups below one that are looked through for what is protected; a busy host has some hundred in all.
const MAX_BELOW: usize = 4096;

/// The period of `cpu.max` where the file names none: the kernel's own.
const CPU_PERIOD_MICROS: u64 = 100_000;

impl Executor {
    pub(super) fn limit_cgroup(
        &mut self,
        cgroup: &str,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let (index, rule) = self.cgroup_rule(cgroup)?;
        if let Some(beyond) = rule.limits.refuse(limits) {
            return Err(self.beyond(cgroup, &beyond));
        }
        self.set_files(cgroup, &self.limit_files(cgroup, limits)?, (index, &rule), now)
    }

    pub(super) fn freeze_cgroup(
        &mut self,
        cgroup: &str,
        frozen: bool,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let (index, rule) = self.cgroup_rule(cgroup)?;
        if !rule.freeze {
            return Err(self.beyond(cgroup, "nothing of `freeze: true`"));
        }
        let files = [("cgroup.freeze", u8::from(frozen).to_string())];
        self.set_files(cgroup, &files, (index, &rule), now)
    }

    pub(super) fn reclaim(
        &mut self,
        cgroup: &str,
        bytes: ByteCount,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let (index, rule) = self.cgroup_rule(cgroup)?;
        if bytes > rule.reclaim_at_most {
            let beyond =
                format!("reclaim_at_most: {} is less than the {bytes} asked for", rule.reclaim_at_most);
            return Err(self.beyond(cgroup, &beyond));
        }
        let used = |executor: &Self| -> Result<u64, ActionError> {
            let text = executor.read_cgroup(cgroup, "memory.current")?;
            text.parse()
                .map_err(|error| ActionError::failed(format!("reading memory.current of {cgroup}"), error))
        };
        let before = used(self)?;
        self.spend(index, &rule, now)?;
        match self.cgroups.write(&path_of(cgroup, "memory.reclaim"), &bytes.0.to_string()) {
            // The kernel has taken less than was asked for; how much, the difference says.
            Err(KernelFileError::Write { source, .. })
                if source.raw_os_error() == Some(rustix::io::Errno::AGAIN.raw_os_error()) => {}
            other => {
                other.map_err(|error| {
                    failed(format!("taking {bytes} of memory back from {cgroup}"), &error)
                })?;
            }
        }
        Ok(Outcome::Reclaimed { bytes: ByteCount(before.saturating_sub(used(self)?)) })
    }

    /// Puts the contents back that the files had, if they still have those that they were given.
    pub(super) fn undo_cgroup(&self, cgroup: &str, files: &[FileValue]) -> Result<Outcome, ActionError> {
        let mut changed = Vec::new();
        for value in files {
            let current = self.read_cgroup(cgroup, &value.file)?;
            if current == value.after {
                changed.push(value);
            } else if current != value.before {
                let what = format!("{} of {cgroup}", value.file);
                return Err(super::undo::no_longer(&what, &current, &value.after));
            }
        }
        for value in changed.into_iter().rev() {
            self.write_cgroup(cgroup, &value.file, &value.before)?;
        }
        Ok(Outcome::Undone { what: cgroup.to_owned(), value: print(files, |value| &value.before) })
    }

    fn set_files(
        &mut self,
        cgroup: &str,
        files: &[(&str, String)],
        (index, rule): (usize, &CgroupRule),
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let mut values = Vec::new();
        for (file, after) in files {
            let before = self.read_cgroup(cgroup, file)?;
            values.push(FileValue { file: (*file).to_owned(), before, after: after.clone() });
        }
        let what = cgroup.to_owned();
        let before = print(&values, |value| &value.before);
        if values.iter().all(|value| value.before == value.after) {
            return Ok(Outcome::Set { what, after: before.clone(), before, change: None });
        }
        self.spend(index, rule, now)?;
        let id = self.remember(Change::Cgroup { cgroup: what.clone(), files: values.clone() }, now)?;
        if let Err((error, restored)) = self.write_all(cgroup, &mut values) {
            if restored {
                self.forget(&id);
            }
            return Err(error);
        }
        let after = print(&values, |value| &value.after);
        // The kernel rounds to whole pages.
        self.amend(&id, Change::Cgroup { cgroup: what.clone(), files: values });
        Ok(Outcome::Set { what, before, after, change: Some(id) })
    }

    /// Writes all of them or none, and puts in what the kernel made of each. An error says whether all is as before.
    pub(super) fn write_all(
        &self,
        cgroup: &str,
        values: &mut [FileValue],
    ) -> Result<(), (ActionError, bool)> {
        for at in 0..values.len() {
            let Some((value, earlier)) = values.get_mut(..=at).and_then(<[_]>::split_last_mut) else { break };
            let written = self.write_cgroup(cgroup, &value.file, &value.after);
            if let Err(error) = written {
                let back = |value: &FileValue| self.write_cgroup(cgroup, &value.file, &value.before).is_ok();
                return Err((error, earlier.iter().rev().all(back)));
            }
            if let Ok(after) = self.read_cgroup(cgroup, &value.file) {
                value.after = after;
            }
        }
        Ok(())
    }

    fn cgroup_rule(&self, cgroup: &str) -> Result<(usize, CgroupRule), ActionError> {
        if let Some(reason) = protected::cgroup(cgroup) {
            return Err(ActionError::refused(reason));
        }
        let found = self.policy.cgroups.iter().position(|rule| rule.path == cgroup);
        let index = found.ok_or_else(|| self.no_rule::<CgroupRule>(&format!("- path: {cgroup}")))?;
        if let Some(reason) = self.holds_protected(cgroup)? {
            return Err(ActionError::refused(reason));
        }
        Ok((index, self.policy.cgroups.get(index).cloned().expect("the position was just found")))
    }

    /// Why a control group is not touched for what lies below it, if so.
    fn holds_protected(&self, cgroup: &str) -> Result<Option<String>, ActionError> {
        let asker = self.asker.map_or_else(std::process::id, |asker| asker.pid);
        for pid in [1, std::process::id(), asker] {
            let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let own = text.lines().find_map(|line| line.strip_prefix("0::"));
            if own.is_some_and(|own| Path::new(own).starts_with(cgroup)) {
                return Ok(Some(format!("{cgroup} is never touched: process {pid} lies in it")));
            }
        }
        let mut below = vec![PathBuf::from(cgroup.trim_start_matches('/'))];
        let mut next = 0;
        while let Some(directory) = below.get(next).cloned() {
            for name in self.cgroups.directories(&directory).map_err(|error| no_cgroup(cgroup, &error))? {
                if let Some(reason) = protected::unit_of_any_kind(&name) {
                    return Ok(Some(format!("{cgroup} holds one that is protected: {reason}")));
                }
                below.push(directory.join(name));
            }
            next += 1;
            if below.len() > MAX_BELOW {
                return Ok(Some(format!(
                    "{cgroup} holds more than {MAX_BELOW} others, too many to be looked through for what is protected; name one \
                     below it"
                )));
            }
        }
        Ok(None)
    }

    fn limit_files(&self, cgroup: &str, limits: Limits) -> Result<Vec<(&'static str, String)>, ActionError> {
        let max = |limit: u64| if limit == u64::MAX { "max".to_owned() } else { limit.to_string() };
        let mut files: Vec<(&'static str, String)> = [
            ("memory.high", limits.memory_high),
            ("memory.max", limits.memory_max),
            ("pids.max", limits.tasks_max),
        ]
        .into_iter()
        .filter_map(|(file, limit)| Some((file, max(limit?))))
        .collect();
        if let Some(percent) = limits.cpu_percent {
            let current = self.read_cgroup(cgroup, "cpu.max")?;
            let period = current.split_ascii_whitespace().nth(1).and_then(|period| period.parse().ok());
            let period = period.unwrap_or(CPU_PERIOD_MICROS);
            let quota = if percent == u64::MAX { u64::MAX } else { percent.saturating_mul(period) / 100 };
            files.push(("cpu.max", format!("{} {period}", max(quota))));
        }
        if files.is_empty() || limits.open_files.is_some() {
            let text = "a control group has limits of memory, processor and tasks; name at least one of them";
            return Err(ActionError::refused(text));
        }
        Ok(files)
    }

    fn beyond(&self, what: &str, says: &str) -> ActionError {
        ActionError::refused(format!("for {what}, {} says {says}", self.policy.file.display()))
    }

    fn read_cgroup(&self, cgroup: &str, file: &str) -> Result<String, ActionError> {
        self.cgroups.read(&path_of(cgroup, file)).map_err(|error| no_cgroup(cgroup, &error))
    }

    fn write_cgroup(&self, cgroup: &str, file: &str, text: &str) -> Result<(), ActionError> {
        let written = self.cgroups.write(&path_of(cgroup, file), text);
        written.map_err(|error| failed(format!("setting {file} of {cgroup} to {text}"), &error))
    }
}

fn no_cgroup(cgroup: &str, error: &KernelFileError) -> ActionError {
    match error {
        KernelFileError::Absent { file } => ActionError::refused(format!(
            "there is no {}: {cgroup} does not exist now, its controller is off, or this host has no unified control groups",
            file.display()
        )),
        error => failed(format!("looking at {cgroup}"), error),
    }
}

fn path_of(cgroup: &str, file: &str) -> PathBuf {
    Path::new(cgroup.trim_start_matches('/')).join(file)
}

fn print(values: &[FileValue], pick: impl Fn(&FileValue) -> &String) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{} {}", value.file, pick(value))).collect();
    values.join(", ")
}
