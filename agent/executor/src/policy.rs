//! What may be done to this host: `policy.yaml`.
//!
//! The policy is the executor's, not the agent's: whoever has taken over the agent can do no more than stands here.
//! What the host cannot live without is refused when the file is read, so the operator learns of it before the night.

mod budgeted;
mod commands;
mod files;
mod flags;
mod journal;
mod kernel;
mod limits;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use documents::{Document, Problem, Review, Spanned, nearest, yaml};
use serde::Deserialize;
use serde::de::IgnoredAny;
use telemetry::format_duration;

pub(crate) use self::budgeted::Budgeted;
use self::commands::CommandEntry;
pub use self::commands::CommandRule;
use self::files::{DirectoryEntry, LinkEntry, TruncatableEntry};
pub use self::files::{DirectoryRule, LinkRule, QuarantineRule, TruncatableRule};
use self::flags::FlagEntry;
pub use self::flags::FlagRule;
use self::journal::JournalEntry;
pub use self::journal::JournalRule;
use self::kernel::{CgroupEntry, SysctlEntry};
pub use self::kernel::{CgroupRule, SysctlRule};
pub use self::limits::{LimitBounds, Range};
use self::units::UnitEntry;
pub use self::units::UnitRule;
use crate::{Budget, ProcessName, Signal, protected};

/// The longest that a process may be given to end by itself: whoever waits for the repair waits for this too.
const MAX_STOP_TIMEOUT: Duration = Duration::from_mins(5);
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A file that is being written, or was cut off, is no policy.
const EMPTY: &str = "it says nothing; a policy that allows nothing is `units: []`";

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
    #[serde(default)]
    truncatable: Vec<TruncatableEntry>,
    #[serde(default)]
    links: Vec<LinkEntry>,
    journal: Option<JournalEntry>,
    #[serde(default)]
    flags: Vec<FlagEntry>,
    #[serde(default)]
    commands: Vec<CommandEntry>,
    #[serde(default)]
    cgroups: Vec<CgroupEntry>,
    #[serde(default)]
    sysctls: Vec<SysctlEntry>,
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
struct SignalEntry {
    command: Option<Spanned<String>>,
    process: Option<Spanned<String>>,
    signals: Vec<Spanned<String>>,
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

/// All that may be done to this host.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The file that says so; named in refusals. Empty if no policy is configured.
    pub file: PathBuf,
    /// Processes that may be restarted.
    pub processes: Vec<ProcessRule>,
    /// Services, and what may be done with them.
    pub units: Vec<UnitRule>,
    /// Signals that may be sent.
    pub signals: Vec<SignalRule>,
    /// Directories that may be cleaned.
    pub directories: Vec<DirectoryRule>,
    /// Files that may be emptied.
    pub truncatable: Vec<TruncatableRule>,
    /// Links that may point to another release.
    pub links: Vec<LinkRule>,
    /// What may be done with the journal.
    pub journal: Option<JournalRule>,
    /// Feature flags that may be set.
    pub flags: Vec<FlagRule>,
    /// Commands that may be run.
    pub commands: Vec<CommandRule>,
    /// Control groups, and what may be done with them.
    pub cgroups: Vec<CgroupRule>,
    /// Parameters of the kernel that may be set.
    pub sysctls: Vec<SysctlRule>,
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
        let keys = yaml::parse::<Option<yaml::Entries<IgnoredAny>>>(document);
        if keys.map_err(|problem| vec![problem])?.is_none_or(|keys| keys.0.is_empty()) {
            return Err(vec![Problem::about(document.path(), EMPTY)]);
        }
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
        once(file.units.iter().map(|entry| &entry.name), "unit", review);
        once(file.truncatable.iter().map(|entry| &entry.path), "file", review);
        once(file.links.iter().map(|entry| &entry.path), "link", review);
        once(file.flags.iter().map(|entry| &entry.name), "flag", review);
        once(file.commands.iter().map(|entry| &entry.name), "command", review);
        once(file.cgroups.iter().map(|entry| &entry.path), "control group", review);
        once(file.sysctls.iter().map(|entry| &entry.name), "parameter", review);
        Self {
            file: review.document().path().to_owned(),
            processes: file.processes.iter().filter_map(|entry| process(entry, review)).collect(),
            units: file.units.iter().filter_map(|entry| entry.read(review)).collect(),
            signals: file.signals.iter().filter_map(|entry| signal(entry, &names, review)).collect(),
            directories: files::directories(&file.directories, review),
            truncatable: file.truncatable.iter().filter_map(|entry| entry.read(review)).collect(),
            links: file.links.iter().filter_map(|entry| entry.read(review)).collect(),
            journal: file.journal.as_ref().and_then(|entry| entry.read(review)),
            flags: file.flags.iter().filter_map(|entry| entry.read(review)).collect(),
            commands: file.commands.iter().filter_map(|entry| entry.read(review)).collect(),
            cgroups: file.cgroups.iter().filter_map(|entry| entry.read(review)).collect(),
            sysctls: file.sysctls.iter().filter_map(|entry| entry.read(review)).collect(),
        }
    }

    /// The service of this name.
    pub fn unit(&self, name: &str) -> Option<&UnitRule> {
        self.units.iter().find(|rule| rule.name.as_str() == name)
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.rule_names().count()
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

/// Two rules for one thing would leave open which of them holds.
fn once<'a>(names: impl Iterator<Item = &'a Spanned<String>>, what: &str, review: &mut Review) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.value.as_str()) {
            review.error(name, format!("{what} `{}` is named twice", name.value));
        }
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
