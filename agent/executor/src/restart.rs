//! Ends a process that the policy defines and starts it again.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::children::{Children, Deadline};
use crate::policy::ProcessRule;
use crate::preparation::Preparation;
use crate::process::Process;
use crate::{ActionError, Outcome, Signal, protected};

/// A process number has at most ten digits; a longer pid file is something else.
const MAX_PID_FILE_BYTES: u64 = 32;

/// How long the kernel may take to end a killed process. One that waits for a dead disk takes for ever.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How long the new process is given to write its number into its pid file.
const PID_FILE_WITHIN: Duration = Duration::from_millis(300);

/// How often the file is looked at meanwhile.
const PID_FILE_EVERY: Duration = Duration::from_millis(10);

/// Restarts the process of a rule.
pub(crate) fn restart(rule: &ProcessRule, children: &mut Children) -> Result<Outcome, ActionError> {
    // Before anything is ended: a program that cannot be started must not cost the one that runs.
    let Preparation { output, pid_file } = Preparation::of(rule)?;
    let running = running(rule, children)?;
    let killed = running.as_ref().map(|process| stop(process, rule)).transpose()?;
    let pid = children.start(rule, output)?;
    let unnamed_by = match pid_file {
        Some(file) => {
            file.put(format!("{pid}\n").as_bytes()).map_err(|error| {
                let path = rule.pid_file.display();
                let doing = format!("writing {path} for process {pid}, which was started");
                ActionError::failed(doing, error)
            })?;
            None
        }
        None => (!names_in_time(rule, children)).then(|| rule.pid_file.clone()),
    };
    Ok(Outcome::Restarted {
        process: rule.name.clone(),
        ended: running.map(|process| process.pid),
        killed: killed.unwrap_or(false),
        pid,
        unnamed_by,
    })
}

/// Whether the pid file names the process that was just started, before it ends and in reasonable time.
fn names_in_time(rule: &ProcessRule, children: &Children) -> bool {
    let Ok(Some(process)) = children.running(&rule.name) else { return false };
    let deadline = Deadline::after(PID_FILE_WITHIN);
    loop {
        if read_pid_file(&rule.pid_file) == Ok(Some(process.pid)) {
            return true;
        }
        let left = deadline.remaining();
        if left.is_zero() || process.ended_within(left.min(PID_FILE_EVERY)) != Ok(false) {
            return false;
        }
    }
}

/// The live process that the rule's pid file names. Without such a file, or if nobody lives under its number, the one that
/// was last started under the rule's name: it may have lost its file, and must not get a twin.
///
/// # Errors
///
/// The number belongs to a process other than the one that the policy defines: the file is stale or wrong.
fn running(rule: &ProcessRule, children: &Children) -> Result<Option<Process>, ActionError> {
    let named = read_pid_file(&rule.pid_file)?.map(Process::open).transpose()?.flatten();
    let Some(process) = named else { return children.running(&rule.name) };
    if let Some(reason) = protected::process(&process) {
        return Err(ActionError::refused(reason));
    }
    if !children.started(&rule.name, process.id()) && !is_defined_by(&process, rule) {
        return Err(ActionError::refused(format!(
            "{} says that {} is process {}, but that is `{}`; remove the file if it is stale",
            rule.pid_file.display(),
            rule.name,
            process.pid,
            process.command_line().join(" "),
        )));
    }
    Ok(Some(process))
}

/// Whether the process runs what the rule defines: the same program with the same arguments.
pub(crate) fn is_defined_by(process: &Process, rule: &ProcessRule) -> bool {
    let Some(executable) = process.executable() else { return false };
    let runs = |program: &Path| {
        executable == *program || program.canonicalize().is_ok_and(|program| executable == program)
    };
    if rule.rewrites_title {
        return runs(&rule.program);
    }
    let line = process.command_line();
    let program = rule.program.to_string_lossy().into_owned();
    let defined: Vec<&String> = std::iter::once(&program).chain(&rule.arguments).collect();
    // A script's command line begins with its interpreter, which is then the executable.
    let interpreter = line.len().checked_sub(defined.len());
    let same = interpreter.is_some_and(|extra| line.iter().skip(extra).eq(defined.iter().copied()));
    same && line.first().is_some_and(|first| runs(Path::new(first)))
}

/// Ends the process and says whether it had to be killed.
fn stop(process: &Process, rule: &ProcessRule) -> Result<bool, ActionError> {
    process.signal(Signal::Term)?;
    // A stopped process sees no signal until it goes on.
    process.signal(Signal::Cont)?;
    if process.ended_within(rule.stop_timeout)? {
        return Ok(false);
    }
    process.signal(Signal::Kill)?;
    if process.ended_within(KILL_LIMIT)? {
        return Ok(true);
    }
    let doing = format!("killing process {} ({})", process.pid, rule.name);
    Err(ActionError::failed(doing, "it is still there; it may wait for a device that does not answer"))
}

fn read_pid_file(path: &Path) -> Result<Option<u32>, ActionError> {
    let reading = || format!("reading {}", path.display());
    let failed = |error: std::io::Error| ActionError::failed(reading(), error);
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(ActionError::failed(reading(), "it is not a regular file"));
    }
    let mut text = String::new();
    file.take(MAX_PID_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    match text.trim().parse() {
        Ok(pid) if pid > 0 => Ok(Some(pid)),
        _ => Err(ActionError::failed(reading(), format!("{:?} is not a process number", text.trim()))),
    }
}
