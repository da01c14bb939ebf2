//! What a destination's answer means: taken, later or never.
//!
//! The tables of the OTLP specification, as pure functions of what came back. Texts from the other side are cut and
//! cleaned before anyone prints them.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use telemetry::with_causes;
use tonic::{Code, Status};

use crate::sender::exporter::{Accepted, ExportError};
use crate::wire::{Field, Fields, Malformed, for_each};

/// A failed attempt, before it is known for which destination.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Later {
        retry_after: Option<Duration>,
        reason: String,
    },
    TooLarge {
        reason: String,
    },
    Never {
        reason: String,
    },
    /// No answer in time. The connection may be dead without anyone having said so.
    Silence {
        timeout: Duration,
    },
}

impl Failure {
    pub(crate) fn of(self, destination: &str) -> ExportError {
        let destination = destination.to_owned();
        match self {
            Self::Later { retry_after, reason } => {
                ExportError::TryLater { destination, retry_after, source: reason.into() }
            }
            Self::TooLarge { reason } => ExportError::TooLarge { destination, reason },
            Self::Never { reason } => ExportError::Refused { destination, reason },
            Self::Silence { timeout } => ExportError::TryLater {
                destination,
                retry_after: None,
                source: format!("no answer within {}", telemetry::format_duration(timeout)).into(),
            },
        }
    }
}

/// The outcome of `answer`, if it comes within `timeout`.
pub(crate) async fn in_time(
    timeout: Duration,
    answer: impl Future<Output = Result<Accepted, Failure>>,
) -> Result<Accepted, Failure> {
    tokio::time::timeout(timeout, answer).await.unwrap_or(Err(Failure::Silence { timeout }))
}

/// The meaning of a gRPC status that is not OK.
pub(crate) fn of_grpc(status: &Status) -> Failure {
    // A status made here, from a connection that failed, carries that failure as its source; one that the
    // destination sent has none.
    if let Some(source) = std::error::Error::source(status) {
        return Failure::Later { retry_after: None, reason: with_causes(source) };
    }
    let reason = format!("it answered {}", named(&status_name(status.code()), status.message()));
    // tonic tells of a message above a limit, its own or, as a server, the request's, by OUT_OF_RANGE, which OTLP
    // counts among the retryable ones; the next attempt would be as large.
    if status.code() == Code::OutOfRange && status.message().contains("message length too large") {
        return Failure::TooLarge { reason };
    }
    let retry_after = retry_info(status.details()).unwrap_or_default();
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Failure::Later { retry_after, reason },
        Code::ResourceExhausted if retry_after.is_some() => Failure::Later { retry_after, reason },
        Code::ResourceExhausted if is_about_size(status.message()) => Failure::TooLarge { reason },
        _ => Failure::Never { reason },
    }
}

/// Whether the message of a `RESOURCE_EXHAUSTED` says that the request is too large, and not that a quota is used up:
/// then the parts of the request would only be more requests.
fn is_about_size(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    // grpc-go and grpc-core: "received message larger than max"; grpc-java: "exceeds maximum size"; tonic: "size limit,
    // of N bytes, exceeded".
    ["larger than", "too large", "too big", "size"].iter().any(|words| message.contains(words))
}

/// The meaning of an HTTP answer with this status, these headers and this body.
pub(crate) fn of_http(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Accepted, Failure> {
    if status.is_success() {
        return Ok(accepted(body));
    }
    let name = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let reason = format!("it answered {}", named(name.trim_end(), &error_text(headers, body)));
    match status.as_u16() {
        429 | 502 | 503 | 504 => Err(Failure::Later { retry_after: retry_after(headers), reason }),
        413 => Err(Failure::TooLarge { reason }),
        _ => Err(Failure::Never { reason }),
    }
}

/// Reads an `Export*ServiceResponse`. One that cannot be read is a success: the destination said so in its status.
pub(crate) fn accepted(response: &[u8]) -> Accepted {
    let read = || -> Result<Accepted, Malformed> {
        let mut accepted = Accepted::default();
        for_each(response, 1, |partial_success| {
            for field in Fields::of(partial_success) {
                match field? {
                    // An int64, of which only positive ones say anything.
                    (1, Field::Varint(rejected)) => accepted.rejected_items = (rejected as i64).max(0) as u64,
                    (2, Field::Bytes(message)) => accepted.message = printable(message),
                    _ => {}
                }
            }
            Ok(())
        })?;
        Ok(accepted)
    };
    read().unwrap_or_default()
}

/// The delay in a `google.rpc.RetryInfo` among the details of an encoded `google.rpc.Status`.
fn retry_info(status: &[u8]) -> Result<Option<Duration>, Malformed> {
    let mut delay = None;
    for_each(status, 3, |any| {
        let mut is_retry_info = false;
        for_each(any, 1, |url| {
            is_retry_info = url.ends_with(b"/google.rpc.RetryInfo");
            Ok(())
        })?;
        if is_retry_info {
            // Present at all, it allows a retry, be its delay absent.
            delay.get_or_insert(Duration::ZERO);
            for_each(any, 2, |info| {
                for_each(info, 1, |duration| {
                    delay = Some(read_duration(duration)?);
                    Ok(())
                })
            })?;
        }
        Ok(())
    })?;
    Ok(delay)
}

fn read_duration(duration: &[u8]) -> Result<Duration, Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::of(duration) {
        match field? {
            (1, Field::Varint(value)) => seconds = (value as i64).max(0) as u64,
            (2, Field::Varint(value)) => nanos = (value as i64).clamp(0, 999_999_999) as u32,
            _ => {}
        }
    }
    Ok(Duration::new(seconds, nanos))
}

/// `Retry-After` in seconds or as a date. A date is measured against the answer's own `Date`, so that neither side's
/// clock must be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    let until = date(text)?;
    let now = date(headers.get(header::DATE)?.to_str().ok()?)?;
    Some(until.duration_since(now).try_into().unwrap_or_default())
}

/// The `message` of a `google.rpc.Status`, or the text that came instead of one.
fn error_text(headers: &HeaderMap, body: &[u8]) -> String {
    let is_protobuf = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-protobuf"));
    if !is_protobuf {
        return printable(body);
    }
    let mut text = String::new();
    let read = for_each(body, 2, |message| {
        text = printable(message);
        Ok(())
    });
    if read.is_ok() { text } else { String::new() }
}

fn named(name: &str, text: &str) -> String {
    let text = printable(text.as_bytes());
    if text.is_empty() { name.to_owned() } else { format!("{name}: {text}") }
}

/// The code as the gRPC documents spell it: `RESOURCE_EXHAUSTED`.
fn status_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// How much of a text from the other side is kept.
const LONGEST_TEXT: usize = 300;

/// The beginning of a text from the other side, on one line.
fn printable(text: &[u8]) -> String {
    let text = text.get(..LONGEST_TEXT * 4).unwrap_or(text);
    let text: String = String::from_utf8_lossy(text).trim().chars().take(LONGEST_TEXT).collect();
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
