use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::MetricsSummary;

/// How many items each scope of each resource has.
fn shapes() -> impl Strategy<Value = Vec<Vec<usize>>> {
    proptest::collection::vec(proptest::collection::vec(0..5_usize, 0..4), 0..4)
}

fn metric(kind: usize, points: usize) -> Metric {
    let data = match kind % 6 {
        0 => Some(Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default(); points] })),
        1 => Some(Data::Sum(Sum {
            data_points: vec![NumberDataPoint { time_unix_nano: 7, ..Default::default() }; points],
            is_monotonic: true,
            aggregation_temporality: 2,
        })),
        2 => Some(Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint::default(); points],
            ..Default::default()
        })),
        3 => Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![ExponentialHistogramDataPoint::default(); points],
            ..Default::default()
        })),
        4 => Some(Data::Summary(Summary { data_points: vec![SummaryDataPoint::default(); points] })),
        _ => None,
    };
    Metric { name: format!("metric.{kind}"), data, ..Default::default() }
}

fn points(metric: &Metric) -> usize {
    match metric.data.as_ref() {
        None => 0,
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
    }
}

proptest! {
    #[test]
    fn spans_and_records_are_counted_as_a_decoder_counts_them(shape in shapes()) {
        let expected: usize = shape.iter().flatten().sum();
        let spans = ExportTraceServiceRequest {
            resource_spans: shape.iter().map(|scopes| ResourceSpans {
                scope_spans: scopes.iter().map(|items| ScopeSpans {
                    spans: vec![Span { name: "GET".to_owned(), ..Default::default() }; *items],
                    ..Default::default()
                }).collect(),
                ..Default::default()
            }).collect(),
        };
        prop_assert_eq!(count_items(Signal::Traces, &spans.encode_to_vec()), Ok(expected as u64));
        let records = ExportLogsServiceRequest {
            resource_logs: shape.iter().map(|scopes| ResourceLogs {
                scope_logs: scopes.iter().map(|items| ScopeLogs {
                    log_records: vec![LogRecord { severity_number: 9, ..Default::default() }; *items],
                    ..Default::default()
                }).collect(),
                ..Default::default()
            }).collect(),
        };
        prop_assert_eq!(count_items(Signal::Logs, &records.encode_to_vec()), Ok(expected as u64));
    }

    #[test]
    fn points_of_every_kind_are_counted_and_summed_up(
        metrics in proptest::collection::vec((0..6_usize, 0..5_usize), 0..12),
    ) {
        let metrics: Vec<Metric> = metrics.into_iter().map(|(kind, points)| metric(kind, points)).collect();
        let expected: usize = metrics.iter().map(points).sum();
        let names = metrics.iter().map(|metric| metric.name.clone()).collect();
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }],
        };
        let payload = request.encode_to_vec();
        prop_assert_eq!(count_items(Signal::Metrics, &payload), Ok(expected as u64));
        let summary = MetricsSummary { resources: 1, metrics: names, points: expected as u64 };
        prop_assert_eq!(MetricsSummary::of(&payload), Ok(summary));
    }

    #[test]
    fn no_bytes_make_the_walkers_panic(bytes: Vec<u8>) {
        for signal in Signal::ALL {
            let _ = count_items(signal, &bytes);
        }
        let _ = MetricsSummary::of(&bytes);
    }

    /// Random bytes rarely get past the first field; damaged requests do.
    #[test]
    fn no_damage_to_a_request_makes_the_walkers_panic(
        points in 1..6_usize,
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let scope_metrics = vec![ScopeMetrics { metrics: vec![metric(1, points)], ..Default::default() }];
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { scope_metrics, ..Default::default() }],
        };
        let mut payload = request.encode_to_vec();
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        payload.truncate(cut.index(payload.len()) + 1);
        for signal in Signal::ALL {
            let _ = count_items(signal, &payload);
        }
        let _ = MetricsSummary::of(&payload);
    }
}

#[test]
fn a_cut_request_is_malformed() {
    let payload = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric(0, 3)], ..Default::default() }],
            ..Default::default()
        }],
    }
    .encode_to_vec();
    for length in 1..payload.len() {
        assert!(count_items(Signal::Metrics, &payload[..length]).is_err(), "{length} of {}", payload.len());
    }
}
