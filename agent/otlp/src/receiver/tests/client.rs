//! Clients of the tests: gRPC by hyper, HTTP byte by byte.

use std::io::{Read, Write};

use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::*;
use crate::paths::grpc_path;

pub(super) const SOON: Duration = Duration::from_secs(10);

pub(super) type Arrived = mpsc::Receiver<(Received, Reply)>;

/// A receiver with these listeners, and what arrives there; nothing is answered before the test does.
pub(super) fn start(listeners: Vec<Listener>, limits: ReceiverLimits) -> (Receiver, Arrived) {
    let (arrive, arrived) = mpsc::channel(10_000);
    let sink: Sink = Arc::new(move |received, reply| arrive.try_send((received, reply)).unwrap());
    (Receiver::start(listeners, limits, sink).unwrap(), arrived)
}

/// A receiver that answers everything with `outcome`.
pub(super) fn answering(
    listener: Listener,
    limits: ReceiverLimits,
    outcome: impl Fn(&Received) -> Result<Answer, Refusal> + Send + Sync + 'static,
) -> Receiver {
    let sink: Sink = Arc::new(move |received, reply| {
        let outcome = outcome(&received);
        reply.send(outcome);
    });
    Receiver::start(vec![listener], limits, sink).unwrap()
}

pub(super) fn accepting_all(listener: Listener) -> Receiver {
    answering(listener, ReceiverLimits::default(), |_| Ok(Answer::default()))
}

pub(super) fn loopback() -> Listener {
    Listener::new("apps", vec!["127.0.0.1:0".parse().unwrap()])
}

/// A gRPC client over any stream.
pub(super) struct GrpcClient(SendRequest<Full<Bytes>>);

/// What a call was answered.
#[derive(Debug)]
pub(super) struct GrpcAnswer {
    pub(super) code: String,
    pub(super) message: String,
    /// An encoded `google.rpc.Status`.
    pub(super) details: Vec<u8>,
    pub(super) accepts: String,
    /// The message without its frame.
    pub(super) body: Bytes,
}

impl GrpcClient {
    pub(super) async fn tcp(address: SocketAddr) -> Self {
        Self::over(tokio::net::TcpStream::connect(address).await.unwrap()).await
    }

    pub(super) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    pub(super) async fn call(&self, signal: Signal, message: &[u8]) -> GrpcAnswer {
        self.send(grpc_path(signal), None, grpc_frame(message, false)).await
    }

    pub(super) async fn send(&self, path: &str, encoding: Option<&str>, body: Vec<u8>) -> GrpcAnswer {
        let mut request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(encoding) = encoding {
            request = request.header("grpc-encoding", encoding);
        }
        let request = request.body(Full::from(body)).unwrap();
        let response = self.0.clone().send_request(request).await.unwrap();
        let mut all = response.headers().clone();
        let body = response.into_body().collect().await.unwrap();
        all.extend(body.trailers().cloned().unwrap_or_default());
        let text = |name| all.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        GrpcAnswer {
            code: text("grpc-status"),
            message: text("grpc-message"),
            details: STANDARD_NO_PAD.decode(text("grpc-status-details-bin")).unwrap(),
            accepts: text("grpc-accept-encoding"),
            body: body.to_bytes().split_off_or_empty(5),
        }
    }
}

trait SplitOff {
    fn split_off_or_empty(self, at: usize) -> Bytes;
}

impl SplitOff for Bytes {
    fn split_off_or_empty(mut self, at: usize) -> Bytes {
        if self.len() < at { Self::new() } else { self.split_off(at) }
    }
}

pub(super) fn grpc_frame(message: &[u8], is_compressed: bool) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[u8::from(is_compressed)][..], &length, message].concat()
}

/// Sends `request` as it is and reads the whole answer.
pub(super) fn exchange_over(mut stream: impl Read + Write, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

pub(super) fn http(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Sends `request` to a receiver and reads the whole answer.
pub(super) fn exchange(receiver: &Receiver, request: &[u8]) -> String {
    String::from_utf8_lossy(&exchange_bytes(receiver, request)).into_owned()
}

pub(super) fn exchange_bytes(receiver: &Receiver, request: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(receiver.local_address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    exchange_over(stream, request)
}

/// Waits until what another thread does after its answer is done.
pub(super) fn until(what: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if what() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("it never happened");
}

pub(super) fn request() -> Batch {
    MetricsEncoder::new(&host_attributes()).encode(&small_host(2)).remove(0)
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).unwrap()
}
