//! Metrics of what the kernel has for all processes together: open files, locks of files, entropy.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{DEVICE, LEVEL, draft, metric, opt_in, shows};

/// Open files of the whole host.
pub static FILE_DESCRIPTOR_COUNT: MetricSpec = shows(
    Resource::Descriptors,
    Aspect::Utilization,
    draft(metric(
        "system.unix.file_descriptor.count",
        "{file_descriptor}",
        LEVEL,
        &[],
        ["Open files of the whole host.", "/proc/sys/fs/file-nr: first number - second"],
    )),
);

/// Files that can be open on the whole host.
pub static FILE_DESCRIPTOR_LIMIT: MetricSpec = shows(
    Resource::Descriptors,
    Aspect::Context,
    draft(metric(
        "system.unix.file_descriptor.limit",
        "{file_descriptor}",
        LEVEL,
        &[],
        [
            "Files that can be open on the whole host; not told where it is no limit.",
            "/proc/sys/fs/file-nr: third number",
        ],
    )),
);

/// Locks held on files.
pub static LOCK_COUNT: MetricSpec = shows(
    Resource::Filesystem,
    Aspect::Context,
    metric(
        "system.filesystem.lock.count",
        "{lock}",
        LEVEL,
        &[DEVICE, "file.lock.type", "file.lock.mechanism", "file.lock.mode"],
        ["Locks held on files.", "/proc/locks: lines by columns 2, 3, 4 and the device of column 6"],
    ),
);

/// Entropy in the kernel's pool.
pub static ENTROPY_USAGE: MetricSpec = opt_in(shows(
    Resource::Hardware,
    Aspect::Utilization,
    draft(metric(
        "system.entropy.usage",
        "bit",
        LEVEL,
        &[],
        ["Entropy in the kernel's pool; 256 since Linux 5.18.", "/proc/sys/kernel/random/entropy_avail"],
    )),
));

/// Entropy that fits into the kernel's pool.
pub static ENTROPY_LIMIT: MetricSpec = opt_in(shows(
    Resource::Hardware,
    Aspect::Context,
    draft(metric(
        "system.entropy.limit",
        "bit",
        LEVEL,
        &[],
        ["Entropy that fits into the kernel's pool.", "/proc/sys/kernel/random/poolsize"],
    )),
));
