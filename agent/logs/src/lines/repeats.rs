//! Counts records that come again instead of keeping them.
//!
//! Records are the same when their body, severity and attributes are; their times, traces and spans need not be. The first
//! is kept; those within the window after it are counted, and the last of them is kept once the window is over, with
//! their number. A restart forgets the counts of windows that are open, never a record that was to be kept.

use std::hash::{BuildHasher as _, Hash as _, Hasher, RandomState};
use std::time::Duration;

use telemetry::{LogFields, LogValue, LogView, Timestamp};

use super::join::About;

/// How many different records one stream is watched for. Beyond, the one that was seen first is forgotten, and what was
/// counted of it is said.
const DIFFERENT: usize = 64;

/// How long a line may be for its repetitions to be counted, in bytes. Longer ones are all kept.
const LINE_BYTES: usize = 4096;

/// A record that was seen.
#[derive(Debug)]
struct Seen {
    hash: u64,
    until: Timestamp,
    again: Again,
}

/// The repetitions of a record.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// How often it came again.
    pub(super) times: u64,
    /// Its text the last time.
    pub(super) text: Vec<u8>,
    pub(super) about: About,
}

/// The records that were seen lately.
#[derive(Debug)]
pub(super) struct Repeats {
    window: Duration,
    hashes: RandomState,
    /// The one that was seen first comes first.
    seen: Vec<Seen>,
}

impl Repeats {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, hashes: RandomState::new(), seen: Vec::new() }
    }

    /// Whether a record is a repetition, and counted.
    pub(super) fn count(&mut self, record: &LogView<'_>, text: &[u8], about: About, now: Timestamp) -> bool {
        if text.len() > LINE_BYTES {
            return false;
        }
        let hash = self.hash(record);
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.hash == hash) {
            seen.again.times += 1;
            seen.again.text.clear();
            seen.again.text.extend_from_slice(text);
            seen.again.about = about;
            return true;
        }
        self.seen.push(Seen { hash, until: now.plus(self.window), again: Again::default() });
        false
    }

    fn hash(&self, record: &LogView<'_>) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        record.severity().hash(&mut hasher);
        add(&record.body(), &mut hasher);
        add_fields(record.attributes(), &mut hasher);
        hasher.finish()
    }

    /// Forgets the records whose window is over, or for which there is no room, or `all`; and returns what was counted
    /// of those that came again.
    pub(super) fn end(&mut self, now: Timestamp, all: bool) -> Vec<Again> {
        let over =
            |place: usize, seen: &Seen| all || seen.until <= now || place + DIFFERENT < self.seen.len();
        let count = self.seen.iter().enumerate().take_while(|(place, seen)| over(*place, seen)).count();
        self.seen.drain(..count).map(|seen| seen.again).filter(|again| again.times > 0).collect()
    }

    /// When the next window is over in which something came again.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.seen.iter().find(|seen| seen.again.times > 0).map(|seen| seen.until)
    }
}

fn add_fields(fields: LogFields<'_>, hasher: &mut impl Hasher) {
    for (key, value) in fields {
        key.hash(hasher);
        add(&value, hasher);
    }
    hasher.write_u8(0xff);
}

fn add(value: &LogValue<'_>, hasher: &mut impl Hasher) {
    std::mem::discriminant(value).hash(hasher);
    match value {
        LogValue::Empty => {}
        LogValue::Text(bytes) | LogValue::Bytes(bytes) => bytes.hash(hasher),
        LogValue::Int(number) => number.hash(hasher),
        LogValue::Double(number) => number.to_bits().hash(hasher),
        LogValue::Bool(answer) => answer.hash(hasher),
        LogValue::Map(fields) | LogValue::List(fields) => add_fields(fields.clone(), hasher),
    }
}

/// `4,312`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
