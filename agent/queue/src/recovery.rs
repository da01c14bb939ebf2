//! Opening what a process before this one left, whatever state it is in.
//!
//! Reads the header of every segment and the whole of the newest one only; the segments between need none, because each
//! begins with the totals of all before it. A segment is never written again once its process has ended, so appending
//! always begins a new one.

use std::io;
use std::sync::Arc;

use crate::figures::Opening;
use crate::fs::FileSystem;
use crate::options::Options;
use crate::position::Saved;
use crate::progress::Progress;
use crate::reserve;
use crate::scan::{BLOCK, Scanner, Window};
use crate::segment::{self, Header, Kind, Name};
use crate::shared::{Segment, Shared, State};
use crate::survey::{DAMAGED, Survey, Surveyed, UNKNOWN_VERSION};
use crate::totals::{LossReason, Mark};
use crate::writer::Writer;

/// How many damaged segments are kept aside for a person to look at; the oldest beyond are removed.
const SET_ASIDE_LIMIT: usize = 16;

pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Writer,
    pub(crate) opening: Opening,
}

struct Recovery<'a> {
    fs: &'a dyn FileSystem,
    id: u64,
    opening: Opening,
}

/// Opens the queue in a directory; `fresh_id` is its id if it is new.
///
/// # Errors
///
/// Only when the directory cannot be listed, or a segment in it can neither be read nor set aside: then the disk is away,
/// and appending would put new records in the place of those that cannot be seen.
pub(crate) fn open(fs: Arc<dyn FileSystem>, options: Options, fresh_id: u64) -> io::Result<Opened> {
    let survey = Survey::of(&*fs)?;
    let id = survey.id().unwrap_or(fresh_id);
    let last_name = survey.segments.last().map(|segment| segment.name);
    let mut recovery = Recovery { fs: &*fs, id, opening: Opening::default() };
    recovery.opening.orphans = survey.orphans;
    for temporary in &survey.temporaries {
        let _ = fs.remove(temporary);
    }
    let mut state = State::default();
    recovery.segments(survey.segments, &survey.positions, &mut state)?;
    recovery.cursors(survey.positions, &mut state);
    recovery.limit_set_aside(survey.set_aside);
    if survey.reserve.is_some() && !options.reserve {
        let _ = fs.remove(reserve::FILE);
    }
    let opening = recovery.opening;
    state.positions_due = true;
    let shared = Arc::new(Shared::new(fs, options, id, state));
    let writer = Writer::new(Arc::clone(&shared), last_name);
    Ok(Opened { shared, writer, opening })
}

impl Recovery<'_> {
    fn segments(
        &mut self,
        surveyed: Vec<Surveyed>,
        positions: &[(String, Option<Saved>)],
        state: &mut State,
    ) -> io::Result<()> {
        // From the newest to the oldest, so that each segment's end is the start of the one before it.
        let mut next: Option<(Mark, i64)> = None;
        for candidate in surveyed.into_iter().rev() {
            if next.is_some_and(|(start, _)| start.seq == candidate.name.first) {
                // An attempt that was given up before anything in it was acknowledged.
                let _ = self.fs.remove(&candidate.name.file());
                continue;
            }
            let Some(segment) = self.segment(&candidate, next)? else { continue };
            next = Some((segment.start, segment.opened));
            if state.segments.is_empty() {
                state.end = segment.end;
            }
            if segment.end.seq == segment.start.seq {
                let _ = self.fs.remove(&segment.name.file());
            } else {
                state.segments.push_front(segment);
            }
        }
        if state.segments.is_empty() {
            let ours = positions.iter().filter_map(|(_, saved)| *saved).filter(|saved| saved.id == self.id);
            state.end = ours.fold(state.end, |end, saved| end.later(saved.mark));
        }
        Ok(())
    }

    /// What a segment's file holds; none if it was set aside. `next` tells where the segment after it starts.
    fn segment(&mut self, candidate: &Surveyed, next: Option<(Mark, i64)>) -> io::Result<Option<Segment>> {
        let name = candidate.name;
        let header = match &candidate.kind {
            // One whose name says otherwise is a copy, or was renamed by hand.
            Ok(Kind::Ours(header)) => Some(*header).filter(|header| header.start.seq == name.first),
            Ok(Kind::OtherVersion(_)) => return self.set_aside(name, UNKNOWN_VERSION),
            Ok(Kind::Damaged) => None,
            Err(_) => return self.set_aside(name, DAMAGED),
        };
        if candidate.size < segment::HEADER as u64 {
            self.opening.torn_tails += 1;
            self.opening.torn_bytes += candidate.size;
            let _ = self.fs.remove(&name.file());
            return Ok(None);
        }
        let id = header.map_or(self.id, |header| header.id);
        let Some(header) = header.or_else(|| self.first_record(candidate, id)) else {
            return self.set_aside(name, DAMAGED);
        };
        let Some((end, newest)) = next else {
            return self.tail(candidate, header).map(Some).or_else(|_| self.set_aside(name, DAMAGED));
        };
        let Header { start, opened, .. } = header;
        let size = candidate.size;
        Ok(Some(Segment { name, start, end, length: size, disk_bytes: size, id, opened, newest }))
    }

    /// Stands in for a damaged header: the first record that can be read.
    fn first_record(&self, candidate: &Surveyed, id: u64) -> Option<Header> {
        let file = self.fs.open(&candidate.name.file()).ok()?;
        let window = Window { file: &*file, id, limit: candidate.size, below: u64::MAX, salvage: false };
        let found = Scanner::new(0, BLOCK).next(window, candidate.name.first).ok()??;
        let start = Mark { seq: candidate.name.first, ..found.header.at };
        Some(Header { id, start, opened: found.header.received })
    }

    /// Reads the newest segment to the end of its last good record, and cuts off what is behind.
    fn tail(&mut self, candidate: &Surveyed, header: Header) -> io::Result<Segment> {
        let name = candidate.name;
        let file = self.fs.open(&name.file())?;
        let Header { id, start, opened } = header;
        let window = Window { file: &*file, id, limit: candidate.size, below: u64::MAX, salvage: false };
        let mut scanner = Scanner::new(segment::HEADER as u64, BLOCK);
        let (mut end, mut length, mut newest) = (start, segment::HEADER as u64, opened);
        while let Some(found) = scanner.next(window, end.seq)? {
            end = found.header.end();
            length = found.end();
            newest = newest.max(found.header.received);
        }
        let torn = candidate.size.saturating_sub(length);
        if torn > 0 {
            self.opening.torn_tails += 1;
            self.opening.torn_bytes += torn;
        }
        // Should this fail, the next segment's start says that nothing follows here. The sync is for records that were
        // written and not yet synced when the process ended: they are about to be read.
        let _ = self.fs.open_for_writing(&name.file()).and_then(|file| {
            file.set_length(length)?;
            file.sync_data()
        });
        Ok(Segment { name, start, end, length, disk_bytes: length, id, opened, newest })
    }

    fn set_aside(&mut self, name: Name, suffix: &str) -> io::Result<Option<Segment>> {
        let (file, aside) = (name.file(), format!("{}{suffix}", name.file()));
        match self.fs.rename(&file, &aside) {
            // Nothing can be written there, so nothing can take its place either.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {}
            renamed => renamed?,
        }
        if suffix == DAMAGED {
            self.opening.quarantined.push(aside);
        } else {
            self.opening.unknown_version.push(aside);
        }
        Ok(None)
    }

    fn cursors(&mut self, positions: Vec<(String, Option<Saved>)>, state: &mut State) {
        let oldest = state.oldest();
        for (name, saved) in positions {
            let trusted = saved.filter(|saved| {
                let Saved { id, mark, base, .. } = *saved;
                let fits = mark.may_precede(oldest) || oldest.may_precede(mark);
                id == self.id && fits && base.may_precede(mark) && mark.may_precede(state.end)
            });
            let progress = if let Some(saved) = trusted {
                let mut progress = Progress::restored(&saved);
                progress.advance(oldest, Some(LossReason::Damaged));
                progress
            } else {
                self.opening.positions_reset.push(name.clone());
                Progress::beginning(oldest)
            };
            state.cursors.insert(name, progress);
        }
    }

    fn limit_set_aside(&mut self, already: Vec<String>) {
        let mut damaged: Vec<String> = already.into_iter().filter(|name| name.ends_with(DAMAGED)).collect();
        damaged.extend(self.opening.quarantined.iter().cloned());
        let excess = damaged.len().saturating_sub(SET_ASIDE_LIMIT);
        for name in damaged.iter().take(excess) {
            let _ = self.fs.remove(name);
        }
    }
}
