//! What the probes' metrics are called.

use telemetry::{Instrument, MetricSpec, Scope, ValueType};

const ATTRIBUTES: &[&str] = &["hostmend.probe.name", "url.full"];

/// All metrics of the probes.
pub static METRICS: &[&MetricSpec] = &[&PROBE_SUCCESS, &PROBE_DURATION];

/// Whether the last answer was as expected: 0 or 1, as `hw.network.up` has it. Not a gauge, which PromQL would know
/// as a `_ratio`.
pub static PROBE_SUCCESS: MetricSpec = MetricSpec {
    name: "hostmend.probe.success",
    unit: "1",
    instrument: Instrument::UpDownCounter,
    value: ValueType::Int,
    attributes: ATTRIBUTES,
    scope: Scope::Own,
    description: "Whether the service answered the last probe as expected: 1 or 0.",
    source: "the probe's answer",
    shows: None,
    by_default: true,
};

/// How long the last answer took.
pub static PROBE_DURATION: MetricSpec = MetricSpec {
    name: "hostmend.probe.duration",
    unit: "s",
    instrument: Instrument::Gauge,
    value: ValueType::Double,
    attributes: ATTRIBUTES,
    scope: Scope::Own,
    description: "Time from connecting to the end of the last probe's answer, or to its failure.",
    source: "the agent's monotonic clock",
    shows: None,
    by_default: true,
};
