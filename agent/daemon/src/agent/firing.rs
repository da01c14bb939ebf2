//! The alerts that fire now, as the last round of rules left them.
//!
//! A board, not a queue: whoever answers alerts always sees the present, however long the last answer took. An alert
//! that was resolved meanwhile is simply not there any more. What is pending, and what cannot be told, stands beside them.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use telemetry::{Alert, Labels, Timestamp};

use crate::agent::heartbeat::ATTENTION;

/// Alerts kept at most: more than this firing at once is a storm, in which repairing one by one is no answer.
const MAX_FIRING: usize = 1_000;

/// A firing alert, and when it was last seen firing.
#[derive(Clone, Debug)]
pub(crate) struct Fired {
    pub(crate) alert: Alert,
    pub(crate) at: Timestamp,
}

/// What stands beside the alerts that fire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    /// The labels of alerts whose condition holds, but not yet for long enough.
    pub(crate) pending: Vec<Labels>,
    /// The names of alerts whose rules could not be judged, or were not yet.
    pub(crate) unknown: Vec<String>,
}

/// All alerts that there are.
#[derive(Debug)]
pub(crate) struct Active {
    /// Of which round of rules: two of the same number are one look at the host.
    pub(crate) published: u64,
    /// The labels of those that fire or are pending; None if some of them did not fit.
    pub(crate) labels: Option<Vec<Labels>>,
    /// See [`Beside`].
    pub(crate) unknown: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    firing: BTreeMap<Labels, Fired>,
    beside: Beside,
    /// Whether some did not fit.
    cut: bool,
    /// Rounds of rules that there were.
    published: u64,
    /// These, and wake-ups.
    round: u64,
    closed: bool,
}

/// Written by the rules, read by the runs.
#[derive(Debug, Default)]
pub(crate) struct FiringBoard {
    state: Mutex<State>,
    changed: Condvar,
}

impl FiringBoard {
    /// Puts up what fires after a round, in place of what fired before it. Says how many did not fit.
    pub(crate) fn publish(&self, firing: impl IntoIterator<Item = Fired>, mut beside: Beside) -> usize {
        let mut left_out = 0;
        let mut state = self.lock();
        state.firing.clear();
        for fired in firing {
            if state.firing.len() < MAX_FIRING {
                state.firing.insert(fired.alert.labels.clone(), fired);
            } else {
                left_out += 1;
            }
        }
        state.cut = left_out > 0 || beside.pending.len() > MAX_FIRING;
        beside.pending.truncate(MAX_FIRING);
        state.beside = beside;
        state.published += 1;
        state.round += 1;
        self.changed.notify_all();
        left_out
    }

    /// Waits for a round after `seen`, and returns its number and the alerts that fire. None when no more rounds come.
    /// Meanwhile it calls `waiting` at least once every `ATTENTION`.
    pub(crate) fn next_round(&self, seen: u64, waiting: impl Fn()) -> Option<(u64, Vec<Alert>)> {
        let nothing_new = |state: &mut State| state.round == seen && !state.closed;
        let mut state = self.lock();
        while nothing_new(&mut state) {
            waiting();
            let waited = self.changed.wait_timeout_while(state, ATTENTION, nothing_new);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let firing = || state.firing.values().map(|fired| fired.alert.clone()).collect();
        (!state.closed).then(|| (state.round, firing()))
    }

    /// Has whoever waits for a round look at the last one again.
    pub(crate) fn wake(&self) {
        self.lock().round += 1;
        self.changed.notify_all();
    }

    /// The alerts that fire now, by their labels.
    pub(crate) fn now(&self) -> Vec<Alert> {
        self.lock().firing.values().map(|fired| fired.alert.clone()).collect()
    }

    /// All alerts that there are now.
    pub(crate) fn active(&self) -> Active {
        let state = self.lock();
        let labels = || state.firing.keys().chain(&state.beside.pending).cloned().collect();
        let published = state.published;
        Active { published, labels: (!state.cut).then(labels), unknown: state.beside.unknown.clone() }
    }

    /// When this alert was last seen firing; None if it no longer does.
    pub(crate) fn seen_firing(&self, alert: &Alert) -> Option<Timestamp> {
        self.lock().firing.get(&alert.labels).map(|fired| fired.at)
    }

    /// No more rounds come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::AlertState;

    fn fired(name: &str, at: i64) -> Fired {
        let labels = [("alertname", name)].into_iter().collect();
        let alert = Alert::new(labels, AlertState::Firing, Timestamp::EPOCH);
        Fired { alert, at: Timestamp::from_secs(at) }
    }

    #[test]
    fn an_alert_that_was_resolved_meanwhile_is_not_seen_any_more() {
        let board = FiringBoard::default();
        let alert = fired("A", 1).alert;
        board.publish([fired("A", 1), fired("B", 1)], Beside::default());
        assert_eq!(board.seen_firing(&alert), Some(Timestamp::from_secs(1)));
        board.publish([fired("B", 2)], Beside::default());
        assert_eq!(board.seen_firing(&alert), None);
        let (_, alerts) = board.next_round(0, || ()).unwrap();
        assert_eq!(alerts.iter().map(Alert::name).collect::<Vec<_>>(), ["B"]);
    }

    #[test]
    fn a_storm_is_cut_and_counted() {
        let board = FiringBoard::default();
        let storm = (0..MAX_FIRING + 7).map(|number| fired(&number.to_string(), 1));
        assert_eq!(board.publish(storm, Beside::default()), 7);
        assert_eq!(board.active().labels, None);
        let pending = vec![fired("P", 1).alert.labels];
        board.publish([fired("A", 1)], Beside { pending, unknown: vec!["U".to_owned()] });
        let Active { labels, unknown, published } = board.active();
        board.wake();
        assert_eq!(board.active().published, published, "a wake-up is no look at the host");
        let expected = ["A", "P"].map(|name| fired(name, 1).alert.labels);
        assert_eq!((labels.as_deref(), unknown), (Some(&expected[..]), vec!["U".to_owned()]));
        let many = (0..=MAX_FIRING).map(|number| fired(&number.to_string(), 1).alert.labels);
        board.publish([], Beside { pending: many.collect(), unknown: Vec::new() });
        assert_eq!(board.active().labels, None);
    }

    #[test]
    fn whoever_waits_for_a_round_is_let_go_at_the_close() {
        let board = FiringBoard::default();
        board.publish([], Beside::default());
        board.close();
        assert!(board.next_round(1, || ()).is_none());
    }
}
