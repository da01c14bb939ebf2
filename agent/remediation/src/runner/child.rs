//! The child's side of a run: reads the script, calls it, and undoes what it did if the parent says so.
//!
//! It does not end with the script: the parent looks first whether the repair helped, and the steps that could undo it are
//! known only here.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use rhai::{AST, Dynamic, Engine, EvalAltResult, OptimizationLevel, Scope};
use serde::{Deserialize, Serialize};

use super::confine;
use super::protocol::{Answer, Confined, Job, Request};
use crate::functions::HostFunction;
use crate::sandbox::{Ask, Ending, Host, interpreter, lock, to_dynamic};

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
    // All that needs the kernel comes before the confinement.
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(ServeError::Talk)?;
    let mut wire = Wire::new(UnixStream::from(socket)).map_err(ServeError::Talk)?;
    confine::go_first_when_memory_is_short().map_err(ServeError::Confine)?;
    let with_landlock = confine::confine().map_err(ServeError::Confine)?;
    wire.write(&Confined { with_landlock }).and_then(|()| run_job(wire)).map_err(ServeError::Talk)
}

/// Runs a script on a thread of this process, which nothing confines.
#[cfg(test)]
pub(super) fn serve_on(stream: UnixStream) -> std::io::Result<()> {
    run_job(Wire::new(stream)?)
}

/// The child's side of the socket.
struct Wire {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Wire {
    fn new(stream: UnixStream) -> std::io::Result<Self> {
        Ok(Self { reader: BufReader::new(stream.try_clone()?), writer: stream })
    }

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

    fn ask(&mut self, request: &Request) -> std::io::Result<Answer> {
        self.write(request)?;
        self.read()
    }
}

fn run_job(mut wire: Wire) -> std::io::Result<()> {
    let job: Job = wire.read()?;
    let wire = Arc::new(Mutex::new(wire));
    let host = Host::new(asking(&wire));
    let functions = job.functions.iter().filter_map(|path| HostFunction::at(path));
    let engine = interpreter(functions, &host, OptimizationLevel::Simple);
    let script = match engine.compile(&job.script) {
        Ok(script) => script,
        Err(error) => return lock(&wire).ask(&Request::Broke(error.to_string())).map(drop),
    };
    host.runs(&script);
    let context = to_dynamic(&job.context);
    if defines(&script, "rollback") {
        host.rolls_back_with(context.clone());
    }
    let last = match run(&engine, &script, &context, job.catches_up) {
        Ok(ending) => Request::Ended(ending),
        Err(Stop::Broke(error)) => Request::Broke(error),
        Err(Stop::RollBack) => return roll_back(&engine, &script, &host, &wire),
    };
    // Not in the condition, where the lock would last as long as the block.
    let answer = lock(&wire).ask(&last)?;
    if answer == Answer::Rollback { roll_back(&engine, &script, &host, &wire) } else { Ok(()) }
}

fn roll_back(engine: &Engine, script: &AST, host: &Host, wire: &Mutex<Wire>) -> std::io::Result<()> {
    let undone = host.undo(
        &mut |closure, arguments| closure.call::<Dynamic>(engine, script, arguments).map(drop),
        &mut |context| call(engine, script, "rollback", context).map(drop),
    );
    let rolled_back = Request::RolledBack { ok: undone.is_ok(), what: undone.unwrap_or_else(|error| error) };
    lock(wire).ask(&rolled_back).map(drop)
}

/// Asks over the wire and waits for the answer.
fn asking(wire: &Arc<Mutex<Wire>>) -> Ask {
    let wire = Arc::clone(wire);
    Arc::new(move |request| {
        let answer = lock(&wire).ask(&request);
        answer.unwrap_or_else(|_| Answer::Error("the agent is gone".to_owned()))
    })
}

/// Why a script did not come to its end.
enum Stop {
    Broke(String),
    /// The parent has broken it off.
    RollBack,
}

impl From<Box<EvalAltResult>> for Stop {
    fn from(error: Box<EvalAltResult>) -> Self {
        match error.unwrap_inner() {
            EvalAltResult::ErrorTerminated(..) => Self::RollBack,
            _ => Self::Broke(error.to_string()),
        }
    }
}

fn run(engine: &Engine, script: &AST, context: &Dynamic, catches_up: bool) -> Result<Ending, Stop> {
    if defines(script, "precheck")
        && let Some(ending) = call(engine, script, "precheck", context)?.try_cast::<Ending>()
        && !catches_up
    {
        return Ok(ending);
    }
    call(engine, script, "remediate", context)?
        .try_cast()
        .ok_or_else(|| Stop::Broke("remediate(ctx) must return fixed(..), failed(..) or skip(..)".to_owned()))
}

fn defines(script: &AST, name: &str) -> bool {
    script.iter_functions().any(|function| function.name == name && function.params.len() == 1)
}

fn call(engine: &Engine, script: &AST, name: &str, context: &Dynamic) -> Result<Dynamic, Box<EvalAltResult>> {
    engine.call_fn(&mut Scope::new(), script, name, (context.clone(),))
}
