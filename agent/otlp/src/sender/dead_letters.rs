//! What a destination has refused for good, kept for the operator: `dead/SIGNAL/DESTINATION` below the queues, each a
//! queue of its own with one cursor, before which lies what was sent again.
//!
//! A record is the length of the reason in two bytes (little-endian), the reason in UTF-8, and the request as it was
//! refused. Nothing leaves by itself; at the limit the oldest gives way and is counted. A file `DESTINATION.replay` beside
//! the directory has everything in it sent again at the next start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::{BufMut as _, Bytes, BytesMut};
use queue::{Cursor, CursorFigures, Entry, Options, Queue};
use telemetry::{Signal, with_causes};

const MIB: u64 = 1 << 20;

/// The directory of all dead letters, below that of the queues.
const DIRECTORY: &str = "dead";

/// The cursor behind what was sent again.
const CURSOR: &str = "replay";

const REPLAY: &str = ".replay";

/// Dead letters are for a person to look at: some thousand refused requests for each signal and destination.
const MAX_BYTES: u64 = 64 * MIB;

/// A record of the queue, 4 MiB, and its reason fit.
const SEGMENT_BYTES: u64 = 5 * MIB;

const LONGEST_REASON: usize = 1024;

/// Why and what a destination refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The destination's words, or ours.
    pub reason: String,
    /// The OTLP request that was refused.
    pub request: Bytes,
}

impl DeadLetter {
    /// Reads what a record of a queue of dead letters holds; none if it holds something else.
    pub fn read(record: &Bytes) -> Option<Self> {
        let (length, rest) = record.split_first_chunk::<2>()?;
        let end = 2 + usize::from(u16::from_le_bytes(*length));
        let reason = rest.get(..end - 2)?;
        Some(Self { reason: String::from_utf8_lossy(reason).into_owned(), request: record.slice(end..) })
    }

    fn write(reason: &str, request: &[u8]) -> Bytes {
        let reason = reason.get(..reason.floor_char_boundary(LONGEST_REASON)).unwrap_or_default();
        let mut record = BytesMut::with_capacity(2 + reason.len() + request.len());
        record.put_u16_le(reason.len() as u16);
        record.put_slice(reason.as_bytes());
        record.put_slice(request);
        record.freeze()
    }
}

/// A queue of dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterQueue {
    /// Of which signal.
    pub signal: Signal,
    /// Who refused them.
    pub destination: String,
    /// Its directory.
    pub directory: PathBuf,
}

impl DeadLetterQueue {
    /// The queues of dead letters below the directory of the queues, by signal and destination.
    ///
    /// # Errors
    ///
    /// A directory cannot be listed.
    pub fn all(queues: &Path) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for signal in Signal::ALL {
            let directory = queues.join(DIRECTORY).join(signal.as_str());
            let listed = match std::fs::read_dir(&directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                listed => listed?,
            };
            for entry in listed {
                let entry = entry?;
                if let (Ok(destination), true) =
                    (entry.file_name().into_string(), entry.file_type()?.is_dir())
                {
                    all.push(Self { signal, destination, directory: entry.path() });
                }
            }
        }
        all.sort_by(|a, b| (a.signal, &a.destination).cmp(&(b.signal, &b.destination)));
        Ok(all)
    }

    /// The sequence number of the oldest dead letter that was not sent again, by what is saved in `found`.
    pub fn oldest_kept(found: &queue::Inspection) -> u64 {
        let saved = found.positions.iter().find(|position| position.cursor == CURSOR);
        saved.and_then(|position| position.saved).map_or(0, |saved| saved.next)
    }

    /// Has all that is in it at the next start of the agent sent again then.
    ///
    /// # Errors
    ///
    /// The file that says so cannot be made or synced.
    pub fn replay_at_next_start(&self) -> io::Result<()> {
        std::fs::File::create(marker(&self.directory))?.sync_all()?;
        std::fs::File::open(self.directory.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// The dead letters of one destination and signal.
pub(crate) struct DeadLetters {
    directory: PathBuf,
    options: Options,
    opening: Mutex<()>,
    open: OnceLock<Open>,
}

struct Open {
    queue: Queue,
    cursor: Arc<Cursor>,
    /// What had become of everything before this sender started.
    before: CursorFigures,
}

impl DeadLetters {
    /// Opens the queue, if there is one; else the first dead letter will.
    pub(crate) fn find(
        queues: &Path,
        signal: Signal,
        destination: &str,
        min_free_bytes: u64,
    ) -> (Self, Option<String>) {
        let directory = queues.join(DIRECTORY).join(signal.as_str()).join(destination);
        let options = Options {
            segment_bytes: SEGMENT_BYTES,
            max_bytes: MAX_BYTES,
            max_age: None,
            min_free_bytes,
            reserve: false,
            ..Options::default()
        };
        let is_there = directory.is_dir();
        let found = Self { directory, options, opening: Mutex::new(()), open: OnceLock::new() };
        let complaint = if is_there { found.open().err() } else { None };
        (found, complaint)
    }

    fn open(&self) -> Result<&Open, String> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        let (queue, _) =
            Queue::open(&self.directory, self.options.clone()).map_err(|error| with_causes(&error))?;
        let cursor = Arc::new(queue.cursor(CURSOR).map_err(|error| with_causes(&error))?);
        let before = cursor.figures().unwrap_or_default();
        Ok(self.open.get_or_init(|| Open { queue, cursor, before }))
    }

    /// Keeps a request. Waits for the disk.
    pub(crate) fn keep(&self, received: i64, items: u64, reason: &str, request: &[u8]) -> Result<(), String> {
        let payload = DeadLetter::write(reason, request);
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        let Open { queue, .. } = self.open()?;
        queue.maintain(received);
        let kept = queue.append_blocking(Entry { class: 0, items, received, payload });
        kept.map(|_| ()).map_err(|error| with_causes(&error))
    }

    /// Reads what was not sent again; none as long as there are no dead letters.
    pub(crate) fn cursor(&self) -> Option<Arc<Cursor>> {
        self.open.get().map(|open| Arc::clone(&open.cursor))
    }

    /// The sequence number that the next dead letter will have.
    pub(crate) fn end(&self) -> u64 {
        self.open.get().map_or(0, |open| open.queue.figures().appended.records)
    }

    /// How many items were here when this sender started.
    pub(crate) fn before(&self) -> u64 {
        self.open.get().map_or(0, |open| open.before.queued.items)
    }

    /// What waits here, and what was lost since this sender started.
    pub(crate) fn figures(&self) -> (queue::Totals, u64) {
        let Some((open, now)) = self.open.get().and_then(|open| Some((open, open.cursor.figures()?))) else {
            return Default::default();
        };
        (now.queued, now.lost.total().items.saturating_sub(open.before.lost.total().items))
    }

    /// Whether everything here is to be sent again, as somebody asked before this start. Says so once, and
    /// only when they can be read.
    pub(crate) fn take_marker(&self) -> bool {
        self.open.get().is_some() && std::fs::remove_file(marker(&self.directory)).is_ok()
    }
}

fn marker(directory: &Path) -> PathBuf {
    let mut name = directory.file_name().unwrap_or_default().to_owned();
    name.push(REPLAY);
    directory.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_reads_back_with_its_reason_and_whatever_else_is_none() {
        for reason in ["it answered INVALID_ARGUMENT: no", "", &"ä".repeat(2_000)] {
            let record = DeadLetter::write(reason, b"request");
            let letter = DeadLetter::read(&record).unwrap();
            assert!(reason.starts_with(&letter.reason) && letter.reason.len() <= LONGEST_REASON);
            assert_eq!(letter.request, Bytes::from_static(b"request"));
        }
        for record in [&b""[..], b"\x05", b"\x05\x00four"] {
            assert_eq!(DeadLetter::read(&Bytes::copy_from_slice(record)), None);
        }
    }
}
