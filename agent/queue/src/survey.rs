//! Looks over a queue's directory: which file is what, by name and by first bytes. Changes nothing.

use std::io;
use std::sync::Arc;

use crate::fs::{File, FileSystem};
use crate::position::{self, Saved};
use crate::reserve;
use crate::segment::{self, Header, Kind, Name};

/// What is added to the name of a segment in which nothing can be read.
pub(crate) const DAMAGED: &str = ".damaged";
/// What is added to the name of a segment of another version.
pub(crate) const UNKNOWN_VERSION: &str = ".unknown-version";

/// A segment's file.
pub(crate) struct Surveyed {
    pub(crate) name: Name,
    pub(crate) size: u64,
    pub(crate) kind: io::Result<Kind>,
}

/// All files of a directory.
#[derive(Default)]
pub(crate) struct Survey {
    /// By name.
    pub(crate) segments: Vec<Surveyed>,
    /// The positions that could be read, and the cursors whose could not.
    pub(crate) positions: Vec<(String, Option<Saved>)>,
    pub(crate) temporaries: Vec<String>,
    pub(crate) reserve: Option<u64>,
    pub(crate) set_aside: Vec<String>,
    pub(crate) orphans: Vec<String>,
}

impl Survey {
    pub(crate) fn of(fs: &dyn FileSystem) -> io::Result<Self> {
        let mut survey = Self::default();
        for file in fs.list()? {
            let name = file.name;
            if let Some(segment) = Name::parse(&name) {
                let kind = header_of(fs, &name);
                survey.segments.push(Surveyed { name: segment, size: file.size, kind });
            } else if let Some(cursor) = position::cursor_of(&name) {
                survey.positions.push((cursor.to_owned(), saved_in(fs, &name)));
            } else if position::is_temporary(&name) {
                survey.temporaries.push(name);
            } else if name == reserve::FILE {
                survey.reserve = Some(file.size);
            } else if name.ends_with(DAMAGED) || name.ends_with(UNKNOWN_VERSION) {
                survey.set_aside.push(name);
            } else {
                survey.orphans.push(name);
            }
        }
        survey.segments.sort_by_key(|segment| segment.name);
        survey.positions.sort_by(|one, other| one.0.cmp(&other.0));
        survey.set_aside.sort();
        survey.orphans.sort();
        Ok(survey)
    }

    /// The queue's id: that of its newest intact segment, else that of a position.
    pub(crate) fn id(&self) -> Option<u64> {
        let of_segments = self.segments.iter().rev().find_map(|segment| match segment.kind {
            Ok(Kind::Ours(Header { id, .. })) => Some(id),
            _ => None,
        });
        of_segments.or_else(|| self.positions.iter().find_map(|(_, saved)| saved.map(|saved| saved.id)))
    }
}

fn header_of(fs: &dyn FileSystem, name: &str) -> io::Result<Kind> {
    let mut bytes = [0; segment::HEADER];
    let read = fs.open(name)?.read_at(&mut bytes, 0)?;
    Ok(Header::decode(bytes.get(..read).unwrap_or_default()))
}

fn saved_in(fs: &dyn FileSystem, name: &str) -> Option<Saved> {
    // One byte more, so that a longer file is noticed.
    let mut bytes = [0; position::SIZE + 1];
    let file: Arc<dyn File> = fs.open(name).ok()?;
    let read = file.read_at(&mut bytes, 0).ok()?;
    Saved::decode(bytes.get(..read).filter(|bytes| bytes.len() == position::SIZE)?)
}
