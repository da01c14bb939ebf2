//! Encoded telemetry on its way out.

use std::fmt;

use bytes::Bytes;

/// The three kinds of telemetry that OTLP carries for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Data points.
    Metrics,
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

impl Signal {
    /// All signals, in the order in which they are listed to a person.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Traces, Self::Logs];

    /// The signal's name: `metrics`, `traces`, `logs`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// What one item of the signal is called: `points`, `spans`, `records`.
    pub const fn items(self) -> &'static str {
        match self {
            Self::Metrics => "points",
            Self::Traces => "spans",
            Self::Logs => "records",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One encoded OTLP `Export*ServiceRequest`. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which service it is for.
    pub signal: Signal,
    /// The protobuf message, uncompressed.
    pub payload: Bytes,
    /// Data points, spans or log records inside.
    pub items: u64,
}
