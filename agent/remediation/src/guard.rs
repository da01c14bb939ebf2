//! Decides whether a run may start.
//!
//! Guards judge; they do not act, wait or read the clock. All of them are asked even when one has refused, and each
//! gives its reason with values, because the reasons are what the operator reads at three in the morning. They count by
//! runbook: a runbook's parameters are fixed, so the runbook is the target.

use std::time::Duration;

use executor::Budget;
use telemetry::{RunOutcome, Timestamp, format_duration};

use crate::history::{Attempt, History};
use crate::runbook::Guards;

/// The longest that failed runs can put off the next one.
const MAX_BACKOFF: Duration = Duration::from_hours(1);

/// An alert that was seen firing longer ago may be about a host that has changed since.
const MAX_AGE: Duration = Duration::from_mins(1);

/// More runs than this on one host within the window mean that something larger is wrong.
const STORM_RUNS: usize = 10;
const STORM_WINDOW: Duration = Duration::from_mins(10);

/// What a guard is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The runbook's name.
    pub(crate) runbook: &'a str,
    /// Its guards' settings.
    pub(crate) guards: &'a Guards,
    /// Whether an operator has stopped all repairs.
    pub(crate) frozen: bool,
    /// Whether the run journal takes events.
    pub(crate) journal_writable: bool,
    /// When the alert was last seen firing.
    pub(crate) seen_firing: Timestamp,
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether the run may start, as far as this guard is concerned.
    pub(crate) allowed: bool,
    /// What it judged by, with values.
    pub(crate) reason: String,
}

fn verdict(allowed: bool, reason: impl Into<String>) -> Verdict {
    Verdict { allowed, reason: reason.into() }
}

/// One guard.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Its name in the journal.
    pub(crate) name: &'static str,
    /// Judges.
    pub(crate) judge: fn(&Question<'_>, &History, Timestamp) -> Verdict,
}

/// All guards, in the order in which they are recorded.
pub(crate) const GUARDS: &[Guard] = &[
    Guard { name: "kill switch", judge: kill_switch },
    Guard { name: "journal", judge: journal },
    Guard { name: "one at a time", judge: one_at_a_time },
    Guard { name: "cooldown", judge: cooldown },
    Guard { name: "attempts", judge: attempts },
    Guard { name: "freshness", judge: freshness },
    Guard { name: "storm", judge: storm },
];

/// No run while an operator has stopped repairs.
fn kill_switch(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let reason = if question.frozen { "repairs are frozen by an operator" } else { "repairs are not frozen" };
    verdict(!question.frozen, reason)
}

/// No run that could not be written down.
fn journal(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let writable = question.journal_writable;
    let reason =
        if writable { "the run journal takes events" } else { "the run journal takes no more events" };
    verdict(writable, reason)
}

/// No second run of a runbook beside the first.
fn one_at_a_time(question: &Question<'_>, history: &History, _: Timestamp) -> Verdict {
    match history.open().find(|(_, open)| open.started && open.runbook == question.runbook) {
        Some((run, _)) => verdict(false, format!("run {run} has not ended")),
        None => verdict(true, "no other run of this runbook"),
    }
}

/// A pause after each run, longer after failed ones.
fn cooldown(question: &Question<'_>, history: &History, now: Timestamp) -> Verdict {
    let past = || history.attempts(question.runbook);
    let last_end = past().map(|attempt| attempt.ended.map_or(attempt.started, |(at, _)| at)).max();
    let Some(last_end) = last_end else { return verdict(true, "this runbook has not run yet") };
    let failed_in_a_row = past().take_while(|attempt| !is_success(attempt)).count();
    let doublings = u32::try_from(failed_in_a_row.saturating_sub(1)).unwrap_or(u32::MAX).min(30);
    let base = question.guards.cooldown;
    let pause = base.saturating_mul(1 << doublings).min(MAX_BACKOFF.max(base));
    let ends = last_end.plus(pause);
    let after = match failed_in_a_row {
        0 => String::new(),
        failed => format!(" after {failed} runs in a row that did not repair"),
    };
    let pause = format_duration(pause);
    if now < ends {
        verdict(false, format!("{} left of {pause}{after}", format_duration(ends.since(now))))
    } else {
        verdict(true, format!("the pause of {pause}{after} is over"))
    }
}

fn is_success(attempt: &Attempt) -> bool {
    matches!(attempt.ended, Some((_, RunOutcome::Repaired | RunOutcome::Skipped)))
}

/// At most so many runs of a runbook in a window.
fn attempts(question: &Question<'_>, history: &History, now: Timestamp) -> Verdict {
    let budget = question.guards.attempts;
    let counted = attempts_within(budget, question.runbook, history, now);
    verdict(counted < budget.at_most as usize, format!("{counted} of {budget} used"))
}

/// How many runs of a runbook count against its budget. A start that seems to lie in the future counts: the clock has
/// jumped back over it.
pub(crate) fn attempts_within(budget: Budget, runbook: &str, history: &History, now: Timestamp) -> usize {
    history.attempts(runbook).filter(|attempt| attempt.started.plus(budget.per) > now).count()
}

/// No run on an alert that was not seen firing just now.
fn freshness(question: &Question<'_>, _: &History, now: Timestamp) -> Verdict {
    let (age, ahead) = (now.since(question.seen_firing), question.seen_firing.since(now));
    if ahead > MAX_AGE {
        return verdict(
            false,
            format!("seen firing {} in the future: the clock has jumped", format_duration(ahead)),
        );
    }
    verdict(
        age <= MAX_AGE,
        format!("seen firing {} ago, at most {}", format_duration(age), format_duration(MAX_AGE)),
    )
}

/// At most so many runs on this host in a window.
fn storm(_: &Question<'_>, history: &History, now: Timestamp) -> Verdict {
    let counted = history.all_attempts().filter(|attempt| attempt.started.plus(STORM_WINDOW) > now).count();
    let reason = format!("{counted} of {STORM_RUNS} per {} on this host used", format_duration(STORM_WINDOW));
    verdict(counted < STORM_RUNS, reason)
}

#[cfg(test)]
mod tests;
