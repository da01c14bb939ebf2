//! The figures about repairs: runs, refusals, who is waited for, the kill switch and the run journal.

use telemetry::{Instrument, MetricSpec, RunOutcome, SampleBuffer, Timestamp, Value};

use super::own;
use crate::agent::Shared;

static RUNS: MetricSpec = own(
    "hostmend.runs",
    "{run}",
    Instrument::Counter,
    &["hostmend.outcome"],
    "Runs that are over, by outcome: repaired, skipped, refused, observed, shadowed, denied, escalated, interrupted.",
);
static IN_HAND: MetricSpec = own(
    "hostmend.runs.in_hand",
    "{run}",
    Instrument::UpDownCounter,
    &["hostmend.run.state"],
    "Runs that are not over, by state: under_way; waiting, for somebody to approve them.",
);
static REFUSALS: MetricSpec = own(
    "hostmend.guard.refusals",
    "{refusal}",
    Instrument::Counter,
    &["hostmend.guard.name"],
    "Times that a guard refused a run; several can refuse one.",
);
static FROZEN: MetricSpec = own(
    "hostmend.repairs.frozen",
    "1",
    Instrument::Gauge,
    &[],
    "1 while the kill switch of the agent is on and no run starts, else 0.",
);
static JOURNAL_BYTES: MetricSpec = own(
    "hostmend.run_journal.size",
    "By",
    Instrument::UpDownCounter,
    &[],
    "What the run journal takes on disk.",
);
static JOURNAL_SEGMENTS: MetricSpec = own(
    "hostmend.run_journal.segments",
    "{segment}",
    Instrument::UpDownCounter,
    &[],
    "Files of the run journal.",
);
static JOURNAL_EVENTS: MetricSpec = own(
    "hostmend.run_journal.events",
    "{event}",
    Instrument::Counter,
    &["hostmend.outcome"],
    "Events that were written to the run journal since the host's first, by what became of them: kept; gone, with the oldest \
     files.",
);

static JOURNAL_FAILING: MetricSpec = own(
    "hostmend.run_journal.failing",
    "1",
    Instrument::Gauge,
    &[],
    "1 while the run journal takes no events because writing failed, and so no run starts, else 0.",
);
static UNTOLD: MetricSpec = own(
    "hostmend.guard.untold_refusals",
    "{run}",
    Instrument::Counter,
    &[],
    "Refused runs that are neither in the journal nor told of, because too many came in a minute.",
);

static FLEET_LOCK_UNANSWERED: MetricSpec = own(
    "hostmend.fleet_lock.unanswered",
    "{question}",
    Instrument::Counter,
    &[],
    "Questions to the lock of the fleet that were not answered in time; one for a place was refused for that.",
);

/// All of them.
pub(crate) static METRICS: &[&MetricSpec] = &[
    &RUNS,
    &IN_HAND,
    &REFUSALS,
    &UNTOLD,
    &FROZEN,
    &JOURNAL_BYTES,
    &JOURNAL_SEGMENTS,
    &JOURNAL_EVENTS,
    &JOURNAL_FAILING,
    &FLEET_LOCK_UNANSWERED,
];

const OUTCOMES: [RunOutcome; 8] = [
    RunOutcome::Repaired,
    RunOutcome::Skipped,
    RunOutcome::Refused,
    RunOutcome::Observed,
    RunOutcome::Shadowed,
    RunOutcome::Denied,
    RunOutcome::Escalated,
    RunOutcome::Interrupted,
];

pub(super) fn write(shared: &Shared, now: Timestamp, out: &mut SampleBuffer) {
    let figures = shared.runs.figures();
    // Also those that never came, so that the first of them is an increase.
    for outcome in OUTCOMES.map(|outcome| outcome.to_string()) {
        let runs = figures.outcomes.get(&outcome).copied().unwrap_or(0);
        out.int(&RUNS, &[Value::Str(&outcome)], runs as i64);
    }
    for (state, runs) in [("under_way", figures.under_way), ("waiting", figures.waiting)] {
        out.int(&IN_HAND, &[Value::Str(state)], runs as i64);
    }
    for (guard, refusals) in &figures.refusals {
        out.int(&REFUSALS, &[Value::Str(guard)], *refusals as i64);
    }
    out.int(&UNTOLD, &[], figures.untold_refusals as i64);
    out.int(&FROZEN, &[], i64::from(shared.kill_switch.frozen(now).is_some()));
    let ledger = figures.ledger;
    out.int(&JOURNAL_BYTES, &[], ledger.bytes as i64);
    out.int(&JOURNAL_SEGMENTS, &[], ledger.segments as i64);
    for (outcome, events) in [("kept", ledger.events - ledger.events_gone), ("gone", ledger.events_gone)] {
        out.int(&JOURNAL_EVENTS, &[Value::Str(outcome)], events as i64);
    }
    out.int(&JOURNAL_FAILING, &[], i64::from(ledger.failing_since.is_some()));
    out.int(&FLEET_LOCK_UNANSWERED, &[], figures.fleet_lock_unanswered as i64);
}
