//! The executor on a thread of the agent, as it runs without systemd.
//!
//! Requests and answers are the types that cross a Unix socket when the executor is a process of its own. One action
//! at a time; whoever asks waits for the answer, but never longer than the deadline.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use documents::{Document, Trust};
use telemetry::{Timestamp, with_causes};

use crate::children::{Deadline, KILLED_WITHIN};
use crate::server::{no_policy, read};
use crate::{Action, ActionError, Executor, Outcome, Policy};

/// Actions waiting while one is performed. One asker waits for its answer, so a second can only follow a deadline
/// that passed; the next then waits at the channel, within its own deadline.
const WAITING_ACTIONS: usize = 1;

/// Carries out actions.
pub trait Actuator: Send {
    /// Performs one action and says what changed.
    ///
    /// # Errors
    ///
    /// See [`ActionError`].
    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError>;

    /// Ends the processes that were started for the asker and whose rule says `stop_with_executor`; those that have not
    /// ended `within` are killed. An executor behind a socket starts none.
    fn stop_started(&mut self, _within: Duration) {}
}

enum Request {
    Perform { action: Action, answer: Sender<Result<Outcome, ActionError>> },
    StopStarted { deadline: Deadline, done: Sender<()> },
}

/// Where the policy of a running [`ExecutorThread`] can be replaced, also while it performs an action.
#[derive(Clone, Debug, Default)]
pub struct PolicyInForce(Arc<Mutex<Option<Policy>>>);

impl PolicyInForce {
    /// The next action is judged by `policy`. What was spent under rules that it has too stays spent.
    pub fn replace(&self, policy: Policy) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(policy);
    }

    fn take(&self) -> Option<Policy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An [`Executor`] on a thread named `executor`. Dropping it ends the thread, after the action in hand, and the
/// processes it started whose rule says so.
#[derive(Debug)]
pub struct ExecutorThread {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    deadline: Duration,
    policy: PolicyInForce,
}

impl ExecutorThread {
    /// Starts the thread. What is spent of the budgets is kept in the file `budgets`, see [`Executor::new`], and counted by
    /// `clock`; no answer is waited for longer than `deadline`, which
    /// should exceed the longest `stop_timeout` of the policy by more than 5 s. With `trust`, the policy's file is read anew
    /// before each action, as far as that trusts it: what was taken out of it is not done any more.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(
        policy: Policy,
        budgets: Option<PathBuf>,
        clock: fn() -> Timestamp,
        deadline: Duration,
        trust: Option<Trust>,
    ) -> std::io::Result<Self> {
        let (requests, incoming) = bounded(WAITING_ACTIONS);
        let next_policy = PolicyInForce::default();
        let next = next_policy.clone();
        let file = PolicyFile { path: policy.file.clone(), trust, text: None };
        let serve = move || serve(Executor::new(policy, budgets), &incoming, (&next, file), clock);
        let thread = std::thread::Builder::new().name("executor".into()).spawn(serve)?;
        Ok(Self { requests: Some(requests), thread: Some(thread), deadline, policy: next_policy })
    }

    /// Where its policy can be replaced.
    pub fn policy(&self) -> PolicyInForce {
        self.policy.clone()
    }
}

impl Actuator for ExecutorThread {
    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        let requests = self.requests.as_ref().ok_or(ActionError::Stopped)?;
        let (answer, answers) = bounded(1);
        let request = Request::Perform { action: action.clone(), answer };
        let waited = self.deadline;
        match requests.send_timeout(request, waited) {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => {
                return Err(ActionError::refused("the executor is still busy with an earlier action"));
            }
            Err(SendTimeoutError::Disconnected(_)) => return Err(ActionError::Stopped),
        }
        match answers.recv_timeout(waited) {
            Ok(outcome) => outcome,
            // Too late, or the thread ended with the action in hand: what it had done by then nobody knows.
            Err(_) => Err(ActionError::NoAnswer { waited }),
        }
    }

    /// Returns when they are gone, and a quarter of a second after `within` at the latest: an action that is still in hand
    /// is not waited for any longer.
    fn stop_started(&mut self, within: Duration) {
        let Some(requests) = &self.requests else { return };
        let deadline = Deadline::after(within);
        let (done, ended) = bounded(1);
        let sent = requests.send_timeout(Request::StopStarted { deadline, done }, within);
        // It answers by hanging up.
        if sent.is_err()
            || ended.recv_timeout(deadline.remaining() + KILLED_WITHIN) == Err(RecvTimeoutError::Timeout)
        {
            tracing::warn!("the executor did not end its children in time");
        }
    }
}

impl Drop for ExecutorThread {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the executor thread panicked");
        }
    }
}

/// The policy's file, as it was last read.
struct PolicyFile {
    path: PathBuf,
    trust: Option<Trust>,
    text: Option<String>,
}

impl PolicyFile {
    /// The policy that stands there now, if that is not known to be in force; or what is wrong with it.
    fn changed(&mut self) -> Result<Option<Policy>, String> {
        let Some(trust) = self.trust.filter(|_| !self.path.as_os_str().is_empty()) else { return Ok(None) };
        let document = Document::open(&self.path, trust).map_err(|error| with_causes(&error))?;
        if self.text.as_deref() == Some(document.text()) {
            return Ok(None);
        }
        let policy = read(&document)?;
        self.text = Some(document.text().to_owned());
        Ok(Some(policy))
    }
}

fn serve(
    mut executor: Executor,
    incoming: &Receiver<Request>,
    (next, mut file): (&PolicyInForce, PolicyFile),
    clock: fn() -> Timestamp,
) {
    for request in incoming {
        if let Some(policy) = next.take() {
            (file.path, file.text) = (policy.file.clone(), None);
            executor.judge_by(policy);
        }
        match request {
            Request::Perform { action, answer } => {
                let read = file.changed().map_err(|problem| no_policy(&problem));
                let outcome = read.and_then(|changed| {
                    if let Some(policy) = changed {
                        executor.judge_by(policy);
                    }
                    executor.perform(&action, clock())
                });
                if let Err(late) = answer.send(outcome) {
                    tracing::warn!(%action, outcome = ?late.0, "an action was done after nobody waited for it");
                }
            }
            Request::StopStarted { deadline, done } => {
                executor.stop_started_until(deadline);
                drop(done);
            }
        }
    }
}

#[cfg(test)]
mod tests;
