//! What became of an action.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use telemetry::{OneLine, format_duration};

use crate::{ByteCount, ChangeId, ProcessId, ProcessName, Signal, UnitName, UnitVerb};

/// The longest text of an error: a command line in it can be megabytes, and an answer has to fit into a frame.
const MAX_TEXT_BYTES: usize = 4096;

/// What an action changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A process was started anew.
    Restarted {
        /// Its name in the policy.
        process: ProcessName,
        /// The process that ran before, if one did.
        ended: Option<u32>,
        /// Whether that one had to be killed because it did not end by itself.
        killed: bool,
        /// The process number of the new one.
        pid: u32,
        /// The pid file, if it does not name the new one, so that whoever asks by it finds nothing.
        unnamed_by: Option<PathBuf>,
    },
    /// systemd has done with a unit what it was asked for.
    UnitChanged {
        /// What.
        verb: UnitVerb,
        /// With which one.
        unit: UnitName,
        /// How it was before.
        before: UnitState,
        /// How it is now. A service that only does something once is `inactive` when it has done it.
        after: UnitState,
    },
    /// A signal was sent.
    Signalled {
        /// To which process.
        process: ProcessId,
        /// What it calls itself.
        command: String,
        /// Which signal.
        signal: Signal,
    },
    /// Files were removed.
    Removed {
        /// Whether they wait in quarantine; otherwise they are gone.
        quarantined: bool,
        /// By which they can be had back from there.
        change: Option<ChangeId>,
        /// How many.
        files: u64,
        /// The disk space they took.
        bytes: ByteCount,
        /// Old files that stayed because they would have gone beyond the limit.
        too_large: u64,
        /// Old files that could not be deleted.
        failed: u64,
        /// Why the first of those could not.
        first_failure: Option<String>,
        /// Whether the directory was too large or too deep to be seen whole.
        incomplete: bool,
    },
    /// Something has another value than before: a limit, a link, a parameter of the kernel, a flag.
    Set {
        /// What.
        what: String,
        /// Its value before.
        before: String,
        /// Its value now.
        after: String,
        /// By which it can be taken back; None where nothing has changed.
        change: Option<ChangeId>,
    },
    /// A file was emptied, but for its end.
    Truncated {
        /// The disk space that is free now.
        bytes: ByteCount,
    },
    /// The journal has begun new files.
    JournalRotated,
    /// Archived files of the journal were deleted.
    JournalVacuumed {
        /// How many.
        files: u64,
        /// The disk space they took.
        bytes: ByteCount,
    },
    /// The kernel took memory back.
    Reclaimed {
        /// How much less is used.
        bytes: ByteCount,
    },
    /// A command has ended.
    Ran {
        /// Its exit code; None if a signal ended it.
        status: Option<i32>,
        /// The end of what it printed.
        output: String,
    },
    /// A change was taken back.
    Undone {
        /// What has its old value again.
        what: String,
        /// That value.
        value: String,
    },
}

/// How a unit is, in systemd's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// `active`, `inactive`, `failed`, `activating`, ...
    pub active: String,
    /// The finer word: `running`, `exited`, `dead`, `auto-restart`, ...
    pub sub: String,
    /// The process number of its main process, if it has one.
    pub main_pid: Option<u32>,
}

impl fmt::Display for UnitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", OneLine(&self.active), OneLine(&self.sub))?;
        self.main_pid.map_or(Ok(()), |pid| write!(f, " as process {pid}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restarted { process, ended, killed, pid, unnamed_by } => {
                if let Some(ended) = ended {
                    write!(f, "{} process {ended} and ", if *killed { "killed" } else { "ended" })?;
                }
                write!(f, "started {process} as process {pid}")?;
                if let Some(path) = unnamed_by {
                    let path = OneLine(path.display());
                    write!(
                        f,
                        ", but {path} does not name it: let the program write it, or set write_pid_file: true"
                    )?;
                }
                if ended.is_none() { f.write_str("; none was running") } else { Ok(()) }
            }
            Self::UnitChanged { verb, unit, before, after } => {
                write!(f, "{} {unit}: it was {before} and is {after}", done(*verb))
            }
            Self::Signalled { process, command, signal } => {
                write!(f, "sent {signal} to {}, process {}", OneLine(command), process.pid)
            }
            Self::Removed {
                quarantined,
                change: _,
                files,
                bytes,
                too_large,
                failed,
                first_failure,
                incomplete,
            } => {
                let how = if *quarantined { "put into quarantine" } else { "deleted" };
                write!(f, "{how} {files} files, {bytes}")?;
                if *too_large > 0 {
                    write!(f, "; {too_large} more would have gone beyond the limit")?;
                }
                if let Some(first) = first_failure {
                    write!(f, "; {failed} could not be deleted: {}", OneLine(first))?;
                }
                if *incomplete {
                    f.write_str("; the directory is too large to be seen whole")?;
                }
                Ok(())
            }
            Self::Set { what, before, after, .. } => {
                write!(f, "{} is {}; it was {}", OneLine(what), OneLine(after), OneLine(before))
            }
            Self::Truncated { bytes } => write!(f, "emptied it: {bytes} are free"),
            Self::JournalRotated => f.write_str("the journal has begun new files"),
            Self::JournalVacuumed { files, bytes } => {
                write!(f, "deleted {files} archived files of the journal, {bytes}")
            }
            Self::Reclaimed { bytes } => write!(f, "took {bytes} of memory back"),
            Self::Ran { status: Some(status), output } => {
                write!(f, "it ended with {status}: {}", OneLine(output))
            }
            Self::Ran { status: None, output } => write!(f, "a signal ended it: {}", OneLine(output)),
            Self::Undone { what, value } => write!(f, "{} is {} again", OneLine(what), OneLine(value)),
        }
    }
}

/// What was done, as the word before the unit's name.
const fn done(verb: UnitVerb) -> &'static str {
    match verb {
        UnitVerb::Restart => "restarted",
        UnitVerb::Reload => "reloaded",
        UnitVerb::Start => "started",
        UnitVerb::Stop => "stopped",
        UnitVerb::ResetFailed => "forgot the failure of",
        UnitVerb::Freeze => "froze",
        UnitVerb::Thaw => "thawed",
    }
}

/// Why an action was not performed, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum ActionError {
    /// The policy does not allow it, or nothing may. The host is unchanged.
    #[error("refused: {}", OneLine(reason))]
    Refused {
        /// Why, and which line of the policy would allow it.
        reason: String,
    },
    /// The change is taken back already. The host is unchanged.
    #[error("change {change} was taken back already")]
    TakenBack {
        /// Which.
        change: ChangeId,
    },
    /// The operating system did not do it. What was done before is in the text.
    #[error("{} failed", OneLine(doing))]
    Failed {
        /// What was being done, and to what.
        doing: String,
        /// What the operating system said.
        #[source]
        cause: Cause,
    },
    /// The executor did not answer in time. Whether the host has changed is not known.
    #[error("no answer from the executor within {}; it is not known whether the action was done", format_duration(*waited))]
    NoAnswer {
        /// How long was waited.
        waited: std::time::Duration,
    },
    /// The executor could not be asked. The host is unchanged.
    #[error("the executor cannot be reached at {}: {}", OneLine(socket.display()), OneLine(remedy))]
    Unreachable {
        /// Where it should listen.
        socket: PathBuf,
        /// What would be right.
        remedy: String,
        /// What the operating system said.
        #[source]
        cause: Cause,
    },
    /// The executor was asked, and hung up without an answer. Whether the host has changed is not known.
    #[error(
        "the executor hung up before it answered; it is not known whether the action was done; its log may say"
    )]
    HungUp {
        /// How the connection ended.
        #[source]
        cause: Cause,
    },
    /// The executor has ended. The host is unchanged.
    #[error("the executor has stopped")]
    Stopped,
}

/// The text of an error that crossed a boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
#[error("{}", OneLine(.0))]
pub struct Cause(pub String);

impl ActionError {
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: bounded(reason.into()) }
    }

    pub(crate) fn failed(doing: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::Failed { doing: bounded(doing.into()), cause: Cause(bounded(cause.to_string())) }
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_says_what_changed() {
        let deleted = Outcome::Removed {
            quarantined: false,
            change: None,
            files: 3,
            bytes: ByteCount(12288),
            too_large: 1,
            failed: 2,
            first_failure: Some("a: Operation not permitted".to_owned()),
            incomplete: true,
        };
        assert_eq!(
            deleted.to_string(),
            "deleted 3 files, 12 KiB; 1 more would have gone beyond the limit; \
             2 could not be deleted: a: Operation not permitted; the directory is too large to be seen whole"
        );
        let restarted = |ended, unnamed_by| {
            Outcome::Restarted { process: "web".into(), ended, killed: true, pid: 9, unnamed_by }.to_string()
        };
        assert_eq!(restarted(Some(7), None), "killed process 7 and started web as process 9");
        assert_eq!(
            restarted(None, Some("/run/web.pid".into())),
            "started web as process 9, but /run/web.pid does not name it: let the program write it, or set \
             write_pid_file: true; none was running"
        );
    }

    #[test]
    fn what_others_are_called_makes_no_line_of_its_own() {
        let forged = "web\nINFO performed";
        let outcome = Outcome::Signalled {
            process: ProcessId { pid: 42, start_ticks: 7 },
            command: forged.to_owned(),
            signal: Signal::Kill,
        };
        assert_eq!(outcome.to_string(), "sent KILL to web\\nINFO performed, process 42");
        assert_eq!(ActionError::refused(forged).to_string(), "refused: web\\nINFO performed");
        let failed = ActionError::failed(forged, forged);
        assert_eq!(telemetry::with_causes(&failed), "web\\nINFO performed failed: web\\nINFO performed");
    }
}
