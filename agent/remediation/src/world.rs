//! What a run needs from the outside.
//!
//! The daemon supplies the real host, a test a scripted one in virtual time. Nothing in this crate reads the clock,
//! waits or changes the host by any other way.

use std::fmt::Write as _;
use std::time::Duration;

use executor::{Action, ActionError, Outcome, ProcessId};
use serde::Serialize;
use serde_json::Value;
use telemetry::{Alert, Labels, MatchedLine, RunEvent, RunId, Timestamp};

use crate::circumstances::{Circumstances, Subject};
use crate::fact::{Fact, ProcessFilter};

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

    /// The value that the expression had at a moment that is not long past.
    ///
    /// # Errors
    ///
    /// As [`World::query`], or what was then is not known.
    fn query_at(&self, expr: &str, at: Timestamp) -> Result<Answer, String> {
        Err(format!("what {expr} gave at {at} is not known"))
    }

    /// A fact about the host, as the script sees it.
    ///
    /// # Errors
    ///
    /// The text is for the script and the journal.
    fn fact(&self, fact: &Fact) -> Result<Value, String>;

    /// The live processes of which the filter holds.
    ///
    /// # Errors
    ///
    /// The text is for the script and the journal.
    fn find_processes(&self, filter: &ProcessFilter) -> Result<Vec<FoundProcess>, String>;

    /// Performs an action. The run has checked its grant and written its intention down.
    ///
    /// # Errors
    ///
    /// See [`ActionError`].
    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError>;

    /// Waits, but not when the agent is stopping: then false, at once. A wait of no length only asks.
    fn wait(&self, duration: Duration) -> bool;

    /// Waits until there are new samples, for at most `within`; false, at once, when the agent is stopping.
    fn wait_for_samples(&self, within: Duration) -> bool {
        self.wait(within)
    }

    /// Wants what the expression reads to be looked at now, so that new samples need not wait for their turn.
    fn want_samples(&self, _expr: &str) {}

    /// The last lines in which log rules found what the alert of the run is about, masked, the oldest first.
    fn matched_lines(&self) -> Vec<MatchedLine> {
        Vec::new()
    }

    /// Begins to find a fact out, while the run goes on. What is returned waits for the answer.
    fn fact_later(&self, fact: &Fact) -> LaterFact {
        let answer = self.fact(fact);
        Box::new(move || answer)
    }

    /// The time that events are told with: the time, unless that only seems to pass.
    fn told_at(&self) -> Timestamp {
        self.now()
    }

    /// Passes an event on: to the incident, the log, the trace. The journal has it already.
    fn record(&mut self, event: &RunEvent);

    /// Keeps a text beside the incident and says in which file.
    ///
    /// # Errors
    ///
    /// The text is for the script and the journal.
    fn attach(&mut self, run: &RunId, name: &str, text: &str) -> Result<String, String>;

    /// Tells people that a repair failed, and says whom: the names of who will be told, as the configuration has them.
    fn page(&mut self, page: &Page) -> Vec<String>;

    /// Why all repairs are stopped, if an operator has stopped them.
    fn frozen(&self) -> Option<String>;

    /// When the alert was last seen firing; None if it has resolved since.
    fn seen_firing(&self, alert: &Alert) -> Option<Timestamp>;

    /// All that guards judge by.
    fn circumstances(&self, subject: &Subject<'_>) -> Circumstances;
}

/// Gives the answer that [`World::fact`] gives, once it is there.
pub type LaterFact = Box<dyn FnOnce() -> Result<Value, String>>;

/// What a person is told when a repair failed, or may not be tried any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The run.
    pub run: RunId,
    /// The alert that was not repaired.
    pub alert: Alert,
    /// The runbook that tried.
    pub runbook: String,
    /// What the runbook says to whoever is called, with its parameters filled in.
    pub escalation: String,
    /// What was tried, one action each, with what became of it.
    pub tried: Vec<String>,
    /// Why it did not help.
    pub why: String,
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
    /// The process number of its parent.
    pub ppid: u32,
    /// The service whose control group it is in; empty outside of any.
    pub unit: String,
    /// How long it has run, in seconds.
    pub age_seconds: u64,
    /// Its resident memory.
    pub rss_bytes: u64,
}
