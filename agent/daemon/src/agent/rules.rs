//! The thread `rules`: when samples have come, evaluates the groups that are due.

mod dependents;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use alerting::{GroupState, Transition};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use telemetry::{AlertState, Timestamp, with_causes};

use crate::agent::Shared;
use crate::agent::firing::Fired;
use crate::agent::heartbeat::{ATTENTION, Pulse, WORK_WITHIN};
use crate::agent::mailbox::Mailbox;
use crate::agent::watcher::{Happening, Watcher};
use crate::clock;
use crate::config::Judgement;

use dependents::{Dependents, dependents};

/// A group and what is known to be wrong with it, so that it is said once.
struct Judged {
    group: GroupState,
    failing: BTreeSet<String>,
    evaluated_at: Timestamp,
}

impl Judged {
    fn judge(&mut self, shared: &Shared, now: Timestamp) {
        let round = {
            let mut store = shared.store.write().unwrap_or_else(PoisonError::into_inner);
            self.group.evaluate(&mut store, now)
        };
        self.evaluated_at = now;
        let fails: BTreeSet<String> = round.errors.iter().map(|error| with_causes(error)).collect();
        for text in fails.difference(&self.failing) {
            tracing::warn!("{text}");
        }
        self.failing = fails;
        for transition in &round.transitions {
            shared.books.alert_changed(transition.alert());
            tell(&shared.watcher, transition);
        }
    }
}

/// By which the rules are woken.
pub(crate) struct Wakes {
    /// When samples have come. One wake-up that waits is as good as many.
    pub(crate) arrived: Sender<()>,
    /// For those that depend on these collectors, which have looked because of an event.
    pub(crate) urgent: Arc<Mailbox<BTreeSet<&'static str>>>,
}

/// Evaluates until nothing arrives any more.
pub(crate) struct RulesStage {
    groups: Vec<Judged>,
    /// Without samples for so long the rules are evaluated all the same, so that `absent` is noticed.
    patience: Duration,
    shared: Shared,
    pulse: Pulse,
    next: Arc<Mailbox<Option<Judgement>>>,
    arrived: Receiver<()>,
    /// Collectors that have looked because of an event.
    urgent: Arc<Mailbox<BTreeSet<&'static str>>>,
    dependents: Dependents,
}

impl RulesStage {
    /// Groups without history, first due after `now`.
    pub(crate) fn new(
        judgement: Judgement,
        now: Timestamp,
        shared: Shared,
        next: Arc<Mailbox<Option<Judgement>>>,
    ) -> (Self, Wakes) {
        let interval = judgement.evaluation_interval;
        let groups = judgement.groups.into_iter().map(|group| GroupState::new(group, interval, now));
        let groups: Vec<Judged> =
            groups.map(|group| Judged { group, failing: BTreeSet::new(), evaluated_at: now }).collect();
        let dependents = dependents(groups.iter().map(|judged| judged.group.group()));
        let pulse = shared.heartbeats.pulse("rules");
        let (sender, arrived) = bounded(1);
        let urgent = Arc::default();
        let wakes = Wakes { arrived: sender, urgent: Arc::clone(&urgent) };
        let patience = interval * 2;
        (Self { groups, patience, shared, pulse, next, arrived, urgent, dependents }, wakes)
    }

    /// Runs until nobody can wake it any more or the other side of `stop` is dropped.
    pub(crate) fn run(mut self, stop: &Receiver<()>) {
        let mut impatient = clock::monotonic() + self.patience;
        loop {
            self.pulse.beat(ATTENTION);
            select! {
                recv(stop) -> _ => return,
                recv(self.next.woken()) -> _ => {
                    self.take_over();
                    continue;
                }
                recv(self.urgent.woken()) -> _ => {
                    self.judge_dependents();
                    continue;
                }
                recv(self.arrived) -> message => if message.is_err() { return },
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
        self.dependents = dependents(self.groups.iter().map(|judged| judged.group.group()));
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
        for judged in &mut self.groups {
            let now = clock::now();
            if judged.group.due(now).is_some() {
                self.pulse.beat(WORK_WITHIN);
                judged.judge(&self.shared, now);
            }
        }
        self.publish();
        self.shared.books.close_finished(&self.shared.watcher);
    }

    /// Evaluates, due or not, what depends on collectors that have looked because of an event.
    fn judge_dependents(&mut self) {
        let Some(collectors) = self.urgent.take() else { return };
        for collector in collectors {
            for at in self.dependents.get(collector).into_iter().flatten() {
                let Some(judged) = self.groups.get_mut(*at) else { continue };
                let now = clock::now();
                // Series keep whole milliseconds, and take a sample of each once.
                let is_again = now.as_millis() == judged.evaluated_at.as_millis();
                let now = if is_again { now.plus(Duration::from_millis(1)) } else { now };
                self.pulse.beat(WORK_WITHIN);
                judged.judge(&self.shared, now);
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
