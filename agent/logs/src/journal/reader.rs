//! Reads the journal files of some directories as one journal.
//!
//! Entries come in their order over all files. Every file has a place of its own, by its id, which stays when it is renamed:
//! so it does not matter in which order journald writes into several files and in which order they are looked at. A file is
//! held open until its last entry was read, also when it was removed meanwhile; only what journald vacuums it also empties.

mod directories;
mod follow;

use std::collections::BTreeMap;
use std::path::PathBuf;

use telemetry::Timestamp;

use crate::{LogSourceError, StartAt};

use super::copies::Copies;
use super::entry::{Defects, FieldView, Fields};
use super::file::Fault;
use super::layout::Id128;
use super::place::JournalPlace;
use super::sequence::Sequence;
use super::windows::Windows;

use directories::Directories;
use follow::{Follow, Turn};

/// Sequences whose numbers are watched. A host has one, and another one after its journal was removed; the one that was
/// seen first is forgotten at the limit.
const MAX_SEQUENCES: usize = 64;

/// Problems that wait to be told; more are counted only.
const MAX_PROBLEMS: usize = 16;

/// What a reader was told to remember and is to go on from.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// The place in each file, by its id.
    pub(super) files: BTreeMap<Id128, JournalPlace>,
    /// The highest number that was read of each sequence.
    pub(super) sequences: Vec<(Id128, u64)>,
    /// The entry that was read last.
    pub(super) last: Option<JournalPlace>,
}

/// What was lost, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) rotated_away: u64,
    pub(super) damaged: u64,
    pub(super) unreadable_fields: u64,
}

/// Reads the journal files of some directories as one journal, in the order of their entries.
#[derive(Debug)]
pub struct JournalReader {
    directories: Directories,
    follows: Vec<Follow>,
    remembered: Remembered,
    /// Nothing was remembered: this is where files that are there already begin.
    first_start: Option<StartAt>,
    /// All files that were there at the start have been looked at.
    has_looked: bool,
    sequences: Vec<Sequence>,
    windows: Windows,
    fields: Fields,
    /// Where there is one directory only, nothing is copied.
    copies: Option<Copies>,
    losses: Losses,
    defects: Defects,
    problems: Vec<LogSourceError>,
    /// Which file is read, and the entry at which another one has its turn.
    turn: Option<(usize, Option<JournalPlace>)>,
    current: JournalPlace,
    now: Timestamp,
}

impl JournalReader {
    /// Reads the files in `directories`, of which any may come later. Of a field so many bytes are read at most.
    pub fn open(directories: Vec<PathBuf>, start: StartAt, max_field_bytes: usize) -> Self {
        Self::resume(directories, start, max_field_bytes, Remembered::default())
    }

    pub(super) fn resume(
        directories: Vec<PathBuf>,
        start: StartAt,
        max_field_bytes: usize,
        remembered: Remembered,
    ) -> Self {
        let is_first = remembered.files.is_empty() && remembered.last.is_none();
        let copies = (directories.len() > 1).then(Copies::default);
        let sequences = remembered.sequences.iter().map(|(id, highest)| Sequence::new(*id, *highest));
        Self {
            directories: Directories::new(directories),
            follows: Vec::new(),
            first_start: is_first.then_some(start),
            has_looked: false,
            sequences: sequences.collect(),
            remembered,
            windows: Windows::default(),
            fields: Fields::new(max_field_bytes),
            copies,
            losses: Losses::default(),
            defects: Defects::default(),
            problems: Vec::new(),
            turn: None,
            current: JournalPlace::default(),
            now: Timestamp::EPOCH,
        }
    }

    /// Looks which files and entries there are now; `with_directories` also for files that came or went.
    pub fn refresh(&mut self, now: Timestamp, with_directories: bool) {
        self.now = now;
        self.windows.forget();
        if with_directories {
            self.look_for_files();
        }
        for at in 0..self.follows.len() {
            self.refresh_file(at);
        }
        self.turn = None;
    }

    fn refresh_file(&mut self, at: usize) {
        let Some(follow) = self.follows.get_mut(at) else { return };
        if let Err(reason) = follow.refresh(self.now) {
            let path = follow.path.clone();
            self.report(LogSourceError::Damaged { path, reason: reason.to_owned() });
        }
        self.load_head(at);
    }

    /// Finds the next entry of a file, past those that cannot be read.
    fn load_head(&mut self, at: usize) {
        loop {
            let Some(follow) = self.follows.get_mut(at) else { return };
            match follow.advance(&mut self.windows) {
                Turn::Ready | Turn::Nothing => return,
                Turn::Damaged { count, fault } => {
                    let (Fault::Entry(reason) | Fault::Chain(reason)) = fault;
                    self.lose_damaged(at, count, reason);
                }
            }
        }
    }

    fn lose_damaged(&mut self, at: usize, count: u64, reason: &'static str) {
        let Some(follow) = self.follows.get_mut(at) else { return };
        self.losses.damaged = self.losses.damaged.saturating_add(count);
        let (id, path) = (follow.file.header.seqnum_id, follow.path.clone());
        let is_news = !std::mem::replace(&mut follow.is_known_damaged, true);
        self.sequence(id).excuse(count);
        if is_news {
            self.report(LogSourceError::Damaged { path, reason: reason.to_owned() });
        }
    }

    fn report(&mut self, problem: LogSourceError) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    /// What went wrong since it was last asked for, one after the other.
    pub fn take_problem(&mut self) -> Option<LogSourceError> {
        (!self.problems.is_empty()).then(|| self.problems.remove(0))
    }

    /// Whether there is a problem to be told.
    pub(super) const fn has_problem(&self) -> bool {
        !self.problems.is_empty()
    }

    fn sequence(&mut self, id: Id128) -> &mut Sequence {
        let at = self.sequences.iter().position(|sequence| sequence.id == id).unwrap_or_else(|| {
            if self.sequences.len() >= MAX_SEQUENCES {
                self.sequences.remove(0);
            }
            self.sequences.push(Sequence::new(id, 0));
            self.sequences.len() - 1
        });
        self.sequences.get_mut(at).expect("it was found or added")
    }

    /// Reads the next entry of those that were there at the last [`JournalReader::refresh`].
    pub fn next_entry(&mut self) -> Option<JournalEntry<'_>> {
        while let Some(at) = self.choose() {
            let follow = self.follows.get_mut(at)?;
            let head = follow.take()?;
            if self.copies.as_mut().is_some_and(|copies| copies.is_one(&follow.place)) {
                let JournalPlace { seqnum_id, seqnum, .. } = follow.place;
                self.sequence(seqnum_id).saw(seqnum);
                self.load_head(at);
                continue;
            }
            let read = self.fields.read(&follow.file, &head, &mut self.windows);
            self.current = follow.place;
            self.remembered.last = Some(self.current);
            match read {
                Ok(defects) => {
                    self.defects = defects;
                    self.after_reading(at, defects);
                    return Some(JournalEntry { place: self.current, fields: &self.fields });
                }
                Err(reason) => {
                    self.lose_damaged(at, 1, reason);
                    self.load_head(at);
                }
            }
        }
        self.end_round();
        None
    }

    fn after_reading(&mut self, at: usize, defects: Defects) {
        let JournalPlace { seqnum_id, seqnum, .. } = self.current;
        self.sequence(seqnum_id).saw(seqnum);
        if let Some(reason) = defects.reason {
            self.losses.unreadable_fields += defects.unreadable;
            self.lose_damaged(at, 0, reason);
        }
        self.load_head(at);
    }

    /// The file whose entry comes next.
    fn choose(&mut self) -> Option<usize> {
        let (at, bound) = self.turn.unwrap_or((usize::MAX, None));
        let next = self.follows.get(at).and_then(Follow::head_place);
        if let Some(next) = next
            && bound.is_none_or(|bound| next.order(&bound).is_le())
        {
            return Some(at);
        }
        let mut best: Option<(usize, JournalPlace)> = None;
        let mut bound: Option<JournalPlace> = None;
        for (at, follow) in self.follows.iter().enumerate() {
            let Some(place) = follow.head_place() else { continue };
            let beaten = match best {
                Some((_, first)) if place.order(&first).is_lt() => best.replace((at, place)),
                Some(_) => Some((at, place)),
                None => {
                    best = Some((at, place));
                    None
                }
            };
            if let Some((_, place)) = beaten
                && bound.is_none_or(|bound| place.order(&bound).is_lt())
            {
                bound = Some(place);
            }
        }
        self.turn = best.map(|(at, _)| (at, bound));
        best.map(|(at, _)| at)
    }

    /// All that was there has been read.
    fn end_round(&mut self) {
        self.turn = None;
        self.windows.release();
        self.losses.rotated_away = self
            .sequences
            .iter_mut()
            .fold(self.losses.rotated_away, |sum, sequence| sum.saturating_add(sequence.round_is_over()));
        self.close_files();
    }

    /// Whether it should look again soon, although nothing tells it to.
    pub(super) fn waits(&self) -> bool {
        self.sequences.iter().any(Sequence::waits) || self.follows.iter().any(Follow::waits)
    }

    /// What was lost since it was opened.
    pub(super) const fn losses(&self) -> Losses {
        self.losses
    }

    /// What could not be read of the last entry.
    pub(super) const fn defects(&self) -> Defects {
        self.defects
    }

    /// How many bytes of entries have not been read, about, and how many files are followed.
    pub(super) fn backlog(&self) -> (u64, u64) {
        (self.follows.iter().map(Follow::bytes_left).sum(), self.follows.len() as u64)
    }

    /// What is to be remembered so that a restart goes on after the last entry.
    pub(super) fn remembered(&mut self) -> &Remembered {
        for follow in &self.follows {
            self.remembered.files.insert(follow.file.header.file_id, follow.place);
        }
        self.remembered.sequences = self.sequences.iter().map(|it| (it.id, it.highest)).collect();
        &self.remembered
    }
}

/// One entry of a journal.
#[derive(Clone, Copy, Debug)]
pub struct JournalEntry<'a> {
    place: JournalPlace,
    fields: &'a Fields,
}

impl<'a> JournalEntry<'a> {
    /// Where it is and when it was received.
    pub const fn place(&self) -> JournalPlace {
        self.place
    }

    /// Its fields, names and values, in the order of the file. A name may be there several times.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    pub(super) fn views(&self) -> impl Iterator<Item = FieldView<'a>> + Clone {
        self.fields.iter()
    }
}
