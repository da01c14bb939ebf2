//! Lines that log rules matched, as commands read and print them.

use std::fmt;

use serde::{Deserialize, Serialize};
use telemetry::{MatchedLine, OneLine};

/// A line that a log rule matched, in the answers of `GET /v1/explain` and `GET /api/v1/alerts`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ShownLine {
    /// When it was read or received.
    pub(crate) at: String,
    /// By what it came.
    pub(crate) origin: String,
    /// The line, masked.
    pub(crate) text: String,
}

impl From<MatchedLine> for ShownLine {
    fn from(MatchedLine { at, origin, text }: MatchedLine) -> Self {
        Self { at: at.to_string(), origin, text }
    }
}

impl fmt::Display for ShownLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, origin, text } = self;
        write!(f, "{} {}: {}", OneLine(at), OneLine(origin), OneLine(text))
    }
}
