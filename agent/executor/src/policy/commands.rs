//! `commands` of the policy: programs that may be run, and with which arguments.

use std::path::PathBuf;
use std::time::Duration;

use documents::{Review, Spanned};
use serde::Deserialize;
use telemetry::format_duration;

use super::{MAX_STOP_TIMEOUT, absolute};
use crate::Budget;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The same limit as for a process that is to end.
const MAX_TIMEOUT: Duration = MAX_STOP_TIMEOUT;

/// A command that may be run.
#[derive(Clone, Debug)]
pub struct CommandRule {
    /// The name by which it is asked for.
    pub name: String,
    /// The program's absolute path. Nobody but root and the executor's user may be able to change it or a directory above
    /// it; files that its arguments name are not looked at.
    pub program: PathBuf,
    /// Its arguments. One with `*` or `?` is a place that whoever asks fills with a text that fits.
    pub arguments: Vec<String>,
    /// How long it may take before it is killed.
    pub timeout: Duration,
    /// The user that it runs as, by its name in `/etc/passwd`; the executor's own if none is named.
    pub user: Option<String>,
    /// How often.
    pub at_most: Budget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandEntry {
    pub(super) name: Spanned<String>,
    program: Spanned<String>,
    #[serde(default)]
    arguments: Vec<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    user: Option<Spanned<String>>,
    at_most: Spanned<String>,
}

impl CommandEntry {
    pub(super) fn read(&self, review: &mut Review) -> Option<CommandRule> {
        if self.name.value.is_empty() || self.name.value.contains(char::is_whitespace) {
            review.error(&self.name, "a command needs a name without white space");
        }
        let program = absolute(&self.program, review);
        for argument in self.arguments.iter().filter(|argument| argument.value.contains('\0')) {
            review.error(argument, "an argument cannot hold a NUL");
        }
        let timeout = review.duration_or(self.timeout.as_ref(), DEFAULT_TIMEOUT);
        if let Some(written) = self.timeout.as_ref().filter(|_| timeout > MAX_TIMEOUT) {
            review.error(written, format!("at most {} can be waited", format_duration(MAX_TIMEOUT)));
        }
        let at_most = review.read(&self.at_most, str::parse);
        Some(CommandRule {
            name: self.name.value.clone(),
            program: program?,
            arguments: self.arguments.iter().map(|argument| argument.value.clone()).collect(),
            timeout,
            user: self.user.as_ref().map(|user| user.value.clone()),
            at_most: at_most?,
        })
    }
}
