//! The taps' own figures: what they looked at, what they left out, and what the series did not take.

use otlp::tap::TapFigures;
use series::Store;
use telemetry::{Instrument, MetricSpec, Origin, SampleBuffer, Value};

use super::points::PointFigures;
use crate::agent::own_metrics::own;

static TAP_RECORDS: MetricSpec = own(
    "hostmend.tap.records",
    "{record}",
    Instrument::Counter,
    &["hostmend.origin", "hostmend.signal", "hostmend.outcome"],
    "Received spans, log records and metrics, and records of log sources that log rules count, as the taps saw them: looked_at; malformed among those; beyond the limit of \
     one request and not looked at.",
);
static TAP_LEFT_OUT: MetricSpec = own(
    "hostmend.tap.left_out",
    "{record}",
    Instrument::Counter,
    &["hostmend.origin", "hostmend.signal", "hostmend.reason"],
    "Spans, log records and points that made no series of their own, by reason: overflow (spans and log records, counted \
     under otel_metric_overflow), over_budget, host_name, unfit, repeated, waiting (points).",
);
static OUTSIDE_SERIES: MetricSpec = own(
    "hostmend.series.received",
    "{series}",
    Instrument::UpDownCounter,
    &["hostmend.origin"],
    "Series of received telemetry and of log lines kept for the rules.",
);
static OUTSIDE_REJECTED: MetricSpec = own(
    "hostmend.series.received.rejected",
    "{sample}",
    Instrument::Counter,
    &["hostmend.origin", "hostmend.reason"],
    "Samples of received telemetry and of log lines that were not kept for the rules, by reason: not_newer, too_many_series, foreign (a \
     name of the host's), too_old.",
);

/// All of them.
pub(crate) static METRICS: [&MetricSpec; 4] =
    [&TAP_RECORDS, &TAP_LEFT_OUT, &OUTSIDE_SERIES, &OUTSIDE_REJECTED];

/// Of one listener.
pub(super) struct Figures {
    pub(super) origin: Origin,
    pub(super) spans: Option<(TapFigures, u64)>,
    pub(super) logs: Option<(TapFigures, u64)>,
    pub(super) points: Option<(TapFigures, PointFigures)>,
}

/// Points of one metric have to be written one after the other.
pub(super) fn write(all: &[Figures], store: &Store, out: &mut SampleBuffer) {
    for figures in all {
        let origin = figures.origin.to_string();
        let spans = figures.spans.map(|(spans, _)| ("traces", spans));
        let points = figures.points.map(|(points, _)| ("metrics", points));
        let logs = figures.logs.map(|(logs, _)| ("logs", logs));
        for (signal, seen) in spans.into_iter().chain(logs).chain(points) {
            for (outcome, records) in
                [("looked_at", seen.seen), ("malformed", seen.malformed), ("beyond", seen.beyond)]
            {
                let attributes = [Value::Str(&origin), Value::Str(signal), Value::Str(outcome)];
                out.int(&TAP_RECORDS, &attributes, records as i64);
            }
        }
    }
    for figures in all {
        let origin = figures.origin.to_string();
        let spans = figures.spans.map(|(_, overflowed)| ("traces", "overflow", overflowed));
        let logs = figures.logs.map(|(_, overflowed)| ("logs", "overflow", overflowed));
        let points = figures.points.map(|(_, points)| {
            [
                ("metrics", "over_budget", points.over_budget),
                ("metrics", "host_name", points.host_name),
                ("metrics", "unfit", points.unfit),
                ("metrics", "repeated", points.repeated),
                ("metrics", "waiting", points.waiting),
            ]
        });
        for (signal, reason, records) in spans.into_iter().chain(logs).chain(points.into_iter().flatten()) {
            let attributes = [Value::Str(&origin), Value::Str(signal), Value::Str(reason)];
            out.int(&TAP_LEFT_OUT, &attributes, records as i64);
        }
    }
    for (origin, figures) in store.outside() {
        out.int(&OUTSIDE_SERIES, &[Value::Str(&origin.to_string())], figures.series as i64);
    }
    for (origin, figures) in store.outside() {
        let rejected = figures.rejections;
        for (reason, samples) in [
            ("not_newer", rejected.not_newer),
            ("too_many_series", rejected.too_many_series),
            ("foreign", rejected.foreign),
            ("too_old", rejected.too_old),
        ] {
            let attributes = [Value::Str(&origin.to_string()), Value::Str(reason)];
            out.int(&OUTSIDE_REJECTED, &attributes, samples as i64);
        }
    }
}
