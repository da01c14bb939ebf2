//! What a run needs from the outside.
//!
//! The daemon supplies the real host, a test a scripted one in virtual time. Nothing in this crate reads the clock,
//! waits or changes the host by any other way.

use std::fmt::Write as _;
use std::time::Duration;

use executor::{Action, ActionError, Outcome, ProcessId};
use serde::Serialize;
use telemetry::{Alert, Labels, RunEvent, Timestamp};

/// Series that are shown of a query's answer.
const SHOWN_SERIES: usize = 3;

/// The outside of a run.
pub trait World {
    /// The time.
    fn now(&self) -> Timestamp;

    /// The value of a PromQL expression now. With `since`, only samples taken after that moment count.
    ///
    /// # Errors
    ///
    /// The text is for the journal: the expression has no meaning, or its data are stale.
    fn query(&self, expr: &str, since: Option<Timestamp>) -> Result<Answer, String>;

    /// Performs an action. The run has checked its grant and written its intention down.
    ///
    /// # Errors
    ///
    /// See [`ActionError`].
    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError>;

    /// The live processes of a name: of their command, or under which the policy defines them.
    ///
    /// # Errors
    ///
    /// The text is for the script and the journal.
    fn find_processes(&self, name: &str) -> Result<Vec<FoundProcess>, String>;

    /// The bytes of disk space that the files below a directory take.
    ///
    /// # Errors
    ///
    /// The text is for the script and the journal.
    fn directory_usage(&self, path: &str) -> Result<u64, String>;

    /// Waits, but not when the agent is stopping: then false, at once. A wait of no length only asks.
    fn wait(&self, duration: Duration) -> bool;

    /// Passes an event on: to the incident, the log, the trace. The journal has it already.
    fn record(&mut self, event: &RunEvent);

    /// Whether an operator has stopped all repairs.
    fn frozen(&self) -> bool;

    /// When the alert was last seen firing; None if it has resolved since.
    fn seen_firing(&self, alert: &Alert) -> Option<Timestamp>;
}

/// The answer to a query: one value for each series; a scalar is one value without labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The values.
    pub values: Vec<(Labels, f64)>,
}

impl Answer {
    /// `no result`, or the first values with their labels.
    pub fn describe(&self) -> String {
        if self.values.is_empty() {
            return "no result".to_owned();
        }
        let mut text = String::new();
        for (at, (labels, value)) in self.values.iter().take(SHOWN_SERIES).enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            let _ = if labels.is_empty() {
                write!(text, "{separator}{value}")
            } else {
                write!(text, "{separator}{labels} {value}")
            };
        }
        if self.values.len() > SHOWN_SERIES {
            let _ = write!(text, " and {} more", self.values.len() - SHOWN_SERIES);
        }
        text
    }
}

/// A process, as a script sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundProcess {
    /// The process number and start time.
    #[serde(flatten)]
    pub id: ProcessId,
    /// The state's letter in `/proc/PID/stat`.
    pub state: char,
    /// What it calls itself.
    pub command: String,
}
