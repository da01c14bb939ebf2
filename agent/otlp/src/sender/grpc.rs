//! Requests and answers of OTLP/gRPC: one message each way, in a frame of five bytes and its content.
//!
//! Not by tonic's client, which copies each message once or twice, compresses with levels of its own, and panics when
//! an answer carries details that are no base64.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body_util::Full;
use percent_encoding::percent_decode;
use telemetry::Signal;
use tonic::{Code, Status};

use crate::paths::grpc_path_and_query;
use crate::sender::answer::{Failure, of_grpc, of_http, read_response, too_large_an_answer};
use crate::sender::body::{Unreadable, decompressed};
use crate::sender::connection::{Answer, RequestBody};
use crate::sender::destination::Destination;
use crate::sender::exporter::Accepted;

/// The flag of compression, and the length.
pub(crate) const FRAME: usize = 5;

/// Where it goes, what its headers add, and the body.
pub(crate) fn request(
    destination: &Destination,
    signal: Signal,
    message: Bytes,
    encoding: Option<&'static str>,
) -> (Uri, HeaderMap, RequestBody) {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("gzip,zstd,identity"));
    if let Some(encoding) = encoding {
        headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
    }
    let mut frame = BytesMut::with_capacity(FRAME);
    frame.put_u8(u8::from(encoding.is_some()));
    frame.put_u32(message.len() as u32);
    let mut uri = destination.uri(None).into_parts();
    uri.path_and_query = Some(grpc_path_and_query(signal));
    let uri = Uri::from_parts(uri).expect("the origin was one, and the path is ours");
    (uri, headers, Full::new(frame.freeze().chain(message)))
}

/// What `answer` means, of which a message of `limit` bytes is read.
pub(crate) fn outcome(answer: &Answer, limit: usize) -> Result<Accepted, Failure> {
    if let Some(status) = status(&answer.trailers).or_else(|| status(&answer.headers)) {
        if status.code() != Code::Ok {
            return Err(of_grpc(&status));
        }
        return message(answer, limit).map(|message| read_response(&message));
    }
    match &answer.body {
        Err(_) => Err(too_large_an_answer(limit)),
        Ok(_) if !answer.status.is_success() => of_http_alone(answer),
        // It speaks gRPC, so something between us cut the answer off; whoever it was took nothing for good.
        Ok(_) if is_grpc(&answer.headers) => {
            Err(Failure::Later { retry_after: None, reason: "its answer ended before its status".to_owned() })
        }
        Ok(_) => Err(Failure::Never { reason: "its answer is not gRPC; is this the right port?".to_owned() }),
    }
}

/// The message of a success. One that cannot be read is none, and the success stands.
fn message(answer: &Answer, limit: usize) -> Result<Bytes, Failure> {
    let Ok(body) = &answer.body else { return Err(too_large_an_answer(limit)) };
    let mut body = body.clone();
    if body.len() < FRAME {
        return Ok(Bytes::new());
    }
    let is_compressed = body.get_u8() != 0;
    let length = body.get_u32() as usize;
    let message = body.slice(..length.min(body.len()));
    let encoding = match answer.headers.get("grpc-encoding") {
        Some(encoding) if is_compressed => encoding.as_bytes(),
        _ => b"",
    };
    match decompressed(message, encoding, limit) {
        Ok(message) => Ok(message),
        Err(Unreadable::TooLarge) => Err(too_large_an_answer(limit)),
        Err(Unreadable::Damaged) => Ok(Bytes::from_static(b"\xff")),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The status among these headers, if there is one.
fn status(headers: &HeaderMap) -> Option<Status> {
    let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
    let message =
        headers.get("grpc-message").map(|value| percent_decode(value.as_bytes()).decode_utf8_lossy());
    let padding = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let details = headers
        .get("grpc-status-details-bin")
        .and_then(|value| GeneralPurpose::new(&STANDARD, padding).decode(value.as_bytes()).ok());
    Some(Status::with_details(code, message.unwrap_or_default(), details.unwrap_or_default().into()))
}

/// What an answer means that comes from something that does not speak gRPC, such as a load balancer: see the gRPC
/// document `http-grpc-status-mapping.md`. Its 429, 502, 503 and 504 are OTLP/HTTP's retryable ones.
fn of_http_alone(answer: &Answer) -> Result<Accepted, Failure> {
    let body = answer.body.clone().unwrap_or_default();
    of_http(answer.status, &answer.headers, &body)
}

#[cfg(test)]
mod tests;
