//! Metrics of processors, tasks, pressure and time.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT, COUNT_SECONDS, GAUGE, LEVEL, draft, metric, shows};

const STALL_TYPE: &str = "system.linux.pressure.stall_type";

/// Time that all CPUs together spent in a mode.
pub static CPU_TIME: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Utilization,
    metric(
        "system.cpu.time",
        "s",
        COUNT_SECONDS,
        &["cpu.mode"],
        [
            "Time that all CPUs together spent in a mode.",
            "/proc/stat: cpu, ticks / CLK_TCK; interrupt = irq + softirq",
        ],
    ),
);

/// CPUs that are online.
pub static CPU_LOGICAL_COUNT: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Context,
    metric(
        "system.cpu.logical.count",
        "{cpu}",
        LEVEL,
        &[],
        ["CPUs that are online.", "/proc/stat: lines cpuN"],
    ),
);

/// Context switches of all CPUs.
pub static CONTEXT_SWITCHES: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Context,
    draft(metric(
        "system.cpu.linux.context_switches",
        "{context_switch}",
        COUNT,
        &[],
        ["Context switches of all CPUs.", "/proc/stat: ctxt"],
    )),
);

/// Tasks that run or could run.
pub static RUN_QUEUE_LENGTH: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Saturation,
    draft(metric(
        "system.cpu.linux.run_queue.length",
        "{thread}",
        LEVEL,
        &[],
        ["Tasks that run or could run.", "/proc/stat: procs_running"],
    )),
);

/// Tasks that wait for I/O and cannot be interrupted.
pub static BLOCKED_COUNT: MetricSpec = shows(
    Resource::Disk,
    Aspect::Saturation,
    draft(metric(
        "system.process.linux.blocked.count",
        "{thread}",
        LEVEL,
        &[],
        ["Tasks that wait for I/O and cannot be interrupted.", "/proc/stat: procs_blocked"],
    )),
);

/// Processes and threads created since boot.
pub static PROCESS_CREATED: MetricSpec = shows(
    Resource::Tasks,
    Aspect::Context,
    metric(
        "system.process.created",
        "{process}",
        COUNT,
        &[],
        ["Processes and threads created since boot.", "/proc/stat: processes"],
    ),
);

/// Time since boot.
pub static UPTIME: MetricSpec = shows(
    Resource::Clock,
    Aspect::Context,
    metric("system.uptime", "s", GAUGE, &[], ["Time since boot.", "/proc/uptime: field 1"]),
);

/// Load average over 1 minute.
pub static LOAD_1M: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Saturation,
    draft(metric(
        "system.cpu.load_average.1m",
        "{thread}",
        GAUGE,
        &[],
        ["Load average over 1 minute.", "/proc/loadavg: field 1"],
    )),
);

/// Load average over 5 minutes.
pub static LOAD_5M: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Saturation,
    draft(metric(
        "system.cpu.load_average.5m",
        "{thread}",
        GAUGE,
        &[],
        ["Load average over 5 minutes.", "/proc/loadavg: field 2"],
    )),
);

/// Load average over 15 minutes.
pub static LOAD_15M: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Saturation,
    draft(metric(
        "system.cpu.load_average.15m",
        "{thread}",
        GAUGE,
        &[],
        ["Load average over 15 minutes.", "/proc/loadavg: field 3"],
    )),
);

/// Threads that exist.
pub static THREAD_COUNT: MetricSpec = shows(
    Resource::Tasks,
    Aspect::Utilization,
    draft(metric(
        "system.thread.count",
        "{thread}",
        LEVEL,
        &[],
        ["Threads that exist.", "/proc/loadavg: field 4, after the slash"],
    )),
);

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
