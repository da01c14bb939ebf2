//! Made-up requests of all three signals.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;

fn any_value() -> impl Strategy<Value = Option<AnyValue>> {
    let value = prop_oneof![
        3 => "[a-z/é☃ ]{0,9}".prop_map(Value::StringValue),
        1 => any::<bool>().prop_map(Value::BoolValue),
        1 => any::<i64>().prop_map(Value::IntValue),
        1 => any::<f64>().prop_map(Value::DoubleValue),
        1 => vec(any::<u8>(), 0..4).prop_map(Value::BytesValue),
        1 => Just(Value::ArrayValue(ArrayValue { values: vec![AnyValue::default(); 2] })),
    ];
    proptest::option::of(proptest::option::of(value).prop_map(|value| AnyValue { value }))
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop_oneof![Just("service.name".to_owned()), "[a-z.]{0,5}"];
    vec((key, any_value()).prop_map(|(key, value)| KeyValue { key, value, ..Default::default() }), 0..4)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let some = attributes().prop_map(|attributes| Resource { attributes, ..Default::default() });
    proptest::option::of(some)
}

/// Lists of lists, as records lie in scopes of resources.
fn nested<T: std::fmt::Debug>(
    record: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(Option<Resource>, Vec<Vec<T>>)>> {
    vec((resource(), vec(vec(record, 0..4), 0..3)), 0..3)
}

pub(super) fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let status = proptest::option::of(("[a-z]{0,3}", -1..4_i32));
    let span = ("[a-z/é]{0,9}", -1..8_i32, any::<u64>(), any::<u64>(), attributes(), status);
    let span = span.prop_map(|(name, kind, start, end, attributes, status)| Span {
        trace_id: vec![7; 16],
        name,
        kind,
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes,
        status: status.map(|(message, code)| Status { message, code }),
        flags: 1,
        ..Default::default()
    });
    nested(span).prop_map(|resources| ExportTraceServiceRequest {
        resource_spans: resources
            .into_iter()
            .map(|(resource, scopes)| ResourceSpans {
                resource,
                scope_spans: scopes
                    .into_iter()
                    .map(|spans| ScopeSpans { spans, ..Default::default() })
                    .collect(),
                ..Default::default()
            })
            .collect(),
    })
}

pub(super) fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let record = (any::<u64>(), -1..30_i32, "[A-Z]{0,5}", any_value(), attributes());
    let record = record.prop_map(|(time, severity, text, body, attributes)| LogRecord {
        time_unix_nano: time,
        severity_number: severity,
        severity_text: text,
        body,
        attributes,
        flags: 1,
        ..Default::default()
    });
    nested(record).prop_map(|resources| ExportLogsServiceRequest {
        resource_logs: resources
            .into_iter()
            .map(|(resource, scopes)| ResourceLogs {
                resource,
                scope_logs: scopes
                    .into_iter()
                    .map(|log_records| ScopeLogs { log_records, ..Default::default() })
                    .collect(),
                ..Default::default()
            })
            .collect(),
    })
}

type Head = (u64, u64, u32, Vec<KeyValue>);

fn head() -> impl Strategy<Value = Head> {
    (any::<u64>(), any::<u64>(), 0..4_u32, attributes())
}

fn number() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![any::<i64>().prop_map(Number::AsInt), any::<f64>().prop_map(Number::AsDouble)];
    (head(), proptest::option::of(value)).prop_map(|((start, time, flags, attributes), value)| {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            flags,
            value,
            ..Default::default()
        }
    })
}

/// Not a NaN, which is equal to nothing.
fn double() -> impl Strategy<Value = f64> {
    -1e9..1e9_f64
}

fn data() -> impl Strategy<Value = Option<Data>> {
    let histogram =
        (head(), any::<u64>(), proptest::option::of(double()), vec(any::<u64>(), 0..4), vec(double(), 0..4));
    let histogram = histogram.prop_map(|((start, time, flags, attributes), count, sum, counts, bounds)| {
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum,
            bucket_counts: counts,
            explicit_bounds: bounds,
            flags,
            min: Some(1.0),
            ..Default::default()
        }
    });
    let exponential = (head(), any::<u64>(), proptest::option::of(double()));
    let exponential = exponential.prop_map(|((start, time, flags, attributes), count, sum)| {
        ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum,
            scale: -3,
            zero_count: 4,
            flags,
            ..Default::default()
        }
    });
    let summary = (head(), any::<u64>(), double(), vec((double(), double()), 0..3));
    let summary =
        summary.prop_map(|((start, time, flags, attributes), count, sum, quantiles)| SummaryDataPoint {
            attributes,
            start_time_unix_nano: start,
            time_unix_nano: time,
            count,
            sum,
            quantile_values: quantiles
                .into_iter()
                .map(|(quantile, value)| ValueAtQuantile { quantile, value })
                .collect(),
            flags,
        });
    let data = prop_oneof![
        vec(number(), 0..3).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number(), 0..3), -1..4_i32, any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| Data::Sum(Sum {
                data_points,
                aggregation_temporality,
                is_monotonic
            })
        ),
        (vec(histogram, 0..3), 0..3_i32).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(Histogram { data_points, aggregation_temporality })
        }),
        (vec(exponential, 0..3), 0..3_i32).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
        }),
        vec(summary, 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ];
    proptest::option::of(data)
}

pub(super) fn metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let metric = ("[a-z.]{0,9}", "[a-zA-Z{}/]{0,3}", data());
    let metric = metric.prop_map(|(name, unit, data)| Metric { name, unit, data, ..Default::default() });
    nested(metric).prop_map(|resources| ExportMetricsServiceRequest {
        resource_metrics: resources
            .into_iter()
            .map(|(resource, scopes)| ResourceMetrics {
                resource,
                scope_metrics: scopes
                    .into_iter()
                    .map(|metrics| ScopeMetrics { metrics, ..Default::default() })
                    .collect(),
                ..Default::default()
            })
            .collect(),
    })
}
