//! Metrics of systemd's units and of containers: the same figures of a cgroup under two sets of names.
//!
//! Containers have conventions; a unit has none, so its names are those of containers with `systemd.unit.` in place of
//! `container.`. What the conventions mark as opt-in for containers is off by default for them, and on for units.

use telemetry::{EntitySpec, MetricSpec};

use super::{
    COUNT, COUNT_SECONDS, DEVICE, DISK_DIRECTION, FAULT_TYPE, GAUGE, LEVEL, draft, metric, opt_in, own,
};

/// One unit of systemd. Units of a user's own systemd bear the number of the user; those of the system have none.
pub static UNIT: EntitySpec =
    EntitySpec { name: "systemd.unit", attributes: &["systemd.unit.name", "user.id"] };

/// One container.
pub static CONTAINER: EntitySpec =
    EntitySpec { name: "container", attributes: &["container.id", "container.runtime.name"] };

const STALL_TYPE: &str = "system.linux.pressure.stall_type";
const UNIT_EVENT: &str = "systemd.unit.memory.linux.event.type";
const CONTAINER_EVENT: &str = "container.memory.linux.event.type";

/// As the conventions have it.
const fn registered(spec: MetricSpec) -> MetricSpec {
    spec
}

/// As the conventions have it, and off by default, as they say.
const fn registered_opt_in(spec: MetricSpec) -> MetricSpec {
    opt_in(spec)
}

/// A draft name of what is off by default.
const fn draft_opt_in(spec: MetricSpec) -> MetricSpec {
    opt_in(draft(spec))
}

/// A row: field, names of the constants, and then, for a unit and for a container, what wraps the metric, its name and
/// its attributes; unit, kind, text and source are the same.
macro_rules! cgroup_metrics {
    ($($field:ident $unit_static:ident $container_static:ident:
        $unit_scope:ident $unit_name:literal [$($unit_key:expr),*]
        $container_scope:ident $container_name:literal [$($container_key:expr),*]
        $unit:literal $kind:ident $text:literal $source:literal;)*) => {
        $(
            #[doc = $text]
            #[doc = ""]
            #[doc = "Of a unit."]
            pub static $unit_static: MetricSpec =
                $unit_scope(metric($unit_name, $unit, $kind, &[$($unit_key),*], [$text, $source]));
            #[doc = $text]
            #[doc = ""]
            #[doc = "Of a container."]
            pub static $container_static: MetricSpec = $container_scope(metric(
                $container_name, $unit, $kind, &[$($container_key),*], [$text, $source]));
        )*

        /// What the figures of a cgroup are called.
        #[derive(Debug)]
        pub struct CgroupMetrics {
            /// What has these figures.
            pub entity: &'static EntitySpec,
            $(#[doc = $text] pub $field: &'static MetricSpec,)*
        }

        /// Those of systemd's units.
        pub static OF_UNITS: CgroupMetrics = CgroupMetrics { entity: &UNIT, $($field: &$unit_static,)* };
        /// Those of containers.
        pub static OF_CONTAINERS: CgroupMetrics =
            CgroupMetrics { entity: &CONTAINER, $($field: &$container_static,)* };

        /// Those of systemd's units, for the table of collectors.
        pub(crate) static UNIT_METRICS: &[&MetricSpec] = &[$(&$unit_static),*];
        /// Those of containers, for the table of collectors.
        pub(crate) static CONTAINER_METRICS: &[&MetricSpec] = &[$(&$container_static),*];
    };
}

cgroup_metrics! {
    cpu_time UNIT_CPU_TIME CONTAINER_CPU_TIME:
        draft "systemd.unit.cpu.time" ["cpu.mode"]
        registered "container.cpu.time" ["cpu.mode"]
        "s" COUNT_SECONDS "Time that its processes ran on a CPU."
        "cpu.stat: user_usec, system_usec; version 1: cpuacct.stat";
    cpu_periods UNIT_CPU_PERIODS CONTAINER_CPU_PERIODS:
        draft "systemd.unit.cpu.periods" []
        draft "container.cpu.periods" []
        "{period}" COUNT "Periods in which a quota of CPU time was in force and something ran."
        "cpu.stat: nr_periods";
    cpu_throttled_periods UNIT_CPU_THROTTLED_PERIODS CONTAINER_CPU_THROTTLED_PERIODS:
        draft "systemd.unit.cpu.throttled_periods" []
        draft "container.cpu.throttled_periods" []
        "{period}" COUNT "Periods in which the quota of CPU time was used up."
        "cpu.stat: nr_throttled";
    cpu_throttled_time UNIT_CPU_THROTTLED_TIME CONTAINER_CPU_THROTTLED_TIME:
        draft "systemd.unit.cpu.throttled_time" []
        draft "container.cpu.throttled_time" []
        "s" COUNT_SECONDS "Time that its CPUs waited for the next period of the quota."
        "cpu.stat: throttled_usec; version 1: throttled_time";
    cpu_pressure UNIT_CPU_PRESSURE CONTAINER_CPU_PRESSURE:
        draft "systemd.unit.cpu.linux.pressure.total" [STALL_TYPE]
        draft "container.cpu.linux.pressure.total" [STALL_TYPE]
        "s" COUNT_SECONDS "Time that its tasks waited for a CPU."
        "cpu.pressure: total";
    memory_usage UNIT_MEMORY_USAGE CONTAINER_MEMORY_USAGE:
        draft "systemd.unit.memory.usage" []
        registered_opt_in "container.memory.usage" []
        "By" LEVEL "Memory that is charged to it, page cache included."
        "memory.current; version 1: memory.usage_in_bytes";
    memory_peak UNIT_MEMORY_PEAK CONTAINER_MEMORY_PEAK:
        draft "systemd.unit.memory.peak" []
        own "hostmend.container.memory.peak" []
        "By" LEVEL "The most memory that was ever charged to it."
        "memory.peak; version 1: memory.max_usage_in_bytes";
    memory_working_set UNIT_MEMORY_WORKING_SET CONTAINER_MEMORY_WORKING_SET:
        draft "systemd.unit.memory.working_set" []
        registered_opt_in "container.memory.working_set" []
        "By" LEVEL "Memory that is charged to it, without page cache that was not used lately."
        "memory.current - memory.stat: inactive_file";
    memory_rss UNIT_MEMORY_RSS CONTAINER_MEMORY_RSS:
        draft "systemd.unit.memory.rss" []
        registered_opt_in "container.memory.rss" []
        "By" LEVEL "Anonymous memory, such as heap and stacks."
        "memory.stat: anon; version 1: total_rss";
    memory_available UNIT_MEMORY_AVAILABLE CONTAINER_MEMORY_AVAILABLE:
        draft_opt_in "systemd.unit.memory.available" []
        registered_opt_in "container.memory.available" []
        "By" LEVEL "Memory that is left until the limit; absent without one."
        "the limit that holds - the working set";
    memory_limit UNIT_MEMORY_LIMIT CONTAINER_MEMORY_LIMIT:
        draft "systemd.unit.memory.limit" []
        draft "container.memory.limit" []
        "By" LEVEL "The lowest limit of memory of it and of what it lies in; absent without one."
        "memory.max; version 1: memory.stat: hierarchical_memory_limit";
    memory_events UNIT_MEMORY_EVENTS CONTAINER_MEMORY_EVENTS:
        draft "systemd.unit.memory.linux.events" [UNIT_EVENT]
        draft "container.memory.linux.events" [CONTAINER_EVENT]
        "{event}" COUNT "How often a limit of memory was met, and what followed."
        "memory.events; version 1: memory.failcnt, memory.oom_control";
    memory_pressure UNIT_MEMORY_PRESSURE CONTAINER_MEMORY_PRESSURE:
        draft "systemd.unit.memory.linux.pressure.total" [STALL_TYPE]
        draft "container.memory.linux.pressure.total" [STALL_TYPE]
        "s" COUNT_SECONDS "Time that its tasks waited for memory."
        "memory.pressure: total";
    paging_faults UNIT_PAGING_FAULTS CONTAINER_PAGING_FAULTS:
        draft "systemd.unit.paging.faults" [FAULT_TYPE]
        registered_opt_in "container.paging.faults" [FAULT_TYPE]
        "{fault}" COUNT "Page faults."
        "memory.stat: pgfault, pgmajfault";
    disk_io UNIT_DISK_IO CONTAINER_DISK_IO:
        draft "systemd.unit.disk.io" [DISK_DIRECTION, DEVICE]
        registered_opt_in "container.disk.io" [DISK_DIRECTION, DEVICE]
        "By" COUNT "Bytes that it read from and wrote to block devices."
        "io.stat: rbytes, wbytes; version 1: blkio.throttle.io_service_bytes";
    io_pressure UNIT_IO_PRESSURE CONTAINER_IO_PRESSURE:
        draft "systemd.unit.io.linux.pressure.total" [STALL_TYPE]
        draft "container.io.linux.pressure.total" [STALL_TYPE]
        "s" COUNT_SECONDS "Time that its tasks waited for I/O."
        "io.pressure: total";
    thread_count UNIT_THREAD_COUNT CONTAINER_THREAD_COUNT:
        draft "systemd.unit.thread.count" []
        draft "container.thread.count" []
        "{thread}" LEVEL "Threads that it has."
        "pids.current";
    thread_limit UNIT_THREAD_LIMIT CONTAINER_THREAD_LIMIT:
        draft "systemd.unit.thread.limit" []
        draft "container.thread.limit" []
        "{thread}" LEVEL "Threads that it may have; absent without a limit."
        "pids.max";
    uptime UNIT_UPTIME CONTAINER_UPTIME:
        draft "systemd.unit.uptime" []
        registered "container.uptime" []
        "s" GAUGE "Time since it began."
        "/run/systemd/units/invocation:NAME, else the oldest of its processes";
}

/// The state of a unit.
pub static UNIT_STATE: MetricSpec = draft(metric(
    "systemd.unit.state",
    "{unit}",
    LEVEL,
    &["systemd.unit.state"],
    [
        "1 for the state that a service is in, 0 for the others.",
        "systemd over D-Bus: ListUnitsByPatterns, ActiveState",
    ],
));

/// Restarts of a service.
pub static UNIT_RESTARTS: MetricSpec = draft(metric(
    "systemd.unit.restarts",
    "{restart}",
    COUNT,
    &[],
    [
        "How often systemd restarted a service by itself since somebody started it.",
        "systemd over D-Bus: NRestarts",
    ],
));
