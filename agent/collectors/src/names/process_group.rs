//! Metrics of groups of processes: those of one systemd unit of the system, and all others together.

use telemetry::{EntitySpec, MetricSpec};

use super::{COUNT, COUNT_SECONDS, DISK_DIRECTION, FAULT_TYPE, LEVEL, metric, own};

/// The processes of a systemd unit of the system, or `other`: those of none. All that a user's own systemd runs is of
/// `user@UID.service`. Its counters begin when it is first seen.
pub static PROCESS_GROUP: EntitySpec =
    EntitySpec { name: "hostmend.process_group", attributes: &["hostmend.process_group.name"] };

/// CPU time of all that are or were in the group.
pub static GROUP_CPU_TIME: MetricSpec = own(metric(
    "hostmend.process_group.cpu.time",
    "s",
    COUNT_SECONDS,
    &["cpu.mode"],
    [
        "CPU time that processes used while they were in the group, since it was first seen.",
        "growth of /proc/PID/stat: fields 14, 15, 42",
    ],
));

/// Page faults of all that are or were in the group.
pub static GROUP_PAGING_FAULTS: MetricSpec = own(metric(
    "hostmend.process_group.paging.faults",
    "{fault}",
    COUNT,
    &[FAULT_TYPE],
    [
        "Page faults of processes while they were in the group, since it was first seen.",
        "growth of /proc/PID/stat: fields 12 and 10",
    ],
));

/// Bytes that all that are or were in the group had read from and written to storage.
pub static GROUP_DISK_IO: MetricSpec = own(metric(
    "hostmend.process_group.disk.io",
    "By",
    COUNT,
    &[DISK_DIRECTION],
    [
        "Bytes that processes of the group had read from and written to storage, since it was first seen.",
        "growth of /proc/PID/io: read_bytes, write_bytes; needs the right to trace the processes",
    ],
));

/// Processes of the group by state.
pub static GROUP_COUNT: MetricSpec = own(metric(
    "hostmend.process_group.count",
    "{process}",
    LEVEL,
    &["process.state"],
    ["Processes of the group by state.", "/proc/PID/stat: field 3"],
));

/// Processes of the group that no signal wakes, mostly because they wait for a disk.
pub static GROUP_UNINTERRUPTIBLE: MetricSpec = own(metric(
    "hostmend.process_group.uninterruptible.count",
    "{process}",
    LEVEL,
    &[],
    [
        "Sleeping processes of the group that no signal wakes, mostly because they wait for a disk.",
        "/proc/PID/stat: field 3 is D",
    ],
));

/// Memory of the group that is resident; what is shared counts for each.
pub static GROUP_MEMORY_USAGE: MetricSpec = own(metric(
    "hostmend.process_group.memory.usage",
    "By",
    LEVEL,
    &[],
    [
        "Memory that is resident for processes of the group; what they share counts for each.",
        "/proc/PID/stat: field 24 x page size",
    ],
));

/// Threads of the group.
pub static GROUP_THREAD_COUNT: MetricSpec = own(metric(
    "hostmend.process_group.thread.count",
    "{thread}",
    LEVEL,
    &[],
    ["Threads of processes of the group.", "/proc/PID/stat: field 20"],
));

/// Descriptors that processes of the group have open.
pub static GROUP_DESCRIPTOR_COUNT: MetricSpec = own(metric(
    "hostmend.process_group.unix.file_descriptor.count",
    "{file_descriptor}",
    LEVEL,
    &[],
    [
        "Descriptors that processes of the group have open; of each up to a minute old.",
        "size of /proc/PID/fd, since Linux 6.2",
    ],
));
