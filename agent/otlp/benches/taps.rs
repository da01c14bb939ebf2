//! What the taps cost for each span: 1,000 spans of about 450 bytes in a request, as an SDK sends them.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use otlp::tap::SpanMetrics;
use telemetry::Timestamp;

#[path = "requests/spans.rs"]
mod spans;

fn taps(criterion: &mut Criterion) {
    let payload = spans::request();
    assert!((440..480).contains(&(payload.len() / 1_000)), "{} bytes for each span", payload.len() / 1_000);
    let mut metrics = SpanMetrics::new(&SpanMetrics::DEFAULT_BOUNDS, 2_000);
    let now = Timestamp::from_secs(1_700_000_000);
    let mut group = criterion.benchmark_group("taps");
    group.measurement_time(Duration::from_secs(3)).throughput(Throughput::Elements(1_000));
    group.bench_function("span metrics of 1,000 spans", |bencher| {
        bencher.iter(|| metrics.see(black_box(&payload), now));
    });
    group.finish();
}

criterion_group!(benches, taps);
criterion_main!(benches);
