//! Bytes and files below configured directories.
//!
//! The walk is bounded, follows no link below the directory and stays on its file system. A directory that could not
//! be walked to the end has no points: half a sum would look like a repair that worked.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, Found, at_most};
use crate::host::{HostRoot, display};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "directories",
    summary: "Bytes and files below the configured directories.",
    metrics: &[&names::DIRECTORY_USAGE, &names::DIRECTORY_FILE_COUNT],
    interval: None,
    open: |_, options| {
        if options.directories.is_empty() {
            return Err(CollectError::Absent { what: "configured directories" });
        }
        let paths: BTreeSet<PathBuf> = options.directories.iter().cloned().collect();
        Ok(Box::new(Directories { paths: paths.into_iter().collect() }))
    },
};

/// Entries looked at per directory and cycle, directories included: about 0.2 s. A larger one is reported as an error.
const MOST_ENTRIES: usize = 100_000;

struct Directories {
    paths: Vec<PathBuf>,
}

impl Collector for Directories {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let mut first_error = None;
        let mut sums = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            match add_up(&host.path(path), MOST_ENTRIES) {
                Ok(sum) => sums.push((path.to_string_lossy(), sum)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        for (path, sum) in &sums {
            out.int(&names::DIRECTORY_USAGE, &[Value::Str(path)], sum.bytes as i64);
        }
        for (path, sum) in &sums {
            out.int(&names::DIRECTORY_FILE_COUNT, &[Value::Str(path)], sum.files as i64);
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// The bytes below one directory.
pub(crate) fn usage(directory: &Path) -> Result<u64, CollectError> {
    Ok(add_up(directory, MOST_ENTRIES)?.bytes)
}

#[derive(Debug, Default, PartialEq)]
struct Sum {
    bytes: u64,
    files: u64,
}

fn add_up(top: &Path, limit: usize) -> Result<Sum, CollectError> {
    let metadata = fs::metadata(top).map_err(|error| reading(top, &error))?;
    if !metadata.is_dir() {
        let found = Found::new("something else");
        return Err(CollectError::Malformed { path: display(top), expected: "a directory", found });
    }
    let mut sum = Sum::default();
    let mut entries = 0;
    let mut waiting = vec![top.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Some(listing) = unless_gone(fs::read_dir(&directory), &directory)? else { continue };
        for entry in listing {
            let Some(entry) = unless_gone(entry, &directory)? else { continue };
            entries += 1;
            at_most(limit, entries, &display(top), "entries")?;
            let Some(found) = unless_gone(entry.metadata(), &directory)? else { continue };
            if found.is_dir() {
                if found.dev() == metadata.dev() {
                    waiting.push(entry.path());
                }
            } else {
                sum.files += 1;
                // A sparse file is not charged for its holes, nor a small one for the rest of its block.
                sum.bytes += found.len().min(found.blocks().saturating_mul(512));
            }
        }
    }
    Ok(sum)
}

/// Files come and go while we look.
fn unless_gone<T>(result: io::Result<T>, directory: &Path) -> Result<Option<T>, CollectError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(reading(directory, &error)),
    }
}

fn reading(path: &Path, error: &io::Error) -> CollectError {
    CollectError::Read { path: display(path), source: Errno::from_io_error(error).unwrap_or(Errno::IO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("one"), "12345").unwrap();
        fs::write(dir.path().join("a/b/two"), "678").unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("a/link")).unwrap();
        dir
    }

    #[test]
    fn files_are_added_up_and_links_are_not_followed() {
        let dir = tree();
        let link = fs::symlink_metadata(dir.path().join("a/link")).unwrap();
        let expected = Sum { bytes: 8 + link.len().min(link.blocks() * 512), files: 3 };
        assert_eq!(add_up(dir.path(), MOST_ENTRIES).unwrap(), expected);
    }

    #[test]
    fn a_sparse_file_is_not_charged_for_its_holes() {
        let dir = tempfile::tempdir().unwrap();
        fs::File::create(dir.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
        assert!(add_up(dir.path(), MOST_ENTRIES).unwrap().bytes < 1 << 30);
    }

    #[test]
    fn a_directory_with_more_than_the_limit_is_an_error_and_has_no_sum() {
        let dir = tree();
        let error = add_up(dir.path(), 4).unwrap_err().to_string();
        assert!(error.ends_with("holds more than the 4 entries that are looked at"), "{error}");
        assert!(add_up(dir.path(), 5).is_ok());
    }

    #[test]
    fn what_is_not_a_directory_costs_only_itself() {
        let dir = tree();
        let host = HostRoot::at(dir.path());
        let paths = vec!["/one".into(), "/nowhere".into(), "/a/b".into()];
        let mut out = SampleBuffer::default();
        let error = Directories { paths }.collect(&host, &mut out).unwrap_err().to_string();
        assert!(error.ends_with("/one: expected a directory, found \"something else\""), "{error}");
        assert_eq!(
            out.to_text(),
            "hostmend.directory.usage{hostmend.directory.path=\"/a/b\"} 3\n\
             hostmend.directory.file.count{hostmend.directory.path=\"/a/b\"} 1\n"
        );
    }
}
