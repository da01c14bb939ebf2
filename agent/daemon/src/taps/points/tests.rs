use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Any, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource as DecodedResource;
use prost::Message as _;
use series::{Limits, Matcher};
use telemetry::{METRIC_NAME, SampleBuffer};

use super::super::tests::text;
use super::*;

const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + second as i64)
}

fn nanos(second: u64) -> u64 {
    at(second).as_nanos() as u64
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(Any { value: Some(value) }), ..KeyValue::default() }
}

fn word(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

fn request(resource: Vec<KeyValue>, metrics: Vec<Metric>) -> Vec<u8> {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(DecodedResource { attributes: resource, ..DecodedResource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    }
    .encode_to_vec()
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() }
}

fn number(second: u64, value: f64, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        time_unix_nano: nanos(second),
        value: Some(Number::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn gauge(points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge { data_points: points })
}

fn sum(temporality: i32, points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic: true })
}

fn histogram(temporality: i32, second: u64, counts: &[u64], sum: Option<f64>) -> Data {
    Data::Histogram(Histogram {
        data_points: vec![HistogramDataPoint {
            time_unix_nano: nanos(second),
            count: counts.iter().sum(),
            sum,
            bucket_counts: counts.to_vec(),
            explicit_bounds: vec![0.005, 1.0],
            ..HistogramDataPoint::default()
        }],
        aggregation_temporality: temporality,
    })
}

/// Points of a listener, and the store that they go to.
struct Bench {
    points: Points,
    names: HostNames,
    store: Store,
}

impl Bench {
    fn new(max_series: usize) -> Self {
        let origin = Origin::Otlp(Arc::from("apps"));
        let mut store = Store::new(Limits::default());
        store.set_budget(origin.clone(), max_series);
        Self { points: Points::new(origin, max_series), names: HostNames::new([], ["up.time"]), store }
    }

    fn see(&mut self, second: u64, metrics: Vec<Metric>) {
        self.points.see(&request(Vec::new(), metrics), &self.names, at(second));
    }

    fn collect(&mut self, second: u64) {
        let mut buffer = SampleBuffer::default();
        buffer.reset(at(second), Timestamp::EPOCH);
        self.store.append(&buffer);
        self.points.append(&mut self.store, at(second));
    }

    fn samples(&self, metric: &str) -> Vec<(i64, f64)> {
        let id = self.store.select(&[Matcher::equal(METRIC_NAME, metric)])[0];
        let mut scratch = series::Scratch::default();
        let samples = self.store.samples(id, i64::MIN, i64::MAX, &mut scratch);
        let seconds = samples.times.iter().map(|time| time / 1_000 - 1_700_000_000);
        seconds.zip(samples.values.iter().copied()).collect()
    }
}

#[test]
fn a_point_is_named_as_prometheus_names_what_it_receives() {
    let mut bench = Bench::new(100);
    let resource = vec![
        word("service.namespace", "shop"),
        word("service.name", "cart"),
        word("service.instance.id", "i-1"),
        word("host.name", "web-01"),
    ];
    let attributes = || {
        vec![
            word("http.request.method", "GET"),
            pair("http.response.status_code", Value::IntValue(200)),
            pair("error", Value::BoolValue(false)),
            word("job", "not mine to say"),
            word("hostmend.origin", "host"),
            word("hostmend_origin", "host"),
            word("__name__", "system_cpu_time_seconds_total"),
        ]
    };
    let points = |value| vec![number(5, value, attributes())];
    let metrics = vec![
        metric("http.server.requests", "{request}", sum(CUMULATIVE, points(7.0))),
        metric("cart.memory", "By", gauge(points(8.0))),
        metric("depth", "", gauge(points(9.0))),
    ];
    bench.points.see(&request(resource, metrics), &bench.names, at(5));
    bench.collect(10);
    let labels = r#"error="false", hostmend_origin="otlp:apps", http_request_method="GET", http_response_status_code="200", instance="i-1", job="shop/cart""#;
    for (metric, value) in [("http_server_requests_total", 7), ("cart_memory_bytes", 8), ("depth", 9)] {
        assert_eq!(text(&bench.store, metric), [format!("{metric}{{{labels}}} {value}")]);
    }
    let dotted = r#"{"cart.memory", error="false", "hostmend.origin"="otlp:apps", "http.request.method"="GET", "http.response.status_code"="200", instance="i-1", job="shop/cart"} 8"#;
    assert_eq!(text(&bench.store, "cart.memory"), [dotted]);
    assert_eq!(bench.store.series_count(), 3);
}

#[test]
fn histograms_and_summaries_become_their_classic_series() {
    let mut bench = Bench::new(100);
    let exponential = Data::ExponentialHistogram(ExponentialHistogram {
        data_points: vec![ExponentialHistogramDataPoint {
            time_unix_nano: nanos(5),
            count: 3,
            sum: Some(1.5),
            ..ExponentialHistogramDataPoint::default()
        }],
        aggregation_temporality: CUMULATIVE,
    });
    let summary = Data::Summary(Summary {
        data_points: vec![SummaryDataPoint {
            time_unix_nano: nanos(5),
            count: 4,
            sum: 2.5,
            quantile_values: vec![ValueAtQuantile { quantile: 0.99, value: 0.75 }],
            ..SummaryDataPoint::default()
        }],
    });
    bench.see(
        5,
        vec![
            metric("request.duration", "s", histogram(CUMULATIVE, 5, &[1, 2, 4], Some(9.5))),
            metric("batch.duration", "s", exponential),
            metric("gc", "", summary),
        ],
    );
    bench.collect(10);
    let origin = r#"hostmend_origin="otlp:apps""#;
    for (metric, expected) in [
        (
            "request_duration_seconds_bucket",
            vec![(r#", le="+Inf""#, 7.0), (r#", le="0.005""#, 1.0), (r#", le="1""#, 3.0)],
        ),
        ("request_duration_seconds_count", vec![("", 7.0)]),
        ("request_duration_seconds_sum", vec![("", 9.5)]),
        ("batch_duration_seconds_count", vec![("", 3.0)]),
        ("batch_duration_seconds_sum", vec![("", 1.5)]),
        ("gc", vec![(r#", quantile="0.99""#, 0.75)]),
        ("gc_count", vec![("", 4.0)]),
        ("gc_sum", vec![("", 2.5)]),
    ] {
        let expected: Vec<String> = expected
            .into_iter()
            .map(|(label, value)| format!("{metric}{{{origin}{label}}} {value}"))
            .collect();
        assert_eq!(text(&bench.store, metric), expected);
    }
}

#[test]
fn deltas_are_added_up_and_one_that_is_repeated_counts_once() {
    let mut bench = Bench::new(100);
    for (second, value) in [(1, 5.0), (2, 3.0), (2, 3.0), (1, 5.0), (4, 2.0)] {
        bench.see(second, vec![metric("jobs", "", sum(DELTA, vec![number(second, value, Vec::new())]))]);
    }
    for (second, counts) in [(1, [1, 0, 0]), (2, [1, 1, 1])] {
        bench.see(second, vec![metric("wait", "s", histogram(DELTA, second, &counts, None))]);
    }
    bench.collect(10);
    assert_eq!(bench.samples("jobs_total"), [(1, 5.0), (2, 8.0), (4, 10.0)]);
    let buckets = text(&bench.store, "wait_seconds_bucket");
    let values: Vec<_> = buckets.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(values, ["4", "2", "3"]);
    assert_eq!(bench.points.figures().1, PointFigures { repeated: 2, ..PointFigures::default() });
}

#[test]
fn a_point_without_a_recorded_value_ends_its_series() {
    let mut bench = Bench::new(100);
    let gone = NumberDataPoint { time_unix_nano: nanos(6), flags: 1, ..NumberDataPoint::default() };
    bench.see(5, vec![metric("depth", "", gauge(vec![number(5, 1.0, Vec::new())]))]);
    bench.see(5, vec![metric("wait", "s", histogram(CUMULATIVE, 5, &[1, 2, 4], Some(1.0)))]);
    bench
        .see(6, vec![metric("depth", "", gauge(vec![gone.clone()])), metric("never", "", gauge(vec![gone]))]);
    let ended = HistogramDataPoint { time_unix_nano: nanos(6), flags: 1, ..HistogramDataPoint::default() };
    let ended = Histogram { data_points: vec![ended], aggregation_temporality: CUMULATIVE };
    bench.see(6, vec![metric("wait", "s", Data::Histogram(ended))]);
    bench.collect(10);
    assert_eq!(text(&bench.store, "depth"), [r#"depth{hostmend_origin="otlp:apps"} ended"#]);
    assert!(text(&bench.store, "wait_seconds_bucket").iter().all(|line| line.ends_with(" ended")));
    assert!(text(&bench.store, "never").is_empty());
}

#[test]
fn what_is_no_series_is_counted_and_the_rest_is_kept() {
    let list = pair("list", Value::ArrayValue(ArrayValue::default()));
    let mut short = histogram(CUMULATIVE, 5, &[1, 2], None);
    if let Data::Histogram(data) = &mut short {
        data.data_points[0].count = 3;
    }
    for (unfit, why) in [
        (metric("", "", gauge(vec![number(5, 1.0, Vec::new())])), "no name"),
        (metric("a", "", sum(0, vec![number(5, 1.0, Vec::new())])), "no temporality"),
        (metric("a", "", gauge(vec![number(5, 1.0, vec![list])])), "a list as attribute"),
        (metric("a", "", gauge(vec![number(5, 1.0, vec![word("k", &"x".repeat(5_000))])])), "a long label"),
        (
            metric("a", "", gauge(vec![NumberDataPoint { value: None, ..number(5, 1.0, Vec::new()) }])),
            "no value",
        ),
        (metric("a", "", short), "fewer buckets than bounds"),
    ] {
        let mut bench = Bench::new(100);
        bench.see(5, vec![unfit, metric("b", "", gauge(vec![number(5, 1.0, Vec::new())]))]);
        bench.collect(10);
        assert_eq!(bench.points.figures().1, PointFigures { unfit: 1, ..PointFigures::default() }, "{why}");
        assert_eq!(bench.store.series_count(), 1, "{why}");
    }
}

#[test]
fn names_of_the_host_are_refused_each_time_and_cost_no_budget() {
    let mut bench = Bench::new(1);
    for second in [1, 2] {
        bench.see(second, vec![metric("up.time", "", gauge(vec![number(second, 1.0, Vec::new())]))]);
        bench.see(second, vec![metric("node.load1", "", gauge(vec![number(second, 1.0, Vec::new())]))]);
    }
    bench.see(3, vec![metric("mine", "", gauge(vec![number(3, 1.0, Vec::new())]))]);
    bench.collect(10);
    assert_eq!(bench.points.figures().1, PointFigures { host_name: 4, ..PointFigures::default() });
    assert_eq!(bench.store.series_count(), 1);
}

#[test]
fn a_flood_of_series_leaves_those_that_were_there_and_ends_when_they_idle() {
    let mut bench = Bench::new(10);
    let point = |second: u64, key: u64| number(second, 1.0, vec![word("key", &key.to_string())]);
    bench.see(1, vec![metric("load", "", gauge(vec![point(1, 0)]))]);
    for batch in 0..100 {
        let points = (1..=1_000).map(|key| point(2, batch * 1_000 + key)).collect();
        bench.see(2, vec![metric("load", "", gauge(points))]);
    }
    bench.see(9, vec![metric("load", "", gauge(vec![point(9, 0)]))]);
    bench.collect(10);
    assert_eq!(bench.store.series_count(), 10);
    let refused = bench.points.figures().1;
    assert_eq!(refused, PointFigures { over_budget: 99_991, ..PointFigures::default() });
    bench.see(605, vec![metric("load", "", gauge(vec![point(605, 0)]))]);
    bench.collect(610);
    bench.see(611, vec![metric("load", "", gauge(vec![point(611, 777_777)]))]);
    bench.collect(620);
    let lines = text(&bench.store, "load");
    assert!(lines.iter().any(|line| line.contains("777777") && line.ends_with(" 1")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains(r#"key="0""#) && line.ends_with(" 1")), "{lines:#?}");
}

#[test]
fn points_keep_their_times_unless_they_lie_ahead_and_those_too_old_are_counted() {
    let mut bench = Bench::new(100);
    bench.collect(10_000);
    let points = [1, 10_002, 10_004, 99_999].map(|second| number(second, second as f64, Vec::new()));
    bench.see(10_005, vec![metric("depth", "", gauge(points.to_vec()))]);
    bench.collect(10_010);
    assert_eq!(bench.samples("depth"), [(10_002, 10_002.0), (10_004, 10_004.0), (10_010, 99_999.0)]);
    let (_, figures) = bench.store.outside().next().unwrap();
    assert_eq!(figures.rejections.too_old, 1);
}

#[test]
fn points_beyond_the_limit_of_a_request_and_beyond_what_may_wait_are_counted() {
    let mut bench = Bench::new(1);
    let many = vec![number(1, 1.0, Vec::new()); RECORDS_PER_REQUEST as usize + 3];
    bench.see(1, vec![metric("depth", "", gauge(many))]);
    let (seen, points) = bench.points.figures();
    assert_eq!(seen.beyond, 3);
    assert_eq!(points.waiting, RECORDS_PER_REQUEST - 10);
}
