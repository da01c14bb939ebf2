//! How far one cursor has come, and the ledger of what became of every record on the way.
//!
//! Pure bookkeeping: `accepted = delivered + queued + lost` holds because a cursor only moves by [`Progress::advance`],
//! which gives each stretch it passes to exactly one of them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::fs::File;
use crate::position::Saved;
use crate::segment::Name;
use crate::totals::{LossReason, Lost, Mark, Totals};

/// Called when there is more to read.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// What the queue knows of a cursor.
#[derive(Default)]
pub(crate) struct Progress {
    /// Everything before this is done with.
    pub(crate) acknowledged: Mark,
    /// Where it began.
    pub(crate) base: Mark,
    pub(crate) lost: Lost,
    /// Stretches that were read past because they are damaged, and are not acknowledged yet.
    gaps: VecDeque<(Mark, Mark)>,
    /// What the position file says.
    pub(crate) saved: Option<Mark>,
    /// The segment and offset of the acknowledged mark, if known.
    pub(crate) place: Option<(Name, u64)>,
    /// Whether somebody reads by it.
    pub(crate) taken: bool,
    /// Everything before this was read by whoever has it taken.
    pub(crate) read: u64,
    /// How many cursors had been taken when it was taken.
    pub(crate) incarnation: u64,
    /// The segment being read. It is here so that dropping the segment also frees its room.
    pub(crate) open: Option<(Name, Arc<dyn File>)>,
    pub(crate) wake: Option<Wake>,
}

impl Progress {
    /// A cursor that begins at `mark`.
    pub(crate) fn beginning(mark: Mark) -> Self {
        Self { acknowledged: mark, base: mark, ..Self::default() }
    }

    pub(crate) fn restored(saved: &Saved) -> Self {
        let Saved { mark, base, lost, .. } = *saved;
        Self { acknowledged: mark, base, lost, saved: Some(mark), ..Self::default() }
    }

    pub(crate) fn to_save(&self, id: u64) -> Saved {
        Saved { id, mark: self.acknowledged, base: self.base, lost: self.lost }
    }

    /// Whether the position file is behind.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.saved != Some(self.acknowledged)
    }

    /// Notes that nothing between the marks could be read.
    pub(crate) fn note_gap(&mut self, from: Mark, to: Mark) {
        if to.seq > from.seq.max(self.acknowledged.seq) {
            self.gaps.push_back((from, to));
            self.pass_gaps();
        }
    }

    /// Moves to `to`, if that is ahead: what lies between was delivered, or lost for `reason`.
    pub(crate) fn advance(&mut self, to: Mark, reason: Option<LossReason>) {
        if to.seq <= self.acknowledged.seq {
            return;
        }
        let mut damaged = Totals::default();
        while let Some((from, until)) = self.gaps.front().copied().filter(|gap| gap.0.seq < to.seq) {
            let from = from.later(self.acknowledged);
            if until.seq > to.seq {
                damaged += to.since(from);
                self.gaps.pop_front();
                self.gaps.push_front((to, until));
                break;
            }
            damaged += until.since(from);
            self.gaps.pop_front();
        }
        self.lost.damaged += damaged;
        if let Some(reason) = reason {
            *self.lost.of_mut(reason) += to.since(self.acknowledged).saturating_sub(damaged);
        }
        self.acknowledged = to;
        self.place = None;
        self.pass_gaps();
    }

    /// A gap with nothing left before it has nobody to acknowledge it.
    fn pass_gaps(&mut self) {
        while let Some((from, to)) = self.gaps.front().copied() {
            if from.seq > self.acknowledged.seq {
                break;
            }
            self.gaps.pop_front();
            self.lost.damaged += to.since(from.later(self.acknowledged));
            self.acknowledged = self.acknowledged.later(to);
            self.place = None;
        }
    }

    /// Forgets what was read ahead, since nobody reads any more.
    pub(crate) fn release(&mut self) {
        self.gaps.clear();
        self.open = None;
        self.wake = None;
        self.taken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each record holds two items and ten bytes.
    fn mark(seq: u64) -> Mark {
        Mark { seq, items: seq * 2, bytes: seq * 10 }
    }

    fn records(amount: u64) -> Totals {
        mark(amount).since(Mark::default())
    }

    #[test]
    fn what_is_acknowledged_is_delivered_but_for_the_gaps_in_it() {
        let mut progress = Progress::default();
        progress.note_gap(mark(3), mark(5));
        progress.note_gap(mark(9), mark(10));
        progress.advance(mark(7), None);
        assert_eq!(progress.lost.damaged, records(2));
        assert_eq!(progress.to_save(0).delivered(), records(5));
        progress.advance(mark(9), None);
        assert_eq!(progress.acknowledged, mark(10), "nobody is left to acknowledge the last gap");
        assert_eq!(progress.to_save(0).delivered(), records(7));
    }

    #[test]
    fn a_dropped_stretch_counts_once_whatever_is_acknowledged_later() {
        let mut progress = Progress::default();
        progress.note_gap(mark(2), mark(4));
        progress.advance(mark(6), Some(LossReason::Bytes));
        assert_eq!((progress.lost.bytes, progress.lost.damaged), (records(4), records(2)));
        progress.advance(mark(5), None);
        assert_eq!(progress.acknowledged, mark(6));
        assert_eq!(progress.to_save(0).delivered(), records(0));
    }

    #[test]
    fn a_gap_that_reaches_past_the_mark_is_divided() {
        let mut progress = Progress::default();
        progress.note_gap(mark(2), mark(8));
        progress.advance(mark(4), Some(LossReason::Age));
        assert_eq!((progress.lost.age, progress.lost.damaged), (records(2), records(6)));
        assert_eq!(progress.acknowledged, mark(8));
    }
}
