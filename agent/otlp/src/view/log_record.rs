//! Log records.

use super::{AnyValue, Attributes, bytes, fixed64, varint};
use crate::wire::{Fields, Malformed};

/// One log record.
#[derive(Clone, Copy, Debug)]
pub struct LogRecordView<'a> {
    message: &'a [u8],
    /// When it happened, in nanoseconds since the epoch; 0 when it is not known.
    pub time: u64,
    /// `SeverityNumber`, 1 to 24; 0 when it is not known.
    pub severity: i32,
    /// The severity as its source spells it.
    pub severity_text: &'a [u8],
    /// What was logged.
    pub body: AnyValue<'a>,
}

impl<'a> LogRecordView<'a> {
    /// Reads the record's own fields and passes over its attributes.
    ///
    /// # Errors
    ///
    /// The bytes are no `LogRecord`.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut record = Self { message, time: 0, severity: 0, severity_text: &[], body: AnyValue::Empty };
        for field in Fields::of(message) {
            let (number, field) = field?;
            match number {
                1 => record.time = fixed64(field)?,
                2 => record.severity = varint(field)? as i32,
                3 => record.severity_text = bytes(field)?,
                5 => record.body = record.body.merge(bytes(field)?)?,
                _ => {}
            }
        }
        Ok(record)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.message, 6)
    }
}
