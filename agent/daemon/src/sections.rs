//! In which order metrics are shown to people: the resources of the host in the order of the USE method, then what runs
//! on it, then the agent. Knows metrics, not values.

use telemetry::{Aspect, MetricSpec, Resource, Scope, Shows};

/// Part of a page about metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    /// A resource of the host.
    Of(Resource),
    /// The host, but no resource that could run short.
    Host,
    /// Units of systemd.
    Units,
    /// Containers.
    Containers,
    /// Groups of processes.
    ProcessGroups,
    /// Single processes.
    Processes,
    /// The agent, and what it was told to look at.
    Agent,
    /// As `node_exporter` names them.
    NodeExporter,
}

impl Section {
    /// Where a metric is shown.
    pub(crate) fn of(metric: &MetricSpec) -> Self {
        let begins = |prefix: &str| metric.name.starts_with(prefix);
        match metric.shows {
            _ if metric.scope == Scope::NodeExporter => Self::NodeExporter,
            Some(Shows { resource, .. }) => Self::Of(resource),
            None if begins("systemd.") => Self::Units,
            None if begins("container.") => Self::Containers,
            None if begins("hostmend.process_group.") => Self::ProcessGroups,
            None if begins("process.") => Self::Processes,
            None if begins("hostmend.") => Self::Agent,
            None => Self::Host,
        }
    }

    /// Its heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Of(Resource::Cpu) => "CPU",
            Self::Of(Resource::Memory) => "Memory",
            Self::Of(Resource::Disk) => "Disks",
            Self::Of(Resource::Filesystem) => "File systems",
            Self::Of(Resource::Network) => "Network",
            Self::Of(Resource::Tasks) => "Tasks",
            Self::Of(Resource::Descriptors) => "Open files",
            Self::Of(Resource::Clock) => "Clock",
            Self::Of(Resource::Hardware) => "Hardware",
            Self::Host => "The rest of the host",
            Self::Units => "Units of systemd",
            Self::Containers => "Containers",
            Self::ProcessGroups => "Process groups",
            Self::Processes => "Processes",
            Self::Agent => "The agent, and what it was told to look at",
            Self::NodeExporter => "As node_exporter names them",
        }
    }
}

/// What a metric says of its resource; empty where it is about none.
pub(crate) fn aspect(metric: &MetricSpec) -> &'static str {
    match metric.shows.map(|shows| shows.aspect) {
        None => "",
        Some(Aspect::Utilization) => "utilization",
        Some(Aspect::Saturation) => "saturation",
        Some(Aspect::Errors) => "errors",
        Some(Aspect::Context) => "context",
    }
}

/// What metrics are sorted by: section, then utilization before saturation before errors before context.
pub(crate) fn rank(metric: &MetricSpec) -> (Section, Option<Aspect>) {
    (Section::of(metric), metric.shows.map(|shows| shows.aspect))
}
