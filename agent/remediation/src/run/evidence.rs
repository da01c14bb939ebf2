//! How the host was before anything was done: what a repair would wipe away, and a person will want to see.
//!
//! The first of each piece is a step of the run, the whole is a file beside the incident. What cannot be had says why and
//! holds nothing up.

use std::fmt::Write as _;
use std::time::Duration;

use executor::UnitName;
use serde_json::{Value, json};
use telemetry::{Alert, MatchedLine, OneLine, RunStep, Timestamp};

use super::performance::Run;
use crate::fact::Fact;
use crate::grants::{Capability, TargetKind};
use crate::world::{LaterFact, World};

/// After this long no further piece is begun: the repair is more urgent.
const WITHIN: Duration = Duration::from_secs(3);
/// How much of a piece stands in the step.
const MAX_SHOWN: usize = 500;
/// Processes by each measure.
const PROCESSES: usize = 10;
/// Lines of the log of each service.
const LINES: usize = 100;
/// Services that are looked at; a runbook that touches more is about the host, not about one of them.
const MAX_UNITS: usize = 4;
/// The series are shown from this long before the alert's condition began to hold, at so many moments.
const BEFORE_ONSET: Duration = Duration::from_mins(5);
const MOMENTS: u32 = 20;
/// The name of the piece by which a resumed run knows its alert.
const ALERT: &str = "alert";

/// Writes down how the alert was. Without it the run cannot be resumed.
pub(super) fn alert(run: &Run, world: &mut dyn World) {
    let alert = &run.alert;
    let text = json!({
        "labels": alert.labels,
        "value": alert.value.is_finite().then_some(alert.value),
        "active_at": alert.active_at,
        "expression": alert.source.expression,
    });
    let evidence = RunStep::Evidence { name: ALERT.to_owned(), text: text.to_string(), file: None };
    run.chronicle.tell(world, evidence);
}

/// The alert that [`alert`] has written down.
pub(super) fn alert_of(step: &RunStep) -> Option<Alert> {
    let RunStep::Evidence { name, text, .. } = step else { return None };
    if name != ALERT {
        return None;
    }
    let text: Value = serde_json::from_str(text).ok()?;
    let labels = text.get("labels")?.as_object()?;
    let labels = labels.iter().map(|(name, value)| (name, value.as_str().unwrap_or_default())).collect();
    let active_at: Timestamp = serde_json::from_value(text.get("active_at")?.clone()).ok()?;
    let value = text.get("value").and_then(Value::as_f64).unwrap_or(f64::NAN);
    Some(Alert { value, ..Alert::new(labels, telemetry::AlertState::Firing, active_at) })
}

/// Pieces that are found out while the run goes on.
#[derive(Default)]
pub(super) struct Later(Vec<(String, LaterFact)>);

impl Later {
    /// Writes them down, when nothing waits for the run any more.
    pub(super) fn tell(self, run: &Run, world: &mut dyn World) {
        for (name, answer) in self.0 {
            tell(run, world, name, answer().map(|value| printed(&value)));
        }
    }
}

/// Looks at the host and at what the runbook touches. What takes long is only begun: the logs of services, and sockets,
/// of which a host may have very many.
pub(super) fn gather(run: &Run, world: &mut dyn World) -> Later {
    let logs = units(run).into_iter().map(|unit| {
        let name = format!("log of {unit}");
        (name, Fact::JournalTail { unit, lines: LINES })
    });
    let begun = [("sockets".to_owned(), Fact::Sockets)].into_iter().chain(logs);
    let later = Later(begun.map(|(name, fact)| (name, world.fact_later(&fact))).collect());
    look(run, world);
    later
}

/// The cheapest first.
fn look(run: &Run, world: &mut dyn World) {
    let until = world.now().plus(WITHIN);
    let lines = world.matched_lines();
    if !lines.is_empty() {
        tell(run, world, "matched lines".to_owned(), Ok(told(&lines)));
    }
    let mut questions = vec![("pressure".to_owned(), Fact::Pressure)];
    for unit in units(run) {
        questions.push((format!("status of {unit}"), Fact::UnitStatus { unit }));
    }
    for (name, fact) in questions {
        if world.now() >= until {
            return;
        }
        let looked = world.fact(&fact).map(|value| printed(&value));
        tell(run, world, name, looked);
    }
    if world.now() < until {
        processes(run, world);
    }
    let expression = run.alert.source.expression.clone();
    if !expression.is_empty() && world.now() < until {
        let looked = series(world, &expression, run.alert.active_at);
        tell(run, world, "series".to_owned(), looked);
    }
}

/// The heaviest processes, a piece by each measure.
fn processes(run: &Run, world: &mut dyn World) {
    let looked = world.fact(&Fact::HeaviestProcesses { count: PROCESSES });
    for measure in ["cpu", "memory"] {
        let piece = match &looked {
            Ok(found) => Ok(printed(found.get(measure).unwrap_or(&Value::Null))),
            Err(error) => Err(error.clone()),
        };
        tell(run, world, format!("processes by {measure}"), piece);
    }
}

/// The services that the runbook may touch.
fn units(run: &Run) -> Vec<UnitName> {
    let of_units = Capability::ALL.into_iter().filter(|c| c.targets() == TargetKind::Unit);
    let named = of_units.flat_map(|capability| run.runbook.grants.targets(capability));
    let mut units: Vec<UnitName> = named.filter_map(|target| target.parse().ok()).collect();
    units.sort();
    units.dedup();
    units.truncate(MAX_UNITS);
    units
}

/// What the alert's expression gave, from before the onset until now.
fn series(world: &dyn World, expression: &str, onset: Timestamp) -> Result<String, String> {
    let (begin, now) = (onset.minus(BEFORE_ONSET), world.now());
    let step = now.since(begin) / MOMENTS;
    let mut text = String::new();
    for moment in 0..=MOMENTS {
        let at = begin.plus(step * moment);
        let answer = world.query_at(expression, at)?;
        let _ = writeln!(text, "{at} {}", answer.describe());
    }
    Ok(text)
}

/// One below the other, whatever they hold.
fn told(lines: &[MatchedLine]) -> String {
    let line = |MatchedLine { at, origin, text }: &MatchedLine| format!("{at} {origin} {}", OneLine(text));
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A text as it is, lines as lines, and the rest as JSON, an element a line.
fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) => {
            let lines: Vec<String> = elements.iter().map(printed).collect();
            lines.join("\n")
        }
        other => other.to_string(),
    }
}

fn tell(run: &Run, world: &mut dyn World, name: String, looked: Result<String, String>) {
    let (text, file) = match looked {
        Ok(text) if text.len() > MAX_SHOWN => {
            let attached = world.attach(run.id(), &name, &text);
            let first = text.get(..text.floor_char_boundary(MAX_SHOWN)).unwrap_or_default();
            (format!("{first}…"), attached.ok())
        }
        Ok(text) => (text, None),
        Err(error) => (error, None),
    };
    run.chronicle.tell(world, RunStep::Evidence { name, text, file });
}
