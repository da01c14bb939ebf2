//! Writing a record.

use super::{Field, LogBuffer, Record, Span, Stored};
use crate::Timestamp;

/// A value without values in it, to be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogScalar<'a> {
    /// Nothing.
    Empty,
    /// A text. What is no UTF-8 is kept as bytes.
    Text(&'a [u8]),
    /// Bytes that are no text, or not surely.
    Bytes(&'a [u8]),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// Yes or no.
    Bool(bool),
}

/// A map or list under way: given back to [`LogWriter::end`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a map or list ends"]
pub struct Open(usize);

/// Writes the record that was pushed last.
#[derive(Debug)]
pub struct LogWriter<'a> {
    pub(super) buffer: &'a mut LogBuffer,
    pub(super) is_utf8: bool,
}

impl LogWriter<'_> {
    fn record(&mut self) -> &mut Record {
        self.buffer.records.last_mut().expect("a writer is made by `push`")
    }

    /// Promises that keys and texts are UTF-8 from now on, or takes that back: they need not be looked through one by one
    /// when the line that they are cut out of was.
    pub const fn promise_utf8(&mut self, is_utf8: bool) -> &mut Self {
        self.is_utf8 = is_utf8;
        self
    }

    fn is_utf8(&self, text: &[u8]) -> bool {
        self.is_utf8 || std::str::from_utf8(text).is_ok()
    }

    /// When it happened, if the source says so.
    pub fn set_time(&mut self, time: Timestamp) -> &mut Self {
        self.record().time = time;
        self
    }

    /// `SeverityNumber`, 1 to 24, and the source's word for it.
    pub fn set_severity(&mut self, number: u8, text: &[u8]) -> &mut Self {
        let text = if self.is_utf8(text) { self.buffer.keep(text) } else { Span::default() };
        let record = self.record();
        (record.severity, record.severity_text) = (number, text);
        self
    }

    /// What was logged.
    pub fn set_body(&mut self, body: LogScalar<'_>) -> &mut Self {
        let body = self.buffer.store(body, self.is_utf8);
        self.record().body = body;
        self
    }

    /// The kind of event that the record is.
    pub fn set_event_name(&mut self, name: &str) -> &mut Self {
        let name = self.buffer.keep(name.as_bytes());
        self.record().event_name = name;
        self
    }

    /// The trace that it is part of.
    pub fn set_trace(&mut self, trace: [u8; 16]) -> &mut Self {
        self.record().trace = trace;
        self
    }

    /// The span that it is part of.
    pub fn set_span(&mut self, span: [u8; 8]) -> &mut Self {
        self.record().span = span;
        self
    }

    /// The trace flags of W3C, in the lowest 8 bits.
    pub fn set_flags(&mut self, flags: u32) -> &mut Self {
        self.record().flags = flags;
        self
    }

    /// Appends an attribute; within a map or list, a value of it. Elements of lists have an empty key.
    pub fn attribute(&mut self, key: &[u8], value: LogScalar<'_>) -> &mut Self {
        let value = self.buffer.store(value, self.is_utf8);
        self.field(key, value);
        self
    }

    fn field(&mut self, key: &[u8], value: Stored) {
        // A key that is no UTF-8 would make the whole request invalid.
        let key = if self.is_utf8(key) {
            self.buffer.keep(key)
        } else {
            self.buffer.keep(String::from_utf8_lossy(key).as_bytes())
        };
        self.buffer.fields.push(Field { key, value });
    }

    /// Whether there is an attribute of this name, or a value in the map that was begun last.
    pub fn has(&self, within: Option<Open>, key: &[u8]) -> bool {
        let first = || self.buffer.records.last().map_or(0, |record| record.fields as usize);
        let mut at = within.map_or_else(first, |open| open.0 + 1);
        while let Some(field) = self.buffer.fields.get(at) {
            if self.buffer.slice(field.key) == key {
                return true;
            }
            at += 1 + match field.value {
                Stored::Map(count) | Stored::List(count) => count as usize,
                _ => 0,
            };
        }
        false
    }

    /// Begins an attribute that is a map: what follows is in it until [`LogWriter::end`].
    pub fn begin_map(&mut self, key: &[u8]) -> Open {
        self.field(key, Stored::Map(0));
        Open(self.buffer.fields.len() - 1)
    }

    /// Begins an attribute that is a list: what follows is in it until [`LogWriter::end`].
    pub fn begin_list(&mut self, key: &[u8]) -> Open {
        self.field(key, Stored::List(0));
        Open(self.buffer.fields.len() - 1)
    }

    /// Ends a map or list.
    pub fn end(&mut self, open: Open) {
        let count = (self.buffer.fields.len() - open.0 - 1) as u32;
        if let Some(field) = self.buffer.fields.get_mut(open.0) {
            field.value = match field.value {
                Stored::List(_) => Stored::List(count),
                _ => Stored::Map(count),
            };
        }
    }
}
