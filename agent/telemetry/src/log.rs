//! Log records between their source and the wire.
//!
//! All texts of a buffer lie in one piece of memory, so that a record costs no allocation. A source appends; encoders and
//! taps read. What is shared by many records stands once, in their group.

mod view;
mod writer;

use std::sync::Arc;

use crate::{Attributes, Timestamp};
pub use view::{LogFields, LogValue, LogView};
pub use writer::{LogScalar, LogWriter, Open};

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

#[cfg(test)]
mod tests;
