//! How long one collection takes to become bytes: 1,000 processes with 12 points each, and 300 points of the host.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use otlp::MetricsEncoder;
use telemetry::{EntitySpec, Instrument, MetricSpec, SampleBuffer, Scope, Timestamp, Value, ValueType};

const fn metric(
    name: &'static str,
    instrument: Instrument,
    attributes: &'static [&'static str],
) -> MetricSpec {
    MetricSpec {
        name,
        unit: "By",
        instrument,
        value: ValueType::Int,
        attributes,
        scope: Scope::Conventions,
        description: "Bytes that were moved, as the kernel counts them.",
        source: "",
        shows: None,
        by_default: true,
    }
}

static OF_A_PROCESS: [MetricSpec; 6] = [
    metric("process.cpu.time", Instrument::Counter, &["cpu.mode"]),
    metric("process.disk.io", Instrument::Counter, &["disk.io.direction"]),
    metric("process.context_switches", Instrument::Counter, &["process.context_switch.type"]),
    metric("process.paging.faults", Instrument::Counter, &["system.paging.fault.type"]),
    metric("process.memory.usage", Instrument::UpDownCounter, &["process.memory.type"]),
    metric("process.unix.file_descriptor.count", Instrument::UpDownCounter, &["process.kind"]),
];
static OF_THE_HOST: MetricSpec =
    metric("system.network.io", Instrument::Counter, &["network.interface.name", "network.io.direction"]);
static PROCESS: EntitySpec = EntitySpec {
    name: "process",
    attributes: &[
        "process.pid",
        "process.parent_pid",
        "process.executable.name",
        "process.owner",
        "process.linux.cgroup",
    ],
};

fn one_collection() -> SampleBuffer {
    let mut samples = SampleBuffer::default();
    samples.reset(Timestamp::from_secs(1_700_000_060), Timestamp::from_secs(1_700_000_000));
    for interface in 0..150 {
        for direction in ["receive", "transmit"] {
            let name = format!("eth{interface}");
            samples.int(&OF_THE_HOST, &[Value::Str(&name), Value::Str(direction)], 1 << 33);
        }
    }
    for pid in 0..1_000 {
        let attributes = [
            Value::Int(pid),
            Value::Int(1),
            Value::Str("postgres"),
            Value::Str("postgres"),
            Value::Str("/system.slice/postgresql.service"),
        ];
        samples.entity(&PROCESS, Timestamp::from_secs(1_700_000_000 + pid), &attributes);
        for metric in &OF_A_PROCESS {
            samples.int(metric, &[Value::Str("read")], pid << 20);
            samples.int(metric, &[Value::Str("write")], pid << 10);
        }
    }
    samples
}

fn encode(criterion: &mut Criterion) {
    let host: telemetry::Attributes =
        ["host.id", "host.name", "host.arch", "os.type", "service.name", "service.version"]
            .map(|key| (key.to_owned(), "fdbf79e8af94cb7f9e8df36789187052".into()))
            .to_vec();
    let samples = one_collection();
    let mut encoder = MetricsEncoder::new(&host);
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(samples.len() as u64));
    group.bench_function("1,000 processes and a host", |bencher| {
        bencher.iter(|| encoder.encode(black_box(&samples)));
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
