//! The signals that can be sent, which are fewer than there are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
    /// Stand still, until CONT.
    Stop,
    /// A child has ended: look.
    Chld,
}

const SIGNALS: [(&str, Signal, rustix::process::Signal); 11] = [
    ("HUP", Signal::Hup, rustix::process::Signal::HUP),
    ("INT", Signal::Int, rustix::process::Signal::INT),
    ("QUIT", Signal::Quit, rustix::process::Signal::QUIT),
    ("ABRT", Signal::Abrt, rustix::process::Signal::ABORT),
    ("KILL", Signal::Kill, rustix::process::Signal::KILL),
    ("USR1", Signal::Usr1, rustix::process::Signal::USR1),
    ("USR2", Signal::Usr2, rustix::process::Signal::USR2),
    ("TERM", Signal::Term, rustix::process::Signal::TERM),
    ("CONT", Signal::Cont, rustix::process::Signal::CONT),
    ("STOP", Signal::Stop, rustix::process::Signal::STOP),
    ("CHLD", Signal::Chld, rustix::process::Signal::CHILD),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_reads_back_with_and_without_its_prefix() {
        for (name, signal, _) in SIGNALS {
            assert_eq!(name.parse(), Ok(signal));
            assert_eq!(format!("SIG{signal}").parse(), Ok(signal));
        }
        assert!("WINCH".parse::<Signal>().unwrap_err().to_string().contains("known are HUP, INT"));
    }
}
