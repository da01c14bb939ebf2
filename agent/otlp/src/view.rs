//! Looks into OTLP requests without decoding them: spans, log records and points, read where they lie.
//!
//! A view borrows the request's bytes and reads a field when asked for it, so a tap pays for what it looks at. The
//! numbering of envelopes is the same in all three signals, so one [`Resource`] serves them all. What would surprise you:
//! a part that is broken is an error of that part alone; texts are bytes until somebody wants them as text.

mod attributes;
mod log_record;
mod metric;
mod point;
mod span;

pub use attributes::{AnyValue, Attribute, Attributes};
pub use log_record::LogRecordView;
pub use metric::{DataKind, MetricView, Temporality};
pub use point::{DistributionView, NumberView, Pairs, PointHead, Scalar, SummaryView};
pub use span::{SpanKind, SpanStatus, SpanView};

use crate::wire::{Field, Fields, Malformed};

/// The entries of a request: one for each resource.
pub fn resources(payload: &[u8]) -> impl Iterator<Item = Result<Resource<'_>, Malformed>> {
    Messages::of(payload, 1).map(|entry| entry.map(Resource))
}

/// One `ResourceSpans`, `ResourceLogs` or `ResourceMetrics`.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a>(&'a [u8]);

impl<'a> Resource<'a> {
    /// The attributes of the resource.
    pub fn attributes(self) -> impl Iterator<Item = Result<Attribute<'a>, Malformed>> {
        Messages::of(self.0, 1).flat_map(|resource| {
            let (resource, error) = split(resource);
            error.into_iter().chain(Attributes::of(resource, 1))
        })
    }

    /// The first text attribute of this key, if there is one that can be read.
    pub fn text(self, key: &str) -> Option<&'a [u8]> {
        let mut found = self.attributes().filter_map(Result::ok).filter(|found| found.key == key.as_bytes());
        found.next()?.value.ok()?.text()
    }

    /// The encoded spans, log records or metrics of all its scopes.
    pub fn records(self) -> impl Iterator<Item = Result<&'a [u8], Malformed>> {
        Messages::of(self.0, 2).flat_map(|scope| {
            let (scope, error) = split(scope);
            error.into_iter().chain(Messages::of(scope, 2))
        })
    }
}

/// The message, or an empty one and the error that stands for it.
fn split<T>(message: Result<&[u8], Malformed>) -> (&[u8], Option<Result<T, Malformed>>) {
    match message {
        Ok(message) => (message, None),
        Err(error) => (&[], Some(Err(error))),
    }
}

/// The messages in one repeated field. Ends after the first error.
struct Messages<'a> {
    fields: Fields<'a>,
    number: u32,
}

impl<'a> Messages<'a> {
    const fn of(message: &'a [u8], number: u32) -> Self {
        Self { fields: Fields::of(message), number }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.fields.next()? {
                Ok((number, Field::Bytes(message))) if number == self.number => return Some(Ok(message)),
                Ok((number, _)) if number == self.number => {
                    self.fields = Fields::of(&[]);
                    return Some(Err(MISPLACED));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A field has another wire type than its number says.
const MISPLACED: Malformed = Malformed::new("a field has a type that is not its own");

fn bytes(field: Field<'_>) -> Result<&[u8], Malformed> {
    match field {
        Field::Bytes(bytes) => Ok(bytes),
        _ => Err(MISPLACED),
    }
}

fn fixed64(field: Field<'_>) -> Result<u64, Malformed> {
    match field {
        Field::Fixed64(value) => Ok(value),
        _ => Err(MISPLACED),
    }
}

fn varint(field: Field<'_>) -> Result<u64, Malformed> {
    match field {
        Field::Varint(value) => Ok(value),
        _ => Err(MISPLACED),
    }
}

#[cfg(test)]
mod tests;
