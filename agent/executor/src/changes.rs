//! What the executor remembers of its changes, so that it can take them back.
//!
//! A change is remembered before it is made, and on disk, so that one that was interrupted can be taken back too. The store
//! does not know how: that is with those who made the change. It is bounded: the oldest change is forgotten for a new one.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use telemetry::Timestamp;

use crate::flag_file::FlagBefore;
use crate::replacement::Replacement;
use crate::{ChangeId, ProcessId, UnitName};

/// How many changes are remembered. A run takes back what it has done within minutes; a person, within a day or two.
const MAX_CHANGES: usize = 256;

/// The largest file that is read or written. The largest change, the open files of a thousand processes, takes 100 KB.
const MAX_FILE_BYTES: usize = 4 << 20;

/// What can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum Change {
    /// A parameter of the kernel has another value.
    Sysctl { name: String, before: String, after: String },
    /// Files of a control group have other contents.
    Cgroup { cgroup: String, files: Vec<FileValue> },
    /// A unit has other limits.
    Unit { unit: UnitName, properties: Vec<PropertyValue>, open_files: Option<OpenFiles> },
    /// Files below a directory wait in a batch of a quarantine.
    Quarantine { quarantine: PathBuf, batch: String, from: PathBuf },
    /// A link points elsewhere.
    Link { link: PathBuf, before: String, after: String },
    /// A feature flag has another variant.
    Flag { file: PathBuf, flag: String, before: FlagBefore, after: String },
}

/// A file of a control group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileValue {
    pub(crate) file: String,
    pub(crate) before: String,
    pub(crate) after: String,
}

/// A property of a unit, under systemd's name for it and in its measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PropertyValue {
    pub(crate) property: String,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// How many files the processes of a unit may open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenFiles {
    pub(crate) before: Vec<ProcessFiles>,
    pub(crate) after: u64,
}

/// How many files one process may open; `u64::MAX` is as many as it likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessFiles {
    pub(crate) process: ProcessId,
    /// What counts.
    pub(crate) soft: u64,
    /// How far it may raise that itself.
    pub(crate) hard: u64,
}

/// What was changed is not known, or cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangesError {
    #[error("reading {}; mend that, or remove it to forget earlier changes", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} does not say what was changed; remove it to forget earlier changes", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("writing {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

/// A change and the name it was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Remembered {
    id: ChangeId,
    change: Change,
}

/// All of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Book {
    /// How many changes were ever given a name.
    named: u64,
    /// How many had to be forgotten for newer ones.
    forgotten: u64,
    changes: VecDeque<Remembered>,
    /// Those that were taken back of late, so that whoever asks again is told.
    #[serde(default)]
    taken_back: VecDeque<ChangeId>,
}

/// The changes of an executor.
#[derive(Debug)]
pub(crate) struct Changes {
    file: Option<PathBuf>,
    /// None while the file has not been read.
    known: Option<Book>,
}

impl Changes {
    /// What stands in the file, if there is one. Without a file they are kept in memory. It is read when first needed, and
    /// where it cannot be read, tried again.
    pub(crate) fn open(file: Option<PathBuf>) -> Self {
        Self { file, known: None }
    }

    /// Names a change that is about to be made. If it then fails, [`Changes::forget`] it.
    pub(crate) fn remember(&mut self, change: Change, now: Timestamp) -> Result<ChangeId, ChangesError> {
        let mut book = self.known()?;
        book.named += 1;
        // With the time in it, it is not given twice even if the file is removed.
        let id = ChangeId(format!("{}-{}", now.as_millis(), book.named));
        book.changes.push_back(Remembered { id: id.clone(), change });
        self.keep(book)?;
        Ok(id)
    }

    /// The change of this name, unless it was taken back or forgotten.
    pub(crate) fn get(&mut self, id: &ChangeId) -> Result<Option<Change>, ChangesError> {
        let book = self.known()?;
        Ok(book.changes.into_iter().find(|known| known.id == *id).map(|known| known.change))
    }

    /// What it has become, where that is not what was asked for: the kernel rounds.
    pub(crate) fn amend(&mut self, id: &ChangeId, change: Change) -> Result<(), ChangesError> {
        let mut book = self.known()?;
        let Some(known) = book.changes.iter_mut().find(|known| known.id == *id) else { return Ok(()) };
        if known.change == change {
            return Ok(());
        }
        known.change = change;
        self.keep(book)
    }

    /// It is taken back.
    pub(crate) fn taken_back(&mut self, id: &ChangeId) -> Result<(), ChangesError> {
        let mut book = self.known()?;
        book.changes.retain(|known| known.id != *id);
        book.taken_back.push_back(id.clone());
        if book.taken_back.len() > MAX_CHANGES {
            book.taken_back.pop_front();
        }
        self.keep(book)
    }

    /// Whether it was taken back, as far as that is remembered.
    pub(crate) fn was_taken_back(&mut self, id: &ChangeId) -> Result<bool, ChangesError> {
        Ok(self.known()?.taken_back.contains(id))
    }

    /// It was not made.
    pub(crate) fn forget(&mut self, id: &ChangeId) -> Result<(), ChangesError> {
        let mut book = self.known()?;
        let before = book.changes.len();
        book.changes.retain(|known| known.id != *id);
        if book.changes.len() == before { Ok(()) } else { self.keep(book) }
    }

    /// How many had to be forgotten for newer ones, ever.
    pub(crate) fn forgotten(&self) -> u64 {
        self.known.as_ref().map_or(0, |book| book.forgotten)
    }

    fn known(&mut self) -> Result<Book, ChangesError> {
        if let Some(book) = &self.known {
            return Ok(book.clone());
        }
        let book = self.file.as_deref().map(read).transpose()?.unwrap_or_default();
        Ok(self.known.insert(book).clone())
    }

    fn keep(&mut self, mut book: Book) -> Result<(), ChangesError> {
        let mut text = book.text();
        while book.changes.len() > MAX_CHANGES || (text.len() > MAX_FILE_BYTES && book.changes.len() > 1) {
            if let Some(oldest) = book.changes.pop_front() {
                book.forgotten += 1;
                tracing::warn!(change = %oldest.id, forgotten = book.forgotten, "a change can no longer be taken back: newer ones need its place");
            }
            text = book.text();
        }
        if let Some(path) = &self.file {
            let written = Replacement::create(path, 0o600).and_then(|fresh| fresh.put_durably(&text));
            written.map_err(|source| ChangesError::Write { path: path.clone(), source })?;
        }
        self.known = Some(book);
        Ok(())
    }
}

impl Book {
    fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("names, numbers and texts are JSON");
        text.push(b'\n');
        text
    }
}

fn read(path: &Path) -> Result<Book, ChangesError> {
    let failed = |source| ChangesError::Read { path: path.to_owned(), source };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Book::default()),
        other => other.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES as u64 {
        let why = format!("it is no regular file of at most {MAX_FILE_BYTES} bytes");
        return Err(failed(std::io::Error::other(why)));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES as u64).read_to_end(&mut text).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|source| ChangesError::Malformed { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn change(number: usize) -> Change {
        Change::Sysctl { name: format!("vm.x{number}"), before: "1".to_owned(), after: "2".to_owned() }
    }

    #[test]
    fn a_change_is_known_after_a_restart_until_it_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = Some(directory.path().join("changes.json"));
        let id = Changes::open(file.clone()).remember(change(1), NOON).unwrap();
        let mut later = Changes::open(file.clone());
        assert_eq!(later.get(&id).unwrap(), Some(change(1)));
        later.forget(&id).unwrap();
        assert_eq!(Changes::open(file.clone()).get(&id).unwrap(), None);
        let next = Changes::open(file).remember(change(1), NOON).unwrap();
        assert_ne!(next, id, "a name is given once");
    }

    #[test]
    fn what_was_taken_back_is_known_for_that_after_a_restart_and_what_was_not_made_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = Some(directory.path().join("changes.json"));
        let mut changes = Changes::open(file.clone());
        let [made, not_made] = [1, 2].map(|number| changes.remember(change(number), NOON).unwrap());
        changes.taken_back(&made).unwrap();
        changes.forget(&not_made).unwrap();
        let mut later = Changes::open(file);
        assert_eq!(later.get(&made).unwrap(), None);
        assert!(later.was_taken_back(&made).unwrap());
        assert!(!later.was_taken_back(&not_made).unwrap());
        for number in 0..MAX_CHANGES {
            let id = later.remember(change(number), NOON).unwrap();
            later.taken_back(&id).unwrap();
        }
        assert!(!later.was_taken_back(&made).unwrap(), "the oldest is forgotten");
    }

    #[test]
    fn at_the_limit_the_oldest_is_forgotten_and_counted() {
        let mut changes = Changes::open(None);
        let ids: Vec<ChangeId> =
            (0..MAX_CHANGES + 2).map(|number| changes.remember(change(number), NOON).unwrap()).collect();
        assert_eq!(changes.forgotten(), 2);
        assert_eq!(changes.get(ids.get(1).unwrap()).unwrap(), None);
        assert_eq!(changes.get(ids.get(2).unwrap()).unwrap(), Some(change(2)));
    }

    #[test]
    fn the_file_stays_small_enough_to_be_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("changes.json");
        let mut changes = Changes::open(Some(file.clone()));
        let large = |number: usize| Change::Sysctl {
            name: format!("vm.x{number}"),
            before: "1".repeat(MAX_FILE_BYTES / 3),
            after: "2".to_owned(),
        };
        let ids: Vec<ChangeId> =
            (0..4).map(|number| changes.remember(large(number), NOON).unwrap()).collect();
        let mut again = Changes::open(Some(file));
        assert_eq!(again.get(ids.last().unwrap()).unwrap(), Some(large(3)));
        assert_eq!(changes.forgotten(), 2);
    }

    #[test]
    fn what_cannot_be_kept_is_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let mut changes = Changes::open(Some(directory.path().join("away/changes.json")));
        let said = changes.remember(change(1), NOON).unwrap_err().to_string();
        assert!(said.starts_with("writing "), "{said}");
        let broken = directory.path().join("changes.json");
        std::fs::write(&broken, "{\"named\": 1").unwrap();
        let said = Changes::open(Some(broken)).remember(change(1), NOON).unwrap_err().to_string();
        assert!(
            said.ends_with("does not say what was changed; remove it to forget earlier changes"),
            "{said}"
        );
    }
}
