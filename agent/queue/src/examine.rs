//! Looking into a queue's directory from outside, for the command line: what is there, whether it is whole, and what
//! the records are. Needs no lock, so a queue in use may be looked at; what it does meanwhile may show as damage.

use std::ops::ControlFlow;
use std::path::Path;

use crate::error::OpenError;
use crate::figures::Opening;
use crate::fs::FileSystem;
use crate::fs::disk::Disk;
use crate::options::Options;
use crate::position::Saved;
use crate::queue;
use crate::record::Entry;
use crate::scan::{BLOCK, Scanner, Window};
use crate::segment::{self, Header, Kind};
use crate::survey::{Survey, Surveyed};
use crate::totals::{Lost, Mark, Totals};

/// A queue's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// By sequence number.
    pub segments: Vec<SegmentSummary>,
    /// By name.
    pub positions: Vec<PositionSummary>,
    /// Bytes of the reserve's file, if there is one.
    pub reserve_bytes: Option<u64>,
    /// Segments that were set aside because they are damaged or of an unknown version.
    pub set_aside: Vec<String>,
    /// Files that are none of the queue's.
    pub orphans: Vec<String>,
}

/// A segment, by what its first bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// The file's name.
    pub file: String,
    /// The file's size.
    pub bytes: u64,
    /// The sequence number of its first record, by its name.
    pub first: u64,
    /// When its first record was received, in nanoseconds since the epoch; none if its header cannot be read.
    pub opened: Option<i64>,
    /// What it holds, by the header of the segment after it; none for the newest, and where a header cannot be read.
    pub held: Option<Totals>,
    /// What is the matter with its header.
    pub complaint: Option<String>,
}

/// A cursor's position file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionSummary {
    /// The cursor.
    pub cursor: String,
    /// What it says; none if it cannot be read.
    pub saved: Option<PositionFigures>,
}

/// What a position file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionFigures {
    /// The sequence number of the oldest record that is not done with.
    pub next: u64,
    /// What the cursor acknowledged since it began.
    pub delivered: Totals,
    /// What it lost since it began.
    pub lost: Lost,
}

/// What reading a whole segment found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentCheck {
    /// The file's name.
    pub file: String,
    /// Records that are whole.
    pub good: Totals,
    /// What is missing between the good records, and up to the segment after it.
    pub missing: Totals,
    /// Records with a good header and a damaged payload.
    pub damaged_payloads: u64,
    /// Bytes between good records in which none could be recognised.
    pub unrecognised_bytes: u64,
    /// Bytes behind the last good record of the newest segment, which opening will cut. Elsewhere they are what is left
    /// of a write that failed, and mean nothing.
    pub torn_bytes: u64,
    /// Why the file could not be read, or is not read.
    pub complaint: Option<String>,
}

impl SegmentCheck {
    /// Whether nothing is the matter with the segment.
    pub fn is_whole(&self) -> bool {
        self.complaint.is_none()
            && self.missing == Totals::default()
            && self.damaged_payloads == 0
            && self.unrecognised_bytes == 0
            && self.torn_bytes == 0
    }
}

fn look(directory: &Path) -> Result<(Disk, Survey), OpenError> {
    let failed = |source| OpenError::Directory { directory: directory.to_owned(), source };
    let disk = Disk::look(directory).map_err(failed)?;
    let survey = Survey::of(&disk).map_err(failed)?;
    Ok((disk, survey))
}

/// Whether a queue in use owns the directory.
///
/// # Errors
///
/// When the directory cannot be opened.
pub fn is_in_use(directory: &Path) -> Result<bool, OpenError> {
    let failed = |source| OpenError::Directory { directory: directory.to_owned(), source };
    Disk::is_owned(directory).map_err(failed)
}

/// Says what is in a queue's directory, by names and first bytes.
///
/// # Errors
///
/// When the directory cannot be listed.
pub fn inspect(directory: &Path) -> Result<Inspection, OpenError> {
    let (_, survey) = look(directory)?;
    let starts: Vec<Option<Mark>> =
        survey.segments.iter().map(|segment| header(segment).map(|h| h.start)).collect();
    let mut next = starts.iter().skip(1);
    let segments = survey.segments.iter().map(|segment| {
        let ours = header(segment);
        let end = next.next().copied().flatten();
        SegmentSummary {
            file: segment.name.file(),
            bytes: segment.size,
            first: segment.name.first,
            opened: ours.map(|header| header.opened),
            held: ours.zip(end).map(|(header, end)| end.since(header.start)),
            complaint: complaint(segment),
        }
    });
    Ok(Inspection {
        segments: segments.collect(),
        positions: survey.positions.into_iter().map(summary).collect(),
        reserve_bytes: survey.reserve,
        set_aside: survey.set_aside,
        orphans: survey.orphans,
    })
}

/// Reads every record of every segment, and says what is not whole.
///
/// # Errors
///
/// When the directory cannot be listed.
pub fn fsck(directory: &Path) -> Result<Vec<SegmentCheck>, OpenError> {
    let (disk, survey) = look(directory)?;
    let id = survey.id().unwrap_or(0);
    let ends = survey.segments.iter().skip(1).map(|next| Some(next.name.first)).chain([None]);
    let checks = survey.segments.iter().zip(ends).map(|(segment, end)| {
        let mut check = SegmentCheck { file: segment.name.file(), ..SegmentCheck::default() };
        let read = |_: u64, _: Entry| ControlFlow::Continue(());
        let _ = visit(&disk, segment, id, end, &mut check, read);
        check
    });
    Ok(checks.collect())
}

/// Does to a queue's directory what opening it does: cuts torn tails, sets aside what cannot be read, replaces positions
/// that are lost. Applies no limits.
///
/// # Errors
///
/// When the directory cannot be had, or a queue in use owns it.
pub fn repair(directory: &Path) -> Result<Opening, OpenError> {
    let (mut opened, _lock) = queue::own(directory, Options::default())?;
    opened.writer.save_positions();
    Ok(opened.opening)
}

/// Gives every record that can be read to `each`, with its sequence number, until that breaks off.
///
/// # Errors
///
/// When the directory cannot be listed.
pub fn export(
    directory: &Path,
    mut each: impl FnMut(u64, Entry) -> ControlFlow<()>,
) -> Result<(), OpenError> {
    let (disk, survey) = look(directory)?;
    let id = survey.id().unwrap_or(0);
    let ends = survey.segments.iter().skip(1).map(|next| Some(next.name.first)).chain([None]);
    for (segment, end) in survey.segments.iter().zip(ends) {
        if visit(&disk, segment, id, end, &mut SegmentCheck::default(), &mut each).is_break() {
            break;
        }
    }
    Ok(())
}

/// Reads one segment, counts into `check`, and gives its records to `each`.
fn visit(
    disk: &Disk,
    segment: &Surveyed,
    id: u64,
    end: Option<u64>,
    check: &mut SegmentCheck,
    mut each: impl FnMut(u64, Entry) -> ControlFlow<()>,
) -> ControlFlow<()> {
    check.complaint = complaint(segment);
    if matches!(segment.kind, Ok(Kind::OtherVersion(_))) {
        return ControlFlow::Continue(());
    }
    let file = match disk.open(&segment.name.file()) {
        Ok(file) => file,
        Err(error) => {
            check.complaint = Some(error.to_string());
            return ControlFlow::Continue(());
        }
    };
    let header = header(segment);
    let id = header.map_or(id, |header| header.id);
    let below = end.unwrap_or(u64::MAX);
    let window = Window { file: &*file, id, limit: segment.size, below, salvage: true };
    let mut scanner = Scanner::new(segment::HEADER as u64, BLOCK);
    let mut expected = header.map(|header| header.start);
    let mut behind = segment::HEADER as u64;
    while let Ok(Some(found)) = scanner.next(window, segment.name.first) {
        behind = found.end();
        check.unrecognised_bytes = scanner.searched;
        let header = found.header;
        check.missing += header.at.since(expected.unwrap_or(header.at));
        check.good += header.end().since(header.at);
        expected = Some(header.end());
        let (class, items, received) = (header.class, header.items, header.received);
        each(header.at.seq, Entry { class, items, received, payload: found.payload })?;
    }
    let seen = expected.map_or(segment.name.first, |mark| mark.seq);
    check.missing.records += end.map_or(0, |end| end.saturating_sub(seen));
    check.damaged_payloads = scanner.damaged;
    check.torn_bytes = if end.is_none() { segment.size.saturating_sub(behind) } else { 0 };
    ControlFlow::Continue(())
}

fn header(segment: &Surveyed) -> Option<Header> {
    match &segment.kind {
        Ok(Kind::Ours(header)) => Some(*header),
        _ => None,
    }
}

fn complaint(segment: &Surveyed) -> Option<String> {
    match &segment.kind {
        Ok(Kind::Ours(_)) => None,
        Ok(Kind::OtherVersion(version)) => {
            Some(format!("version {version}: this program reads version {}", segment::VERSION))
        }
        Ok(Kind::Damaged) => Some("its header is damaged".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

fn summary((cursor, saved): (String, Option<Saved>)) -> PositionSummary {
    let saved = saved.map(|saved| PositionFigures {
        next: saved.mark.seq,
        delivered: saved.delivered(),
        lost: saved.lost,
    });
    PositionSummary { cursor, saved }
}
