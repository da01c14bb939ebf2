//! Reading records: views into the buffer.

use std::fmt;

use super::{LogBuffer, LogGroup, Record, Stored};
use crate::Timestamp;

/// A value in a log record.
#[derive(Clone, Debug, PartialEq)]
pub enum LogValue<'a> {
    /// Nothing.
    Empty,
    /// A text. Bytes given for one that are no UTF-8 become [`LogValue::Bytes`].
    Text(&'a [u8]),
    /// Bytes that are no text.
    Bytes(&'a [u8]),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// Yes or no.
    Bool(bool),
    /// Values by their keys.
    Map(LogFields<'a>),
    /// Values in an order.
    List(LogFields<'a>),
}

/// Keys and values, or values, of a record, a map or a list.
#[derive(Clone)]
pub struct LogFields<'a> {
    pub(super) buffer: &'a LogBuffer,
    pub(super) range: (usize, usize),
}

impl fmt::Debug for LogFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone().map(|(key, value)| (String::from_utf8_lossy(key), value))).finish()
    }
}

impl PartialEq for LogFields<'_> {
    fn eq(&self, other: &Self) -> bool {
        Iterator::eq(self.clone(), other.clone())
    }
}

impl LogFields<'_> {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.range.0 >= self.range.1
    }
}

impl<'a> Iterator for LogFields<'a> {
    /// The key, which is UTF-8 and empty in lists, and its value.
    type Item = (&'a [u8], LogValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (at, end) = self.range;
        if at >= end {
            return None;
        }
        let field = self.buffer.fields.get(at)?;
        let below = match field.value {
            Stored::Map(count) | Stored::List(count) => count as usize,
            _ => 0,
        };
        self.range.0 = at + 1 + below;
        Some((self.buffer.slice(field.key), self.buffer.value(field.value, at + 1)))
    }
}

/// One record of a buffer.
#[derive(Clone, Copy)]
pub struct LogView<'a> {
    pub(super) buffer: &'a LogBuffer,
    pub(super) record: &'a Record,
    pub(super) fields: (usize, usize),
}

impl fmt::Debug for LogView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        f.debug_struct("LogView")
            .field("severity", &(self.severity(), text(self.severity_text())))
            .field("body", &self.body())
            .field("attributes", &self.attributes())
            .finish_non_exhaustive()
    }
}

impl<'a> LogView<'a> {
    /// What it has in common with those beside it.
    pub fn group(&self) -> &'a LogGroup {
        #[expect(clippy::indexing_slicing, reason = "`push` demands a group")]
        &self.buffer.groups[self.record.group as usize]
    }

    /// Whether it is of the same group as `other`, of the same buffer.
    pub const fn is_beside(&self, other: &LogView<'_>) -> bool {
        self.record.group == other.record.group
    }

    /// When it happened; [`Timestamp::EPOCH`] where the source does not say.
    pub const fn time(&self) -> Timestamp {
        self.record.time
    }

    /// When it was read.
    pub const fn observed(&self) -> Timestamp {
        self.record.observed
    }

    /// `SeverityNumber`, 1 to 24; 0 when it is not known.
    pub const fn severity(&self) -> u8 {
        self.record.severity
    }

    /// The source's word for the severity: UTF-8.
    pub fn severity_text(&self) -> &'a [u8] {
        self.buffer.slice(self.record.severity_text)
    }

    /// What was logged.
    pub fn body(&self) -> LogValue<'a> {
        self.buffer.value(self.record.body, 0)
    }

    /// The kind of event that it is: UTF-8; empty for a mere log record.
    pub fn event_name(&self) -> &'a [u8] {
        self.buffer.slice(self.record.event_name)
    }

    /// Its own attributes, beyond those of its group.
    pub fn attributes(&self) -> LogFields<'a> {
        LogFields { buffer: self.buffer, range: self.fields }
    }

    /// The value of its own attribute of this name.
    pub fn attribute(&self, key: &str) -> Option<LogValue<'a>> {
        self.attributes().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// The trace that it is part of; zeros if none.
    pub const fn trace(&self) -> &'a [u8; 16] {
        &self.record.trace
    }

    /// The span that it is part of; zeros if none.
    pub const fn span(&self) -> &'a [u8; 8] {
        &self.record.span
    }

    /// W3C's trace flags.
    pub const fn flags(&self) -> u32 {
        self.record.flags
    }
}
