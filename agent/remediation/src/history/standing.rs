//! How a runbook has done, and whether it still does by itself what its author lets it.
//!
//! A runbook at stage `auto` whose repairs do not hold goes back to `ask`, and stays there until its text or its script's
//! changes, or a person lets it go on. What was done by other texts says nothing of these, and what was skipped, denied
//! or cut off says nothing either way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use telemetry::{RunId, RunOutcome, Stage, Timestamp};

use super::{History, acts};
use crate::runbook::{MAX_JUDGED, Runbook};

/// Runs that are kept of one runbook; those of other texts and stages are among them.
const MAX_RECORDS: usize = 4 * MAX_JUDGED as usize;

/// Runbooks of which runs are kept; more than are configured are some that are not any more. At the limit all of one of
/// them are forgotten, the first by name that has not been demoted.
const MAX_RUNBOOKS: usize = 10_000;

/// How one run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) run: RunId,
    pub(super) stage: Stage,
    pub(super) outcome: RunOutcome,
    pub(super) texts: [String; 2],
}

/// A runbook that does less by itself than it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Demotion {
    from: Stage,
    to: Stage,
    reason: String,
    at: Timestamp,
    texts: [String; 2],
}

/// What is kept of all runbooks, by their names; of each the latest runs last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Records {
    runs: BTreeMap<String, Vec<Record>>,
    demotions: BTreeMap<String, Demotion>,
}

impl Records {
    pub(super) fn add(&mut self, runbook: &str, record: Record) {
        if self.runs.len() >= MAX_RUNBOOKS && !self.runs.contains_key(runbook) {
            let spare = self.runs.keys().find(|name| !self.demotions.contains_key(*name)).cloned();
            if let Some(spare) = spare {
                self.runs.remove(&spare);
            }
        }
        let runs = self.runs.entry(runbook.to_owned()).or_default();
        if runs.len() >= MAX_RECORDS {
            // A refusal or an observation makes room before a run that says how good the runbook is.
            let idle = runs.iter().position(|record| verified(record.outcome).is_none());
            runs.remove(idle.unwrap_or(0));
        }
        runs.push(record);
    }

    /// The runbook of a run that has ended goes back to another stage.
    pub(super) fn demote(&mut self, run: &RunId, [from, to]: [Stage; 2], reason: &str, at: Timestamp) {
        let ended = |(_, records): &(&String, &Vec<Record>)| records.iter().any(|record| record.run == *run);
        let Some((runbook, records)) = self.runs.iter().find(ended) else { return };
        let Some(record) = records.iter().find(|record| record.run == *run) else { return };
        let demotion = Demotion { from, to, reason: reason.to_owned(), at, texts: record.texts.clone() };
        self.demotions.insert(runbook.clone(), demotion);
    }

    /// Forgets what the runbook was demoted for; without that it would be demoted again by its next run.
    pub(super) fn reinstate(&mut self, runbook: &str) {
        if self.demotions.remove(runbook).is_some() {
            self.runs.remove(runbook);
        }
    }
}

/// Whether the runbook has proved itself by a run that ended so; None if that says nothing.
fn verified(outcome: RunOutcome) -> Option<bool> {
    match outcome {
        RunOutcome::Repaired => Some(true),
        RunOutcome::Escalated => Some(false),
        RunOutcome::Skipped
        | RunOutcome::Refused
        | RunOutcome::Observed
        | RunOutcome::Shadowed
        | RunOutcome::Denied
        | RunOutcome::Interrupted => None,
    }
}

/// How runs at one stage ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Repaired, and verified.
    pub repaired: usize,
    /// Nothing was found to be done.
    pub skipped: usize,
    /// Refused by a guard.
    pub refused: usize,
    /// Only observed.
    pub observed: usize,
    /// Simulated.
    pub shadowed: usize,
    /// Denied by a person, or not approved in time.
    pub denied: usize,
    /// Failed, or not verified.
    pub escalated: usize,
    /// Cut off by the agent's end.
    pub interrupted: usize,
}

impl Counts {
    fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Self {
        let mut counts = Self::default();
        for record in records {
            let count = match record.outcome {
                RunOutcome::Repaired => &mut counts.repaired,
                RunOutcome::Skipped => &mut counts.skipped,
                RunOutcome::Refused => &mut counts.refused,
                RunOutcome::Observed => &mut counts.observed,
                RunOutcome::Shadowed => &mut counts.shadowed,
                RunOutcome::Denied => &mut counts.denied,
                RunOutcome::Escalated => &mut counts.escalated,
                RunOutcome::Interrupted => &mut counts.interrupted,
            };
            *count += 1;
        }
        counts
    }
}

/// How a runbook stands, with the text that it and its script have now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// The stage that the runbook says.
    pub configured: Stage,
    /// The stage that counts: the one it says, or the lower one that it went back to.
    pub in_force: Stage,
    /// Why and since when it does less than it says.
    pub demoted: Option<(Timestamp, String)>,
    /// Why it should go back from `auto` to `ask` now; the run that made it so writes that down.
    #[serde(skip)]
    pub falls_short: Option<String>,
    /// How its latest runs ended, by stage.
    pub counts: BTreeMap<&'static str, Counts>,
    /// The share of verified repairs, from 0 to 1, among those of the latest runs that acted and were verified or failed;
    /// None without such a run.
    pub precision: Option<f64>,
    /// How many runs that is the share of.
    pub judged: usize,
}

impl History {
    /// How the runbook stands. `script_sha256` is that of its script.
    pub(crate) fn standing(&self, runbook: &Runbook, script_sha256: &str) -> Standing {
        let texts = [runbook.sha256.as_str(), script_sha256];
        let runs = self.records.runs.get(&runbook.name).into_iter().flatten();
        let runs: Vec<&Record> = runs.filter(|record| record.texts == texts).collect();
        let judged: Vec<bool> = runs
            .iter()
            .rev()
            .filter(|record| acts(record.stage))
            .filter_map(|record| verified(record.outcome))
            .take(runbook.success.of as usize)
            .collect();
        let good = judged.iter().filter(|good| **good).count();
        let demotion = self.records.demotions.get(&runbook.name);
        let demotion = demotion.filter(|demotion| demotion.texts == texts && runbook.stage == demotion.from);
        let by_stage = |stage: Stage| {
            let counts = Counts::of(runs.iter().copied().filter(|record| record.stage == stage));
            (counts != Counts::default()).then_some((name(stage), counts))
        };
        let short = runbook.stage == Stage::Auto
            && demotion.is_none()
            && !runbook.success.allows(judged.len() - good);
        Standing {
            configured: runbook.stage,
            in_force: demotion.map_or(runbook.stage, |demotion| demotion.to),
            demoted: demotion.map(|demotion| (demotion.at, demotion.reason.clone())),
            falls_short: short.then(|| {
                let (bad, judged) = (judged.len() - good, judged.len());
                format!("{bad} of the last {judged} repairs did not hold, and {} must", runbook.success)
            }),
            counts: Stage::ALL.into_iter().filter_map(by_stage).collect(),
            precision: (!judged.is_empty()).then(|| good as f64 / judged.len() as f64),
            judged: judged.len(),
        }
    }
}

const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Observe => "observe",
        Stage::Shadow => "shadow",
        Stage::Ask => "ask",
        Stage::Auto => "auto",
    }
}
