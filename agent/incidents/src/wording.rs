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
        RunStep::Fact { call, answer } => (Source::Script, format!("asked {call}: {answer}")),
        RunStep::ActionIntended { number, action } => {
            (Source::Action, format!("#{number} asked for: {action}"))
        }
        RunStep::ActionDone { number, ok, outcome, took } => {
            let verdict = if *ok { "done" } else { "not done" };
            (Source::Action, format!("#{number} {verdict} in {}: {outcome}", format_duration(*took)))
        }
        RunStep::Note { text } => (Source::Script, format!("notes: {text}")),
        RunStep::Ended { ok, result } => {
            let verdict = if *ok { "ended" } else { "failed" };
            (Source::Script, format!("{verdict}: {result}"))
        }
        RunStep::Verified { expression, ok, observed } => {
            let verdict = if *ok { "holds" } else { "does not hold" };
            (Source::Verification, format!("{expression} {verdict}: {observed}"))
        }
        RunStep::Finished { outcome, reason } => (Source::Run, format!("{outcome}: {reason}")),
    }
}
