//! Metrics of processes, one entity each, and of all processes together.

use telemetry::{Aspect, EntitySpec, MetricSpec, Resource};

use super::{COUNT, COUNT_SECONDS, DISK_DIRECTION, FAULT_TYPE, GAUGE, LEVEL, metric, shows};

/// One process. Its number alone may be used again; number and time of creation are not.
pub static PROCESS: EntitySpec = EntitySpec {
    name: "process",
    attributes: &[
        "process.pid",
        "process.creation.time",
        "process.command",
        "process.executable.name",
        "process.owner",
    ],
};

/// Processes by state.
pub static PROCESS_COUNT: MetricSpec = shows(
    Resource::Tasks,
    Aspect::Utilization,
    metric(
        "system.process.count",
        "{process}",
        LEVEL,
        &["process.state"],
        ["Processes by state.", "/proc/PID/stat: field 3"],
    ),
);

/// How many processes and threads can exist.
pub static PROCESS_LIMIT: MetricSpec = shows(
    Resource::Tasks,
    Aspect::Context,
    metric(
        "system.process.limit",
        "{thread}",
        LEVEL,
        &[],
        [
            "How many processes and threads can exist.",
            "the smaller of /proc/sys/kernel/pid_max and threads-max",
        ],
    ),
);

/// CPU time of the process, and its waiting for block I/O where the kernel accounts for it.
pub static PROCESS_CPU_TIME: MetricSpec = metric(
    "process.cpu.time",
    "s",
    COUNT_SECONDS,
    &["cpu.mode"],
    [
        "CPU time of the process, and its waiting for block I/O where the kernel accounts for it.",
        "/proc/PID/stat: fields 14, 15, 42 / CLK_TCK",
    ],
);

/// Memory of the process that is resident.
pub static PROCESS_MEMORY_USAGE: MetricSpec = metric(
    "process.memory.usage",
    "By",
    LEVEL,
    &[],
    ["Memory of the process that is resident.", "/proc/PID/statm: field 2 x page size"],
);

/// Address space of the process.
pub static PROCESS_MEMORY_VIRTUAL: MetricSpec = metric(
    "process.memory.virtual",
    "By",
    LEVEL,
    &[],
    ["Address space of the process.", "/proc/PID/statm: field 1 x page size"],
);

/// Page faults of the process.
pub static PROCESS_PAGING_FAULTS: MetricSpec = metric(
    "process.paging.faults",
    "{fault}",
    COUNT,
    &[FAULT_TYPE],
    ["Page faults of the process.", "/proc/PID/stat: fields 12 and 10"],
);

/// Threads of the process.
pub static PROCESS_THREAD_COUNT: MetricSpec = metric(
    "process.thread.count",
    "{thread}",
    LEVEL,
    &[],
    ["Threads of the process.", "/proc/PID/stat: field 20"],
);

/// Bytes that the process had read from and written to storage.
pub static PROCESS_DISK_IO: MetricSpec = metric(
    "process.disk.io",
    "By",
    COUNT,
    &[DISK_DIRECTION],
    [
        "Bytes that the process had read from and written to storage.",
        "/proc/PID/io: read_bytes, write_bytes; needs the right to trace the process",
    ],
);

/// Time since the process started.
pub static PROCESS_UPTIME: MetricSpec = metric(
    "process.uptime",
    "s",
    GAUGE,
    &[],
    ["Time since the process started.", "/proc/uptime - /proc/PID/stat field 22 / CLK_TCK"],
);
