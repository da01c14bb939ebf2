//! The destinations that the `OTEL_EXPORTER_OTLP_*` variables describe, where the file names none.
//!
//! Reads by the rules of the OpenTelemetry specification 1.60: an empty value counts as none, a value for one signal wins
//! over the general one, and what cannot be read is told and ignored. Signals with the same settings share the
//! destination `default`. One thing differs: where only some signals have an endpoint, the others are not sent to
//! `localhost`, which would fill the disk of a host that has no collector.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use documents::Review;
use otlp::{Compression, Destination, DestinationOptions, Protocol, Secret, Temporality, TlsOptions};
use telemetry::{Signal, with_causes};

use super::destination::proxy_of_variables;
use super::resource::in_the_environment;
use super::{ReceiveConfig, Surroundings};
use crate::self_telemetry::environment::{CONFIG_FILE, Complaint, Variables, decode};

/// What signals share that have no settings of their own.
const DEFAULT: &str = "default";

/// What the variables may say of a destination, after `OTEL_EXPORTER_OTLP_` and perhaps the signal.
const OPTIONS: [&str; 9] = [
    "ENDPOINT",
    "PROTOCOL",
    "HEADERS",
    "TIMEOUT",
    "COMPRESSION",
    "CERTIFICATE",
    "CLIENT_KEY",
    "CLIENT_CERTIFICATE",
    "INSECURE",
];

/// The destinations that can be used. What is wrong is told and is no error: a variable may be meant for other programs.
pub(super) fn destinations(
    surroundings: &Surroundings<'_>,
    receive: Option<&ReceiveConfig>,
    review: &mut Review,
) -> Vec<Destination> {
    let (all, complaints) = read(surroundings.variables);
    for complaint in complaints {
        review.add(in_the_environment(&complaint.variable, &complaint.message));
    }
    let mut usable = Vec::new();
    for mut options in all {
        let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
        if receive.is_some_and(|receive| receive.listens_at(&options.endpoint)) {
            let message = format!("{} is this agent itself, and is not used", options.endpoint);
            review.add(in_the_environment(endpoint, &message));
            continue;
        }
        options.proxy = proxy_of_variables(&options.endpoint, surroundings);
        let name = options.name.clone();
        match Destination::new(options) {
            Ok(destination) => usable.push(destination),
            Err(error) => {
                let message = format!("the destination {name} is not used: {}", with_causes(&error));
                review.add(in_the_environment(endpoint, &message));
            }
        }
    }
    usable
}

/// What the variables say, and what they say in vain.
fn read(variables: &Variables) -> (Vec<DestinationOptions>, Vec<Complaint>) {
    let mut reader = Reader { variables, complaints: Vec::new() };
    if reader.text(CONFIG_FILE).is_some() || !reader.says_anything() {
        return (Vec::new(), Vec::new());
    }
    let temporality = reader.temporality();
    reader.histograms();
    let mut all: Vec<DestinationOptions> = Vec::new();
    // Those without settings of their own come first, so that one like them joins them.
    let mut signals = Signal::ALL;
    signals.sort_by_key(|signal| reader.is_special(*signal));
    for signal in signals {
        let Some(mut options) = reader.destination(signal) else { continue };
        if signal == Signal::Metrics {
            options.temporality = temporality;
        }
        let same = |other: &&mut DestinationOptions| {
            let alike = DestinationOptions {
                name: other.name.clone(),
                signals: other.signals.clone(),
                temporality: other.temporality,
                ..options.clone()
            };
            alike == **other
        };
        if let Some(other) = all.iter_mut().find(same) {
            other.signals.insert(signal);
            if signal == Signal::Metrics {
                other.temporality = temporality;
            }
        } else {
            if reader.is_special(signal) {
                options.name = format!("{DEFAULT}-{signal}");
            }
            all.push(options);
        }
    }
    (all, reader.complaints)
}

struct Reader<'a> {
    variables: &'a Variables,
    complaints: Vec<Complaint>,
}

impl<'a> Reader<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn complain(&mut self, name: &str, message: impl Display) {
        let complaint = Complaint { variable: name.to_owned(), message: message.to_string() };
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    fn says_anything(&self) -> bool {
        OPTIONS.iter().any(|option| self.text(&general(option)).is_some())
            || Signal::ALL.into_iter().any(|signal| self.is_special(signal))
    }

    fn is_special(&self, signal: Signal) -> bool {
        OPTIONS.iter().any(|option| self.text(&special(signal, option)).is_some())
    }

    /// What `parse` makes of the signal's value or else of the general one. A value that it cannot read is told, with
    /// what it may be.
    fn value<T>(
        &mut self,
        signal: Signal,
        option: &str,
        may_be: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        for name in [special(signal, option), general(option)] {
            let Some(text) = self.text(&name) else { continue };
            match parse(text) {
                Some(value) => return Some(value),
                None => self.complain(&name, format!("{text:?} is ignored; it may be {may_be}")),
            }
        }
        None
    }

    fn destination(&mut self, signal: Signal) -> Option<DestinationOptions> {
        let names = "grpc, http/protobuf, http/json";
        let protocol = self.value(signal, "PROTOCOL", names, protocol).unwrap_or(Protocol::HttpProtobuf);
        let (endpoint, append_path) = self.endpoint(signal, protocol)?;
        let mut options = DestinationOptions::new(DEFAULT, endpoint, protocol);
        options.append_path = append_path;
        options.signals = [signal].into();
        options.headers = self.headers(signal);
        let milliseconds = |text: &str| text.parse().ok().map(Duration::from_millis);
        if let Some(timeout) = self.value(signal, "TIMEOUT", "a whole number of milliseconds", milliseconds) {
            options.timeout = if timeout.is_zero() { Duration::MAX } else { timeout };
        }
        let compression = self.value(signal, "COMPRESSION", "gzip, none", compression);
        options.compression = compression.unwrap_or(Compression::None);
        let mut file = |option| self.value(signal, option, "a path", |text| Some(PathBuf::from(text)));
        let tls = TlsOptions {
            ca_file: file("CERTIFICATE"),
            certificate_file: file("CLIENT_CERTIFICATE"),
            key_file: file("CLIENT_KEY"),
            server_name: None,
        };
        options.tls = Some(tls).filter(|_| options.endpoint.to_ascii_lowercase().starts_with("https:"));
        Some(options)
    }

    /// Where the signal goes, and whether its path is still to be appended.
    fn endpoint(&mut self, signal: Signal, protocol: Protocol) -> Option<(String, bool)> {
        let is_grpc = protocol == Protocol::Grpc;
        if let Some(own) = self.text(&special(signal, "ENDPOINT")) {
            return Some((self.with_scheme(signal, own, is_grpc), is_grpc));
        }
        if let Some(base) = self.text(&general("ENDPOINT")) {
            return Some((self.with_scheme(signal, base, is_grpc), true));
        }
        if Signal::ALL.into_iter().any(|other| self.text(&special(other, "ENDPOINT")).is_some()) {
            let name = special(signal, "ENDPOINT");
            self.complain(&name, format!("{signal} have no endpoint, and are not sent"));
            return None;
        }
        let port = if is_grpc { 4317 } else { 4318 };
        Some((format!("http://localhost:{port}"), true))
    }

    /// gRPC takes an endpoint without a scheme, for which `INSECURE` says whether it is encrypted.
    fn with_scheme(&mut self, signal: Signal, endpoint: &str, is_grpc: bool) -> String {
        if !is_grpc || endpoint.contains("://") {
            return endpoint.to_owned();
        }
        let boolean = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let insecure = self.value(signal, "INSECURE", "true, false", boolean).unwrap_or(false);
        format!("{}://{endpoint}", if insecure { "http" } else { "https" })
    }

    /// The signal's headers stand in place of the general ones, not beside them. The values are not shown.
    fn headers(&mut self, signal: Signal) -> Vec<(String, Secret)> {
        let (own, general) = (special(signal, "HEADERS"), general("HEADERS"));
        let name = if self.text(&own).is_some() { own } else { general };
        let mut headers = Vec::new();
        for pair in self.text(&name).unwrap_or_default().split(',').map(str::trim) {
            if pair.is_empty() {
                continue;
            }
            let parts = pair.split_once('=').filter(|(key, _)| !key.trim().is_empty());
            let Some((key, value)) = parts else {
                self.complain(&name, "a part without `=` is ignored; write key=value,key=value");
                continue;
            };
            let key = key.trim();
            if let Some(value) = decode(value.trim()) {
                headers.push((key.to_owned(), Secret::Text(value)));
            } else {
                self.complain(&name, format!("{key:?} is ignored: its value is not percent-encoded UTF-8"));
            }
        }
        headers
    }

    fn temporality(&mut self) -> Temporality {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "cumulative" => Some(Temporality::Cumulative),
            "delta" => Some(Temporality::Delta),
            "lowmemory" => Some(Temporality::LowMemory),
            _ => None,
        };
        let name = "METRICS_TEMPORALITY_PREFERENCE";
        let Some(text) = self.text(&general(name)) else { return Temporality::default() };
        parse(text).unwrap_or_else(|| {
            let message = format!("{text:?} is ignored; it may be cumulative, delta, lowmemory");
            self.complain(&general(name), message);
            Temporality::default()
        })
    }

    /// hostmend makes histograms of one kind.
    fn histograms(&mut self) {
        let name = general("METRICS_DEFAULT_HISTOGRAM_AGGREGATION");
        let Some(text) = self.text(&name) else { return };
        if text.eq_ignore_ascii_case("base2_exponential_bucket_histogram") {
            self.complain(&name, "ignored: the agent's own histograms have explicit buckets");
        } else if !text.eq_ignore_ascii_case("explicit_bucket_histogram") {
            self.complain(&name, format!("{text:?} is ignored; it may be explicit_bucket_histogram"));
        }
    }
}

fn protocol(text: &str) -> Option<Protocol> {
    let all = [Protocol::Grpc, Protocol::HttpProtobuf, Protocol::HttpJson];
    all.into_iter().find(|protocol| text.eq_ignore_ascii_case(&protocol.to_string()))
}

fn compression(text: &str) -> Option<Compression> {
    match text.to_ascii_lowercase().as_str() {
        "gzip" => Some(Compression::Gzip),
        "none" => Some(Compression::None),
        _ => None,
    }
}

fn general(option: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{option}")
}

fn special(signal: Signal, option: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{}_{option}", signal.as_str().to_ascii_uppercase())
}

#[cfg(test)]
mod tests;
