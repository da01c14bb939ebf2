//! Lines to records.

use std::sync::Arc;
use std::time::Duration;

use telemetry::{LogBuffer, LogGroup, LogScalar, Timestamp};

#[allow(dead_code, reason = "read by the formats")]
mod options;
#[allow(dead_code, reason = "read by the formats")]
mod severity;
#[allow(dead_code, reason = "read by the formats")]
mod time;

pub use options::{
    FieldNames, LineFormat, Multiline, RecordOptions, RecordOptionsError, RecordSetting, RecordSettings,
};

/// What became of the lines since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordFigures {
    /// Records that were appended.
    pub records: u64,
    /// Lines that are not of the format; they are records all the same.
    pub unparsed: u64,
    /// Records that were left out by sampling or as repetitions.
    pub left_out: u64,
    /// Records with texts that are no UTF-8.
    pub invalid_utf8: u64,
    /// Records of many lines that reached a limit: they were ended there, and what followed began another one.
    pub split: u64,
}

/// Turns the lines of one stream, a file or a unit, into records.
///
/// Holds what a record is not complete without: the lines of a stack trace so far, parts of a container's line, the line
/// that is repeated. What it holds has not been read as far as a restart is concerned: see [`Recorder::holds_from`].
#[derive(Debug)]
pub struct Recorder {
    group: LogGroup,
    figures: RecordFigures,
}

impl Recorder {
    /// A recorder for the stream that `group` describes.
    pub fn new(_options: &Arc<RecordOptions>, group: LogGroup) -> Self {
        Self { group, figures: RecordFigures::default() }
    }

    /// Takes one line, without its end, that begins at byte `begins_at` of the stream. `is_cut` says that it went on.
    pub fn line(&mut self, line: &[u8], begins_at: u64, is_cut: bool, now: Timestamp, out: &mut LogBuffer) {
        let _ = (begins_at, is_cut);
        out.set_group(&self.group);
        out.push(now).set_body(LogScalar::Text(line));
        self.figures.records += 1;
    }

    /// Ends what has waited long enough for more.
    pub fn flush(&mut self, now: Timestamp, out: &mut LogBuffer) {
        let _ = (now, out);
    }

    /// Ends all that it holds: nothing more comes.
    pub fn finish(&mut self, now: Timestamp, out: &mut LogBuffer) {
        let _ = (now, out);
    }

    /// Where what it holds begins in the stream; `None` when it holds nothing.
    pub const fn holds_from(&self) -> Option<u64> {
        None
    }

    /// How long after `now` something that it holds has waited long enough.
    pub const fn next_flush(&self, now: Timestamp) -> Option<Duration> {
        let _ = now;
        None
    }

    /// What became of the lines since this was last called.
    pub fn take_figures(&mut self) -> RecordFigures {
        std::mem::take(&mut self.figures)
    }
}
