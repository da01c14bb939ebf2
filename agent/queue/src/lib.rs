//! A durable FIFO of opaque bytes: append, read, acknowledge, survive a crash.
//!
//! What always holds:
//!
//! - A record is accepted only once it is as durable as the [`SyncPolicy`] demands; nothing is accepted into a file
//!   after a sync of it has failed.
//! - Every cursor reads what was accepted, in order. A crash costs duplicates back to its last saved position.
//! - For every cursor, `accepted = delivered + queued + lost(reason)`, in records, items and bytes.
//! - Nothing in the files keeps the queue from opening.
//!
//! A queue is a directory of segments, named by their first record, with one position file for each cursor; the bytes
//! are described in `FORMAT.md` and nowhere else. One thread writes; the rest is plain calls that never wait for it,
//! with callbacks for those who must not block. Nothing here reads the clock for what it keeps: times come from the
//! caller, in nanoseconds since the Unix epoch.

#![forbid(unsafe_code)]

mod age;
mod commit;
mod cursor;
mod error;
mod examine;
mod figures;
mod fs;
mod layout;
mod options;
mod position;
mod progress;
mod queue;
mod recent;
mod reclaim;
mod record;
mod recovery;
mod reserve;
mod scan;
mod segment;
mod shared;
mod survey;
mod together;
mod totals;
mod writer;

#[cfg(test)]
mod tests;

pub use cursor::{Cursor, Position, Record};
pub use error::{AppendError, CursorError, OpenError, ReadError};
pub use examine::{
    Inspection, PositionFigures, PositionSummary, SegmentCheck, SegmentSummary, export, fsck, inspect,
    is_in_use, repair,
};
pub use figures::{Counters, CursorFigures, Figures, Opening};
pub use options::{Options, OptionsError, SyncPolicy};
pub use queue::Queue;
pub use record::Entry;
pub use totals::{LossReason, Lost, Totals};
