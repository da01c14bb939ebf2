//! One connection that sends requests, over gRPC or HTTP.

use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::numbers::Signal;

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2, many requests at once.
    Grpc,
    /// HTTP/1.1 with protobuf, one request at a time.
    Http,
}

/// What became of a request, as far as the sender knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was taken in whole.
    Accepted,
    /// It was not taken; the status and the message.
    Refused(String),
    /// No answer came: it may have been taken.
    Unknown(String),
}

/// A connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    authority: String,
    connection: Connection,
}

#[derive(Clone, Debug)]
enum Connection {
    Grpc(http2::SendRequest<Full<Bytes>>),
    Http(std::sync::Arc<tokio::sync::Mutex<http1::SendRequest<Full<Bytes>>>>),
}

/// How much of a connection's data may be under way without an answer to it.
const WINDOW: u32 = 8 << 20;

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Nobody answers there.
    pub async fn connect(address: SocketAddr, protocol: Protocol) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        let connection = match protocol {
            Protocol::Grpc => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
                let (sender, connection) = builder.handshake(io).await.map_err(std::io::Error::other)?;
                tokio::spawn(connection);
                Connection::Grpc(sender)
            }
            Protocol::Http => {
                let (sender, connection) = http1::handshake(io).await.map_err(std::io::Error::other)?;
                tokio::spawn(connection);
                Connection::Http(std::sync::Arc::new(sender.into()))
            }
        };
        Ok(Self { authority: address.to_string(), connection })
    }

    /// Sends a request and waits for its answer.
    pub async fn send(&self, signal: Signal, request: Bytes) -> Answer {
        let answer = match &self.connection {
            Connection::Grpc(sender) => self.call(sender.clone(), signal, &request).await,
            Connection::Http(sender) => self.post(&mut *sender.lock().await, signal, request).await,
        };
        answer.unwrap_or_else(|error| Answer::Unknown(error.to_string()))
    }

    async fn call(
        &self,
        mut sender: http2::SendRequest<Full<Bytes>>,
        signal: Signal,
        message: &[u8],
    ) -> hyper::Result<Answer> {
        let mut body = BytesMut::with_capacity(message.len() + 5);
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.put_slice(message);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{}", self.authority, signal.method()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body.freeze()))
            .expect("a request of fixed parts");
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let said = |name: &str| {
            let trailer = body.trailers().and_then(|trailers| trailers.get(name));
            let said = trailer.or_else(|| head.headers.get(name));
            said.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (status, message) = (said("grpc-status"), said("grpc-message"));
        let answered = body.to_bytes();
        let is_accepted = status == "0" && is_full_success(answered.get(5..).unwrap_or_default());
        Ok(if is_accepted {
            Answer::Accepted
        } else {
            Answer::Refused(format!("status {status}: {message}"))
        })
    }

    async fn post(
        &self,
        sender: &mut http1::SendRequest<Full<Bytes>>,
        signal: Signal,
        body: Bytes,
    ) -> hyper::Result<Answer> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(signal.path())
            .header("host", &self.authority)
            .header("content-type", "application/x-protobuf")
            .body(Full::new(body))
            .expect("a request of fixed parts");
        sender.ready().await?;
        let response: Response<Incoming> = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(match status {
            StatusCode::OK if is_full_success(&body) => Answer::Accepted,
            _ => Answer::Refused(format!("{status} {}", String::from_utf8_lossy(&body))),
        })
    }
}

/// A response without a `partial_success`, or one that is empty.
fn is_full_success(response: &[u8]) -> bool {
    response.is_empty() || response == [0x0a, 0]
}
