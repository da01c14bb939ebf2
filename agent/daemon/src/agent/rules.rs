//! The thread `rules`: when samples have come, evaluates the groups that are due.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use alerting::{GroupState, Transition};
use crossbeam_channel::{Receiver, Sender, TrySendError, select};
use telemetry::{AlertState, Timestamp};

use crate::agent::Shared;
use crate::agent::remediate::Fired;
use crate::agent::watcher::{Happening, Watcher};
use crate::clock;
use crate::config::Judgement;
use crate::print::with_causes;

/// Alerts that may wait for the thread `remediate`. It takes one run at a time; in a storm the rest is offered again in
/// the next round.
pub(crate) const WAITING_ALERTS: usize = 64;

/// A group and what is known to be wrong with it, so that it is said once.
struct Judged {
    group: GroupState,
    failing: BTreeSet<String>,
}

/// Evaluates until nothing arrives any more.
pub(crate) struct RulesStage {
    groups: Vec<Judged>,
    shared: Shared,
    /// Firing alerts, offered in every round for as long as they fire; the receiver decides when to answer again.
    firing: Sender<Fired>,
}

impl RulesStage {
    /// Groups without history, first due after `now`.
    pub(crate) fn new(judgement: Judgement, now: Timestamp, shared: Shared, firing: Sender<Fired>) -> Self {
        let interval = judgement.evaluation_interval;
        let groups = judgement.groups.into_iter().map(|group| GroupState::new(group, interval, now));
        let groups = groups.map(|group| Judged { group, failing: BTreeSet::new() }).collect();
        Self { groups, shared, firing }
    }

    /// Runs until `arrived` is closed or the other side of `stop` is dropped.
    pub(crate) fn run(mut self, arrived: &Receiver<()>, stop: &Receiver<()>) {
        loop {
            select! {
                recv(stop) -> _ => return,
                recv(arrived) -> message => if message.is_err() { return },
            }
            self.round();
        }
    }

    /// Evaluates what is due. The slot says whether; the time is now, so that the newest samples count.
    fn round(&mut self) {
        for Judged { group, failing } in &mut self.groups {
            let now = clock::now();
            if group.due(now).is_none() {
                continue;
            }
            let round = {
                let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
                group.evaluate(&mut store, now)
            };
            let fails: BTreeSet<String> = round.errors.iter().map(|error| with_causes(error)).collect();
            for text in fails.difference(failing) {
                tracing::warn!("{text}");
            }
            *failing = fails;
            for transition in &round.transitions {
                self.shared.books.alert_changed(transition.alert());
                tell(&self.shared.watcher, transition);
            }
            let firing = group.active_alerts().filter(|alert| alert.state == AlertState::Firing);
            for alert in firing {
                if let Err(TrySendError::Full(late)) =
                    self.firing.try_send(Fired { alert: alert.clone(), at: now })
                {
                    tracing::debug!(alert = %late.alert.labels, "runs are busy; the alert is offered again");
                }
            }
        }
        self.shared.books.close_finished(&self.shared.watcher);
    }
}

fn tell(watcher: &Watcher, transition: &Transition) {
    let alert = transition.alert();
    match transition {
        Transition::Dropped(_) => tracing::info!(alert = %alert.labels, "alert is over before it fired"),
        Transition::Pending(_) | Transition::Firing(_) | Transition::Resolved(_) => {
            tracing::info!(alert = %alert.labels, state = %alert.state, value = alert.value, "alert");
            watcher.tell(|| Happening::Alert(alert.clone()));
        }
    }
}
