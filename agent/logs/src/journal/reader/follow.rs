//! One file that is followed.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use telemetry::Timestamp;

use crate::journal::file::{Fault, Head, JournalFile};
use crate::journal::place::{After, JournalPlace};
use crate::journal::windows::Windows;

/// A file that nobody can open any more and that its writer has not ended is held for so long after its last entry:
/// journald goes on with it until it notices.
const HOLD_DELETED: Duration = Duration::from_mins(1);

/// So many entries one after the other that cannot be read are the end of the file.
const MAX_DAMAGED_IN_ROW: u32 = 1000;

/// What came of looking for the next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is one.
    Ready,
    /// There is none, or it is not all there yet.
    Nothing,
    /// So many cannot be read and were passed over.
    Damaged { count: u64, fault: Fault },
}

/// Why nothing more comes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing will be appended any more, or its header cannot be read any more.
    Final,
    /// It was vacuumed: journald empties what it removes, so that whoever holds it has nothing of it either.
    Emptied,
}

/// A file that is followed.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) path: PathBuf,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    pub(super) file: JournalFile,
    /// Whether it was there when the directories were last looked at.
    pub(super) is_there: bool,
    pub(super) is_known_damaged: bool,
    /// After the last entry that was read.
    pub(super) place: JournalPlace,
    after: After,
    head: Option<Head>,
    /// The index of an entry that could not be read, once, in a file that is being written.
    doubtful: Option<u64>,
    damaged_in_row: u32,
    last_growth: Timestamp,
    /// Why nothing more comes, where that is so.
    end: Option<End>,
}

impl Follow {
    pub(super) fn new(
        path: PathBuf,
        identity: (u64, u64),
        file: JournalFile,
        after: After,
        place: JournalPlace,
        now: Timestamp,
    ) -> Self {
        Self {
            path,
            identity,
            file,
            is_there: true,
            is_known_damaged: false,
            place,
            after,
            head: None,
            doubtful: None,
            damaged_in_row: 0,
            last_growth: now,
            end: None,
        }
    }

    /// Goes to where it is to be read from.
    pub(super) fn seek(&mut self, windows: &mut Windows) {
        let after = self.after;
        if !matches!(after, After::Nothing) {
            self.file.seek(windows, |entry| after.precedes(entry));
        }
    }

    /// Whether it may still be written. What journald found damaged is named `.journal~` and keeps its state.
    pub(super) fn is_live(&self) -> bool {
        self.file.is_live() && !self.path.as_os_str().as_encoded_bytes().ends_with(b"~")
    }

    /// Sees what was appended.
    pub(super) fn refresh(&mut self, now: Timestamp) -> Result<(), &'static str> {
        if self.end.is_some() && self.file.left() == 0 {
            return Ok(());
        }
        let before = self.file.header.n_entries;
        let refreshed = self.file.refresh();
        if refreshed.is_err() && self.is_deleted() {
            self.give_up();
        }
        if self.end.is_some() {
            return Ok(());
        }
        self.end = (refreshed.is_err() || !self.is_live()).then_some(End::Final);
        if self.file.header.n_entries != before {
            self.last_growth = now;
        }
        refreshed
    }

    /// Finds the next entry, unless it is known.
    pub(super) fn advance(&mut self, windows: &mut Windows) -> Turn {
        if self.head.is_some() {
            return Turn::Ready;
        }
        loop {
            match self.file.peek(windows) {
                Ok(None) => return Turn::Nothing,
                Ok(Some(head)) => {
                    (self.doubtful, self.damaged_in_row) = (None, 0);
                    if self.after.precedes(&head.entry) {
                        self.head = Some(head);
                        return Turn::Ready;
                    }
                    self.file.step(&head);
                }
                Err(_) if self.is_deleted() && self.file.refresh().is_err() => {
                    self.give_up();
                    return Turn::Nothing;
                }
                // What is being written may be seen before it is complete, but not twice.
                Err(_) if self.is_live() && self.doubtful != Some(self.file.next) => {
                    self.doubtful = Some(self.file.next);
                    return Turn::Nothing;
                }
                Err(fault) => return self.pass_over(fault),
            }
        }
    }

    /// Takes what is left of it for vacuumed: the hole in the numbers counts it.
    fn give_up(&mut self) {
        (self.head, self.end) = (None, Some(End::Emptied));
        self.file.skip(self.file.left());
    }

    fn is_deleted(&self) -> bool {
        self.file.handle.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    fn pass_over(&mut self, fault: Fault) -> Turn {
        self.damaged_in_row += 1;
        let is_end = matches!(fault, Fault::Chain(_)) || self.damaged_in_row > MAX_DAMAGED_IN_ROW;
        let count = if is_end { self.file.left() } else { 1 };
        self.file.skip(count);
        // The one after it was complete before it was counted, or is as damaged.
        self.doubtful = Some(self.file.next);
        Turn::Damaged { count, fault }
    }

    /// The next entry, which has been found.
    pub(super) fn head_place(&self) -> Option<JournalPlace> {
        self.head.as_ref().map(|head| JournalPlace::of(&head.entry, self.file.header.seqnum_id))
    }

    /// Takes the next entry: it counts as read.
    pub(super) fn take(&mut self) -> Option<Head> {
        let head = self.head.take()?;
        self.place = JournalPlace::of(&head.entry, self.file.header.seqnum_id);
        self.file.step(&head);
        Some(head)
    }

    /// Whether an entry is to be looked at again.
    pub(super) fn waits(&self) -> bool {
        self.doubtful == Some(self.file.next) && self.file.left() > 0
    }

    /// Whether all was read and nothing more comes.
    pub(super) fn is_done(&self, now: Timestamp) -> bool {
        let is_read = self.head.is_none() && self.file.left() == 0;
        let is_held = now.since(self.last_growth) < HOLD_DELETED;
        let is_gone = || self.end == Some(End::Emptied) || (!self.is_there && self.is_deleted() && !is_held);
        is_read && (!self.is_live() || is_gone())
    }

    /// How many bytes there are still, if all entries are of one size.
    pub(super) fn bytes_left(&self) -> u64 {
        let (left, all) = (self.file.left() as f64, self.file.header.n_entries.max(1) as f64);
        (self.file.header.tail_object_offset as f64 * left / all) as u64
    }
}
