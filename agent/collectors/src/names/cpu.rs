//! Metrics of processors, tasks and time.

use telemetry::{Aspect, Instrument, MetricSpec, Resource, ValueType};

use super::{COUNT, COUNT_SECONDS, CPU_NUMBER, GAUGE, LEVEL, draft, metric, opt_in, shows};

/// Time that all CPUs together, or each, spent in a mode.
pub static CPU_TIME: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Utilization,
    metric(
        "system.cpu.time",
        "s",
        COUNT_SECONDS,
        &["cpu.mode", CPU_NUMBER],
        [
            "Time that all CPUs together, or each, spent in a mode.",
            "/proc/stat: cpu or cpuN, ticks / CLK_TCK; interrupt = irq + softirq",
        ],
    ),
);

/// Share of the time that all CPUs together, or each, spent in a mode since the last collection.
pub static CPU_UTILIZATION: MetricSpec = opt_in(shows(
    Resource::Cpu,
    Aspect::Utilization,
    metric(
        "system.cpu.utilization",
        "1",
        GAUGE,
        &["cpu.mode", CPU_NUMBER],
        [
            "Share of the time that all CPUs together, or each, spent in a mode since the last collection.",
            "/proc/stat: cpu or cpuN, ticks of the mode / ticks of all modes",
        ],
    ),
));

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

/// Cores of all processors.
pub static CPU_PHYSICAL_COUNT: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Context,
    metric(
        "system.cpu.physical.count",
        "{cpu}",
        LEVEL,
        &[],
        [
            "Cores of all processors that have a CPU online.",
            "/sys/devices/system/cpu/cpu*/topology/physical_package_id and core_id beside it: different pairs",
        ],
    ),
);

/// Clock rate of a CPU.
pub static CPU_FREQUENCY: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Context,
    metric(
        "system.cpu.frequency",
        "Hz",
        (Instrument::Gauge, ValueType::Int),
        &[CPU_NUMBER],
        [
            "Clock rate of a CPU.",
            "/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq x 1000, else /proc/cpuinfo: cpu MHz",
        ],
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

/// Interrupts of all CPUs.
pub static INTERRUPTS: MetricSpec = opt_in(shows(
    Resource::Cpu,
    Aspect::Context,
    draft(metric(
        "system.cpu.linux.interrupts",
        "{interrupt}",
        COUNT,
        &[],
        ["Interrupts served by all CPUs.", "/proc/stat: intr, first number"],
    )),
));

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

/// Time that tasks could have run and did not.
pub static RUN_QUEUE_TIME: MetricSpec = shows(
    Resource::Cpu,
    Aspect::Saturation,
    draft(metric(
        "system.cpu.linux.run_queue.time",
        "s",
        COUNT_SECONDS,
        &[CPU_NUMBER],
        [
            "Time that tasks could have run and waited for a CPU.",
            "/proc/schedstat: cpuN, 8th number / 1e9; summed over CPUs",
        ],
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
