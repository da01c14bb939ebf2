//! OTLP/JSON to protobuf and back, straight from one to the other.
//!
//! Follows OTLP's own mapping where it differs from protobuf's: ids are hexadecimal, enums are numbers only, keys are
//! lowerCamelCase only. Knows the messages from the tables in [`crate::proto`]. What JSON cannot say is left out:
//! fields that nobody knows yet, and indices into the string table of the profiles signal.

mod read;
mod write;

use bytes::Bytes;
use telemetry::Signal;

use crate::proto;
use crate::wire::Malformed;

/// A text that is not OTLP/JSON. Says in which line and column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not OTLP/JSON: {reason}")]
pub struct JsonError {
    reason: String,
}

/// The OTLP/JSON request `json` as protobuf.
///
/// Keys that nobody knows are passed over, whatever their value; of a key that occurs twice the last one counts; `null`
/// is as good as absent.
///
/// # Errors
///
/// The text is not JSON, a value has another type than its key, or messages lie deeper in each other than decoders go.
pub fn to_protobuf(signal: Signal, json: &[u8]) -> Result<Bytes, JsonError> {
    to_protobuf_within(signal, json, usize::MAX)
}

/// The same, of not much more than `most` bytes.
///
/// # Errors
///
/// Also when it becomes larger: numbers in lists take up to four times the bytes that they have in JSON.
pub(crate) fn to_protobuf_within(signal: Signal, json: &[u8], most: usize) -> Result<Bytes, JsonError> {
    let read = read::message(proto::request(signal), json, most);
    read.map(Bytes::from).map_err(|error| JsonError { reason: error.to_string() })
}

/// The OTLP request `payload` as OTLP/JSON on one line, without a line end.
///
/// Texts that are not UTF-8 have U+FFFD where they are broken, so that one of them does not hold back the others.
///
/// # Errors
///
/// The bytes are no such request, or messages lie deeper in each other than decoders go.
pub fn to_json(signal: Signal, payload: &[u8]) -> Result<String, Malformed> {
    write::message(proto::request(signal), payload)
}

#[cfg(test)]
mod tests;
