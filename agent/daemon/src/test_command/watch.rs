//! Runs the tests again whenever a file changes that they read.
//!
//! Files are looked at twice a second: a stat each is cheap, sees editors that replace a file as well as those that
//! write into it, and needs no watch for a rule file that does not exist yet. Ctrl-C ends the program, as any other.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::after;

use super::suite::FileReport;
use super::{TestArgs, once};
use crate::exit::Exit;
use crate::print;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Files that are looked at; a change of further ones is not noticed, which is said.
const MAX_WATCHED: usize = 10_000;

/// What changes when a file does: its inode, its size, and when it was written; nothing of a file that is not there.
type State = Option<(u64, u64, i64, i64)>;

/// Until the program is ended.
pub(super) fn run(args: &TestArgs) -> anyhow::Result<Exit> {
    let mut watched = args.files.clone();
    loop {
        // What changes while the tests run is a change too.
        let before = look(&watched);
        watched = read_by(&once(args)?);
        watched.extend(args.files.iter().cloned());
        if watched.len() > MAX_WATCHED {
            print::out(&format!("only the first {MAX_WATCHED} of {} files are watched\n", watched.len()))?;
            watched.truncate(MAX_WATCHED);
        }
        let mut known = look(&watched);
        known.extend(before);
        print::out("watching; Ctrl-C ends it\n")?;
        let changed = loop {
            // Nobody sends on this channel: it is a wait that needs no thread.
            let _ = after(LOOK_EVERY).recv();
            if let Some(path) = changed(&known) {
                break path;
            }
        };
        print::out(&format!("\n{} has changed\n", changed.display()))?;
    }
}

fn changed(known: &BTreeMap<PathBuf, State>) -> Option<PathBuf> {
    let now = look(known.keys());
    now.into_iter().find(|(path, state)| known.get(path) != Some(state)).map(|(path, _)| path)
}

/// All files that were read, and their directories, in which new ones may appear.
fn read_by(reports: &[FileReport]) -> Vec<PathBuf> {
    let files: BTreeSet<&PathBuf> = reports.iter().flat_map(|report| &report.reads).collect();
    let directories: BTreeSet<PathBuf> = files
        .iter()
        .filter_map(|file| file.parent())
        .filter(|directory| !directory.as_os_str().is_empty())
        .map(Path::to_owned)
        .collect();
    files.into_iter().cloned().chain(directories).collect()
}

fn look<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> BTreeMap<PathBuf, State> {
    let state = |path: &PathBuf| {
        let metadata = path.metadata().ok()?;
        Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
    };
    paths.into_iter().map(|path| (path.clone(), state(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_replaced_or_removed_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.test");
        let (other, missing) = (directory.path().join("b"), directory.path().join("c.test"));
        std::fs::write(&path, "clear\n").unwrap();
        let known = look([&path, &missing]);
        assert_eq!(changed(&known), None);
        std::fs::write(&path, "clear\n\n").unwrap();
        assert_eq!(changed(&known), Some(path.clone()));

        let known = look([&path, &missing]);
        std::fs::write(&other, "clear\n\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(changed(&known), Some(path.clone()));

        let known = look([&path, &missing]);
        std::fs::write(&missing, "").unwrap();
        assert_eq!(changed(&known), Some(missing));
    }
}
