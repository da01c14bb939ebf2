//! Who sends, as far as that can be verified.

use std::sync::OnceLock;

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
    User {
        id: u32,
        /// As `/etc/passwd` has it when it is first asked for; the number where it does not.
        name: OnceLock<String>,
    },
    /// A client whose certificate carries these names, says its authority.
    Certificate(Vec<String>),
}

impl Peer {
    pub(crate) fn of(stream: &Stream) -> Self {
        match stream {
            Stream::Tcp(_) => Self::Anyone,
            // The kernel knows the peer of every connected Unix socket.
            Stream::Unix(stream) => stream
                .peer_cred()
                .map_or(Self::Anyone, |peer| Self::User { id: peer.uid(), name: OnceLock::new() }),
            Stream::Tls(stream) => {
                let certificates = stream.get_ref().1.peer_certificates();
                certificates
                    .and_then(<[_]>::first)
                    .map_or(Self::Anyone, |certificate| Self::Certificate(names(certificate)))
            }
        }
    }
}

const USERS: &str = "/etc/passwd";

/// `passwd(5)`: name, password, number, and more that is not needed.
fn user_name(id: u32) -> String {
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    let named = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        (rest.split(':').nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    };
    users.lines().find_map(named).unwrap_or_else(|| id.to_string())
}

/// The DNS names and URIs of a certificate; without any, the common names of its subject.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    let alternative = certificate.valid_dns_names().chain(certificate.valid_uri_names());
    let names: Vec<_> = alternative.map(str::to_owned).collect();
    if names.is_empty() { common_names(certificate.subject()) } else { names }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Those in the DER of an X.501 `Name`, without the sequence around it: sets of sequences of an object id and a text.
fn common_names(name: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for (tag, set) in Elements(name) {
        for (inner_tag, attribute) in Elements(set) {
            let mut elements = Elements(attribute);
            if (tag, inner_tag) == (SET, SEQUENCE)
                && elements.next() == Some((OBJECT_ID, COMMON_NAME))
                && let Some((kind, text)) = elements.next()
                && TEXTS.contains(&kind)
                && let Ok(text) = std::str::from_utf8(text)
            {
                names.push(text.to_owned());
            }
        }
    }
    names
}

/// The elements that lie one after the other in DER, each its tag and its content. Ends at what is no element.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = match *self.0 {
            [_, length @ ..=0x7f, ..] => (usize::from(length), self.0.get(2..)?),
            [_, 0x81, length, ..] => (usize::from(length), self.0.get(3..)?),
            [_, 0x82, high, low, ..] => (usize::from(high) << 8 | usize::from(low), self.0.get(4..)?),
            _ => return None,
        };
        let tag = *self.0.first()?;
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}

impl Current {
    /// # Errors
    ///
    /// The peer is none of those that may send.
    pub(crate) fn admit(&self, peer: &Peer) -> Result<(), Refused> {
        let is_welcome = match peer {
            Peer::User { id, .. } => self.users.is_empty() || self.users.contains(id),
            Peer::Certificate(names) => self.client_names.is_empty() || self.known_client(names).is_some(),
            Peer::Anyone => self.users.is_empty() && self.client_names.is_empty(),
        };
        if is_welcome {
            return Ok(());
        }
        let who = match peer {
            Peer::User { id, .. } => format!("user {id}"),
            Peer::Certificate(names) => format!("a client whose certificate says {names:?}"),
            Peer::Anyone => "an unknown peer".to_owned(),
        };
        Err(Refused::new(Reason::NotPermitted, format!("{who} may not send to this listener")))
    }

    /// What the peer attribute says: the user, or the name by which the client may send. Empty when nothing is known, so
    /// that what the sender claims does not stand there.
    pub(crate) fn peer_name<'a>(&self, peer: &'a Peer) -> &'a str {
        match peer {
            Peer::User { id, name } => name.get_or_init(|| user_name(*id)),
            Peer::Certificate(names) => {
                self.known_client(names).or(names.first()).map(String::as_str).unwrap_or_default()
            }
            Peer::Anyone => "",
        }
    }

    fn known_client<'a>(&self, names: &'a [String]) -> Option<&'a String> {
        names.iter().find(|name| self.client_names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn names_of_a_certificate_are_its_alternative_ones_or_else_its_common_name() {
        for (file, expected) in [("client", "agent"), ("authority", "hostmend test authority")] {
            let path = format!("{}/testdata/tls/{file}.pem", env!("CARGO_MANIFEST_DIR"));
            assert_eq!(names(&CertificateDer::from_pem_file(path).unwrap()), [expected]);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_of_names_panic(bytes: Vec<u8>) {
            common_names(&bytes);
        }
    }
}
