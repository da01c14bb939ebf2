//! What the journal tells about earlier runs, as far as the guards need it.
//!
//! Built from run events alone, so a restart sees what was seen before it. Of each runbook the latest starts are kept,
//! by their time and not by their order, so that a clock that jumps cannot hide a start from a budget.

use std::collections::BTreeMap;

use telemetry::{RunEvent, RunId, RunOutcome, RunStep, Timestamp};

use crate::runbook::MAX_ATTEMPTS;

/// Runs that were begun and not closed; more than a few means that closing them could not be written down.
const MAX_OPEN: usize = 1000;

/// A run whose script was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The run.
    pub(crate) run: RunId,
    /// When its script began.
    pub(crate) started: Timestamp,
    /// When and how it ended, if it has.
    pub(crate) ended: Option<(Timestamp, RunOutcome)>,
}

/// A run without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenRun {
    /// The runbook's name.
    pub(crate) runbook: String,
    /// Whether its script was started.
    pub(crate) started: bool,
    /// Actions that were intended and of which no outcome is known.
    pub(crate) uncertain: Vec<String>,
    numbers: Vec<u32>,
}

/// The past, for guards.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    attempts: BTreeMap<String, Vec<Attempt>>,
    open: BTreeMap<RunId, OpenRun>,
}

impl History {
    /// Takes one more event into account.
    pub(crate) fn apply(&mut self, event: &RunEvent) {
        match &event.step {
            RunStep::Matched { runbook, .. } => {
                if self.open.len() >= MAX_OPEN {
                    self.open.pop_first();
                }
                let run = OpenRun {
                    runbook: runbook.clone(),
                    started: false,
                    uncertain: Vec::new(),
                    numbers: Vec::new(),
                };
                self.open.insert(event.run.clone(), run);
            }
            RunStep::Started { .. } => self.started(event),
            RunStep::ActionIntended { number, action } => {
                if let Some(open) = self.open.get_mut(&event.run) {
                    open.numbers.push(*number);
                    open.uncertain.push(action.clone());
                }
            }
            RunStep::ActionDone { number, .. } => {
                if let Some(open) = self.open.get_mut(&event.run)
                    && let Some(at) = open.numbers.iter().position(|known| known == number)
                {
                    open.numbers.remove(at);
                    open.uncertain.remove(at);
                }
            }
            RunStep::Finished { outcome, .. } => {
                self.open.remove(&event.run);
                let mut attempts = self.attempts.values_mut().flatten();
                if let Some(attempt) = attempts.find(|attempt| attempt.run == event.run) {
                    attempt.ended = Some((event.at, *outcome));
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, event: &RunEvent) {
        let Some(open) = self.open.get_mut(&event.run) else { return };
        open.started = true;
        let attempts = self.attempts.entry(open.runbook.clone()).or_default();
        let place = attempts.partition_point(|attempt| attempt.started > event.at);
        attempts.insert(place, Attempt { run: event.run.clone(), started: event.at, ended: None });
        attempts.truncate(MAX_ATTEMPTS as usize);
    }

    /// The runs of a runbook whose script was started, the latest first.
    pub(crate) fn attempts(&self, runbook: &str) -> impl Iterator<Item = &Attempt> {
        self.attempts.get(runbook).into_iter().flatten()
    }

    /// Those of all runbooks, in no order.
    pub(crate) fn all_attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.values().flatten()
    }

    /// The runs without an end.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&RunId, &OpenRun)> {
        self.open.iter()
    }

    /// Whether the run is still told from others: it is open, or its start still counts.
    pub(crate) fn remembers(&self, run: &RunId) -> bool {
        self.open.contains_key(run) || self.all_attempts().any(|attempt| attempt.run == *run)
    }
}
