//! What became of everything that was taken. For each destination and signal, at every moment,
//! `accepted = delivered + queued + dead_lettered + lost(reason)`.

use telemetry::{Signal, Timestamp};

/// The items of one signal that one destination was to get, by what became of them, since the sender started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalFigures {
    /// What waited on disk at the start, dead letters included, and everything that was taken since. Always
    /// `delivered`, `queued`, `dead_lettered` and what was [lost](Self::lost) together.
    pub accepted: u64,
    /// Taken by the destination, or by one that stands in for it.
    pub delivered: u64,
    /// Of the delivered ones, those that another destination took because this one failed.
    pub delivered_by_others: u64,
    /// Waiting, or being sent at this moment.
    pub queued: u64,
    /// Kept as dead letters, since the destination refused them for good.
    pub dead_lettered: u64,
    /// Lost because the destination does not want them: it took the rest of their request, or they cannot be kept as
    /// dead letters.
    pub refused: u64,
    /// Lost on disk because newer items needed the room.
    pub lost_bytes: u64,
    /// Lost on disk because they had waited too long.
    pub lost_age: u64,
    /// Lost on disk because others needed the room.
    pub lost_disk: u64,
    /// Lost because what is on disk can no longer be read.
    pub lost_damaged: u64,
    /// Dead letters that were lost because newer ones needed the room.
    pub lost_dead_letters: u64,
    /// Lost in memory because newer items needed the room.
    pub dropped_queue_full: u64,
    /// Lost in memory because delivery ended before they were sent: the agent stopped, or the delivery failed for
    /// good, as the destination's last error then says.
    pub dropped_shutdown: u64,
    /// Of the accepted ones, those that no disk took and that went from memory.
    pub not_durable: u64,
    /// What waits, in bytes.
    pub queued_bytes: u64,
    /// When the oldest of what waits was received, as nearly as is known without the disk: never later than it was.
    pub oldest: Option<Timestamp>,
}

impl SignalFigures {
    /// What was lost, by reason.
    pub const fn lost_by_reason(&self) -> [(&'static str, u64); 8] {
        [
            ("refused", self.refused),
            ("bytes", self.lost_bytes),
            ("age", self.lost_age),
            ("disk", self.lost_disk),
            ("damaged", self.lost_damaged),
            ("dead_letters", self.lost_dead_letters),
            ("queue_full", self.dropped_queue_full),
            ("shutdown", self.dropped_shutdown),
        ]
    }

    /// What was lost for any reason.
    pub fn lost(&self) -> u64 {
        self.lost_by_reason().iter().map(|(_, items)| items).sum()
    }

    /// Whether every accepted item is in exactly one place.
    pub fn is_balanced(&self) -> bool {
        self.accepted == self.delivered + self.queued + self.dead_lettered + self.lost()
    }
}

/// What became of everything that one destination was to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationFigures {
    /// The destination's name.
    pub name: String,
    /// The items of each signal, in the order of [`Signal::ALL`]; nothing for signals that it does not take.
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

/// What became of everything that was taken, by destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderFigures {
    /// In the order in which the destinations were given, without those that only stand in for others.
    pub destinations: Vec<DestinationFigures>,
}
