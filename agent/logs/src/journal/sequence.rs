//! Which sequence numbers have been read, and which are gone.
//!
//! journald numbers entries without holes, over all its files. So a hole in what was read is entries that nobody reads any
//! more: their file was removed before its turn, or not readable. A hole may still be filled while files are looked at one
//! after the other, so it counts only once all files have been read to their end after it was seen.

use super::layout::Id128;

/// Holes that may still be filled; more are counted at once.
const MAX_HOLES: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Hole {
    from: u64,
    to: u64,
    /// It has been there at the end of a round.
    is_old: bool,
}

/// The numbers of one sequence, which is known by its id.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) id: Id128,
    /// The largest number that was read.
    pub(super) highest: u64,
    holes: Vec<Hole>,
    /// Entries that are missing in it for a reason that was counted already.
    excused: u64,
    lost: u64,
}

impl Sequence {
    /// A sequence that was read up to `highest`, or not at all if that is 0.
    pub(super) const fn new(id: Id128, highest: u64) -> Self {
        Self { id, highest, holes: Vec::new(), excused: 0, lost: 0 }
    }

    /// An entry was read, or passed over knowingly.
    pub(super) fn saw(&mut self, seqnum: u64) {
        if seqnum <= self.highest {
            self.fill(seqnum);
            return;
        }
        // Where the sequence begins is unknown; what was before its first entry was never there for us.
        if self.highest > 0 && seqnum - self.highest > 1 {
            if self.holes.len() >= MAX_HOLES {
                let oldest = self.holes.remove(0);
                self.lose(&oldest);
            }
            self.holes.push(Hole { from: self.highest + 1, to: seqnum - 1, is_old: false });
        }
        self.highest = seqnum;
    }

    /// So many entries are there and cannot be read, and were counted for that.
    pub(super) const fn excuse(&mut self, count: u64) {
        self.excused = self.excused.saturating_add(count);
    }

    fn fill(&mut self, seqnum: u64) {
        let Some(at) = self.holes.iter().position(|hole| (hole.from..=hole.to).contains(&seqnum)) else {
            return;
        };
        let hole = self.holes.remove(at);
        let parts = [Hole { to: seqnum - 1, ..hole }, Hole { from: seqnum + 1, ..hole }];
        for part in parts.into_iter().rev().filter(|part| part.from <= part.to) {
            self.holes.insert(at, part);
        }
    }

    fn lose(&mut self, hole: &Hole) {
        let missing = hole.to - hole.from + 1;
        let excused = missing.min(self.excused);
        self.excused -= excused;
        self.lost = self.lost.saturating_add(missing - excused);
    }

    /// All files have been read to their end: the number of entries that are now known to be lost, once.
    pub(super) fn round_is_over(&mut self) -> u64 {
        let holes = std::mem::take(&mut self.holes);
        for hole in &holes {
            if hole.is_old {
                self.lose(hole);
            } else {
                self.holes.push(Hole { is_old: true, ..*hole });
            }
        }
        // What was excused and is no hole has been read from elsewhere.
        if self.holes.is_empty() {
            self.excused = 0;
        }
        std::mem::take(&mut self.lost)
    }

    /// Whether a hole waits for another look.
    pub(super) fn waits(&self) -> bool {
        !self.holes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(seqnums: &[u64]) -> Sequence {
        let mut sequence = Sequence::new(Id128::default(), 0);
        for seqnum in seqnums {
            sequence.saw(*seqnum);
        }
        sequence
    }

    #[test]
    fn a_hole_counts_once_the_files_were_read_again() {
        let mut sequence = read(&[5, 6, 9]);
        assert_eq!((sequence.round_is_over(), sequence.waits()), (0, true));
        assert_eq!((sequence.round_is_over(), sequence.waits()), (2, false));
        assert_eq!(sequence.round_is_over(), 0);
    }

    #[test]
    fn what_comes_late_fills_its_hole() {
        let mut sequence = read(&[1, 10]);
        sequence.round_is_over();
        for seqnum in [2, 9, 5, 5] {
            sequence.saw(seqnum);
        }
        assert_eq!(sequence.round_is_over(), 5);
    }

    #[test]
    fn what_was_counted_as_damaged_is_not_counted_again() {
        let mut sequence = read(&[1, 4]);
        sequence.excuse(1);
        sequence.round_is_over();
        assert_eq!(sequence.round_is_over(), 1);
    }

    #[test]
    fn holes_are_limited_and_all_count() {
        let mut sequence = Sequence::new(Id128::default(), 0);
        (0..1000).for_each(|at| sequence.saw(1 + 2 * at));
        assert!(sequence.holes.len() <= MAX_HOLES);
        sequence.round_is_over();
        let late = sequence.round_is_over();
        assert_eq!(late, 64, "the others were counted in the round before");
    }

    #[test]
    fn impossible_numbers_do_not_overflow() {
        let mut sequence = read(&[1, u64::MAX]);
        sequence.saw(u64::MAX - 1);
        sequence.saw(2);
        sequence.round_is_over();
        assert!(sequence.round_is_over() > 0);
    }
}
