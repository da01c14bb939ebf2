//! Runs a command that the policy defines, to its end or to its deadline.
//!
//! There is no shell: the program is an absolute path that nobody else could have changed, its environment is empty, and
//! an argument is fixed or fits the pattern that stands in its place. It has a process group of its own, of which nothing
//! is left when this returns; what has left the group ends with the executor.

use std::fmt::Write as _;
use std::io::{ErrorKind, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use telemetry::format_duration;

use crate::account::{Account, USERS};
use crate::children::Deadline;
use crate::pattern::matches_where;
use crate::policy::CommandRule;
use crate::process::timespec;
use crate::{ActionError, Outcome, preparation};

/// The longest argument that fills an open place, in bytes.
const MAX_ARGUMENT_BYTES: usize = 256;

/// How much of the end of its output is kept.
const MAX_OUTPUT_BYTES: usize = 4096;

/// How long the kernel may take to end a killed command. One that waits for a dead disk takes for ever.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Whether an argument of the policy leaves its place open: it has `*` or `?` in it.
pub(crate) fn is_open(argument: &str) -> bool {
    argument.contains(['*', '?'])
}

/// All arguments of a rule, with what was asked for in the open places.
///
/// # Errors
///
/// There are more or fewer than open places, or one does not fit its place.
pub(crate) fn arguments(rule: &CommandRule, asked: &[String]) -> Result<Vec<String>, String> {
    let open = rule.arguments.iter().filter(|argument| is_open(argument)).count();
    if open != asked.len() {
        return Err(format!("it leaves {open} arguments open, and was asked for with {}", asked.len()));
    }
    let mut asked = asked.iter();
    let fill = |argument: &String| {
        let Some(given) = is_open(argument).then(|| asked.next()).flatten() else {
            return Ok(argument.clone());
        };
        if fits(argument, given) { Ok(given.clone()) } else { Err(misfit(argument, given)) }
    };
    rule.arguments.iter().map(fill).collect()
}

/// An open place takes no option that its pattern does not begin with, and no path that climbs.
fn fits(pattern: &str, given: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-@:+=,%".contains(c);
    (1..=MAX_ARGUMENT_BYTES).contains(&given.len())
        && (!given.starts_with('-') || pattern.starts_with('-'))
        && !given.split('/').any(|part| part == "..")
        && matches_where(pattern, given, is_plain)
}

fn misfit(pattern: &str, given: &str) -> String {
    let end = given.floor_char_boundary(given.len().min(MAX_ARGUMENT_BYTES));
    let given = given.get(..end).unwrap_or_default();
    format!(
        "argument {given:?} does not fit {pattern:?}, where `*` and `?` stand for letters, digits and ._-@:+=,% and an option \
         is none"
    )
}

/// Runs the program of a rule with these arguments.
///
/// # Errors
///
/// It could not be started, or had to be killed.
pub(crate) fn run(rule: &CommandRule, arguments: &[String]) -> Result<Outcome, ActionError> {
    let not_started = |why: &str| ActionError::refused(format!("command {} is not run: {why}", rule.name));
    preparation::check_program(&rule.program, &not_started)?;
    let account = rule.user.as_deref().map(|user| Account::named(user, Path::new(USERS))).transpose()?;
    let running = || format!("running {} for command {}", rule.program.display(), rule.name);
    let failed = |error: std::io::Error| ActionError::failed(running(), error);
    let (output, child) = spawn(rule, arguments, account).map_err(failed)?;
    let mut run = Run { child, output, end: Vec::new() };
    let ended = run.follow(Deadline::after(rule.timeout)).map_err(failed);
    let status = run.finish().map_err(failed)?;
    let output = run.text();
    if ended? {
        return Ok(Outcome::Ran { status: status.and_then(|status| status.code()), output });
    }
    let mut why = format!("it had not ended after {} and was killed", format_duration(rule.timeout));
    if !output.is_empty() {
        let _ = write!(why, "; it printed: {output}");
    }
    Err(ActionError::failed(running(), why))
}

#[expect(clippy::disallowed_methods, reason = "this is the executor; the policy defines the program")]
fn spawn(
    rule: &CommandRule,
    arguments: &[String],
    account: Option<Account>,
) -> std::io::Result<(PipeReader, Child)> {
    let (reader, writer) = std::io::pipe()?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    let mut command = Command::new(&rule.program);
    command
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    if let Some(account) = account {
        command.uid(account.user).gid(account.group);
    }
    Ok((reader, command.spawn()?))
}

/// A command in hand, and the end of what it has printed.
struct Run {
    child: Child,
    output: PipeReader,
    end: Vec<u8>,
}

impl Run {
    /// Reads what it prints until it ends, and says whether it has.
    fn follow(&mut self, deadline: Deadline) -> std::io::Result<bool> {
        let exit = pidfd_open(self.group(), PidfdFlags::empty())?;
        let mut closed = false;
        loop {
            let left = timespec(deadline.remaining());
            let mut ready = [PollFd::new(&exit, PollFlags::IN), PollFd::new(&self.output, PollFlags::IN)];
            let watched = if closed { ready.get_mut(..1) } else { ready.get_mut(..) };
            match poll(watched.unwrap_or_default(), Some(&left)) {
                Ok(0) => return Ok(false),
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let [exited, _] = ready;
            let has_ended = !exited.revents().is_empty();
            closed |= !closed && self.read()?;
            if has_ended || deadline.remaining().is_zero() {
                return Ok(has_ended);
            }
        }
    }

    /// Reads what is there, at most one buffer, and says whether nothing more will come.
    fn read(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        match self.output.read(&mut buffer) {
            Ok(0) => Ok(true),
            Ok(read) => {
                self.end.extend_from_slice(buffer.get(..read).unwrap_or_default());
                self.end.drain(..self.end.len().saturating_sub(MAX_OUTPUT_BYTES));
                Ok(false)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Kills what is left of its group, and returns how it ended itself; None if not even that ended it.
    ///
    /// Until it is waited for, its number is that of its group and of no other.
    fn finish(&mut self) -> std::io::Result<Option<std::process::ExitStatus>> {
        let _ = kill_process_group(self.group(), Signal::KILL);
        let exit = pidfd_open(self.group(), PidfdFlags::empty())?;
        let limit = timespec(KILL_LIMIT);
        if poll(&mut [PollFd::new(&exit, PollFlags::IN)], Some(&limit)) == Ok(0) {
            return Ok(None);
        }
        // What was printed shortly before the end lies in the pipe, which holds as much as four buffers.
        for _ in 0..4 {
            self.read()?;
        }
        self.child.wait().map(Some)
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.end);
        let from = text.ceil_char_boundary(text.len().saturating_sub(MAX_OUTPUT_BYTES));
        text.get(from..).unwrap_or_default().trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests;
