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
