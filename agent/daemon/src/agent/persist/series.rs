//! `series.snapshot` in the state directory: the samples that are kept for rules.

use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use series::{Snapshot, Store};

use super::{Kept, Which, file, keep_going};
use crate::clock;

const FILE: &str = "series.snapshot";

/// What is written between two looks at the store, in bytes: less than a millisecond of its time.
const SLICE: usize = 128 << 10;

/// The file.
#[derive(Debug)]
pub(super) struct SeriesFile {
    path: PathBuf,
    failing: bool,
    /// Series that were too large for the last snapshot.
    left_out: usize,
}

impl SeriesFile {
    pub(super) fn of(state: &Path) -> Self {
        Self { path: state.join(FILE), failing: false, left_out: 0 }
    }

    /// Writes down the series of now, slice by slice, so that nobody waits for the store longer than a slice takes, and
    /// nobody at all for the disk. After each slice, `between` does what cannot wait for all of them.
    pub(super) fn save(&mut self, store: &RwLock<Store>, kept: &Kept, mut between: impl FnMut()) {
        let begun = clock::monotonic();
        let mut left_out = 0;
        let written = file::replace(&self.path, |file| {
            let (mut snapshot, mut slice) = (Snapshot::new(), Vec::new());
            loop {
                slice.clear();
                let store = store.read().unwrap_or_else(PoisonError::into_inner);
                let is_more = snapshot.write(&store, &mut slice, SLICE);
                drop(store);
                file.write_all(&slice)?;
                if !is_more {
                    left_out = snapshot.left_out();
                    return Ok(());
                }
                between();
            }
        });
        if left_out > self.left_out {
            tracing::warn!(
                series = left_out,
                "series are too large for the snapshot: they begin anew after a restart"
            );
        }
        self.left_out = left_out;
        keep_going(Which::Series, &self.path, written, begun, &mut self.failing, kept);
    }
}

/// Gives the store what the agent before this one had in it, as far as it can be read.
pub(crate) fn restore_series(state: &Path, store: &mut Store, kept: &Kept) {
    let path = state.join(FILE);
    let file = match file::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => return kept.put_aside(Which::Series, &path, &error.into()),
    };
    let begun = clock::monotonic();
    match store.restore(BufReader::new(file), clock::now()) {
        Ok(restored) => tracing::info!(
            series = restored.series,
            samples = restored.samples,
            left_out = restored.left_out,
            took = ?begun.elapsed(),
            "series of before the restart go on"
        ),
        Err(error) => kept.put_aside(Which::Series, &path, &error.into()),
    }
}
