//! The sentence for each step of a run, as it stands in a timeline.

use telemetry::{RunStep, format_duration};

use crate::Source;

/// Who did or saw the step, and what happened, as one sentence without a full stop.
pub fn sentence(step: &RunStep) -> (Source, String) {
    match step {
        RunStep::Matched { runbook, stage, script, .. } => {
            (Source::Run, format!("runbook {runbook} answers with {script} (stage {stage})"))
        }
        RunStep::Guard { guard, allowed, reason } => {
            let verdict = if *allowed { "allows" } else { "refuses" };
            (Source::Guard, format!("{guard} {verdict}: {reason}"))
        }
        RunStep::Started { parameters } => (Source::Script, format!("started with {parameters}")),
        RunStep::Resumed { reason } => (Source::Run, format!("goes on after a start of the agent: {reason}")),
        RunStep::Fact { call, answer } => (Source::Script, format!("asked {call}: {answer}")),
        RunStep::Awaiting { plan, until } => {
            let plan = if plan.is_empty() { "nothing".to_owned() } else { plan.join("; ") };
            (Source::Run, format!("waits until {until} for somebody to approve: {plan}"))
        }
        RunStep::Decided { approved, by, comment } => {
            let verdict = if *approved { "approved" } else { "denied" };
            let comment = if comment.is_empty() { String::new() } else { format!(": {comment}") };
            (Source::Person, format!("{verdict} by {by}{comment}"))
        }
        RunStep::Evidence { name, text, file } => {
            let beside = file.as_ref().map_or(String::new(), |file| format!(" (whole in {file})"));
            (Source::Evidence, format!("{name}: {text}{beside}"))
        }
        RunStep::StepBegun { id, keeps } => {
            let keeps = if *keeps { "; what it changes stays" } else { "" };
            (Source::Script, format!("step {id} began{keeps}"))
        }
        RunStep::StepDone { id, .. } => (Source::Script, format!("step {id} is done")),
        RunStep::StepFailed { id, error } => (Source::Script, format!("step {id} failed: {error}")),
        RunStep::UndoBegun { id } => (Source::Script, format!("undoes {}", undone(id.as_deref()))),
        RunStep::UndoEnded { id, ok } => {
            let verdict = if *ok { "has undone" } else { "could not undo" };
            (Source::Script, format!("{verdict} {}", undone(id.as_deref())))
        }
        RunStep::ActionIntended { number, action, simulated } => {
            let simulated = if *simulated { " (simulated)" } else { "" };
            (Source::Action, format!("#{number} asked for: {action}{simulated}"))
        }
        RunStep::ActionDone { number, ok, outcome, took, .. } => {
            let verdict = if *ok { "done" } else { "not done" };
            (Source::Action, format!("#{number} {verdict} in {}: {outcome}", format_duration(*took)))
        }
        RunStep::Note { text } => (Source::Script, format!("notes: {text}")),
        RunStep::Ended { ok, result } => {
            // A script that says itself how it ended does not say it twice.
            let says = ["failed: ", "skip: "].iter().any(|word| result.starts_with(word));
            let verdict = if *ok || says { "ended" } else { "failed" };
            (Source::Script, format!("{verdict}: {result}"))
        }
        RunStep::Verified { expression, ok, observed } => {
            let verdict = if *ok { "holds" } else { "does not hold" };
            (Source::Verification, format!("{expression} {verdict}: {observed}"))
        }
        RunStep::RolledBack { ok, result } => {
            let verdict = if *ok { "taken back" } else { "not all taken back" };
            (Source::Action, format!("{verdict}: {result}"))
        }
        RunStep::Paged { to, text } => {
            let to = if to.is_empty() { "nobody: none is configured".to_owned() } else { to.join(", ") };
            (Source::Run, format!("told {to}: {text}"))
        }
        RunStep::Demoted { from, to, reason } => {
            (Source::Run, format!("the runbook goes back from {from} to {to}: {reason}"))
        }
        RunStep::StayedWell { well_for } => {
            let well_for = format_duration(*well_for);
            (
                Source::Run,
                format!("it has been well for {well_for}: attempts up to now hang together no longer"),
            )
        }
        RunStep::Released { what, by } => (Source::Person, format!("{by} lets repairs of {what} go on")),
        RunStep::Finished { outcome, reason } => (Source::Run, format!("{outcome}: {reason}")),
    }
}

fn undone(step: Option<&str>) -> String {
    step.map_or_else(|| "what it did, by its rollback(ctx)".to_owned(), |id| format!("step {id}"))
}
