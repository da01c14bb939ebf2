//! `directories`, `truncatable` and `links` of the policy: which files may be removed, emptied or pointed to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use documents::{Review, Spanned};
use serde::Deserialize;

use super::absolute;
use crate::{Budget, ByteCount, protected};

/// A directory below which old files may be removed.
#[derive(Clone, Debug)]
pub struct DirectoryRule {
    /// Its absolute path.
    pub path: PathBuf,
    /// Younger files always stay.
    pub at_least_age: Duration,
    /// The most disk space that one action may remove.
    pub at_most_bytes: ByteCount,
    /// The most files that one action may remove; `u64::MAX` if no number is given.
    pub at_most_files: u64,
    /// Where removed files wait, if not deleted at once.
    pub quarantine: Option<QuarantineRule>,
    /// How often.
    pub at_most: Budget,
}

/// Where removed files wait before they are deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineRule {
    /// A directory of the executor's alone, on the same file system. It is made if missing.
    pub directory: PathBuf,
    /// How long they can be had back; they are deleted by the first removal after that.
    pub keep: Duration,
    /// The most disk space that it takes; those that have waited for an hour are deleted early for new ones, the oldest
    /// first.
    pub at_most_bytes: ByteCount,
}

/// A file that may be emptied, or a directory with such files.
#[derive(Clone, Debug)]
pub struct TruncatableRule {
    /// Its absolute path, or that of a directory above it.
    pub path: PathBuf,
    /// So much of a file's end always stays.
    pub keep_at_least: ByteCount,
    /// How often.
    pub at_most: Budget,
}

/// A symbolic link that may point to another release.
#[derive(Clone, Debug)]
pub struct LinkRule {
    /// Its absolute path.
    pub path: PathBuf,
    /// The directory in which each release has a directory.
    pub releases: PathBuf,
    /// How often.
    pub at_most: Budget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectoryEntry {
    path: Spanned<String>,
    at_least_age: Spanned<String>,
    at_most_bytes: Spanned<String>,
    at_most_files: Option<u64>,
    quarantine: Option<QuarantineEntry>,
    at_most: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuarantineEntry {
    directory: Spanned<String>,
    keep: Spanned<String>,
    at_most_bytes: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TruncatableEntry {
    pub(super) path: Spanned<String>,
    keep_at_least: Option<Spanned<String>>,
    at_most: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkEntry {
    pub(super) path: Spanned<String>,
    releases: Spanned<String>,
    at_most: Spanned<String>,
}

/// All of them. What waits in quarantine must not be swept, nor a quarantine be made of what is.
pub(super) fn directories(entries: &[DirectoryEntry], review: &mut Review) -> Vec<DirectoryRule> {
    let rules = entries.iter().filter_map(|entry| entry.read(review)).collect();
    for quarantine in entries.iter().filter_map(|entry| entry.quarantine.as_ref()) {
        let directory = Path::new(&quarantine.directory.value);
        let swept = entries.iter().map(|entry| Path::new(&entry.path.value));
        let lies_together = |swept: &&Path| directory.starts_with(swept) || swept.starts_with(directory);
        if let Some(swept) = swept.into_iter().find(lies_together) {
            let message =
                format!("the quarantine and {}, which is swept, must not lie in each other", swept.display());
            review.error(&quarantine.directory, message);
        }
    }
    rules
}

impl DirectoryEntry {
    fn read(&self, review: &mut Review) -> Option<DirectoryRule> {
        let path = changeable(&self.path, review);
        let at_least_age = review.duration(&self.at_least_age);
        let at_most_bytes = review.read(&self.at_most_bytes, str::parse);
        let quarantine = self.quarantine.as_ref().map(|entry| entry.read(review));
        let at_most = review.read(&self.at_most, str::parse);
        Some(DirectoryRule {
            path: path?,
            at_least_age: at_least_age?,
            at_most_bytes: at_most_bytes?,
            at_most_files: self.at_most_files.unwrap_or(u64::MAX),
            quarantine: quarantine.map_or(Some(None), |rule| rule.map(Some))?,
            at_most: at_most?,
        })
    }
}

impl QuarantineEntry {
    fn read(&self, review: &mut Review) -> Option<QuarantineRule> {
        let directory = changeable(&self.directory, review);
        let keep = review.duration(&self.keep);
        let at_most_bytes = review.read(&self.at_most_bytes, str::parse);
        Some(QuarantineRule { directory: directory?, keep: keep?, at_most_bytes: at_most_bytes? })
    }
}

impl TruncatableEntry {
    pub(super) fn read(&self, review: &mut Review) -> Option<TruncatableRule> {
        let path = changeable(&self.path, review);
        let keep_at_least = match &self.keep_at_least {
            Some(written) => review.read(written, str::parse),
            None => Some(ByteCount(0)),
        };
        let at_most = review.read(&self.at_most, str::parse);
        Some(TruncatableRule { path: path?, keep_at_least: keep_at_least?, at_most: at_most? })
    }
}

impl LinkEntry {
    pub(super) fn read(&self, review: &mut Review) -> Option<LinkRule> {
        let path = changeable(&self.path, review);
        let releases = absolute(&self.releases, review);
        let at_most = review.read(&self.at_most, str::parse);
        Some(LinkRule { path: path?, releases: releases?, at_most: at_most? })
    }
}

/// The path of what may be changed.
fn changeable(written: &Spanned<String>, review: &mut Review) -> Option<PathBuf> {
    let path = absolute(written, review);
    if let Some(reason) = path.as_deref().and_then(protected::directory) {
        review.error(written, reason);
    }
    path
}
