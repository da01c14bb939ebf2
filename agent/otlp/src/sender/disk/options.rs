//! Where telemetry waits on disk, and how much may.

use std::path::PathBuf;
use std::time::Duration;

use queue::{Options, OptionsError};

const MIB: u64 = 1 << 20;

/// Where telemetry waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// Holds one queue for each signal, in a directory of the signal's name. Made if need be.
    pub directory: PathBuf,
    /// How much may wait.
    pub limits: QueueLimits,
}

/// How much telemetry may wait on disk. At a limit the oldest goes, some megabytes at once, and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The most that the queue of each signal may take, in bytes of disk. At least 16 MiB.
    pub max_bytes: u64,
    /// What has waited longer is dropped. Without it, only room counts.
    pub max_age: Option<Duration>,
    /// Room on the file system that is left to others, in bytes.
    pub min_free_bytes: u64,
}

/// Of metrics a small host makes about 1 GiB a day, of its own traces and logs some KiB: so the default bridges a day
/// and never fills a small disk. No age: what bounds the disk is the bytes, and the traces of a repair are still wanted
/// after a week.
impl Default for QueueLimits {
    fn default() -> Self {
        Self { max_bytes: 1024 * MIB, max_age: None, min_free_bytes: 256 * MIB }
    }
}

impl QueueLimits {
    /// Checks that a queue can keep to them.
    ///
    /// # Errors
    ///
    /// Says what may be asked for.
    pub fn check(self) -> Result<(), OptionsError> {
        self.options().check()
    }

    pub(crate) fn options(self) -> Options {
        Options {
            // A collector takes 4 MiB in one request by default, so larger records would be of no use. Three reserves,
            // of one segment each, still are little on a small disk.
            segment_bytes: 4 * MIB,
            max_bytes: self.max_bytes,
            max_age: self.max_age,
            min_free_bytes: self.min_free_bytes,
            // This much memory, for each signal, at a disk that hangs. Receivers are told to try again.
            max_waiting_bytes: 16 * MIB,
            // A crash costs duplicates of what was delivered in so long: of a steady stream, one request or two.
            position_interval: Duration::from_millis(10),
            // What deliveries that keep up would read back: some commits of a group each.
            recent_bytes: 4 * MIB,
            ..Options::default()
        }
    }
}

/// The most bytes that one record of a queue may have.
pub(crate) fn max_record_bytes() -> u64 {
    QueueLimits::default().options().max_record_bytes()
}
