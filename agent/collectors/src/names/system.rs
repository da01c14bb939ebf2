//! Metrics of the host, from `/proc` and `statvfs`.

use telemetry::MetricSpec;

use super::{COUNT, COUNT_SECONDS, DEVICE, DISK_DIRECTION, FAULT_TYPE, GAUGE, LEVEL, draft, metric};

const FS_MODE: &str = "system.filesystem.mode";
const FS_MOUNTPOINT: &str = "system.filesystem.mountpoint";
const FS_STATE: &str = "system.filesystem.state";
const FS_TYPE: &str = "system.filesystem.type";
const INTERFACE: &str = "network.interface.name";
const NETWORK_DIRECTION: &str = "network.io.direction";
const STALL_TYPE: &str = "system.linux.pressure.stall_type";

/// Time that all CPUs together spent in a mode.
pub static CPU_TIME: MetricSpec = metric(
    "system.cpu.time",
    "s",
    COUNT_SECONDS,
    &["cpu.mode"],
    [
        "Time that all CPUs together spent in a mode.",
        "/proc/stat: cpu, ticks / CLK_TCK; interrupt = irq + softirq",
    ],
);

/// CPUs that are online.
pub static CPU_LOGICAL_COUNT: MetricSpec = metric(
    "system.cpu.logical.count",
    "{cpu}",
    LEVEL,
    &[],
    ["CPUs that are online.", "/proc/stat: lines cpuN"],
);

/// Context switches of all CPUs.
pub static CONTEXT_SWITCHES: MetricSpec = draft(metric(
    "system.cpu.linux.context_switches",
    "{context_switch}",
    COUNT,
    &[],
    ["Context switches of all CPUs.", "/proc/stat: ctxt"],
));

/// Tasks that run or could run.
pub static RUN_QUEUE_LENGTH: MetricSpec = draft(metric(
    "system.cpu.linux.run_queue.length",
    "{thread}",
    LEVEL,
    &[],
    ["Tasks that run or could run.", "/proc/stat: procs_running"],
));

/// Tasks that wait for I/O and cannot be interrupted.
pub static BLOCKED_COUNT: MetricSpec = draft(metric(
    "system.process.linux.blocked.count",
    "{thread}",
    LEVEL,
    &[],
    ["Tasks that wait for I/O and cannot be interrupted.", "/proc/stat: procs_blocked"],
));

/// Processes and threads created since boot.
pub static PROCESS_CREATED: MetricSpec = metric(
    "system.process.created",
    "{process}",
    COUNT,
    &[],
    ["Processes and threads created since boot.", "/proc/stat: processes"],
);

/// Time since boot.
pub static UPTIME: MetricSpec =
    metric("system.uptime", "s", GAUGE, &[], ["Time since boot.", "/proc/uptime: field 1"]);

/// Load average over 1 minute.
pub static LOAD_1M: MetricSpec = draft(metric(
    "system.cpu.load_average.1m",
    "{thread}",
    GAUGE,
    &[],
    ["Load average over 1 minute.", "/proc/loadavg: field 1"],
));

/// Load average over 5 minutes.
pub static LOAD_5M: MetricSpec = draft(metric(
    "system.cpu.load_average.5m",
    "{thread}",
    GAUGE,
    &[],
    ["Load average over 5 minutes.", "/proc/loadavg: field 2"],
));

/// Load average over 15 minutes.
pub static LOAD_15M: MetricSpec = draft(metric(
    "system.cpu.load_average.15m",
    "{thread}",
    GAUGE,
    &[],
    ["Load average over 15 minutes.", "/proc/loadavg: field 3"],
));

/// Threads that exist.
pub static THREAD_COUNT: MetricSpec = draft(metric(
    "system.thread.count",
    "{thread}",
    LEVEL,
    &[],
    ["Threads that exist.", "/proc/loadavg: field 4, after the slash"],
));

/// Memory that the kernel has to give.
pub static MEMORY_LIMIT: MetricSpec = metric(
    "system.memory.limit",
    "By",
    LEVEL,
    &[],
    ["Memory that the kernel has to give.", "/proc/meminfo: MemTotal"],
);

/// Memory by state; the states overlap.
pub static MEMORY_USAGE: MetricSpec = metric(
    "system.memory.usage",
    "By",
    LEVEL,
    &["system.memory.state"],
    [
        "Memory by state; the states overlap.",
        "/proc/meminfo: used = MemTotal - MemAvailable, MemFree, Buffers, Cached",
    ],
);

/// Share of the memory in a state.
pub static MEMORY_UTILIZATION: MetricSpec = metric(
    "system.memory.utilization",
    "1",
    GAUGE,
    &["system.memory.state"],
    ["Share of the memory in a state.", "/proc/meminfo: usage / MemTotal"],
);

/// Memory that new work can have without swapping.
pub static MEMORY_AVAILABLE: MetricSpec = metric(
    "system.memory.linux.available",
    "By",
    LEVEL,
    &[],
    ["Memory that new work can have without swapping.", "/proc/meminfo: MemAvailable"],
);

/// Memory in the kernel's slabs.
pub static MEMORY_SLAB_USAGE: MetricSpec = metric(
    "system.memory.linux.slab.usage",
    "By",
    LEVEL,
    &["system.memory.linux.slab.state"],
    ["Memory in the kernel's slabs.", "/proc/meminfo: SReclaimable, SUnreclaim"],
);

/// Memory that waits to be written to disk.
pub static MEMORY_DIRTY: MetricSpec = draft(metric(
    "system.memory.linux.dirty",
    "By",
    LEVEL,
    &[],
    ["Memory that waits to be written to disk.", "/proc/meminfo: Dirty"],
));

/// Swap space, used and free.
pub static PAGING_USAGE: MetricSpec = metric(
    "system.paging.usage",
    "By",
    LEVEL,
    &["system.paging.state", DEVICE],
    ["Swap space, used and free.", "/proc/swaps"],
);

/// Share of the swap space, used and free.
pub static PAGING_UTILIZATION: MetricSpec = metric(
    "system.paging.utilization",
    "1",
    GAUGE,
    &["system.paging.state", DEVICE],
    ["Share of the swap space, used and free.", "/proc/swaps"],
);

/// Page faults.
pub static PAGING_FAULTS: MetricSpec = metric(
    "system.paging.faults",
    "{fault}",
    COUNT,
    &[FAULT_TYPE],
    ["Page faults.", "/proc/vmstat: pgmajfault, pgfault - pgmajfault"],
);

/// Pages swapped in and out.
pub static PAGING_OPERATIONS: MetricSpec = metric(
    "system.paging.operations",
    "{operation}",
    COUNT,
    &[FAULT_TYPE, "system.paging.direction"],
    ["Pages swapped in and out.", "/proc/vmstat: pswpin, pswpout"],
);

/// Processes killed because memory ran out.
pub static OOM_KILLS: MetricSpec = draft(metric(
    "system.memory.linux.oom_kills",
    "{kill}",
    COUNT,
    &[],
    ["Processes killed because memory ran out.", "/proc/vmstat: oom_kill"],
));

/// Pages needed again soon after they were evicted.
pub static WORKINGSET_REFAULTS: MetricSpec = draft(metric(
    "system.memory.linux.workingset.refaults",
    "{page}",
    COUNT,
    &["system.memory.linux.workingset.type"],
    ["Pages needed again soon after they were evicted.", "/proc/vmstat: workingset_refault_{anon,file}"],
));

/// Pages looked at and taken back to free memory.
pub static RECLAIM_PAGES: MetricSpec = draft(metric(
    "system.memory.linux.reclaim.pages",
    "{page}",
    COUNT,
    &["system.memory.linux.reclaim.stage", "system.memory.linux.reclaim.source"],
    ["Pages looked at and taken back to free memory.", "/proc/vmstat: pgscan_*, pgsteal_*"],
));

/// Allocations that had to wait for memory to be freed.
pub static ALLOCATION_STALLS: MetricSpec = draft(metric(
    "system.memory.linux.allocation_stalls",
    "{stall}",
    COUNT,
    &[],
    ["Allocations that had to wait for memory to be freed.", "/proc/vmstat: sum of allocstall_*"],
));

/// Time that tasks waited for a CPU.
pub static CPU_PRESSURE: MetricSpec = draft(metric(
    "system.cpu.linux.pressure.total",
    "s",
    COUNT_SECONDS,
    &[STALL_TYPE],
    ["Time that tasks waited for a CPU.", "/proc/pressure/cpu: total"],
));

/// Time that tasks waited for memory.
pub static MEMORY_PRESSURE: MetricSpec = draft(metric(
    "system.memory.linux.pressure.total",
    "s",
    COUNT_SECONDS,
    &[STALL_TYPE],
    ["Time that tasks waited for memory.", "/proc/pressure/memory: total"],
));

/// Time that tasks waited for I/O.
pub static IO_PRESSURE: MetricSpec = draft(metric(
    "system.io.linux.pressure.total",
    "s",
    COUNT_SECONDS,
    &[STALL_TYPE],
    ["Time that tasks waited for I/O.", "/proc/pressure/io: total"],
));

/// Time that tasks waited for interrupts to be served.
pub static IRQ_PRESSURE: MetricSpec = draft(metric(
    "system.irq.linux.pressure.total",
    "s",
    COUNT_SECONDS,
    &[STALL_TYPE],
    ["Time that tasks waited for interrupts to be served.", "/proc/pressure/irq: total"],
));

/// Bytes read and written.
pub static DISK_IO: MetricSpec = metric(
    "system.disk.io",
    "By",
    COUNT,
    &[DEVICE, DISK_DIRECTION],
    ["Bytes read and written.", "/proc/diskstats: columns 6 and 10 x 512"],
);

/// Reads and writes completed.
pub static DISK_OPERATIONS: MetricSpec = metric(
    "system.disk.operations",
    "{operation}",
    COUNT,
    &[DEVICE, DISK_DIRECTION],
    ["Reads and writes completed.", "/proc/diskstats: columns 4 and 8"],
);

/// Reads and writes merged into one.
pub static DISK_MERGED: MetricSpec = metric(
    "system.disk.merged",
    "{operation}",
    COUNT,
    &[DEVICE, DISK_DIRECTION],
    ["Reads and writes merged into one.", "/proc/diskstats: columns 5 and 9"],
);

/// Time that reads and writes took, added up.
pub static DISK_OPERATION_TIME: MetricSpec = metric(
    "system.disk.operation_time",
    "s",
    COUNT_SECONDS,
    &[DEVICE, DISK_DIRECTION],
    ["Time that reads and writes took, added up.", "/proc/diskstats: columns 7 and 11"],
);

/// Time that the device was busy.
pub static DISK_IO_TIME: MetricSpec = metric(
    "system.disk.io_time",
    "s",
    COUNT_SECONDS,
    &[DEVICE],
    ["Time that the device was busy.", "/proc/diskstats: column 13"],
);

/// Busy time weighted by the operations in flight; its rate is the mean queue.
pub static DISK_WEIGHTED_IO_TIME: MetricSpec = draft(metric(
    "system.disk.weighted_io_time",
    "s",
    COUNT_SECONDS,
    &[DEVICE],
    [
        "Busy time weighted by the operations in flight; its rate is the mean queue.",
        "/proc/diskstats: column 14",
    ],
));

/// Operations in flight.
pub static DISK_PENDING_OPERATIONS: MetricSpec = draft(metric(
    "system.disk.pending_operations",
    "{operation}",
    LEVEL,
    &[DEVICE],
    ["Operations in flight.", "/proc/diskstats: column 12"],
));

/// Size of the file system.
pub static FILESYSTEM_LIMIT: MetricSpec = metric(
    "system.filesystem.limit",
    "By",
    LEVEL,
    &[DEVICE, FS_TYPE, FS_MODE, FS_MOUNTPOINT],
    ["Size of the file system.", "statvfs: f_blocks x f_frsize"],
);

/// Space by state; the states add up to the limit.
pub static FILESYSTEM_USAGE: MetricSpec = metric(
    "system.filesystem.usage",
    "By",
    LEVEL,
    &[DEVICE, FS_STATE, FS_TYPE, FS_MODE, FS_MOUNTPOINT],
    [
        "Space by state; the states add up to the limit.",
        "statvfs: used = f_blocks - f_bfree, free = f_bavail, reserved = f_bfree - f_bavail",
    ],
);

/// Share of the space by state.
pub static FILESYSTEM_UTILIZATION: MetricSpec = metric(
    "system.filesystem.utilization",
    "1",
    GAUGE,
    &[DEVICE, FS_STATE, FS_TYPE, FS_MODE, FS_MOUNTPOINT],
    ["Share of the space by state.", "statvfs: usage / limit"],
);

/// Inodes, used and free.
pub static FILESYSTEM_INODES_USAGE: MetricSpec = draft(metric(
    "system.filesystem.inodes.usage",
    "{inode}",
    LEVEL,
    &[DEVICE, FS_MODE, FS_MOUNTPOINT, FS_TYPE, FS_STATE],
    ["Inodes, used and free.", "statvfs: f_files - f_ffree, f_ffree"],
));

/// Bytes received and transmitted.
pub static NETWORK_IO: MetricSpec = metric(
    "system.network.io",
    "By",
    COUNT,
    &[INTERFACE, NETWORK_DIRECTION],
    ["Bytes received and transmitted.", "/proc/1/net/dev: columns 1 and 9"],
);

/// Packets received and transmitted.
pub static NETWORK_PACKET_COUNT: MetricSpec = metric(
    "system.network.packet.count",
    "{packet}",
    COUNT,
    &[DEVICE, NETWORK_DIRECTION],
    ["Packets received and transmitted.", "/proc/1/net/dev: columns 2 and 10"],
);

/// Errors while receiving and transmitting.
pub static NETWORK_ERRORS: MetricSpec = metric(
    "system.network.errors",
    "{error}",
    COUNT,
    &[INTERFACE, NETWORK_DIRECTION],
    ["Errors while receiving and transmitting.", "/proc/1/net/dev: columns 3 and 11"],
);

/// Packets dropped while receiving and transmitting.
pub static NETWORK_PACKET_DROPPED: MetricSpec = metric(
    "system.network.packet.dropped",
    "{packet}",
    COUNT,
    &[INTERFACE, NETWORK_DIRECTION],
    ["Packets dropped while receiving and transmitting.", "/proc/1/net/dev: columns 4 and 12"],
);

/// Packets lost because a device queue overran.
pub static NETWORK_OVERRUNS: MetricSpec = draft(metric(
    "system.network.linux.overruns",
    "{packet}",
    COUNT,
    &[INTERFACE, NETWORK_DIRECTION],
    ["Packets lost because a device queue overran.", "/proc/1/net/dev: columns 5 and 13"],
));
