//! Places in journals, and which of two entries is the earlier one.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::layout::{Entry, Id128};

/// An entry, as systemd's cursors name it: what is needed to find it again, or what comes after it where it is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPlace {
    /// The sequence in which the entry has its number.
    #[serde(rename = "s", with = "id_as_text")]
    pub seqnum_id: Id128,
    /// Its number; 0 is before the first.
    #[serde(rename = "i")]
    pub seqnum: u64,
    /// The boot in which it was received.
    #[serde(rename = "b", with = "id_as_text")]
    pub boot_id: Id128,
    /// When, in microseconds of that boot's monotonic clock.
    #[serde(rename = "m")]
    pub monotonic: u64,
    /// When, in microseconds since 1970.
    #[serde(rename = "t")]
    pub realtime: u64,
    /// The combined hashes of its fields.
    #[serde(rename = "x")]
    pub xor_hash: u64,
}

mod id_as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Id128;

    pub(super) fn serialize<S: Serializer>(id: &Id128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id128, D::Error> {
        Id128::try_from(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// As `__CURSOR` of `journalctl`.
impl fmt::Display for JournalPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seqnum_id, seqnum, boot_id, monotonic, realtime, xor_hash } = self;
        write!(f, "s={seqnum_id};i={seqnum:x};b={boot_id};m={monotonic:x};t={realtime:x};x={xor_hash:x}")
    }
}

impl JournalPlace {
    pub(super) const fn of(entry: &Entry, seqnum_id: Id128) -> Self {
        let Entry { seqnum, realtime, monotonic, boot_id, xor_hash, .. } = *entry;
        Self { seqnum_id, seqnum, boot_id, monotonic, realtime, xor_hash }
    }

    /// Which one is the earlier: by their numbers within a sequence, else by the monotonic clock within a boot, else by the
    /// time of day, as libsystemd has it.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let by_time = if self.seqnum_id == other.seqnum_id {
            self.seqnum.cmp(&other.seqnum)
        } else if self.boot_id == other.boot_id {
            self.monotonic.cmp(&other.monotonic)
        } else {
            self.realtime.cmp(&other.realtime)
        };
        by_time.then(self.xor_hash.cmp(&other.xor_hash))
    }
}

/// From where on a file is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum After {
    /// From its first entry on.
    Nothing,
    /// After the entry of this number.
    Number(u64),
    /// What is later than this entry of another sequence.
    Place(JournalPlace),
}

impl After {
    pub(super) fn precedes(&self, entry: &Entry) -> bool {
        match self {
            Self::Nothing => true,
            Self::Number(seqnum) => entry.seqnum > *seqnum,
            Self::Place(place) => {
                // Of a sequence that `place` is not of.
                let other = JournalPlace::of(entry, Id128::default());
                let is_the_same = (other.boot_id, other.monotonic, other.xor_hash)
                    == (place.boot_id, place.monotonic, place.xor_hash);
                let mut place = *place;
                (place.seqnum_id, place.xor_hash) = (Id128([1; 16]), other.xor_hash);
                !is_the_same && place.order(&other).is_le()
            }
        }
    }
}
