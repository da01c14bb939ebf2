//! Log records between their source and the wire.
//!
//! All texts of a buffer lie in one piece of memory, so that a record costs no allocation. A source appends; encoders and
//! taps read. What is shared by many records stands once, in their group.

use std::fmt;
use std::sync::Arc;

use crate::{Attributes, Timestamp};

/// What the records that follow each other have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct LogGroup {
    /// The name of the source in the configuration; the origin of what is counted from its lines is `log:<source>`.
    pub source: Arc<str>,
    /// Attributes of the resource, beyond the host's.
    pub resource: Arc<Attributes>,
    /// Attributes that each record bears, such as `log.file.name`.
    pub shared: Arc<Attributes>,
}

impl LogGroup {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
            && Arc::ptr_eq(&self.resource, &other.resource)
            && Arc::ptr_eq(&self.shared, &other.shared)
    }
}

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

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    begin: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug)]
enum Stored {
    Empty,
    Text(Span),
    Bytes(Span),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// So many fields after this one belong to it, and theirs.
    Map(u32),
    List(u32),
}

#[derive(Clone, Copy, Debug)]
struct Field {
    key: Span,
    value: Stored,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    group: u32,
    time: Timestamp,
    observed: Timestamp,
    severity: u8,
    severity_text: Span,
    event_name: Span,
    body: Stored,
    /// Where its attributes begin; they end where those of the next record begin.
    fields: u32,
    /// Where its texts begin.
    text: u32,
    trace: [u8; 16],
    span: [u8; 8],
    flags: u32,
}

/// Records of any number of groups, in the order in which they were read.
#[derive(Debug, Default)]
pub struct LogBuffer {
    text: Vec<u8>,
    fields: Vec<Field>,
    records: Vec<Record>,
    groups: Vec<LogGroup>,
}

impl LogBuffer {
    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How much memory its records take, about, in bytes: what a limit is held against.
    pub fn size_bytes(&self) -> usize {
        self.text.len() + self.records.len() * size_of::<Record>() + self.fields.len() * size_of::<Field>()
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
        self.records.clear();
        self.groups.clear();
    }

    /// Forgets the records beyond the first `records`.
    pub fn truncate(&mut self, records: usize) {
        if let Some(first) = self.records.get(records) {
            self.fields.truncate(first.fields as usize);
            self.text.truncate(first.text as usize);
            self.records.truncate(records);
        }
    }

    /// Records from now on belong to `group`.
    pub fn set_group(&mut self, group: &LogGroup) {
        if !self.groups.last().is_some_and(|last| last.is(group)) {
            self.groups.push(group.clone());
        }
    }

    /// Appends a record that was observed at `observed`, with an empty body and nothing else.
    ///
    /// # Panics
    ///
    /// There is no group yet.
    pub fn push(&mut self, observed: Timestamp) -> LogWriter<'_> {
        assert!(!self.groups.is_empty(), "a record belongs to a group: `set_group` comes first");
        self.records.push(Record {
            group: self.groups.len() as u32 - 1,
            time: Timestamp::EPOCH,
            observed,
            severity: 0,
            severity_text: Span::default(),
            event_name: Span::default(),
            body: Stored::Empty,
            fields: self.fields.len() as u32,
            text: self.text.len() as u32,
            trace: [0; 16],
            span: [0; 8],
            flags: 0,
        });
        LogWriter { buffer: self, is_utf8: false }
    }

    /// The records, in order.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = LogView<'_>> + ExactSizeIterator {
        (0..self.records.len()).map(|at| self.view(at))
    }

    fn view(&self, at: usize) -> LogView<'_> {
        #[expect(clippy::indexing_slicing, reason = "`records` asks for what there is")]
        let record = &self.records[at];
        let end = self.records.get(at + 1).map_or(self.fields.len(), |next| next.fields as usize);
        LogView { buffer: self, record, fields: (record.fields as usize, end) }
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let begin = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Span { begin, end: self.text.len() as u32 }
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.text.get(span.begin as usize..span.end as usize).unwrap_or_default()
    }

    fn store(&mut self, value: LogScalar<'_>, is_utf8: bool) -> Stored {
        match value {
            LogScalar::Text(text) if is_utf8 || std::str::from_utf8(text).is_ok() => {
                Stored::Text(self.keep(text))
            }
            LogScalar::Text(bytes) | LogScalar::Bytes(bytes) => Stored::Bytes(self.keep(bytes)),
            LogScalar::Int(number) => Stored::Int(number),
            LogScalar::Double(number) => Stored::Double(number),
            LogScalar::Bool(answer) => Stored::Bool(answer),
            LogScalar::Empty => Stored::Empty,
        }
    }

    /// The value of the field, or body, whose own fields begin at `below`.
    fn value(&self, stored: Stored, below: usize) -> LogValue<'_> {
        let fields = |count: u32| LogFields { buffer: self, range: (below, below + count as usize) };
        match stored {
            Stored::Empty => LogValue::Empty,
            Stored::Text(span) => LogValue::Text(self.slice(span)),
            Stored::Bytes(span) => LogValue::Bytes(self.slice(span)),
            Stored::Int(number) => LogValue::Int(number),
            Stored::Double(number) => LogValue::Double(number),
            Stored::Bool(answer) => LogValue::Bool(answer),
            Stored::Map(count) => LogValue::Map(fields(count)),
            Stored::List(count) => LogValue::List(fields(count)),
        }
    }
}

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
    buffer: &'a mut LogBuffer,
    is_utf8: bool,
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

/// Keys and values, or values, of a record, a map or a list.
#[derive(Clone)]
pub struct LogFields<'a> {
    buffer: &'a LogBuffer,
    range: (usize, usize),
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
    buffer: &'a LogBuffer,
    record: &'a Record,
    fields: (usize, usize),
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

#[cfg(test)]
mod tests;
