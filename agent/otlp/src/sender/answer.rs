//! What a destination's answer means: taken, later or never.
//!
//! The tables of the OTLP specification, as pure functions of what came back. Texts from the other side are cut and
//! cleaned before anyone prints them.

use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::Value as Json;
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
    /// It does not let this host in, whatever it brings.
    Unwelcome {
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
            Self::Unwelcome { reason } => ExportError::Unwelcome { destination, reason },
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
    let reason = format!("it answered {}", named(&status_name(status.code()), status.message()));
    // A tonic server tells of a request above its limit by OUT_OF_RANGE, which OTLP counts among the retryable ones; the
    // next attempt would be as large.
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
        Code::Unauthenticated | Code::PermissionDenied => Failure::Unwelcome { reason },
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
    let form = Form::of(headers);
    if status.is_success() {
        return Ok(form.accepted(body));
    }
    let name = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let reason = format!("it answered {}", named(name.trim_end(), &form.error_text(body)));
    match status.as_u16() {
        429 | 502 | 503 | 504 => Err(Failure::Later { retry_after: retry_after(headers), reason }),
        301..=303 | 307 | 308 => Err(Failure::Never { reason: elsewhere(&reason, headers) }),
        // The last is a proxy's.
        401 | 403 | 407 => Err(Failure::Unwelcome { reason }),
        413 => Err(Failure::TooLarge { reason }),
        _ => Err(Failure::Never { reason }),
    }
}

/// An answer that is above the limit of `limit` bytes. The next attempt would get the same.
pub(crate) fn too_large_an_answer(limit: usize) -> Failure {
    Failure::Never { reason: format!("its answer is larger than {limit} bytes") }
}

/// A redirect is an error: whoever it points at was not chosen to see this host's telemetry.
fn elsewhere(reason: &str, headers: &HeaderMap) -> String {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    let host = location.as_ref().and_then(|location| location.authority()).map(Authority::as_str);
    // Without what may be a name and a password.
    let host = host.map(|host| host.rsplit_once('@').map_or(host, |(_, host)| host));
    match (host, location.as_ref()) {
        (Some(host), _) => format!("{reason}, and points at {host}; if that is right, make it the endpoint"),
        (None, Some(location)) => {
            let path = printable(location.path().as_bytes());
            format!("{reason}, and points at its path {path}; if that is right, put it into the endpoint")
        }
        (None, None) => reason.to_owned(),
    }
}

/// How the body of an answer over HTTP is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
    /// It does not say.
    Unsaid,
    /// Not as OTLP has it: by something that lies between, or another server altogether.
    Text,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let Some(media) = headers.get(header::CONTENT_TYPE) else { return Self::Unsaid };
        let media = media.as_bytes().to_ascii_lowercase();
        if media.starts_with(b"application/x-protobuf") {
            Self::Protobuf
        } else if media.starts_with(b"application/json") {
            Self::Json
        } else {
            Self::Text
        }
    }

    /// What the body of a success says. One that cannot be read is a success all the same: the status said so.
    fn accepted(self, body: &[u8]) -> Accepted {
        match self {
            _ if body.is_empty() => Accepted::default(),
            Self::Protobuf | Self::Unsaid => read_response(body),
            Self::Json => read_json_response(body).unwrap_or_else(unread),
            Self::Text => unread(),
        }
    }

    /// The `message` of a `google.rpc.Status`, or the text that came instead of one.
    fn error_text(self, body: &[u8]) -> String {
        match self {
            Self::Text | Self::Unsaid => printable(body),
            Self::Json => {
                let status = serde_json::from_slice::<Json>(body).unwrap_or_default();
                status.get("message").and_then(Json::as_str).map(str::to_owned).unwrap_or_default()
            }
            Self::Protobuf => {
                let mut text = String::new();
                let read = for_each(body, 2, |message| {
                    text = printable(message);
                    Ok(())
                });
                if read.is_ok() { text } else { String::new() }
            }
        }
    }
}

fn unread() -> Accepted {
    Accepted { rejected_items: 0, message: "its answer cannot be read, but says that all is well".to_owned() }
}

/// Reads an `Export*ServiceResponse`. One that cannot be read is a success: the destination said so in its status.
pub(crate) fn read_response(response: &[u8]) -> Accepted {
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
    read().unwrap_or_else(|_| unread())
}

fn read_json_response(response: &[u8]) -> Option<Accepted> {
    let response: Json = serde_json::from_slice(response).ok()?;
    let Some(partial) = response.as_object()?.get("partialSuccess") else { return Some(Accepted::default()) };
    let rejected =
        ["rejectedDataPoints", "rejectedSpans", "rejectedLogRecords"].into_iter().find_map(|key| {
            let count = partial.get(key)?;
            count.as_u64().or_else(|| count.as_str()?.parse().ok())
        });
    let message = partial.get("errorMessage").and_then(Json::as_str).unwrap_or_default();
    Some(Accepted { rejected_items: rejected.unwrap_or(0), message: printable(message.as_bytes()) })
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
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp());
    let until = date(text)?;
    let now = date(headers.get(header::DATE)?.to_str().ok()?)?;
    Some(until.duration_since(now).try_into().unwrap_or_default())
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
pub(crate) fn printable(text: &[u8]) -> String {
    let text = text.get(..LONGEST_TEXT * 4).unwrap_or(text);
    let text: String = String::from_utf8_lossy(text).trim().chars().take(LONGEST_TEXT).collect();
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
