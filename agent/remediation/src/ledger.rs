//! The run journal: `runs.jsonl` in the state directory, one event a line.
//!
//! An event that decides whether something was done is on disk before `append` returns: the start of a script, the
//! intention of an action, its outcome, the end. Before the first two the file must still be the one under its name: a
//! journal that nobody can find again keeps nothing. After a failed sync nothing more is accepted, because the kernel may
//! report the next sync of lost pages as a success; then no script starts until the agent does. A last line cut short by
//! a crash is dropped; the file is rewritten when it grows too large, and what still counts for a guard stays.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use telemetry::{RunEvent, RunId, RunStep};

use crate::history::History;

/// The file's size at which it is rewritten to about half of it: some ten thousand runs.
const MAX_BYTES: u64 = 8 << 20;

/// What is read of a file that somebody else made large.
const MAX_READ_BYTES: u64 = 4 * MAX_BYTES;

const FILE_NAME: &str = "runs.jsonl";

/// The journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be opened or read.
    #[error("opening the run journal {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An event could not be written or synced.
    #[error("writing to the run journal {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An earlier write or sync failed.
    #[error("the run journal {} takes no more events: an earlier write failed; restart the agent when the disk is well", path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
}

/// The run journal, open for appending.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    bytes: u64,
    rewrite_at: u64,
    max_bytes: u64,
    poisoned: bool,
    history: History,
    dropped_lines: u64,
}

impl Ledger {
    /// Opens the journal of a state directory, or begins one.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Open`]; what the file says never keeps it from being opened.
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        Self::open_with_limit(directory, MAX_BYTES)
    }

    fn open_with_limit(directory: &Path, max_bytes: u64) -> Result<Self, LedgerError> {
        let path = directory.join(FILE_NAME);
        let open = || -> std::io::Result<(File, String, u64)> {
            let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
            File::open(directory)?.sync_all()?;
            let mut text = read_tail(&mut file)?;
            let torn = cut_torn_line(&mut file, &mut text)?;
            Ok((file, text, u64::from(torn)))
        };
        let (file, text, mut dropped_lines) =
            open().map_err(|source| LedgerError::Open { path: path.clone(), source })?;
        let mut history = History::default();
        for line in text.lines() {
            match serde_json::from_str::<RunEvent>(line) {
                Ok(event) => history.apply(&event),
                Err(_) => dropped_lines += 1,
            }
        }
        let bytes = file.metadata().map_err(|source| LedgerError::Open { path: path.clone(), source })?.len();
        Ok(Self {
            path,
            file,
            bytes,
            rewrite_at: max_bytes,
            max_bytes,
            poisoned: false,
            history,
            dropped_lines,
        })
    }

    /// What the guards may know.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Whether events are still accepted.
    pub fn is_writable(&self) -> bool {
        !self.poisoned
    }

    /// Lines given up so far: torn, unreadable, or too old when the file grew too large.
    pub fn dropped_lines(&self) -> u64 {
        self.dropped_lines
    }

    /// Writes one event; if the step decides what was done, it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Write`], and after it always [`LedgerError::Poisoned`]. The event must then be taken as not
    /// written.
    pub fn append(&mut self, event: &RunEvent) -> Result<(), LedgerError> {
        if self.poisoned {
            return Err(LedgerError::Poisoned { path: self.path.clone() });
        }
        let written = self.write(event);
        if let Err(source) = written {
            self.poisoned = true;
            return Err(LedgerError::Write { path: self.path.clone(), source });
        }
        self.history.apply(event);
        Ok(())
    }

    fn write(&mut self, event: &RunEvent) -> std::io::Result<()> {
        if self.bytes >= self.rewrite_at {
            self.rewrite()?;
        }
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        if promises(&event.step) {
            check_in_place(&self.file, &self.path)?;
        }
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        if decides(&event.step) { self.file.sync_data() } else { Ok(()) }
    }

    #[cfg(test)]
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Keeps the newest half, and of what is older the lines that still count.
    fn rewrite(&mut self) -> std::io::Result<()> {
        let text = read_tail(&mut self.file)?;
        let lines: Vec<&str> = text.lines().collect();
        let mut kept_bytes = 0;
        let newest = lines.iter().rev().take_while(|line| {
            kept_bytes += line.len() as u64 + 1;
            kept_bytes <= self.max_bytes / 2
        });
        let first_new = lines.len() - newest.count();
        let recent: HashSet<RunId> = self.history.open().map(|(run, _)| run.clone()).collect();
        let mut fresh = String::new();
        for (at, line) in lines.iter().enumerate() {
            if at >= first_new || self.counts(line, &recent) {
                fresh.push_str(line);
                fresh.push('\n');
            } else {
                self.dropped_lines += 1;
            }
        }
        let beside = self.path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(fresh.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        self.file = OpenOptions::new().read(true).append(true).open(&self.path)?;
        self.bytes = fresh.len() as u64;
        // If all of it still counts, rewriting it at every event would help nobody.
        self.rewrite_at = self.max_bytes.max(self.bytes + self.max_bytes / 4);
        Ok(())
    }

    fn counts(&self, line: &str, open: &HashSet<RunId>) -> bool {
        let Ok(event) = serde_json::from_str::<RunEvent>(line) else { return false };
        let frame = matches!(
            event.step,
            RunStep::Matched { .. } | RunStep::Started { .. } | RunStep::Finished { .. }
        );
        open.contains(&event.run) || (frame && self.history.remembers(&event.run))
    }
}

/// Makes the file end with a whole line, and says whether it did not. `text` is what was read of its end.
fn cut_torn_line(file: &mut File, text: &mut String) -> std::io::Result<bool> {
    // A crash in the middle of a line; what follows the last newline was never promised to anybody.
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let torn = (text.len() - whole) as u64;
    if torn == 0 {
        return Ok(false);
    }
    let length = file.metadata()?.len();
    if whole == 0 && length > torn {
        // Its beginning was not read. It becomes a line of its own, which is no event.
        file.write_all(b"\n")?;
    } else {
        file.set_len(length.saturating_sub(torn))?;
    }
    text.truncate(whole);
    Ok(true)
}

/// Whether the next thing is done because the event was written.
fn promises(step: &RunStep) -> bool {
    matches!(step, RunStep::Started { .. } | RunStep::ActionIntended { .. })
}

/// Refuses a file that has been removed or replaced since it was opened: writing to it would succeed for ever.
fn check_in_place(file: &File, path: &Path) -> std::io::Result<()> {
    let (open, found) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    if open.nlink() > 0 && (open.dev(), open.ino()) == (found.dev(), found.ino()) {
        return Ok(());
    }
    Err(std::io::Error::other("another file has taken its place while it was open"))
}

/// Whether somebody must be able to rely on the event after a crash.
fn decides(step: &RunStep) -> bool {
    matches!(
        step,
        RunStep::Started { .. }
            | RunStep::ActionIntended { .. }
            | RunStep::ActionDone { .. }
            | RunStep::Finished { .. }
    )
}

/// The file's text, or the end of it when it is too large; bytes that are no text make their line unreadable.
fn read_tail(file: &mut File) -> std::io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_READ_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
    // One replacement character for one bad byte would change lengths, by which a torn line is cut.
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| {
        error.into_bytes().into_iter().map(|byte| if byte.is_ascii() { byte as char } else { '?' }).collect()
    }))
}

#[cfg(test)]
mod tests;
