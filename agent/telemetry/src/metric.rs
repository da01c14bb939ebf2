//! What a metric and an entity are called, before anything was measured.

/// How values of a metric behave over time, in the words of the semantic conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// A sum that only grows until it is reset; cumulative on the wire.
    Counter,
    /// A sum that may fall; cumulative on the wire, not monotonic.
    UpDownCounter,
    /// The value at one moment, which does not add up.
    Gauge,
}

/// The number type that the conventions give a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// `asInt` on the wire.
    Int,
    /// `asDouble` on the wire.
    Double,
}

/// The instrumentation scope under which a metric is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Registered by the semantic conventions; carries their `schema_url`.
    Conventions,
    /// A draft name for a signal without a convention yet; carries no `schema_url`.
    Draft,
    /// Of hostmend itself: probes, watches and the agent's own figures; carries no `schema_url`.
    Own,
    /// A series as `node_exporter` names and shapes it, for rules and for whoever scrapes; not sent over OTLP.
    NodeExporter,
}

/// A part of the host that can run short, in the order in which Gregg's USE method walks through a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Processors.
    Cpu,
    /// Memory and swap.
    Memory,
    /// Block devices.
    Disk,
    /// Space and inodes of file systems.
    Filesystem,
    /// Interfaces, sockets and the tables of the network stack.
    Network,
    /// Processes and threads.
    Tasks,
    /// Open files.
    Descriptors,
    /// The clock.
    Clock,
    /// Physical components: sensors, power, arrays of disks.
    Hardware,
}

/// What a metric says about a resource: the letters of USE, and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// How busy or how full it is.
    Utilization,
    /// How much work waits for it.
    Saturation,
    /// What went wrong.
    Errors,
    /// How much it does or has: what the others are read against.
    Context,
}

/// Of which resource a metric tells, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shows {
    /// The resource.
    pub resource: Resource,
    /// Utilization, saturation, errors or what they are read against.
    pub aspect: Aspect,
}

/// Everything about a metric that is known before a value is: one constant per metric.
#[derive(Debug)]
pub struct MetricSpec {
    /// Name by the OpenTelemetry semantic conventions.
    pub name: &'static str,
    /// UCUM unit, as registered.
    pub unit: &'static str,
    /// Counter, up-down counter or gauge.
    pub instrument: Instrument,
    /// Integer or double.
    pub value: ValueType,
    /// Keys of the attributes, in the order in which a sample gives their values.
    pub attributes: &'static [&'static str],
    /// Convention, draft or ours.
    pub scope: Scope,
    /// One sentence for the reader of a metrics list, and the `description` on the wire.
    pub description: &'static str,
    /// Where the value comes from: file and field.
    pub source: &'static str,
    /// Of which resource of the host it tells; `None` for what concerns a process, a unit or the agent.
    pub shows: Option<Shows>,
    /// Whether it is collected unless the operator says otherwise.
    pub by_default: bool,
}

/// A kind of thing that telemetry is about; its attributes go onto the resource.
#[derive(Debug)]
pub struct EntitySpec {
    /// The type's name by the conventions: `host`, `process`.
    pub name: &'static str,
    /// Keys of its resource attributes, in the order in which their values are given.
    pub attributes: &'static [&'static str],
}

/// The host itself. Its resource attributes are the agent's resource, so it has none of its own here.
pub static HOST: EntitySpec = EntitySpec { name: "host", attributes: &[] };
