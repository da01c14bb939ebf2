use documents::Document;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use otlp::tap::LogRule;
use prost::Message as _;
use series::{Limits, Matcher};
use telemetry::{METRIC_NAME, SampleBuffer};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + second)
}

/// A collection of a host of which nothing is known.
pub(super) fn collection(store: &mut Store, taps: &Taps, second: i64) {
    let mut buffer = SampleBuffer::default();
    buffer.reset(at(second), Timestamp::EPOCH);
    store.append(&buffer);
    taps.collect(store, at(second));
}

/// The series of a metric with the newest value of each, as Prometheus prints them, in order.
pub(super) fn text(store: &Store, metric: &str) -> Vec<String> {
    let ids = store.select(&[Matcher::equal(METRIC_NAME, metric)]);
    let line = |id| {
        let mut scratch = series::Scratch::default();
        let samples = store.samples(id, i64::MIN, i64::MAX, &mut scratch);
        let newest = samples.values.last().copied().unwrap_or(f64::NAN);
        let newest = if series::is_stale(newest) { "ended".to_owned() } else { newest.to_string() };
        format!("{} {newest}", store.labels(id))
    };
    let mut lines: Vec<String> = ids.into_iter().map(line).collect();
    lines.sort();
    lines
}

fn spans(service: &str, spans: &[(&str, u64, i32)]) -> Vec<u8> {
    let value = Some(AnyValue { value: Some(Value::StringValue(service.to_owned())) });
    let name = KeyValue { key: "service.name".to_owned(), value, ..KeyValue::default() };
    let span = |(name, millis, code): &(&str, u64, i32)| Span {
        name: (*name).to_owned(),
        kind: 2,
        end_time_unix_nano: millis * 1_000_000,
        status: Some(Status { code: *code, ..Status::default() }),
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![name], ..Resource::default() }),
            scope_spans: vec![ScopeSpans {
                spans: spans.iter().map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}

fn lines(bodies: &[&str]) -> Vec<u8> {
    let record = |body: &&str| LogRecord {
        body: Some(AnyValue { value: Some(Value::StringValue((*body).to_owned())) }),
        ..LogRecord::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: bodies.iter().map(record).collect(),
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
    .encode_to_vec()
}

fn options(log_rules: &[(&str, &str)]) -> TapOptions {
    let rule = |(name, pattern): &(&str, &str)| LogRule::new(name, pattern);
    TapOptions {
        spans: Some(SpanOptions {
            bounds: vec![Duration::from_millis(10), Duration::from_millis(2_500)],
            ..SpanOptions::default()
        }),
        log_rules: Arc::new(LogRules::new(log_rules.iter().map(rule).collect()).unwrap()),
        access: None,
        points: Some(100),
        sources: BTreeMap::new(),
        budgets: BTreeMap::new(),
    }
}

fn taps(options: TapOptions) -> Taps {
    Taps::new(options, HostNames::default(), &[])
}

#[test]
fn spans_become_the_series_that_the_spanmetrics_connector_makes() {
    let (mut store, taps) = (Store::default(), taps(options(&[])));
    collection(&mut store, &taps, 0);
    taps.see("apps", Signal::Traces, &spans("web", &[("GET /", 10, 0), ("GET /", 3_000, 0)]), at(5));
    collection(&mut store, &taps, 10);
    let labels = r#"hostmend_origin="otlp:apps", "#;
    let of_span = r#"service_name="web", span_kind="SPAN_KIND_SERVER", span_name="GET /", status_code="STATUS_CODE_UNSET"}"#;
    for (metric, le, expected) in [
        ("traces_span_metrics_calls_total", "", "2"),
        ("traces_span_metrics_duration_milliseconds_count", "", "2"),
        ("traces_span_metrics_duration_milliseconds_sum", "", "3010"),
        ("traces_span_metrics_duration_milliseconds_bucket", r#"le="+Inf", "#, "2"),
        ("traces_span_metrics_duration_milliseconds_bucket", r#"le="10", "#, "1"),
        ("traces_span_metrics_duration_milliseconds_bucket", r#"le="2500", "#, "1"),
    ] {
        let expected = format!("{metric}{{{labels}{le}{of_span} {expected}");
        assert!(text(&store, metric).contains(&expected), "{expected}\n{:#?}", text(&store, metric));
    }
    let ids = store.select(&[Matcher::equal(METRIC_NAME, "traces.span.metrics.calls")]);
    let mut scratch = series::Scratch::default();
    let samples = store.samples(ids[0], i64::MIN, i64::MAX, &mut scratch);
    assert_eq!(samples.values, [0.0, 2.0], "the first call is an increase");
    assert_eq!(store.origin(ids[0]), &Origin::Otlp(Arc::from("apps")));
}

#[test]
fn listeners_do_not_share_what_they_count() {
    let (mut store, taps) = (Store::default(), taps(options(&[("full", "disk full")])));
    for listener in ["apps", "other"] {
        taps.see(listener, Signal::Traces, &spans("web", &[("GET /", 1, 0)]), at(5));
        taps.see(listener, Signal::Logs, &lines(&["disk full", "fine", "disk full"]), at(5));
    }
    collection(&mut store, &taps, 10);
    assert_eq!(text(&store, "traces_span_metrics_calls_total").len(), 2);
    assert_eq!(
        text(&store, "log_rule_matches_total"),
        [
            r#"log_rule_matches_total{hostmend_origin="otlp:apps", log_rule_name="full"} 2"#,
            r#"log_rule_matches_total{hostmend_origin="otlp:other", log_rule_name="full"} 2"#,
        ]
    );
}

#[test]
fn span_names_beyond_the_budget_are_one_overflow_and_come_when_others_were_idle() {
    let mut limited = options(&[]);
    // Six series each: one combination and the overflow.
    limited.spans.as_mut().unwrap().max_series = 12;
    let (mut store, taps) = (Store::default(), taps(limited));
    let see = |second| {
        taps.see("apps", Signal::Traces, &spans("web", &[("b", 1, 0), ("c", 1, 0)]), at(second));
    };
    taps.see("apps", Signal::Traces, &spans("web", &[("a", 1, 0)]), at(1));
    see(2);
    collection(&mut store, &taps, 10);
    let calls = text(&store, "traces_span_metrics_calls_total");
    let overflow =
        r#"traces_span_metrics_calls_total{hostmend_origin="otlp:apps", otel_metric_overflow="true"} 2"#;
    assert_eq!(calls.len(), 2);
    assert!(calls.contains(&overflow.to_owned()), "{calls:#?}");
    collection(&mut store, &taps, 601);
    see(602);
    collection(&mut store, &taps, 610);
    let calls = text(&store, "traces_span_metrics_calls_total");
    assert!(calls.iter().any(|line| line.contains(r#"span_name="b""#)), "{calls:#?}");
    let idle = calls.iter().find(|line| line.contains(r#"span_name="a""#)).unwrap();
    assert!(idle.ends_with(" ended"), "{idle}");
}

#[test]
fn a_listener_with_a_limit_of_its_own_makes_no_more_series() {
    let budgets = BTreeMap::from([("small".to_owned(), 3)]);
    let taps = taps(TapOptions { budgets, ..options(&[]) });
    let mut store = Store::new(Limits::default());
    taps.see("small", Signal::Traces, &spans("web", &[("a", 1, 0)]), at(1));
    collection(&mut store, &taps, 10);
    assert_eq!(store.series_count(), 3);
    let mut buffer = SampleBuffer::default();
    taps.write_figures(&store, &mut buffer);
    let figures = buffer.to_text();
    for line in [
        r#"hostmend.tap.records{hostmend.origin="otlp:small",hostmend.signal="traces",hostmend.outcome="looked_at"} 1"#,
        r#"hostmend.series.received{hostmend.origin="otlp:small"} 3"#,
        r#"hostmend.series.received.rejected{hostmend.origin="otlp:small",hostmend.reason="too_many_series"} 3"#,
    ] {
        assert!(figures.contains(line), "{line}\n{figures}");
    }
}

#[test]
fn taps_that_are_off_look_at_nothing() {
    let off = TapOptions { spans: None, points: None, ..TapOptions::default() };
    let (mut store, taps) = (Store::default(), taps(off));
    for signal in Signal::ALL {
        taps.see("apps", signal, &spans("web", &[("a", 1, 0)]), at(1));
    }
    collection(&mut store, &taps, 10);
    assert!(taps.all().is_empty());
    assert_eq!(store.series_count(), 0);
}

#[test]
fn span_metrics_are_exported_only_when_asked_for() {
    let request = spans("web", &[("a", 1, 0)]);
    for (export, items) in [(false, 0), (true, 2)] {
        let mut options = options(&[]);
        options.spans.as_mut().unwrap().export = export;
        let taps = taps(options);
        taps.see("apps", Signal::Traces, &request, at(1));
        assert_eq!(taps.export(at(10)).iter().map(|batch| batch.items).sum::<u64>(), items);
    }
}

#[test]
fn other_taps_begin_at_zero_and_those_in_force_stay_when_only_names_change() {
    let taps = taps(options(&[]));
    taps.see("apps", Signal::Traces, &spans("web", &[("a", 1, 0)]), at(1));
    taps.set_host_names(HostNames::default());
    assert_eq!(taps.all().len(), 1);
    taps.reconfigure(options(&[("a", "a")]));
    assert!(taps.all().is_empty());
}

#[test]
fn names_of_the_host_are_all_its_metrics_and_what_its_rules_record() {
    let rules = "groups: [{ name: g, rules: [{ record: \"job:errors:rate5m\", expr: up }, { alert: Down, expr: up }] }]\n";
    let file =
        alerting::RuleFile::read(&Document::from_text(std::path::Path::new("rules.yaml"), rules)).unwrap();
    let names = host_names(&file.groups);
    for name in
        ["system.cpu.time", "system_cpu_time_seconds_total", "job:errors:rate5m", "hostmend.tap.records"]
    {
        assert!(names.has(name), "{name}");
    }
    assert!(!names.has("Down"));
}
