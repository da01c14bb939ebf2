//! The run journal: an event a line, in segments, each line hashed with the one before it.
//!
//! An event that decides whether something was done is on disk before `append` returns: the start of a script, the
//! intention of an action, its outcome, the end. Before the first two the file must still be the one under its name: a
//! journal that nobody can find again keeps nothing. After a failed write nothing more goes into that file, because the
//! kernel may report the next sync of lost pages as a success; no script starts until the disk takes a new file, which is
//! tried again and again. A last line cut short by a crash is dropped. A segment begins with what counts of all before it, so a start reads the last one only, and the
//! oldest can go.

mod chain;
mod found;
mod segments;
mod takeover;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use telemetry::{RunEvent, RunId, RunOutcome, RunStep, Timestamp};

use crate::audit;
use crate::history::History;
pub use chain::{ChainHead, Hash};
pub(crate) use chain::{follows, opened};
pub(crate) use found::history_of;
use found::{Found, find};
pub(crate) use segments::{Head, Line, head_of, list, read, read_bytes};

/// How large a segment grows beside its head, and so how much a start reads: some five thousand runs.
const SEGMENT_BYTES: u64 = 4 << 20;

/// How long after a failed write the journal is tried again, at first and at most; twice as long each time.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_EVERY: Duration = Duration::from_mins(1);

/// Events that wait for the disk: the ends of all runs that can be in hand. What is more is lost, and logged by who told it.
const MAX_OWED: usize = 1_000;

/// How much is kept of all segments: some years of an ordinary host. Beyond, the oldest goes and is counted.
const KEPT_BYTES: u64 = 64 << 20;

/// The journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be opened or read.
    #[error("opening the run journal {}", path.display())]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is none.
    #[error("there is no run journal in {}; name the state directory of the agent", path.display())]
    Missing {
        /// The state directory.
        path: PathBuf,
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
    #[error("the run journal {} takes no events: a write failed; it is tried again on a new file until the disk takes it", path.display())]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
}

/// How large the journal is, and how it fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerFigures {
    /// Since when it has taken nothing, because writing failed.
    pub failing_since: Option<Timestamp>,
    /// Segments on disk.
    pub segments: u64,
    /// Of all of them.
    pub bytes: u64,
    /// Events since the host's first.
    pub events: u64,
    /// Of these, those whose segments are no longer kept.
    pub events_gone: u64,
    /// Lines that could not be read at the start.
    pub dropped_lines: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    segment: u64,
    kept: u64,
}

/// The run journal, open for appending.
#[derive(Debug)]
pub struct Ledger {
    state: PathBuf,
    path: PathBuf,
    file: File,
    number: u64,
    bytes: u64,
    /// Of `bytes`, those of the first line, which can be long.
    head_bytes: u64,
    /// The next event begins a segment: this one is full, or has lines that do not hang together.
    full: bool,
    sizes: Sizes,
    head: ChainHead,
    poisoned: bool,
    /// When the next segment is tried, and how long after that the one after it.
    retry: (Timestamp, Duration),
    /// What could not be written of runs that are known.
    owed: Vec<RunEvent>,
    history: History,
    figures: LedgerFigures,
}

impl Ledger {
    /// Opens the journal of a state directory, or begins one.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Open`]; what the files say never keeps them from being opened.
    pub fn open(state: &Path) -> Result<Self, LedgerError> {
        Self::open_with_sizes(state, Sizes { segment: SEGMENT_BYTES, kept: KEPT_BYTES })
    }

    fn open_with_sizes(state: &Path, sizes: Sizes) -> Result<Self, LedgerError> {
        let directory = state.join(segments::DIRECTORY);
        let failed = |source| LedgerError::Open { path: directory.clone(), source };
        segments::make_directory(state).map_err(failed)?;
        let mut there = list(state).map_err(failed)?;
        let mut taken_over_dropped = 0;
        if there.is_empty() {
            taken_over_dropped = takeover::begin_first(state).map_err(failed)?;
            there = list(state).map_err(failed)?;
        }
        takeover::clear(state).map_err(failed)?;
        let (number, path) = there.last().cloned().expect("the first segment was begun if there was none");
        let Found { file, bytes, head_bytes, torn, told } = find(&there, &path).map_err(failed)?;
        let mut ledger = Self {
            state: state.to_owned(),
            path,
            file,
            number,
            bytes,
            head_bytes,
            full: told.dropped > 0 || bytes == 0,
            sizes,
            head: ChainHead::new(told.last.unwrap_or_else(Hash::none)),
            poisoned: false,
            retry: (Timestamp::EPOCH, RETRY_AFTER),
            owed: Vec::new(),
            history: told.history,
            figures: LedgerFigures {
                events: told.events,
                dropped_lines: told.dropped + u64::from(torn) + taken_over_dropped,
                ..LedgerFigures::default()
            },
        };
        ledger.measure().map_err(failed)?;
        Ok(ledger)
    }

    /// What the guards may know.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Whether events are still accepted.
    pub fn is_writable(&self) -> bool {
        !self.poisoned
    }

    /// Lines that could not be read when the journal was opened: torn, or damaged.
    pub fn dropped_lines(&self) -> u64 {
        self.figures.dropped_lines
    }

    /// How large it is.
    pub fn figures(&self) -> LedgerFigures {
        self.figures
    }

    /// The hash of the newest line. It can be looked at without the journal.
    pub fn head(&self) -> ChainHead {
        self.head.clone()
    }

    /// The events of one run, in their order, as far as they are kept.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Open`]: the files cannot be read.
    pub fn events_of(&self, run: &RunId) -> Result<Vec<RunEvent>, LedgerError> {
        audit::events_of(&self.state, run)
            .map_err(|source| LedgerError::Open { path: self.path.clone(), source })
    }

    /// The newest runs, `at_most` of them, the newest first, each with its events.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Open`]: the files cannot be read.
    pub fn recent(&self, at_most: usize) -> Result<Vec<Vec<RunEvent>>, LedgerError> {
        audit::runs(&self.state, at_most, |_| true)
            .map_err(|source| LedgerError::Open { path: self.path.clone(), source })
    }

    /// Writes one event; if the step decides what was done, it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Write`], and after it [`LedgerError::Poisoned`] until [`Ledger::try_again`] helps. The event must then be taken as not
    /// written.
    pub fn append(&mut self, event: &RunEvent) -> Result<(), LedgerError> {
        if self.poisoned {
            self.owe(event);
            return Err(LedgerError::Poisoned { path: self.path.clone() });
        }
        if let Err(source) = self.write(event) {
            self.fails(event.at);
            self.owe(event);
            return Err(LedgerError::Write { path: self.path.clone(), source });
        }
        self.history.apply(event);
        self.figures.events += 1;
        Ok(())
    }

    fn write(&mut self, event: &RunEvent) -> std::io::Result<()> {
        if self.full || self.bytes.saturating_sub(self.head_bytes) >= self.sizes.segment {
            self.begin_next(event.at)?;
        }
        let (line, hash) = chain::sealed(&self.head.get(), &serde_json::to_string(event)?);
        if promises(&event.step) {
            check_in_place(&self.file, &self.path)?;
        }
        self.file.write_all(line.as_bytes())?;
        if decides(&event.step) {
            self.file.sync_data()?;
        }
        self.bytes += line.len() as u64;
        self.figures.bytes += line.len() as u64;
        self.head.set(hash);
        Ok(())
    }

    /// Keeps what became of a run that is known, so that the run does not stay open when the disk is well.
    fn owe(&mut self, event: &RunEvent) {
        let tells_an_end = matches!(
            event.step,
            RunStep::ActionDone { .. }
                | RunStep::RolledBack { .. }
                | RunStep::Decided { .. }
                | RunStep::Demoted { .. }
                | RunStep::Finished { .. }
        );
        if tells_an_end && self.owed.len() < MAX_OWED && self.history.remembers(&event.run) {
            self.owed.push(event.clone());
        }
    }

    fn fails(&mut self, now: Timestamp) {
        self.poisoned = true;
        self.figures.failing_since.get_or_insert(now);
        self.retry = (now.plus(RETRY_AFTER), RETRY_AFTER);
    }

    /// Takes events again after a failed write, if the disk takes a new segment; to be called now and then. The segment
    /// that failed is left as it is, but for what it holds beyond the last event that was taken: nobody was told that that
    /// was written. Says whether it has just begun to take events again.
    pub fn try_again(&mut self, now: Timestamp) -> bool {
        let (at, after) = self.retry;
        // A clock that has jumped back must not put it off for ever.
        if !self.poisoned || (now < at && at.since(now) <= after) {
            return false;
        }
        let begun = self.seal_failed().and_then(|()| self.begin_next_after_failure(now));
        if begun.is_err() {
            let after = (after * 2).min(RETRY_EVERY);
            self.retry = (now.plus(after), after);
            return false;
        }
        (self.poisoned, self.figures.failing_since) = (false, None);
        std::mem::take(&mut self.owed).iter().all(|event| self.append(event).is_ok())
    }

    /// Cuts off what was written of an event that was not taken; a file that is gone or replaced is nobody's.
    fn seal_failed(&mut self) -> std::io::Result<()> {
        if check_in_place(&self.file, &self.path).is_ok() && self.file.metadata()?.len() > self.bytes {
            self.file.set_len(self.bytes)?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn poison(&mut self) {
        self.fails(Timestamp::EPOCH);
    }

    /// Begins the next segment, and lets go of the oldest ones that are too much.
    fn begin_next(&mut self, at: Timestamp) -> std::io::Result<()> {
        check_in_place(&self.file, &self.path)?;
        // What the next segment follows must not be lost before it.
        self.file.sync_data()?;
        self.begin_next_after_failure(at)
    }

    /// Begins the next segment, whatever has become of the one before.
    fn begin_next_after_failure(&mut self, at: Timestamp) -> std::io::Result<()> {
        let head = Head {
            segment: self.number + 1,
            at: Some(at),
            before: self.head.get().as_str().to_owned(),
            events_before: self.figures.events,
            history: self.history.clone(),
        };
        let begun = segments::begin(&self.state, &head, &[])?;
        (self.path, self.file, self.bytes) = (begun.path, begun.file, begun.bytes);
        self.head_bytes = begun.bytes;
        self.head.set(begun.last);
        self.number += 1;
        self.full = false;
        self.measure()
    }

    /// Removes the oldest segments while all take too much, and counts what is there.
    fn measure(&mut self) -> std::io::Result<()> {
        let mut there = Vec::new();
        for (_, path) in list(&self.state)? {
            there.push((std::fs::symlink_metadata(&path)?.len(), path));
        }
        let mut bytes: u64 = there.iter().map(|(size, _)| size).sum();
        let mut oldest = there.iter().peekable();
        let mut segments = there.len();
        while bytes > self.sizes.kept
            && segments > 1
            && let Some((size, path)) = oldest.next()
        {
            std::fs::remove_file(path)?;
            bytes -= size;
            segments -= 1;
        }
        // Without a head that can be read, nothing is claimed to be gone.
        let head = oldest.peek().and_then(|(_, path)| head_of(path));
        self.figures.events_gone = head.map_or(0, |head| head.events_before);
        self.figures.segments = segments as u64;
        self.figures.bytes = bytes;
        Ok(())
    }
}

/// Whether the next thing is done because the event was written.
fn promises(step: &RunStep) -> bool {
    matches!(step, RunStep::Started { .. } | RunStep::ActionIntended { .. } | RunStep::StepBegun { .. })
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
    // A run that was not begun leaves nothing behind, and strangers can have many of them refused.
    let undone = [RunOutcome::Refused, RunOutcome::Observed];
    if matches!(step, RunStep::Finished { outcome, .. } if undone.contains(outcome)) {
        return false;
    }
    promises(step)
        || matches!(
            step,
            RunStep::ActionDone { .. }
                | RunStep::StepDone { .. }
                | RunStep::UndoEnded { .. }
                | RunStep::Awaiting { .. }
                | RunStep::Decided { .. }
                | RunStep::RolledBack { .. }
                | RunStep::Demoted { .. }
                | RunStep::Released { .. }
                | RunStep::Finished { .. }
        )
}

#[cfg(test)]
mod tests;
