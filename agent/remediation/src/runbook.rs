//! Runbooks: which alerts a script answers, on what it may act, how often, and how one knows that it helped.
//!
//! What may be done stands here and in the executor's policy, never in the script: a guard in a script can be forgotten,
//! and what is the script's fault it cannot guard against. What is left out of a runbook is the careful choice.

mod file;
mod params;
mod window;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use documents::{Document, Problem};
use executor::{Budget, UnitName};
use series::LabelMatcher;
use telemetry::{Labels, Stage};

use crate::circumstances::HoldKind;
use crate::grants::Grants;
use crate::history::overlap;
pub(crate) use file::{MAX_TIMEOUT, MAX_VERIFY};
pub use window::Window;
pub(crate) use written::Part;
pub use written::Written;

/// The largest attempts budget: the ledger keeps as many starts of each runbook on each target.
pub(crate) const MAX_ATTEMPTS: u32 = 100;

/// The most runs by which a runbook is judged: some four times as many are kept of it.
pub(crate) const MAX_JUDGED: u32 = 50;

/// A runbook that cannot be wrong in itself; whether its script is sound, [`crate::check_script`] says.
#[derive(Clone, Debug)]
pub struct Runbook {
    /// Its name, unique among all runbooks of its file.
    pub name: String,
    /// All must match for an alert to be answered.
    pub matchers: Vec<LabelMatcher>,
    /// The script's file name in the scripts directory.
    pub script: String,
    /// Handed to the script as `ctx.params`. A text may hold `${labels.NAME}`, see [`Runbook::filled_in`].
    pub params: BTreeMap<String, serde_json::Value>,
    /// What the script may act on.
    pub grants: Grants,
    /// Whose word is believed besides the host's own, as [`telemetry::Origin`] is printed.
    pub trust: BTreeSet<String>,
    /// How much it does by itself.
    pub stage: Stage,
    /// When and how often it may run.
    pub guards: Guards,
    /// How long the script may take, waiting included.
    pub timeout: Duration,
    /// How one knows that it helped; [`crate::load_scripts`] takes it from the script's header where the runbook is silent.
    pub verify: Option<Verify>,
    /// Who is called, and told what, when it did not.
    pub escalate: Escalation,
    /// How long a person has to approve its plan, at stage `ask`.
    pub approve_within: Duration,
    /// How often it must help so that it may go on by itself.
    pub success: Success,
    /// SHA-256 of what it says, in hexadecimal, however that is laid out.
    pub sha256: String,
    /// Why it cannot run with the parameters that the alert's labels have filled in.
    pub unfit: Vec<String>,
    /// Where it stands.
    pub written: Arc<Written>,
}

/// When and how often a runbook may run.
#[derive(Clone, Debug)]
pub struct Guards {
    /// How long after the end of a run the next may begin; doubled by every run in a row after which it did not stay well.
    pub cooldown: Duration,
    /// How many runs may begin in a window, of each target.
    pub attempts: Budget,
    /// The longest that runs in a row can put off the next.
    pub backoff: Duration,
    /// How long it must have been well until earlier attempts no longer count.
    pub stable: Duration,
    /// The only hours in which it runs.
    pub only_within: Option<Window>,
    /// Hours in which it does not run.
    pub not_within: Option<Window>,
    /// A PromQL expression that must have a result.
    pub only_if: Option<String>,
    /// Units that must be well first, because without them a repair cannot help.
    pub depends_on: Vec<UnitName>,
    /// What does not hold it back although a run would cross it.
    pub ignore: BTreeSet<HoldKind>,
    /// The share of time, in percent, from which on a host that waits for a resource is starving.
    pub pressure_full: f64,
    /// Whether it answers an alert that keeps coming and going.
    pub acts_while_flapping: bool,
    /// How many hosts may act at once.
    pub fleet_lock: Option<FleetLockTerms>,
    /// The service level objective whose budget must not be used up.
    pub error_budget: Option<ErrorBudgetTerms>,
}

/// How many hosts of a group may act at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetLockTerms {
    /// The group's name, the same on all of its hosts.
    pub group: String,
    /// How many places there are.
    pub max: u32,
    /// How long a place is kept by a host that is not heard of any more.
    pub ttl: Duration,
}

/// How much of an objective's error budget must be left.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorBudgetTerms {
    /// The objective's name.
    pub objective: String,
    /// The share of its budget, in percent.
    pub at_least: f64,
}

/// The independent proof of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// A PromQL expression that must have a result. It sees only samples taken after the script's end, so one that holds
    /// without any, as `absent(..)` does, proves nothing unless it must settle for longer than samples are apart.
    pub expr: String,
    /// How long it may take until it holds.
    pub within: Duration,
    /// How long it must hold without a break.
    pub settle: Duration,
}

/// What people are told.
#[derive(Clone, Debug, Default)]
pub struct Escalation {
    /// What to tell the person who is called; see [`Runbook::escalation`].
    pub text: Option<String>,
    /// When they are called.
    pub page: Paging,
}

/// When people are told of an alert that a runbook answers by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paging {
    /// When the repair has failed or was refused.
    #[default]
    FixThenPage,
    /// At once.
    Always,
    /// Not by this runbook: the alert alone tells them.
    Never,
}

impl FromStr for Paging {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fix_then_page" => Ok(Self::FixThenPage),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            other => {
                Err(format!("{other:?} is no time to call people; write fix_then_page, always or never"))
            }
        }
    }
}

/// How many of the latest repairs must have held: `70% of 5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Success {
    /// The share, in percent.
    pub at_least: f64,
    /// Of how many.
    pub of: u32,
}

impl Default for Success {
    fn default() -> Self {
        Self { at_least: 70.0, of: 5 }
    }
}

impl Success {
    /// Whether as many failures leave the share in reach. Runs that are still to come are taken to be good ones.
    pub(crate) fn allows(self, failures: usize) -> bool {
        let good = f64::from(self.of) - failures as f64;
        good * 100.0 >= self.at_least * f64::from(self.of)
    }
}

impl FromStr for Success {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (share, of) = text.split_once(" of ")?;
            let success = Self { at_least: file::percent(share).ok()?, of: of.parse().ok()? };
            (1..=MAX_JUDGED).contains(&success.of).then_some(success)
        };
        read().ok_or_else(|| {
            format!("{text:?} is not how many repairs must hold; write it as in `70% of 5`, of at most {MAX_JUDGED}")
        })
    }
}

impl fmt::Display for Success {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}% of {}", self.at_least, self.of)
    }
}

impl Runbook {
    /// Reads a runbook file.
    ///
    /// # Errors
    ///
    /// Every problem that the file has, or the first structural one.
    pub fn read(document: &Document) -> Result<Vec<Self>, Vec<Problem>> {
        file::read(document)
    }

    /// Whether the runbook answers an alert with these labels.
    pub fn answers(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// What a run may change, as its grants say: `unit nginx.service`, `path /var/log`.
    pub fn targets(&self) -> Vec<String> {
        self.grants.touched()
    }

    /// The first target that another runbook may change too.
    pub fn shared_target(&self, other: &Self) -> Option<String> {
        let others = other.targets();
        self.targets().into_iter().find(|target| others.iter().any(|other| overlap(target, other)))
    }
}

#[cfg(test)]
pub(crate) mod tests;
