//! Answers one request, as the OTLP specification asks of a server.

use std::future::Ready;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use telemetry::Signal;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use crate::codec::{RawCodec, grpc_path, http_path};
use crate::receiver::Sink;
use crate::wire::text_field;

/// The most bytes of a request, before and after decompression: four times what senders dare without being told.
const LARGEST_REQUEST: usize = 16 * 1024 * 1024;

/// Requests that are read at once, so that memory is bounded; further ones wait within their time.
const REQUESTS: usize = 8;

/// How long a request may take from its head to its answer, waiting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const PROTOBUF: &str = "application/x-protobuf";

/// Shared by all connections.
#[derive(Clone)]
pub(crate) struct Service {
    sink: Arc<Sink>,
    requests: Arc<Semaphore>,
}

impl Service {
    pub(crate) fn new(sink: Arc<Sink>) -> Self {
        Self { sink, requests: Arc::new(Semaphore::new(REQUESTS)) }
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let is_grpc = content_type(request.headers()).starts_with("application/grpc");
        let answering = async {
            let _permit = self.requests.acquire().await;
            if is_grpc { self.grpc(request).await } else { self.http(request).await }
        };
        match timeout(REQUEST_TIMEOUT, answering).await {
            Ok(response) => response,
            Err(_) if is_grpc => Status::unavailable("the request took too long").into_http(),
            Err(_) => failure(StatusCode::SERVICE_UNAVAILABLE, "the request took too long"),
        }
    }

    async fn grpc(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let Some(signal) = Signal::ALL.into_iter().find(|signal| grpc_path(*signal) == path) else {
            return Status::unimplemented("no such service; metrics, traces and logs are received")
                .into_http();
        };
        let mut response = Grpc::new(RawCodec)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(LARGEST_REQUEST)
            .unary(Export { sink: self.sink.clone(), signal }, request)
            .await;
        // tonic answers a message above the limit with OUT_OF_RANGE, upon which OTLP clients would send it again.
        if response.headers().get(Status::GRPC_STATUS).is_some_and(|code| is(code, Code::OutOfRange)) {
            let code = HeaderValue::from(Code::ResourceExhausted as u16);
            response.headers_mut().insert(Status::GRPC_STATUS, code);
        }
        response
    }

    async fn http(&self, request: Request<Incoming>) -> Response<Body> {
        match self.receive_http(request).await {
            Ok(()) => protobuf(StatusCode::OK, Bytes::new()),
            Err((status, text)) => failure(status, &text),
        }
    }

    async fn receive_http(&self, request: Request<Incoming>) -> Result<(), (StatusCode, String)> {
        let refuse = |status, text: &str| Err((status, text.to_owned()));
        let path = request.uri().path();
        let Some(signal) = Signal::ALL.into_iter().find(|signal| http_path(*signal) == path) else {
            return refuse(StatusCode::NOT_FOUND, "post to /v1/metrics, /v1/traces or /v1/logs");
        };
        if request.method() != Method::POST {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "use POST");
        }
        if content_type(request.headers()) != PROTOBUF {
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/x-protobuf");
        }
        let encoding = request.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
        let is_gzip = match encoding {
            None | Some(b"identity") => false,
            Some(b"gzip") => true,
            Some(_) => return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "compress with gzip or not at all"),
        };
        let body = match Limited::new(request.into_body(), LARGEST_REQUEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(_) => return refuse(StatusCode::BAD_REQUEST, "the body ended early"),
        };
        let payload = if is_gzip { gunzip(&body)? } else { body };
        self.sink.take(signal, payload).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
    }
}

/// The `Export` call of one signal.
struct Export {
    sink: Arc<Sink>,
    signal: Signal,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = Ready<Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let taken = self.sink.take(self.signal, request.into_inner());
        std::future::ready(match taken {
            Ok(()) => Ok(tonic::Response::new(Bytes::new())),
            Err(malformed) => Err(Status::invalid_argument(malformed.to_string())),
        })
    }
}

fn is(value: &HeaderValue, code: Code) -> bool {
    Code::from_bytes(value.as_bytes()) == code
}

/// Without parameters such as a charset; empty when there is none.
fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim_end()
}

fn gunzip(body: &[u8]) -> Result<Bytes, (StatusCode, String)> {
    let mut payload = Vec::new();
    MultiGzDecoder::new(body)
        .take(LARGEST_REQUEST as u64 + 1)
        .read_to_end(&mut payload)
        .map_err(|_| (StatusCode::BAD_REQUEST, "the body is not gzip".to_owned()))?;
    if payload.len() > LARGEST_REQUEST { Err(too_large()) } else { Ok(Bytes::from(payload)) }
}

fn too_large() -> (StatusCode, String) {
    let text = format!("the request is larger than {LARGEST_REQUEST} bytes");
    (StatusCode::PAYLOAD_TOO_LARGE, text)
}

/// An error with a `google.rpc.Status` that holds the text.
fn failure(status: StatusCode, text: &str) -> Response<Body> {
    let mut body = Vec::new();
    text_field(&mut body, 2, text);
    protobuf(status, Bytes::from(body))
}

fn protobuf(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    response
}
