use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use rustix::fs::{CWD, Mode};

use super::*;
use crate::beneath::STAT_BLOCK_BYTES;

const EPOCH_PLUS: u64 = 1_600_000_000;

/// A directory `allowed` beside one that must stay as it is.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("allowed")).unwrap();
        fs::create_dir(root.path().join("outside")).unwrap();
        fs::write(root.path().join("outside/precious"), "x").unwrap();
        Self { root }
    }

    fn allowed(&self) -> PathBuf {
        self.root.path().join("allowed")
    }

    /// Writes a file of one block, last written `age` seconds before [`NOW`](now).
    fn write(&self, name: &str, age: u64) -> PathBuf {
        let path = self.allowed().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![b'x'; 4096]).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_PLUS - age)).unwrap();
        path
    }

    fn sweep(&self, under: &Path, older_than: u64, at_most: u64) -> Result<Swept, ActionError> {
        self.sweep_like(under, older_than, |sweep| sweep.at_most = ByteCount(at_most))
    }

    fn sweep_like<'a>(
        &self,
        under: &'a Path,
        older_than: u64,
        change: impl FnOnce(&mut Sweep<'a>),
    ) -> Result<Swept, ActionError> {
        let allowed = self.allowed();
        let mut sweep = Sweep {
            allowed: Path::new(""),
            under,
            matching: None,
            written_before: Timestamp::from_secs((EPOCH_PLUS - older_than) as i64),
            at_most: ByteCount(u64::MAX),
            at_most_files: u64::MAX,
            until_used_percent: None,
        };
        change(&mut sweep);
        let sweep = Sweep { allowed: &allowed, ..sweep };
        sweep.remove(&sweep.find()?, None)
    }

    fn left(&self) -> BTreeSet<String> {
        fs::read_dir(self.allowed())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn outside_is_untouched(&self) -> bool {
        self.root.path().join("outside/precious").exists()
    }
}

fn counts(swept: Result<Swept, ActionError>) -> (u64, u64, u64, u64) {
    let swept = swept.unwrap();
    (swept.files, swept.freed, swept.too_large, swept.failed)
}

#[test]
fn the_oldest_go_first_and_never_more_than_allowed() {
    let place = Place::new();
    for (name, age) in [("middle", 200), ("oldest", 300), ("young", 10), ("newer", 150)] {
        place.write(name, age);
    }
    assert_eq!(counts(place.sweep(&place.allowed(), 100, 9000)), (2, 8192, 1, 0));
    assert_eq!(place.left(), ["newer", "young"].map(str::to_owned).into());
}

#[test]
fn files_in_subdirectories_are_found_and_the_directories_stay() {
    let place = Place::new();
    let deep = place.write("a/b/c", 300);
    assert_eq!(counts(place.sweep(&place.allowed().join("a"), 100, 1 << 20)), (1, 4096, 0, 0));
    assert!(!deep.exists() && deep.parent().unwrap().exists());
}

#[test]
fn links_are_neither_followed_nor_deleted() {
    let place = Place::new();
    let outside = place.root.path().join("outside");
    symlink(outside.join("precious"), place.allowed().join("file-link")).unwrap();
    symlink(&outside, place.allowed().join("directory-link")).unwrap();
    assert_eq!(counts(place.sweep(&place.allowed(), 0, u64::MAX)), (0, 0, 0, 0));
    assert_eq!(place.left().len(), 2);
    assert!(place.outside_is_untouched());
}

#[test]
fn a_link_in_the_path_to_sweep_is_refused() {
    let place = Place::new();
    symlink(place.root.path().join("outside"), place.allowed().join("link")).unwrap();
    let error = place.sweep(&place.allowed().join("link"), 0, u64::MAX).unwrap_err();
    assert!(error.to_string().contains("without following links"), "{error}");
    fs::rename(place.allowed(), place.root.path().join("moved")).unwrap();
    symlink(place.root.path().join("outside"), place.allowed()).unwrap();
    assert!(place.sweep(&place.allowed(), 0, u64::MAX).is_err());
    assert!(place.outside_is_untouched());
}

#[test]
fn a_path_that_climbs_out_is_refused_by_the_kernel_too() {
    let place = Place::new();
    assert!(place.sweep(&place.allowed().join("../outside"), 0, u64::MAX).is_err());
    assert!(place.outside_is_untouched());
}

#[test]
fn what_is_no_regular_file_stays() {
    let place = Place::new();
    let path = place.allowed().join("fifo");
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(counts(place.sweep(&place.allowed(), 0, u64::MAX)), (0, 0, 0, 0));
    assert!(path.exists());
}

#[test]
fn a_file_that_cannot_be_deleted_is_counted_and_the_rest_goes() {
    let place = Place::new();
    place.write("kept/stubborn", 300);
    place.write("other", 200);
    let directory = fs::File::open(place.allowed().join("kept")).unwrap();
    // Root may write into any directory, except an immutable one.
    let immutable = rustix::fs::ioctl_setflags(&directory, rustix::fs::IFlags::IMMUTABLE);
    let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o555);
    directory.set_permissions(read_only).or_else(|error| immutable.map_err(|_| error)).unwrap();
    let outcome = place.sweep(&place.allowed(), 100, 1 << 20);
    let _ = rustix::fs::ioctl_setflags(&directory, rustix::fs::IFlags::empty());
    directory.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let first = outcome.as_ref().unwrap().first_failure.clone().unwrap();
    assert!(first.starts_with("kept/stubborn: "), "{first}");
    assert_eq!(counts(outcome), (1, 4096, 0, 1));
}

#[test]
fn a_file_with_another_name_frees_nothing_and_counts_in_full() {
    let place = Place::new();
    for (name, age) in [("one", 300), ("two", 200)] {
        let path = place.write(name, age);
        fs::hard_link(&path, place.root.path().join("outside").join(name)).unwrap();
    }
    assert_eq!(counts(place.sweep(&place.allowed(), 100, 4095)), (0, 0, 2, 0));
    assert_eq!(counts(place.sweep(&place.allowed(), 100, 4096)), (1, 0, 1, 0));
    assert_eq!(place.left(), ["two"].map(str::to_owned).into());
}

#[test]
fn an_empty_file_counts_as_a_block() {
    let place = Place::new();
    for (name, age) in [("a", 300), ("b", 290), ("c", 280)] {
        let path = place.write(name, age);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(0).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_PLUS - age)).unwrap();
    }
    assert_eq!(counts(place.sweep(&place.allowed(), 100, 8192)), (2, 0, 1, 0));
    assert_eq!(place.left(), ["c"].map(str::to_owned).into());
}

#[test]
fn a_tree_too_deep_is_said_to_be_incomplete() {
    let place = Place::new();
    let deep = place.write(&format!("{}x", "d/".repeat(MAX_DEPTH + 1)), 300);
    let swept = place.sweep(&place.allowed(), 0, u64::MAX).unwrap();
    assert!(swept.incomplete && swept.files == 0 && deep.exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn nothing_young_and_nothing_outside_is_ever_deleted(
        files in proptest::collection::vec(("[ab]{1,2}(/[ab]{1,2}){0,2}", 0_u64..400), 0..12),
        links in proptest::collection::vec("[ab]{1,2}", 0..3),
        paths in proptest::collection::vec("([ab]{1,2}|\\.\\./outside|link|\\.|)", 1..4),
        older_than in 0_u64..400,
        blocks in 0_u64..6,
    ) {
        let place = Place::new();
        for link in &links {
            let _ = symlink(place.root.path().join("outside"), place.allowed().join(link));
        }
        let mut young = Vec::new();
        for (name, age) in &files {
            let path = place.allowed().join(name);
            let parent = path.parent().unwrap();
            // Where a link or a file is in the way, there is nothing to write.
            let beneath = fs::create_dir_all(parent).is_ok() && parent.canonicalize().unwrap().starts_with(place.allowed().canonicalize().unwrap());
            if beneath && !path.exists() {
                let path = place.write(name, *age);
                if *age <= older_than { young.push(path); }
            }
        }
        for path in &paths {
            let before = disk_space(&place.allowed());
            let outcome = place.sweep(&place.allowed().join(path), older_than, blocks * 4096);
            let freed = before - disk_space(&place.allowed());
            prop_assert!(freed <= blocks * 4096);
            if let Ok(swept) = outcome { prop_assert_eq!(swept.freed, freed); }
        }
        prop_assert!(place.outside_is_untouched());
        for path in young { prop_assert!(path.exists(), "{}", path.display()); }
    }
}

/// The disk space of all regular files below.
fn disk_space(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => disk_space(&entry.path()),
            kind if kind.is_file() => entry.metadata().unwrap().blocks() * STAT_BLOCK_BYTES,
            _ => 0,
        })
        .sum()
}

#[test]
fn names_that_would_fill_the_memory_make_a_sweep_incomplete() {
    let place = tempfile::tempdir().unwrap();
    let deep: PathBuf = (0..10).map(|_| "d".repeat(250)).collect();
    fs::create_dir_all(place.path().join(&deep)).unwrap();
    let deepest = fs::File::open(place.path().join(&deep)).unwrap();
    let each = deep.as_os_str().len();
    for at in 0..=MAX_NAME_BYTES / each {
        rustix::fs::mkdirat(&deepest, format!("{at}"), Mode::from_raw_mode(0o700)).unwrap();
    }
    let sweep = Sweep {
        allowed: place.path(),
        under: place.path(),
        matching: None,
        written_before: Timestamp::from_secs(1),
        at_most: ByteCount(1),
        at_most_files: 1,
        until_used_percent: None,
    };
    let walk = sweep.find().unwrap().walk;
    assert!(walk.incomplete);
    let kept: usize = walk.directories.iter().map(|path| path.as_os_str().len()).sum();
    assert!(kept <= MAX_NAME_BYTES, "{kept}");
}

#[test]
fn only_names_like_the_pattern_go() {
    let place = Place::new();
    for name in ["a.log.1", "a.log", "deep/b.log.1", "notes"] {
        place.write(name, 300);
    }
    let under = place.allowed();
    let swept = place.sweep_like(&under, 100, |sweep| sweep.matching = Some("*.log.?"));
    assert_eq!(counts(swept), (2, 8192, 0, 0));
    assert_eq!(place.left(), ["a.log", "deep", "notes"].map(str::to_owned).into());
}

#[test]
fn never_more_files_than_asked_for() {
    let place = Place::new();
    for (name, age) in [("a", 300), ("b", 290), ("c", 280)] {
        place.write(name, age);
    }
    let under = place.allowed();
    let sweep = |most| counts(place.sweep_like(&under, 100, |sweep| sweep.at_most_files = most));
    assert_eq!(sweep(0), (0, 0, 3, 0));
    assert_eq!(sweep(2), (2, 8192, 1, 0));
    assert_eq!(place.left(), ["c"].map(str::to_owned).into());
}

#[test]
fn no_file_goes_once_the_file_system_is_empty_enough() {
    let place = Place::new();
    for (name, age) in [("a", 300), ("b", 290)] {
        place.write(name, age);
    }
    let under = place.allowed();
    let sweep =
        |percent| counts(place.sweep_like(&under, 100, |sweep| sweep.until_used_percent = Some(percent)));
    assert_eq!(sweep(100), (0, 0, 0, 0));
    assert_eq!(sweep(0), (2, 8192, 0, 0));
}

#[test]
fn a_goal_is_reached_by_what_was_removed_even_if_the_file_system_frees_it_later() {
    let place = Place::new();
    let root = open_below(&place.allowed(), &place.allowed()).unwrap();
    let (used, available) = used_and_available(&root).unwrap();
    assert!(used > 0 && available > 0);
    let percent = used * 100 / (used + available);
    let goal = Goal::new(&root, percent as u8).unwrap();
    assert!(!goal.is_reached(&root, 0).unwrap() || used * 100 == percent * (used + available));
    assert!(goal.is_reached(&root, used).unwrap());
}
