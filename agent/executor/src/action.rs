//! What can be asked of the host.
//!
//! An action names its target; it never says how. It is what crosses from the agent to the executor, so all of it
//! serializes.

mod bytes;
mod process;
mod selection;
mod signal;
mod units;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use telemetry::OneLine;

pub use self::bytes::ByteCount;
pub use self::process::{ProcessId, ProcessName};
pub use self::selection::Selection;
pub use self::signal::{Signal, UnknownSignal};
pub use self::units::{Limits, UnitVerb};
use crate::UnitName;

/// Names a change that the executor remembers how to take back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeId(pub String);

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OneLine(&self.0).fmt(f)
    }
}

/// Everything that can ever be done to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Ends a process that the policy defines, if it runs, and starts it again. Which program that is, the policy
    /// says.
    RestartProcess {
        /// Its name in the policy.
        process: ProcessName,
    },
    /// Lets systemd do something with a service.
    Unit {
        /// What.
        verb: UnitVerb,
        /// With which one.
        unit: UnitName,
    },
    /// Sets limits of a service that runs: those of its control group until the next boot, those of open files for the
    /// processes that it has.
    LimitUnit {
        /// Which one.
        unit: UnitName,
        /// The limits.
        limits: Limits,
    },
    /// Sends a signal to one process.
    SignalProcess {
        /// Which one.
        process: ProcessId,
        /// What to send.
        signal: Signal,
    },
    /// Removes regular files, the oldest first: into quarantine where the policy says so, else for good.
    RemoveFiles {
        /// Which.
        selection: Selection,
    },
    /// Empties a file that its writer keeps open, but for its end.
    TruncateFile {
        /// The file.
        path: PathBuf,
        /// How much of its end stays.
        keep: ByteCount,
    },
    /// Lets a symbolic link point to another release, in one step.
    SwitchLink {
        /// The link.
        link: PathBuf,
        /// Where it is to point: a directory among the releases that the policy names for the link.
        to: PathBuf,
    },
    /// Lets the journal begin new files.
    RotateJournal,
    /// Deletes archived files of the journal, the oldest first.
    VacuumJournal {
        /// How much of them may stay.
        keep: ByteCount,
    },
    /// Sets limits of a control group.
    LimitCgroup {
        /// Its path below the root of the hierarchy, as in `/system.slice/web.service`.
        cgroup: String,
        /// The limits.
        limits: Limits,
    },
    /// Lets the kernel take memory back from a control group.
    ReclaimCgroup {
        /// Its path below the root of the hierarchy.
        cgroup: String,
        /// How much.
        bytes: ByteCount,
    },
    /// Stops all processes of a control group, or lets them go on.
    FreezeCgroup {
        /// Its path below the root of the hierarchy.
        cgroup: String,
        /// Whether they are to stand still.
        frozen: bool,
    },
    /// Sets a parameter of the kernel.
    SetSysctl {
        /// As in `net.netfilter.nf_conntrack_max`.
        name: String,
        /// The value.
        value: i64,
    },
    /// Chooses the variant of a feature flag, in a file in the format of flagd.
    SetFlag {
        /// The flag.
        flag: String,
        /// The variant that everybody is to get.
        variant: String,
    },
    /// Runs a command that the policy defines.
    RunCommand {
        /// Its name in the policy.
        command: String,
        /// Its arguments, as far as the policy leaves them open.
        arguments: Vec<String>,
    },
    /// Takes a change back that this executor has made.
    Undo {
        /// Which.
        change: ChangeId,
    },
}

/// As the operator reads it in the journal, on one line whatever it names.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestartProcess { process } => write!(f, "restart process {process}"),
            Self::Unit { verb: UnitVerb::ResetFailed, unit } => write!(f, "forget that {unit} failed"),
            Self::Unit { verb, unit } => write!(f, "{} {unit}", verb.as_str()),
            Self::LimitUnit { unit, limits } => write!(f, "limit {unit} to {limits}"),
            Self::SignalProcess { process, signal } => write!(f, "send {signal} to process {process}"),
            Self::RemoveFiles { selection } => write!(f, "remove {selection}"),
            Self::TruncateFile { path, keep } => {
                write!(f, "empty {} but for its last {keep}", OneLine(path.display()))
            }
            Self::SwitchLink { link, to } => {
                write!(f, "let {} point to {}", OneLine(link.display()), OneLine(to.display()))
            }
            Self::RotateJournal => f.write_str("let the journal begin new files"),
            Self::VacuumJournal { keep } => write!(f, "delete archived journal files down to {keep}"),
            Self::LimitCgroup { cgroup, limits } => write!(f, "limit {} to {limits}", OneLine(cgroup)),
            Self::ReclaimCgroup { cgroup, bytes } => {
                write!(f, "take {bytes} of memory back from {}", OneLine(cgroup))
            }
            Self::FreezeCgroup { cgroup, frozen: true } => write!(f, "freeze {}", OneLine(cgroup)),
            Self::FreezeCgroup { cgroup, frozen: false } => write!(f, "thaw {}", OneLine(cgroup)),
            Self::SetSysctl { name, value } => write!(f, "set {} to {value}", OneLine(name)),
            Self::SetFlag { flag, variant } => {
                write!(f, "set flag {} to {}", OneLine(flag), OneLine(variant))
            }
            Self::RunCommand { command, arguments } => {
                write!(f, "run {} {}", OneLine(command), OneLine(arguments.join(" ")))
            }
            Self::Undo { change } => write!(f, "take change {change} back"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_action_reads_as_a_sentence() {
        for (action, expected) in [
            (Action::RestartProcess { process: "web".into() }, "restart process web"),
            (
                Action::Unit { verb: UnitVerb::Restart, unit: "nginx.service".parse().unwrap() },
                "restart nginx.service",
            ),
            (
                Action::SignalProcess {
                    process: ProcessId { pid: 42, start_ticks: 7 },
                    signal: Signal::Kill,
                },
                "send KILL to process 42 (started at tick 7)",
            ),
            (
                Action::RemoveFiles {
                    selection: Selection {
                        under: "/var/spool/web".into(),
                        matching: Some("*.gz".to_owned()),
                        older_than: Duration::from_secs(90),
                        at_most: ByteCount(10 << 20),
                        at_most_files: Some(3),
                        until_used_percent: Some(80),
                    },
                },
                "remove files like *.gz older than 1m30s under /var/spool/web, at most 10 MiB and 3 files, \
                 until 80 % are used",
            ),
            (Action::RestartProcess { process: "web\nWARN".into() }, "restart process web\\nWARN"),
            (
                Action::SwitchLink { link: "/x\n2026-01-01 INFO performed".into(), to: "/y".into() },
                "let /x\\n2026-01-01 INFO performed point to /y",
            ),
            (
                Action::LimitCgroup {
                    cgroup: "/system.slice/web.service".to_owned(),
                    limits: Limits {
                        memory_high: Some(1 << 30),
                        cpu_percent: Some(u64::MAX),
                        ..Limits::default()
                    },
                },
                "limit /system.slice/web.service to memory_high 1 GiB, cpu_percent infinity",
            ),
        ] {
            assert_eq!(action.to_string(), expected);
        }
    }
}
