//! Tests of scripts: what the script of a runbook does on a host on paper.
//!
//! A file of cases says how the host is, what actions do to it, and which actions the script must have asked for in the end.
//! The script runs confined, in a process of its own, as it does in the agent; time passes only by waiting. The runbook's
//! guards are left out: they judge whether and when, not what.

mod paper;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use alerting::unit_test::CheckFailure;
use documents::{Document, Problem, Review, Spanned, Trust, yaml};
use promql::script::Difference;
use remediation::{Considered, Guards, Ledger, Remediator, Runbook, Sandbox, Scripts, load_scripts};
use serde::Deserialize;
use serde_json::{Map, Value};
use telemetry::{Alert, AlertState, Labels, RunOutcome, Stage, with_causes};

use super::suite::{Case, FileReport, Options, open};
use crate::cli::SCRIPT_RUNNER;
use paper::{Effect, Paper};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The file of the runbook, from here.
    runbooks: Spanned<String>,
    /// The directory of the scripts, from here. Default: this one.
    scripts: Option<Spanned<String>>,
    cases: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    /// Which runbook of the file. Default: the first.
    runbook: Option<Spanned<String>>,
    /// The alert's labels; its name only where the runbook's matchers do not have it.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// What differs from the runbook's parameters.
    #[serde(default)]
    params: Map<String, Value>,
    /// What the host answers, by the question: `unit::status web.service`.
    #[serde(default)]
    host: BTreeMap<String, Value>,
    #[serde(default)]
    effects: Vec<EffectEntry>,
    /// Whether the runbook's verification holds in the end.
    #[serde(default = "yes")]
    verified: bool,
    outcome: Spanned<String>,
    /// Part of the run's last words.
    #[serde(default)]
    because: Option<Spanned<String>>,
    /// Every action, in order.
    actions: Vec<Spanned<String>>,
    /// What must have been kept beside the incident, among other things.
    #[serde(default)]
    attached: Vec<Spanned<String>>,
}

/// What an action, or time alone, does to the host.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EffectEntry {
    /// The action, as the journal prints it; without it, it happens by itself.
    on: Option<String>,
    /// Only the so-manieth time that it is done.
    nth: Option<usize>,
    /// How long after the action, or after the beginning.
    after: Option<Spanned<String>>,
    /// Answers that are different then; a map only in the entries that are given.
    #[serde(default)]
    set: BTreeMap<String, Value>,
    /// The action fails, with these words.
    fails: Option<String>,
    /// What differs in the outcome.
    outcome: Option<Value>,
}

fn yes() -> bool {
    true
}

/// Whether a file of this name holds cases of a script.
pub(super) fn has_cases(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.ends_with(".cases.yaml") || name.ends_with(".cases.yml")
}

/// Runs the cases of a file.
pub(super) fn run(document: &Document, options: &Options<'_>, report: &mut FileReport) {
    if let Err(problems) = try_run(document, options, report) {
        report.errors.extend(problems);
    }
}

fn try_run(document: &Document, options: &Options<'_>, report: &mut FileReport) -> Result<(), Vec<Problem>> {
    let page: Page = yaml::parse(document).map_err(|problem| vec![problem])?;
    let beside = document.path().parent().unwrap_or(Path::new("")).to_owned();
    let file = beside.join(&page.runbooks.value);
    report.reads.push(file.clone());
    let runbooks = open(&file)
        .map_err(|problem| vec![Problem::at(document, yaml::range(&page.runbooks), problem.message)])?;
    let mut runbooks = Runbook::read(&runbooks)?;
    let scripts = page.scripts.as_ref().map_or(beside.clone(), |scripts| beside.join(&scripts.value));
    let names: BTreeSet<&str> = runbooks.iter().map(|runbook| runbook.script.as_str()).collect();
    report.reads.extend(names.iter().map(|name| scripts.join(name)));
    let (scripts, _) = load_scripts(&mut runbooks, &scripts, Trust::Anyone)?;
    let bench = Bench { document, runbooks, scripts };
    let mut review = Review::new(document);
    let effects: Vec<Vec<Effect>> =
        page.cases.iter().map(|entry| effects(&entry.effects, &mut review)).collect();
    if review.has_errors() {
        return Err(review.into_problems());
    }
    for (entry, effects) in page.cases.iter().zip(effects) {
        if options.chosen(&entry.name.value) {
            let failure = bench.tell(entry, effects).err();
            report.cases.push(Case { test: String::new(), title: entry.name.value.clone(), failure });
        }
    }
    Ok(())
}

fn effects(entries: &[EffectEntry], review: &mut Review) -> Vec<Effect> {
    let effect = |entry: &EffectEntry| Effect {
        on: entry.on.clone(),
        nth: entry.nth,
        after: review.duration_or(entry.after.as_ref(), Duration::ZERO),
        set: entry.set.clone(),
        fails: entry.fails.clone(),
        outcome: entry.outcome.clone(),
    };
    entries.iter().map(effect).collect()
}

/// What all cases of a file have in common.
struct Bench<'a> {
    document: &'a Document,
    runbooks: Vec<Runbook>,
    scripts: Scripts,
}

impl Bench<'_> {
    /// Runs one case.
    fn tell(&self, entry: &Entry, effects: Vec<Effect>) -> Result<(), CheckFailure> {
        let runbook = self.prepared(entry)?;
        let labels = labels(entry, &runbook);
        let failed = |why: String| self.failure(&entry.name, why);
        let state = tempfile::tempdir().map_err(|error| failed(format!("making a directory: {error}")))?;
        let ledger = Ledger::open(state.path()).map_err(|error| failed(with_causes(&error)))?;
        let sandbox = Sandbox::process(PathBuf::from("/proc/self/exe"), vec![SCRIPT_RUNNER.to_owned()]);
        let mut remediator = Remediator::new(vec![runbook], self.scripts.clone(), ledger, sandbox);
        let mut paper = Paper::new(entry.host.clone(), effects, entry.verified);
        let alert = Alert::new(labels.clone(), AlertState::Firing, paper::BEGIN);
        let outcome = match remediator.consider(&mut paper, &alert) {
            Some(Considered::Told(outcome)) => outcome,
            Some(Considered::Begun(run)) => run.perform(&mut paper),
            None => return Err(failed(format!("the runbook does not answer {labels}"))),
        };
        self.judge(entry, outcome, &paper)
    }

    /// The case's runbook, which acts and is held back by nothing.
    fn prepared(&self, entry: &Entry) -> Result<Runbook, CheckFailure> {
        let found = match &entry.runbook {
            None => self.runbooks.first(),
            Some(name) => self.runbooks.iter().find(|runbook| runbook.name == name.value),
        };
        let Some(runbook) = found else {
            let place = entry.runbook.as_ref().unwrap_or(&entry.name);
            return Err(self.failure(place, "there is no such runbook in its file".to_owned()));
        };
        let mut runbook = runbook.clone();
        runbook.stage = Stage::Auto;
        runbook.params.extend(entry.params.clone());
        hold_back_by_nothing(&mut runbook.guards);
        Ok(runbook)
    }

    fn judge(&self, entry: &Entry, outcome: RunOutcome, paper: &Paper) -> Result<(), CheckFailure> {
        let reason = paper.reason();
        if outcome.to_string() != entry.outcome.value {
            let failure = self.failure(&entry.outcome, format!("it ended as {outcome}: {reason}"));
            return Err(explained(failure, paper));
        }
        if let Some(because) = entry.because.as_ref().filter(|because| !reason.contains(&because.value)) {
            return Err(explained(self.failure(because, format!("its last words are {reason:?}")), paper));
        }
        self.same_actions(entry, paper)?;
        match entry.attached.iter().find(|name| !paper.attached().contains(&name.value)) {
            Some(name) => Err(explained(self.failure(name, "this was not kept".to_owned()), paper)),
            None => Ok(()),
        }
    }

    fn same_actions(&self, entry: &Entry, paper: &Paper) -> Result<(), CheckFailure> {
        let (expected, done) = (&entry.actions, paper.actions());
        let same = expected.iter().zip(done).take_while(|(expected, done)| expected.value == **done).count();
        if same == expected.len() && same == done.len() {
            return Ok(());
        }
        let (message, place) = match expected.get(same) {
            Some(action) => ("this was not what it did next", action),
            None => ("it did more than this case says", &entry.name),
        };
        let missing = expected.iter().skip(same).map(|action| Difference::Missing(action.value.clone()));
        let unexpected = done.iter().skip(same).map(|action| Difference::Unexpected(action.clone()));
        let failure = self.failure(place, message.to_owned());
        let differences = missing.chain(unexpected).collect();
        Err(explained(CheckFailure { differences, ..failure }, paper))
    }

    fn failure(&self, place: &Spanned<String>, message: String) -> CheckFailure {
        let problem = Problem::at(self.document, yaml::range(place), message);
        CheckFailure { problem, differences: Vec::new(), follows: false }
    }
}

/// With what happened last.
fn explained(failure: CheckFailure, paper: &Paper) -> CheckFailure {
    let hint = format!("what happened last: {}", paper.last_steps().join("; "));
    CheckFailure { problem: failure.problem.with_hint(hint), ..failure }
}

/// The labels of the alert: those of the case, and its name as the runbook has it.
fn labels(entry: &Entry, runbook: &Runbook) -> Labels {
    let name = runbook.matchers.iter().find_map(|matcher| matcher.exactly(alerting::ALERT_NAME));
    let name = name.into_iter().map(|name| (alerting::ALERT_NAME, name));
    let own = entry.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    name.chain(own).collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn hold_back_by_nothing(guards: &mut Guards) {
    (guards.only_within, guards.not_within, guards.only_if) = (None, None, None);
    (guards.fleet_lock, guards.error_budget) = (None, None);
    guards.depends_on.clear();
}
