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
    /// Run the script and perform its actions.
    Auto,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
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
    /// The script began.
    Started {
        /// Its parameters, printed.
        parameters: String,
    },
    /// The script asked for a fact.
    Fact {
        /// The call, as the script wrote it: `process::find("web")`.
        call: String,
        /// The answer, shortened.
        answer: String,
    },
    /// The script asked for a change to the host. Recorded before it is performed.
    ActionIntended {
        /// Number of the action in its run, from 1.
        number: u32,
        /// The action, printed.
        action: String,
    },
    /// The change was performed, failed or was refused.
    ActionDone {
        /// Number of the action in its run, from 1.
        number: u32,
        /// Whether the host changed as asked.
        ok: bool,
        /// What became of it.
        outcome: String,
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
            Self::Escalated => "escalated",
            Self::Interrupted => "interrupted",
        })
    }
}
