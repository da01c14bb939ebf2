//! Files that grow, by globs.
//!
//! A file is followed by its identity, not by its name, until it is gone: `files/follower.rs` decides what is read when,
//! `files/follower/succession.rs` what a rotation means, `files/place.rs` how a file is known again. All of it asks the file
//! system through `files/disk.rs`, of which there is a model in the tests. What has no line end yet stays unread in the
//! file. Empty lines are no records.

mod content;
mod disk;
mod file;
mod follower;
mod globs;
mod options;
mod place;
mod reading;
mod siblings;

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use telemetry::{LogBuffer, Timestamp};

use self::disk::RealDisk;
use self::follower::Follower;
use self::globs::Globs;
pub use self::options::{FilesOptions, ResourceTemplate};
use crate::{LogSource, LogSourceError, Positions, Ready, SourceFigures};

/// A file that a source knows, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedFile {
    /// Where it is now, as far as is known.
    pub path: PathBuf,
    /// What becomes of it.
    pub state: FileState,
    /// How far it has been read, in bytes.
    pub offset: u64,
    /// How large it was when it was last looked at.
    pub size: u64,
    /// How much of it has not been read.
    pub behind_bytes: u64,
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It is read whenever it grows.
    Following,
    /// It has another name than when it was begun, or none that is known; it is read as long as it is there.
    Rotated,
    /// It has no name any more; it is read to its end.
    Deleted,
    /// It is not read, and why.
    NotFollowed(String),
}

impl std::fmt::Display for FileState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Following => f.write_str("following"),
            Self::Rotated => f.write_str("rotated"),
            Self::Deleted => f.write_str("deleted"),
            Self::NotFollowed(reason) => write!(f, "not followed: {reason}"),
        }
    }
}

impl FollowedFile {
    fn refused(path: PathBuf, reason: String, size: u64) -> Self {
        Self { path, state: FileState::NotFollowed(reason), offset: 0, size, behind_bytes: 0 }
    }
}

/// Follows the files that globs name.
pub struct FilesSource {
    name: std::sync::Arc<str>,
    follower: Follower<RealDisk>,
}

impl std::fmt::Debug for FilesSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilesSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FilesSource {
    /// Finds the files and their places in `positions`.
    ///
    /// # Errors
    ///
    /// A glob that is none, or that is not of an absolute path.
    pub fn open(
        options: FilesOptions,
        positions: &Positions,
        now: Timestamp,
    ) -> Result<Self, LogSourceError> {
        let wrong = |error: globs::GlobError| LogSourceError::Damaged {
            path: error.glob.clone().into(),
            reason: error.to_string(),
        };
        let bases = Globs::new(&options.include, &options.exclude).map_err(wrong)?.bases();
        let name = options.name.clone();
        let follower = Follower::open(RealDisk::new(bases), options, positions, now).map_err(wrong)?;
        Ok(Self { name, follower })
    }
}

impl LogSource for FilesSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn wakes(&self) -> Vec<BorrowedFd<'_>> {
        self.follower.disk.wakes().into_iter().collect()
    }

    fn next_look(&self, now: Timestamp) -> Option<Duration> {
        Some(self.follower.next_look(now))
    }

    fn read_ready(
        &mut self,
        now: Timestamp,
        out: &mut LogBuffer,
        max_bytes: usize,
    ) -> Result<Ready, LogSourceError> {
        Ok(self.follower.read_ready(now, out, max_bytes))
    }

    fn settle(&mut self, positions: &mut Positions) {
        self.follower.settle(positions);
    }

    fn figures(&self) -> SourceFigures {
        self.follower.figures()
    }

    fn listing(&self) -> Vec<FollowedFile> {
        self.follower.listing()
    }
}

#[cfg(test)]
mod tests;
