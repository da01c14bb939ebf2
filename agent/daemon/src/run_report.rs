//! Runs as they are told to people and programs: the JSON of `GET /v1/runs`, which `hostmend runs` reads.
//!
//! Made from the run journal's files alone, so that it can be had without the agent too.

use std::io;
use std::path::Path;

use remediation::audit;
use serde::{Deserialize, Serialize};
use telemetry::{RunEvent, RunId, RunStep, Timestamp};

/// Runs that are told of at once, at most: more is a question for whoever keeps the telemetry.
const MOST: usize = 1_000;

/// Unless more are asked for.
const USUAL: usize = 20;

/// Which runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// This one, with its steps.
    pub(crate) run: Option<String>,
    /// Only of this runbook.
    pub(crate) runbook: Option<String>,
    /// Only that met their alert then or later.
    pub(crate) since: Option<Timestamp>,
    pub(crate) at_most: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { run: None, runbook: None, since: None, at_most: USUAL }
    }
}

/// One run.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct RunReport {
    pub(crate) run: String,
    /// When it met its alert.
    pub(crate) at: String,
    pub(crate) runbook: String,
    pub(crate) stage: String,
    /// The labels of its alert, printed.
    pub(crate) alert: String,
    pub(crate) target: String,
    pub(crate) script: String,
    pub(crate) script_sha256: String,
    /// None while it goes on.
    pub(crate) outcome: Option<String>,
    /// When it is given up, while it waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits_until: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) milliseconds: Option<u64>,
    /// When it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<ReportedStep>,
}

/// One thing that happened in it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct ReportedStep {
    pub(crate) at: String,
    /// Since the run met its alert.
    pub(crate) milliseconds: u64,
    /// Who did or saw it.
    pub(crate) source: String,
    pub(crate) text: String,
    /// Whether it is a guard that let the run pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) allows: bool,
}

/// The runs that are wanted, the newest first, from the run journal of a state directory.
///
/// # Errors
///
/// The journal cannot be read.
pub(crate) fn reports(state: &Path, wanted: &Wanted) -> io::Result<Vec<RunReport>> {
    if let Some(run) = &wanted.run {
        let events = audit::events_of(state, &RunId(run.clone()))?;
        return Ok(report(&events, true).into_iter().collect());
    }
    let meets = |events: &[RunEvent]| {
        let first = events.first();
        let of_runbook = |name: &String| matches!(first.map(|event| &event.step), Some(RunStep::Matched { runbook, .. }) if runbook == name);
        wanted.runbook.as_ref().is_none_or(of_runbook)
            && wanted.since.is_none_or(|since| first.is_some_and(|event| event.at >= since))
    };
    let runs = audit::runs(state, wanted.at_most.min(MOST), meets)?;
    Ok(runs.iter().filter_map(|events| report(events, false)).collect())
}

/// What is told of a run; None if its first event is not kept any more.
fn report(events: &[RunEvent], steps: bool) -> Option<RunReport> {
    let first = events.first()?;
    let RunStep::Matched { alert, runbook, stage, script, script_sha256, target, .. } = &first.step else {
        return None;
    };
    let mut report = RunReport {
        run: first.run.0.clone(),
        at: first.at.to_string(),
        runbook: runbook.clone(),
        stage: stage.to_string(),
        alert: alert.clone(),
        target: target.clone(),
        script: script.clone(),
        script_sha256: script_sha256.clone(),
        ..RunReport::default()
    };
    let after = |event: &RunEvent| event.at.since(first.at).as_millis() as u64;
    for event in events {
        match &event.step {
            RunStep::Awaiting { until, .. } => report.waits_until = Some(until.to_string()),
            RunStep::Decided { .. } => report.waits_until = None,
            // A runbook is demoted after that.
            RunStep::Finished { outcome, reason } => {
                report.outcome = Some(outcome.to_string());
                report.reason = Some(reason.clone());
                report.milliseconds = Some(after(event));
                report.waits_until = None;
            }
            _ => {}
        }
    }
    if steps {
        let told = events.iter().map(|event| {
            let (source, text) = incidents::sentence(&event.step);
            let source = source.as_str().to_owned();
            let allows = matches!(event.step, RunStep::Guard { allowed: true, .. });
            ReportedStep { at: event.at.to_string(), milliseconds: after(event), source, text, allows }
        });
        report.steps = told.collect();
    }
    Some(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use remediation::Ledger;
    use telemetry::{RunOutcome, Stage};

    fn journal(events: &[(&str, i64, RunStep)]) -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(state.path()).unwrap();
        for (run, second, step) in events {
            let (run, at) = (RunId((*run).to_owned()), Timestamp::from_secs(*second));
            ledger.append(&RunEvent { run, at, step: step.clone() }).unwrap();
        }
        state
    }

    fn matched(runbook: &str) -> RunStep {
        RunStep::Matched {
            alert: "{alertname=\"Web\"}".to_owned(),
            runbook: runbook.to_owned(),
            stage: Stage::Auto,
            script: "restart.rhai".to_owned(),
            script_sha256: "00".to_owned(),
            target: "web".to_owned(),
            runbook_sha256: String::new(),
            touches: Vec::new(),
        }
    }

    fn finished() -> RunStep {
        RunStep::Finished { outcome: RunOutcome::Repaired, reason: "well".to_owned() }
    }

    #[test]
    fn a_run_is_over_though_its_runbook_was_demoted_by_it_and_one_that_waits_says_until_when() {
        let demoted =
            RunStep::Demoted { from: Stage::Auto, to: Stage::Ask, reason: "1 of 5 held".to_owned() };
        let awaiting = || RunStep::Awaiting { plan: Vec::new(), until: Timestamp::from_secs(90) };
        let decided = RunStep::Decided { approved: true, by: "ann".to_owned(), comment: String::new() };
        let state = journal(&[
            ("r1", 10, matched("web")),
            ("r1", 25, finished()),
            ("r1", 25, demoted),
            ("r2", 30, matched("web")),
            ("r2", 30, awaiting()),
            ("r3", 40, matched("web")),
            ("r3", 40, awaiting()),
            ("r3", 50, decided),
        ]);
        let told = reports(state.path(), &Wanted::default()).unwrap();
        let told: Vec<_> =
            told.iter().map(|run| (run.outcome.as_deref(), run.waits_until.as_deref())).collect();
        let until = Some("1970-01-01T00:01:30.000Z");
        assert_eq!(told, [(None, None), (None, until), (Some("repaired"), None)]);
    }

    #[test]
    fn runs_are_found_by_runbook_and_time_and_one_of_them_step_by_step() {
        let state = journal(&[
            ("r1", 10, matched("web")),
            ("r2", 20, matched("spool")),
            ("r1", 25, finished()),
            ("r3", 30, matched("web")),
        ]);
        let of = |wanted: &Wanted| {
            let reports = reports(state.path(), wanted).unwrap();
            reports.into_iter().map(|report| (report.run, report.outcome.is_some())).collect::<Vec<_>>()
        };
        let named = |name: &str, over| (name.to_owned(), over);
        assert_eq!(of(&Wanted::default()), [named("r3", false), named("r2", false), named("r1", true)]);
        let of_web = Wanted { runbook: Some("web".to_owned()), ..Wanted::default() };
        assert_eq!(of(&of_web), [named("r3", false), named("r1", true)]);
        let late = Wanted { since: Some(Timestamp::from_secs(20)), at_most: 1, ..Wanted::default() };
        assert_eq!(of(&late), [named("r3", false)]);
        let one = Wanted { run: Some("r1".to_owned()), ..Wanted::default() };
        let told = reports(state.path(), &one).unwrap();
        let steps: Vec<_> =
            told[0].steps.iter().map(|step| (step.milliseconds, step.text.as_str())).collect();
        assert_eq!(
            steps,
            [(0, "runbook web answers with restart.rhai (stage auto)"), (15_000, "repaired: well")]
        );
        assert_eq!((told[0].milliseconds, told[0].reason.as_deref()), (Some(15_000), Some("well")));
    }
}
