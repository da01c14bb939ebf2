//! What the configuration file says, key by key. What it means is decided in [`super`].

use std::collections::BTreeMap;
use std::fmt;

use documents::Spanned;
use documents::yaml::Entries;
use serde::Deserialize;

use super::collect::CollectSection;
use super::logs::LogsSection;
use super::node_exporter::NodeExporterSection;
use super::notify::NotifySection;
use super::remediation::RemediationSection;

/// The whole of `hostmend.yaml`. Paths are relative to the directory of the file; durations are written as in
/// Prometheus: `10s`, `5m`, `1h30m`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AgentFile {
    /// Where the agent keeps what must outlive it: the run journal, incidents, post-mortems. Default:
    /// `$STATE_DIRECTORY` under systemd, `/var/lib/hostmend` for root, else `~/.local/state/hostmend`.
    pub(super) state_directory: Option<Spanned<String>>,
    /// Where the running agent can be asked.
    pub(super) api: ApiSection,
    /// What is collected, and how often.
    pub(super) collect: CollectSection,
    /// The host as `node_exporter` names it.
    pub(super) node_exporter: NodeExporterSection,
    /// Services that are asked whether they answer.
    pub(super) probes: ProbesSection,
    /// Who is speaking.
    pub(super) resource: ResourceSection,
    /// How much the agent says about itself, by the names of OpenTelemetry's variables; what stands here stands before
    /// the environment.
    pub(super) own_telemetry: BTreeMap<String, Spanned<String>>,
    /// Where applications send their telemetry. Without it nothing listens.
    pub(super) receive: Option<ReceiveSection>,
    /// Logs of this host that are followed. Without it, none.
    pub(super) logs: LogsSection,
    /// What is masked in received telemetry and in logs before anything is kept of it.
    pub(super) masking: Vec<Spanned<MaskSection>>,
    /// OpenTelemetry collectors that everything is sent to, each independently of the others.
    pub(super) destinations: Vec<DestinationSection>,
    /// How much may wait on disk, below `state_directory`, until the destinations take it.
    pub(super) queue: QueueSection,
    /// What is kept in memory for rules.
    pub(super) series: SeriesSection,
    /// What received telemetry is to the rules.
    pub(super) taps: TapsSection,
    /// Who is told of alerts.
    pub(super) notify: NotifySection,
    /// Prometheus rule files; patterns with `*` and `?`.
    pub(super) rules: Vec<Spanned<String>>,
    /// How often groups without an `interval` are evaluated. Default `10s`.
    pub(super) evaluation_interval: Option<Spanned<String>>,
    /// Runbook files; patterns with `*` and `?`.
    pub(super) runbooks: Vec<Spanned<String>>,
    /// The directory of the scripts that runbooks name.
    pub(super) scripts: Option<Spanned<String>>,
    /// What holds for all runbooks: how many runs at a time, how many in all.
    pub(super) remediation: RemediationSection,
    /// What the executor may do. Without it nothing on the host is ever changed.
    pub(super) policy: Option<Spanned<String>>,
    /// The executor as a process of its own. Without it, it is a thread of the agent.
    pub(super) executor: Option<ExecutorSection>,
}

/// What of `hostmend.yaml` says where the running agent can be asked. Other keys may hold anything.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WhereaboutsFile {
    pub(super) state_directory: Option<Spanned<String>>,
    pub(super) api: ApiSection,
    pub(super) policy: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecutorSection {
    /// Where `hostmend executor` listens.
    pub(super) socket: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApiSection {
    /// The Unix socket of the local API. Default: `/run/hostmend/api.sock` as a service, else `api.sock` in the state
    /// directory.
    pub(super) socket: Option<Spanned<String>>,
    /// A loopback address, `127.0.0.1:4320`, that serves `/healthz`, `/metrics`, `/metrics/node` and Prometheus' API to
    /// whoever reaches it. Default: none.
    pub(super) listen: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProbesSection {
    pub(super) http: Vec<HttpProbeSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpProbeSection {
    /// The name in the series' label `hostmend_probe_name`.
    pub(super) name: Spanned<String>,
    /// A plain `http://` URL; any status from 200 to 299 is a success.
    pub(super) url: Spanned<String>,
    /// How long an answer may take. Default `2s`.
    pub(super) timeout: Option<Spanned<String>>,
    /// Default `10s`.
    pub(super) interval: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ResourceSection {
    /// Attributes of this host, for its own telemetry and for received telemetry that lacks them.
    pub(super) attributes: BTreeMap<String, Spanned<String>>,
    /// What is found out about the host. Default: host, os, container, cloud.
    pub(super) detect: Option<Vec<DetectorName>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum DetectorName {
    /// `host.id`, `host.name`, `host.arch`, and in a cloud `host.type` and `host.image.id`.
    Host,
    /// `os.type`, `os.name`, `os.version` and the like.
    Os,
    /// `container.id` on what the agent says of itself, when it runs in one.
    Container,
    /// `cloud.provider`, `cloud.region` and the like, from files; nobody is asked.
    Cloud,
    /// `host.cpu.*`.
    Cpu,
    /// `host.ip`, `host.mac`.
    Addresses,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiveSection {
    pub(super) listeners: Vec<ListenerSection>,
    /// The most bytes of a request, both as it is sent and decompressed. Default 16 MiB, at most 64 MiB.
    pub(super) max_request_bytes: Option<Spanned<usize>>,
    /// The most bytes of all requests that are being received or wait to be written; senders of more are told to try
    /// again. Default 32 MiB, at least twice `max_request_bytes`.
    pub(super) max_in_flight_bytes: Option<Spanned<usize>>,
    /// Further connections wait. Default 512.
    pub(super) max_connections: Option<Spanned<usize>>,
}

/// `grpc` and `http` are the usual names for its addresses; at each of them both are spoken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerSection {
    /// What comes in here has the origin `otlp:<name>`.
    pub(super) name: Spanned<String>,
    /// `127.0.0.1:4317` or `unix:/run/hostmend/otlp.sock`.
    pub(super) grpc: Option<Spanned<String>>,
    /// `127.0.0.1:4318`.
    pub(super) http: Option<Spanned<String>>,
    /// The permissions of a Unix socket. Default `"0666"`: every local user can send, as over 127.0.0.1.
    pub(super) socket_mode: Option<Spanned<String>>,
    /// For TCP addresses. Files that change are read again within seconds.
    pub(super) tls: Option<ServerTlsSection>,
    /// Who may send; without it, who can connect.
    #[serde(default)]
    pub(super) require: RequireSection,
    /// The resource attribute that gets the peer as it was verified, whatever the sender claims: the user of a Unix
    /// socket, the name of a client's certificate.
    pub(super) peer_attribute: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) limits: ListenerLimitsSection,
    /// Look at every field of a request, not at its envelopes only, and refuse what is not OTLP. Default `false`.
    #[serde(default)]
    pub(super) strict: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "they are the keys that operators write")]
pub(super) struct ServerTlsSection {
    /// PEM file of our certificate and its chain.
    pub(super) certificate_file: Spanned<String>,
    /// PEM file of its private key.
    pub(super) key_file: Spanned<String>,
    /// PEM file of the authority that must have signed the certificate of every client. Without it clients need none.
    pub(super) client_ca_file: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RequireSection {
    /// Users, by name or number; for Unix sockets.
    pub(super) users: Vec<Spanned<String>>,
    /// Names of which a client's certificate must carry one; for `tls.client_ca_file`.
    pub(super) client_names: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListenerLimitsSection {
    /// How much is taken, uncompressed; senders of more are told to come later. Without it, everything.
    pub(super) bytes_per_second: Option<Spanned<u64>>,
    /// How many series its points may make.
    pub(super) max_series: Option<Spanned<usize>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MaskSection {
    /// What is known by itself: `secret_keys`, `tokens`, `private_keys`, `card_numbers`.
    pub(super) builtin: Vec<Spanned<String>>,
    /// Attributes by their key, with `*` and `?`.
    pub(super) keys: Vec<Spanned<String>>,
    /// Regular expressions for texts in values and bodies; of what they find, only the group `mask` counts if there is
    /// one.
    pub(super) values: Vec<Spanned<String>>,
    /// Default `replace`.
    pub(super) action: MaskActionName,
    /// With `action: replace`. Default `[masked]`.
    pub(super) text: Option<Spanned<String>>,
    /// With `action: hash`: a file with 16 bytes at least that nobody else knows.
    pub(super) hash_key_file: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MaskActionName {
    #[default]
    Replace,
    Drop,
    Hash,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DestinationSection {
    /// The name in messages and in the agent's own figures.
    pub(super) name: Spanned<String>,
    /// `http://host:4317`, or `https://` for TLS. Over HTTP, `/v1/<signal>` is appended.
    pub(super) endpoint: Spanned<String>,
    /// `false`: over HTTP, nothing is appended to the endpoint, which then takes one signal. Default `true`.
    pub(super) append_path: Option<bool>,
    /// What it takes: `metrics`, `traces`, `logs`. Default: all.
    pub(super) signals: Option<Vec<SignalName>>,
    /// Names of destinations that get this one's telemetry while it fails, in order.
    #[serde(default)]
    pub(super) failover: Vec<Spanned<String>>,
    /// `grpc` (default), `http/protobuf` or `http/json`.
    #[serde(default)]
    pub(super) protocol: ProtocolName,
    /// `gzip` (default), `zstd` or `none`.
    #[serde(default)]
    pub(super) compression: CompressionName,
    /// Sent with every request. A value may stand in a file of its own.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Spanned<SecretValue>>,
    /// How long one request may take. Default `10s`.
    pub(super) timeout: Option<Spanned<String>>,
    /// How long it may take to look up the name, to connect and to agree on TLS. Default `5s`.
    pub(super) connect_timeout: Option<Spanned<String>>,
    /// `http://host:port` of a proxy, with `user:password@` before the host if it wants them; `none` for none. Default:
    /// what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    pub(super) proxy: Option<Spanned<SecretValue>>,
    /// The most bytes of a request, before compression; larger ones are divided. Default 64 MiB.
    pub(super) max_request_bytes: Option<Spanned<usize>>,
    /// The most bytes of an answer. Default 4 MiB.
    pub(super) max_response_bytes: Option<Spanned<usize>>,
    /// How many requests of a signal may be under way at once. Default 1, which alone keeps their order.
    pub(super) concurrency: Option<Spanned<usize>>,
    /// How many bytes per second of what has waited are sent at most. Default: no limit.
    pub(super) drain_bytes_per_second: Option<Spanned<u64>>,
    /// What the host's own sums and histograms are: `cumulative` (default), `delta` or `lowmemory`.
    #[serde(default)]
    pub(super) temporality: TemporalityName,
    /// Only for `https://` endpoints.
    pub(super) tls: Option<TlsSection>,
    /// What this key said is said by `queue` now.
    pub(super) max_queued_bytes: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QueueSection {
    /// How much the queue of each signal may take, in bytes. Default 1 GiB.
    pub(super) max_bytes: Option<Spanned<u64>>,
    /// What has waited longer is dropped. Without it, only room counts.
    pub(super) max_age: Option<Spanned<String>>,
    /// What is left free on the file system, in bytes. Default 256 MiB.
    pub(super) min_free_bytes: Option<Spanned<u64>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum ProtocolName {
    #[default]
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    #[serde(rename = "http/json")]
    HttpJson,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SignalName {
    Metrics,
    Traces,
    Logs,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TemporalityName {
    #[default]
    Cumulative,
    Delta,
    LowMemory,
}

/// A value that is never shown, or where it is kept. Not for `Debug`, which would show it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, { file: PATH } or { credential: NAME }")]
pub(super) enum SecretValue {
    Text(String),
    File(SecretFile),
    Credential(SecretCredential),
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretFile {
    /// A file that holds the value, and that not everybody can read.
    pub(super) file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretCredential {
    /// The name of a credential that systemd hands to the service: `LoadCredential=`.
    pub(super) credential: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CompressionName {
    None,
    #[default]
    Gzip,
    Zstd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsSection {
    /// PEM file of the authorities that sign the collector's certificate. Default: the system's.
    pub(super) ca_file: Option<Spanned<String>>,
    /// PEM file of our own certificate, for mutual TLS; with `key_file`.
    pub(super) certificate_file: Option<Spanned<String>>,
    /// PEM file of its private key.
    pub(super) key_file: Option<Spanned<String>>,
    /// The name that the collector's certificate must have, where it is not the host of the endpoint.
    pub(super) server_name: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeriesSection {
    /// How many series at most; new ones beyond it are refused and counted. Default 20000.
    pub(super) max_series: Option<Spanned<usize>>,
    /// How long samples are kept. Default `2h`.
    pub(super) retention: Option<Spanned<String>>,
    /// How long samples are kept at most that a rule reads further back. Default `8d`.
    pub(super) max_retention: Option<Spanned<String>>,
    /// How often all of it is written to the state directory. Default `5m`.
    pub(super) snapshot_interval: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TapsSection {
    pub(super) span_metrics: SpanMetricsSection,
    /// Counters of lines: `log_rule_matches_total{log_rule_name="…"}`.
    pub(super) log_rules: Vec<LogRuleSection>,
    /// What is made of access logs: `http_server_requests_total` and `http_server_request_duration_seconds`.
    pub(super) access_logs: AccessLogsSection,
    pub(super) received_points: ReceivedPointsSection,
}

/// Requests and their durations, of log sources whose format is `access`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AccessLogsSection {
    /// Default `true`.
    pub(super) enabled: bool,
    /// Upper bounds of the buckets of durations, ascending. Default: 5ms to 10s, as OpenTelemetry's conventions advise.
    pub(super) buckets: Option<Vec<Spanned<String>>>,
    /// How many series the lines of one source may make; more are counted as one overflow. Default 1000.
    pub(super) max_series: Option<Spanned<usize>>,
    /// Routes such as `/users/{id}`, of which the first that matches a path counts.
    pub(super) routes: Vec<Spanned<String>>,
}

impl Default for AccessLogsSection {
    fn default() -> Self {
        Self { enabled: true, buckets: None, max_series: None, routes: Vec::new() }
    }
}

/// Calls and durations of spans: `traces_span_metrics_calls_total` and `traces_span_metrics_duration_milliseconds`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SpanMetricsSection {
    /// Default `true`.
    pub(super) enabled: bool,
    /// Upper bounds of the buckets of durations, ascending. Default: those of the Collector's spanmetrics connector.
    pub(super) buckets: Option<Vec<Spanned<String>>>,
    /// How many series the spans of one listener may make; more are counted as one overflow. Default 2000.
    pub(super) max_series: Option<Spanned<usize>>,
    /// Whether they are sent to the destinations as well. Default `false`.
    pub(super) export: bool,
}

impl Default for SpanMetricsSection {
    fn default() -> Self {
        Self { enabled: true, buckets: None, max_series: None, export: false }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogRuleSection {
    /// The name in the series' label `log_rule_name`.
    pub(super) name: Spanned<String>,
    /// A regular expression, looked for anywhere in the first 16 KiB of the text.
    pub(super) pattern: Spanned<String>,
    /// Whose lines count: names of log sources, and `otlp:` with a listener for received records; `*` and `?` are known.
    /// Default: all.
    #[serde(default)]
    pub(super) sources: Vec<Spanned<String>>,
    /// `body`, the default, or the key of the attribute in which the pattern is looked for.
    pub(super) field: Option<Spanned<String>>,
    /// Labels of the series. In the values, `${name}` is what the group of this name found, or else the attribute.
    #[serde(default)]
    pub(super) labels: Entries<Spanned<String>>,
    /// How many series the labels may make of the lines of one source; more are counted as one overflow. Default 100.
    pub(super) max_series: Option<Spanned<usize>>,
    /// The least severity. Without it, records of every severity and of none count.
    pub(super) severity: Option<SeverityName>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SeverityName {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl SeverityName {
    /// The least `SeverityNumber` of `logs.proto` that bears the name.
    pub(super) const fn least(self) -> i32 {
        match self {
            Self::Trace => 1,
            Self::Debug => 5,
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
            Self::Fatal => 21,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReceivedPointsSection {
    /// Default `true`.
    pub(super) enabled: bool,
    /// How many series the points of one listener may make; more are refused and counted. Default 1000.
    pub(super) max_series: Option<Spanned<usize>>,
}

impl Default for ReceivedPointsSection {
    fn default() -> Self {
        Self { enabled: true, max_series: None }
    }
}
