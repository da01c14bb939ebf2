//! The address of a destination, taken apart.

use http::Uri;
use http::uri::{Authority, Scheme};
use telemetry::Signal;

use crate::paths::http_path;
use crate::sender::destination::{DestinationOptions, Protocol};

/// Scheme, authority, and the path without a final slash.
pub(super) fn parse(options: &DestinationOptions) -> Result<(Scheme, Authority, String), &'static str> {
    const NO_SCHEME: &str = "has no scheme; write http://host:port, or https://host:port for TLS";
    let (text, protocol) = (options.endpoint.as_str(), options.protocol);
    let (scheme, _) = text.split_once("://").ok_or(NO_SCHEME)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::HTTP,
        "https" => Scheme::HTTPS,
        _ => return Err("has an unknown scheme; write http:// or https://, which both protocols use"),
    };
    let uri: Uri = text.parse().map_err(|_| "is not a URL; write http://host:port")?;
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let authority = authority.ok_or("has no host; write http://host:port")?.clone();
    if authority.as_str().contains('@') {
        return Err("holds credentials; put them into headers");
    }
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("has no usable port; write a number from 1 to 65535 after the colon");
    }
    if uri.query().is_some() {
        return Err("has a query, which OTLP has no use for; leave out the part from the question mark on");
    }
    if !options.append_path {
        return Ok((scheme, authority, uri.path().to_owned()));
    }
    let base = uri.path().trim_end_matches('/');
    if protocol == Protocol::Grpc && !base.is_empty() {
        return Err("has a path, which gRPC cannot use; leave it out or choose the protocol http/protobuf");
    }
    if Signal::ALL.into_iter().any(|signal| base.ends_with(http_path(signal))) {
        return Err("names a signal; leave out /v1/<signal>, which is appended for each signal");
    }
    Ok((scheme, authority, base.to_owned()))
}

/// The endpoint as it may be shown: without credentials.
pub(super) fn shown(endpoint: &str) -> String {
    match endpoint.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://...@{host}")
        }
        None => endpoint.to_owned(),
    }
}
