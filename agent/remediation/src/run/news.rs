//! What was said of alerts without running anything, and what people do not want.
//!
//! What has been told is not told again at every evaluation. A denial holds for the alert that was asked about, for a time
//! and for the texts that were shown. Neither outlives the agent.

use std::collections::HashMap;

use telemetry::{Alert, Labels, Stage, Timestamp};

use crate::runbook::Runbook;
use crate::script::Script;

/// Alerts that are remembered, for each purpose. At the limit all are forgotten, and told or asked about once more.
const MAX_ALERTS: usize = 10_000;

type Key = (String, Labels);

/// What was last said about an alert without running anything.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    active_at: Timestamp,
    refused_by: Vec<&'static str>,
}

/// What nobody wants to be done about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// Who denied it, or what did in their stead.
    by: String,
    active_at: Timestamp,
    from: Timestamp,
    until: Timestamp,
    stage: Stage,
    /// SHA-256 of what the runbook said, and of the script.
    texts: [String; 2],
}

impl Denial {
    /// One of now. It holds for as long as a person would have had to decide, or the cooldown if that is longer.
    pub(super) fn new(by: &str, runbook: &Runbook, script: &Script, alert: &Alert, now: Timestamp) -> Self {
        Self {
            by: by.to_owned(),
            active_at: alert.active_at,
            from: now,
            until: now.plus(runbook.guards.cooldown.max(runbook.approve_within)),
            stage: runbook.stage,
            texts: texts(runbook, script),
        }
    }

    fn holds(&self, runbook: &Runbook, script: &Script, alert: &Alert, now: Timestamp) -> bool {
        self.active_at == alert.active_at
            && (self.from..self.until).contains(&now)
            && self.stage == runbook.stage
            && self.texts == texts(runbook, script)
    }

    /// Who does not want it, and until when.
    pub(super) fn describe(&self) -> String {
        format!(
            "{} has denied it; that holds until {}, or until the text or stage of its runbook or script changes",
            self.by, self.until
        )
    }
}

fn texts(runbook: &Runbook, script: &Script) -> [String; 2] {
    [runbook.sha256.clone(), script.sha256().to_owned()]
}

/// What is remembered of alerts.
#[derive(Debug, Default)]
pub(super) struct News {
    told: HashMap<Key, Told>,
    denials: HashMap<Key, Denial>,
}

impl News {
    /// Whether this was not said before: that these guards refuse, or that the runbook only observes. Remembers it.
    pub(super) fn is_new(&mut self, runbook: &Runbook, alert: &Alert, refused_by: Vec<&'static str>) -> bool {
        let told = Told { active_at: alert.active_at, refused_by };
        remember(&mut self.told, key(runbook, alert), told.clone()) != Some(told)
    }

    /// Something is run; what stood in its way is news again.
    pub(super) fn runs(&mut self, runbook: &Runbook, alert: &Alert) {
        self.told.remove(&key(runbook, alert));
    }

    /// Somebody does not want this runbook to answer this alert.
    pub(super) fn deny(&mut self, runbook: &Runbook, alert: &Alert, denial: Denial) {
        remember(&mut self.denials, key(runbook, alert), denial);
    }

    /// The denial that holds the runbook back from this alert, if one does.
    pub(super) fn denial(
        &self,
        runbook: &Runbook,
        script: &Script,
        alert: &Alert,
        now: Timestamp,
    ) -> Option<&Denial> {
        let denial = self.denials.get(&key(runbook, alert));
        denial.filter(|denial| denial.holds(runbook, script, alert, now))
    }
}

fn key(runbook: &Runbook, alert: &Alert) -> Key {
    (runbook.name.clone(), alert.labels.clone())
}

fn remember<T>(known: &mut HashMap<Key, T>, key: Key, value: T) -> Option<T> {
    if known.len() >= MAX_ALERTS && !known.contains_key(&key) {
        known.clear();
    }
    known.insert(key, value)
}
