//! Who sends, as far as that can be verified.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::refused::{Reason, Refused};
use super::slot::Current;
use super::socket::Stream;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Nothing is known but that it can connect.
    Anyone,
    /// A process of this user, says the kernel.
    User(u32),
    /// A client whose certificate carries these names, says its authority.
    Certificate(Arc<[String]>),
}

impl Peer {
    pub(crate) fn of(stream: &Stream) -> Self {
        match stream {
            Stream::Tcp(_) => Self::Anyone,
            // The kernel knows the peer of every connected Unix socket.
            Stream::Unix(stream) => stream.peer_cred().map_or(Self::Anyone, |peer| Self::User(peer.uid())),
            Stream::Tls(stream) => {
                let certificates = stream.get_ref().1.peer_certificates();
                certificates
                    .and_then(<[_]>::first)
                    .map_or(Self::Anyone, |certificate| Self::Certificate(names(certificate).into()))
            }
        }
    }
}

/// The DNS names and URIs of a certificate.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(str::to_owned).collect()
}

impl Current {
    /// # Errors
    ///
    /// The peer is none of those that may send.
    pub(crate) fn admit(&self, peer: &Peer) -> Result<(), Refused> {
        let is_welcome = match peer {
            Peer::User(id) => self.users.is_empty() || self.users.iter().any(|user| user.id == *id),
            Peer::Certificate(names) => {
                self.client_names.is_empty()
                    || names
                        .iter()
                        .any(|name| self.client_names.iter().any(|own| own.eq_ignore_ascii_case(name)))
            }
            Peer::Anyone => self.users.is_empty() && self.client_names.is_empty(),
        };
        if is_welcome {
            return Ok(());
        }
        Err(Refused::new(
            Reason::NotPermitted,
            match peer {
                Peer::User(id) => format!("user {id} may not send to this listener"),
                Peer::Certificate(_) => {
                    "no name of the client's certificate may send to this listener".to_owned()
                }
                Peer::Anyone => "only known peers may send to this listener".to_owned(),
            },
        ))
    }
}
