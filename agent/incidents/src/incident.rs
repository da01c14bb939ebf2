//! One incident: a fault of one service, from its first bad sample to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use telemetry::{Labels, RunEvent, RunOutcome, RunStep, Timestamp};

use crate::wording::sentence;

/// The most entries that one timeline keeps. A run has about twenty; what comes later is counted, not kept.
pub const MAX_ENTRIES: usize = 1_000;

/// Who did or saw what an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A rule.
    Alert,
    /// A guard.
    Guard,
    /// Somebody who was asked.
    Person,
    /// What was looked at before anything was done.
    Evidence,
    /// The script of a runbook.
    Script,
    /// The executor: the host was changed, or a change was refused or failed.
    Action,
    /// The check after the repair.
    Verification,
    /// The run as a whole.
    Run,
}

impl Source {
    /// The word in a timeline.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Guard => "guard",
            Self::Person => "person",
            Self::Evidence => "evidence",
            Self::Script => "script",
            Self::Action => "action",
            Self::Verification => "verification",
            Self::Run => "run",
        }
    }
}

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// Who did or saw it.
    pub source: Source,
    /// What happened, as one sentence without a full stop.
    pub text: String,
}

/// A fault from its first bad sample to its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// Sorts by time; safe in a file name.
    pub id: String,
    /// The labels of the alert that opened it.
    pub labels: Labels,
    /// The alert's texts for people.
    pub annotations: BTreeMap<String, String>,
    /// The first bad sample that the rule saw.
    pub started: Timestamp,
    /// When the alert fired.
    pub detected: Option<Timestamp>,
    /// When the first action was asked for.
    pub acted: Option<Timestamp>,
    /// When a verification held.
    pub verified: Option<Timestamp>,
    /// When the alert was resolved.
    pub resolved: Option<Timestamp>,
    /// How the last run ended; a later one that guards refused does not hide it.
    pub outcome: Option<RunOutcome>,
    /// The runbook and the script of the last run, with the script's SHA-256.
    pub repair: Option<Repair>,
    /// Everything that happened, by time.
    pub timeline: Vec<Entry>,
    /// Entries over [`MAX_ENTRIES`] that were left out.
    pub entries_left_out: u64,
    #[serde(skip)]
    runs_under_way: u32,
}

/// What was run against the fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// The runbook's name.
    pub runbook: String,
    /// The script's file name.
    pub script: String,
    /// SHA-256 of what was run, in hexadecimal.
    pub script_sha256: String,
}

impl Incident {
    pub(crate) fn open(id: String, labels: Labels, started: Timestamp) -> Self {
        Self {
            id,
            labels,
            annotations: BTreeMap::new(),
            started,
            detected: None,
            acted: None,
            verified: None,
            resolved: None,
            outcome: None,
            repair: None,
            timeline: Vec::new(),
            entries_left_out: 0,
            runs_under_way: 0,
        }
    }

    /// The name of the alert that opened it.
    pub fn alert_name(&self) -> &str {
        self.labels.get("alertname")
    }

    /// From the first bad sample to the alert.
    pub fn time_to_detect(&self) -> Option<Duration> {
        self.detected.map(|at| at.since(self.started))
    }

    /// From the first bad sample to the verified repair, or to the end of the alert where nothing was verified.
    pub fn time_to_repair(&self) -> Option<Duration> {
        self.verified.or(self.resolved).map(|at| at.since(self.started))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.resolved.is_some() && self.runs_under_way == 0
    }

    pub(crate) fn add(&mut self, at: Timestamp, source: Source, text: String) {
        if self.timeline.len() < MAX_ENTRIES {
            let after = self.timeline.partition_point(|entry| entry.at <= at);
            self.timeline.insert(after, Entry { at, source, text });
        } else {
            self.entries_left_out += 1;
        }
    }

    pub(crate) fn take_step(&mut self, event: &RunEvent) {
        match &event.step {
            RunStep::Matched { runbook, script, script_sha256, .. } => {
                self.runs_under_way += 1;
                self.repair = Some(Repair {
                    runbook: runbook.clone(),
                    script: script.clone(),
                    script_sha256: script_sha256.clone(),
                });
            }
            RunStep::ActionIntended { .. } => self.acted = self.acted.or(Some(event.at)),
            RunStep::Verified { ok: true, .. } => self.verified = Some(event.at),
            RunStep::Finished { outcome, .. } => {
                self.runs_under_way = self.runs_under_way.saturating_sub(1);
                let decided = matches!(self.outcome, Some(RunOutcome::Repaired | RunOutcome::Escalated));
                let ran = !matches!(outcome, RunOutcome::Refused | RunOutcome::Observed);
                if ran || !decided {
                    self.outcome = Some(*outcome);
                }
            }
            _ => {}
        }
        let (source, text) = sentence(&event.step);
        self.add(event.at, source, text);
    }
}
