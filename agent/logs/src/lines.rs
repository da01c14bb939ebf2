//! Lines to records.

use std::time::Duration;

use telemetry::{LogBuffer, LogGroup, LogScalar, Timestamp};

/// What is made of the lines of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordOptions {}

/// Turns the lines of one stream, a file or a unit, into records.
///
/// Holds what a record is not complete without: the lines of a stack trace so far, parts of a container's line, the line
/// that is repeated. What it holds has not been read as far as a restart is concerned: see [`Recorder::holds_from`].
#[derive(Debug)]
pub struct Recorder {
    group: LogGroup,
}

impl Recorder {
    /// A recorder for the stream that `group` describes.
    pub fn new(_options: &std::sync::Arc<RecordOptions>, group: LogGroup) -> Self {
        Self { group }
    }

    /// Takes one line, without its end, that begins at byte `begins_at` of the stream. `is_cut` says that it went on.
    pub fn line(&mut self, line: &[u8], begins_at: u64, is_cut: bool, now: Timestamp, out: &mut LogBuffer) {
        let _ = (begins_at, is_cut);
        out.set_group(&self.group);
        out.push(now).set_body(LogScalar::Text(line));
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
}
