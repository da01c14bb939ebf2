//! TLS of a listener: its certificate, and the authority that signs those of its clients.
//!
//! Files that changed are read again, without a restart. While the new ones cannot be used the old ones are, which is
//! said once for each change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use telemetry::with_causes;
use tokio::time::Instant;

use crate::sender::tls::{TlsError, certificates, key};

/// Looking at the files costs three system calls, upon a new connection.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// PEM files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Our certificate and its chain.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authority that must have signed the certificate of every client; without it clients need none.
    pub client_ca_file: Option<PathBuf>,
}

impl ServerTls {
    /// Reads the files as a listener would.
    ///
    /// # Errors
    ///
    /// A file cannot be read or used.
    pub fn check(&self) -> Result<(), TlsError> {
        config(self).map(drop)
    }
}

/// What tells that a file has changed.
type Stamp = Option<(SystemTime, u64)>;

/// The certificates in use.
pub(crate) struct Certificates {
    files: ServerTls,
    state: Mutex<State>,
}

struct State {
    config: Arc<ServerConfig>,
    stamps: [Stamp; 3],
    checked: Instant,
}

impl Certificates {
    /// # Errors
    ///
    /// A file cannot be read or used.
    pub(crate) fn load(files: &ServerTls) -> Result<Self, TlsError> {
        let stamps = stamps(files);
        let config = Arc::new(config(files)?);
        let state = Mutex::new(State { config, stamps, checked: Instant::now() });
        Ok(Self { files: files.clone(), state })
    }

    /// For the next connection.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.checked.elapsed() >= CHECK_EVERY {
            state.checked = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != state.stamps {
                state.stamps = stamps;
                self.renew(&mut state);
            }
        }
        state.config.clone()
    }

    fn renew(&self, state: &mut State) {
        let certificate = self.files.certificate_file.display();
        match config(&self.files) {
            Ok(config) => {
                state.config = Arc::new(config);
                tracing::info!("{certificate} has changed; new connections get the new certificate");
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::error!(
                    "{certificate}, its key or its authority has changed and cannot be used; the old one stays in use: {error}"
                );
            }
        }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

fn stamps(files: &ServerTls) -> [Stamp; 3] {
    let stamp = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    [stamp(&files.certificate_file), stamp(&files.key_file), files.client_ca_file.as_deref().and_then(stamp)]
}

fn config(files: &ServerTls) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Setup { source })?;
    let builder = match &files.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let bad = |source| TlsError::Certificate { path: path.clone(), source };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(bad)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier = verifier.map_err(|error| bad(rustls::Error::General(error.to_string())))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates(&files.certificate_file)?, key(&files.key_file)?)
        .map_err(|source| TlsError::Pair {
            certificate_file: files.certificate_file.clone(),
            key_file: files.key_file.clone(),
            source,
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
