//! TLS towards a destination: which authorities are trusted, and who we are.
//!
//! Without a CA file the system's bundle is trusted.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// PEM files of a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its chain, for destinations that ask for one. Needs `key_file`.
    pub certificate_file: Option<PathBuf>,
    /// The private key of `certificate_file`.
    pub key_file: Option<PathBuf>,
    /// The name that the destination's certificate must have, where it is not the host of the endpoint.
    pub server_name: Option<String>,
}

/// Why TLS cannot be set up. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("reading {path}")]
    Reading {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is far larger than certificates are.
    #[error("{path} is larger than {LARGEST_FILE} bytes; is it the right file?")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// A file holds no such PEM section, or a broken one.
    #[error("{path} holds no {expected}; expected a section -----BEGIN {section}-----")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        expected: &'static str,
        /// How its section begins.
        section: &'static str,
    },
    /// A PEM section whose content is no certificate.
    #[error("{path} holds a certificate that cannot be used")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Certificate and key do not fit, or the key is of an unknown kind.
    #[error("the key {key_file} cannot be used with the certificate {certificate_file}")]
    Pair {
        /// The certificate.
        certificate_file: PathBuf,
        /// The key.
        key_file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// One of certificate and key without the other.
    #[error("certificate_file and key_file belong together; set both or neither")]
    HalfOfPair,
    /// The system has no bundle of authorities where we look.
    #[error(
        "this system has no bundle of certificate authorities (package ca-certificates); install it or set ca_file"
    )]
    NoSystemBundle,
    /// What should be a name is none.
    #[error("server_name {name:?} is no host name; write one that the destination's certificate has")]
    ServerName {
        /// As it was given.
        name: String,
    },
    /// The cryptography cannot be set up.
    #[error("setting up TLS")]
    Setup {
        /// Why.
        source: rustls::Error,
    },
}

/// Where distributions keep their bundle: Debian and Alpine, Red Hat, SUSE, others.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A system's bundle takes a quarter of it.
const LARGEST_FILE: u64 = 1024 * 1024;

/// The configuration for connections that speak one of `alpn`, of which the destination chooses.
pub(crate) fn client_config(options: &TlsOptions, alpn: &[&[u8]]) -> Result<ClientConfig, TlsError> {
    let builder = builder()?.with_root_certificates(roots(options.ca_file.as_deref())?);
    let mut config = match (&options.certificate_file, &options.key_file) {
        (Some(certificate_file), Some(key_file)) => builder
            .with_client_auth_cert(certificates(certificate_file)?, key(key_file)?)
            .map_err(|source| TlsError::Pair {
                certificate_file: certificate_file.clone(),
                key_file: key_file.clone(),
                source,
            })?,
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(TlsError::HalfOfPair),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// For connections that are not encrypted: were TLS ever begun on one, it would fail.
pub(crate) fn trusting_nobody() -> Result<ClientConfig, TlsError> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Setup { source })
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|source| TlsError::Certificate { path: path.to_owned(), source })?;
        }
        return Ok(roots);
    }
    // A bundle may hold an authority that is too odd for rustls; the others serve.
    roots.add_parsable_certificates(certificates(trusted_bundle().ok_or(TlsError::NoSystemBundle)?)?);
    Ok(roots)
}

/// The system's bundle of authorities.
pub(crate) fn trusted_bundle() -> Option<&'static Path> {
    SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists())
}

/// `name` as certificates have it.
pub(crate) fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName { name: name.to_owned() })
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| TlsError::Pem {
        path: path.to_owned(),
        expected: "certificate",
        section: "CERTIFICATE",
    })
}

pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| TlsError::Pem {
        path: path.to_owned(),
        expected: "unencrypted private key",
        section: "PRIVATE KEY",
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let reading = |source| TlsError::Reading { path: path.to_owned(), source };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(reading)?;
    let length = file.take(LARGEST_FILE + 1).read_to_end(&mut text).map_err(reading)?;
    if length as u64 > LARGEST_FILE {
        return Err(TlsError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}
