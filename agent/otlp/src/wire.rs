//! Protobuf's wire format, as far as OTLP needs it: read field by field, write straight into a buffer.
//!
//! Knows nothing of OTLP's messages. Lengths are written minimal: a message is written after a guess of how many
//! bytes its length takes, and moved when the guess was wrong.

use telemetry::AttributeValue;

/// Bytes that are no OTLP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OTLP message: {reason}")]
pub struct Malformed {
    reason: &'static str,
}

impl Malformed {
    pub(crate) const fn new(reason: &'static str) -> Self {
        Self { reason }
    }

    pub(crate) const fn reason(self) -> &'static str {
        self.reason
    }
}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1: a double or an integer of 64 bits.
    Fixed64(u64),
    /// Wire type 5: a float or an integer of 32 bits.
    Fixed32(u32),
    /// Wire type 2: a text, bytes or a message.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// The content of a message, text or bytes.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::new("a message was expected and a number found")),
        }
    }
}

/// One field with the bytes that it takes, key and length included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) number: u32,
    pub(crate) value: Field<'a>,
    pub(crate) bytes: &'a [u8],
}

/// The fields of one message in the order in which they lie there. Ends after the first error.
#[derive(Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The bytes behind the field that was read last.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The same fields, each with the bytes that it takes.
    pub(crate) fn raw(mut self) -> impl Iterator<Item = Result<Raw<'a>, Malformed>> {
        std::iter::from_fn(move || {
            let before = self.rest;
            let field = self.next()?;
            let bytes = before.get(..before.len() - self.rest.len()).unwrap_or_default();
            Some(field.map(|(number, value)| Raw { number, value, bytes }))
        })
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (taken, rest) = split.ok_or(Malformed::new("a field is longer than its message"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) =
            self.rest.split_first_chunk().ok_or(Malformed::new("a field is longer than its message"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads a number without a key before it, as packed fields hold them.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        // Keys and most lengths take one byte or two.
        match *self.rest {
            [one, ref rest @ ..] if one < 0x80 => {
                self.rest = rest;
                Ok(u64::from(one))
            }
            [one, two, ref rest @ ..] if two < 0x80 => {
                self.rest = rest;
                Ok(u64::from(one & 0x7f) | u64::from(two) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if at == 9 && *byte > 1 {
                    break;
                }
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Malformed::new("a number does not end"))
    }

    #[inline]
    fn field(&mut self) -> Result<(u32, Field<'a>), Malformed> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(Malformed::new("a field number is out of range"))?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed::new("a field has a wire type that proto3 does not use")),
        };
        Ok((number, field))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Calls `visit` with each message, text or bytes that `message` has in the field `number`.
pub(crate) fn for_each<'a>(
    message: &'a [u8],
    number: u32,
    mut visit: impl FnMut(&'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    for field in Fields::of(message) {
        let (found, value) = field?;
        if found == number {
            visit(value.bytes()?)?;
        }
    }
    Ok(())
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const FIXED32: u32 = 5;
const LENGTH_DELIMITED: u32 = 2;

/// How many bytes `value` takes as a varint.
pub(crate) const fn varint_length(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn key(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    varint(out, u64::from(field << 3 | wire_type));
}

pub(crate) fn varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, VARINT);
    varint(out, value);
}

pub(crate) fn fixed64_field(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn fixed32_field(out: &mut Vec<u8>, field: u32, value: u32) {
    key(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn bytes_field(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    length_field(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// A text; left out when it is empty, as proto3 does with default values.
pub(crate) fn text_field(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        bytes_field(out, field, text.as_bytes());
    }
}

/// The head of a field whose `length` bytes the caller writes next.
pub(crate) fn length_field(out: &mut Vec<u8>, field: u32, length: usize) {
    key(out, field, LENGTH_DELIMITED);
    varint(out, length as u64);
}

/// A message that `write` writes. `guess` is how many bytes its length will probably take; a wrong guess costs moving
/// the message once.
pub(crate) fn message_field(out: &mut Vec<u8>, field: u32, guess: usize, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, LENGTH_DELIMITED);
    let head = out.len();
    out.resize(head + guess, 0);
    write(out);
    let length = out.len() - head - guess;
    let needed = varint_length(length as u64);
    if needed > guess {
        out.resize(out.len() + needed - guess, 0);
    }
    if needed != guess {
        out.copy_within(head + guess..head + guess + length, head + needed);
        out.truncate(head + needed + length);
    }
    let places = out.get_mut(head..head + needed).expect("the head was reserved above");
    let mut rest = length;
    let last = needed - 1;
    for (at, place) in places.iter_mut().enumerate() {
        *place = (rest & 0x7f) as u8 | if at == last { 0 } else { 0x80 };
        rest >>= 7;
    }
}

/// One attribute of a resource, as a `KeyValue`.
pub(crate) fn attribute_field(out: &mut Vec<u8>, field: u32, key: &str, value: &AttributeValue) {
    message_field(out, field, 1, |out| {
        text_field(out, 1, key);
        message_field(out, 2, 1, |out| match value {
            AttributeValue::Text(text) => bytes_field(out, 1, text.as_bytes()),
            AttributeValue::Int(number) => varint_field(out, 3, *number as u64),
            AttributeValue::Texts(texts) => message_field(out, 5, 1, |out| {
                for text in texts {
                    message_field(out, 1, 1, |out| bytes_field(out, 1, text.as_bytes()));
                }
            }),
        });
    });
}

#[cfg(test)]
mod tests;
