//! What the parent and the child of a run say to each other: JSON, a line each way.
//!
//! The child speaks first and waits for an answer to all that it says; so either side always knows whose turn it is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::Ending;

/// The longest line between the two. A script's values are smaller: a string has at most 64 KiB.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;

/// What the child needs to begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The script's text.
    pub(crate) script: String,
    /// Its argument `ctx`.
    pub(crate) context: Value,
    /// The paths of the host functions that exist for it.
    pub(crate) functions: Vec<String>,
    /// Whether it has run before and is only wanted as far as it had come: what `precheck` says now does not end it.
    #[serde(default)]
    pub(crate) catches_up: bool,
}

/// A line of the child.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Confined(Confined),
    Request(Request),
}

/// The first line, to which there is no answer: the process is confined.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confined {
    /// Whether the kernel has landlock.
    pub(super) with_landlock: bool,
}

/// What the child says. It waits for an answer to all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// The script calls a host function: [`Answer::Value`] or [`Answer::Error`].
    Call { function: String, arguments: Vec<Value> },
    /// A step is about to begin: [`Answer::Step`] or, if it must not, [`Answer::Error`].
    /// `keeps` says that it is given nothing to undo it, on purpose.
    StepBegin {
        id: String,
        #[serde(default)]
        keeps: bool,
    },
    /// A step is done, with what it returned. The script goes on when the answer says that this is written down.
    StepEnd { id: String, result: Value },
    /// A step that was begun has failed, and the script goes on or breaks. Any answer will do.
    StepFailed { id: String, error: String },
    /// The script has come to its end: [`Answer::Finish`] or [`Answer::Rollback`].
    Ended(Ending),
    /// The script could not come to its end: [`Answer::Finish`] or [`Answer::Rollback`].
    Broke(String),
    /// A step is about to be undone, or, without one, `rollback(ctx)` to be called. Any answer will do.
    UndoBegin { step: Option<String> },
    /// That is over. Any answer will do.
    UndoEnd { step: Option<String>, ok: bool },
    /// The steps are undone, or could not all be. Sent after [`Answer::Rollback`], and when the script itself calls
    /// `undo()`; then any value lets it go on.
    RolledBack { ok: bool, what: String },
}

/// What the parent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Value(Value),
    Error(String),
    Step(StepState),
    /// Nothing more is wanted: the child ends.
    Finish,
    /// The steps are to be undone, the last first. As the answer to a call or a step it breaks the script off, which
    /// cannot catch it.
    Rollback,
}

/// What is known of a step that is about to begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepState {
    /// It was not begun, or this very run of the script has seen it fail.
    Run,
    /// It was done before the agent was started anew, and returned this.
    Done(Value),
    /// It was begun before the agent was started anew, and it is not known whether it was done.
    Uncertain,
}
