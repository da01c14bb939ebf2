//! Files below a directory, and the releases beside the one in use.
//!
//! Looked at, never opened. No link below the directory is followed and no other file system entered. The walk is bounded:
//! one that is not over by then is an error, because half a list would look like a whole one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use telemetry::Timestamp;

use crate::error::{CollectError, Found, at_most};
use crate::host::{HostRoot, display};

/// Entries looked at, directories included: about 0.2 s.
const MOST_ENTRIES: usize = 100_000;

/// Releases looked at.
const MOST_RELEASES: usize = 1_000;

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Where it is.
    pub path: PathBuf,
    /// The disk space that it takes: the smaller of its length and its blocks.
    pub bytes: u64,
    /// When it was last written.
    pub written: Timestamp,
}

impl ListedFile {
    /// Its name without its directory.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A directory beside the one that a link points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Where it is.
    pub path: PathBuf,
    /// When something in it was last made or removed.
    pub written: Timestamp,
    /// Whether the link points to it.
    pub current: bool,
}

/// The regular files below `under` that `keep` wants, in the order that `order` says, at most `count`.
///
/// # Errors
///
/// It is no directory, cannot be read wholly, or holds more than is looked at.
pub fn files<K: Ord>(
    host: &HostRoot,
    under: &Path,
    keep: impl Fn(&ListedFile) -> bool,
    order: impl Fn(&ListedFile) -> K,
    count: usize,
) -> Result<Vec<ListedFile>, CollectError> {
    let top = host.path(under);
    let device = directory(&top)?.dev();
    let mut found: Vec<ListedFile> = Vec::new();
    let mut entries = 0;
    let mut waiting = vec![top.clone()];
    while let Some(place) = waiting.pop() {
        let Some(listing) = unless_gone(fs::read_dir(&place), &place)? else { continue };
        for entry in listing {
            let Some(entry) = unless_gone(entry, &place)? else { continue };
            entries += 1;
            at_most(MOST_ENTRIES, entries, &display(&top), "entries")?;
            let Some(metadata) = unless_gone(entry.metadata(), &place)? else { continue };
            if metadata.is_dir() && metadata.dev() == device {
                waiting.push(entry.path());
            } else if metadata.is_file() {
                let bytes = metadata.len().min(metadata.blocks().saturating_mul(512));
                let file = ListedFile { path: entry.path(), bytes, written: written(&metadata) };
                if keep(&file) {
                    found.push(file);
                }
            }
        }
        if found.len() > count.saturating_mul(2).saturating_add(1_024) {
            found.sort_by_key(&order);
            found.truncate(count);
        }
    }
    found.sort_by_key(&order);
    found.truncate(count);
    Ok(found)
}

/// The directories beside the one that `link` points to, the newest first.
///
/// # Errors
///
/// It is no link, points to no directory, or what lies beside that cannot be read.
pub fn releases(host: &HostRoot, link: &Path) -> Result<Vec<Release>, CollectError> {
    let link = host.path(link);
    let metadata = fs::symlink_metadata(&link).map_err(|error| reading(&link, &error))?;
    if !metadata.is_symlink() {
        let found = Found::new("something else");
        return Err(CollectError::Malformed { path: display(&link), expected: "a symbolic link", found });
    }
    let current = fs::canonicalize(&link).map_err(|error| reading(&link, &error))?;
    directory(&current)?;
    let Some(beside) = current.parent() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in fs::read_dir(beside).map_err(|error| reading(beside, &error))? {
        let Some(entry) = unless_gone(entry, beside)? else { continue };
        let Some(metadata) = unless_gone(entry.metadata(), beside)? else { continue };
        if metadata.is_dir() {
            let path = entry.path();
            found.push(Release { current: path == current, written: written(&metadata), path });
            at_most(MOST_RELEASES, found.len(), &display(beside), "directories")?;
        }
    }
    found.sort_by(|one, other| other.written.cmp(&one.written).then_with(|| other.path.cmp(&one.path)));
    Ok(found)
}

fn directory(path: &Path) -> Result<fs::Metadata, CollectError> {
    let metadata = fs::metadata(path).map_err(|error| reading(path, &error))?;
    if metadata.is_dir() {
        return Ok(metadata);
    }
    let found = Found::new("something else");
    Err(CollectError::Malformed { path: display(path), expected: "a directory", found })
}

fn written(metadata: &fs::Metadata) -> Timestamp {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    Timestamp::EPOCH.plus(Duration::new(seconds, nanos))
}

/// Files come and go while we look.
fn unless_gone<T>(result: std::io::Result<T>, directory: &Path) -> Result<Option<T>, CollectError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(reading(directory, &error)),
    }
}

fn reading(path: &Path, error: &std::io::Error) -> CollectError {
    CollectError::Read { path: display(path), source: Errno::from_io_error(error).unwrap_or(Errno::IO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: PathBuf, bytes: usize, written: u64) {
        fs::write(&path, vec![b'x'; bytes]).unwrap();
        let at = std::time::UNIX_EPOCH + Duration::from_secs(written);
        fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn files_are_listed_by_the_order_asked_for_and_links_are_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        file(dir.path().join("a/old.gz"), 10, 1_000);
        file(dir.path().join("new.gz"), 30, 3_000);
        file(dir.path().join("other.log"), 20, 2_000);
        std::os::unix::fs::symlink("/etc", dir.path().join("a/etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("passwd")).unwrap();
        let host = HostRoot::at("/");
        let names = |keep: fn(&ListedFile) -> bool, count| {
            let found = files(&host, dir.path(), keep, |file| file.written, count).unwrap();
            found.iter().map(ListedFile::name).collect::<Vec<_>>()
        };
        assert_eq!(names(|_| true, 10), ["old.gz", "other.log", "new.gz"]);
        assert_eq!(names(|_| true, 2), ["old.gz", "other.log"]);
        assert_eq!(names(|file| file.bytes > 15, 10), ["other.log", "new.gz"]);
        assert!(files(&host, &dir.path().join("new.gz"), |_| true, |file| file.bytes, 1).is_err());
    }

    #[test]
    fn releases_are_the_directories_beside_the_one_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        for (name, at) in [("r1", 1_000), ("r2", 2_000), ("r3", 3_000)] {
            fs::create_dir_all(root.join("releases").join(name)).unwrap();
            let opened = fs::File::open(root.join("releases").join(name)).unwrap();
            opened.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(at)).unwrap();
        }
        file(root.join("releases/notes"), 1, 9_000);
        std::os::unix::fs::symlink("releases/r2", root.join("current")).unwrap();
        let found = releases(&HostRoot::at("/"), &root.join("current")).unwrap();
        let names: Vec<_> =
            found.iter().map(|it| (it.path.file_name().unwrap().to_str().unwrap(), it.current)).collect();
        assert_eq!(names, [("r3", false), ("r2", true), ("r1", false)]);
        let error = releases(&HostRoot::at("/"), &root.join("releases")).unwrap_err().to_string();
        assert!(error.ends_with("expected a symbolic link, found \"something else\""), "{error}");
    }
}
