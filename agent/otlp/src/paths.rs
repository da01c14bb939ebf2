//! Where requests go, by signal, in both protocols.

use http::uri::PathAndQuery;
use telemetry::Signal;

/// The path of the `Export` call of a signal's service.
pub(crate) const fn grpc_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

pub(crate) fn grpc_path_and_query(signal: Signal) -> PathAndQuery {
    PathAndQuery::from_static(grpc_path(signal))
}

/// The path that OTLP/HTTP appends to a base endpoint.
pub(crate) const fn http_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "/v1/metrics",
        Signal::Traces => "/v1/traces",
        Signal::Logs => "/v1/logs",
    }
}
