//! How a receiver is to listen: addresses, who may send, how much.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use telemetry::Attributes;

use super::tls::ServerTls;
use crate::mask::Masking;

/// Where to listen. Both gRPC and HTTP are spoken at each address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListenAddress {
    /// Port 0 picks one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text that is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address to listen on; write IP:PORT as in 127.0.0.1:4317, or unix: and a path from the root as in \
     unix:/run/hostmend/otlp.sock"
)]
pub struct AddressError;

impl FromStr for ListenAddress {
    type Err = AddressError;

    /// `127.0.0.1:4317`, `[::1]:4317` or `unix:/absolute/path`. Host names are not looked up.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            // Longer ones do not fit into a socket's address.
            Some(path) if path.starts_with('/') && !path.ends_with('/') && path.len() < 108 => {
                Ok(Self::Unix(PathBuf::from(path)))
            }
            Some(_) => Err(AddressError),
            None => text.parse().map(Self::Tcp).map_err(|_| AddressError),
        }
    }
}

/// One origin of telemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The origin is `otlp:<name>`. Unique.
    pub name: String,
    /// Where it listens. Unique over all listeners.
    pub addresses: Vec<ListenAddress>,
    /// The permissions of its Unix sockets.
    pub socket_mode: u32,
    /// TLS on its TCP addresses.
    pub tls: Option<ServerTls>,
    /// The numbers of the users that may send over its Unix sockets; empty for everyone.
    pub users: Vec<u32>,
    /// Names of which a client's certificate must carry one; empty for every certificate that the authority signed.
    pub client_names: Vec<String>,
    /// The resource attribute that gets the verified peer, whatever the sender claims: the user of a Unix socket, the name
    /// of a client's certificate, or nothing where neither is known.
    pub peer_attribute: Option<String>,
    /// Resource attributes that are added where their key is absent.
    pub missing_attributes: Attributes,
    /// What is masked before anything is kept; what the listener adds is not.
    pub masking: Arc<Masking>,
    /// How much it takes, uncompressed; more is refused with the time to wait.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Walk every field of a request instead of its envelopes only.
    pub strict: bool,
}

/// Any local user can send over loopback. A Unix socket is no more open than that, and who is to be kept out is named
/// in `users`.
pub const DEFAULT_SOCKET_MODE: u32 = 0o666;

impl Listener {
    /// Takes from everyone, without limits of its own.
    pub fn new(name: impl Into<String>, addresses: Vec<ListenAddress>) -> Self {
        Self {
            name: name.into(),
            addresses,
            socket_mode: DEFAULT_SOCKET_MODE,
            tls: None,
            users: Vec::new(),
            client_names: Vec::new(),
            peer_attribute: None,
            missing_attributes: Vec::new(),
            masking: Arc::default(),
            bytes_per_second: None,
            strict: false,
        }
    }
}

/// What all listeners share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverLimits {
    /// The most bytes of a request, both as it is sent and decompressed.
    pub max_request_bytes: usize,
    /// The most bytes of all requests that are being received or wait to become durable; more are refused for the time
    /// being. At least `max_request_bytes`.
    pub max_in_flight_bytes: usize,
    /// Further connections wait in the kernel's backlog.
    pub max_connections: usize,
    /// How long a client may take over its handshake and the head of a request.
    pub head_timeout: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long a request may take from its head to its answer, becoming durable included.
    pub request_timeout: Duration,
}

impl Default for ReceiverLimits {
    fn default() -> Self {
        Self {
            // Four times what senders dare without being told.
            max_request_bytes: 16 << 20,
            max_in_flight_bytes: 32 << 20,
            max_connections: 512,
            head_timeout: Duration::from_secs(10),
            // SDKs send metrics once a minute and should find their connection open.
            idle_timeout: Duration::from_secs(150),
            request_timeout: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_printed() {
        for text in ["127.0.0.1:4317", "[::1]:0", "unix:/run/hostmend/otlp.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        let long = format!("unix:/{}", "x".repeat(200));
        for text in ["localhost:4317", "4317", ":4317", "unix:otlp.sock", "unix:", "unix:/run/", &long] {
            assert_eq!(text.parse::<ListenAddress>(), Err(AddressError), "{text}");
        }
    }
}
