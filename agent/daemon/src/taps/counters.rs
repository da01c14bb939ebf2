//! The series that span metrics and log rules become.
//!
//! A refusal is counted by the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use otlp::tap::{Calls, LogTap, Matches, SpanMetrics};
use series::{Outside, STALE, Store};
use telemetry::{Origin, Timestamp};

use super::access;
use super::labels::{Naming, bound};

const CALLS: &str = "traces.span.metrics.calls";
const CALLS_TOTAL: &str = "traces_span_metrics_calls_total";
const DURATION: &str = "traces_span_metrics_duration_milliseconds";
const MATCHES: &str = "log.rule.matches";
const MATCHES_TOTAL: &str = "log_rule_matches_total";

/// The names of the counters of log rules, and of the label that says which rule.
pub(crate) const LOG_MATCHES: [&str; 2] = [MATCHES, MATCHES_TOTAL];
pub(crate) const LOG_RULE: [&str; 2] = ["log.rule.name", "log_rule_name"];

/// By more than this, in milliseconds, a time before the last one means that the clock was set back.
const SET_BACK: i64 = 60_000;

const SPAN_LABELS: &[&str] = &["service_name", "span_name", "span_kind", "status_code"];

/// A series that spans or log records become, for the metrics reference.
pub(crate) struct Made {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    /// Beside the one of the origin.
    pub(crate) labels: &'static [&'static str],
    pub(crate) meaning: &'static str,
}

/// All of them.
pub(crate) static MADE: &[Made] = &[
    Made {
        name: CALLS_TOTAL,
        kind: "counter",
        labels: SPAN_LABELS,
        meaning: "Spans that ended. Beyond `max_series` they are counted under `otel_metric_overflow` alone.",
    },
    Made {
        name: DURATION,
        kind: "histogram",
        labels: SPAN_LABELS,
        meaning: "How long the spans took, as `_bucket`, `_sum` and `_count`.",
    },
    Made {
        name: MATCHES_TOTAL,
        kind: "counter",
        labels: &["log_rule_name", "the labels of the rule"],
        meaning: "Lines of log sources and received log records that a rule of `log_rules` matched. Labels beyond its `max_series` are \
                  counted under `otel_metric_overflow`.",
    },
    Made {
        name: access::REQUESTS_TOTAL,
        kind: "counter",
        labels: access::LABELS,
        meaning: "Requests in the lines of access logs. Beyond `max_series` they are counted under `otel_metric_overflow` alone.",
    },
    Made {
        name: access::DURATION,
        kind: "histogram",
        labels: access::LABELS,
        meaning: "How long these requests took, where the log says so, as `_bucket`, `_sum` and `_count`.",
    },
];

/// A counter that is made here.
pub(super) fn counter(origin: &Origin, naming: &Naming, name: &str, label: (&str, &str)) -> Outside {
    let labels = naming.prometheus(name, origin, label);
    Outside { origin: origin.clone(), labels, alias: None, from_zero: true }
}

/// A counter that has a name of OpenTelemetry's too.
pub(super) fn counter_of_two_names(
    origin: &Origin,
    naming: &Naming,
    otel: &str,
    prometheus: &str,
) -> Outside {
    Outside {
        origin: origin.clone(),
        labels: naming.otel(otel, origin),
        alias: Some(naming.prometheus(prometheus, origin, ("", ""))),
        from_zero: true,
    }
}

/// A refusal is counted by the store.
pub(super) fn append(store: &mut Store, series: &Outside, at: Timestamp, value: f64) {
    let _ = store.append_outside(series, at, value);
}

/// The series of one combination of service, name, kind and status.
#[derive(Debug)]
struct OfCalls {
    calls: Outside,
    buckets: Box<[Outside]>,
    sum: Outside,
    count: Outside,
}

impl OfCalls {
    fn all(&self) -> impl Iterator<Item = &Outside> {
        [&self.calls, &self.sum, &self.count].into_iter().chain(&self.buckets)
    }
}

/// The series of one listener's span metrics.
#[derive(Debug)]
pub(super) struct SpanSeries {
    origin: Origin,
    /// The values of `le`.
    bounds: Arc<[String]>,
    of: HashMap<u64, OfCalls>,
}

impl SpanSeries {
    pub(super) fn new(origin: &Origin, bounds: &[Duration]) -> Self {
        let bounds = bounds.iter().map(|bound| bound.as_nanos() as f64 / 1e6);
        let bounds = bounds.chain([f64::INFINITY]).map(bound).collect();
        Self { origin: origin.clone(), bounds, of: HashMap::new() }
    }

    /// Ends the series of combinations that were given up.
    pub(super) fn end(&mut self, gone: Vec<u64>, store: &mut Store, at: Timestamp) {
        for number in gone {
            if let Some(series) = self.of.remove(&number) {
                series.all().for_each(|series| append(store, series, at, STALE));
            }
        }
    }

    pub(super) fn append(&mut self, metrics: &SpanMetrics, store: &mut Store, at: Timestamp) {
        let Self { origin, bounds, of } = self;
        for calls in metrics.calls() {
            let series = of.entry(calls.number).or_insert_with(|| begin(origin, bounds, calls));
            append(store, &series.calls, at, calls.count as f64);
            let mut below = 0;
            for (series, bucket) in series.buckets.iter().zip(&calls.buckets) {
                below += bucket;
                append(store, series, at, below as f64);
            }
            append(store, &series.sum, at, calls.sum());
            append(store, &series.count, at, calls.count as f64);
        }
    }
}

fn begin(origin: &Origin, bounds: &[String], calls: &Calls) -> OfCalls {
    let mut naming = Naming::default();
    if calls.overflow {
        naming.set("otel.metric.overflow", "true");
    } else {
        naming
            .set("service.name", &calls.service)
            .set("span.name", &calls.name)
            .set("span.kind", calls.kind.as_str())
            .set("status.code", calls.status.as_str());
    }
    let part = |suffix: &str, label| counter(origin, &naming, &format!("{DURATION}{suffix}"), label);
    OfCalls {
        calls: counter_of_two_names(origin, &naming, CALLS, CALLS_TOTAL),
        buckets: bounds.iter().map(|bound| part("_bucket", ("le", bound))).collect(),
        sum: part("_sum", ("", "")),
        count: part("_count", ("", "")),
    }
}

/// The series of one rule and its labels.
#[derive(Debug)]
struct OfMatches {
    series: Outside,
    /// The last sample. There is one of each millisecond.
    at: i64,
    count: u64,
}

/// The series of the log rules of one origin.
#[derive(Debug)]
pub(super) struct LogSeries {
    origin: Origin,
    of: HashMap<u64, OfMatches>,
}

impl LogSeries {
    pub(super) fn new(origin: &Origin) -> Self {
        Self { origin: origin.clone(), of: HashMap::new() }
    }

    /// Ends the series of labels that were given up.
    pub(super) fn end(&mut self, gone: Vec<u64>, store: &mut Store, at: Timestamp) {
        for number in gone {
            if let Some(of) = self.of.remove(&number) {
                append(store, &of.series, at, STALE);
            }
        }
    }

    /// Appends all counts.
    pub(super) fn append(&mut self, tap: &LogTap, store: &mut Store, at: Timestamp) {
        for matches in tap.matches() {
            self.append_one(tap, matches, store, at);
        }
    }

    /// Appends the counts of these rules that have changed since they were appended.
    pub(super) fn append_changed(
        &mut self,
        tap: &LogTap,
        rules: &BTreeSet<String>,
        store: &mut Store,
        at: Timestamp,
    ) {
        for matches in tap.matches() {
            let rule = tap.rules().rules().get(matches.rule);
            let is_known = self.of.get(&matches.number).is_some_and(|of| of.count == matches.count);
            if !is_known && rule.is_some_and(|rule| rules.contains(&rule.name)) {
                self.append_one(tap, matches, store, at);
            }
        }
    }

    fn append_one(&mut self, tap: &LogTap, matches: &Matches, store: &mut Store, at: Timestamp) {
        let Self { origin, of } = self;
        let fresh = || OfMatches { series: series_of(origin, tap, matches), at: i64::MIN, count: 0 };
        let known = of.entry(matches.number).or_insert_with(fresh);
        // A look between two collections may be newer than the collection that was under way.
        if at.as_millis() > known.at || at.as_millis() < known.at - SET_BACK {
            (known.at, known.count) = (at.as_millis(), matches.count);
            append(store, &known.series, at, matches.count as f64);
        }
    }
}

fn series_of(origin: &Origin, tap: &LogTap, matches: &Matches) -> Outside {
    let mut naming = Naming::default();
    if let Some(rule) = tap.rules().rules().get(matches.rule) {
        naming.set("log.rule.name", &rule.name);
        for ((name, _), value) in rule.labels.iter().zip(&matches.values) {
            naming.set(name, value);
        }
    }
    if matches.overflow {
        naming.set("otel.metric.overflow", "true");
    }
    counter_of_two_names(origin, &naming, MATCHES, MATCHES_TOTAL)
}
