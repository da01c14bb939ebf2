//! Metrics of block devices.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT, COUNT_SECONDS, DEVICE, DISK_DIRECTION, LEVEL, draft, metric, opt_in, shows};

/// Bytes read and written.
pub static DISK_IO: MetricSpec = shows(
    Resource::Disk,
    Aspect::Utilization,
    metric(
        "system.disk.io",
        "By",
        COUNT,
        &[DEVICE, DISK_DIRECTION],
        ["Bytes read and written.", "/proc/diskstats: columns 6 and 10 x 512"],
    ),
);

/// Reads and writes completed.
pub static DISK_OPERATIONS: MetricSpec = shows(
    Resource::Disk,
    Aspect::Utilization,
    metric(
        "system.disk.operations",
        "{operation}",
        COUNT,
        &[DEVICE, DISK_DIRECTION],
        ["Reads and writes completed.", "/proc/diskstats: columns 4 and 8"],
    ),
);

/// Reads and writes merged into one.
pub static DISK_MERGED: MetricSpec = shows(
    Resource::Disk,
    Aspect::Context,
    metric(
        "system.disk.merged",
        "{operation}",
        COUNT,
        &[DEVICE, DISK_DIRECTION],
        ["Reads and writes merged into one.", "/proc/diskstats: columns 5 and 9"],
    ),
);

/// Time that reads and writes took, added up.
pub static DISK_OPERATION_TIME: MetricSpec = shows(
    Resource::Disk,
    Aspect::Saturation,
    metric(
        "system.disk.operation_time",
        "s",
        COUNT_SECONDS,
        &[DEVICE, DISK_DIRECTION],
        ["Time that reads and writes took, added up.", "/proc/diskstats: columns 7 and 11"],
    ),
);

/// Time that the device was busy.
pub static DISK_IO_TIME: MetricSpec = shows(
    Resource::Disk,
    Aspect::Utilization,
    metric(
        "system.disk.io_time",
        "s",
        COUNT_SECONDS,
        &[DEVICE],
        ["Time that the device was busy.", "/proc/diskstats: column 13"],
    ),
);

/// Busy time weighted by the operations in flight; its rate is the mean queue.
pub static DISK_WEIGHTED_IO_TIME: MetricSpec = shows(
    Resource::Disk,
    Aspect::Saturation,
    draft(metric(
        "system.disk.weighted_io_time",
        "s",
        COUNT_SECONDS,
        &[DEVICE],
        [
            "Busy time weighted by the operations in flight; its rate is the mean queue.",
            "/proc/diskstats: column 14",
        ],
    )),
);

/// Operations in flight.
pub static DISK_PENDING_OPERATIONS: MetricSpec = shows(
    Resource::Disk,
    Aspect::Saturation,
    draft(metric(
        "system.disk.pending_operations",
        "{operation}",
        LEVEL,
        &[DEVICE],
        ["Operations in flight.", "/proc/diskstats: column 12"],
    )),
);

/// Size of the device.
pub static DISK_LIMIT: MetricSpec = opt_in(shows(
    Resource::Disk,
    Aspect::Context,
    metric(
        "system.disk.limit",
        "By",
        LEVEL,
        &[DEVICE],
        ["Size of the device.", "/sys/class/block/*/size x 512"],
    ),
));
