//! Decides whether a run may start.
//!
//! Guards judge; they do not act, wait or read the clock. All of them are asked even when one has refused, and each
//! gives its reason with values, because the reasons are what the operator reads at three in the morning. What they judge
//! by and nobody could find out is a refusal, not a pass. A start counts from the moment its event is written down, so
//! two runs that are judged one after the other see each other.

mod alerts;
mod budgets;
mod concurrency;
mod host;

use std::time::Duration;

use executor::Budget;
use telemetry::Timestamp;

use crate::circumstances::{Circumstances, Subject};
use crate::history::History;

/// What holds for all runbooks of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGuards {
    /// How many runs may act at a time.
    pub at_once: usize,
    /// How many runs may begin to act in a window.
    pub starts: Budget,
}

impl HostGuards {
    /// The largest budget of starts that can be counted.
    pub const MAX_STARTS: u32 = crate::history::MAX_HOST_STARTS;
}

impl Default for HostGuards {
    fn default() -> Self {
        Self { at_once: 2, starts: Budget { at_most: 20, per: Duration::from_hours(1) } }
    }
}

/// What guards are asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The alert, and the runbook with its parameters filled in.
    pub(crate) subject: &'a Subject<'a>,
    /// How things are.
    pub(crate) circumstances: &'a Circumstances,
    /// What holds for all runbooks.
    pub(crate) settings: &'a HostGuards,
    /// Whether the run journal takes events.
    pub(crate) journal_writable: bool,
    /// Whether the script's risk is low, or it restores the service: no error budget holds that back.
    pub(crate) spares_error_budget: bool,
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

fn allow(reason: impl Into<String>) -> Verdict {
    verdict(true, reason)
}

fn refuse(reason: impl Into<String>) -> Verdict {
    verdict(false, reason)
}

/// One guard.
#[derive(Debug)]
pub struct Guard {
    /// Its name in the journal.
    pub name: &'static str,
    /// What it refuses, as the reference says.
    pub refuses: &'static str,
    /// The key that sets it, if any does.
    pub set_by: &'static str,
    judge: fn(&Question<'_>, &History, Timestamp) -> Verdict,
}

const fn guard(
    name: &'static str,
    set_by: &'static str,
    refuses: &'static str,
    judge: fn(&Question<'_>, &History, Timestamp) -> Verdict,
) -> Guard {
    Guard { name, refuses, set_by, judge }
}

/// The guard that a run must still pass when all have let it: a place may be gone between looking and taking.
pub(crate) const FLEET_LOCK: &str = "fleet lock";

/// All guards, in the order in which they are asked and recorded.
pub const GUARDS: &[Guard] = &[
    guard("kill switch", "`hostmend freeze`", "every run while repairs are frozen", host::kill_switch),
    guard("journal", "", "every run when the run journal takes no events", host::journal),
    guard(
        TRUST,
        "`trust`",
        "an alert that depends on what others say, unless the runbook trusts them",
        alerts::trust,
    ),
    guard(
        "parameters",
        "`grants`",
        "a parameter that the alert's labels chose and no grant reaches",
        alerts::parameters,
    ),
    guard(
        "freshness",
        "",
        "an alert not seen firing within 1m, or across a step of the clock",
        alerts::freshness,
    ),
    guard(
        "flapping",
        "`guards.flapping`",
        "an alert that keeps coming and going; the alert itself goes on",
        alerts::flapping,
    ),
    guard(
        "condition",
        "`guards.only_if`",
        "a run while the expression has no result or cannot be had",
        alerts::only_if,
    ),
    guard("window", "`guards.window`", "a run outside of its hours", host::window),
    guard(
        "operator",
        "`guards.ignore`",
        "what people or programs in their stead hold: a unit that a person stopped (always), a package run, a login",
        host::holds,
    ),
    guard("other controllers", "", "a target that another program looks after", host::owners),
    guard(
        "dependencies",
        "`guards.depends_on`",
        "a repair of what depends on something that is not well",
        host::dependencies,
    ),
    guard(
        "starvation",
        "`guards.pressure_full`",
        "a run on a host where everything waits for a resource",
        host::starvation,
    ),
    guard("one at a time", "", "a second run of a runbook beside the first", concurrency::one_at_a_time),
    guard("one per target", "", "a run on what another run may be changing", concurrency::one_per_target),
    guard("at once", "`remediation.at_once`", "more runs at a time on this host", concurrency::at_once),
    guard(
        "conflict",
        "`hostmend unfreeze TARGET`",
        "a target that two runbooks changed within 1h of each other, to both",
        concurrency::conflict,
    ),
    guard(
        "cooldown",
        "`guards.cooldown`, `guards.backoff`",
        "a run too soon after the last one; doubled by each run in a row after which it did not stay well",
        budgets::cooldown,
    ),
    guard(
        "attempts",
        "`guards.attempts`, `guards.stable`",
        "more runs than the budget of a runbook and its target; they count until it has stayed well",
        budgets::attempts,
    ),
    guard("starts", "`remediation.starts`", "more runs than the budget of this host", budgets::starts),
    guard(
        "storm",
        "",
        "any run after 10 runs within 10m on this host: something larger is wrong",
        budgets::storm,
    ),
    guard(
        "error budget",
        "`guards.error_budget`",
        "a run when too little of the budget is left, unless its risk is low or it restores the service",
        budgets::error_budget,
    ),
    guard(
        FLEET_LOCK,
        "`guards.fleet_lock`",
        "a run while as many hosts of the group act as may",
        concurrency::fleet_lock,
    ),
];

/// The guard that is asked before the host is looked at.
pub(crate) const TRUST: &str = "trust";

/// That an alert depends on somebody whom the runbook does not trust, if it does. No other guard can mend that.
pub(crate) fn distrusts(subject: &Subject<'_>) -> Option<(&'static str, Verdict)> {
    let verdict = alerts::trusted(subject);
    (!verdict.allowed).then_some((TRUST, verdict))
}

/// What every guard says, in the order of [`GUARDS`].
pub(crate) fn judge(
    question: &Question<'_>,
    history: &History,
    now: Timestamp,
) -> Vec<(&'static str, Verdict)> {
    GUARDS.iter().map(|guard| (guard.name, (guard.judge)(question, history, now))).collect()
}

pub(crate) use budgets::attempts_within;

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
