//! What may be done to this host: `policy.yaml`.
//!
//! The policy is the executor's, not the agent's: whoever has taken over the agent can do no more than stands here.
//! What the host cannot live without is refused when the file is read, so the operator learns of it before the night.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use documents::{Document, Problem, Review, Spanned, nearest, yaml};
use serde::Deserialize;
use telemetry::format_duration;

use crate::{Budget, ByteCount, ProcessName, Signal, UnitName, protected};

/// The longest that a process may be given to end by itself: whoever waits for the repair waits for this too.
const MAX_STOP_TIMEOUT: Duration = Duration::from_mins(5);
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// systemd gives a service 90 s to stop and 90 s to start, unless its unit says otherwise.
const DEFAULT_RESTART_TIMEOUT: Duration = Duration::from_mins(3);
/// The same limit as for a process.
const MAX_RESTART_TIMEOUT: Duration = MAX_STOP_TIMEOUT;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    processes: Vec<ProcessEntry>,
    #[serde(default)]
    units: Vec<UnitEntry>,
    #[serde(default)]
    signals: Vec<SignalEntry>,
    #[serde(default)]
    directories: Vec<DirectoryEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessEntry {
    name: Spanned<String>,
    command: Vec<Spanned<String>>,
    pid_file: Spanned<String>,
    #[serde(default)]
    write_pid_file: bool,
    stop_timeout: Option<Spanned<String>>,
    log_file: Option<Spanned<String>>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    rewrites_title: bool,
    #[serde(default)]
    stop_with_executor: bool,
    at_most: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitEntry {
    name: Spanned<String>,
    restart_timeout: Option<Spanned<String>>,
    at_most: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalEntry {
    command: Option<Spanned<String>>,
    process: Option<Spanned<String>>,
    signals: Vec<Spanned<String>>,
    at_most: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoryEntry {
    path: Spanned<String>,
    at_least_age: Spanned<String>,
    at_most_bytes: Spanned<String>,
    at_most: Spanned<String>,
}

/// A process that may be restarted, and how.
#[derive(Clone, Debug)]
pub struct ProcessRule {
    /// The name by which it is asked for.
    pub name: ProcessName,
    /// The program's absolute path. It must stay in the foreground: one that forks and ends has ended. Nobody but root
    /// and the executor's user may be able to change it or a directory above it; files that its arguments name are not
    /// looked at.
    pub program: PathBuf,
    /// Its arguments, without the program.
    pub arguments: Vec<String>,
    /// The file that holds its process number.
    pub pid_file: PathBuf,
    /// Whether the executor writes that file; otherwise the process does.
    pub write_pid_file: bool,
    /// How long it is given to end by itself before it is killed.
    pub stop_timeout: Duration,
    /// Where its output goes; nowhere if none is named.
    pub log_file: Option<PathBuf>,
    /// All of its environment.
    pub environment: BTreeMap<String, String>,
    /// Whether it changes its own command line, as nginx does; it is then recognised by its executable alone.
    pub rewrites_title: bool,
    /// Whether it ends when the executor that started it does.
    pub stop_with_executor: bool,
    /// How often it may be restarted.
    pub at_most: Budget,
}

/// A service of systemd that may be restarted.
#[derive(Clone, Debug)]
pub struct UnitRule {
    /// Its exact name.
    pub name: UnitName,
    /// How long systemd is given to stop and start it before the outcome is not waited for any longer.
    pub restart_timeout: Duration,
    /// How often.
    pub at_most: Budget,
}

/// Which processes a signal rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Those whose executable or own name is this.
    Command(String),
    /// The one that the policy defines under this name.
    Process(ProcessName),
}

/// Signals that may be sent.
#[derive(Clone, Debug)]
pub struct SignalRule {
    /// To whom.
    pub subject: Subject,
    /// Which.
    pub signals: Vec<Signal>,
    /// How often, all of them together.
    pub at_most: Budget,
}

/// A directory below which old files may be deleted.
#[derive(Clone, Debug)]
pub struct DirectoryRule {
    /// Its absolute path.
    pub path: PathBuf,
    /// Younger files always stay.
    pub at_least_age: Duration,
    /// The most that one action may delete.
    pub at_most_bytes: ByteCount,
    /// How often.
    pub at_most: Budget,
}

/// All that may be done to this host.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The file that says so; named in refusals. Empty if no policy is configured.
    pub file: PathBuf,
    /// Processes that may be restarted.
    pub processes: Vec<ProcessRule>,
    /// Services that may be restarted.
    pub units: Vec<UnitRule>,
    /// Signals that may be sent.
    pub signals: Vec<SignalRule>,
    /// Directories that may be cleaned.
    pub directories: Vec<DirectoryRule>,
}

impl Policy {
    /// Reads the policy.
    ///
    /// # Errors
    ///
    /// Every problem that the file has, or the first structural one.
    pub fn read(document: &Document) -> Result<Self, Vec<Problem>> {
        let file: PolicyFile = yaml::parse(document).map_err(|problem| vec![problem])?;
        let mut review = Review::new(document);
        let policy = Self::review(&file, &mut review);
        if review.has_errors() { Err(review.into_problems()) } else { Ok(policy) }
    }

    fn review(file: &PolicyFile, review: &mut Review) -> Self {
        let names: Vec<&str> = file.processes.iter().map(|entry| entry.name.value.as_str()).collect();
        for (at, entry) in file.processes.iter().enumerate() {
            if names.iter().take(at).any(|earlier| *earlier == entry.name.value) {
                review.error(&entry.name, format!("process `{}` is defined twice", entry.name.value));
            }
        }
        for (at, entry) in file.units.iter().enumerate() {
            if file.units.iter().take(at).any(|earlier| earlier.name.value == entry.name.value) {
                review.error(&entry.name, format!("unit `{}` is named twice", entry.name.value));
            }
        }
        Self {
            file: review.document().path().to_owned(),
            processes: file.processes.iter().filter_map(|entry| process(entry, review)).collect(),
            units: file.units.iter().filter_map(|entry| unit(entry, review)).collect(),
            signals: file.signals.iter().filter_map(|entry| signal(entry, &names, review)).collect(),
            directories: file.directories.iter().filter_map(|entry| directory(entry, review)).collect(),
        }
    }

    /// The service of this name.
    pub fn unit(&self, name: &str) -> Option<&UnitRule> {
        self.units.iter().find(|rule| rule.name.as_str() == name)
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.processes.len() + self.units.len() + self.signals.len() + self.directories.len()
    }

    /// Whether it allows nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The process defined under this name.
    pub fn process(&self, name: &ProcessName) -> Option<&ProcessRule> {
        self.processes.iter().find(|rule| rule.name == *name)
    }
}

fn process(entry: &ProcessEntry, review: &mut Review) -> Option<ProcessRule> {
    if entry.name.value.is_empty() || entry.name.value.contains(char::is_whitespace) {
        review.error(&entry.name, "a process needs a name without white space");
    }
    let program = entry.command.first().and_then(|program| absolute(program, review));
    if entry.command.is_empty() {
        review.error(&entry.name, format!("process `{}` has no command", entry.name.value)).hint =
            Some("write its absolute path and its arguments: [/usr/bin/web, --port, \"80\"]".into());
    }
    if let Some((written, program)) = entry.command.first().zip(program.as_deref()) {
        unprotected(written, program, review);
    }
    for argument in entry.command.iter().filter(|argument| argument.value.contains('\0')) {
        review.error(argument, "an argument cannot hold a NUL");
    }
    let pid_file = absolute(&entry.pid_file, review);
    let log_file = entry.log_file.as_ref().map(|path| absolute(path, review));
    let stop_timeout = review.duration_or(entry.stop_timeout.as_ref(), DEFAULT_STOP_TIMEOUT);
    if let Some(written) = entry.stop_timeout.as_ref().filter(|_| stop_timeout > MAX_STOP_TIMEOUT) {
        review.error(written, format!("at most {} can be waited", format_duration(MAX_STOP_TIMEOUT)));
    }
    let at_most = review.read(&entry.at_most, str::parse);
    Some(ProcessRule {
        name: ProcessName::from(entry.name.value.as_str()),
        program: program?,
        arguments: entry.command.iter().skip(1).map(|argument| argument.value.clone()).collect(),
        pid_file: pid_file?,
        write_pid_file: entry.write_pid_file,
        stop_timeout,
        log_file: log_file.map_or(Some(None), |path| path.map(Some))?,
        environment: entry.environment.clone(),
        rewrites_title: entry.rewrites_title,
        stop_with_executor: entry.stop_with_executor,
        at_most: at_most?,
    })
}

fn unit(entry: &UnitEntry, review: &mut Review) -> Option<UnitRule> {
    let name: Option<UnitName> = review.read(&entry.name, str::parse);
    if let Some(reason) = name.as_ref().and_then(protected::unit) {
        review.error(&entry.name, reason);
    }
    let restart_timeout = review.duration_or(entry.restart_timeout.as_ref(), DEFAULT_RESTART_TIMEOUT);
    if let Some(written) = entry.restart_timeout.as_ref().filter(|_| restart_timeout > MAX_RESTART_TIMEOUT) {
        review.error(written, format!("at most {} can be waited", format_duration(MAX_RESTART_TIMEOUT)));
    }
    let at_most = review.read(&entry.at_most, str::parse);
    Some(UnitRule { name: name?, restart_timeout, at_most: at_most? })
}

fn signal(entry: &SignalEntry, processes: &[&str], review: &mut Review) -> Option<SignalRule> {
    let subject = match (&entry.command, &entry.process) {
        (Some(command), None) => {
            unprotected(command, Path::new(&command.value), review);
            Some(Subject::Command(command.value.clone()))
        }
        (None, Some(process)) => {
            if !processes.contains(&process.value.as_str()) {
                let meant = nearest(&process.value, processes.iter().copied());
                review.error(process, format!("no process `{}` is defined here", process.value)).hint =
                    meant.map(|meant| format!("did you mean `{meant}`?"));
            }
            Some(Subject::Process(ProcessName::from(process.value.as_str())))
        }
        _ => {
            review.error(&entry.at_most, "a signal rule names either a command or a process");
            None
        }
    };
    if entry.signals.is_empty() {
        review.error(&entry.at_most, "a signal rule names at least one signal");
    }
    let signals: Vec<Signal> =
        entry.signals.iter().filter_map(|written| review.read(written, str::parse)).collect();
    let at_most = review.read(&entry.at_most, str::parse);
    Some(SignalRule { subject: subject?, signals, at_most: at_most? })
}

fn directory(entry: &DirectoryEntry, review: &mut Review) -> Option<DirectoryRule> {
    let path = absolute(&entry.path, review);
    if let Some(reason) = path.as_deref().and_then(protected::directory) {
        review.error(&entry.path, reason);
    }
    let at_least_age = review.duration(&entry.at_least_age);
    let at_most_bytes = review.read(&entry.at_most_bytes, str::parse);
    let at_most = review.read(&entry.at_most, str::parse);
    Some(DirectoryRule {
        path: path?,
        at_least_age: at_least_age?,
        at_most_bytes: at_most_bytes?,
        at_most: at_most?,
    })
}

fn absolute(written: &Spanned<String>, review: &mut Review) -> Option<PathBuf> {
    let path = PathBuf::from(&written.value);
    if protected::is_plain_path(&path) {
        return Some(path);
    }
    review.error(
        written,
        format!("{:?} must be an absolute path without `.`, `..` and control characters", written.value),
    );
    None
}

fn unprotected(written: &Spanned<String>, program: &Path, review: &mut Review) {
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if protected::program(name) {
        review.error(written, format!("no policy can allow touching `{name}`: the host needs it"));
    }
}

#[cfg(test)]
mod tests;
