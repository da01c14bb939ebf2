//! What an operator says about a destination, not yet checked.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use telemetry::Signal;

use crate::sender::secret::Secret;
use crate::sender::tls::TlsOptions;

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC, by default on port 4317.
    Grpc,
    /// OTLP/HTTP with protobuf bodies, by default on port 4318.
    HttpProtobuf,
    /// OTLP/HTTP with JSON bodies, by default on port 4318; several times as large, and more work.
    HttpJson,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
            Self::HttpJson => "http/json",
        })
    }
}

/// How request bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// gzip, which every OTLP receiver understands.
    Gzip,
    /// zstd, faster and smaller; not every OTLP receiver understands it.
    Zstd,
}

/// How the points of sums and histograms relate to those before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// Each counts from the start of its series.
    #[default]
    Cumulative,
    /// Each counts from the point before it, except for what goes up and down.
    Delta,
    /// As [`Temporality::Delta`], where that spares the memory of the last value; else cumulative.
    LowMemory,
}

/// What an operator says about a destination, not yet checked. [`DestinationOptions::new`] has the defaults.
#[derive(Clone, PartialEq, Eq)]
pub struct DestinationOptions {
    /// What it is called in figures and messages, and by what it is known after a restart.
    pub name: String,
    /// `http://host:port` or `https://host:port`; for HTTP with a base path if need be. https means TLS.
    pub endpoint: String,
    /// Whether `/v1/<signal>` is appended to the endpoint over HTTP. Without it, the endpoint is used as it is, so that
    /// it can take one signal only.
    pub append_path: bool,
    /// gRPC or HTTP.
    pub protocol: Protocol,
    /// How request bodies are compressed.
    pub compression: Compression,
    /// Headers (gRPC: metadata) for every request, such as credentials.
    pub headers: Vec<(String, Secret)>,
    /// How long one attempt may take, connecting included. [`Duration::MAX`] is no limit.
    pub timeout: Duration,
    /// How long it may take to look up the name, to connect and to agree on TLS.
    pub connect_timeout: Duration,
    /// Certificates, for https only.
    pub tls: Option<TlsOptions>,
    /// `http://host:port` of a proxy, with `user:password@` before the host if it wants them.
    pub proxy: Option<Secret>,
    /// What it takes.
    pub signals: BTreeSet<Signal>,
    /// The names of those that get its telemetry while it fails, in order.
    pub failover: Vec<String>,
    /// The most bytes of a request before compression. A larger one is not sent.
    pub max_request_bytes: usize,
    /// The most bytes of an answer, also after decompression.
    pub max_response_bytes: usize,
    /// How many requests of a signal may be under way at once. Only 1 keeps their order.
    pub concurrency: usize,
    /// How many bytes per second of what has waited are sent at most, before compression.
    pub drain_bytes_per_second: Option<u64>,
    /// What the host's own sums and histograms are for it.
    pub temporality: Temporality,
}

impl DestinationOptions {
    /// What OTLP recommends, for every signal, without compression.
    pub fn new(name: impl Into<String>, endpoint: impl Into<String>, protocol: Protocol) -> Self {
        Self {
            name: name.into(),
            endpoint: endpoint.into(),
            append_path: true,
            protocol,
            compression: Compression::None,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            tls: None,
            proxy: None,
            signals: Signal::ALL.into(),
            failover: Vec::new(),
            max_request_bytes: 64 << 20,
            max_response_bytes: 4 << 20,
            concurrency: 1,
            drain_bytes_per_second: None,
            temporality: Temporality::default(),
        }
    }
}
