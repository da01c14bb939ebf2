//! Where telemetry is sent, checked so that nothing after it can be wrong about it.
//!
//! What stands in files (certificates, credentials) is read here too, so that a destination that was made can be used.

mod endpoint;
mod headers;
mod options;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use telemetry::Signal;

use crate::paths::http_path;
use crate::sender::material::Material;
use crate::sender::secret::SecretError;
use crate::sender::tls::TlsError;

pub use options::{Compression, DestinationOptions, Protocol, Temporality};

pub(crate) use headers::headers;

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
    /// The value of a header is in a file that is of no use.
    #[error("header {name:?} has no value")]
    HeaderSecret {
        /// The header's name.
        name: String,
        /// What is wrong with the file.
        source: SecretError,
    },
    /// The proxy cannot be used.
    #[error("the proxy {problem}")]
    Proxy {
        /// What is wrong and what would be right.
        problem: &'static str,
    },
    /// The proxy is in a file that is of no use.
    #[error("the proxy is not known")]
    ProxySecret {
        /// What is wrong with the file.
        source: SecretError,
    },
    /// It would take nothing.
    #[error("signals is empty; name some of metrics, traces and logs, or leave it out for all")]
    NoSignal,
    /// An endpoint that is used as it is, for more than one signal or without a path.
    #[error("append_path is off, so the endpoint takes one signal only, over HTTP; {problem}")]
    ExactPath {
        /// What would be right.
        problem: &'static str,
    },
    /// It stands in for itself.
    #[error("{name} cannot stand in for itself; name another destination")]
    OwnFailover {
        /// Its name.
        name: String,
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

/// A destination that can be sent to. Two are equal when an operator said the same about them.
#[derive(Clone)]
pub struct Destination {
    pub(crate) options: Arc<DestinationOptions>,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// Without a final slash; empty for gRPC. With a path that is not to be appended to, the whole of it.
    pub(crate) base_path: String,
    /// What the files said when it was made.
    pub(crate) material: Arc<Material>,
}

impl Destination {
    /// Checks `options` and reads the files that they name.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, in words for the operator.
    pub fn new(options: DestinationOptions) -> Result<Self, DestinationError> {
        check_limits(&options)?;
        if !queue::Cursor::is_name(&options.name) {
            return Err(DestinationError::Name);
        }
        if options.failover.contains(&options.name) {
            return Err(DestinationError::OwnFailover { name: options.name });
        }
        let (scheme, authority, base_path) = endpoint::parse(&options).map_err(|problem| {
            DestinationError::Endpoint { endpoint: endpoint::shown(&options.endpoint), problem }
        })?;
        if options.tls.is_some() && scheme != Scheme::HTTPS {
            return Err(DestinationError::TlsWithoutHttps { endpoint: options.endpoint });
        }
        let material = Arc::new(Material::read(&options, scheme == Scheme::HTTPS)?);
        Ok(Self { options: Arc::new(options), scheme, authority, base_path, material })
    }

    /// What it is called in figures and messages.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// What was said about it.
    pub fn options(&self) -> &DestinationOptions {
        &self.options
    }

    /// Whether it wants `signal`.
    pub fn takes(&self, signal: Signal) -> bool {
        self.options.signals.contains(&signal)
    }

    /// The host and port that it is reached at, as a loop would show.
    pub fn address(&self) -> (&str, u16) {
        let default = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        (self.authority.host(), self.authority.port_u16().unwrap_or(default))
    }

    /// Where requests for `signal` go over HTTP; with no signal, the origin, to which gRPC adds its own path.
    pub(crate) fn uri(&self, signal: Option<Signal>) -> Uri {
        let path = match signal {
            Some(_) if !self.options.append_path => "",
            signal => signal.map_or("/", http_path),
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.base_path))
            .build()
            .expect("the parts come from a URI that was parsed")
    }
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        self.options == other.options
    }
}

impl Eq for Destination {}

/// Without headers, which may hold credentials.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("name", &self.options.name)
            .field("uri", &self.uri(None))
            .field("protocol", &self.options.protocol)
            .finish_non_exhaustive()
    }
}

fn check_limits(options: &DestinationOptions) -> Result<(), DestinationError> {
    let zero = Duration::ZERO;
    for (option, is_zero) in [
        ("timeout", options.timeout == zero),
        ("connect_timeout", options.connect_timeout == zero),
        ("max_request_bytes", options.max_request_bytes == 0),
        ("max_response_bytes", options.max_response_bytes == 0),
        ("concurrency", options.concurrency == 0),
        ("drain_bytes_per_second", options.drain_bytes_per_second == Some(0)),
    ] {
        if is_zero {
            return Err(DestinationError::Zero { option });
        }
    }
    if options.signals.is_empty() {
        return Err(DestinationError::NoSignal);
    }
    if options.append_path {
        Ok(())
    } else if options.protocol == Protocol::Grpc {
        Err(DestinationError::ExactPath { problem: "leave it out, gRPC has paths of its own" })
    } else if options.signals.len() > 1 {
        Err(DestinationError::ExactPath { problem: "name it in signals" })
    } else {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
