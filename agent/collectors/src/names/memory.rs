//! Metrics of memory and swap.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{COUNT, DEVICE, FAULT_TYPE, GAUGE, LEVEL, draft, metric, opt_in, shows};

const HUGEPAGES_STATE: &str = "system.memory.linux.hugepages.state";

/// Memory that the kernel has to give.
pub static MEMORY_LIMIT: MetricSpec = shows(
    Resource::Memory,
    Aspect::Context,
    metric(
        "system.memory.limit",
        "By",
        LEVEL,
        &[],
        ["Memory that the kernel has to give.", "/proc/meminfo: MemTotal"],
    ),
);

/// Memory by state; the states overlap.
pub static MEMORY_USAGE: MetricSpec = shows(
    Resource::Memory,
    Aspect::Utilization,
    metric(
        "system.memory.usage",
        "By",
        LEVEL,
        &["system.memory.state"],
        [
            "Memory by state; the states overlap.",
            "/proc/meminfo: used = MemTotal - MemAvailable, MemFree, Buffers, Cached",
        ],
    ),
);

/// Share of the memory in a state.
pub static MEMORY_UTILIZATION: MetricSpec = shows(
    Resource::Memory,
    Aspect::Utilization,
    metric(
        "system.memory.utilization",
        "1",
        GAUGE,
        &["system.memory.state"],
        ["Share of the memory in a state.", "/proc/meminfo: usage / MemTotal"],
    ),
);

/// Memory that new work can have without swapping.
pub static MEMORY_AVAILABLE: MetricSpec = shows(
    Resource::Memory,
    Aspect::Utilization,
    metric(
        "system.memory.linux.available",
        "By",
        LEVEL,
        &[],
        ["Memory that new work can have without swapping.", "/proc/meminfo: MemAvailable"],
    ),
);

/// Memory in the kernel's slabs.
pub static MEMORY_SLAB_USAGE: MetricSpec = shows(
    Resource::Memory,
    Aspect::Context,
    metric(
        "system.memory.linux.slab.usage",
        "By",
        LEVEL,
        &["system.memory.linux.slab.state"],
        ["Memory in the kernel's slabs.", "/proc/meminfo: SReclaimable, SUnreclaim"],
    ),
);

/// Memory that waits to be written to disk.
pub static MEMORY_DIRTY: MetricSpec = shows(
    Resource::Memory,
    Aspect::Context,
    draft(metric(
        "system.memory.linux.dirty",
        "By",
        LEVEL,
        &[],
        ["Memory that waits to be written to disk.", "/proc/meminfo: Dirty"],
    )),
);

/// Memory that processes share: shared memory and tmpfs.
pub static MEMORY_SHARED: MetricSpec = opt_in(shows(
    Resource::Memory,
    Aspect::Context,
    metric(
        "system.memory.linux.shared",
        "By",
        LEVEL,
        &[],
        ["Memory that processes share: shared memory and tmpfs.", "/proc/meminfo: Shmem"],
    ),
));

/// Memory that was promised to processes.
pub static MEMORY_COMMITTED: MetricSpec = opt_in(shows(
    Resource::Memory,
    Aspect::Utilization,
    draft(metric(
        "system.memory.linux.committed.usage",
        "By",
        LEVEL,
        &[],
        ["Memory that was promised to processes.", "/proc/meminfo: Committed_AS"],
    )),
));

/// Memory that can be promised to processes where the kernel does not overcommit.
pub static MEMORY_COMMITTED_LIMIT: MetricSpec = opt_in(shows(
    Resource::Memory,
    Aspect::Context,
    draft(metric(
        "system.memory.linux.committed.limit",
        "By",
        LEVEL,
        &[],
        [
            "Memory that can be promised to processes where the kernel does not overcommit.",
            "/proc/meminfo: CommitLimit",
        ],
    )),
));

/// Huge pages of the default size that exist.
pub static HUGEPAGES_LIMIT: MetricSpec = shows(
    Resource::Memory,
    Aspect::Context,
    metric(
        "system.memory.linux.hugepages.limit",
        "{page}",
        LEVEL,
        &[],
        ["Huge pages of the default size that exist.", "/proc/meminfo: HugePages_Total"],
    ),
);

/// The default size of a huge page.
pub static HUGEPAGES_PAGE_SIZE: MetricSpec = shows(
    Resource::Memory,
    Aspect::Context,
    metric(
        "system.memory.linux.hugepages.page_size",
        "By",
        LEVEL,
        &[],
        ["The default size of a huge page.", "/proc/meminfo: Hugepagesize"],
    ),
);

/// Huge pages that are promised and not yet used.
pub static HUGEPAGES_RESERVED: MetricSpec = shows(
    Resource::Memory,
    Aspect::Context,
    metric(
        "system.memory.linux.hugepages.reserved",
        "{page}",
        LEVEL,
        &[],
        ["Huge pages that are promised and not yet used.", "/proc/meminfo: HugePages_Rsvd"],
    ),
);

/// Huge pages beyond those that were asked for.
pub static HUGEPAGES_SURPLUS: MetricSpec = shows(
    Resource::Memory,
    Aspect::Context,
    metric(
        "system.memory.linux.hugepages.surplus",
        "{page}",
        LEVEL,
        &[],
        ["Huge pages beyond those that were asked for.", "/proc/meminfo: HugePages_Surp"],
    ),
);

/// Huge pages, used and free.
pub static HUGEPAGES_USAGE: MetricSpec = shows(
    Resource::Memory,
    Aspect::Utilization,
    metric(
        "system.memory.linux.hugepages.usage",
        "{page}",
        LEVEL,
        &[HUGEPAGES_STATE],
        ["Huge pages, used and free.", "/proc/meminfo: HugePages_Total - HugePages_Free, HugePages_Free"],
    ),
);

/// Share of the huge pages, used and free.
pub static HUGEPAGES_UTILIZATION: MetricSpec = shows(
    Resource::Memory,
    Aspect::Utilization,
    metric(
        "system.memory.linux.hugepages.utilization",
        "1",
        GAUGE,
        &[HUGEPAGES_STATE],
        ["Share of the huge pages, used and free.", "/proc/meminfo: usage / HugePages_Total"],
    ),
);

/// Swap space, used and free.
pub static PAGING_USAGE: MetricSpec = shows(
    Resource::Memory,
    Aspect::Saturation,
    metric(
        "system.paging.usage",
        "By",
        LEVEL,
        &["system.paging.state", DEVICE],
        ["Swap space, used and free.", "/proc/swaps"],
    ),
);

/// Share of the swap space, used and free.
pub static PAGING_UTILIZATION: MetricSpec = shows(
    Resource::Memory,
    Aspect::Saturation,
    metric(
        "system.paging.utilization",
        "1",
        GAUGE,
        &["system.paging.state", DEVICE],
        ["Share of the swap space, used and free.", "/proc/swaps"],
    ),
);

/// Page faults.
pub static PAGING_FAULTS: MetricSpec = shows(
    Resource::Memory,
    Aspect::Context,
    metric(
        "system.paging.faults",
        "{fault}",
        COUNT,
        &[FAULT_TYPE],
        ["Page faults.", "/proc/vmstat: pgmajfault, pgfault - pgmajfault"],
    ),
);

/// Pages swapped in and out.
pub static PAGING_OPERATIONS: MetricSpec = shows(
    Resource::Memory,
    Aspect::Saturation,
    metric(
        "system.paging.operations",
        "{operation}",
        COUNT,
        &[FAULT_TYPE, "system.paging.direction"],
        ["Pages swapped in and out.", "/proc/vmstat: pswpin, pswpout"],
    ),
);

/// Processes killed because memory ran out.
pub static OOM_KILLS: MetricSpec = shows(
    Resource::Memory,
    Aspect::Errors,
    draft(metric(
        "system.memory.linux.oom_kills",
        "{kill}",
        COUNT,
        &[],
        ["Processes killed because memory ran out.", "/proc/vmstat: oom_kill"],
    )),
);

/// Pages needed again soon after they were evicted.
pub static WORKINGSET_REFAULTS: MetricSpec = shows(
    Resource::Memory,
    Aspect::Saturation,
    draft(metric(
        "system.memory.linux.workingset.refaults",
        "{page}",
        COUNT,
        &["system.memory.linux.workingset.type"],
        ["Pages needed again soon after they were evicted.", "/proc/vmstat: workingset_refault_{anon,file}"],
    )),
);

/// Pages looked at and taken back to free memory.
pub static RECLAIM_PAGES: MetricSpec = shows(
    Resource::Memory,
    Aspect::Saturation,
    draft(metric(
        "system.memory.linux.reclaim.pages",
        "{page}",
        COUNT,
        &["system.memory.linux.reclaim.stage", "system.memory.linux.reclaim.source"],
        ["Pages looked at and taken back to free memory.", "/proc/vmstat: pgscan_*, pgsteal_*"],
    )),
);

/// Allocations that had to wait for memory to be freed.
pub static ALLOCATION_STALLS: MetricSpec = shows(
    Resource::Memory,
    Aspect::Saturation,
    draft(metric(
        "system.memory.linux.allocation_stalls",
        "{stall}",
        COUNT,
        &[],
        ["Allocations that had to wait for memory to be freed.", "/proc/vmstat: sum of allocstall_*"],
    )),
);
