//! What a source of log records is to whoever ships them.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use telemetry::{LogBuffer, Timestamp};

use crate::{FollowedFile, Positions};

/// Follows one source of log records.
///
/// Never waits, and is called by one thread: [`read_ready`](LogSource::read_ready) when one of
/// [`wakes`](LogSource::wakes) can be read or [`next_look`](LogSource::next_look) has come; then, once what it appended
/// is durable, [`settle`](LogSource::settle), before it is read again. While nothing can be made durable it is not called.
pub trait LogSource: Send {
    /// Its name in the configuration: `log:<name>` is the origin of what is counted from it.
    fn name(&self) -> &str;

    /// Descriptors that can be read when there may be something new.
    fn wakes(&self) -> Vec<BorrowedFd<'_>>;

    /// How long after `now` it wants to be called although nothing woke it: to end a record that waits for its last
    /// line, or to look for what nobody told it of. `None` when it has nothing to wait for.
    fn next_look(&self, now: Timestamp) -> Option<Duration>;

    /// Appends the records that are there now, until `out` holds about `max_bytes`.
    ///
    /// # Errors
    ///
    /// Concern this source and this call. What was appended before is kept and is settled as after a success.
    fn read_ready(
        &mut self,
        now: Timestamp,
        out: &mut LogBuffer,
        max_bytes: usize,
    ) -> Result<Ready, LogSourceError>;

    /// All that was appended is durable: the places after it are set in `positions`. Called after each reading, also one that
    /// appended nothing: places may have moved without records.
    fn settle(&mut self, positions: &mut Positions);

    /// What it has done since it was opened.
    fn figures(&self) -> SourceFigures;

    /// The files that it follows and those that it does not, for people; nothing where it reads no files.
    fn listing(&self) -> Vec<FollowedFile> {
        Vec::new()
    }
}

/// Where the very first start begins with what is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// After it: only what comes is read.
    #[default]
    End,
    /// Before it: all is read.
    Beginning,
}

/// Whether it is worth calling again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// There was more than fitted.
    More,
    /// All that was there has been read.
    CaughtUp,
}

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogSourceError {
    /// A file or directory.
    #[error("{operation} {}", path.display())]
    File {
        /// What was being done: `reading`, `opening`, `watching`.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What was read is not what it should be.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a source has done since it was opened: counters, but for the last ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFigures {
    /// Records that it appended.
    pub records: u64,
    /// Bytes that it read, as they lay there.
    pub bytes: u64,
    /// What it knows to be lost, by the reason; of records where they can be counted, else of occurrences.
    pub lost: Vec<(&'static str, u64)>,
    /// Lines or fields that were cut because they were longer than the limit.
    pub truncated: u64,
    /// Texts that were no UTF-8.
    pub invalid_utf8: u64,
    /// Lines that were not of the format that they were to have; they are records all the same.
    pub unparsed: u64,
    /// Lines that were left out because they were wanted so: by sampling or as repetitions.
    pub left_out: u64,
    /// How many bytes are there that have not been read, now.
    pub behind_bytes: u64,
    /// How many files it follows, now.
    pub files: u64,
}
