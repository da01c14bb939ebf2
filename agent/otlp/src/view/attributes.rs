//! Attributes and their values.

use super::{Messages, bytes, fixed64, varint};
use crate::wire::{Fields, Malformed};

/// The value of an attribute or the body of a log record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnyValue<'a> {
    /// None was given.
    Empty,
    /// A text; whether it is UTF-8 has not been asked.
    Text(&'a [u8]),
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A list, a map, bytes: nothing that a label can hold.
    Other,
}

impl<'a> AnyValue<'a> {
    /// The value in these encoded `AnyValue`s, which are one message cut in parts: the last field counts.
    ///
    /// # Errors
    ///
    /// The bytes are no `AnyValue`.
    pub(super) fn merge(self, message: &'a [u8]) -> Result<Self, Malformed> {
        let mut value = self;
        for field in Fields::of(message) {
            let (number, field) = field?;
            value = match number {
                1 => Self::Text(bytes(field)?),
                2 => Self::Bool(varint(field)? != 0),
                3 => Self::Int(varint(field)? as i64),
                4 => Self::Double(f64::from_bits(fixed64(field)?)),
                5..=8 => Self::Other,
                _ => value,
            };
        }
        Ok(value)
    }

    /// The text, if it is one.
    pub fn text(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// One `KeyValue`.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// The key; whether it is UTF-8 has not been asked.
    pub key: &'a [u8],
    /// The value, or that it cannot be read.
    pub value: Result<AnyValue<'a>, Malformed>,
}

impl<'a> Attribute<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut attribute = Self { key: &[], value: Ok(AnyValue::Empty) };
        for field in Fields::of(message) {
            match field? {
                (1, field) => attribute.key = bytes(field)?,
                (2, field) => {
                    let part = bytes(field)?;
                    attribute.value = attribute.value.and_then(|value| value.merge(part));
                }
                _ => {}
            }
        }
        Ok(attribute)
    }
}

/// The attributes in one repeated field of a message. Ends after the first error.
pub struct Attributes<'a>(Messages<'a>);

impl<'a> Attributes<'a> {
    pub(super) const fn of(message: &'a [u8], number: u32) -> Self {
        Self(Messages::of(message, number))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(Attribute::read))
    }
}
