//! What a clock costs that has been set back.

use super::Store;
use super::ended::Ended;
use crate::STALE;

impl Store {
    /// Forgets what was sampled when the clock said `at` or more. A series that had ended stays ended, from a millisecond
    /// before; one that had come back stays alive, so that its former end is forgotten with its return.
    pub(super) fn set_back(&mut self, at: i64) {
        self.clock_jumps += 1;
        let from = at.saturating_sub(1);
        self.timeline.forget_from(from);
        let (mut emptied, mut ended) = (Vec::new(), Vec::new());
        for (number, series) in self.series.iter_mut() {
            let end = series.ring.ended_at();
            series.ring.forget_from(&self.timeline, from);
            if end.is_none() {
                series.ring.forget_newest_ends(&self.timeline);
            }
            if series.ring.is_empty() {
                emptied.push(number);
            } else if let Some(end) = end {
                if end >= from {
                    series.ring.push_own(&self.timeline, from, STALE);
                }
                ended.push(number);
            }
        }
        for number in emptied {
            self.remove(number);
        }
        self.ended = Ended::default();
        self.outsiders.forget_ends();
        for number in ended {
            self.note_end(number);
        }
    }
}
