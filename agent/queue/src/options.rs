//! What a queue may use, and when it syncs.

use std::time::Duration;

use crate::{record, segment};

const MIB: u64 = 1 << 20;

/// When appended records are forced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before they are acknowledged: they survive a power cut.
    Always,
    /// At least this often: what was acknowledged since survives the end of the process, not a power cut.
    Interval(Duration),
    /// When the kernel likes; and when a segment is full or the queue is closed.
    Never,
}

/// The limits of a queue and how it commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// When appended records are forced to disk.
    pub sync: SyncPolicy,
    /// How large a segment grows. It is the unit that is dropped at a limit, and the largest record is a little
    /// smaller. 64 KiB to 1 GiB.
    pub segment_bytes: u64,
    /// The most bytes that all segments and the reserve take; beyond them the oldest segment is dropped. Not less than
    /// four segments.
    pub max_bytes: u64,
    /// Segments whose newest record is older are dropped. A clock that is set forward makes nothing older.
    pub max_age: Option<Duration>,
    /// Room that is left to others on the file system: with less, the oldest segments are dropped.
    pub min_free_bytes: u64,
    /// Whether one segment's room is kept allocated, for appends on a full disk.
    pub reserve: bool,
    /// The longest that a record waits for as many others as were last committed together.
    pub linger: Duration,
    /// The most payload bytes that wait to be committed; appends beyond are refused as busy.
    pub max_waiting_bytes: u64,
    /// How often positions are saved at most. After a crash, what was acknowledged since is read again.
    pub position_interval: Duration,
    /// So many payload bytes of what was just committed are kept in memory for cursors that follow closely, 64 records at
    /// most, until all of them have read it.
    pub recent_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::Always,
            segment_bytes: 8 * MIB,
            max_bytes: 1024 * MIB,
            max_age: None,
            min_free_bytes: 256 * MIB,
            reserve: true,
            linger: Duration::from_millis(2),
            max_waiting_bytes: 64 * MIB,
            position_interval: Duration::from_millis(10),
            recent_bytes: 0,
        }
    }
}

/// Options that no queue can keep to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A segment of this size is no use.
    #[error("segments of {0} bytes: they must have from 65536 to 1073741824")]
    SegmentBytes(u64),
    /// Dropping the oldest segment would drop most of the queue.
    #[error("{max_bytes} bytes are too few: at least {} must fit, 4 segments", .segment_bytes * 4)]
    MaxBytes {
        /// What was asked for.
        max_bytes: u64,
        /// The size of a segment.
        segment_bytes: u64,
    },
}

impl Options {
    /// Checks that a queue can keep to them.
    ///
    /// # Errors
    ///
    /// Name the option and what it may be.
    pub fn check(&self) -> Result<(), OptionsError> {
        if !(64 * 1024..=1024 * MIB).contains(&self.segment_bytes) {
            return Err(OptionsError::SegmentBytes(self.segment_bytes));
        }
        if self.max_bytes < 4 * self.segment_bytes {
            return Err(OptionsError::MaxBytes {
                max_bytes: self.max_bytes,
                segment_bytes: self.segment_bytes,
            });
        }
        Ok(())
    }

    /// The most payload bytes that a record may have.
    pub fn max_record_bytes(&self) -> u64 {
        self.segment_bytes - (segment::HEADER + record::HEADER) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_cannot_be_kept_are_refused() {
        assert_eq!(Options::default().check(), Ok(()));
        let small = Options { segment_bytes: 1024, ..Options::default() };
        assert_eq!(small.check(), Err(OptionsError::SegmentBytes(1024)));
        let tight = Options { max_bytes: 31 * MIB, ..Options::default() };
        assert!(matches!(tight.check(), Err(OptionsError::MaxBytes { .. })));
    }
}
