//! Guards by how often there were runs.
//!
//! Attempts of a runbook on a target hang together until it has been well for its stable time, which the coordinator sees
//! and the journal says. Attempts that hang together all count, however long ago, and each doubles the pause. So what is
//! never mended is not restarted for ever. Simulated runs have only a pause between them, and count for nothing else.

use std::time::Duration;

use executor::Budget;
use telemetry::{Stage, Timestamp, format_duration};

use super::{Question, Verdict, allow, refuse, verdict};
use crate::history::{Attempt, History};

/// More runs than this on one host within the window mean that something larger is wrong.
const STORM: Budget = Budget { at_most: 10, per: Duration::from_mins(10) };

/// How many attempts on this target hang together with the next.
fn attempts_in_a_row(question: &Question<'_>, history: &History) -> usize {
    let runbook = question.subject.runbook;
    // Who asks for no wellness at all has it as soon as a run is over.
    let hangs_together = |attempt: &&Attempt| {
        attempt.ended.is_none() || (!attempt.settled && !runbook.guards.stable.is_zero())
    };
    history.attempts(&runbook.name, &runbook.printed_params()).filter(hangs_together).count()
}

/// A pause after each run, longer after each in a row.
pub(super) fn cooldown(question: &Question<'_>, history: &History, now: Timestamp) -> Verdict {
    let runbook = question.subject.runbook;
    let target = runbook.printed_params();
    let rehearses = runbook.stage == Stage::Shadow;
    let rehearsal = history.rehearsal(&runbook.name, &target).filter(|_| rehearses);
    let counted = history.attempts(&runbook.name, &target).chain(rehearsal);
    let last_end = counted.map(|attempt| attempt.ended.map_or(attempt.started, |(at, _)| at)).max();
    let Some(last_end) = last_end else { return allow("this runbook has not run on this target yet") };
    let in_a_row = if rehearses { 0 } else { attempts_in_a_row(question, history) };
    let doublings = u32::try_from(in_a_row.saturating_sub(1)).unwrap_or(u32::MAX).min(30);
    let base = runbook.guards.cooldown;
    let pause = base.saturating_mul(1 << doublings).min(runbook.guards.backoff.max(base));
    let ends = last_end.plus(pause);
    let after = match in_a_row {
        0 | 1 => String::new(),
        runs => {
            format!(
                " after {runs} runs in a row, none of which left it well for {}",
                format_duration(runbook.guards.stable)
            )
        }
    };
    let pause = format_duration(pause);
    if now < ends {
        refuse(format!("{} left of {pause}{after}", format_duration(ends.since(now))))
    } else {
        allow(format!("the pause of {pause}{after} is over"))
    }
}

/// At most so many runs of a runbook on a target in a window, and without its having been well in between.
pub(super) fn attempts(question: &Question<'_>, history: &History, now: Timestamp) -> Verdict {
    let runbook = question.subject.runbook;
    let budget = runbook.guards.attempts;
    let recent = attempts_within(budget, &runbook.name, &runbook.printed_params(), history, now);
    let row = attempts_in_a_row(question, history);
    let limit = budget.at_most as usize;
    if recent >= limit || row <= recent {
        return verdict(recent < limit, format!("{recent} of {budget} used"));
    }
    let stable = format_duration(runbook.guards.stable);
    verdict(row < limit, format!("{row} of {budget} used: it has not been well for {stable} since"))
}

/// How many runs of a runbook on a target began within its budget's window. A start that seems to lie in the future
/// counts: the clock has jumped back over it.
pub(crate) fn attempts_within(
    budget: Budget,
    runbook: &str,
    target: &str,
    history: &History,
    now: Timestamp,
) -> usize {
    history.attempts(runbook, target).filter(|attempt| attempt.started.plus(budget.per) > now).count()
}

/// At most so many runs on this host in a window, as it is configured.
pub(super) fn starts(question: &Question<'_>, history: &History, now: Timestamp) -> Verdict {
    within(question.settings.starts, history, now)
}

/// At most so many runs on this host in a short window, whatever is configured.
pub(super) fn storm(_: &Question<'_>, history: &History, now: Timestamp) -> Verdict {
    within(STORM, history, now)
}

fn within(budget: Budget, history: &History, now: Timestamp) -> Verdict {
    let counted = history.starts_within(budget.per, now);
    verdict(counted < budget.at_most as usize, format!("{counted} of {budget} on this host used"))
}

/// No risk while users have had more errors than was promised; but what restores the service always may.
pub(super) fn error_budget(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let Some(terms) = &question.subject.runbook.guards.error_budget else {
        return allow("the runbook names no objective");
    };
    let objective = &terms.objective;
    let left = match &question.circumstances.error_budget {
        Some(Ok(left)) => Ok(left * 100.0),
        Some(Err(why)) => Err(why.as_str()),
        None => Err("nobody has asked"),
    };
    let (allowed, reason) = match left {
        Ok(left) => (
            left >= terms.at_least,
            format!("{left:.1}% of the error budget of {objective} is left, at least {}%", terms.at_least),
        ),
        Err(why) => (false, format!("what is left of the error budget of {objective} is not known: {why}")),
    };
    if !allowed && question.spares_error_budget {
        return allow(format!("{reason}; but the script's risk is low or it restores the service"));
    }
    verdict(allowed, reason)
}
