//! Metrics of processes, one entity each, and of all processes together.

use telemetry::{Aspect, EntitySpec, MetricSpec, Resource};

use super::{
    COUNT, COUNT_SECONDS, DISK_DIRECTION, FAULT_TYPE, GAUGE, LEVEL, draft, metric, opt_in, own, shows,
};

/// One process. Its number alone may be used again; number and time of creation are not. The command line is there only
/// where the operator asked for it.
pub static PROCESS: EntitySpec = EntitySpec {
    name: "process",
    attributes: &[
        "process.pid",
        "process.creation.time",
        "process.command",
        "process.executable.name",
        "process.owner",
        "process.command_line",
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

/// Share of the CPUs on which the process may run that it used.
pub static PROCESS_CPU_UTILIZATION: MetricSpec = opt_in(metric(
    "process.cpu.utilization",
    "1",
    GAUGE,
    &["cpu.mode"],
    [
        "Share of the CPUs on which the process may run that it used since the last collection.",
        "growth of process.cpu.time / (time x CPUs in Cpus_allowed of /proc/PID/status)",
    ],
));

/// Switches of the CPU from and to threads of the process.
pub static PROCESS_CONTEXT_SWITCHES: MetricSpec = metric(
    "process.context_switches",
    "{context_switch}",
    COUNT,
    &["process.context_switch.type"],
    [
        "Context switches of all threads of the process; of threads that ended as far as they were seen.",
        "/proc/PID/task/*/status: voluntary_ctxt_switches, nonvoluntary_ctxt_switches",
    ],
);

/// Time for which threads of the process were ready to run and waited for a CPU.
pub static PROCESS_RUN_QUEUE_TIME: MetricSpec = opt_in(draft(metric(
    "process.linux.run_queue.time",
    "s",
    COUNT_SECONDS,
    &[],
    [
        "Time for which threads of the process waited for a CPU; of threads that ended as far as they were seen.",
        "/proc/PID/task/*/schedstat: 2nd number",
    ],
)));

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

/// Share of the host's memory that is resident for the process.
pub static PROCESS_MEMORY_UTILIZATION: MetricSpec = opt_in(metric(
    "process.memory.utilization",
    "1",
    GAUGE,
    &[],
    [
        "Share of the host's memory that is resident for the process.",
        "/proc/PID/statm, /proc/meminfo: MemTotal",
    ],
));

/// Memory of the process in which what it shares with others counts in proportion. Costs the kernel a walk of its page
/// tables, so it is up to some minutes old.
pub static PROCESS_MEMORY_PSS: MetricSpec = own(metric(
    "hostmend.process.memory.pss",
    "By",
    LEVEL,
    &[],
    [
        "Memory of the process, what it shares with others in proportion; up to some minutes old.",
        "/proc/PID/smaps_rollup: Pss; needs the right to trace the process",
    ],
));

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

/// System calls by which the process read and wrote.
pub static PROCESS_DISK_OPERATIONS: MetricSpec = metric(
    "process.disk.operations",
    "{operation}",
    COUNT,
    &[DISK_DIRECTION],
    [
        "System calls by which the process read and wrote.",
        "/proc/PID/io: syscr, syscw; needs the right to trace the process",
    ],
);

/// Signals that wait for the process.
pub static PROCESS_SIGNALS_PENDING: MetricSpec = opt_in(metric(
    "process.signals_pending",
    "{signal}",
    LEVEL,
    &[],
    ["Signals that wait for the process.", "/proc/PID/status: bits of SigPnd and ShdPnd"],
));

/// Descriptors that the process has open.
pub static PROCESS_DESCRIPTOR_COUNT: MetricSpec = metric(
    "process.unix.file_descriptor.count",
    "{file_descriptor}",
    LEVEL,
    &[],
    [
        "Descriptors that the process has open.",
        "size of /proc/PID/fd; its entries before Linux 6.2, which needs the right to trace the process",
    ],
);

/// How many descriptors the process may have open.
pub static PROCESS_DESCRIPTOR_LIMIT: MetricSpec = opt_in(draft(metric(
    "process.unix.file_descriptor.limit",
    "{file_descriptor}",
    LEVEL,
    &[],
    ["How many descriptors the process may have open.", "/proc/PID/limits: soft limit of Max open files"],
)));

/// Threads whose context switches were not read because there were too many in one collection.
pub static THREAD_SKIPS: MetricSpec = own(metric(
    "hostmend.thread.skips",
    "{thread}",
    COUNT,
    &[],
    [
        "Threads that were not looked at because one collection looks at so many only.",
        "the collector processes",
    ],
));

/// Time since the process started.
pub static PROCESS_UPTIME: MetricSpec = metric(
    "process.uptime",
    "s",
    GAUGE,
    &[],
    ["Time since the process started.", "/proc/uptime - /proc/PID/stat field 22 / CLK_TCK"],
);
