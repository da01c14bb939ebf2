//! The one that writes: a thread that takes what waits, commits it, saves positions and applies limits, in rounds.
//!
//! A round is a plain call, so tests do without the thread. The clock that never jumps is read here, to space out syncs and
//! saves and to notice when the other one is set; nothing that is kept depends on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::age::AgeClock;
use crate::commit::Active;
use crate::error::AppendError;
use crate::options::SyncPolicy;
use crate::segment::Name;
use crate::shared::{GROUP_BYTES, Shared, State, Waiting};

/// What is to be done in a round.
#[derive(Default)]
pub(crate) struct Round {
    pub(crate) group: Vec<Waiting>,
    pub(crate) maintain: Option<i64>,
    pub(crate) removed: Vec<String>,
    pub(crate) sync: bool,
    pub(crate) save: bool,
    pub(crate) closing: bool,
}

/// Writes the segments, the positions and the reserve; nothing else does.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// The segment that is appended to.
    pub(crate) active: Option<Active>,
    /// The last name given to a segment, so that none is given twice.
    pub(crate) last_name: Option<Name>,
    /// Whether the next segment is to be made of the reserve.
    pub(crate) needs_reserve: bool,
    /// Segments that hold nothing any more and could not be removed.
    pub(crate) leftovers: Vec<Name>,
    pub(crate) age: AgeClock,
    last_group: usize,
    last_sync: Instant,
    last_save: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "spaces out syncs and saves by a clock that never jumps, and notices jumps"
)]
pub(crate) fn moment() -> Instant {
    Instant::now()
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, last_name: Option<Name>) -> Self {
        let now = moment();
        Self {
            shared,
            active: None,
            last_name,
            needs_reserve: false,
            leftovers: Vec::new(),
            age: AgeClock::default(),
            last_group: 0,
            last_sync: now,
            last_save: now,
        }
    }

    /// Works until the queue is closed.
    pub(crate) fn run(mut self) {
        let _gone = Gone(Arc::clone(&self.shared));
        loop {
            let round = self.next_round();
            let last = round.closing;
            // Callbacks are others' code. Those of the same round that were not called yet are dropped.
            if catch_unwind(AssertUnwindSafe(|| self.round(round))).is_err() {
                self.abandon();
            }
            if last {
                return;
            }
        }
    }

    /// Everything that waits now, without waiting for more.
    #[cfg(test)]
    pub(crate) fn round_at_once(&mut self) {
        let round = take(&mut self.shared.lock(), true, true);
        self.round(round);
    }

    pub(crate) fn round(&mut self, round: Round) {
        if !round.group.is_empty() {
            self.last_group = round.group.len();
            self.commit(round.group);
        }
        if round.sync || round.closing {
            self.sync_active();
            self.last_sync = moment();
        }
        if let Some(now) = round.maintain {
            self.apply_limits(now);
        }
        self.remove_positions(&round.removed);
        if round.save || round.closing {
            self.save_positions();
            self.reclaim();
            self.last_save = moment();
        }
    }

    /// Waits for something to do.
    fn next_round(&mut self) -> Round {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        while !is_urgent(&state) {
            state = match self.due_in(&state) {
                Some(Duration::ZERO) => break,
                Some(wait) => shared.work.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        // As many as came together last time will come together again, so one sync may serve them all.
        let expected = self.last_group;
        let incomplete = |state: &mut State| {
            state.waiting.len() < expected && state.waiting_bytes < GROUP_BYTES && !state.closing
        };
        if !state.waiting.is_empty() && incomplete(&mut state) {
            state.wake_at = expected;
            let waited = shared.work.wait_timeout_while(state, shared.options.linger, incomplete);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.wake_at = 0;
        }
        let sync = self.sync_due_in() == Some(Duration::ZERO);
        let save = state.positions_due && self.save_due_in() == Duration::ZERO;
        take(&mut state, sync, save)
    }

    /// How long nothing need be done, if nobody asks for anything.
    fn due_in(&self, state: &State) -> Option<Duration> {
        let save = state.positions_due.then(|| self.save_due_in());
        [save, self.sync_due_in()].into_iter().flatten().min()
    }

    fn save_due_in(&self) -> Duration {
        self.shared.options.position_interval.saturating_sub(moment() - self.last_save)
    }

    fn sync_due_in(&self) -> Option<Duration> {
        let SyncPolicy::Interval(interval) = self.shared.options.sync else { return None };
        let unsynced = self.active.as_ref().is_some_and(|active| active.unsynced);
        unsynced.then(|| interval.saturating_sub(moment() - self.last_sync))
    }
}

fn is_urgent(state: &State) -> bool {
    !state.waiting.is_empty() || state.closing || state.maintain.is_some() || !state.removed.is_empty()
}

fn take(state: &mut State, sync: bool, save: bool) -> Round {
    state.waiting_bytes = 0;
    let maintain = state.maintain.take();
    let save = save || maintain.is_some();
    if save {
        state.positions_due = false;
    }
    Round {
        group: std::mem::take(&mut state.waiting),
        maintain,
        removed: std::mem::take(&mut state.removed),
        sync,
        save,
        closing: state.closing,
    }
}

/// Leaves nobody waiting, however the writer's thread ends.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        let (waiting, wakes) = {
            let mut state = self.0.lock();
            state.writer_gone = true;
            (std::mem::take(&mut state.waiting), state.wakes())
        };
        self.0.progress.notify_all();
        for wake in wakes {
            wake();
        }
        for Waiting { done, .. } in waiting {
            done(Err(AppendError::Closed));
        }
    }
}
