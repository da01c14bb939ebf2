//! Where telemetry is sent, checked so that nothing after it can be wrong about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use rustls::ClientConfig;
use telemetry::Signal;

use crate::codec::http_path;
use crate::sender::tls::{TlsError, TlsOptions, client_config, trusting_nobody};

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC, by default on port 4317.
    Grpc,
    /// OTLP/HTTP with protobuf bodies, by default on port 4318.
    HttpProtobuf,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
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
}

/// What an operator says about a destination, not yet checked.
#[derive(Clone)]
pub struct DestinationOptions {
    /// What it is called in figures and messages, and by what it is known after a restart.
    pub name: String,
    /// `http://host:port` or `https://host:port`; for HTTP with a base path if need be, to which `/v1/<signal>` is
    /// appended. https means TLS.
    pub endpoint: String,
    /// gRPC or HTTP.
    pub protocol: Protocol,
    /// None or gzip.
    pub compression: Compression,
    /// Headers (gRPC: metadata) for every request, such as credentials.
    pub headers: Vec<(String, String)>,
    /// How long one attempt may take, connecting included.
    pub timeout: Duration,
    /// Certificates, for https only.
    pub tls: Option<TlsOptions>,
}

/// Why a destination cannot be what its options say. The texts are for the operator and hold no header value.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The name is empty, or would not do for a file.
    #[error(
        "a destination needs a name, of up to 200 letters, digits, `-`, `_` and `.`, not a dot first: what waits for it \
         is kept under this name"
    )]
    Name,
    /// The endpoint is no usable address.
    #[error("endpoint {endpoint:?} {problem}")]
    Endpoint {
        /// As it was given, without what may be a password.
        endpoint: String,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// A header that cannot be sent.
    #[error("header {name:?} {problem}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// A limit that would let nothing through.
    #[error("{option} must be more than 0")]
    Zero {
        /// Which option.
        option: &'static str,
    },
    /// Certificates for an endpoint without TLS.
    #[error("tls is set, but endpoint {endpoint:?} is not encrypted; write https:// or leave tls out")]
    TlsWithoutHttps {
        /// As it was given.
        endpoint: String,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A destination that can be sent to.
#[derive(Clone)]
pub struct Destination {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    pub(crate) compression: Compression,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// Without a final slash; empty for gRPC.
    pub(crate) base_path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    /// Trusts nobody when the endpoint is not https.
    pub(crate) tls: Arc<ClientConfig>,
}

impl Destination {
    /// Checks `options` and reads the certificate files that they name.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, in words for the operator.
    pub fn new(options: DestinationOptions) -> Result<Self, DestinationError> {
        if options.timeout.is_zero() {
            return Err(DestinationError::Zero { option: "timeout" });
        }
        if !queue::Cursor::is_name(&options.name) {
            return Err(DestinationError::Name);
        }
        let (scheme, authority, base_path) = endpoint(&options.endpoint, options.protocol)
            .map_err(|problem| DestinationError::Endpoint { endpoint: shown(&options.endpoint), problem })?;
        let tls = if scheme == Scheme::HTTPS {
            let alpn: &[u8] = if options.protocol == Protocol::Grpc { b"h2" } else { b"http/1.1" };
            client_config(&options.tls.unwrap_or_default(), alpn)?
        } else if options.tls.is_some() {
            return Err(DestinationError::TlsWithoutHttps { endpoint: options.endpoint });
        } else {
            trusting_nobody()?
        };
        Ok(Self {
            headers: headers(options.headers, options.protocol)?,
            name: options.name,
            protocol: options.protocol,
            compression: options.compression,
            scheme,
            authority,
            base_path,
            timeout: options.timeout,
            tls: Arc::new(tls),
        })
    }

    /// What it is called in figures and messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where requests for `signal` go over HTTP; with no signal, the origin, to which gRPC adds its own path.
    pub(crate) fn uri(&self, signal: Option<Signal>) -> Uri {
        let path = signal.map_or("/", http_path);
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.base_path))
            .build()
            .expect("the parts come from a URI that was parsed")
    }
}

/// Without headers, which may hold credentials.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("name", &self.name)
            .field("uri", &self.uri(None))
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

fn endpoint(text: &str, protocol: Protocol) -> Result<(Scheme, Authority, String), &'static str> {
    const NO_SCHEME: &str = "has no scheme; write http://host:port, or https://host:port for TLS";
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
fn shown(endpoint: &str) -> String {
    match endpoint.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://...@{host}")
        }
        None => endpoint.to_owned(),
    }
}

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

fn headers(pairs: Vec<(String, String)>, protocol: Protocol) -> Result<HeaderMap, DestinationError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let (key, value) =
            header(&name, &value, protocol).map_err(|problem| DestinationError::Header { name, problem })?;
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

#[cfg(test)]
pub(crate) mod tests;
