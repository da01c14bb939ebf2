//! What every metric of the collectors is called, in one place.
//!
//! Names, units, instruments, number types and attribute keys are those of the semantic conventions 1.44.0, the draft
//! names for signals without a convention, and our own below `hostmend.`. A collector pushes values; it spells no name.

mod cgroup;
mod clock;
mod collector;
mod cpu;
mod disk;
mod filesystem;
mod hardware;
mod kernel;
mod memory;
mod network;
mod nfs;
mod pressure;
mod process;
mod process_group;
mod protocols;
mod sensors;

pub use cgroup::*;
pub use clock::*;
pub use collector::COLLECTOR_SPELLINGS;
pub use cpu::*;
pub use disk::*;
pub use filesystem::*;
pub use hardware::*;
pub use kernel::*;
pub use memory::*;
pub use network::*;
pub use nfs::*;
pub use pressure::*;
pub use process::*;
pub use process_group::*;
pub use protocols::*;
pub use sensors::*;

use telemetry::{Aspect, Instrument, MetricSpec, Resource, Scope, Shows, ValueType};

const CPU_NUMBER: &str = "cpu.logical_number";
const DEVICE: &str = "system.device";
const DISK_DIRECTION: &str = "disk.io.direction";
const FAULT_TYPE: &str = "system.paging.fault.type";

const fn metric(
    name: &'static str,
    unit: &'static str,
    kind: (Instrument, ValueType),
    attributes: &'static [&'static str],
    texts: [&'static str; 2],
) -> MetricSpec {
    let [description, source] = texts;
    let (instrument, value) = kind;
    MetricSpec {
        name,
        unit,
        instrument,
        value,
        attributes,
        scope: Scope::Conventions,
        description,
        source,
        shows: None,
        by_default: true,
    }
}

/// Says of which resource of the host a metric tells, and what.
const fn shows(resource: Resource, aspect: Aspect, mut spec: MetricSpec) -> MetricSpec {
    spec.shows = Some(Shows { resource, aspect });
    spec
}

/// Is not collected unless the operator asks for it.
const fn opt_in(mut spec: MetricSpec) -> MetricSpec {
    spec.by_default = false;
    spec
}

const fn draft(mut spec: MetricSpec) -> MetricSpec {
    spec.scope = Scope::Draft;
    spec
}

const fn own(mut spec: MetricSpec) -> MetricSpec {
    spec.scope = Scope::Own;
    spec
}

const COUNT: (Instrument, ValueType) = (Instrument::Counter, ValueType::Int);
const COUNT_SECONDS: (Instrument, ValueType) = (Instrument::Counter, ValueType::Double);
const LEVEL: (Instrument, ValueType) = (Instrument::UpDownCounter, ValueType::Int);
const GAUGE: (Instrument, ValueType) = (Instrument::Gauge, ValueType::Double);
const GAUGE_INT: (Instrument, ValueType) = (Instrument::Gauge, ValueType::Int);

/// 1 when the collector gave all its metrics, else 0; no point where the host has no such source. Not a gauge, which
/// PromQL would know as a `_ratio`.
pub static COLLECTOR_SUCCESS: MetricSpec = own(metric(
    "hostmend.collector.success",
    "1",
    LEVEL,
    &["hostmend.collector.name"],
    ["Whether the collector could give all its metrics.", "the schedule"],
));

/// How long one collection of one collector took.
pub static COLLECTOR_DURATION: MetricSpec = own(metric(
    "hostmend.collector.duration",
    "s",
    GAUGE,
    &["hostmend.collector.name"],
    ["How long the collector took.", "the schedule"],
));

/// Bytes below a configured directory.
pub static DIRECTORY_USAGE: MetricSpec = own(metric(
    "hostmend.directory.usage",
    "By",
    LEVEL,
    &["hostmend.directory.path"],
    ["Bytes of the files below a directory.", "lstat of each file: the smaller of its length and its blocks"],
));

/// Files below a configured directory.
pub static DIRECTORY_FILE_COUNT: MetricSpec = own(metric(
    "hostmend.directory.file.count",
    "{file}",
    LEVEL,
    &["hostmend.directory.path"],
    ["Files below a directory, directories not counted.", "a walk of the directory"],
));

/// Live processes of a configured watch.
pub static WATCH_PROCESS_COUNT: MetricSpec = own(metric(
    "hostmend.watch.process.count",
    "{process}",
    LEVEL,
    &["hostmend.watch.name"],
    ["Live processes that a watch matches.", "/proc/PID/stat fields 2 and 3, /proc/PID/exe"],
));
