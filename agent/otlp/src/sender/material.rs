//! What requests to a destination are made with that may stand in files: headers, certificates, the proxy.

use std::sync::Arc;

use http::HeaderMap;
use rustls::ClientConfig;

use crate::sender::destination::{DestinationError, DestinationOptions, Protocol, headers};
use crate::sender::tls::{client_config, trusting_nobody};

pub(crate) struct Material {
    pub(crate) headers: HeaderMap,
    /// Trusts nobody when the endpoint is not https.
    pub(crate) tls: Arc<ClientConfig>,
}

impl Material {
    /// Reads the files that `options` name.
    pub(crate) fn read(options: &DestinationOptions, with_tls: bool) -> Result<Self, DestinationError> {
        let tls = if with_tls {
            let alpn: &[u8] = if options.protocol == Protocol::Grpc { b"h2" } else { b"http/1.1" };
            client_config(&options.tls.clone().unwrap_or_default(), alpn)?
        } else {
            trusting_nobody()?
        };
        Ok(Self { headers: headers(&options.headers, options.protocol)?, tls: Arc::new(tls) })
    }
}
