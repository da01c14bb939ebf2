//! The section about where telemetry is sent.

use std::time::Duration;

use documents::Review;
use otlp::{
    Compression, Destination, DestinationError, DestinationOptions, Protocol, QueueLimits, TlsOptions,
};
use telemetry::with_causes;

use super::Base;

use super::file::{CompressionName, DestinationSection, ProtocolName, QueueSection, TlsSection};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn all(sections: &[DestinationSection], base: &Base, review: &mut Review) -> Vec<Destination> {
    for (at, section) in sections.iter().enumerate() {
        if sections.iter().take(at).any(|earlier| earlier.name.value == section.name.value) {
            review.error(&section.name, format!("two destinations are named {:?}", section.name.value));
        }
    }
    sections.iter().filter_map(|section| one(section, base, review)).collect()
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

fn one(section: &DestinationSection, base: &Base, review: &mut Review) -> Option<Destination> {
    if let Some(old) = &section.max_queued_bytes {
        review.error(old, "telemetry waits on disk now, once for all destinations").hint =
            Some("leave max_queued_bytes out; `queue: { max_bytes: … }` at the top says how much".to_owned());
    }
    let protocol = match section.protocol {
        ProtocolName::Grpc => Protocol::Grpc,
        ProtocolName::HttpProtobuf => Protocol::HttpProtobuf,
    };
    let options = DestinationOptions {
        compression: match section.compression {
            CompressionName::None => Compression::None,
            CompressionName::Gzip => Compression::Gzip,
        },
        headers: section
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.value.clone().into()))
            .collect(),
        timeout: review.duration_or(section.timeout.as_ref(), DEFAULT_TIMEOUT),
        tls: section.tls.as_ref().map(|section| tls(section, base)),
        ..DestinationOptions::new(&section.name.value, &section.endpoint.value, protocol)
    };
    match Destination::new(options) {
        Ok(destination) => Some(destination),
        Err(error) => {
            report(section, &error, review);
            None
        }
    }
}

/// Puts the error where the operator has to change something.
fn report(section: &DestinationSection, error: &DestinationError, review: &mut Review) {
    let message = with_causes(error);
    match error {
        DestinationError::Header { name, .. } if section.headers.contains_key(name) => {
            if let Some(value) = section.headers.get(name) {
                review.error(value, message);
            }
        }
        DestinationError::Name => {
            review.error(&section.name, message);
        }
        _ => {
            review.error(&section.endpoint, message);
        }
    }
}

fn tls(section: &TlsSection, base: &Base) -> TlsOptions {
    let path =
        |value: &Option<documents::Spanned<String>>| value.as_ref().map(|value| base.path(&value.value));
    TlsOptions {
        ca_file: path(&section.ca_file),
        certificate_file: path(&section.certificate_file),
        key_file: path(&section.key_file),
        server_name: None,
    }
}
