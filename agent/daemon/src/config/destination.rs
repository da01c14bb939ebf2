//! The section about where telemetry is sent.

use std::time::Duration;

use documents::Review;
use otlp::{Compression, Destination, DestinationError, DestinationOptions, Protocol, TlsOptions};
use telemetry::with_causes;

use super::Base;

use super::file::{CompressionName, DestinationSection, ProtocolName, TlsSection};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// At ten seconds between collections of 1,500 points, uncompressed, about twenty minutes.
const DEFAULT_MAX_QUEUED_BYTES: usize = 16 << 20;

pub(super) fn all(sections: &[DestinationSection], base: &Base, review: &mut Review) -> Vec<Destination> {
    for (at, section) in sections.iter().enumerate() {
        if sections.iter().take(at).any(|earlier| earlier.name.value == section.name.value) {
            review.error(&section.name, format!("two destinations are named {:?}", section.name.value));
        }
    }
    sections.iter().filter_map(|section| one(section, base, review)).collect()
}

fn one(section: &DestinationSection, base: &Base, review: &mut Review) -> Option<Destination> {
    let options = DestinationOptions {
        name: section.name.value.clone(),
        endpoint: section.endpoint.value.clone(),
        protocol: match section.protocol {
            ProtocolName::Grpc => Protocol::Grpc,
            ProtocolName::HttpProtobuf => Protocol::HttpProtobuf,
        },
        compression: match section.compression {
            CompressionName::None => Compression::None,
            CompressionName::Gzip => Compression::Gzip,
        },
        headers: section.headers.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect(),
        timeout: review.duration_or(section.timeout.as_ref(), DEFAULT_TIMEOUT),
        tls: section.tls.as_ref().map(|section| tls(section, base)),
        max_queued_bytes: section
            .max_queued_bytes
            .as_ref()
            .map_or(DEFAULT_MAX_QUEUED_BYTES, |value| value.value),
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
    }
}
