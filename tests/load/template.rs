//! One request that is sent again and again with other numbers in it.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use crate::numbers::{Signal, offsets};

/// 2026-01-01, in nanoseconds since the epoch.
const BEGAN: u64 = 1_767_225_600_000_000_000;

/// A request, encoded.
#[derive(Clone, Debug)]
pub struct Template {
    signal: Signal,
    request: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    /// A request with `items` items, of about 450 bytes each for spans, 300 for log records and 100 for points.
    pub fn new(signal: Signal, items: u64) -> Self {
        let request = match signal {
            Signal::Metrics => metrics(items).encode_to_vec(),
            Signal::Traces => traces(items).encode_to_vec(),
            Signal::Logs => logs(items).encode_to_vec(),
        };
        let places = offsets(signal, &request);
        assert_eq!(places.len() as u64, items, "each item has a place for its number");
        Self { signal, request, places }
    }

    /// What it holds.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// How many items it holds.
    pub fn items(&self) -> u64 {
        self.places.len() as u64
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        self.request.len()
    }

    /// The request with its items numbered from `first` on.
    pub fn numbered(&self, first: u64) -> Bytes {
        let mut request = self.request.clone();
        for (place, number) in self.places.iter().zip(first..) {
            if let Some(bytes) = request.get_mut(*place..*place + 8) {
                bytes.copy_from_slice(&number.to_le_bytes());
            }
        }
        request.into()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn resource() -> Resource {
    let attributes = vec![
        text("service.name", "checkout"),
        text("service.namespace", "shop"),
        text("service.version", "1.14.2"),
        text("telemetry.sdk.language", "java"),
    ];
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "io.opentelemetry.tomcat-10.0".to_owned(),
        version: "2.9.0".to_owned(),
        ..InstrumentationScope::default()
    }
}

fn traces(items: u64) -> ExportTraceServiceRequest {
    let spans = (0..items).map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource()), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn span(at: u64) -> Span {
    let began = BEGAN + at * 1_000_000;
    let route = format!("/api/v2/orders/{{order}}/items/{}", at % 12);
    let failed = at.is_multiple_of(50);
    Span {
        trace_id: (u128::from(at) | 1 << 100).to_be_bytes().to_vec(),
        span_id: vec![1; 8],
        parent_span_id: (at + 7).to_be_bytes().to_vec(),
        flags: 0x101,
        name: format!("GET {route}"),
        kind: 2,
        start_time_unix_nano: began,
        end_time_unix_nano: began + (1 + at % 300) * 1_000_000,
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", &route),
            text("url.path", &format!("/api/v2/orders/{}/items/{}", 100_000 + at, at % 12)),
            text("url.scheme", "https"),
            attribute("http.response.status_code", Value::IntValue(if failed { 500 } else { 200 })),
            text("server.address", "shop.example.org"),
            text("client.address", &format!("10.1.{}.{}", at / 250 % 250, at % 250)),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0)"),
            attribute("network.protocol.version", Value::StringValue("1.1".to_owned())),
            attribute("thread.id", Value::IntValue((at % 40) as i64)),
        ],
        status: Some(Status { code: if failed { 2 } else { 0 }, ..Status::default() }),
        ..Span::default()
    }
}

fn logs(items: u64) -> ExportLogsServiceRequest {
    let log_records = (0..items).map(record).collect();
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }];
    let resource_logs =
        vec![ResourceLogs { resource: Some(resource()), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }
}

fn record(at: u64) -> LogRecord {
    let body = format!(
        "order {} was taken from the basket and reserved in warehouse {}; payment by card is awaited",
        100_000 + at,
        at % 7
    );
    LogRecord {
        time_unix_nano: BEGAN + at * 1_000_000,
        observed_time_unix_nano: BEGAN + at * 1_000_000 + 200,
        severity_number: if at.is_multiple_of(50) { 17 } else { 9 },
        severity_text: if at.is_multiple_of(50) { "ERROR" } else { "INFO" }.to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
        attributes: vec![
            text("logger", "org.example.shop.OrderService"),
            text("thread.name", &format!("http-nio-8080-exec-{}", at % 40)),
        ],
        trace_id: (u128::from(at) | 1 << 100).to_be_bytes().to_vec(),
        span_id: vec![1; 8],
        flags: 1,
        ..LogRecord::default()
    }
}

fn metrics(items: u64) -> ExportMetricsServiceRequest {
    let metrics = (0..items.div_ceil(10)).map(|at| gauge(at, (items - at * 10).min(10))).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn gauge(at: u64, points: u64) -> Metric {
    let data_points = (0..points).map(|point| NumberDataPoint {
        attributes: vec![
            text("pool.name", &format!("pool-{point}")),
            text("state", if point.is_multiple_of(2) { "idle" } else { "used" }),
        ],
        start_time_unix_nano: BEGAN,
        time_unix_nano: BEGAN + 10_000_000_000,
        value: Some(number_data_point::Value::AsInt(1)),
        ..NumberDataPoint::default()
    });
    Metric {
        name: format!("shop.pool.connections.{at}"),
        unit: "{connection}".to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: data_points.collect() })),
        ..Metric::default()
    }
}
