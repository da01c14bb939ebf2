//! How much: records, the items inside them, and their bytes.
//!
//! Every record carries the totals of everything appended before it since the queue was made. So each figure of the
//! loss ledger is the difference of two marks, exact even where the records between them can no longer be read.

use std::ops::{Add, AddAssign};

/// An amount of telemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records, one per append.
    pub records: u64,
    /// What the records hold: log records, spans or data points, as counted by whoever appended them.
    pub items: u64,
    /// Payload bytes, without what the files add.
    pub bytes: u64,
}

impl Totals {
    pub(crate) fn saturating_sub(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_sub(other.records),
            items: self.items.saturating_sub(other.items),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_add(other.records),
            items: self.items.saturating_add(other.items),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// A place between two records: the sequence number of the record after it, and the totals of all before it.
///
/// The first record has sequence number 0, so `seq` is also the number of records before the mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) seq: u64,
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

impl Mark {
    /// What lies between `earlier` and here; nothing when it is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Totals {
        Totals {
            records: self.seq.saturating_sub(earlier.seq),
            items: self.items.saturating_sub(earlier.items),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }

    /// The mark after one more record.
    #[must_use]
    pub(crate) fn after(self, items: u32, bytes: usize) -> Self {
        Self {
            seq: self.seq.saturating_add(1),
            items: self.items.saturating_add(u64::from(items)),
            bytes: self.bytes.saturating_add(bytes as u64),
        }
    }

    /// Whether it can lie before `other` in one and the same queue.
    pub(crate) fn may_precede(self, other: Self) -> bool {
        self.seq <= other.seq && self.items <= other.items && self.bytes <= other.bytes
    }

    /// Whichever of the two comes later.
    #[must_use]
    pub(crate) fn later(self, other: Self) -> Self {
        if other.seq > self.seq { other } else { self }
    }
}

/// Why records were lost to a cursor before it acknowledged them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// The queue held more than its limit of bytes.
    Bytes,
    /// They were older than the limit of age.
    Age,
    /// The file system had less free room than must be kept.
    Disk,
    /// What is on disk can no longer be read, or is gone.
    Damaged,
}

impl LossReason {
    /// All reasons, in the order in which position files keep them.
    pub const ALL: [Self; 4] = [Self::Bytes, Self::Age, Self::Disk, Self::Damaged];

    /// The reason as a label's value: `bytes`, `age`, `disk`, `damaged`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Disk => "disk",
            Self::Damaged => "damaged",
        }
    }
}

/// What was lost, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// To [`LossReason::Bytes`].
    pub bytes: Totals,
    /// To [`LossReason::Age`].
    pub age: Totals,
    /// To [`LossReason::Disk`].
    pub disk: Totals,
    /// To [`LossReason::Damaged`].
    pub damaged: Totals,
}

impl Lost {
    /// What was lost for `reason`.
    pub const fn to(&self, reason: LossReason) -> Totals {
        match reason {
            LossReason::Bytes => self.bytes,
            LossReason::Age => self.age,
            LossReason::Disk => self.disk,
            LossReason::Damaged => self.damaged,
        }
    }

    /// What was lost for any reason.
    pub fn total(&self) -> Totals {
        LossReason::ALL.iter().map(|reason| self.to(*reason)).sum()
    }

    pub(crate) fn of_mut(&mut self, reason: LossReason) -> &mut Totals {
        match reason {
            LossReason::Bytes => &mut self.bytes,
            LossReason::Age => &mut self.age,
            LossReason::Disk => &mut self.disk,
            LossReason::Damaged => &mut self.damaged,
        }
    }
}
