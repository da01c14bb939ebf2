//! Metrics of pressure: how long tasks waited because a resource was short.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT_SECONDS, GAUGE, draft, metric, opt_in, shows};

const STALL_TYPE: &str = "system.linux.pressure.stall_type";

/// The kernel's own average of a pressure, which says no more than the total does.
const fn average(resource: Resource, name: &'static str, texts: [&'static str; 2]) -> MetricSpec {
    opt_in(shows(resource, Aspect::Saturation, draft(metric(name, "1", GAUGE, &[STALL_TYPE], texts))))
}

/// Time that tasks waited for a CPU.
pub static CPU_PRESSURE: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Saturation,
    draft(metric(
        "system.cpu.linux.pressure.total",
        "s",
        COUNT_SECONDS,
        &[STALL_TYPE],
        ["Time that tasks waited for a CPU.", "/proc/pressure/cpu: total"],
    )),
);

/// Time that tasks waited for memory.
pub static MEMORY_PRESSURE: MetricSpec = shows(
    Resource::Memory,
    Aspect::Saturation,
    draft(metric(
        "system.memory.linux.pressure.total",
        "s",
        COUNT_SECONDS,
        &[STALL_TYPE],
        ["Time that tasks waited for memory.", "/proc/pressure/memory: total"],
    )),
);

/// Time that tasks waited for I/O.
pub static IO_PRESSURE: MetricSpec = shows(
    Resource::Disk,
    Aspect::Saturation,
    draft(metric(
        "system.io.linux.pressure.total",
        "s",
        COUNT_SECONDS,
        &[STALL_TYPE],
        ["Time that tasks waited for I/O.", "/proc/pressure/io: total"],
    )),
);

/// Time that tasks waited for interrupts to be served.
pub static IRQ_PRESSURE: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Saturation,
    draft(metric(
        "system.irq.linux.pressure.total",
        "s",
        COUNT_SECONDS,
        &[STALL_TYPE],
        ["Time that tasks waited for interrupts to be served.", "/proc/pressure/irq: total"],
    )),
);

/// Share of the last 10 seconds in which tasks waited for a CPU.
pub static CPU_PRESSURE_10S: MetricSpec = average(
    Resource::Cpu,
    "system.cpu.linux.pressure.10s",
    ["Share of the last 10 seconds in which tasks waited for a CPU.", "/proc/pressure/cpu: avg10 / 100"],
);

/// Share of the last 1 minute in which tasks waited for a CPU.
pub static CPU_PRESSURE_1M: MetricSpec = average(
    Resource::Cpu,
    "system.cpu.linux.pressure.1m",
    ["Share of the last 1 minute in which tasks waited for a CPU.", "/proc/pressure/cpu: avg60 / 100"],
);

/// Share of the last 5 minutes in which tasks waited for a CPU.
pub static CPU_PRESSURE_5M: MetricSpec = average(
    Resource::Cpu,
    "system.cpu.linux.pressure.5m",
    ["Share of the last 5 minutes in which tasks waited for a CPU.", "/proc/pressure/cpu: avg300 / 100"],
);

/// Share of the last 10 seconds in which tasks waited for memory.
pub static MEMORY_PRESSURE_10S: MetricSpec = average(
    Resource::Memory,
    "system.memory.linux.pressure.10s",
    ["Share of the last 10 seconds in which tasks waited for memory.", "/proc/pressure/memory: avg10 / 100"],
);

/// Share of the last 1 minute in which tasks waited for memory.
pub static MEMORY_PRESSURE_1M: MetricSpec = average(
    Resource::Memory,
    "system.memory.linux.pressure.1m",
    ["Share of the last 1 minute in which tasks waited for memory.", "/proc/pressure/memory: avg60 / 100"],
);

/// Share of the last 5 minutes in which tasks waited for memory.
pub static MEMORY_PRESSURE_5M: MetricSpec = average(
    Resource::Memory,
    "system.memory.linux.pressure.5m",
    ["Share of the last 5 minutes in which tasks waited for memory.", "/proc/pressure/memory: avg300 / 100"],
);

/// Share of the last 10 seconds in which tasks waited for I/O.
pub static IO_PRESSURE_10S: MetricSpec = average(
    Resource::Disk,
    "system.io.linux.pressure.10s",
    ["Share of the last 10 seconds in which tasks waited for I/O.", "/proc/pressure/io: avg10 / 100"],
);

/// Share of the last 1 minute in which tasks waited for I/O.
pub static IO_PRESSURE_1M: MetricSpec = average(
    Resource::Disk,
    "system.io.linux.pressure.1m",
    ["Share of the last 1 minute in which tasks waited for I/O.", "/proc/pressure/io: avg60 / 100"],
);

/// Share of the last 5 minutes in which tasks waited for I/O.
pub static IO_PRESSURE_5M: MetricSpec = average(
    Resource::Disk,
    "system.io.linux.pressure.5m",
    ["Share of the last 5 minutes in which tasks waited for I/O.", "/proc/pressure/io: avg300 / 100"],
);
