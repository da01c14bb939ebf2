use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::super::{RECORDS_PER_REQUEST, SpanMetricsEncoder};
use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn span(name: &str, kind: i32, millis: u64, code: i32) -> Span {
    Span {
        name: name.to_owned(),
        kind,
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 1_000_000_000 + millis * 1_000_000,
        status: Some(Status { code, ..Status::default() }),
        ..Span::default()
    }
}

fn request(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let value = Some(AnyValue { value: Some(Value::StringValue(service.to_owned())) });
    let name = KeyValue { key: "service.name".to_owned(), value, ..KeyValue::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![name], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}

fn metrics(max_series: usize) -> SpanMetrics {
    SpanMetrics::new(&[Duration::from_millis(10), Duration::from_millis(100)], max_series)
}

/// One line for each combination.
fn text(metrics: &SpanMetrics) -> Vec<String> {
    let line = |calls: &Calls| {
        let who = if calls.overflow {
            "overflow".to_owned()
        } else {
            format!("{} {} {} {}", calls.service, calls.name, calls.kind.as_str(), calls.status.as_str())
        };
        format!("{who}: {} in {} ms {:?}", calls.count, calls.sum(), calls.buckets)
    };
    metrics.calls().map(line).collect()
}

#[test]
fn calls_and_durations_are_counted_by_service_name_kind_and_status() {
    let mut metrics = metrics(100);
    let spans = vec![span("GET /", 2, 10, 0), span("GET /", 2, 11, 0), span("GET /", 2, 500, 2)];
    metrics.see(&request("web", spans), NOW);
    metrics.see(&request("db", vec![span("GET /", 3, 0, 1)]), NOW);
    assert_eq!(
        text(&metrics),
        [
            "web GET / SPAN_KIND_SERVER STATUS_CODE_UNSET: 2 in 21 ms [1, 1, 0]",
            "web GET / SPAN_KIND_SERVER STATUS_CODE_ERROR: 1 in 500 ms [0, 0, 1]",
            "db GET / SPAN_KIND_CLIENT STATUS_CODE_OK: 1 in 0 ms [1, 0, 0]",
        ]
    );
    assert_eq!(metrics.figures(), TapFigures { seen: 4, ..TapFigures::default() });
}

#[test]
fn what_finds_no_room_is_counted_as_overflow_and_what_was_there_goes_on() {
    // Six series each: two combinations and the overflow.
    let mut metrics = metrics(18);
    for name in ["a", "b", "c", "d", "a"] {
        metrics.see(&request("web", vec![span(name, 2, 1, 0)]), NOW);
    }
    assert_eq!(
        text(&metrics),
        [
            "web a SPAN_KIND_SERVER STATUS_CODE_UNSET: 2 in 2 ms [2, 0, 0]",
            "web b SPAN_KIND_SERVER STATUS_CODE_UNSET: 1 in 1 ms [1, 0, 0]",
            "overflow: 2 in 2 ms [2, 0, 0]",
        ]
    );
    assert_eq!(metrics.overflowed(), 2);
}

#[test]
fn what_was_idle_for_long_makes_room_for_what_is_new() {
    let mut metrics = metrics(18);
    metrics.see(&request("web", vec![span("a", 2, 1, 0), span("b", 2, 1, 0)]), NOW);
    let later = NOW.plus(Duration::from_mins(9));
    metrics.see(&request("web", vec![span("b", 2, 1, 0)]), later);
    assert_eq!(metrics.make_room(later), Vec::<u64>::new());
    let idle = NOW.plus(Duration::from_mins(10));
    assert_eq!(metrics.make_room(idle), [1]);
    metrics.see(&request("web", vec![span("a", 2, 1, 0), span("b", 2, 1, 0)]), idle);
    let a = metrics.calls().find(|calls| &*calls.name == "a").unwrap();
    assert_eq!((a.number, a.count, a.since), (3, 1, idle));
    let b = metrics.calls().find(|calls| &*calls.name == "b").unwrap();
    assert_eq!((b.number, b.count, b.since), (2, 3, NOW));
}

#[test]
fn a_request_is_looked_at_up_to_a_limit() {
    let mut metrics = metrics(100);
    let spans = vec![span("GET /", 2, 1, 0); RECORDS_PER_REQUEST as usize + 7];
    metrics.see(&request("web", spans), NOW);
    assert_eq!(metrics.figures(), TapFigures { seen: RECORDS_PER_REQUEST, beyond: 7, malformed: 0 });
    assert_eq!(metrics.calls().next().unwrap().count, RECORDS_PER_REQUEST);
}

#[test]
fn a_long_name_is_cut() {
    let mut metrics = metrics(100);
    for tail in ["x", "y"] {
        metrics.see(&request("web", vec![span(&("n".repeat(1_000) + tail), 2, 1, 0)]), NOW);
    }
    let names: Vec<_> = metrics.calls().map(|calls| (calls.name.len(), calls.count)).collect();
    assert_eq!(names, [(NAME_BYTES, 2)]);
}

#[test]
fn what_cannot_be_read_is_counted_and_left_out() {
    let mut metrics = metrics(100);
    metrics.see(&[0x0a, 0x07, 0x12, 0x05, 0x12, 0x03, 0x2a, 0x09, b'x', 0x0a], NOW);
    assert_eq!(metrics.figures(), TapFigures { seen: 1, malformed: 2, beyond: 0 });
    assert_eq!(metrics.calls().count(), 0);
}

#[test]
fn exported_span_metrics_are_cumulative_since_their_first_span() {
    let mut metrics = metrics(12);
    metrics.see(&request("web", vec![span("a", 2, 11, 2)]), NOW);
    metrics.see(&request("web", vec![span("b", 2, 1, 0)]), NOW);
    let host = [("host.name".to_owned(), "web-01".into())];
    let later = NOW.plus(Duration::from_secs(10));
    let batches = SpanMetricsEncoder::new(&host, "otlp:apps").encode(&metrics, later);
    assert_eq!(batches.len(), 1);
    assert_eq!(crate::count_items(batches[0].signal, &batches[0].payload), Ok(4));
    assert_eq!(batches[0].items, 4);
    let request = ExportMetricsServiceRequest::decode(&*batches[0].payload).unwrap();
    let resource = &request.resource_metrics[0];
    assert_eq!(resource.resource.as_ref().unwrap().attributes[0].key, "host.name");
    let scope = &resource.scope_metrics[0];
    assert_eq!(scope.scope.as_ref().unwrap().name, "hostmend/span-metrics");
    let names: Vec<_> = scope.metrics.iter().map(|metric| (&*metric.name, &*metric.unit)).collect();
    assert_eq!(names, [("traces.span.metrics.calls", ""), ("traces.span.metrics.duration", "ms")]);
    let Some(Data::Sum(sum)) = &scope.metrics[0].data else { panic!("{:?}", scope.metrics[0]) };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    let point = &sum.data_points[0];
    let (start, end) = (point.start_time_unix_nano as i64, point.time_unix_nano as i64);
    assert_eq!((start, end), (NOW.as_nanos(), later.as_nanos()));
    let Some(Data::Histogram(histogram)) = &scope.metrics[1].data else { panic!("{:?}", scope.metrics[1]) };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (1, Some(11.0)));
    assert_eq!(point.bucket_counts, [0, 1, 0]);
    assert_eq!(point.explicit_bounds, [10.0, 100.0]);
    let attributes: Vec<_> = point
        .attributes
        .iter()
        .map(|pair| (&*pair.key, pair.value.as_ref().and_then(|value| value.value.clone())))
        .collect();
    let text = |text: &str| Some(Value::StringValue(text.to_owned()));
    assert_eq!(
        attributes,
        [
            ("hostmend.origin", text("otlp:apps")),
            ("service.name", text("web")),
            ("span.name", text("a")),
            ("span.kind", text("SPAN_KIND_SERVER")),
            ("status.code", text("STATUS_CODE_ERROR")),
        ]
    );
    let overflow = &histogram.data_points[1].attributes[1];
    assert_eq!(overflow.key, "otel.metric.overflow");
    assert_eq!(overflow.value.as_ref().unwrap().value, Some(Value::BoolValue(true)));
}
