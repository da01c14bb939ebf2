//! What can be done with units and control groups.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ByteCount;

/// What systemd can be asked to do with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitVerb {
    /// Stop it, if it runs, and start it.
    Restart,
    /// Have it read its configuration anew.
    Reload,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Forget that it has failed, and how often it was started.
    ResetFailed,
    /// Let its processes have no processor.
    Freeze,
    /// Let them have it again.
    Thaw,
}

impl UnitVerb {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Restart, Self::Reload, Self::Start, Self::Stop, Self::ResetFailed, Self::Freeze, Self::Thaw];

    /// As policies spell it: `reset_failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::ResetFailed => "reset_failed",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
        }
    }
}

/// Limits of a unit or a control group. What is None stays as it is; `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Above it the kernel takes memory back and slows the processes: `memory.high`, in bytes.
    pub memory_high: Option<u64>,
    /// Above it the kernel kills: `memory.max`, in bytes.
    pub memory_max: Option<u64>,
    /// Share of one processor, in percent, above 100 for more than one: `cpu.max`.
    pub cpu_percent: Option<u64>,
    /// Processes and threads: `pids.max`.
    pub tasks_max: Option<u64>,
    /// Open files of each process, at once through `prlimit`: `RLIMIT_NOFILE`. Units only.
    pub open_files: Option<u64>,
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: u64| ByteCount(bytes).to_string();
        let plain = |number: u64| number.to_string();
        let set: Vec<String> = [
            ("memory_high", self.memory_high.map(|limit| unlimited_or(limit, bytes))),
            ("memory_max", self.memory_max.map(|limit| unlimited_or(limit, bytes))),
            ("cpu_percent", self.cpu_percent.map(|limit| unlimited_or(limit, plain))),
            ("tasks_max", self.tasks_max.map(|limit| unlimited_or(limit, plain))),
            ("open_files", self.open_files.map(|limit| unlimited_or(limit, plain))),
        ]
        .into_iter()
        .filter_map(|(name, limit)| Some(format!("{name} {}", limit?)))
        .collect();
        f.write_str(if set.is_empty() { "no limit" } else { "" })?;
        f.write_str(&set.join(", "))
    }
}

fn unlimited_or(limit: u64, print: impl Fn(u64) -> String) -> String {
    if limit == u64::MAX { "infinity".to_owned() } else { print(limit) }
}
