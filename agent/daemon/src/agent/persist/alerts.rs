//! `alerts.json` in the state directory: the alerts that are pending, firing or lately resolved.

use std::path::{Path, PathBuf};

use alerting::{MAX_SAVED_BYTES, SavedGroups};
use anyhow::Context;

use super::file;
use super::{Kept, Which, keep_going};
use crate::agent::groups::Groups;
use crate::clock;

const FILE: &str = "alerts.json";

/// The file.
#[derive(Debug)]
pub(super) struct AlertFile {
    path: PathBuf,
    /// Whether it holds alerts, as far as is known.
    holds_some: bool,
    failing: bool,
}

impl AlertFile {
    pub(super) fn of(state: &Path) -> Self {
        Self { path: state.join(FILE), holds_some: true, failing: false }
    }

    /// Writes down the alerts of now.
    pub(super) fn save(&mut self, groups: &Groups, kept: &Kept) {
        let begun = clock::monotonic();
        let (saved, holds_some) = groups.read(|judged| {
            let groups = || judged.iter().map(|judged| &judged.group);
            let some = groups()
                .any(|group| group.reported().next().is_some() || group.active_alerts().next().is_some());
            (SavedGroups::of(groups()), some)
        });
        self.holds_some = holds_some;
        let text = saved.to_text().map_err(std::io::Error::other);
        let written = text.and_then(|text| file::replace(&self.path, |file| file.write_all(text.as_bytes())));
        keep_going(Which::Alerts, &self.path, written, begun, &mut self.failing, kept);
    }

    /// Whether what is written says less with every minute that passes.
    pub(super) fn age(&self) -> bool {
        self.holds_some || self.failing
    }
}

/// The alerts that the agent before this one knew; none if it left no file that can be used.
pub(crate) fn saved_alerts(state: &Path, kept: &Kept) -> SavedGroups {
    let path = state.join(FILE);
    let read = file::read(&path, MAX_SAVED_BYTES)
        .context("reading it")
        .and_then(|text| text.map_or(Ok(SavedGroups::default()), |text| Ok(SavedGroups::read(&text)?)));
    read.unwrap_or_else(|error| {
        kept.put_aside(Which::Alerts, &path, &error);
        SavedGroups::default()
    })
}
