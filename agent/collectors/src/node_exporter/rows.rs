//! How the rows of the tables are written: type, name, labels, help, and whence the values come.
//!
//! A value without a type (`untyped`) is an up-down counter here, which Prometheus has no word for. All values are doubles,
//! as they are to Prometheus, and units stand in the names.

use telemetry::{Instrument, MetricSpec, Scope, ValueType};

const fn row(
    instrument: Instrument,
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricSpec {
    MetricSpec {
        name,
        unit: "",
        instrument,
        value: ValueType::Double,
        attributes: labels,
        scope: Scope::NodeExporter,
        description: help,
        source: "",
        shows: None,
        by_default: false,
    }
}

pub(super) const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricSpec {
    row(Instrument::Counter, name, labels, help)
}

pub(super) const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> MetricSpec {
    row(Instrument::Gauge, name, labels, help)
}

pub(super) const fn untyped(name: &'static str, help: &'static str) -> MetricSpec {
    row(Instrument::UpDownCounter, name, &[], help)
}

/// The same rows, with where their values come from.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the length")]
pub(super) const fn from<const N: usize>(source: &'static str, mut rows: [MetricSpec; N]) -> [MetricSpec; N] {
    let mut at = 0;
    while at < N {
        rows[at].source = source;
        at += 1;
    }
    rows
}
