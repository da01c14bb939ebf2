//! The executor as a process of its own, behind a Unix socket.
//!
//! One connection, one action, one after the other; others wait in the backlog. Only one user is listened to. The policy is
//! read anew before each action, so that a narrower one holds at once, and a broken one allows nothing. An action for
//! which nobody waits any more is not begun.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use documents::{Document, Trust};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::UCred;
use rustix::net::sockopt::socket_peercred;
use telemetry::{Timestamp, with_causes};

use crate::children::Deadline;
use crate::executor::Asker;
use crate::process::timespec;
use crate::{Action, ActionError, Executor, Outcome, Policy, frame};

/// How long a request may take to arrive. It is sent as one piece, by a process of the same host.
const REQUEST_WITHIN: Duration = Duration::from_secs(2);

/// How long an answer may take to be taken; the kernel takes it for whoever waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// After a failing `accept` the next is tried this much later, so that it costs no CPU.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// How the server goes about it.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The only user that is listened to.
    pub user: u32,
    /// The policy.
    pub policy: PathBuf,
    /// Whose policy is believed.
    pub trust: Trust,
    /// Where is kept what was spent of the budgets; see [`Executor::new`].
    pub budgets: Option<PathBuf>,
    /// After how long without a connection it ends; never if none is given.
    pub idle_exit: Option<Duration>,
    /// The time of day.
    pub clock: fn() -> Timestamp,
}

/// Why a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was asked to.
    Asked,
    /// Nobody came for a while.
    Idle,
}

/// Performs actions for those who connect.
#[derive(Debug)]
pub struct ExecutorServer {
    options: ServerOptions,
    current: Option<Current>,
    strangers: u64,
}

/// What the policy's text last said, and the executor that judges by it.
#[derive(Debug)]
struct Current {
    text: String,
    executor: Executor,
}

impl ExecutorServer {
    /// Reads the policy. One that has problems is logged, and refuses every action until it is mended.
    pub fn new(options: ServerOptions) -> Self {
        let mut server = Self { options, current: None, strangers: 0 };
        if let Err(problem) = server.judge() {
            tracing::error!(problem, "no action is performed before the policy is mended");
        }
        server
    }

    /// Serves until `stop` becomes readable or is hung up, or nobody has come for long. An action in hand is finished
    /// first.
    ///
    /// # Errors
    ///
    /// The socket cannot be waited for.
    pub fn serve(&mut self, listener: &UnixListener, stop: impl AsFd) -> std::io::Result<Stopped> {
        // Whoever connected may be gone before it is accepted.
        listener.set_nonblocking(true)?;
        loop {
            let mut ready =
                [PollFd::new(listener, PollFlags::IN), PollFd::new(&stop, PollFlags::IN | PollFlags::HUP)];
            match poll(&mut ready, self.options.idle_exit.map(timespec).as_ref()) {
                Ok(0) => return Ok(Stopped::Idle),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [_, stopping] = ready;
            if !stopping.revents().is_empty() {
                return Ok(Stopped::Asked);
            }
            match listener.accept() {
                Ok((stream, _)) => self.answer(&stream),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    tracing::error!(%error, "accepting a connection failed");
                    let _ = poll(&mut [PollFd::new(&stop, PollFlags::IN)], Some(&timespec(ACCEPT_AGAIN)));
                }
            }
        }
    }

    fn answer(&mut self, stream: &UnixStream) {
        let answer = match stream.set_nonblocking(false).and_then(|()| Ok(socket_peercred(stream)?)) {
            Ok(peer) if peer.uid.as_raw() == self.options.user => self.listen_to(stream, peer),
            Ok(peer) => Some(Err(self.turn_away(peer))),
            Err(error) => Some(Err(ActionError::failed("asking the kernel who connected", error))),
        };
        let Some(answer) = answer else { return };
        if let Err(error) = frame::send(stream, &answer, Deadline::after(ANSWER_WITHIN)) {
            tracing::warn!(error = with_causes(&error), ?answer, "an answer was not taken");
        }
    }

    /// Nobody else may use the agent's powers.
    fn turn_away(&mut self, peer: UCred) -> ActionError {
        self.strangers += 1;
        let (pid, uid) = (peer.pid.as_raw_nonzero().get(), peer.uid.as_raw());
        tracing::warn!(pid, uid, turned_away = self.strangers, "another user asked for an action");
        ActionError::refused(format!(
            "the executor listens to user {} only, and this is user {uid}; --agent-user names the one",
            self.options.user
        ))
    }

    /// Nothing if nobody waits for the answer.
    fn listen_to(&mut self, stream: &UnixStream, peer: UCred) -> Option<Result<Outcome, ActionError>> {
        let pid = peer.pid.as_raw_nonzero().get();
        let action: Action = match frame::receive(stream, Deadline::after(REQUEST_WITHIN)) {
            Ok(action) => action,
            Err(error) => {
                let why = with_causes(&error);
                tracing::warn!(pid, error = why, "a request could not be read");
                let reason = format!(
                    "the request could not be read: {why}; agent and executor must be of the same version"
                );
                return Some(Err(ActionError::refused(reason)));
            }
        };
        if has_hung_up(stream) {
            tracing::warn!(pid, %action, "not performed: whoever asked for it has gone");
            return None;
        }
        let now = (self.options.clock)();
        let answer = self.judge().map_err(|problem| no_policy(&problem));
        let answer = answer.and_then(|executor| executor.perform_for(Asker::of(peer), &action, now));
        match &answer {
            Ok(outcome) => tracing::info!(pid, %action, %outcome, "performed"),
            Err(error) => tracing::warn!(pid, %action, error = with_causes(error), "not performed"),
        }
        Some(answer)
    }

    /// The executor under the policy as it stands in its file now, or what is wrong with that.
    fn judge(&mut self) -> Result<&mut Executor, String> {
        let document =
            Document::open(&self.options.policy, self.options.trust).map_err(|error| with_causes(&error))?;
        let fresh = self.current.as_ref().is_none_or(|current| current.text != document.text());
        let policy = if fresh { Some(read(&document)?) } else { None };
        if let Some(policy) = &policy {
            tell(policy);
        }
        let text = document.text().to_owned();
        let current = match (self.current.take(), policy) {
            (Some(current), None) => current,
            (Some(Current { mut executor, .. }), Some(policy)) => {
                executor.judge_by(policy);
                Current { text, executor }
            }
            (None, policy) => {
                let executor = Executor::new(policy.unwrap_or_default(), self.options.budgets.clone());
                Current { text, executor: executor.without_starting() }
            }
        };
        Ok(&mut self.current.insert(current).executor)
    }
}

fn tell(policy: &Policy) {
    let file = policy.file.display();
    tracing::info!(policy = %file, entries = policy.len(), "the policy was read");
    if !policy.processes.is_empty() {
        let names: Vec<&str> = policy.processes.iter().map(|rule| rule.name.as_str()).collect();
        tracing::warn!(
            processes = names.join(", "),
            "processes are not started by an executor behind a socket: restarting these is refused; let units run \
             them and name the units under `units` in {file}"
        );
    }
}

pub(crate) fn read(document: &Document) -> Result<Policy, String> {
    Policy::read(document).map_err(|problems| {
        let more = match problems.len() {
            0 | 1 => String::new(),
            all => format!(" (and {} more; `hostmend check {}`)", all - 1, document.path().display()),
        };
        problems.first().map_or_else(String::new, |first| format!("{first}{more}"))
    })
}

pub(crate) fn no_policy(problem: &str) -> ActionError {
    ActionError::refused(format!(
        "the policy has a problem, and allows nothing until it is mended: {problem}"
    ))
}

fn has_hung_up(stream: &UnixStream) -> bool {
    let mut ready = [PollFd::new(stream, PollFlags::RDHUP)];
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    matches!(poll(&mut ready, Some(&Timespec::default())), Ok(1..)) && {
        let [stream] = ready;
        stream.revents().intersects(gone)
    }
}

#[cfg(test)]
mod tests;
