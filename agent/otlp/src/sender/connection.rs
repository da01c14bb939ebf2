//! Connections to a destination, kept open and opened again as needed.

use std::time::Duration;

use hyper::body::Body;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::sender::destination::{Destination, Protocol};

pub(crate) type HttpClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// The most bytes of an answer that are read (OTLP recommends 4 MiB).
pub(crate) const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Idle connections are closed before middleboxes forget them.
const IDLE: Duration = Duration::from_mins(1);

/// A client with one pool of connections. No connection is made yet.
pub(crate) fn client<B>(destination: &Destination) -> HttpClient<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(destination.options.connect_timeout));
    let connector = HttpsConnector::from((tcp, destination.material.tls.clone()));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_only(destination.options.protocol == Protocol::Grpc)
        .build(connector)
}

/// As the OTLP specification asks of exporters.
pub(crate) const USER_AGENT: &str =
    concat!("hostmend/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));
