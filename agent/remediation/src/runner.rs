//! Runs a script in a process that can do nothing by itself.
//!
//! The child has no environment, a limit on its memory, and one socket, over which it asks the agent for facts and
//! actions, one JSON line each way. It dies with its parent, and the parent kills it at the run's deadline: whatever a
//! script does, killing its process is always right. The child limits itself before it reads the script; a system call
//! filter is not applied.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rhai::{Dynamic, Engine, OptimizationLevel, Scope};
use rustix::process::{DumpableBehavior, Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use telemetry::format_duration;

use crate::functions::HostFunction;
use crate::sandbox::{Ask, Ending, interpreter, to_dynamic};

/// All memory that the child may map, its program included.
const MAX_ADDRESS_SPACE: u64 = 256 << 20;
const MAX_OPEN_FILES: u64 = 16;

/// How the kernel is to choose when memory is short: this process long before the agent, which has less than 0 where it is a
/// service. `proc_pid_oom_score_adj(5)`; to raise one's own needs no right.
const OOM_SCORE_ADJ: i32 = 500;
const OOM_SCORE_ADJ_FILE: &str = "/proc/self/oom_score_adj";

/// The longest line between the two. A script's values are smaller: a string has at most 64 KiB.
const MAX_LINE_BYTES: usize = 1 << 20;

/// How often a waiting parent looks whether it should stop.
const ATTENTION: Duration = Duration::from_millis(100);

/// How long the child may take to read what it was sent.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// What the child needs to begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The script's text.
    pub(crate) script: String,
    /// Its argument `ctx`.
    pub(crate) context: Value,
    /// The paths of the host functions that exist for it.
    pub(crate) functions: Vec<String>,
}

/// What the child says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// The script calls a host function and waits.
    Call { function: String, arguments: Vec<Value> },
    /// The script has come to its end.
    Ended(Ending),
    /// The script could not come to its end.
    Broke(String),
}

/// What the parent answers to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Value(Value),
    Error(String),
}

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
                return serde_json::from_slice(&line).map_err(|_| RunnerError::Babble);
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
                Some(6) => format!(
                    "it was aborted; it may have needed more than its {} MiB of memory",
                    MAX_ADDRESS_SPACE >> 20
                ),
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

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// The child could not limit itself or lost its parent.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The kernel refused a limit; no script was read.
    #[error("limiting the script's process")]
    Confine(#[source] std::io::Error),
    /// The parent is gone or sent no job.
    #[error("talking to the agent")]
    Talk(#[source] std::io::Error),
}

/// Runs one script, as the parent on standard input says, in this process, which is limited first and for good.
///
/// # Errors
///
/// The process could not be limited, or standard input is no socket with a job. What is wrong with the script is told
/// to the parent.
pub fn serve() -> Result<(), ServeError> {
    go_first_when_memory_is_short().map_err(ServeError::Confine)?;
    confine().map_err(|error| ServeError::Confine(error.into()))?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(ServeError::Talk)?;
    serve_on(UnixStream::from(socket)).map_err(ServeError::Talk)
}

/// Never lowers what it has, for which it would need a right. Before the process is made undumpable: then the file is root's.
fn go_first_when_memory_is_short() -> std::io::Result<()> {
    let score = std::fs::read_to_string(OOM_SCORE_ADJ_FILE)?;
    if score.trim().parse().is_ok_and(|score: i32| score >= OOM_SCORE_ADJ) {
        return Ok(());
    }
    std::fs::write(OOM_SCORE_ADJ_FILE, OOM_SCORE_ADJ.to_string())
}

fn confine() -> Result<(), rustix::io::Errno> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for (resource, limit) in [
        (Resource::As, MAX_ADDRESS_SPACE),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, MAX_OPEN_FILES),
        (Resource::Nproc, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}

/// The child's side of the socket.
struct Wire {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Wire {
    fn read<T: for<'de> Deserialize<'de>>(&mut self) -> std::io::Result<T> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    fn write<T: Serialize>(&mut self, message: &T) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.writer.write_all(&line)
    }
}

fn serve_on(stream: UnixStream) -> std::io::Result<()> {
    let mut wire = Wire { reader: BufReader::new(stream.try_clone()?), writer: stream };
    let job: Job = wire.read()?;
    let wire = Arc::new(Mutex::new(wire));
    let ended = run(&job, &asking(&wire)).map_or_else(Request::Broke, Request::Ended);
    lock(&wire).write(&ended)
}

fn lock(wire: &Mutex<Wire>) -> std::sync::MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Asks over the wire and waits for the answer.
fn asking(wire: &Arc<Mutex<Wire>>) -> Ask {
    let wire = Arc::clone(wire);
    Arc::new(move |function, arguments| {
        let mut wire = lock(&wire);
        wire.write(&Request::Call { function: function.path(), arguments })
            .and_then(|()| wire.read())
            .map_or_else(
                |_| Err("the agent is gone".to_owned()),
                |answer| match answer {
                    Answer::Value(value) => Ok(value),
                    Answer::Error(error) => Err(error),
                },
            )
    })
}

fn run(job: &Job, ask: &Ask) -> Result<Ending, String> {
    let functions = job.functions.iter().filter_map(|path| HostFunction::at(path));
    let interpreter = interpreter(functions, ask, OptimizationLevel::Simple);
    let script = interpreter.compile(&job.script).map_err(|error| error.to_string())?;
    let context = to_dynamic(&job.context);
    if script.iter_functions().any(|function| function.name == "precheck")
        && let Some(ending) = call(&interpreter, &script, "precheck", &context)?.try_cast::<Ending>()
    {
        return Ok(ending);
    }
    call(&interpreter, &script, "remediate", &context)?
        .try_cast()
        .ok_or_else(|| "remediate(ctx) must return fixed(..), failed(..) or skip(..)".to_owned())
}

fn call(interpreter: &Engine, script: &rhai::AST, name: &str, context: &Dynamic) -> Result<Dynamic, String> {
    interpreter
        .call_fn(&mut Scope::new(), script, name, (context.clone(),))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
