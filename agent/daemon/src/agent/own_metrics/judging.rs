//! The figures about what is kept for rules and how they are judged, in memory and on disk.

use std::sync::PoisonError;

use series::Store;
use telemetry::{AlertState, Instrument, MetricSpec, SampleBuffer, Timestamp, Value, ValueType};

use super::own;
use crate::agent::Shared;
use crate::agent::persist::Kept;

/// A metric of the agent itself, in seconds and parts of them.
const fn seconds(
    name: &'static str,
    instrument: Instrument,
    attributes: &'static [&'static str],
    description: &'static str,
) -> MetricSpec {
    MetricSpec { value: ValueType::Double, ..own(name, "s", instrument, attributes, description) }
}

static SERIES_COUNT: MetricSpec =
    own("hostmend.series.count", "{series}", Instrument::UpDownCounter, &[], "Series kept for the rules.");
static SERIES_SAMPLES: MetricSpec =
    own("hostmend.series.samples", "{sample}", Instrument::UpDownCounter, &[], "Samples of all series kept.");
static SERIES_BYTES: MetricSpec = own(
    "hostmend.series.size",
    "By",
    Instrument::UpDownCounter,
    &["hostmend.series.form"],
    "What the samples take: at_hand, as they lie, or packed.",
);
static SERIES_SQUEEZED: MetricSpec = own(
    "hostmend.series.squeezed",
    "{sample}",
    Instrument::Counter,
    &[],
    "Samples that were given up before their time because all of them took too much memory.",
);
static SERIES_EVICTED: MetricSpec = own(
    "hostmend.series.evicted",
    "{series}",
    Instrument::Counter,
    &[],
    "Series that had ended and made room for new ones before their time was over.",
);
static SERIES_REJECTED: MetricSpec = own(
    "hostmend.series.rejected",
    "{sample}",
    Instrument::Counter,
    &["hostmend.reason"],
    "Samples that were not kept for the rules, by reason: not_newer, too_many_series, foreign (a name of the host's).",
);
static CLOCK_JUMPS: MetricSpec = own(
    "hostmend.clock.jumps",
    "{jump}",
    Instrument::Counter,
    &[],
    "Times that the clock was set back, and samples from the time after it were forgotten.",
);
static RULES_COUNT: MetricSpec =
    own("hostmend.rules.count", "{rule}", Instrument::UpDownCounter, &[], "Rules of all groups.");
static RULES_MATCHING_NOTHING: MetricSpec = own(
    "hostmend.rules.matching_nothing",
    "{rule}",
    Instrument::UpDownCounter,
    &[],
    "Rules that select series of which there are none, so that they may never say anything.",
);
static RULES_EVALUATIONS: MetricSpec = own(
    "hostmend.rules.evaluations",
    "{evaluation}",
    Instrument::Counter,
    &["hostmend.outcome"],
    "Evaluations of rules, by outcome: succeeded, failed.",
);
static RULES_TIME: MetricSpec =
    seconds("hostmend.rules.time", Instrument::Counter, &[], "Time that evaluating rules took.");
static RULES_OVERDUE: MetricSpec = seconds(
    "hostmend.rules.overdue",
    Instrument::Gauge,
    &[],
    "How long the rule group that waits longest has been due; 0 if none waits.",
);
static RULES_MISSED: MetricSpec = own(
    "hostmend.rules.missed_rounds",
    "{round}",
    Instrument::Counter,
    &[],
    "Rounds of rule groups that were left out because the one before them was late.",
);
static ALERTS: MetricSpec = own(
    "hostmend.alerts",
    "{alert}",
    Instrument::UpDownCounter,
    &["hostmend.alert.state"],
    "Alerts by state: pending, firing.",
);
static ALERTS_FLAPPING: MetricSpec = own(
    "hostmend.alerts.flapping",
    "{alert}",
    Instrument::UpDownCounter,
    &[],
    "Alerts that fire and end again and again.",
);
static KEPT_WRITES: MetricSpec = own(
    "hostmend.state.writes",
    "{write}",
    Instrument::Counter,
    &["hostmend.state.kind", "hostmend.outcome"],
    "Times that what a restart must not forget was written to the state directory, by what it was, and outcome: written, \
     failed; unusable, when it was found at the start and put aside.",
);
static KEPT_BYTES: MetricSpec = own(
    "hostmend.state.size",
    "By",
    Instrument::Gauge,
    &["hostmend.state.kind"],
    "What was written to the state directory when it was last written.",
);
static KEPT_TIME: MetricSpec = seconds(
    "hostmend.state.write_duration",
    Instrument::Gauge,
    &["hostmend.state.kind"],
    "How long the last write to the state directory took.",
);
static KEPT_AGE: MetricSpec = seconds(
    "hostmend.state.age",
    Instrument::Gauge,
    &["hostmend.state.kind"],
    "How long ago the last write to the state directory was.",
);

/// All of them.
pub(crate) static METRICS: &[&MetricSpec] = &[
    &SERIES_COUNT,
    &SERIES_SAMPLES,
    &SERIES_BYTES,
    &SERIES_SQUEEZED,
    &SERIES_EVICTED,
    &SERIES_REJECTED,
    &CLOCK_JUMPS,
    &RULES_COUNT,
    &RULES_MATCHING_NOTHING,
    &RULES_EVALUATIONS,
    &RULES_TIME,
    &RULES_OVERDUE,
    &RULES_MISSED,
    &ALERTS,
    &ALERTS_FLAPPING,
    &KEPT_WRITES,
    &KEPT_BYTES,
    &KEPT_TIME,
    &KEPT_AGE,
];

/// Samples that were not kept for the rules, by reason.
pub(crate) fn rejections(store: &Store) -> [(&'static str, u64); 3] {
    let rejected = store.rejections();
    [
        ("not_newer", rejected.not_newer),
        ("too_many_series", rejected.too_many_series),
        ("foreign", rejected.foreign),
    ]
}

/// Appends the figures of the store and those of the taps.
pub(super) fn write_series(shared: &Shared, out: &mut SampleBuffer) {
    let store = shared.store.read().unwrap_or_else(PoisonError::into_inner);
    let (kept, evicted, squeezed) = (store.figures(), store.evicted(), store.squeezed());
    let (rejected, jumps) = (rejections(&store), store.clock_jumps());
    shared.taps.write_figures(&store, out);
    drop(store);
    out.int(&SERIES_COUNT, &[], kept.series as i64);
    out.int(&SERIES_SAMPLES, &[], kept.samples as i64);
    for (form, bytes) in [("at_hand", kept.ring_bytes), ("packed", kept.chunk_bytes)] {
        out.int(&SERIES_BYTES, &[Value::Str(form)], bytes as i64);
    }
    out.int(&SERIES_SQUEEZED, &[], squeezed as i64);
    out.int(&SERIES_EVICTED, &[], evicted as i64);
    for (reason, samples) in rejected {
        out.int(&SERIES_REJECTED, &[Value::Str(reason)], samples as i64);
    }
    out.int(&CLOCK_JUMPS, &[], jumps as i64);
}

/// Appends the figures of the rules as they are at `now`.
pub(super) fn write_rules(shared: &Shared, now: Timestamp, out: &mut SampleBuffer) {
    let figures = shared.groups.figures(now);
    out.int(&RULES_COUNT, &[], figures.rules as i64);
    out.int(&RULES_MATCHING_NOTHING, &[], figures.matching_nothing as i64);
    let succeeded = figures.evaluations.saturating_sub(figures.failures);
    for (outcome, evaluations) in [("succeeded", succeeded), ("failed", figures.failures)] {
        out.int(&RULES_EVALUATIONS, &[Value::Str(outcome)], evaluations as i64);
    }
    out.double(&RULES_TIME, &[], figures.took.as_secs_f64());
    out.double(&RULES_OVERDUE, &[], figures.overdue.as_secs_f64());
    out.int(&RULES_MISSED, &[], figures.missed_rounds as i64);
    for (state, alerts) in [(AlertState::Pending, figures.pending), (AlertState::Firing, figures.firing)] {
        out.int(&ALERTS, &[Value::Str(&state.to_string())], alerts as i64);
    }
    out.int(&ALERTS_FLAPPING, &[], figures.flapping as i64);
}

/// Appends the figures of what is kept on disk, as they are at `now`.
pub(super) fn write_kept(kept: &Kept, now: Timestamp, out: &mut SampleBuffer) {
    let kept = kept.figures();
    for (which, figures) in &kept {
        let outcomes =
            [("written", figures.written), ("failed", figures.failed), ("unusable", figures.unusable)];
        for (outcome, writes) in outcomes {
            out.int(&KEPT_WRITES, &[Value::Str(which.as_str()), Value::Str(outcome)], writes as i64);
        }
    }
    let on_disk = || kept.iter().filter_map(|(which, figures)| Some((which.as_str(), figures, figures.at?)));
    for (which, figures, _) in on_disk() {
        out.int(&KEPT_BYTES, &[Value::Str(which)], figures.bytes as i64);
    }
    for (which, figures, _) in on_disk() {
        out.double(&KEPT_TIME, &[Value::Str(which)], figures.took.as_secs_f64());
    }
    for (which, _, at) in on_disk() {
        out.double(&KEPT_AGE, &[Value::Str(which)], now.since(at).as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_of_a_metric_about_what_is_kept_stand_together() {
        let now = Timestamp::from_secs(1_000);
        let mut buffer = SampleBuffer::default();
        buffer.reset(now, now);
        write_kept(&Kept::all_written(now), now, &mut buffer);
        let mut metrics: Vec<&str> =
            buffer.entities().flat_map(|entity| entity.points()).map(|point| point.metric.name).collect();
        metrics.dedup();
        let distinct: std::collections::BTreeSet<&str> = metrics.iter().copied().collect();
        assert_eq!((metrics.len(), distinct.len()), (4, 4), "{metrics:?}");
    }
}
