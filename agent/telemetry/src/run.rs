//! What happens in a run of a runbook, step by step.
//!
//! The run journal, the incident's timeline, the trace and the log all read these events, so a step is described
//! once, here.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Identifies a run: unique on this host, sorts by time, safe in a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much a runbook may do by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Judge the guards and record what would have been run; run nothing.
    #[default]
    Observe,
    /// Run the script, and simulate its actions.
    Shadow,
    /// Show the plan to a person and wait until they approve it; run nothing without.
    Ask,
    /// Run the script and perform its actions.
    Auto,
}

impl Stage {
    /// All of them, from the most careful on.
    pub const ALL: [Self; 4] = [Self::Observe, Self::Shadow, Self::Ask, Self::Auto];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Shadow => "shadow",
            Self::Ask => "ask",
            Self::Auto => "auto",
        })
    }
}

/// One thing that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// The run it happened in.
    pub run: RunId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub step: RunStep,
}

/// What can happen in a run, in the order in which a run passes through it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum RunStep {
    /// A firing alert met a runbook.
    Matched {
        /// The alert's labels, printed.
        alert: String,
        /// The runbook's name.
        runbook: String,
        /// Its stage.
        stage: Stage,
        /// The script it would run.
        script: String,
        /// SHA-256 of the script, in hexadecimal.
        script_sha256: String,
        /// What the run is about, as budgets and guards tell targets apart: its parameters, printed.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        target: String,
        /// SHA-256 of what the runbook says, in hexadecimal.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        runbook_sha256: String,
        /// What the run may change, as its grants say: `unit nginx.service`, `path /var/log`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        touches: Vec<String>,
    },
    /// A guard was asked.
    Guard {
        /// The guard's name.
        guard: String,
        /// Whether it let the run pass.
        allowed: bool,
        /// What it judged by, with values.
        reason: String,
    },
    /// The run waits for a person.
    Awaiting {
        /// What it would do, an action each.
        plan: Vec<String>,
        /// When it is given up.
        until: Timestamp,
    },
    /// A person, or the end of the time to decide, has decided.
    Decided {
        /// Whether the run may go on.
        approved: bool,
        /// Who: a user's name and number, or what decided in their stead.
        by: String,
        /// Their words.
        comment: String,
    },
    /// How the host was, before anything was done.
    Evidence {
        /// What it shows: `pressure`, `processes`, ...
        name: String,
        /// The first of it, or why it could not be had.
        text: String,
        /// The file beside the incident that has all of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// The script began.
    Started {
        /// Its parameters, printed.
        parameters: String,
    },
    /// The agent that began the run ended before it did; the next one goes on with it.
    Resumed {
        /// What it knows of it.
        reason: String,
    },
    /// The script asked for a fact.
    Fact {
        /// The call, as the script wrote it: `proc::find("web")`.
        call: String,
        /// The answer, shortened.
        answer: String,
    },
    /// A step of the script began, which a crash does not repeat.
    StepBegun {
        /// Its name in the script.
        id: String,
        /// Whether the script says that what it changes stays, whatever becomes of the run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// A step of the script is done.
    StepDone {
        /// Its name in the script.
        id: String,
        /// What it returned, as JSON.
        result: String,
    },
    /// A step of the script failed. The script may go on without it.
    StepFailed {
        /// Its name in the script.
        id: String,
        /// Why.
        error: String,
    },
    /// The script begins to undo what it did.
    UndoBegun {
        /// In which step; None is all that its own `rollback` sees to.
        id: Option<String>,
    },
    /// The script has undone what it did, or could not.
    UndoEnded {
        /// In which step; None is all that its own `rollback` sees to.
        id: Option<String>,
        /// Whether it is undone as the script wants it.
        ok: bool,
    },
    /// The script asked for a change to the host. Recorded before it is performed.
    ActionIntended {
        /// Number of the action in its run, from 1.
        number: u32,
        /// The action, printed.
        action: String,
        /// Whether it is only simulated.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        simulated: bool,
    },
    /// The change was performed, failed or was refused.
    ActionDone {
        /// Number of the action in its run, from 1.
        number: u32,
        /// Whether the host changed as asked.
        ok: bool,
        /// What became of it.
        outcome: String,
        /// What the script was answered, as JSON; None where nothing was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
        /// How long it took.
        took: Duration,
    },
    /// The script left a note for whoever reads the incident.
    Note {
        /// The note.
        text: String,
    },
    /// The script ended.
    Ended {
        /// Whether the script holds the cause to be repaired.
        ok: bool,
        /// Its own words, or the error that ended it.
        result: String,
    },
    /// The result was checked, independently of the alert.
    Verified {
        /// The PromQL expression that had to hold.
        expression: String,
        /// Whether it held.
        ok: bool,
        /// What it gave.
        observed: String,
    },
    /// What was done was taken back, or that was tried.
    RolledBack {
        /// Whether all of it was.
        ok: bool,
        /// What was taken back, or why not.
        result: String,
    },
    /// People were told.
    Paged {
        /// Who.
        to: Vec<String>,
        /// What.
        text: String,
    },
    /// The runbook does less by itself from now on.
    Demoted {
        /// From which stage.
        from: Stage,
        /// To which.
        to: Stage,
        /// What it was judged by, with values.
        reason: String,
    },
    /// What the run was about has been well since, without a break. Comes after the end of the run, the last of those that
    /// hung together until then.
    StayedWell {
        /// For how long, as far as the agent was looking: as long as the runbook asks for.
        well_for: Duration,
    },
    /// A person lets repairs go on that had held themselves back. It belongs to no run, and has an identifier of its own.
    Released {
        /// The target over which runbooks were in conflict, as in `unit nginx.service`, or the runbook that was demoted.
        what: String,
        /// Who: a user's name and number.
        by: String,
    },
    /// The run is over.
    Finished {
        /// How.
        outcome: RunOutcome,
        /// Why, in one sentence.
        reason: String,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// The cause was repaired and the verification holds.
    Repaired,
    /// The script found nothing to do.
    Skipped,
    /// A guard refused; nothing was run.
    Refused,
    /// The stage is `observe`; nothing was run.
    Observed,
    /// The stage is `shadow`; the script ran, and its actions were simulated.
    Shadowed,
    /// A person denied it, or nobody approved it in time.
    Denied,
    /// The script failed or the verification did not hold. A person is needed.
    Escalated,
    /// The agent was stopped before the run was over.
    Interrupted,
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Repaired => "repaired",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Observed => "observed",
            Self::Shadowed => "shadowed",
            Self::Denied => "denied",
            Self::Escalated => "escalated",
            Self::Interrupted => "interrupted",
        })
    }
}
