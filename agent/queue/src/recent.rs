//! Records that were committed a moment ago, kept in memory for the cursors that follow closely: these read nothing from
//! disk.
//!
//! A copy of what is on disk and nothing more: dropping any of it costs a read. Kept only as long as somebody reads this
//! far, so a destination that is away costs no memory.

use std::collections::VecDeque;

use crate::cursor::Record;

/// Records at most. A payload may be a small part of the buffer that it arrived in, and keeps all of it.
const MAX_RECORDS: usize = 64;

#[derive(Default)]
pub(crate) struct Recent {
    /// Their numbers follow one another.
    records: VecDeque<Record>,
    bytes: u64,
}

impl Recent {
    /// The number of the oldest record that is kept.
    pub(crate) fn first(&self) -> Option<u64> {
        self.records.front().map(|record| record.seq)
    }

    /// Keeps a record that was just committed, and of the others as many as have room beside it in `limit` bytes.
    pub(crate) fn keep(&mut self, record: Record, limit: u64) {
        if self.records.back().is_some_and(|last| last.seq + 1 != record.seq) {
            self.clear();
        }
        self.bytes += record.payload.len() as u64;
        self.records.push_back(record);
        while self.bytes > limit || self.records.len() > MAX_RECORDS {
            self.drop_first();
        }
    }

    /// The record `seq`, and those behind it; none unless it is kept.
    pub(crate) fn from(&self, seq: u64) -> impl Iterator<Item = &Record> {
        let at = self.first().and_then(|first| seq.checked_sub(first));
        let at = at.map_or(self.records.len(), |at| usize::try_from(at).unwrap_or(usize::MAX));
        self.records.range(at.min(self.records.len())..)
    }

    /// Lets go of what lies before `seq`.
    pub(crate) fn forget_before(&mut self, seq: u64) {
        while self.first().is_some_and(|first| first < seq) {
            self.drop_first();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn drop_first(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.bytes -= record.payload.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Position;
    use crate::segment::Name;
    use crate::totals::Mark;

    fn record(seq: u64, bytes: usize) -> Record {
        let mark = Mark { seq: seq + 1, ..Mark::default() };
        let position = Position::new(mark, Name { first: 0, attempt: 0 }, 0);
        Record { seq, class: 0, items: 1, received: 0, payload: vec![0; bytes].into(), position }
    }

    fn kept(recent: &Recent, seq: u64) -> Vec<u64> {
        recent.from(seq).map(|record| record.seq).collect()
    }

    #[test]
    fn the_newest_records_are_kept_within_the_limits() {
        let mut recent = Recent::default();
        (0..5).for_each(|seq| recent.keep(record(seq, 100), 350));
        assert_eq!(kept(&recent, 2), [2, 3, 4]);
        assert_eq!(kept(&recent, 4), [4]);
        assert_eq!((kept(&recent, 1), kept(&recent, 5)), (vec![], vec![]), "neither older nor newer ones");
        recent.keep(record(5, 400), 350);
        assert_eq!(recent.first(), None, "one that is larger than the limit is kept no more than the others");
        (6..200).for_each(|seq| recent.keep(record(seq, 0), 350));
        assert_eq!(kept(&recent, 199 - 63).len(), 64);
    }

    #[test]
    fn what_everybody_has_read_is_let_go_of() {
        let mut recent = Recent::default();
        (0..4).for_each(|seq| recent.keep(record(seq, 100), 1000));
        recent.forget_before(3);
        assert_eq!((kept(&recent, 3), recent.bytes), (vec![3], 100));
        recent.forget_before(9);
        assert_eq!((recent.first(), recent.bytes), (None, 0));
    }
}
