//! Headers that an operator gives, made into what travels.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::sender::destination::{DestinationError, Protocol};
use crate::sender::secret::Secret;

/// Headers that the protocol sets itself, or that describe one connection only.
const RESERVED: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers with these names and values, of which those in files are read.
pub(crate) fn headers(pairs: &[(String, Secret)], protocol: Protocol) -> Result<HeaderMap, DestinationError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value =
            value.read().map_err(|source| DestinationError::HeaderSecret { name: name.clone(), source })?;
        let (key, value) = header(name, &value, protocol)
            .map_err(|problem| DestinationError::Header { name: name.clone(), problem })?;
        headers.append(key, value);
    }
    Ok(headers)
}

fn header(name: &str, value: &str, protocol: Protocol) -> Result<(HeaderName, HeaderValue), &'static str> {
    let key = HeaderName::try_from(name)
        .map_err(|_| "is no header name; use letters, digits and hyphens as in x-api-key")?;
    if RESERVED.contains(&key.as_str()) || key.as_str().starts_with("grpc-") {
        return Err("is set by the protocol itself; leave it out");
    }
    if protocol == Protocol::Grpc && key.as_str().ends_with("-bin") {
        return Err("ends in -bin, which gRPC keeps for binary metadata; use another name");
    }
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("has a value with characters that headers cannot carry; use printable ASCII");
    }
    let mut value = HeaderValue::try_from(value).map_err(|_| "has a value that headers cannot carry")?;
    value.set_sensitive(true);
    Ok((key, value))
}
