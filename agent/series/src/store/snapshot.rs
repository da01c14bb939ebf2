//! The store in a file, so that it outlives the process.
//!
//! A snapshot is written in frames that can be read each by itself, so that the store need not stand still while it is
//! written; the layout is described in `FORMAT.md`. Reading trusts nothing: a damaged file gives what precedes the damage,
//! and an error that says where it is. What would surprise you: samples are appended again as if they had just come, so
//! the limits, needs, budgets and names of now hold for them.

mod restore;
mod wire;
mod write;

use std::io;

pub use write::Snapshot;

/// How a snapshot begins.
const MAGIC: [u8; 8] = *b"hmseries";

/// The format that is written and read.
const VERSION: u32 = 1;

/// A frame takes at most so many bytes. A series that does not fit into one is left out, and counted.
const MAX_FRAME: usize = 2 * 1024 * 1024;

/// What a restored store has of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Series taken over.
    pub series: usize,
    /// Their samples.
    pub samples: u64,
    /// Series that were not taken over: too old, too many, over the budget of their origin, or under a name that is
    /// another's now.
    pub left_out: usize,
}

/// Why a snapshot was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file cannot be read.
    #[error("reading the snapshot at byte {at}")]
    Read {
        /// How far it was read.
        at: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The first bytes are others.
    #[error("the file does not begin as a snapshot of series does")]
    NotASnapshot,
    /// Another version of the program wrote it.
    #[error("the snapshot has format {found}; this program reads format {VERSION}")]
    Version {
        /// The format of the file.
        found: u32,
    },
    /// The end is missing, as after a crash while it was written.
    #[error("the snapshot breaks off at byte {at}, before its end mark")]
    Torn {
        /// Where the last frame, or the end mark, should begin.
        at: u64,
    },
    /// A length that no snapshot has.
    #[error("the frame at byte {at} of the snapshot claims {length} bytes; at most {MAX_FRAME} are written")]
    TooLong {
        /// Where the frame begins.
        at: u64,
        /// What it claims.
        length: usize,
    },
    /// The bytes are not those that were written.
    #[error("the frame at byte {at} of the snapshot does not match its checksum")]
    Checksum {
        /// Where the frame begins.
        at: u64,
    },
    /// The checksum holds, but the frame says something else than it should.
    #[error("the frame at byte {at} of the snapshot is malformed in its {part}")]
    Malformed {
        /// Where the frame begins.
        at: u64,
        /// What of it cannot be read.
        part: &'static str,
    },
}

#[cfg(test)]
mod tests;
