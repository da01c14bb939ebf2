//! Requests and answers of OTLP/HTTP, with bodies in protobuf or JSON.

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::Full;
use telemetry::Signal;

use crate::sender::answer::{Failure, of_http, too_large_an_answer};
use crate::sender::body::{Unreadable, decompressed};
use crate::sender::connection::{Answer, RequestBody};
use crate::sender::destination::{Destination, Protocol};
use crate::sender::exporter::Accepted;

/// Where it goes, what its headers add, and the body.
pub(crate) fn request(
    destination: &Destination,
    signal: Signal,
    payload: Bytes,
    encoding: Option<&'static str>,
) -> (http::Uri, HeaderMap, RequestBody) {
    let mut headers = HeaderMap::new();
    let media = match destination.options.protocol {
        Protocol::HttpJson => "application/json",
        _ => "application/x-protobuf",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    (destination.uri(Some(signal)), headers, Full::new(Bytes::new().chain(payload)))
}

/// What `answer` means.
pub(crate) fn outcome(answer: &Answer, limit: usize) -> Result<Accepted, Failure> {
    let encoding = answer.headers.get(header::CONTENT_ENCODING).map_or(&b""[..], HeaderValue::as_bytes);
    let body = answer.body.clone().and_then(|body| decompressed(body, encoding, limit));
    match body {
        Ok(body) => of_http(answer.status, &answer.headers, &body),
        Err(Unreadable::TooLarge) if answer.status.is_success() => Err(too_large_an_answer(limit)),
        // Of an error, the status says enough; a success that is damaged is one that cannot be read.
        Err(_) if answer.status.is_success() => of_http(answer.status, &answer.headers, b"\xff"),
        Err(_) => of_http(answer.status, &answer.headers, b""),
    }
}
