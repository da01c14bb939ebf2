//! What masking costs for each byte of spans as an SDK sends them: 1,000 spans of about 450 bytes in a request, without a
//! secret, and with one in each.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use otlp::{Builtin, MaskAction, MaskRule, Masking};
use prost::Message as _;
use telemetry::Signal;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn span(number: u64, authorization: &str) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: number.to_be_bytes().to_vec(),
        parent_span_id: vec![9; 8],
        name: format!("GET /api/v1/orders/{}", number % 20),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_000 + number * 1_000_000,
        attributes: vec![
            attribute("http.request.method", "GET"),
            attribute("http.route", "/api/v1/orders/{id}"),
            attribute("url.path", "/api/v1/orders/4711"),
            attribute("url.scheme", "https"),
            attribute("server.address", "orders.internal.example"),
            attribute("client.address", "192.0.2.17"),
            attribute("request.header", authorization),
            attribute(
                "user_agent.original",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
        ],
        ..Span::default()
    }
}

fn request(authorization: &str) -> Bytes {
    let spans = (0..1_000).map(|number| span(number, authorization)).collect();
    let scope = ScopeSpans { spans, ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec().into()
}

fn masking(builtins: &[Builtin]) -> Masking {
    let action = MaskAction::Replace("[masked]".to_owned());
    let rule = MaskRule::new(&[], &[], builtins, action).expect("builtin patterns are right");
    Masking::new(vec![rule]).expect("builtin patterns are right")
}

fn mask(criterion: &mut Criterion) {
    let all = Builtin::ALL.map(|(_, builtin)| builtin);
    let plain = request("accept: text/html");
    let secret = request("Bearer 0123456789abcdef");
    let mut group = criterion.benchmark_group("mask");
    group.measurement_time(Duration::from_secs(3)).throughput(Throughput::Bytes(plain.len() as u64));
    for (name, builtins, payload) in [
        ("keys, nothing found", &[Builtin::SecretKeys][..], &plain),
        ("all builtins, nothing found", &all[..], &plain),
        ("all builtins, a secret in each span", &all[..], &secret),
    ] {
        let masking = masking(builtins);
        group.bench_function(name, |bencher| {
            bencher.iter(|| masking.apply(Signal::Traces, black_box(payload.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, mask);
criterion_main!(benches);
