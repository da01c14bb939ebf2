//! What can be asked of the host.
//!
//! An action names its target; it never says how. It is what crosses from the agent to the executor, so all of it
//! serializes.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{OneLine, format_duration};

use crate::UnitName;

/// The name under which the policy defines a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessName(String);

impl ProcessName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ProcessName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OneLine(&self.0).fmt(f)
    }
}

/// One process of this boot. A process number alone is not one: the kernel uses it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process number.
    pub pid: u32,
    /// When it started, in clock ticks after boot: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (started at tick {})", self.pid, self.start_ticks)
    }
}

/// An amount of bytes; prints as `10 MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

/// A text that is not an amount of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an amount of bytes; write it as in 500MiB, 2GiB or 65536")]
pub struct ByteCountError {
    text: String,
}

const BYTE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for ByteCount {
    type Err = ByteCountError;

    fn from_str(text: &str) -> Result<Self, ByteCountError> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = if unit.is_empty() { "B" } else { unit.trim_start() };
        BYTE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, size)| number.parse::<u64>().ok()?.checked_mul(*size))
            .map(Self)
            .ok_or_else(|| ByteCountError { text: text.to_owned() })
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = BYTE_UNITS.into_iter().find(|(_, size)| self.0 >= *size).unwrap_or(("B", 1));
        if self.0.is_multiple_of(size) {
            write!(f, "{} {unit}", self.0 / size)
        } else {
            write!(f, "{:.1} {unit}", self.0 as f64 / size as f64)
        }
    }
}

/// The signals that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// Reload, by custom.
    Hup,
    /// Interrupt.
    Int,
    /// Quit, with a core file.
    Quit,
    /// Abort, with a core file.
    Abrt,
    /// End at once.
    Kill,
    /// Whatever the program says.
    Usr1,
    /// Whatever the program says.
    Usr2,
    /// Please end.
    Term,
    /// Go on.
    Cont,
}

const SIGNALS: [(&str, Signal, rustix::process::Signal); 9] = [
    ("HUP", Signal::Hup, rustix::process::Signal::HUP),
    ("INT", Signal::Int, rustix::process::Signal::INT),
    ("QUIT", Signal::Quit, rustix::process::Signal::QUIT),
    ("ABRT", Signal::Abrt, rustix::process::Signal::ABORT),
    ("KILL", Signal::Kill, rustix::process::Signal::KILL),
    ("USR1", Signal::Usr1, rustix::process::Signal::USR1),
    ("USR2", Signal::Usr2, rustix::process::Signal::USR2),
    ("TERM", Signal::Term, rustix::process::Signal::TERM),
    ("CONT", Signal::Cont, rustix::process::Signal::CONT),
];

impl Signal {
    pub(crate) fn raw(self) -> rustix::process::Signal {
        let row = SIGNALS.into_iter().find(|(_, signal, _)| *signal == self);
        row.expect("every signal has its row").2
    }
}

/// A text that names no signal that can be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a signal that can be sent; known are {}", SIGNALS.map(|(name, ..)| name).join(", "))]
pub struct UnknownSignal {
    text: String,
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Reads `KILL` or `SIGKILL`.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let name = text.strip_prefix("SIG").unwrap_or(text);
        SIGNALS
            .into_iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, signal, _)| signal)
            .ok_or_else(|| UnknownSignal { text: text.to_owned() })
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = SIGNALS.into_iter().find(|(_, signal, _)| signal == self);
        f.write_str(row.map_or("?", |(name, ..)| name))
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
    /// Lets systemd restart a service.
    RestartUnit {
        /// Which one.
        unit: UnitName,
    },
    /// Sends a signal to one process.
    SignalProcess {
        /// Which one.
        process: ProcessId,
        /// What to send.
        signal: Signal,
    },
    /// Deletes regular files below a directory, the oldest first.
    DeleteOldFiles {
        /// The directory; links are not followed, neither to it nor below it.
        under: PathBuf,
        /// Only files last written longer ago than this.
        older_than: Duration,
        /// Never more than this.
        at_most: ByteCount,
    },
}

/// As the operator reads it in the journal, on one line whatever it names.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RestartProcess { process } => write!(f, "restart process {process}"),
            Self::RestartUnit { unit } => write!(f, "restart {unit}"),
            Self::SignalProcess { process, signal } => write!(f, "send {signal} to process {process}"),
            Self::DeleteOldFiles { under, older_than, at_most } => write!(
                f,
                "delete files older than {} under {}, at most {at_most}",
                format_duration(*older_than),
                OneLine(under.display())
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_reads_as_a_sentence() {
        for (action, expected) in [
            (Action::RestartProcess { process: "web".into() }, "restart process web"),
            (Action::RestartUnit { unit: "nginx.service".parse().unwrap() }, "restart nginx.service"),
            (
                Action::SignalProcess {
                    process: ProcessId { pid: 42, start_ticks: 7 },
                    signal: Signal::Kill,
                },
                "send KILL to process 42 (started at tick 7)",
            ),
            (
                Action::DeleteOldFiles {
                    under: "/var/spool/web".into(),
                    older_than: Duration::from_secs(90),
                    at_most: ByteCount(10 << 20),
                },
                "delete files older than 1m30s under /var/spool/web, at most 10 MiB",
            ),
            (Action::RestartProcess { process: "web\nWARN".into() }, "restart process web\\nWARN"),
            (
                Action::DeleteOldFiles {
                    under: "/x\n2026-01-01 INFO performed".into(),
                    older_than: Duration::from_mins(1),
                    at_most: ByteCount(1),
                },
                "delete files older than 1m under /x\\n2026-01-01 INFO performed, at most 1 B",
            ),
        ] {
            assert_eq!(action.to_string(), expected);
        }
    }

    #[test]
    fn every_signal_reads_back_with_and_without_its_prefix() {
        for (name, signal, _) in SIGNALS {
            assert_eq!(name.parse(), Ok(signal));
            assert_eq!(format!("SIG{signal}").parse(), Ok(signal));
        }
        assert!("STOP".parse::<Signal>().unwrap_err().to_string().contains("known are HUP, INT"));
    }

    #[test]
    fn amounts_of_bytes_are_read_and_printed() {
        for (text, bytes, printed) in [
            ("500MiB", 500 << 20, "500 MiB"),
            ("2 GiB", 2 << 30, "2 GiB"),
            ("65536", 65536, "64 KiB"),
            ("1500B", 1500, "1.5 KiB"),
            ("0", 0, "0 B"),
        ] {
            assert_eq!(text.parse(), Ok(ByteCount(bytes)), "{text}");
            assert_eq!(ByteCount(bytes).to_string(), printed);
        }
        for text in ["", "MiB", "5MB", "-1", "1.5GiB", "99999999999GiB"] {
            assert!(text.parse::<ByteCount>().is_err(), "{text}");
        }
    }
}
