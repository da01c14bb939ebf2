//! What is told of a source: figures and files.

use std::collections::BTreeMap;

use super::Follower;
use crate::files::disk::Disk;
use crate::files::file::File;
use crate::{FollowedFile, Recorder, SourceFigures};

/// Counters since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) figures: SourceFigures,
    lost: BTreeMap<&'static str, u64>,
}

impl<D: Disk> Follower<D> {
    /// What it has done, and how far behind it is.
    pub(crate) fn figures(&self) -> SourceFigures {
        let mut figures = self.counts.figures.clone();
        figures.lost = self.counts.lost.iter().map(|(reason, count)| (*reason, *count)).collect();
        figures.files = self.files.len() as u64;
        figures.behind_bytes = self.files.values().map(|file| file.listed().behind_bytes).sum();
        figures
    }

    /// What it follows and what it does not, by path.
    pub(crate) fn listing(&self) -> Vec<FollowedFile> {
        let mut listing: Vec<FollowedFile> = self.files.values().map(File::listed).collect();
        for (path, directory) in &self.directories {
            let refused = directory.refused.iter();
            listing.extend(refused.map(|(name, refused)| {
                FollowedFile::refused(path.join(name), refused.reason.clone(), refused.size)
            }));
            let trouble = directory.trouble.clone();
            listing.extend(trouble.map(|reason| FollowedFile::refused(path.to_path_buf(), reason, 0)));
        }
        listing.sort_by(|left, right| left.path.cmp(&right.path));
        listing
    }
}

impl Counts {
    pub(super) fn lose(&mut self, reason: &'static str) {
        *self.lost.entry(reason).or_default() += 1;
    }

    pub(super) fn add(&mut self, recorder: &mut Recorder) {
        let new = recorder.take_figures();
        self.figures.records += new.records;
        self.figures.truncated += new.split;
        self.figures.unparsed += new.unparsed;
        self.figures.left_out += new.left_out;
        self.figures.invalid_utf8 += new.invalid_utf8;
    }
}
