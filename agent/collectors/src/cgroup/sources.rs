//! Which files of a cgroup are read on this host, where they lie, and how often.
//!
//! A controller is in version 2 or in version 1, never in both, so each figure has one source: that of version 1 where
//! the controller is mounted there. Time on CPUs and pressure version 2 has even then, if the units are in its tree.

use std::path::PathBuf;

use telemetry::{MetricSpec, SampleBuffer};

use super::figures::{self, Parse};
use super::mounts::Mounts;
use crate::host::HostRoot;
use crate::names::CgroupMetrics;

/// When a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// With each collection: it tells whether anything has run since the last one.
    First,
    /// After that, if something has.
    Active,
    /// With each listing of the cgroups: what an operator sets.
    Listed,
}

/// One file of every cgroup.
pub(super) struct Source {
    /// The mount point, as this process sees it.
    pub(super) base: PathBuf,
    pub(super) file: &'static str,
    pub(super) parse: Parse,
    pub(super) when: When,
    feeds: Feeds,
}

/// The metrics for which a file is read; none that it is always read.
type Feeds = &'static [fn(&CgroupMetrics) -> &'static MetricSpec];

impl Source {
    /// Whether anybody wants what the file says.
    pub(super) fn is_wanted(&self, metrics: &CgroupMetrics, out: &SampleBuffer) -> bool {
        self.feeds.is_empty() || self.feeds.iter().any(|metric| out.takes(metric(metrics)))
    }
}

struct Row {
    /// The controller of version 1 whose mount decides where the file is.
    controller: &'static str,
    file: &'static str,
    parse: Parse,
    when: When,
    feeds: Feeds,
}

const fn row(controller: &'static str, file: &'static str, parse: Parse, when: When, feeds: Feeds) -> Row {
    Row { controller, file, parse, when, feeds }
}

const WORKING_SET: Feeds = &[|of| of.memory_usage, |of| of.memory_working_set, |of| of.memory_available];
const STAT: Feeds = &[
    |of| of.memory_working_set,
    |of| of.memory_available,
    |of| of.memory_rss,
    |of| of.paging_faults,
    |of| of.memory_limit,
];

static VERSION_2: [Row; 12] = [
    row("", "cpu.stat", figures::cpu_stat, When::First, &[]),
    row("memory", "memory.current", figures::memory_current, When::Active, WORKING_SET),
    row("memory", "memory.stat", figures::memory_stat, When::Active, STAT),
    row("memory", "memory.events", figures::memory_events, When::Active, &[|of| of.memory_events]),
    row("memory", "memory.peak", figures::memory_peak, When::Active, &[|of| of.memory_peak]),
    row("blkio", "io.stat", figures::io_stat, When::Active, &[|of| of.disk_io]),
    row("pids", "pids.current", figures::pids_current, When::Active, &[|of| of.thread_count]),
    row("", "cpu.pressure", figures::cpu_pressure, When::Active, &[|of| of.cpu_pressure]),
    row("", "memory.pressure", figures::memory_pressure, When::Active, &[|of| of.memory_pressure]),
    row("", "io.pressure", figures::io_pressure, When::Active, &[|of| of.io_pressure]),
    row(
        "memory",
        "memory.max",
        figures::memory_max,
        When::Listed,
        &[|of| of.memory_limit, |of| of.memory_available],
    ),
    row("pids", "pids.max", figures::pids_max, When::Listed, &[|of| of.thread_limit]),
];

static VERSION_1: [Row; 11] = [
    row("cpuacct", "cpuacct.stat", figures::cpuacct_stat, When::First, &[]),
    row(
        "cpu",
        "cpu.stat",
        figures::cpu_stat,
        When::Active,
        &[|of| of.cpu_periods, |of| of.cpu_throttled_periods, |of| of.cpu_throttled_time],
    ),
    row("memory", "memory.usage_in_bytes", figures::memory_current, When::Active, WORKING_SET),
    row("memory", "memory.stat", figures::memory_stat_v1, When::Active, STAT),
    row("memory", "memory.failcnt", figures::memory_failcnt, When::Active, &[|of| of.memory_events]),
    row("memory", "memory.oom_control", figures::memory_oom_control, When::Active, &[|of| of.memory_events]),
    row("memory", "memory.max_usage_in_bytes", figures::memory_peak, When::Active, &[|of| of.memory_peak]),
    row("blkio", "blkio.throttle.io_service_bytes", figures::blkio, When::Active, &[|of| of.disk_io]),
    row(
        "blkio",
        "blkio.throttle.io_service_bytes_recursive",
        figures::blkio,
        When::Active,
        &[|of| of.disk_io],
    ),
    row("pids", "pids.current", figures::pids_current, When::Active, &[|of| of.thread_count]),
    row("pids", "pids.max", figures::pids_max, When::Listed, &[|of| of.thread_limit]),
];

/// The files of cgroups that this host has, those first that are read first.
pub(super) fn of(mounts: &Mounts, host: &HostRoot) -> Vec<Source> {
    let source = |row: &Row, mount_point: &str| Source {
        base: host.path(mount_point),
        file: row.file,
        parse: row.parse,
        when: row.when,
        feeds: row.feeds,
    };
    let second = VERSION_2.iter().filter_map(|row| {
        let mount_point = mounts.v2()?;
        mounts.v1(row.controller).is_none().then(|| source(row, mount_point))
    });
    let first = VERSION_1.iter().filter_map(|row| Some(source(row, mounts.v1(row.controller)?)));
    let mut sources: Vec<Source> = second.chain(first).collect();
    // Version 2 counts in microseconds, and is asked first where there are both.
    sources.sort_by_key(|source| source.when != When::First);
    sources
}

#[cfg(any(test, feature = "fuzz"))]
pub(super) fn parse_as_everything(text: &str) {
    for row in VERSION_2.iter().chain(&VERSION_1) {
        let _ = (row.parse)(text, &mut figures::Figures::default());
    }
}
