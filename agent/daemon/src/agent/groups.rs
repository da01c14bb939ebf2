//! The groups of rules and what they have found out, for the thread that judges and for whoever asks meanwhile.
//!
//! The thread `rules` changes them, one group at a time, so nobody waits longer than one group takes. It locks the store
//! while it holds the groups; so whoever wants both takes the groups first, and whoever holds the store leaves them alone.

mod judged;

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use alerting::Round;
use telemetry::{AlertState, Timestamp};

use super::rules::AlertReads;
pub(crate) use judged::Judged;

/// All groups, in the order of their files.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    judged: RwLock<Vec<Judged>>,
    counts: Mutex<Counts>,
    reads: RwLock<AlertReads>,
}

/// Counted since the start, over all groups that there were.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    evaluations: u64,
    failures: u64,
    took: Duration,
}

/// How the host is judged, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RuleFigures {
    pub(crate) rules: usize,
    /// Rules of which a selector matches nothing.
    pub(crate) matching_nothing: usize,
    /// Of rules, since the start.
    pub(crate) evaluations: u64,
    pub(crate) failures: u64,
    /// All evaluations together.
    pub(crate) took: Duration,
    /// How long the group that waits longest has been due.
    pub(crate) overdue: Duration,
    /// Left out because the one before was late.
    pub(crate) missed_rounds: u64,
    pub(crate) pending: usize,
    pub(crate) firing: usize,
    pub(crate) flapping: usize,
}

impl Groups {
    /// What `read` makes of them. The rules wait for it, so it takes what it needs and does the rest without them.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&[Judged]) -> T) -> T {
        read(&self.judged.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// For the thread `rules`.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Vec<Judged>> {
        self.judged.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the alerts read these.
    pub(super) fn put_reads(&self, reads: AlertReads) {
        *self.reads.write().unwrap_or_else(PoisonError::into_inner) = reads;
    }

    /// Which counts of log rules the alerts read.
    pub(super) fn reads(&self) -> RwLockReadGuard<'_, AlertReads> {
        self.reads.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a round of so many rules.
    pub(super) fn count(&self, rules: usize, round: &Round) {
        let mut counts = self.counts();
        counts.evaluations += rules as u64;
        counts.failures += round.errors.len() as u64;
        counts.took += round.took;
    }

    /// How the host is judged at `now`.
    pub(crate) fn figures(&self, now: Timestamp) -> RuleFigures {
        let Counts { evaluations, failures, took } = *self.counts();
        let mut figures = RuleFigures { evaluations, failures, took, ..RuleFigures::default() };
        self.read(|groups| {
            for judged in groups {
                let group = &judged.group;
                figures.rules += group.group().rules().len();
                figures.matching_nothing += judged.matching_nothing().count();
                figures.overdue = figures.overdue.max(now.since(group.next_due()));
                figures.missed_rounds += group.missed_rounds();
                figures.flapping += group.flapping(now).count();
                for alert in group.active_alerts() {
                    let is_firing = alert.state == AlertState::Firing;
                    *(if is_firing { &mut figures.firing } else { &mut figures.pending }) += 1;
                }
            }
        });
        figures
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
