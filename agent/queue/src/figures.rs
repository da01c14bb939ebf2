//! What a queue has counted, for the loss ledger and for its own metrics.

use crate::totals::{Lost, Totals};

/// A queue at one moment. For every cursor, `accepted = delivered + queued + lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Everything accepted since the queue was made, across restarts.
    pub appended: Totals,
    /// Segments on disk.
    pub segments: u64,
    /// Bytes of the segments and the reserve.
    pub disk_bytes: u64,
    /// Records that wait to be committed.
    pub waiting: u64,
    /// Payload bytes that wait to be committed.
    pub waiting_bytes: u64,
    /// What happened since the queue was opened.
    pub counters: Counters,
    /// By name.
    pub cursors: Vec<CursorFigures>,
}

/// One cursor at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorFigures {
    /// The cursor's name.
    pub name: String,
    /// Everything accepted since the cursor began.
    pub accepted: Totals,
    /// What it acknowledged.
    pub delivered: Totals,
    /// What it has still to acknowledge, read already or not.
    pub queued: Totals,
    /// What it will never see.
    pub lost: Lost,
    /// When the oldest queued record was received, in nanoseconds since the epoch; none if nothing is queued. Right
    /// after a restart, when the oldest record of that segment was.
    pub oldest: Option<i64>,
}

/// Events since the queue was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Groups of records written together.
    pub commits: u64,
    /// Syncs of segments.
    pub syncs: u64,
    /// Records refused because they are larger than a segment.
    pub refused_too_large: u64,
    /// Records refused because too much was waiting.
    pub refused_busy: u64,
    /// Records refused because they could not be written.
    pub refused_storage: u64,
    /// Segments sealed for good because a write or a sync of them failed.
    pub sealed_after_failure: u64,
    /// Segments dropped at a limit.
    pub segments_dropped: u64,
    /// How often the reserve became a segment, because the disk was full.
    pub reserve_used: u64,
    /// How often the reserve was allocated, the first time included.
    pub reserve_filled: u64,
    /// Positions that could not be saved; they are tried again.
    pub position_failures: u64,
    /// Reads of segments that failed.
    pub read_failures: u64,
}

/// What opening a queue found. Nothing of it kept the queue from opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Torn tails that were cut: what a crash left of records that were never acknowledged.
    pub torn_tails: u64,
    /// Their bytes.
    pub torn_bytes: u64,
    /// Files of segments that hold nothing readable, renamed to `*.damaged`.
    pub quarantined: Vec<String>,
    /// Segments of a version that this program does not know, renamed to `*.unknown-version`.
    pub unknown_version: Vec<String>,
    /// Cursors whose position was lost, or lay in the future: they read again from the oldest record.
    pub positions_reset: Vec<String>,
    /// Files that are none of the queue's. They are left alone.
    pub orphans: Vec<String>,
}
