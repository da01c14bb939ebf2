//! Metrics of file systems.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{DEVICE, GAUGE, LEVEL, draft, metric, own, shows};

const FS_MODE: &str = "system.filesystem.mode";
const FS_MOUNTPOINT: &str = "system.filesystem.mountpoint";
const FS_STATE: &str = "system.filesystem.state";
const FS_TYPE: &str = "system.filesystem.type";

/// Size of the file system.
pub static FILESYSTEM_LIMIT: MetricSpec = shows(
    Resource::Filesystem,
    Aspect::Context,
    metric(
        "system.filesystem.limit",
        "By",
        LEVEL,
        &[DEVICE, FS_TYPE, FS_MODE, FS_MOUNTPOINT],
        ["Size of the file system.", "statvfs: f_blocks x f_frsize"],
    ),
);

/// Space by state; the states add up to the limit.
pub static FILESYSTEM_USAGE: MetricSpec = shows(
    Resource::Filesystem,
    Aspect::Utilization,
    metric(
        "system.filesystem.usage",
        "By",
        LEVEL,
        &[DEVICE, FS_STATE, FS_TYPE, FS_MODE, FS_MOUNTPOINT],
        [
            "Space by state; the states add up to the limit.",
            "statvfs: used = f_blocks - f_bfree, free = f_bavail, reserved = f_bfree - f_bavail",
        ],
    ),
);

/// Share of the space by state.
pub static FILESYSTEM_UTILIZATION: MetricSpec = shows(
    Resource::Filesystem,
    Aspect::Utilization,
    metric(
        "system.filesystem.utilization",
        "1",
        GAUGE,
        &[DEVICE, FS_STATE, FS_TYPE, FS_MODE, FS_MOUNTPOINT],
        ["Share of the space by state.", "statvfs: usage / limit"],
    ),
);

/// Inodes, used and free.
pub static FILESYSTEM_INODES_USAGE: MetricSpec = shows(
    Resource::Filesystem,
    Aspect::Utilization,
    draft(metric(
        "system.filesystem.inodes.usage",
        "{inode}",
        LEVEL,
        &[DEVICE, FS_MODE, FS_MOUNTPOINT, FS_TYPE, FS_STATE],
        ["Inodes, used and free.", "statvfs: f_files - f_ffree, f_ffree"],
    )),
);

/// Whether a file system does not answer.
pub static FILESYSTEM_STUCK: MetricSpec = shows(
    Resource::Filesystem,
    Aspect::Errors,
    own(metric(
        "hostmend.filesystem.stuck",
        "1",
        LEVEL,
        &[FS_MOUNTPOINT],
        [
            "1 where a file system has not said within a second how full it is, else 0.",
            "statvfs, in a thread that may be left behind",
        ],
    )),
);

/// Errors that a file system noted about itself. They stand on its disk, so they are older than the boot and not a
/// counter: a check of the file system sets them back.
pub static FILESYSTEM_ERROR_COUNT: MetricSpec = shows(
    Resource::Filesystem,
    Aspect::Errors,
    own(metric(
        "hostmend.filesystem.error.count",
        "{error}",
        LEVEL,
        &[DEVICE],
        ["Errors that an ext4 file system noted since it was last checked.", "/sys/fs/ext4/*/errors_count"],
    )),
);
