//! 1,000 spans of about 450 bytes in a request, as an SDK sends them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn span(number: u64) -> Span {
    let text = |text: &str| Value::StringValue(text.to_owned());
    Span {
        trace_id: vec![7; 16],
        span_id: number.to_be_bytes().to_vec(),
        parent_span_id: vec![9; 8],
        flags: 0x101,
        name: format!("GET /api/v1/orders/{}", number % 20),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_000 + number * 1_000_000,
        attributes: vec![
            attribute("http.request.method", text("GET")),
            attribute("http.route", text("/api/v1/orders/{id}")),
            attribute("url.path", text("/api/v1/orders/4711")),
            attribute("url.scheme", text("https")),
            attribute("server.address", text("orders.internal.example")),
            attribute("http.response.status_code", Value::IntValue(200)),
            attribute("client.address", text("192.0.2.17")),
            attribute(
                "user_agent.original",
                text(
                    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0, as browsers say since 1994",
                ),
            ),
        ],
        status: Some(Status { code: i32::from(number.is_multiple_of(50)) * 2, ..Status::default() }),
        ..Span::default()
    }
}

pub(crate) fn request() -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            attribute("service.name", Value::StringValue("orders".to_owned())),
            attribute("telemetry.sdk.language", Value::StringValue("python".to_owned())),
        ],
        ..Resource::default()
    };
    let spans = (0..1_000).map(span).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}
