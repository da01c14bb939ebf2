//! The section about where telemetry is sent.

mod failover;

use documents::yaml::range as yaml_range;
use documents::{Review, Spanned};
use otlp::{
    Compression, Destination, DestinationError, DestinationOptions, Protocol, QueueLimits, Secret,
    Temporality, TlsOptions,
};
use telemetry::{Signal, with_causes};

use super::Surroundings;
use super::file::{
    CompressionName, DestinationSection, ProtocolName, QueueSection, SecretValue, SignalName,
    TemporalityName, TlsSection,
};
use super::secret::{private, secret};

pub(super) fn all(
    sections: &[DestinationSection],
    surroundings: &Surroundings<'_>,
    review: &mut Review,
) -> Vec<Destination> {
    for (at, section) in sections.iter().enumerate() {
        if sections.iter().take(at).any(|earlier| earlier.name.value == section.name.value) {
            review.error(&section.name, format!("two destinations are named {:?}", section.name.value));
        }
    }
    failover::check(sections, review);
    sections.iter().filter_map(|section| one(section, surroundings, review)).collect()
}

/// How much may wait on disk for all of them.
pub(super) fn queue(section: &QueueSection, review: &mut Review) -> QueueLimits {
    let default = QueueLimits::default();
    let limits = QueueLimits {
        max_bytes: section.max_bytes.as_ref().map_or(default.max_bytes, |value| value.value),
        max_age: section.max_age.as_ref().and_then(|value| review.duration(value)),
        min_free_bytes: section.min_free_bytes.as_ref().map_or(default.min_free_bytes, |value| value.value),
    };
    if let (Err(error), Some(value)) = (limits.check(), &section.max_bytes) {
        review.error(value, error.to_string());
    }
    if let Some(value) = section.max_age.as_ref().filter(|_| limits.max_age.is_some_and(|age| age.is_zero()))
    {
        review.error(
            value,
            "everything would be dropped at once; leave max_age out to keep what there is room for",
        );
    }
    limits
}

fn one(
    section: &DestinationSection,
    surroundings: &Surroundings<'_>,
    review: &mut Review,
) -> Option<Destination> {
    if let Some(old) = &section.max_queued_bytes {
        review.error(old, "telemetry waits on disk now, once for all destinations").hint =
            Some("leave max_queued_bytes out; `queue: { max_bytes: … }` at the top says how much".to_owned());
    }
    let mut options =
        DestinationOptions::new(&section.name.value, &section.endpoint.value, protocol(section.protocol));
    options.append_path = section.append_path.unwrap_or(true);
    options.compression = match section.compression {
        CompressionName::None => Compression::None,
        CompressionName::Gzip => Compression::Gzip,
        CompressionName::Zstd => Compression::Zstd,
    };
    options.temporality = match section.temporality {
        TemporalityName::Cumulative => Temporality::Cumulative,
        TemporalityName::Delta => Temporality::Delta,
        TemporalityName::LowMemory => Temporality::LowMemory,
    };
    options.timeout = review.duration_or(section.timeout.as_ref(), options.timeout);
    options.connect_timeout = review.duration_or(section.connect_timeout.as_ref(), options.connect_timeout);
    for (name, value) in &section.headers {
        options.headers.push((name.clone(), secret(value, surroundings, review)?));
    }
    options.proxy = proxy(section, surroundings, review);
    options.tls = section.tls.as_ref().map(|section| tls(section, surroundings, review));
    if let Some(signals) = &section.signals {
        options.signals = signals.iter().map(|name| signal(*name)).collect();
    }
    options.failover = section.failover.iter().map(|name| name.value.clone()).collect();
    let or = |given: &Option<Spanned<usize>>, default| given.as_ref().map_or(default, |value| value.value);
    options.max_request_bytes = or(&section.max_request_bytes, options.max_request_bytes);
    options.max_response_bytes = or(&section.max_response_bytes, options.max_response_bytes);
    options.concurrency = or(&section.concurrency, options.concurrency);
    options.drain_bytes_per_second = section.drain_bytes_per_second.as_ref().map(|value| value.value);
    match Destination::new(options) {
        Ok(destination) => Some(destination),
        Err(error) => {
            report(section, &error, review);
            None
        }
    }
}

const fn protocol(name: ProtocolName) -> Protocol {
    match name {
        ProtocolName::Grpc => Protocol::Grpc,
        ProtocolName::HttpProtobuf => Protocol::HttpProtobuf,
        ProtocolName::HttpJson => Protocol::HttpJson,
    }
}

const fn signal(name: SignalName) -> Signal {
    match name {
        SignalName::Metrics => Signal::Metrics,
        SignalName::Traces => Signal::Traces,
        SignalName::Logs => Signal::Logs,
    }
}

/// The proxy of the section or, where it says nothing, of the environment.
fn proxy(
    section: &DestinationSection,
    surroundings: &Surroundings<'_>,
    review: &mut Review,
) -> Option<Secret> {
    match &section.proxy {
        Some(value) if matches!(&value.value, SecretValue::Text(text) if text == "none") => None,
        Some(value) => secret(value, surroundings, review),
        None => proxy_of_variables(&section.endpoint.value, surroundings),
    }
}

/// The proxy that the environment has for `endpoint`.
pub(super) fn proxy_of_variables(endpoint: &str, surroundings: &Surroundings<'_>) -> Option<Secret> {
    otlp::proxy_from_environment(endpoint, |name| surroundings.variable(name)).map(Secret::from)
}

/// Puts the error where the operator has to change something.
fn report(section: &DestinationSection, error: &DestinationError, review: &mut Review) {
    let message = with_causes(error);
    let number = |option: &str| match option {
        "max_request_bytes" => section.max_request_bytes.as_ref().map(yaml_range),
        "max_response_bytes" => section.max_response_bytes.as_ref().map(yaml_range),
        "concurrency" => section.concurrency.as_ref().map(yaml_range),
        "drain_bytes_per_second" => section.drain_bytes_per_second.as_ref().map(yaml_range),
        "timeout" => section.timeout.as_ref().map(yaml_range),
        _ => section.connect_timeout.as_ref().map(yaml_range),
    };
    let place = match error {
        DestinationError::Header { name, .. } | DestinationError::HeaderSecret { name, .. } => {
            section.headers.get(name).map(yaml_range)
        }
        DestinationError::Proxy { .. } | DestinationError::ProxySecret { .. } => {
            section.proxy.as_ref().map(yaml_range)
        }
        DestinationError::Zero { option } => number(option),
        DestinationError::Name | DestinationError::NoSignal | DestinationError::OwnFailover { .. } => {
            Some(yaml_range(&section.name))
        }
        _ => None,
    };
    review.error_at(place.unwrap_or_else(|| yaml_range(&section.endpoint)), message);
}

pub(super) fn tls(section: &TlsSection, surroundings: &Surroundings<'_>, review: &mut Review) -> TlsOptions {
    let path =
        |value: &Option<Spanned<String>>| value.as_ref().map(|value| surroundings.base.path(&value.value));
    let key_file = path(&section.key_file);
    if let (Some(path), Some(value)) = (&key_file, &section.key_file) {
        private(path, value, review);
    }
    TlsOptions {
        ca_file: path(&section.ca_file),
        certificate_file: path(&section.certificate_file),
        key_file,
        server_name: section.server_name.as_ref().map(|name| name.value.clone()),
    }
}

#[cfg(test)]
mod tests;
