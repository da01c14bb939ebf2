use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A directory `spool` with two files, beside which a quarantine is made.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("spool/deep")).unwrap();
        let place = Self { root };
        place.write("old", "one");
        place.write("deep/older", "two");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("spool").join(name), text).unwrap();
    }

    fn spool(&self) -> OwnedFd {
        open_directory(&self.path("spool")).unwrap()
    }

    fn open(&self) -> Result<Quarantine, ActionError> {
        Quarantine::open(&self.path("quarantine"), self.spool())
    }

    /// Moves files into a batch that begins at a moment.
    fn take(&self, names: &[&str], now: Timestamp) -> Batch {
        let file = |name: &&str| {
            let metadata = fs::metadata(self.path("spool").join(name)).unwrap();
            (PathBuf::from(name), (metadata.dev(), metadata.ino()))
        };
        let files: Vec<_> = names.iter().map(file).collect();
        let batch = self.open().unwrap().begin(files.iter().cloned(), now).unwrap();
        for (number, (name, (_, meant))) in names.iter().zip(files).enumerate() {
            let path = Path::new(name);
            let directory = open_beneath(self.spool(), path.parent().unwrap()).unwrap();
            let name = std::ffi::CString::new(path.file_name().unwrap().as_bytes()).unwrap();
            assert!(batch.take(&directory, &name, number, meant).unwrap());
        }
        batch
    }

    fn files(&self) -> BTreeMap<String, String> {
        let read =
            |name: &str| Some((name.to_owned(), fs::read_to_string(self.path("spool").join(name)).ok()?));
        ["old", "deep/older"].into_iter().filter_map(read).collect()
    }
}

#[test]
fn what_was_removed_can_be_had_back() {
    let place = Place::new();
    let before = place.files();
    let batch = place.take(&["old", "deep/older"], NOON);
    assert!(place.files().is_empty());
    let restored = place.open().unwrap().restore(batch.name(), place.spool()).unwrap();
    assert_eq!((restored.files, restored.failed), (2, 0));
    assert_eq!(place.files(), before);
    assert_eq!(fs::read_dir(place.path("quarantine")).unwrap().count(), 0);
    let again = place.open().unwrap().restore(batch.name(), place.spool()).unwrap_err().to_string();
    assert!(again.ends_with("is gone: its files were deleted after their time"), "{again}");
}

#[test]
fn what_has_taken_a_file_s_place_since_stays_and_the_file_waits_on() {
    let place = Place::new();
    let batch = place.take(&["old", "deep/older"], NOON);
    place.write("old", "fresh");
    let restored = place.open().unwrap().restore(batch.name(), place.spool()).unwrap();
    assert_eq!((restored.files, restored.failed), (1, 1));
    assert!(restored.first_failure.unwrap().starts_with("old: File exists"));
    assert_eq!(place.files()["old"], "fresh");
    fs::remove_file(place.path("spool/old")).unwrap();
    let restored = place.open().unwrap().restore(batch.name(), place.spool()).unwrap();
    assert_eq!((restored.files, restored.failed), (1, 0));
    assert_eq!(place.files()["old"], "one");
}

#[test]
fn a_directory_that_became_a_link_leads_no_file_elsewhere() {
    let place = Place::new();
    let batch = place.take(&["deep/older"], NOON);
    fs::create_dir(place.path("outside")).unwrap();
    fs::remove_dir(place.path("spool/deep")).unwrap();
    symlink(place.path("outside"), place.path("spool/deep")).unwrap();
    let restored = place.open().unwrap().restore(batch.name(), place.spool()).unwrap();
    assert_eq!((restored.files, restored.failed), (0, 1));
    assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 0);
}

#[test]
fn what_has_waited_long_enough_is_deleted_and_the_oldest_where_room_is_needed() {
    let place = Place::new();
    let hours = |hours: u64| NOON.plus(Duration::from_hours(hours));
    place.take(&["old"], NOON);
    let young = place.take(&["deep/older"], hours(1));
    fs::create_dir(place.path("quarantine/not-a-batch")).unwrap();
    let quarantine = place.open().unwrap();
    let sizes: Vec<u64> = quarantine.batches().unwrap().iter().map(|(_, _, bytes)| *bytes).collect();
    let all: u64 = sizes.iter().sum();
    assert!(sizes.iter().all(|bytes| *bytes >= 4096), "{sizes:?}");
    assert_eq!(quarantine.purge(NOON), Ok(0));
    assert_eq!(quarantine.make_room(all, hours(9)), Ok(0));
    assert_eq!(
        [NOON, hours(1), hours(2)].map(|from| quarantine.held_since(from).unwrap()),
        [all, all / 2, 0]
    );
    assert_eq!(quarantine.purge(hours(1)), Ok(all / 2));
    assert_eq!(quarantine.batches().unwrap().len(), 1);
    assert!(place.path("quarantine").join(young.name()).exists());
    assert_eq!(quarantine.make_room(0, hours(1)), Ok(0), "it is too young");
    assert_eq!(quarantine.make_room(all / 2 - 1, hours(2)), Ok(all / 2));
    assert!(place.path("quarantine/not-a-batch").exists());
}

#[test]
fn only_a_directory_of_the_executor_s_alone_is_a_quarantine() {
    let place = Place::new();
    assert!(place.open().is_ok());
    for mode in [0o755, 0o770, 0o701] {
        fs::set_permissions(place.path("quarantine"), PermissionsExt::from_mode(mode)).unwrap();
        let said = place.open().unwrap_err().to_string();
        assert!(said.contains("is no quarantine: it must belong"), "{mode:o}: {said}");
    }
    fs::set_permissions(place.path("quarantine"), PermissionsExt::from_mode(0o700)).unwrap();
    let elsewhere = open_directory(Path::new("/proc")).unwrap();
    let said = Quarantine::open(&place.path("quarantine"), elsewhere).unwrap_err().to_string();
    assert!(said.ends_with("it is on another file system"), "{said}");
    fs::remove_dir(place.path("quarantine")).unwrap();
    symlink(place.path("spool"), place.path("quarantine")).unwrap();
    assert!(place.open().is_err());
}

#[test]
fn a_name_that_is_no_text_comes_back_too() {
    let place = Place::new();
    let name = OsStr::from_bytes(b"caf\xe9");
    fs::write(place.path("spool").join(name), "x").unwrap();
    let metadata = fs::metadata(place.path("spool").join(name)).unwrap();
    let meant = (metadata.dev(), metadata.ino());
    let batch = place.open().unwrap().begin(std::iter::once((PathBuf::from(name), meant)), NOON).unwrap();
    assert!(batch.take(place.spool(), c"caf\xe9", 0, meant).unwrap());
    place.open().unwrap().restore(batch.name(), place.spool()).unwrap();
    assert!(place.path("spool").join(name).exists());
}

#[test]
fn two_removals_at_one_moment_are_two_batches() {
    let place = Place::new();
    let (first, second) = (place.take(&["old"], NOON), place.take(&["deep/older"], NOON));
    assert_ne!(first.name(), second.name());
}

/// A batch that was begun for `old`, and what tells that file from others.
fn begun(place: &Place) -> (Batch, (u64, u64)) {
    let metadata = fs::metadata(place.path("spool/old")).unwrap();
    let meant = (metadata.dev(), metadata.ino());
    (place.open().unwrap().begin(std::iter::once((PathBuf::from("old"), meant)), NOON).unwrap(), meant)
}

/// What is put in a file's place, and how.
type Swap = (&'static str, fn(&Path));

#[test]
fn what_was_put_in_a_file_s_place_at_the_last_moment_goes_back() {
    let place = Place::new();
    let (batch, meant) = begun(&place);
    let spool = place.path("spool");
    let swaps: [Swap; 3] = [
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("another file", |path| fs::write(path, "fresh").unwrap()),
        ("a link", |path| symlink("deep/older", path).unwrap()),
    ];
    for (what, swap) in swaps {
        fs::rename(spool.join("old"), spool.join("aside")).unwrap();
        swap(&spool.join("old"));
        let swapped = fs::symlink_metadata(spool.join("old")).unwrap().ino();
        assert_eq!(batch.take(place.spool(), c"old", 0, meant), Ok(false), "{what}");
        assert_eq!(fs::symlink_metadata(spool.join("old")).unwrap().ino(), swapped, "{what}");
        fs::rename(spool.join("old"), spool.join(what)).unwrap();
        fs::rename(spool.join("aside"), spool.join("old")).unwrap();
    }
    assert_eq!(batch.take(place.spool(), c"old", 0, meant), Ok(true));
}

#[test]
fn a_batch_that_cannot_be_deleted_is_in_nobody_s_way() {
    let place = Place::new();
    let (stuck, _) = begun(&place);
    let path = place.path("quarantine").join(stuck.name());
    fs::create_dir_all(path.join("0/deep")).unwrap();
    place.take(&["deep/older"], NOON.plus(Duration::from_secs(1)));
    let quarantine = place.open().unwrap();
    assert!(quarantine.discard(&stuck).is_err());
    assert!(path.join(MANIFEST).exists(), "what is in it can still be looked up");
    assert!(quarantine.purge(NOON.plus(Duration::from_hours(1))).unwrap() > 0);
    assert_eq!(quarantine.batches().unwrap().len(), 1);
    assert!(path.join("0/deep").exists());
    assert!(quarantine.make_room(0, NOON.plus(Duration::from_hours(1))).is_ok());
}
