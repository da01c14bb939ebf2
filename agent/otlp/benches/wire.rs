//! What is done to a request as bytes: 1,000 spans of about 450 bytes, checked, spliced, divided, joined, as JSON.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otlp::{Splice, check_strictly, concatenate, count_items, split, to_json, to_protobuf};
use prost::Message as _;
use telemetry::Signal::Traces;

#[path = "requests/spans.rs"]
mod spans;

fn wire(criterion: &mut Criterion) {
    let payload = Bytes::from(spans::request());
    let json = to_json(Traces, &payload).expect("the request is whole");
    let host = ["host.id", "host.name", "host.arch", "os.type"]
        .map(|key| (key.to_owned(), "fdbf79e8af94cb7f9e8df36789187052".into()));
    let adding = Splice::new(&host);
    let spliced = adding.apply(Traces, payload.clone()).expect("the request is whole");

    let mut group = criterion.benchmark_group("wire");
    group.measurement_time(Duration::from_secs(3)).throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("count", |bencher| bencher.iter(|| count_items(Traces, black_box(&payload))));
    group.bench_function("check strictly", |bencher| {
        bencher.iter(|| check_strictly(Traces, black_box(&payload)));
    });
    group.bench_function("splice, four missing", |bencher| {
        bencher.iter(|| adding.apply(Traces, black_box(&payload).clone()));
    });
    group.bench_function("splice, nothing missing", |bencher| {
        bencher.iter(|| adding.apply(Traces, black_box(&spliced).clone()));
    });
    group.bench_function("split into eight", |bencher| {
        bencher.iter(|| split(Traces, black_box(&payload), payload.len() / 7));
    });
    let pieces = split(Traces, &payload, payload.len() / 7).expect("the request is whole");
    let parts: Vec<Bytes> = pieces.into_iter().map(|(piece, _)| piece).collect();
    group.bench_function("join eight", |bencher| bencher.iter(|| concatenate(black_box(&parts))));
    group.bench_function("to JSON", |bencher| bencher.iter(|| to_json(Traces, black_box(&payload))));
    group.bench_function("to protobuf", |bencher| {
        bencher.iter(|| to_protobuf(Traces, black_box(json.as_bytes())));
    });
    // What all this is instead of.
    group.bench_function("prost decodes and encodes", |bencher| {
        bencher.iter(|| {
            let request = ExportTraceServiceRequest::decode(black_box(payload.as_ref()));
            request.map(|request| request.encode_to_vec())
        });
    });
    group.finish();
}

criterion_group!(benches, wire);
criterion_main!(benches);
