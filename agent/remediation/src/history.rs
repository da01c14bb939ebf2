//! What the journal tells about earlier runs, as far as the guards need it.
//!
//! Built from run events alone, so a restart sees what was seen before it. Starts are kept by their time and not by their
//! order, so that a clock that jumps cannot hide a start from a budget. It has a form of its own on disk, because a
//! journal that begins anew begins with it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{RunEvent, RunId, RunOutcome, RunStep, Stage, Timestamp};

use crate::runbook::MAX_ATTEMPTS;

mod standing;

pub use standing::{Counts, Standing};
use standing::{Record, Records};

/// Runs that were begun and not closed; more than a few means that closing them could not be written down.
const MAX_OPEN: usize = 1000;

/// Pairs of a runbook and a target whose starts are kept. At the limit the pair that ran longest ago is forgotten: since
/// then as many others have run.
const MAX_PAIRS: usize = 1000;

/// Starts on this host that are kept, whatever they were about; the largest budget of the host.
pub(crate) const MAX_HOST_STARTS: u32 = 1000;

/// Targets of which it is kept who touched them. At the limit the one touched longest ago is forgotten.
const MAX_TARGETS: usize = 1000;

/// How an outcome begins of an action that the policy did not allow, and what stands in one that nobody knows: the words of
/// [`executor::ActionError`].
const REFUSED: &str = "refused: ";
const NOT_KNOWN: &str = "it is not known whether the action was done";

/// Runs that are kept of one target.
const MAX_TOUCHES: usize = 20;

/// A run whose script was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// The run.
    pub(crate) run: RunId,
    /// When its script began.
    pub(crate) started: Timestamp,
    /// When and how it ended, if it has.
    pub(crate) ended: Option<(Timestamp, RunOutcome)>,
    /// Whether what it was about has stayed well since, so that later ones do not hang together with it.
    #[serde(default)]
    pub(crate) settled: bool,
}

/// A row of attempts that has not been ended by wellness, while none of them is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The runbook's name.
    pub(crate) runbook: String,
    /// Its parameters, printed.
    pub(crate) target: String,
    /// The last run of it.
    pub(crate) last: RunId,
}

/// A run without an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenRun {
    /// The runbook's name.
    pub(crate) runbook: String,
    /// Its parameters, printed.
    pub(crate) target: String,
    /// What it may change.
    pub(crate) touches: Vec<String>,
    /// Its stage when it was begun.
    pub(crate) stage: Stage,
    /// SHA-256 of what the runbook said, and of the script.
    pub(crate) texts: [String; 2],
    /// Whether its script was started.
    pub(crate) started: bool,
    /// Actions that were intended and of which no outcome is known.
    pub(crate) uncertain: Vec<String>,
    numbers: Vec<u32>,
    /// Whether it has changed the host, as far as it is known.
    #[serde(default)]
    changed: bool,
}

impl OpenRun {
    /// Whether it changes the host, as far as it has come.
    pub(crate) fn acts(&self) -> bool {
        self.started && acts(self.stage)
    }
}

/// Whether runs at this stage perform what they ask for.
fn acts(stage: Stage) -> bool {
    matches!(stage, Stage::Ask | Stage::Auto)
}

/// A run that has changed a target, or may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Touch {
    /// The runbook's name.
    pub(crate) runbook: String,
    /// When its first action was over.
    pub(crate) at: Timestamp,
}

/// The starts of one runbook on one target, the latest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pair {
    runbook: String,
    target: String,
    attempts: Vec<Attempt>,
}

/// The past, for guards.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct History {
    attempts: Vec<Pair>,
    /// The latest simulated run of each pair, apart from those that acted: it uses nothing of theirs up.
    rehearsals: Vec<Pair>,
    open: BTreeMap<RunId, OpenRun>,
    /// The starts that acted, of all runbooks, the latest first.
    starts: VecDeque<Timestamp>,
    /// What was touched, the latest first.
    touches: BTreeMap<String, Vec<Touch>>,
    /// The targets of runs that ended before it was known what they had done, with the latest of these runs.
    doubts: BTreeMap<String, RunId>,
    records: Records,
}

impl History {
    /// Takes one more event into account.
    pub(crate) fn apply(&mut self, event: &RunEvent) {
        match &event.step {
            RunStep::Matched { .. } => self.matched(event),
            RunStep::Started { .. } => self.started(event),
            RunStep::ActionIntended { number, action, simulated: false } => {
                if let Some(open) = self.open.get_mut(&event.run) {
                    open.numbers.push(*number);
                    open.uncertain.push(action.clone());
                }
            }
            RunStep::ActionDone { .. } => self.acted(event),
            RunStep::Demoted { from, to, reason } => {
                self.records.demote(&event.run, [*from, *to], reason, event.at);
            }
            RunStep::StayedWell { .. } => self.settled(&event.run),
            RunStep::Released { what, .. } => self.released(what),
            RunStep::Finished { outcome, .. } => self.finished(event, *outcome),
            _ => {}
        }
    }

    fn matched(&mut self, event: &RunEvent) {
        let RunStep::Matched { runbook, stage, script_sha256, target, runbook_sha256, touches, .. } =
            &event.step
        else {
            return;
        };
        if self.open.len() >= MAX_OPEN {
            self.open.pop_first();
        }
        let run = OpenRun {
            runbook: runbook.clone(),
            target: target.clone(),
            touches: touches.clone(),
            stage: *stage,
            texts: [runbook_sha256.clone(), script_sha256.clone()],
            started: false,
            uncertain: Vec::new(),
            numbers: Vec::new(),
            changed: false,
        };
        self.open.insert(event.run.clone(), run);
    }

    fn started(&mut self, event: &RunEvent) {
        let Some(open) = self.open.get_mut(&event.run) else { return };
        open.started = true;
        let open = open.clone();
        let (pairs, kept) =
            if open.acts() { (&mut self.attempts, MAX_ATTEMPTS as usize) } else { (&mut self.rehearsals, 1) };
        let attempts = pair(pairs, &open.runbook, &open.target);
        if attempts.iter().any(|attempt| attempt.run == event.run) {
            return; // A run that goes on after a crash.
        }
        let place = attempts.partition_point(|attempt| attempt.started > event.at);
        let attempt = Attempt { run: event.run.clone(), started: event.at, ended: None, settled: false };
        attempts.insert(place, attempt);
        attempts.truncate(kept);
        if open.acts() {
            let place = self.starts.partition_point(|at| *at > event.at);
            self.starts.insert(place, event.at);
            self.starts.truncate(MAX_HOST_STARTS as usize);
        }
    }

    /// An action of a run is over.
    fn acted(&mut self, event: &RunEvent) {
        let RunStep::ActionDone { number, ok, outcome, .. } = &event.step else { return };
        let Some(open) = self.open.get_mut(&event.run) else { return };
        let Some(at) = open.numbers.iter().position(|known| known == number) else { return };
        if !*ok && outcome.contains(NOT_KNOWN) {
            return; // Nobody knows more of it than before.
        }
        open.numbers.remove(at);
        open.uncertain.remove(at);
        if *ok || !outcome.starts_with(REFUSED) {
            self.changed(&event.run, event.at);
        }
    }

    /// A run has changed what it may touch, or may have.
    fn changed(&mut self, run: &RunId, at: Timestamp) {
        let Some(open) = self.open.get_mut(run) else { return };
        if std::mem::replace(&mut open.changed, true) || !open.acts() {
            return;
        }
        let open = open.clone();
        for target in &open.touches {
            self.touched(target, &open.runbook, at);
        }
    }

    fn touched(&mut self, target: &str, runbook: &str, at: Timestamp) {
        if self.touches.len() >= MAX_TARGETS && !self.touches.contains_key(target) {
            let latest = |touches: &Vec<Touch>| touches.first().map(|touch| touch.at);
            let oldest = self.touches.iter().min_by_key(|(_, touches)| latest(touches));
            if let Some(oldest) = oldest.map(|(target, _)| target.clone()) {
                self.touches.remove(&oldest);
            }
        }
        let touches = self.touches.entry(target.to_owned()).or_default();
        let place = touches.partition_point(|touch| touch.at > at);
        touches.insert(place, Touch { runbook: runbook.to_owned(), at });
        touches.truncate(MAX_TOUCHES);
    }

    fn released(&mut self, what: &str) {
        self.touches.retain(|target, _| !overlap(target, what));
        self.doubts.retain(|target, _| !overlap(target, what));
        self.records.reinstate(what);
    }

    /// What a run was about has stayed well since it ended.
    fn settled(&mut self, run: &RunId) {
        let is_it = |pair: &&mut Pair| pair.attempts.iter().any(|attempt| attempt.run == *run);
        let Some(pair) = self.attempts.iter_mut().find(is_it) else { return };
        for attempt in pair.attempts.iter_mut().filter(|attempt| attempt.ended.is_some()) {
            attempt.settled = true;
        }
    }

    fn finished(&mut self, event: &RunEvent, outcome: RunOutcome) {
        let pairs = self.attempts.iter_mut().chain(&mut self.rehearsals);
        let mut attempts = pairs.flat_map(|pair| &mut pair.attempts);
        if let Some(attempt) = attempts.find(|attempt| attempt.run == event.run) {
            attempt.ended = Some((event.at, outcome));
        }
        if self.open.get(&event.run).is_some_and(|open| !open.uncertain.is_empty()) {
            self.changed(&event.run, event.at);
        }
        if let Some(open) = self.open.remove(&event.run) {
            self.doubt(&event.run, &open, outcome);
            let OpenRun { runbook, stage, texts, .. } = open;
            self.records.add(&runbook, Record { run: event.run.clone(), stage, outcome, texts });
        }
    }

    /// What a run leaves in doubt, and what it ends doubts of: a person has seen to those before it began.
    fn doubt(&mut self, run: &RunId, open: &OpenRun, outcome: RunOutcome) {
        if !open.acts() {
            return;
        }
        let certain = open.uncertain.is_empty() || outcome == RunOutcome::Repaired;
        for target in &open.touches {
            if certain {
                self.doubts.remove(target);
            } else if self.doubts.len() < MAX_TARGETS || self.doubts.contains_key(target) {
                self.doubts.insert(target.clone(), run.clone());
            }
        }
    }

    /// A run that ended before it was known what it had done to one of these targets, or above or below it; a person was
    /// called for it.
    pub(crate) fn in_doubt(&self, targets: &[String]) -> Option<&RunId> {
        let meant = |doubted: &&String| targets.iter().any(|target| overlap(doubted, target));
        self.doubts.keys().find(meant).and_then(|target| self.doubts.get(target))
    }

    /// The runs of a runbook on a target that began to act, the latest first. The target is the runbook's parameters,
    /// printed.
    pub(crate) fn attempts(&self, runbook: &str, target: &str) -> impl Iterator<Item = &Attempt> {
        of_pair(&self.attempts, runbook, target)
    }

    /// The rows of attempts that nothing has ended, and of which no run is under way.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        self.attempts.iter().filter_map(|pair| {
            let last = pair.attempts.iter().find(|attempt| !attempt.settled)?;
            let at_rest = pair.attempts.iter().all(|attempt| attempt.ended.is_some());
            let (runbook, target, last) = (pair.runbook.clone(), pair.target.clone(), last.run.clone());
            at_rest.then_some(Row { runbook, target, last })
        })
    }

    /// The latest simulated run of a runbook on a target.
    pub(crate) fn rehearsal(&self, runbook: &str, target: &str) -> Option<&Attempt> {
        of_pair(&self.rehearsals, runbook, target).next()
    }

    /// How many runs have begun to act on this host within a time. A start that seems to lie in the future counts: the
    /// clock has jumped back over it.
    pub(crate) fn starts_within(&self, per: Duration, now: Timestamp) -> usize {
        self.starts.iter().filter(|at| at.plus(per) > now).count()
    }

    /// Who has touched a target, the latest first; each target that is the same or lies above or below it.
    pub(crate) fn touches<'a>(&'a self, target: &'a str) -> impl Iterator<Item = &'a Touch> {
        let same = self.touches.iter().filter(move |(touched, _)| overlap(touched, target));
        same.flat_map(|(_, touches)| touches)
    }

    /// The runs without an end.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&RunId, &OpenRun)> {
        self.open.iter()
    }

    /// The same past, but for this run, if it has no end.
    pub(crate) fn without(&self, run: &RunId) -> Self {
        let mut others = self.clone();
        others.open.remove(run);
        others
    }

    /// Whether the run is still told from others: it is open, or its start still counts.
    pub(crate) fn remembers(&self, run: &RunId) -> bool {
        let mut attempts = self.attempts.iter().chain(&self.rehearsals).flat_map(|pair| &pair.attempts);
        self.open.contains_key(run) || attempts.any(|attempt| attempt.run == *run)
    }
}

/// Where the starts of a runbook on a target are kept.
fn pair<'a>(pairs: &'a mut Vec<Pair>, runbook: &str, target: &str) -> &'a mut Vec<Attempt> {
    let is_it = |pair: &Pair| pair.runbook == runbook && pair.target == target;
    let at = pairs.iter().position(is_it).unwrap_or_else(|| {
        if pairs.len() >= MAX_PAIRS {
            let latest = |pair: &Pair| pair.attempts.first().map(|attempt| attempt.started);
            let oldest = pairs.iter().enumerate().min_by_key(|(_, pair)| latest(pair));
            let oldest = oldest.map_or(0, |(at, _)| at);
            pairs.swap_remove(oldest);
        }
        let (runbook, target) = (runbook.to_owned(), target.to_owned());
        pairs.push(Pair { runbook, target, attempts: Vec::new() });
        pairs.len() - 1
    });
    &mut pairs.get_mut(at).expect("it was found or just pushed").attempts
}

fn of_pair<'a>(
    pairs: &'a [Pair],
    runbook: &str,
    target: &str,
) -> impl Iterator<Item = &'a Attempt> + use<'a> {
    let pair = pairs.iter().find(|pair| pair.runbook == runbook && pair.target == target);
    pair.into_iter().flat_map(|pair| &pair.attempts)
}

/// Whether two targets, printed with their kind, are the same or a path above or below the other.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    match (one.strip_prefix("path "), other.strip_prefix("path ")) {
        (Some(one), Some(other)) => {
            std::path::Path::new(one).starts_with(other) || std::path::Path::new(other).starts_with(one)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
