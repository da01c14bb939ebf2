//! What can fail, in the words of an operator.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::options::OptionsError;

/// Why a queue could not be opened. Never because of what is in its files.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it.
    #[error("{} is in use by another process: stop that one, or give each a directory of its own", directory.display())]
    InUse {
        /// The queue's directory.
        directory: PathBuf,
    },
    /// The options contradict each other.
    #[error("the options of the queue in {}", directory.display())]
    Options {
        /// The queue's directory.
        directory: PathBuf,
        /// Which and why.
        #[source]
        source: OptionsError,
    },
    /// The directory cannot be made, opened, locked or listed, or the disk is away.
    #[error("opening the queue's directory {}: it must be a directory that this user may write", directory.display())]
    Directory {
        /// The queue's directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The thread that writes cannot be started.
    #[error("starting the thread that writes the queue in {}", directory.display())]
    Thread {
        /// The queue's directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a record was not accepted. It may be on disk all the same, and be read after a restart.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Trying again is of no use; smaller records are.
    #[error("a record of {bytes} bytes does not fit in a segment, which takes {limit}: send less at once")]
    TooLarge {
        /// Payload bytes of the record.
        bytes: u64,
        /// What fits.
        limit: u64,
    },
    /// Too much waits to be written; try again.
    #[error("{waiting} bytes wait to be written to disk already: try again later")]
    Busy {
        /// Payload bytes waiting.
        waiting: u64,
    },
    /// It could not be written; try again once the disk is well.
    #[error("{doing} {file}")]
    Storage {
        /// What was being done: `writing`, `syncing`, `making`.
        doing: &'static str,
        /// To which file of the queue.
        file: String,
        /// What the system said; shared by all records of the commit.
        #[source]
        source: Arc<io::Error>,
    },
    /// The queue is being closed.
    #[error("the queue is closed")]
    Closed,
}

/// Why there is no such cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The name would not do for a file.
    #[error("{0:?} cannot name a cursor: use up to 200 letters, digits, `-`, `_` and `.`, not a dot first")]
    Name(String),
    /// A cursor is read in one place.
    #[error("the cursor {0} is in use")]
    Taken(String),
}

/// A segment could not be read. The cursor stays where it is: read again later, and if that never helps, salvage.
#[derive(Debug, thiserror::Error)]
#[error("reading {file}")]
pub struct ReadError {
    /// The segment's file.
    pub file: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}
