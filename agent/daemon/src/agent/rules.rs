//! The thread `rules`: when samples have come, evaluates the groups that are due.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use alerting::{GroupState, Transition};
use crossbeam_channel::{Receiver, select};
use telemetry::{AlertState, Timestamp, with_causes};

use crate::agent::Shared;
use crate::agent::firing::Fired;
use crate::agent::heartbeat::{ATTENTION, Pulse, WORK_WITHIN};
use crate::agent::mailbox::Mailbox;
use crate::agent::watcher::{Happening, Watcher};
use crate::clock;
use crate::config::Judgement;

/// A group and what is known to be wrong with it, so that it is said once.
struct Judged {
    group: GroupState,
    failing: BTreeSet<String>,
    evaluated_at: Timestamp,
}

/// Evaluates until nothing arrives any more.
pub(crate) struct RulesStage {
    groups: Vec<Judged>,
    /// Without samples for so long the rules are evaluated all the same, so that `absent` is noticed.
    patience: Duration,
    shared: Shared,
    pulse: Pulse,
    next: Arc<Mailbox<Option<Judgement>>>,
}

impl RulesStage {
    /// Groups without history, first due after `now`.
    pub(crate) fn new(
        judgement: Judgement,
        now: Timestamp,
        shared: Shared,
        next: Arc<Mailbox<Option<Judgement>>>,
    ) -> Self {
        let interval = judgement.evaluation_interval;
        let groups = judgement.groups.into_iter().map(|group| GroupState::new(group, interval, now));
        let groups =
            groups.map(|group| Judged { group, failing: BTreeSet::new(), evaluated_at: now }).collect();
        let pulse = shared.heartbeats.pulse("rules");
        Self { groups, patience: interval * 2, shared, pulse, next }
    }

    /// Runs until `arrived` is closed or the other side of `stop` is dropped.
    pub(crate) fn run(mut self, arrived: &Receiver<()>, stop: &Receiver<()>) {
        let mut impatient = clock::monotonic() + self.patience;
        loop {
            self.pulse.beat(ATTENTION);
            select! {
                recv(stop) -> _ => return,
                recv(self.next.woken()) -> _ => {
                    self.take_over();
                    continue;
                }
                recv(arrived) -> message => if message.is_err() { return },
                default(clock::left(impatient).min(ATTENTION)) => {
                    if !clock::left(impatient).is_zero() {
                        continue;
                    }
                }
            }
            self.round();
            impatient = clock::monotonic() + self.patience;
        }
    }

    /// Judges by the rules of a reload from now on. A group that is still there goes on; one that is gone ends, and its
    /// alerts with it.
    fn take_over(&mut self) {
        let Some(judgement) = self.next.take().flatten() else { return };
        let (interval, now) = (judgement.evaluation_interval, clock::now());
        let mut before = std::mem::take(&mut self.groups);
        let mut transitions = Vec::new();
        let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
        for group in judgement.groups {
            let same = |judged: &Judged| {
                let old = judged.group.group();
                (old.file(), old.name()) == (group.file(), group.name())
            };
            self.groups.push(match before.iter().position(same).map(|at| before.swap_remove(at)) {
                Some(Judged { group: old, failing, evaluated_at }) => {
                    let (group, ended) = old.go_on_as(group, interval, &mut store, now);
                    transitions.extend(ended);
                    Judged { group, failing, evaluated_at }
                }
                None => Judged {
                    group: GroupState::new(group, interval, now),
                    failing: BTreeSet::new(),
                    evaluated_at: now,
                },
            });
        }
        transitions.extend(before.into_iter().flat_map(|gone| gone.group.end(&mut store, now)));
        drop(store);
        self.patience = interval * 2;
        self.tell_all(&transitions);
        self.publish();
        self.shared.books.close_finished(&self.shared.watcher);
    }

    fn tell_all(&self, transitions: &[Transition]) {
        for transition in transitions {
            self.shared.books.alert_changed(transition.alert());
            tell(&self.shared.watcher, transition);
        }
    }

    /// Evaluates what is due. The slot says whether; the time is now, so that the newest samples count.
    fn round(&mut self) {
        for Judged { group, failing, evaluated_at } in &mut self.groups {
            let now = clock::now();
            if group.due(now).is_none() {
                continue;
            }
            self.pulse.beat(WORK_WITHIN);
            let round = {
                let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
                group.evaluate(&mut store, now)
            };
            *evaluated_at = now;
            let fails: BTreeSet<String> = round.errors.iter().map(|error| with_causes(error)).collect();
            for text in fails.difference(failing) {
                tracing::warn!("{text}");
            }
            *failing = fails;
            for transition in &round.transitions {
                self.shared.books.alert_changed(transition.alert());
                tell(&self.shared.watcher, transition);
            }
        }
        self.publish();
        self.shared.books.close_finished(&self.shared.watcher);
    }

    /// Puts up what fires now.
    fn publish(&self) {
        let firing = self.groups.iter().flat_map(|judged| {
            let firing = judged.group.active_alerts().filter(|alert| alert.state == AlertState::Firing);
            firing.map(|alert| Fired { alert: alert.clone(), at: judged.evaluated_at })
        });
        let left_out = self.shared.firing.publish(firing);
        if left_out > 0 {
            tracing::warn!(left_out, "more alerts fire at once than are answered");
        }
        let missed = self.groups.iter().map(|judged| judged.group.missed_rounds()).sum();
        self.shared.missed_rounds.store(missed, Ordering::Relaxed);
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
