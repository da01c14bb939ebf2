//! Spans.

use super::{Attributes, bytes, fixed64, varint};
use crate::wire::{Field, Fields, Malformed};

/// What part a span has in a call; what is not known counts as unspecified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// `SPAN_KIND_UNSPECIFIED`.
    #[default]
    Unspecified,
    /// `SPAN_KIND_INTERNAL`.
    Internal,
    /// `SPAN_KIND_SERVER`.
    Server,
    /// `SPAN_KIND_CLIENT`.
    Client,
    /// `SPAN_KIND_PRODUCER`.
    Producer,
    /// `SPAN_KIND_CONSUMER`.
    Consumer,
}

impl SpanKind {
    /// All kinds, by their numbers on the wire.
    pub const ALL: [Self; 6] =
        [Self::Unspecified, Self::Internal, Self::Server, Self::Client, Self::Producer, Self::Consumer];

    /// The name in `trace.proto`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "SPAN_KIND_UNSPECIFIED",
            Self::Internal => "SPAN_KIND_INTERNAL",
            Self::Server => "SPAN_KIND_SERVER",
            Self::Client => "SPAN_KIND_CLIENT",
            Self::Producer => "SPAN_KIND_PRODUCER",
            Self::Consumer => "SPAN_KIND_CONSUMER",
        }
    }

    const fn of(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

/// How a span ended; what is not known counts as unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpanStatus {
    /// `STATUS_CODE_UNSET`.
    #[default]
    Unset,
    /// `STATUS_CODE_OK`.
    Ok,
    /// `STATUS_CODE_ERROR`.
    Error,
}

impl SpanStatus {
    /// All codes, by their numbers on the wire.
    pub const ALL: [Self; 3] = [Self::Unset, Self::Ok, Self::Error];

    /// The name in `trace.proto`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "STATUS_CODE_UNSET",
            Self::Ok => "STATUS_CODE_OK",
            Self::Error => "STATUS_CODE_ERROR",
        }
    }

    const fn of(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

/// One span: what the golden signals are made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanView<'a> {
    message: &'a [u8],
    /// The name; whether it is UTF-8 has not been asked.
    pub name: &'a [u8],
    /// Server, client, ...
    pub kind: SpanKind,
    /// When it began, in nanoseconds since the epoch.
    pub start: u64,
    /// When it ended, in nanoseconds since the epoch.
    pub end: u64,
    /// How it ended.
    pub status: SpanStatus,
}

impl<'a> SpanView<'a> {
    /// Reads the span's own fields and passes over its attributes, events and links.
    ///
    /// # Errors
    ///
    /// The bytes are no `Span`.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut span = Self { message, ..Self::default() };
        for field in Fields::of(message) {
            let (number, field) = field?;
            match number {
                5 => span.name = bytes(field)?,
                6 => span.kind = SpanKind::of(varint(field)? as i32),
                7 => span.start = fixed64(field)?,
                8 => span.end = fixed64(field)?,
                15 => read_status(bytes(field)?, &mut span.status)?,
                _ => {}
            }
        }
        Ok(span)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.message, 9)
    }

    /// How long it took, in nanoseconds; nothing if it ended before it began.
    pub const fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

fn read_status(message: &[u8], status: &mut SpanStatus) -> Result<(), Malformed> {
    for field in Fields::of(message) {
        match field? {
            (3, Field::Varint(code)) => *status = SpanStatus::of(code as i32),
            (3, _) => return Err(super::MISPLACED),
            _ => {}
        }
    }
    Ok(())
}
