//! Checks a whole request: every field of every message in it.
//!
//! What passes, a decoder generated from the protocol's files decodes, too. Fields that nobody knows yet pass as long
//! as they are whole; the groups of protobuf's early days do not.

use telemetry::Signal;

use crate::count_items;
use crate::proto::{self, DEPTH, FieldSpec, Kind, Label, Message, WireType};
use crate::wire::{Field, Fields, Malformed};

/// A field that is not what the protocol says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OTLP message: {}{}", .place.as_ref().map_or_else(String::new, |place| format!("{place}: ")), .reason.reason())]
pub struct FieldError {
    /// The path of the field from the request inwards; `None` when the request itself is no message.
    place: Option<String>,
    reason: Malformed,
}

impl From<Malformed> for FieldError {
    fn from(reason: Malformed) -> Self {
        Self { place: None, reason }
    }
}

impl FieldError {
    /// The same, found inside of the field `outer`.
    fn inside(self, outer: String) -> Self {
        let place = match self.place {
            None => outer,
            Some(inner) => format!("{outer}.{inner}"),
        };
        Self { place: Some(place), ..self }
    }
}

/// How many data points, spans or log records the OTLP request `payload` holds, once every field of it has the type
/// that it should have, texts are UTF-8 and messages lie no deeper in each other than decoders go.
///
/// # Errors
///
/// Names the field by its path, such as `resourceLogs[0].scopeLogs[0].logRecords[3].body.stringValue`.
pub fn check_strictly(signal: Signal, payload: &[u8]) -> Result<u64, FieldError> {
    walk(proto::request(signal), payload, DEPTH)?;
    Ok(count_items(signal, payload)?)
}

/// `depth`: how many levels of messages may lie within this one.
fn walk(message: &Message, bytes: &[u8], depth: usize) -> Result<(), FieldError> {
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next() {
        let (number, value) = field?;
        let Some(spec) = message.field(number) else { continue };
        check(spec, value, depth).map_err(|error| {
            let before = bytes.len() - fields.rest().len();
            error.inside(place(spec, bytes.get(..before).unwrap_or_default()))
        })?;
    }
    Ok(())
}

fn check(spec: &FieldSpec, value: Field<'_>, depth: usize) -> Result<(), FieldError> {
    match (spec.kind, value) {
        (Kind::Message(inner), Field::Bytes(bytes)) => {
            let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
            walk(inner, bytes, depth)
        }
        (Kind::Text, Field::Bytes(bytes)) => {
            std::str::from_utf8(bytes).map(|_| ()).map_err(|_| NOT_UTF8.into())
        }
        (kind, value) => match (kind.wire_type(), value) {
            (WireType::Length, Field::Bytes(_))
            | (WireType::Varint, Field::Varint(_))
            | (WireType::Fixed64, Field::Fixed64(_))
            | (WireType::Fixed32, Field::Fixed32(_)) => Ok(()),
            (wire_type, Field::Bytes(packed)) if spec.label == Label::Repeated => {
                Ok(numbers(wire_type, packed)?)
            }
            _ => Err(WRONG_TYPE.into()),
        },
    }
}

const NOT_UTF8: Malformed = Malformed::new("a text is not UTF-8");
pub(crate) const TOO_DEEP: Malformed = Malformed::new("messages lie too deep in each other");
pub(crate) const WRONG_TYPE: Malformed =
    Malformed::new("a field has another type than the protocol gives it");

/// Packed numbers fill their field to the end.
fn numbers(wire_type: WireType, packed: &[u8]) -> Result<(), Malformed> {
    let width = match wire_type {
        WireType::Fixed64 => 8,
        WireType::Fixed32 => 4,
        WireType::Varint | WireType::Length => {
            let mut numbers = Fields::of(packed);
            while !numbers.rest().is_empty() {
                numbers.varint()?;
            }
            return Ok(());
        }
    };
    if packed.len().is_multiple_of(width) { Ok(()) } else { Err(Malformed::new("a number is cut off")) }
}

/// The field's name, and for a repeated one which it is: the last in `before`.
fn place(spec: &FieldSpec, before: &[u8]) -> String {
    if spec.label != Label::Repeated {
        return spec.name.to_owned();
    }
    let occurrences =
        Fields::of(before).filter(|field| matches!(field, Ok((number, _)) if *number == spec.number)).count();
    format!("{}[{}]", spec.name, occurrences.saturating_sub(1))
}

#[cfg(test)]
mod tests;
