//! A destination that answers as a test tells it, over gRPC and HTTP on one port, with TLS if asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;

use crate::sender::destination::tests::testdata;

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Answering = dyn Fn(&Seen) -> Option<Response<Body>> + Send + Sync;

pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    seen: Receiver<Seen>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Without TLS. Where `answer` gives none, the request hangs.
    pub(crate) fn new(answer: impl Fn(&Seen) -> Option<Response<Body>> + Send + Sync + 'static) -> Self {
        Self::start(answer, None)
    }

    /// With TLS, taking only clients that hold a certificate of the test authority.
    pub(crate) fn with_tls(answer: impl Fn(&Seen) -> Option<Response<Body>> + Send + Sync + 'static) -> Self {
        Self::start(answer, Some(tls(true, &[b"h2", b"http/1.1"])))
    }

    /// With TLS for anybody, speaking these protocols.
    pub(crate) fn with_protocols(
        answer: impl Fn(&Seen) -> Option<Response<Body>> + Send + Sync + 'static,
        alpn: &[&[u8]],
    ) -> Self {
        Self::start(answer, Some(tls(false, alpn)))
    }

    fn start(
        answer: impl Fn(&Seen) -> Option<Response<Body>> + Send + Sync + 'static,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (report, seen) = sync_channel(1_000);
        let (stop, stopped) = oneshot::channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let open = Arc::new(AtomicUsize::new(0));
        let still_open = open.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(listener, tls, Arc::new(answer), report, counter, still_open) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, seen, connections, open, stop: Some(stop), thread: Some(thread) }
    }

    /// The next request, which must come soon.
    pub(crate) fn next(&self) -> Seen {
        self.seen.recv_timeout(Duration::from_secs(10)).expect("a request arrives")
    }

    /// How many connections there are now.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: Arc<Answering>,
    report: SyncSender<Seen>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        open.fetch_add(1, Ordering::Relaxed);
        let (tls, answer, report, open) = (tls.clone(), answer.clone(), report.clone(), open.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(TokioIo::new(stream), answer, report).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        let stream = TokioIo::<tokio_rustls::server::TlsStream<TcpStream>>::new(stream);
                        serve(stream, answer, report).await;
                    }
                }
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve<S>(stream: S, answer: Arc<Answering>, report: SyncSender<Seen>)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, report) = (answer.clone(), report.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let seen =
                Seen { path: head.uri.path().to_owned(), version: head.version, headers: head.headers, body };
            let response = answer(&seen);
            report.send(seen).unwrap();
            match response {
                Some(response) => Ok::<_, Infallible>(response),
                None => std::future::pending().await,
            }
        }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
}

fn tls(asks_for_certificates: bool, alpn: &[&[u8]]) -> TlsAcceptor {
    let read = |file| CertificateDer::from_pem_file(testdata(file)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read("authority.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let clients = if asks_for_certificates { clients } else { clients.allow_unauthenticated() };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![read("server.pem")],
            PrivateKeyDer::from_pem_file(testdata("server.key")).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// An answer over HTTP.
pub(crate) fn http(status: u16, body: &[u8]) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(Bytes::copy_from_slice(body))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A successful answer over gRPC.
pub(crate) fn grpc(message: &[u8]) -> Response<Body> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(frame.freeze()).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
