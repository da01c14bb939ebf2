//! What the fuzz targets share: which signal an input is of, and what a full decoder makes of it.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::{DecodeError, Message as _};
use telemetry::Signal;

/// The first byte says the signal, the rest is the request.
pub fn request(input: &[u8]) -> Option<(Signal, &[u8])> {
    let (first, payload) = input.split_first()?;
    Some((Signal::ALL[usize::from(*first) % Signal::ALL.len()], payload))
}

/// The request decoded by prost and encoded again: equal when two requests say the same.
pub fn decoded(signal: Signal, payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
    match signal {
        Signal::Metrics => ExportMetricsServiceRequest::decode(payload).map(|it| it.encode_to_vec()),
        Signal::Traces => ExportTraceServiceRequest::decode(payload).map(|it| it.encode_to_vec()),
        Signal::Logs => ExportLogsServiceRequest::decode(payload).map(|it| it.encode_to_vec()),
    }
}

/// How many data points, spans or records a full decoder sees.
pub fn items(signal: Signal, payload: &[u8]) -> Result<u64, DecodeError> {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    let items = match signal {
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(payload)?;
            let metrics = request
                .resource_metrics
                .into_iter()
                .flat_map(|it| it.scope_metrics)
                .flat_map(|it| it.metrics);
            metrics
                .map(|metric| match metric.data {
                    None => 0,
                    Some(Data::Gauge(data)) => data.data_points.len(),
                    Some(Data::Sum(data)) => data.data_points.len(),
                    Some(Data::Histogram(data)) => data.data_points.len(),
                    Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
                    Some(Data::Summary(data)) => data.data_points.len(),
                })
                .sum()
        }
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(payload)?;
            let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
            scopes.map(|scope| scope.spans.len()).sum()
        }
        Signal::Logs => {
            let request = ExportLogsServiceRequest::decode(payload)?;
            let scopes = request.resource_logs.into_iter().flat_map(|it| it.scope_logs);
            scopes.map(|scope| scope.log_records.len()).sum::<usize>()
        }
    };
    Ok(items as u64)
}
