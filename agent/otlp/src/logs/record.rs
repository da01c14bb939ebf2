//! One log record on the wire, by `logs.proto` of opentelemetry-proto 1.11.
//!
//! Fields that hold nothing are left out, as protobuf does; a value of an attribute that is nothing stays, since it says that there
//! was something.

use telemetry::{LogValue, LogView};

use crate::encode::{nanos, sized};
use crate::wire::{
    Field, Fields, bytes_field, fixed32_field, fixed64_field, length_field, message_field, varint_field,
    varint_length,
};

/// The number of `ScopeLogs.log_records`.
const LOG_RECORDS: u32 = 2;
const BODY: u32 = 5;
/// The number of `LogRecord.attributes`.
pub(super) const ATTRIBUTES: u32 = 6;

/// How deep maps and lists may lie in one another: a level takes three messages, and protobuf's decoders refuse more than a
/// hundred. Below, they are empty.
pub(super) const DEPTH: usize = 30;

/// Appends the record as a field of its `ScopeLogs`, with the attributes `shared` that are encoded already.
pub(super) fn encode(out: &mut Vec<u8>, record: &LogView<'_>, shared: &[u8]) {
    message_field(out, LOG_RECORDS, 2, |out| {
        if nanos(record.time()) > 0 {
            fixed64_field(out, 1, nanos(record.time()));
        }
        if record.severity() > 0 {
            varint_field(out, 2, u64::from(record.severity()));
        }
        text(out, 3, record.severity_text());
        match record.body() {
            LogValue::Empty => {}
            body => any_value(out, BODY, body, DEPTH),
        }
        out.extend_from_slice(shared);
        for (key, value) in record.attributes() {
            key_value(out, ATTRIBUTES, key, value, DEPTH);
        }
        if record.flags() > 0 {
            fixed32_field(out, 8, record.flags());
        }
        if *record.trace() != [0; 16] {
            bytes_field(out, 9, record.trace());
        }
        if *record.span() != [0; 8] {
            bytes_field(out, 10, record.span());
        }
        if nanos(record.observed()) > 0 {
            fixed64_field(out, 11, nanos(record.observed()));
        }
        text(out, 12, record.event_name());
    });
}

/// Appends an encoded `LogRecord` as a field of its `ScopeLogs`.
pub(super) fn append(out: &mut Vec<u8>, message: &[u8]) {
    bytes_field(out, LOG_RECORDS, message);
}

/// The `LogRecord` that is in `field` without body and attributes.
pub(super) fn without_content(field: &[u8]) -> Vec<u8> {
    let Some(Ok((_, Field::Bytes(message)))) = Fields::of(field).next() else { return Vec::new() };
    let fields = Fields::of(message).raw().map_while(Result::ok);
    let kept = fields.filter(|field| ![BODY, ATTRIBUTES].contains(&field.number));
    kept.flat_map(|field| field.bytes).copied().collect()
}

fn text(out: &mut Vec<u8>, field: u32, text: &[u8]) {
    if !text.is_empty() {
        bytes_field(out, field, text);
    }
}

fn key_value(out: &mut Vec<u8>, field: u32, key: &[u8], value: LogValue<'_>, depth: usize) {
    match plain_size(&value) {
        Some(size) => {
            let of_key = if key.is_empty() { 0 } else { sized(key.len()) };
            length_field(out, field, of_key + sized(size));
            text(out, 1, key);
            length_field(out, 2, size);
            content(out, value, depth);
        }
        None => message_field(out, field, 2, |out| {
            text(out, 1, key);
            any_value(out, 2, value, depth);
        }),
    }
}

fn any_value(out: &mut Vec<u8>, field: u32, value: LogValue<'_>, depth: usize) {
    match plain_size(&value) {
        Some(size) => {
            length_field(out, field, size);
            content(out, value, depth);
        }
        None => message_field(out, field, 2, |out| content(out, value, depth)),
    }
}

/// How many bytes an `AnyValue` takes that holds no other.
const fn plain_size(value: &LogValue<'_>) -> Option<usize> {
    Some(match value {
        LogValue::Empty => 0,
        LogValue::Text(text) | LogValue::Bytes(text) => sized(text.len()),
        LogValue::Int(number) => 1 + varint_length(*number as u64),
        LogValue::Double(_) => 9,
        LogValue::Bool(_) => 2,
        LogValue::Map(_) | LogValue::List(_) => return None,
    })
}

/// The content of an `AnyValue`.
fn content(out: &mut Vec<u8>, value: LogValue<'_>, depth: usize) {
    match value {
        LogValue::Empty => {}
        LogValue::Text(text) => bytes_field(out, 1, text),
        LogValue::Bool(answer) => varint_field(out, 2, answer.into()),
        LogValue::Int(number) => varint_field(out, 3, number as u64),
        LogValue::Double(number) => fixed64_field(out, 4, number.to_bits()),
        LogValue::List(_) if depth == 0 => length_field(out, 5, 0),
        LogValue::List(values) => message_field(out, 5, 2, |out| {
            values.for_each(|(_, value)| any_value(out, 1, value, depth - 1));
        }),
        LogValue::Map(_) if depth == 0 => length_field(out, 6, 0),
        LogValue::Map(pairs) => message_field(out, 6, 2, |out| {
            pairs.for_each(|(key, value)| key_value(out, 1, key, value, depth - 1));
        }),
        LogValue::Bytes(bytes) => bytes_field(out, 7, bytes),
    }
}
