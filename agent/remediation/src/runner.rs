//! Runs a script in a process that can do nothing by itself.
//!
//! The child has no environment, a limit on its memory, and one socket, over which it asks the agent for facts and
//! actions, one JSON line each way. It dies with its parent, and the parent kills it at the run's deadline: whatever a
//! script does, killing its process is always right. The child confines itself before it reads the script.

mod child;
mod confine;
mod protocol;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use serde::Serialize;
use telemetry::format_duration;

#[cfg(test)]
use child::serve_on;
pub use child::{ServeError, serve};
pub(crate) use protocol::{Answer, Job, Request, StepState};
use protocol::{Confined, Line, MAX_LINE_BYTES};

/// How often a waiting parent looks whether it should stop.
const ATTENTION: Duration = Duration::from_millis(100);

/// How long the child may take to read what it was sent.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// Why a script did not come to an end of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunnerError {
    #[error("the script's process could not be started")]
    Start(#[source] std::io::Error),
    #[error("the script was ended at its timeout of {}", format_duration(*.0))]
    Timeout(Duration),
    #[error("the agent is stopping")]
    Stopping,
    #[error("the script's process ended before the script did: {0}")]
    Died(String),
    #[error("the script's process said something that is no message")]
    Babble,
}

/// Starts the process that a script runs in. The kernel ends that process when the thread that started it ends, so runs
/// belong on a thread that lives as long as they do.
#[derive(Clone, Debug)]
pub struct Sandbox(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Process {
        program: PathBuf,
        arguments: Vec<String>,
    },
    #[cfg(test)]
    Thread,
}

impl Sandbox {
    /// Scripts run in `program`, which must call [`serve`] when it is given these arguments.
    pub fn process(program: PathBuf, arguments: Vec<String>) -> Self {
        Self(Kind::Process { program, arguments })
    }

    /// Scripts run on a thread of this process, with the same protocol and no protection.
    #[cfg(test)]
    pub(crate) fn thread() -> Self {
        Self(Kind::Thread)
    }

    pub(crate) fn start(&self, job: &Job) -> Result<Session, RunnerError> {
        let (ours, theirs) = UnixStream::pair().map_err(RunnerError::Start)?;
        ours.set_read_timeout(Some(ATTENTION)).map_err(RunnerError::Start)?;
        ours.set_write_timeout(Some(WRITE_LIMIT)).map_err(RunnerError::Start)?;
        let child = match &self.0 {
            Kind::Process { program, arguments } => {
                Some(spawn(program, arguments, theirs).map_err(RunnerError::Start)?)
            }
            #[cfg(test)]
            Kind::Thread => {
                std::thread::spawn(move || serve_on(theirs));
                None
            }
        };
        let mut session = Session { stream: ours, pending: Vec::new(), child };
        session.send(job)?;
        Ok(session)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a script runs in a process of its own, which is this very program"
)]
fn spawn(program: &PathBuf, arguments: &[String], socket: UnixStream) -> std::io::Result<Child> {
    let socket = OwnedFd::from(socket);
    Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(socket.try_clone()?)
        .stdout(socket)
        .stderr(Stdio::null())
        .spawn()
}

/// The parent's side of one run of a script. Dropping it ends the child.
#[derive(Debug)]
pub(crate) struct Session {
    stream: UnixStream,
    pending: Vec<u8>,
    child: Option<Child>,
}

impl Session {
    /// Waits for what the script says next, for no longer than `remaining` of silence, while `go_on` has no error.
    pub(crate) fn next(
        &mut self,
        remaining: Duration,
        go_on: &mut dyn FnMut() -> Result<(), RunnerError>,
    ) -> Result<Request, RunnerError> {
        let mut waited = Duration::ZERO;
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|_| RunnerError::Babble)? {
                    Line::Confined(confined) => told_of(&confined),
                    Line::Request(request) => return Ok(request),
                }
                continue;
            }
            // At every turn: a child that says a little all the time must not hide a stop or the deadline.
            go_on()?;
            if self.pending.len() > MAX_LINE_BYTES {
                return Err(RunnerError::Babble);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(self.died()),
                Ok(read) => self.pending.extend(chunk.iter().take(read)),
                Err(error) if is_timeout(&error) => {
                    waited += ATTENTION;
                    if waited >= remaining {
                        return Err(RunnerError::Timeout(remaining));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(self.died()),
            }
        }
    }

    pub(crate) fn answer(&mut self, answer: &Answer) -> Result<(), RunnerError> {
        self.send(answer)
    }

    fn send<T: Serialize>(&mut self, message: &T) -> Result<(), RunnerError> {
        let mut line = serde_json::to_vec(message).map_err(|_| RunnerError::Babble)?;
        line.push(b'\n');
        self.stream.write_all(&line).map_err(|_| self.died())
    }

    /// What became of the child, for the operator.
    fn died(&mut self) -> RunnerError {
        let how = match self.child.as_mut().map(end) {
            Some(Ok(status)) => match status.signal() {
                Some(libc::SIGABRT) => format!(
                    "it was aborted; it may have needed more than its {} MiB of memory",
                    confine::MAX_MEMORY >> 20
                ),
                Some(libc::SIGXCPU) => {
                    format!("it took more than its {}s of processor time", confine::MAX_CPU_SECONDS)
                }
                Some(libc::SIGSYS) => "it asked the kernel for what no script may have".to_owned(),
                Some(signal) => format!("it was ended by signal {signal}"),
                None => status.to_string(),
            },
            _ => "it hung up".to_owned(),
        };
        self.child = None;
        RunnerError::Died(how)
    }
}

/// Gives the child, which has hung up, a moment to end by itself so that its own end is seen; then ends it.
fn end(child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
    let pid = rustix::process::Pid::from_child(child);
    if let Ok(process) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        let ended = rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN);
        let limit = rustix::event::Timespec { tv_sec: WRITE_LIMIT.as_secs() as i64, tv_nsec: 0 };
        let _ = rustix::event::poll(&mut [ended], Some(&limit));
    }
    child.kill()?;
    child.wait()
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let killed = child.kill().and_then(|()| child.wait());
            if let Err(error) = killed {
                tracing::warn!(pid = child.id(), %error, "ending a script's process failed");
            }
        }
    }
}

/// Says once what the kernel lacks.
fn told_of(confined: &Confined) {
    static SAID: Once = Once::new();
    if !confined.with_landlock {
        SAID.call_once(|| {
            tracing::warn!(
                "the kernel has no landlock: scripts are held by the system call filter alone; it is in Linux 5.13 and \
                 later, if `lsm=` on the kernel's command line names it"
            );
        });
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests;
