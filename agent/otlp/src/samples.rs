//! Made-up samples for tests.

use std::time::Duration;

use proptest::prelude::*;
use telemetry::{EntitySpec, Instrument, MetricSpec, SampleBuffer, Scope, Timestamp, Value, ValueType};

const fn spec(
    name: &'static str,
    instrument: Instrument,
    value: ValueType,
    scope: Scope,
    attributes: &'static [&'static str],
) -> MetricSpec {
    MetricSpec {
        name,
        unit: "By",
        instrument,
        value,
        attributes,
        scope,
        description: "For a test.",
        source: "",
        shows: None,
        by_default: true,
    }
}

use Instrument::{Counter, Gauge, UpDownCounter};
use Scope::{Conventions, Draft, Own};
use ValueType::{Double, Int};

pub(crate) static SPECS: [MetricSpec; 6] = [
    spec("system.disk.io", Counter, Int, Conventions, &["system.device", "disk.io.direction"]),
    spec("system.memory.usage", UpDownCounter, Int, Conventions, &["system.memory.state"]),
    spec("system.uptime", Gauge, Double, Conventions, &[]),
    spec("system.cpu.pressure.time", Counter, Double, Draft, &["psi.kind"]),
    spec("hostmend.probe.up", Gauge, Int, Own, &["probe.name", "probe.attempt", "probe.port"]),
    spec("process.memory.usage", UpDownCounter, Int, Conventions, &[]),
];

pub(crate) static PROCESS: EntitySpec =
    EntitySpec { name: "process", attributes: &["process.pid", "process.executable.name", "service.name"] };

pub(crate) fn host_attributes() -> telemetry::Attributes {
    [("host.name", "web-01"), ("service.name", "hostmend")]
        .map(|(key, value)| (key.to_owned(), value.into()))
        .to_vec()
}

/// When the made-up collections began, and when the host was booted.
pub(crate) const AT: Timestamp = Timestamp::from_secs(1_700_000_060);
pub(crate) const BOOT: Timestamp = Timestamp::from_secs(1_700_000_000);

#[derive(Clone, Debug)]
enum Attribute {
    Absent,
    Text(String),
    Number(i64),
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    let one = prop_oneof![
        Just(Attribute::Absent),
        "[a-z/é☃]{0,4}".prop_map(Attribute::Text),
        // Around the lengths at which protobuf needs one more byte.
        (100..300_usize).prop_map(|length| Attribute::Text("x".repeat(length))),
        any::<i64>().prop_map(Attribute::Number)
    ];
    proptest::collection::vec(one, 3)
}

fn values(attributes: &[Attribute], count: usize) -> Vec<Value<'_>> {
    let value = |attribute| match attribute {
        &Attribute::Absent => Value::Absent,
        Attribute::Text(text) => Value::Str(text),
        Attribute::Number(number) => Value::Int(*number),
    };
    attributes.iter().take(count).map(value).collect()
}

#[derive(Clone, Debug)]
enum Push {
    Host,
    Process(i64, Vec<Attribute>),
    /// The points that follow are this many seconds old.
    Aged(u64),
    /// Which metric, its attributes, its value (none when the series has ended), how often.
    Point(usize, Vec<Attribute>, Option<f64>, usize),
}

/// Buffers with a few hundred points of the host and of processes at most, in any order.
pub(crate) fn buffers() -> impl Strategy<Value = SampleBuffer> {
    let point = (0..SPECS.len(), attributes(), proptest::option::of(any::<f64>()), 1..6_usize)
        .prop_map(|(spec, attributes, value, times)| Push::Point(spec, attributes, value, times));
    let push = prop_oneof![
        1 => Just(Push::Host),
        2 => (-5_i64..2_000_000_000, attributes()).prop_map(|(start, values)| Push::Process(start, values)),
        1 => (0..120_u64).prop_map(Push::Aged),
        8 => point,
    ];
    proptest::collection::vec(push, 0..60).prop_map(|pushes| fill(&pushes))
}

fn fill(pushes: &[Push]) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    buffer.reset(AT, BOOT);
    for push in pushes {
        match push {
            Push::Host => buffer.host(),
            Push::Aged(seconds) => buffer.measured_at(AT.minus(Duration::from_secs(*seconds))),
            Push::Process(start, attributes) => {
                buffer.entity(&PROCESS, Timestamp::from_secs(*start), &values(attributes, 3));
            }
            Push::Point(spec, attributes, value, times) => {
                let metric = &SPECS[*spec];
                let values = values(attributes, metric.attributes.len());
                for _ in 0..*times {
                    match (value, metric.value) {
                        (None, _) => buffer.gone(metric, &values),
                        (Some(value), Int) => buffer.int(metric, &values, *value as i64),
                        (Some(value), Double) => buffer.double(metric, &values, *value),
                    }
                }
            }
        }
    }
    buffer
}

/// One host and `processes` processes, each with one point of three metrics.
pub(crate) fn small_host(processes: i64) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    buffer.reset(AT, BOOT);
    buffer.int(&SPECS[0], &[Value::Str("sda"), Value::Str("read")], 4096);
    buffer.int(&SPECS[0], &[Value::Str("sda"), Value::Str("write")], 8192);
    buffer.double(&SPECS[2], &[], 60.5);
    for pid in 1..=processes {
        let attributes = [Value::Int(pid), Value::Str("nginx"), Value::Absent];
        buffer.entity(&PROCESS, Timestamp::from_secs(1_700_000_000 + pid), &attributes);
        buffer.int(&SPECS[5], &[], pid * 1024);
    }
    buffer
}
