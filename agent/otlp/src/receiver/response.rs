//! Answers, in the encoding of the request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::{Map, Value as Json, json};
use telemetry::Signal;

use super::budget::Hold;
use super::refused::{Reason, Refused};
use super::sink::Answer;
use crate::wire::{bytes_field, text_field, varint_field};

/// Longer texts are cut, so that an answer stays far below what senders read.
const LONGEST_TEXT: usize = 2048;

const GRPC_ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");
const HTTP_ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd");

/// How a request is encoded, and therefore its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Grpc,
    Protobuf,
    Json,
}

impl Dialect {
    const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Grpc => "application/grpc",
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }
}

/// A body of at most one piece, with trailers over gRPC.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    /// The request's place, held until its client has taken the answer or has gone.
    #[expect(dead_code, reason = "gives the place back when dropped")]
    stay: Option<Hold>,
}

impl Answered {
    pub(crate) fn staying(self, stay: Hold) -> Self {
        Self { stay: Some(stay), ..self }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

pub(crate) fn success(dialect: Dialect, signal: Signal, answer: &Answer) -> Response<Answered> {
    let mut response = Response::new(Answered::default());
    response.headers_mut().insert(header::CONTENT_TYPE, dialect.content_type());
    let body = response.body_mut();
    body.data = match dialect {
        Dialect::Grpc => Some(framed(&partial_success(answer))),
        Dialect::Protobuf => Some(Bytes::from(partial_success(answer))).filter(|data| !data.is_empty()),
        Dialect::Json => Some(Bytes::from(partial_success_json(signal, answer))),
    };
    if dialect == Dialect::Grpc {
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        body.trailers = Some(trailers);
    }
    response
}

/// A message as gRPC sends it: not compressed, its length, itself.
fn framed(message: &[u8]) -> Bytes {
    if message.is_empty() {
        return Bytes::from_static(&[0; 5]);
    }
    let length = u32::try_from(message.len()).expect("texts are cut far below 4 GiB").to_be_bytes();
    Bytes::from([&[0][..], &length, message].concat())
}

/// An `Export*ServiceResponse`; nothing at all for a full success.
fn partial_success(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    if *answer != Answer::default() {
        let mut partial = Vec::new();
        if answer.rejected > 0 {
            varint_field(&mut partial, 1, answer.rejected);
        }
        text_field(&mut partial, 2, message(answer));
        bytes_field(&mut out, 1, &partial);
    }
    out
}

fn partial_success_json(signal: Signal, answer: &Answer) -> String {
    if *answer == Answer::default() {
        return "{}".to_owned();
    }
    let mut partial = Map::new();
    if answer.rejected > 0 {
        let key = match signal {
            Signal::Metrics => "rejectedDataPoints",
            Signal::Traces => "rejectedSpans",
            Signal::Logs => "rejectedLogRecords",
        };
        partial.insert(key.to_owned(), Json::from(answer.rejected.to_string()));
    }
    partial.insert("errorMessage".to_owned(), Json::from(message(answer)));
    json!({ "partialSuccess": partial }).to_string()
}

/// What is rejected is rejected for a reason, even if nobody gave one.
fn message(answer: &Answer) -> &str {
    if answer.message.is_empty() { "some items were rejected" } else { cut(&answer.message) }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or(text)
}

pub(crate) fn failure(dialect: Dialect, refused: &Refused) -> Response<Answered> {
    let mut response = Response::new(Answered::default());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, dialect.content_type());
    match dialect {
        Dialect::Grpc => {
            headers.insert(GRPC_STATUS, HeaderValue::from(refused.reason.code() as i32));
            headers.insert(GRPC_MESSAGE, percent_encoded(cut(&refused.text)));
            let details = STANDARD_NO_PAD.encode(status(refused));
            headers.insert(GRPC_DETAILS, HeaderValue::try_from(details).expect("base64 is ASCII"));
            if refused.reason == Reason::Encoding {
                headers.insert(GRPC_ACCEPT_ENCODING, GRPC_ENCODINGS);
            }
        }
        Dialect::Protobuf | Dialect::Json => {
            if let Some(wait) = refused.retry_after {
                // Whole seconds, and not sooner than asked.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            match refused.reason {
                Reason::Encoding => drop(headers.insert(header::ACCEPT_ENCODING, HTTP_ENCODINGS)),
                Reason::Method => drop(headers.insert(header::ALLOW, HeaderValue::from_static("POST"))),
                _ => {}
            }
            let is_json = dialect == Dialect::Json;
            let status = if is_json { status_json(refused).into_bytes() } else { status(refused) };
            response.body_mut().data = Some(Bytes::from(status));
            *response.status_mut() = refused.reason.status();
        }
    }
    response
}

/// A `google.rpc.Status` with what the reason has to say beyond the text.
fn status(refused: &Refused) -> Vec<u8> {
    let mut out = Vec::new();
    varint_field(&mut out, 1, refused.reason.code() as u64);
    text_field(&mut out, 2, cut(&refused.text));
    if let Some((name, detail)) = detail(refused) {
        let mut any = Vec::new();
        text_field(&mut any, 1, &format!("{TYPES}{name}"));
        bytes_field(&mut any, 2, &detail);
        bytes_field(&mut out, 3, &any);
    }
    out
}

const TYPES: &str = "type.googleapis.com/google.rpc.";

fn detail(refused: &Refused) -> Option<(&'static str, Vec<u8>)> {
    let mut out = Vec::new();
    if let Some(wait) = refused.retry_after {
        let mut delay = Vec::new();
        varint_field(&mut delay, 1, wait.as_secs());
        varint_field(&mut delay, 2, u64::from(wait.subsec_nanos()));
        bytes_field(&mut out, 1, &delay);
        return Some(("RetryInfo", out));
    }
    (refused.reason == Reason::Malformed).then(|| {
        let mut violation = Vec::new();
        text_field(&mut violation, 2, cut(&refused.text));
        bytes_field(&mut out, 1, &violation);
        ("BadRequest", out)
    })
}

fn status_json(refused: &Refused) -> String {
    let mut status = json!({ "code": refused.reason.code() as i32, "message": cut(&refused.text) });
    let detail = match refused.retry_after {
        Some(wait) => Some(json!({ "@type": format!("{TYPES}RetryInfo"), "retryDelay": seconds(wait) })),
        None => (refused.reason == Reason::Malformed).then(|| {
            let violations = [json!({ "description": cut(&refused.text) })];
            json!({ "@type": format!("{TYPES}BadRequest"), "fieldViolations": violations })
        }),
    };
    if let (Some(detail), Some(status)) = (detail, status.as_object_mut()) {
        status.insert("details".to_owned(), Json::from(vec![detail]));
    }
    status.to_string()
}

/// A duration as protobuf's JSON writes it.
fn seconds(wait: Duration) -> String {
    format!("{}.{:09}s", wait.as_secs(), wait.subsec_nanos())
}

/// As gRPC wants its messages: printable ASCII without `%`, the rest by their bytes.
fn percent_encoded(text: &str) -> HeaderValue {
    use std::fmt::Write as _;

    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(out).expect("only printable ASCII is left")
}
