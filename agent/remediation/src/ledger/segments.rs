//! The files of the run journal: `runs/NNNNNN.jsonl` in the state directory, each with a head and then an event a line.
//!
//! The head says what went before, so that a file can be read and checked without those before it. A file bears its name
//! only once its head is on disk.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use telemetry::{RunEvent, Timestamp};

use super::chain::{Hash, opened, sealed};
use crate::history::History;

/// In the state directory.
pub(crate) const DIRECTORY: &str = "runs";

/// What is read of a file that somebody else made large.
pub(super) const MAX_READ_BYTES: u64 = 16 << 20;

/// The first line of a segment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The segment's number, from 1.
    pub(crate) segment: u64,
    /// When it was begun; None for the first of a host.
    pub(crate) at: Option<Timestamp>,
    /// The hash of the last line before it.
    pub(crate) before: String,
    /// Events of all segments before it, also those that are no longer kept.
    pub(crate) events_before: u64,
    /// What counts of them.
    pub(crate) history: History,
}

/// A line without its hash.
#[derive(Debug)]
pub(crate) enum Line {
    Head(Box<Head>),
    Event(Box<RunEvent>),
}

impl Line {
    /// What `body` says, if it is either.
    pub(crate) fn parse(body: &str) -> Option<Self> {
        // By how they begin: a head can be long.
        if body.starts_with("{\"segment\":") {
            serde_json::from_str(body).ok().map(Self::Head)
        } else {
            serde_json::from_str(body).ok().map(Self::Event)
        }
    }
}

/// The segments of a state directory that are there, the oldest first.
///
/// # Errors
///
/// The directory cannot be read; one that is not there has none.
pub(crate) fn list(state: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let entries = match std::fs::read_dir(state.join(DIRECTORY)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(number_of);
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl")?;
    (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

pub(super) fn path_of(state: &Path, number: u64) -> PathBuf {
    state.join(DIRECTORY).join(format!("{number:06}.jsonl"))
}

/// Makes the directory, for its owner alone.
pub(super) fn make_directory(state: &Path) -> std::io::Result<()> {
    let path = state.join(DIRECTORY);
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// A segment open for appending, and the hash of its last line.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) bytes: u64,
    pub(super) last: Hash,
}

/// Begins a segment with its head and the events that it takes over.
pub(super) fn begin(state: &Path, head: &Head, events: &[RunEvent]) -> std::io::Result<Begun> {
    let path = path_of(state, head.segment);
    let beside = path.with_extension("new");
    let before = Hash::parse(&head.before).expect("a head is made with the hash of the line before");
    let (mut text, mut last) = sealed(&before, &serde_json::to_string(head)?);
    for event in events {
        let (line, hash) = sealed(&last, &serde_json::to_string(event)?);
        text.push_str(&line);
        last = hash;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&beside)?;
    // Of an attempt that was cut off.
    file.set_len(0)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, &path)?;
    File::open(state.join(DIRECTORY))?.sync_all()?;
    Ok(Begun { path, file, bytes: text.len() as u64, last })
}

/// A file's text, or the end of it when it is too large; bytes that are no text make their line unreadable.
pub(super) fn read_tail(file: &mut File) -> std::io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_READ_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
    // One replacement character for one bad byte would change lengths, by which a torn line is cut.
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| {
        error.into_bytes().into_iter().map(|byte| if byte.is_ascii() { byte as char } else { '?' }).collect()
    }))
}

/// The text of a segment that may be removed meanwhile; empty then.
pub(crate) fn read(path: &Path) -> std::io::Result<String> {
    match File::open(path) {
        Ok(mut file) => read_tail(&mut file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// The bytes of a segment that may be removed meanwhile; none then.
///
/// # Errors
///
/// It cannot be read, or is larger than any that the agent writes.
pub(crate) fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_READ_BYTES + 1).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    if bytes.len() as u64 > MAX_READ_BYTES {
        return Err(std::io::Error::other("it is larger than any that the agent writes"));
    }
    Ok(bytes)
}

/// The head of a segment, if it has one that can be read.
pub(crate) fn head_of(path: &Path) -> Option<Head> {
    let mut line = String::new();
    BufReader::new(File::open(path).ok()?.take(MAX_READ_BYTES)).read_line(&mut line).ok()?;
    match Line::parse(&opened(line.trim_end_matches('\n'))?.0)? {
        Line::Head(head) => Some(*head),
        Line::Event(_) => None,
    }
}
