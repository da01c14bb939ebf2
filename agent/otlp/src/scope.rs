//! The instrumentation scopes under which hostmend sends metrics and log records.

use telemetry::Scope;

/// The version of the semantic conventions whose names are used.
///
/// On a `ResourceMetrics` it speaks of the resource's attributes only (`metrics.proto`: "does not apply to the data in
/// the `scope_metrics` field"), and those always bear convention names; each `ScopeMetrics` says for itself.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The scope of records that were read from logs of the host.
pub(crate) const LOGS: &str = "hostmend/logs";

/// Those that are sent: what is named for readers of `node_exporter` stays on the host.
pub(crate) const ALL: [Scope; 3] = [Scope::Conventions, Scope::Draft, Scope::Own];

pub(crate) const fn name(scope: Scope) -> &'static str {
    match scope {
        Scope::Conventions => "hostmend/collectors",
        Scope::Draft => "hostmend/saturation",
        Scope::Own | Scope::NodeExporter => "hostmend",
    }
}

/// Empty for names that no published schema knows: a schema URL would promise a meaning that nobody can look up.
pub(crate) const fn schema_url(scope: Scope) -> &'static str {
    match scope {
        Scope::Conventions => SCHEMA_URL,
        Scope::Draft | Scope::Own | Scope::NodeExporter => "",
    }
}
