//! Removed files wait in a directory of the executor's, on the same file system, and can be had back.
//!
//! Each removal is a batch: a directory named after its moment, in which a manifest says where the file of each number
//! was. The manifest is on disk before the first file is moved. Nobody but the executor may reach into the quarantine. It
//! frees no space until a later removal purges what has waited long enough, or what there is no room for.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, fstat, mkdirat, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use telemetry::Timestamp;

use crate::ActionError;
use crate::beneath::{
    disk_space, identity, is_directory, is_dot, is_regular, look, open_beneath, open_directory, open_file,
};

/// What each batch has beside its files, under their numbers.
const MANIFEST: &str = "manifest.json";

/// The largest manifest that is read: as many paths as a sweep keeps, each byte written as a number.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// How many batches may begin within one millisecond.
const MAX_BATCHES_AT_ONCE: u32 = 100;

/// A directory in which removed files wait.
#[derive(Debug)]
pub(crate) struct Quarantine {
    path: PathBuf,
    directory: OwnedFd,
}

/// The files of one removal.
#[derive(Debug)]
pub(crate) struct Batch {
    name: String,
    directory: OwnedFd,
}

/// Where a file was, below the directory that was swept, and what tells it from others.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: PathText,
    identity: (u64, u64),
}

/// A path as text where it is one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum PathText {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<PathBuf> for PathText {
    fn from(path: PathBuf) -> Self {
        match path.into_os_string().into_string() {
            Ok(text) => Self::Text(text),
            Err(bytes) => Self::Bytes(bytes.into_vec()),
        }
    }
}

impl From<PathText> for PathBuf {
    fn from(text: PathText) -> Self {
        match text {
            PathText::Text(text) => text.into(),
            PathText::Bytes(bytes) => OsStr::from_bytes(&bytes).into(),
        }
    }
}

/// What became of the files of a batch that were to be had back.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
}

impl Quarantine {
    /// Opens the directory, which is made if there is none, for files of the file system of `swept`.
    ///
    /// # Errors
    ///
    /// It cannot be made or opened, others could reach into it, or it is on another file system.
    pub(crate) fn open(path: &Path, swept: impl AsFd) -> Result<Self, ActionError> {
        let failed = |error| ActionError::failed(format!("opening the quarantine {}", path.display()), error);
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            match mkdirat(open_directory(parent)?, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let directory = open_directory(path)?;
        let stat = fstat(&directory).map_err(failed)?;
        let refused = |why: &str| Err(ActionError::refused(format!("{} {why}", path.display())));
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return refused("is no quarantine: it must belong to the executor's user alone, with mode 0700");
        }
        if stat.st_dev != fstat(swept).map_err(failed)?.st_dev {
            return refused("is no quarantine for these files: it is on another file system");
        }
        Ok(Self { path: path.to_owned(), directory })
    }

    /// Deletes the batches that began before a moment. Returns what was deleted, in bytes.
    pub(crate) fn purge(&self, before: Timestamp) -> Result<u64, ActionError> {
        self.purge_oldest(before, |_| true)
    }

    /// Deletes batches that began before a moment, the oldest first, until all take no more than `room` bytes. Returns what
    /// was deleted, in bytes.
    pub(crate) fn make_room(&self, room: u64, before: Timestamp) -> Result<u64, ActionError> {
        self.purge_oldest(before, |held| held > room)
    }

    /// The disk space of the batches that began at a moment or later, in bytes.
    pub(crate) fn held_since(&self, moment: Timestamp) -> Result<u64, ActionError> {
        let batches = self.batches()?;
        Ok(batches.iter().filter(|(began, ..)| *began >= moment).map(|(_, _, bytes)| bytes).sum())
    }

    /// Of batches that began before a moment, deletes the oldest while what all of them take is too much.
    fn purge_oldest(&self, before: Timestamp, is_too_much: impl Fn(u64) -> bool) -> Result<u64, ActionError> {
        let mut waiting = self.batches()?;
        waiting.sort_unstable();
        let mut held: u64 = waiting.iter().map(|(_, _, bytes)| bytes).sum();
        let mut purged = 0;
        for (began, name, bytes) in waiting {
            if began >= before || !is_too_much(held) {
                break;
            }
            let batch = self.path.join(&name);
            if let Err(error) = self.delete(&name) {
                // It must not be in the way of later removals.
                tracing::warn!(batch = %batch.display(), %error, "not all of it can be purged from quarantine; look what is in it");
                continue;
            }
            tracing::info!(batch = %batch.display(), bytes, "purged from quarantine");
            held = held.saturating_sub(bytes);
            purged += bytes;
        }
        Ok(purged)
    }

    /// Begins a batch for these files, with their paths below the directory that is swept; their order is that of their
    /// numbers.
    pub(crate) fn begin(
        &self,
        files: impl Iterator<Item = (PathBuf, (u64, u64))>,
        now: Timestamp,
    ) -> Result<Batch, ActionError> {
        let mut name = String::new();
        for attempt in 0..MAX_BATCHES_AT_ONCE {
            name = format!("{}-{attempt}", now.as_millis());
            match mkdirat(&self.directory, &name, Mode::RWXU) {
                Ok(()) => break,
                Err(Errno::EXIST) if attempt + 1 < MAX_BATCHES_AT_ONCE => {}
                Err(error) => return Err(self.failed("making", &name, error)),
            }
        }
        let begin = || -> std::io::Result<OwnedFd> {
            let directory = open_beneath(&self.directory, Path::new(&name))?;
            write_manifest(&directory, files)?;
            rustix::fs::fsync(&directory)?;
            rustix::fs::fsync(&self.directory)?;
            Ok(directory)
        };
        match begin() {
            Ok(directory) => Ok(Batch { name, directory }),
            Err(error) => {
                // Nothing is in it yet.
                let _ = self.delete(&name);
                Err(self.failed("writing the manifest of", &name, error))
            }
        }
    }

    /// Moves what is in a batch back below `root`, from which it was taken, wherever nothing else has that name by now.
    ///
    /// # Errors
    ///
    /// The batch is no longer there, or its manifest cannot be read.
    pub(crate) fn restore(&self, batch: &str, root: impl AsFd) -> Result<Restored, ActionError> {
        let directory = match open_beneath(&self.directory, Path::new(batch)) {
            Err(Errno::NOENT) => {
                let batch = self.path.join(batch);
                let why = format!("{} is gone: its files were deleted after their time", batch.display());
                return Err(ActionError::refused(why));
            }
            other => other.map_err(|error| self.failed("opening", batch, error))?,
        };
        let entries = read_manifest(&directory)
            .map_err(|error| self.failed("reading the manifest of", batch, error))?;
        let mut restored = Restored::default();
        for (number, entry) in entries.into_iter().enumerate() {
            let path = PathBuf::from(entry.path);
            match restore_one(&directory, number, entry.identity, &root, &path) {
                Ok(None) => {}
                Ok(Some(bytes)) => {
                    restored.files += 1;
                    restored.bytes += bytes;
                }
                Err(error) => {
                    restored.failed += 1;
                    restored.first_failure.get_or_insert_with(|| format!("{}: {error}", path.display()));
                }
            }
        }
        if restored.failed == 0 {
            self.delete(batch).map_err(|error| self.failed("removing", batch, error))?;
        }
        Ok(restored)
    }

    /// Removes a batch in which nothing is.
    pub(crate) fn discard(&self, batch: &Batch) -> Result<(), ActionError> {
        let is_empty = for_each_file(&batch.directory, |name| {
            if name.to_bytes() == MANIFEST.as_bytes() { Ok(()) } else { Err(Errno::NOTEMPTY) }
        });
        let discarded = is_empty.and_then(|()| self.delete(&batch.name));
        discarded.map_err(|error| self.failed("removing", &batch.name, error))
    }

    /// When each batch began, its name, and the disk space that it takes.
    fn batches(&self) -> Result<Vec<(Timestamp, String, u64)>, ActionError> {
        let list = || -> Result<Vec<_>, Errno> {
            let mut batches = Vec::new();
            for entry in Dir::read_from(&self.directory)? {
                let entry = entry?;
                // What is not called like a batch is somebody else's.
                let Some((began, name)) = entry.file_name().to_str().ok().and_then(began) else { continue };
                if !look(&self.directory, name).is_ok_and(|stat| is_directory(&stat)) {
                    continue;
                }
                let directory = open_beneath(&self.directory, Path::new(name))?;
                let mut bytes = 0;
                for_each_file(&directory, |name| {
                    bytes += look(&directory, name).map_or(0, |stat| disk_space(&stat));
                    Ok(())
                })?;
                batches.push((began, name.to_owned(), bytes));
            }
            Ok(batches)
        };
        list().map_err(|error| {
            ActionError::failed(format!("listing the quarantine {}", self.path.display()), error)
        })
    }

    /// Deletes all of a batch that it can.
    fn delete(&self, batch: &str) -> Result<(), Errno> {
        let directory = open_beneath(&self.directory, Path::new(batch))?;
        for_each_file(&directory, |name| {
            // What stays keeps the directory from being removed.
            let _ = unlinkat(&directory, name, AtFlags::empty());
            Ok(())
        })?;
        unlinkat(&self.directory, batch, AtFlags::REMOVEDIR)
    }

    fn failed(&self, doing: &str, batch: &str, error: impl std::fmt::Display) -> ActionError {
        ActionError::failed(format!("{doing} {}", self.path.join(batch).display()), error)
    }
}

impl Batch {
    /// As it is called in its quarantine.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Moves a file into the batch. Whoever can write where it lies may put something else in its place at any moment: what
    /// turns out not to be the regular file that was meant is moved back. Says whether it was.
    ///
    /// # Errors
    ///
    /// It cannot be moved; or what was moved is another and its name is taken by now, so it waits in the batch.
    pub(crate) fn take(
        &self,
        from: impl AsFd,
        name: &CStr,
        number: usize,
        meant: (u64, u64),
    ) -> Result<bool, Errno> {
        let number = number.to_string();
        renameat_with(&from, name, &self.directory, number.as_str(), RenameFlags::NOREPLACE)?;
        let stat = look(&self.directory, number.as_str())?;
        if is_regular(&stat) && identity(&stat) == meant {
            return Ok(true);
        }
        let back = renameat_with(&self.directory, number.as_str(), &from, name, RenameFlags::NOREPLACE);
        if let Err(error) = back {
            let (batch, file) = (&self.name, name.to_string_lossy());
            tracing::warn!(batch, number, %file, %error, "what was put in a file's place is in quarantine and cannot go back");
            return Err(Errno::STALE);
        }
        Ok(false)
    }
}

/// The moment in the name of a batch, and the name.
fn began(name: &str) -> Option<(Timestamp, &str)> {
    let (millis, attempt) = name.split_once('-')?;
    attempt.parse::<u32>().ok()?;
    let since = std::time::Duration::from_millis(millis.parse().ok()?);
    Some((Timestamp::from_secs(0).plus(since), name))
}

fn for_each_file(directory: &OwnedFd, mut each: impl FnMut(&CStr) -> Result<(), Errno>) -> Result<(), Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !is_dot(entry.file_name()) {
            each(entry.file_name())?;
        }
    }
    Ok(())
}

fn write_manifest(
    batch: &OwnedFd,
    files: impl Iterator<Item = (PathBuf, (u64, u64))>,
) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut out = BufWriter::new(File::from(openat(batch, MANIFEST, flags, Mode::RUSR | Mode::WUSR)?));
    for (at, (path, identity)) in files.enumerate() {
        out.write_all(if at == 0 { b"[\n" } else { b",\n" })?;
        serde_json::to_writer(&mut out, &Entry { path: path.into(), identity })?;
    }
    out.write_all(b"\n]\n")?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}

fn read_manifest(batch: &OwnedFd) -> std::io::Result<Vec<Entry>> {
    let file = File::from(open_file(batch, MANIFEST, OFlags::RDONLY)?);
    let mut text = Vec::new();
    file.take(MAX_MANIFEST_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// The disk space of the file that is back; none where that number was never moved, or is back already.
fn restore_one(
    batch: &OwnedFd,
    number: usize,
    meant: (u64, u64),
    root: impl AsFd,
    path: &Path,
) -> Result<Option<u64>, Errno> {
    let number = number.to_string();
    let stat = match look(batch, number.as_str()) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    if identity(&stat) != meant {
        return Err(Errno::STALE);
    }
    let directory = open_beneath(root, path.parent().unwrap_or(Path::new("")))?;
    let name = path.file_name().ok_or(Errno::INVAL)?;
    renameat_with(batch, number.as_str(), directory, name, RenameFlags::NOREPLACE)?;
    Ok(Some(disk_space(&stat)))
}

#[cfg(test)]
mod tests;
