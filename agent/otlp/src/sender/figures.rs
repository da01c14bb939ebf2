//! What became of everything that was offered. For each destination and signal, at every moment,
//! `accepted = delivered + queued + refused + lost(reason)`.

use telemetry::Signal;

/// The items of one signal that one destination was to get, by what became of them, since the sender started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalFigures {
    /// What waited on disk at the start, and everything that was taken since; the sum of the others, but for
    /// `not_durable`.
    pub accepted: u64,
    /// Taken by the destination.
    pub delivered: u64,
    /// Waiting, or being sent at this moment.
    pub queued: u64,
    /// Thrown away because the destination does not want them.
    pub refused: u64,
    /// Lost on disk because newer items needed the room.
    pub lost_bytes: u64,
    /// Lost on disk because they had waited too long.
    pub lost_age: u64,
    /// Lost on disk because others needed the room.
    pub lost_disk: u64,
    /// Lost because what is on disk can no longer be read.
    pub lost_damaged: u64,
    /// Lost in memory because newer items needed the room.
    pub dropped_queue_full: u64,
    /// Lost in memory because delivery ended before they were sent: the agent stopped, or the delivery failed for
    /// good, as the destination's last error then says.
    pub dropped_shutdown: u64,
    /// Of the accepted ones, those that no disk took and that went from memory.
    pub not_durable: u64,
}

impl SignalFigures {
    /// What was lost for any reason: not what the destination refused.
    pub const fn lost(&self) -> u64 {
        self.lost_bytes
            + self.lost_age
            + self.lost_disk
            + self.lost_damaged
            + self.dropped_queue_full
            + self.dropped_shutdown
    }
}

/// What became of everything that one destination was to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationFigures {
    /// The destination's name.
    pub name: String,
    /// The items of each signal, in the order of [`Signal::ALL`].
    pub signals: [SignalFigures; Signal::ALL.len()],
    /// What waits for the destination, in bytes, on disk and in memory.
    pub queued_bytes: u64,
    /// How many attempts have failed since the last one that did not.
    pub consecutive_failures: u32,
    /// Why the latest of all failed attempts failed.
    pub last_error: Option<String>,
}

impl DestinationFigures {
    /// The items of one signal.
    pub fn signal(&self, signal: Signal) -> SignalFigures {
        let [metrics, traces, logs] = self.signals;
        match signal {
            Signal::Metrics => metrics,
            Signal::Traces => traces,
            Signal::Logs => logs,
        }
    }
}

/// What became of everything that was offered, by destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderFigures {
    /// In the order in which the destinations were given.
    pub destinations: Vec<DestinationFigures>,
}
