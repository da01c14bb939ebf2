//! The alerts that fire now, as the last round of rules left them.
//!
//! A board, not a queue: whoever answers alerts always sees the present, however long the last answer took. An alert
//! that was resolved meanwhile is simply not there any more.

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

#[derive(Debug, Default)]
struct State {
    firing: BTreeMap<Labels, Fired>,
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
    pub(crate) fn publish(&self, firing: impl IntoIterator<Item = Fired>) -> usize {
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

    /// The alerts that fire now, by their labels.
    pub(crate) fn now(&self) -> Vec<Alert> {
        self.lock().firing.values().map(|fired| fired.alert.clone()).collect()
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
        let alert = Alert {
            labels: [("alertname", name)].into_iter().collect(),
            annotations: BTreeMap::new(),
            state: AlertState::Firing,
            value: 1.0,
            active_at: Timestamp::EPOCH,
            fired_at: Some(Timestamp::EPOCH),
            resolved_at: None,
        };
        Fired { alert, at: Timestamp::from_secs(at) }
    }

    #[test]
    fn an_alert_that_was_resolved_meanwhile_is_not_seen_any_more() {
        let board = FiringBoard::default();
        let alert = fired("A", 1).alert;
        board.publish([fired("A", 1), fired("B", 1)]);
        assert_eq!(board.seen_firing(&alert), Some(Timestamp::from_secs(1)));
        board.publish([fired("B", 2)]);
        assert_eq!(board.seen_firing(&alert), None);
        let (_, alerts) = board.next_round(0, || ()).unwrap();
        assert_eq!(alerts.iter().map(Alert::name).collect::<Vec<_>>(), ["B"]);
    }

    #[test]
    fn a_storm_is_cut_and_counted() {
        let board = FiringBoard::default();
        let storm = (0..MAX_FIRING + 7).map(|number| fired(&number.to_string(), 1));
        assert_eq!(board.publish(storm), 7);
    }

    #[test]
    fn whoever_waits_for_a_round_is_let_go_at_the_close() {
        let board = FiringBoard::default();
        board.publish([]);
        board.close();
        assert!(board.next_round(1, || ()).is_none());
    }
}
