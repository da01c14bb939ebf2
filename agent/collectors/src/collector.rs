//! What a collector is, and the table of all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use telemetry::{MetricSpec, SampleBuffer};

use crate::error::CollectError;
use crate::events::WatchedProcess;
use crate::host::HostRoot;
use crate::unit_states::UnitSignals;
use crate::{
    clock, conntrack, cpu, directories, disk, entropy, filesystem, hardware, load, locks, memory, network,
    nfs, open_files, paging, pressure, processes, processors, protocols, sockets, softnet, unit_states,
    units, uptime, watch,
};

/// Reads one source of facts about the host.
///
/// A collector reads kernel files through [`HostRoot`] or makes a system call. It does not need root, run commands,
/// open network connections, sleep or compute rates: counters leave as the kernel keeps them.
pub trait Collector: Send {
    /// Reads the source once and appends what it saw; the buffer stands on the host.
    ///
    /// # Errors
    ///
    /// Concern this source and this cycle only. What was appended before the error is kept, the other collectors run,
    /// and the schedule reports `hostmend.collector.success` 0. [`CollectError::Absent`] is not a failure: this host
    /// has no such source.
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError>;

    /// The processes that it last saw and whose end should be noticed at once.
    fn watched(&self) -> &[WatchedProcess] {
        &[]
    }

    /// What tells of changes of units, once it is there; from then on it is the caller's.
    fn signals(&mut self) -> Option<UnitSignals> {
        None
    }
}

/// Prepares a collector for a host.
///
/// # Errors
///
/// [`CollectError::Absent`] when there is nothing to collect, else what could not be opened; both are tried again in
/// the next cycle.
pub type Open = fn(&HostRoot, &Options) -> Result<Box<dyn Collector>, CollectError>;

/// One row of [`COLLECTORS`]. Listings, the metrics reference and the configuration check are made from it, so a
/// collector is described nowhere else.
pub struct CollectorSpec {
    /// The name in the configuration and in `hostmend.collector.name`.
    pub name: &'static str,
    /// One sentence for the operator.
    pub summary: &'static str,
    /// All metrics it may emit.
    pub metrics: &'static [&'static MetricSpec],
    /// How often it is asked where the operator does not say; `None` with each collection. For what costs much or hardly
    /// ever changes.
    pub interval: Option<Duration>,
    /// Makes one.
    pub open: Open,
}

/// All collectors, in the order in which they run.
pub static COLLECTORS: &[CollectorSpec] = &[
    uptime::SPEC,
    clock::SPEC,
    cpu::SPEC,
    processors::SPEC,
    load::SPEC,
    memory::SPEC,
    paging::SPEC,
    pressure::SPEC,
    disk::SPEC,
    filesystem::SPEC,
    locks::SPEC,
    open_files::SPEC,
    entropy::SPEC,
    network::SPEC,
    protocols::SPEC,
    softnet::SPEC,
    sockets::SPEC,
    conntrack::SPEC,
    nfs::SPEC,
    hardware::SPEC,
    processes::SPEC,
    units::UNITS,
    units::CONTAINERS,
    unit_states::SPEC,
    watch::SPEC,
    directories::SPEC,
    crate::node_exporter::SPEC,
];

/// What an operator may set about the collectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Directories whose contents are added up, as absolute paths on the host.
    pub directories: Vec<PathBuf>,
    /// Processes whose presence is counted.
    pub watches: Vec<Watch>,
    /// Report one by one only so many processes by CPU, and as many each by memory, disk I/O and descriptors; `None`
    /// reports all.
    pub processes_top: Option<usize>,
    /// Processes that are reported one by one whatever they cost, by the name of the executable, the command or the
    /// kernel's name.
    pub named_processes: Vec<String>,
    /// Tell the command lines of processes that are reported, with secrets masked.
    pub command_lines: bool,
    /// Metrics that are collected, or are not, against what is the default of each; by name.
    pub switched: BTreeMap<String, bool>,
    /// Tell of every CPU apart what is told of all together, by the attribute `cpu.logical_number`.
    pub per_cpu: bool,
}

impl Options {
    /// Whether the metric is collected.
    pub fn wants(&self, metric: &MetricSpec) -> bool {
        self.switched.get(metric.name).copied().unwrap_or(metric.by_default)
    }
}

/// A set of processes that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The value of `hostmend.watch.name`.
    pub name: String,
    /// How its processes are recognised.
    pub target: WatchTarget,
}

/// How the processes of a watch are recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchTarget {
    /// The process whose number stands in this file, an absolute path on the host, unless it started after the file was
    /// written.
    PidFile(PathBuf),
    /// Every process with this kernel name (15 bytes at most) or this name of its executable file. Which executable a
    /// process of another user runs is seen by root only; others find it by its kernel name.
    Command(String),
}
