//! The executor in a process of its own, as the agent sees it.
//!
//! One connection for each action. An error says whether the host is unchanged: up to the moment at which the whole
//! action has been sent it is; after that only an answer tells.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use telemetry::with_causes;

use crate::children::Deadline;
use crate::frame::{self, FrameError};
use crate::outcome::Cause;
use crate::{Action, ActionError, Actuator, Outcome};

/// How long an executor that hung up early may take to have said why.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(100);

/// Asks the executor that listens on a socket.
#[derive(Debug)]
pub struct ExecutorSocket {
    path: PathBuf,
    deadline: Duration,
}

impl ExecutorSocket {
    /// Asks at the socket `path`, and waits for no answer longer than `deadline`, which should exceed the longest
    /// `stop_timeout` and `restart_timeout` of the policy by more than 5 s. Nothing is opened before the first action.
    pub fn at(path: PathBuf, deadline: Duration) -> Self {
        Self { path, deadline }
    }

    fn answer(&self, stream: &UnixStream, until: Deadline) -> Result<Outcome, ActionError> {
        match frame::receive(stream, until) {
            Ok(answer) => answer,
            Err(FrameError::Late) => Err(ActionError::NoAnswer { waited: self.deadline }),
            Err(error) => Err(ActionError::HungUp { cause: Cause(with_causes(&error)) }),
        }
    }

    fn unreachable(&self, error: &std::io::Error) -> ActionError {
        let remedy = match error.kind() {
            ErrorKind::NotFound => {
                "nothing listens there; `systemctl restart hostmend-executor.socket`, or correct `executor:` in hostmend.yaml"
            }
            ErrorKind::ConnectionRefused => {
                "the socket is a dead one; `systemctl restart hostmend-executor.socket`"
            }
            ErrorKind::PermissionDenied => {
                "the agent's user may not write to the socket; compare its owner and mode with SocketUser, SocketGroup \
                 and SocketMode in hostmend-executor.socket"
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                "it takes no connection; see `systemctl status hostmend-executor`"
            }
            _ => "see `systemctl status hostmend-executor.socket hostmend-executor`",
        };
        let cause = Cause(error.to_string());
        ActionError::Unreachable { socket: self.path.clone(), remedy: remedy.to_owned(), cause }
    }
}

impl Actuator for ExecutorSocket {
    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        let until = Deadline::after(self.deadline);
        let stream = open(&self.path, until).map_err(|error| self.unreachable(&error))?;
        match frame::send(&stream, action, until) {
            Ok(()) => self.answer(&stream, until),
            Err(FrameError::TooLong) => Err(ActionError::refused("the action is too long to be asked for")),
            Err(error) => {
                // Whoever is refused as a stranger is told so before all is sent.
                let answer = frame::receive(&stream, Deadline::after(LAST_WORDS_WITHIN));
                answer.unwrap_or_else(|_| Err(self.unreachable(&std::io::Error::other(with_causes(&error)))))
            }
        }
    }
}

/// A connection; a listener whose backlog is full is waited for until the deadline.
fn open(path: &Path, until: Deadline) -> std::io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(until.remaining()))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests;
