//! Opens connections to a destination: looks up its name, passes a proxy, agrees on TLS, all within one time limit.
//!
//! A name server that hangs keeps one thread for each destination, and no more: the next lookup waits for the last.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_service::Service;

use crate::sender::destination::{Destination, Protocol};
use crate::sender::exporter::{BoxError, BoxFuture};
use crate::sender::material::Material;
use crate::sender::proxy::Proxy;

#[derive(Clone)]
pub(crate) struct Connector {
    tls: HttpsConnector<Route>,
    limit: Duration,
}

impl Connector {
    pub(crate) fn new(destination: &Destination, material: &Material, lookup: Lookup) -> Self {
        let limit = destination.options.connect_timeout;
        let mut tcp = HttpConnector::new_with_resolver(lookup);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared out among the addresses of a name, so that the first does not use up the time of all.
        tcp.set_connect_timeout(Some(limit));
        let route = match material.proxy.clone() {
            None => Route::Direct(tcp),
            Some(proxy) if destination.is_forwarded() => Route::Forwarded(tcp, proxy),
            Some(proxy) => Route::tunnel(tcp, &proxy),
        };
        let config = Arc::clone(&material.tls);
        let tls = match material.server_name.clone() {
            None => HttpsConnector::from((route, config)),
            Some(name) => {
                HttpsConnector::new(route, config, false, Arc::new(FixedServerNameResolver::new(name)))
            }
        };
        Self { tls, limit }
    }
}

impl Destination {
    /// Whether a proxy is given the whole request, as is usual for plain HTTP; else it is asked for a tunnel.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.scheme == Scheme::HTTP && self.options.protocol != Protocol::Grpc
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Way>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tls.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connecting, limit) = (self.tls.call(to), self.limit);
        Box::pin(async move {
            timeout(limit, connecting)
                .await
                .map_err(|_| format!("no connection within {}", telemetry::format_duration(limit)))?
        })
    }
}

type Tcp = HttpConnector<Lookup>;

/// What lies between us and the destination.
#[derive(Clone)]
enum Route {
    Direct(Tcp),
    Tunneled(Tunnel<Tcp>),
    Forwarded(Tcp, Proxy),
}

impl Route {
    fn tunnel(tcp: Tcp, proxy: &Proxy) -> Self {
        let tunnel = Tunnel::new(proxy.uri().clone(), tcp);
        Self::Tunneled(match proxy.authorization() {
            Some(authorization) => tunnel.with_auth(authorization.clone()),
            None => tunnel,
        })
    }
}

impl Service<Uri> for Route {
    type Response = Way;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Way, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Direct(tcp) | Self::Forwarded(tcp, _) => tcp.poll_ready(context).map_err(Into::into),
            Self::Tunneled(tunnel) => tunnel.poll_ready(context).map_err(Into::into),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let forwarded = matches!(self, Self::Forwarded(..));
        let way = move |stream| Way { stream, forwarded };
        match self {
            Self::Direct(tcp) => {
                let connecting = tcp.call(to);
                Box::pin(async move { Ok(way(connecting.await?)) })
            }
            Self::Forwarded(tcp, proxy) => {
                let connecting = tcp.call(proxy.uri().clone());
                Box::pin(async move { Ok(way(connecting.await?)) })
            }
            Self::Tunneled(tunnel) => {
                let connecting = tunnel.call(with_port(to));
                Box::pin(async move { Ok(way(connecting.await?)) })
            }
        }
    }
}

/// The tunnel takes 443 for every address without a port.
fn with_port(uri: Uri) -> Uri {
    if uri.port().is_some() || uri.scheme() != Some(&Scheme::HTTP) {
        return uri;
    }
    let authority = format!("{}:80", uri.host().unwrap_or_default());
    Uri::builder().scheme("http").authority(authority).path_and_query("/").build().unwrap_or(uri)
}

/// A connection to the destination or, for it, to a proxy.
#[derive(Debug)]
pub(crate) struct Way {
    stream: TokioIo<TcpStream>,
    /// Requests name the whole address, for the proxy.
    forwarded: bool,
}

impl Connection for Way {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.forwarded)
    }
}

impl Read for Way {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Way {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}

/// Looks up names, one after the other.
#[derive(Clone)]
pub(crate) struct Lookup {
    turn: Arc<Semaphore>,
    find: fn(&str) -> io::Result<Vec<SocketAddr>>,
}

impl Lookup {
    /// Asks the system.
    pub(crate) fn system() -> Self {
        Self::with(|name| Ok((name, 0).to_socket_addrs()?.collect()))
    }

    pub(crate) fn with(find: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), find }
    }
}

impl Service<Name> for Lookup {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (turn, find) = (Arc::clone(&self.turn), self.find);
        Box::pin(async move {
            let turn = turn.acquire_owned().await?;
            let looking = tokio::task::spawn_blocking(move || {
                let found = find(name.as_str());
                drop(turn);
                found
            });
            Ok(looking.await??.into_iter())
        })
    }
}

#[cfg(test)]
mod tests;
