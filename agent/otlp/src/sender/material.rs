//! What requests to a destination are made with that may stand in files: headers, certificates, the proxy.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderMap;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::sender::destination::{DestinationError, DestinationOptions, Protocol, headers};
use crate::sender::proxy::Proxy;
use crate::sender::tls::{client_config, server_name, trusted_bundle, trusting_nobody};

pub(crate) struct Material {
    pub(crate) headers: HeaderMap,
    /// Trusts nobody when the endpoint is not https.
    pub(crate) tls: Arc<ClientConfig>,
    /// The name that the certificate must have, where it is not that of the endpoint.
    pub(crate) server_name: Option<ServerName<'static>>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) with_tls: bool,
    /// The files that it comes from, as they were before they were read.
    pub(crate) files: Files,
}

/// Files, and what tells their content from an earlier one; `None` for a file that is not there.
pub(crate) type Files = Vec<(PathBuf, Option<Stamp>)>;

/// What changes with the content of a file: device, inode, size, and the times of both changes.
pub(crate) type Stamp = [i64; 7];

impl Material {
    /// Reads the files that `options` name.
    pub(crate) fn read(options: &DestinationOptions, with_tls: bool) -> Result<Self, DestinationError> {
        let files = files(options, with_tls).into_iter().map(|path| (path.clone(), stamp(&path))).collect();
        let given = options.tls.clone().unwrap_or_default();
        let tls = match options.protocol {
            _ if !with_tls => trusting_nobody()?,
            Protocol::Grpc => client_config(&given, &[b"h2"])?,
            Protocol::HttpProtobuf | Protocol::HttpJson => client_config(&given, &[b"h2", b"http/1.1"])?,
        };
        let proxy = options.proxy.as_ref().map(|proxy| {
            let text = proxy.read().map_err(|source| DestinationError::ProxySecret { source })?;
            Proxy::parse(&text).map_err(|problem| DestinationError::Proxy { problem })
        });
        Ok(Self {
            headers: headers(&options.headers, options.protocol)?,
            tls: Arc::new(tls),
            server_name: given.server_name.as_deref().map(server_name).transpose()?,
            proxy: proxy.transpose()?,
            with_tls,
            files,
        })
    }

    /// The same files, as they are now.
    pub(crate) fn files_now(files: &Files) -> Files {
        files.iter().map(|(path, _)| (path.clone(), stamp(path))).collect()
    }
}

fn files(options: &DestinationOptions, with_tls: bool) -> Vec<PathBuf> {
    let secrets = options.headers.iter().map(|(_, value)| value).chain(&options.proxy);
    let mut files: Vec<PathBuf> = secrets.filter_map(|secret| secret.file().map(Path::to_owned)).collect();
    if with_tls {
        let tls = options.tls.clone().unwrap_or_default();
        files.extend(tls.ca_file.or_else(|| trusted_bundle().map(Path::to_owned)));
        files.extend(tls.certificate_file);
        files.extend(tls.key_file);
    }
    files
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some([
        found.dev() as i64,
        found.ino() as i64,
        found.size() as i64,
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ])
}
