//! The thread `rules`: when samples have come, evaluates the groups that are due.

mod dependents;
mod lines;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use alerting::{Defaults, Departed, GroupState, RoundTimes, RuleGroup, SavedGroups, Transition};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use telemetry::{AlertState, Timestamp};

use crate::agent::Shared;
use crate::agent::firing::{Beside, Fired};
use crate::agent::groups::Judged;
use crate::agent::heartbeat::{ATTENTION, Pulse, WORK_WITHIN};
use crate::agent::mailbox::Mailbox;
use crate::agent::needs::{needs, say_shortfalls};
use crate::agent::watcher::{Happening, Watcher};
use crate::clock;
use crate::config::Judgement;

pub(super) use dependents::collectors_of;
use dependents::{Dependents, dependents};
pub(super) use lines::AlertReads;
use lines::{LinePace, LineReaders};

/// By how much the clock is not yet taken to have been set, in milliseconds.
const SET_BACK_A_LITTLE: i64 = 10;

/// By which the rules are woken.
pub(crate) struct Wakes {
    /// When samples have come. One wake-up that waits is as good as many.
    pub(crate) arrived: Sender<()>,
    /// For those that depend on these collectors, which have looked because of an event.
    pub(crate) urgent: Arc<Mailbox<BTreeSet<&'static str>>>,
}

/// Evaluates until nothing arrives any more.
pub(crate) struct RulesStage {
    /// Without samples for so long the rules are evaluated all the same, so that `absent` is noticed.
    patience: Duration,
    shared: Shared,
    pulse: Pulse,
    next: Arc<Mailbox<Option<Judgement>>>,
    arrived: Receiver<()>,
    /// Collectors that have looked because of an event.
    urgent: Arc<Mailbox<BTreeSet<&'static str>>>,
    dependents: Dependents,
    /// Which groups read what log rules count.
    readers: LineReaders,
    pace: LinePace,
    /// What is left of groups that are gone.
    departed: Vec<Departed>,
}

impl RulesStage {
    /// Groups that know of their past what was saved, first due after `now`.
    pub(crate) fn new(
        judgement: Judgement,
        saved: &SavedGroups,
        now: Timestamp,
        shared: Shared,
        next: Arc<Mailbox<Option<Judgement>>>,
    ) -> (Self, Wakes) {
        let defaults = judgement.defaults;
        let dependents = dependents(judgement.groups.iter());
        let (readers, reads) = LineReaders::of(judgement.groups.iter());
        shared.groups.put_reads(reads);
        let groups = judgement.groups.into_iter().map(|group| GroupState::new(group, &defaults, now));
        let mut groups: Vec<Judged> = groups.map(|group| Judged::new(group, now)).collect();
        restore(&mut groups, saved, &shared, now);
        *shared.groups.write() = groups;
        let pulse = shared.heartbeats.pulse("rules");
        let (sender, arrived) = bounded(1);
        let urgent = Arc::default();
        let wakes = Wakes { arrived: sender, urgent: Arc::clone(&urgent) };
        let patience = defaults.interval * 2;
        let (pace, departed) = (LinePace::default(), Vec::new());
        (Self { patience, shared, pulse, next, arrived, urgent, dependents, readers, pace, departed }, wakes)
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
                recv(self.shared.taps.changed().woken()) -> _ => {
                    self.judge_lines();
                    continue;
                }
                recv(self.arrived) -> message => if message.is_err() { return },
                default(self.patience_until(impatient)) => {
                    self.judge_lines();
                    if !clock::left(impatient).is_zero() {
                        continue;
                    }
                }
            }
            self.round();
            impatient = clock::monotonic() + self.patience;
        }
    }

    /// Judges by the rules of a reload from now on.
    fn take_over(&mut self) {
        let Some(judgement) = self.next.take().flatten() else { return };
        let (defaults, now) = (judgement.defaults, clock::now());
        self.patience = defaults.interval * 2;
        self.dependents = dependents(judgement.groups.iter());
        let (readers, reads) = LineReaders::of(judgement.groups.iter());
        self.readers = readers;
        self.shared.groups.put_reads(reads);
        let transitions = {
            let mut groups = self.shared.groups.write();
            let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
            store.set_needs(&needs(judgement.groups.iter()));
            say_shortfalls(judgement.groups.iter(), store.limits().max_retention);
            drop(store);
            let before = std::mem::take(&mut *groups);
            let Next { groups: next, departed, transitions } =
                go_on(before, judgement.groups, &defaults, now);
            *groups = next;
            self.departed.extend(departed);
            transitions
        };
        self.tell_all(&transitions);
        self.publish();
        self.shared.books.close_finished(&self.shared.watcher);
    }

    fn tell_all(&self, transitions: &[Transition]) {
        if !transitions.is_empty() {
            self.shared.kept.alerts_changed();
        }
        for transition in transitions {
            self.shared.books.alert_changed(transition.alert());
            let mut lines = Vec::new();
            if let Transition::Firing(alert) = transition {
                lines = self.shared.lines_of(alert.name());
                self.shared.books.lines_seen(alert, &lines);
            }
            if !matches!(transition, Transition::Dropped(_)) {
                self.shared.notify.changed(transition.alert(), &lines);
            }
            tell(&self.shared.watcher, transition);
        }
    }

    /// Evaluates what is due.
    fn round(&mut self) {
        for at in 0..self.shared.groups.read(<[Judged]>::len) {
            self.judge(at, |judged, now| judged.group.due(now).map(|slot| RoundTimes { slot, now }));
        }
        if !self.departed.is_empty() {
            let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
            self.departed.retain_mut(|departed| !departed.settle(&mut store, clock::now()));
        }
        self.publish();
        self.shared.books.close_finished(&self.shared.watcher);
    }

    /// Evaluates, due or not, what depends on collectors that have looked because of an event.
    fn judge_dependents(&mut self) {
        let Some(collectors) = self.urgent.take() else { return };
        for at in collectors.iter().filter_map(|collector| self.dependents.get(collector)).flatten() {
            self.judge(*at, |_, now| Some(now.into()));
        }
        self.publish();
        self.shared.books.close_finished(&self.shared.watcher);
    }

    /// How long to wait for anything when nothing is due before `impatient` but what lines have changed.
    fn patience_until(&self, impatient: Instant) -> Duration {
        let lines = self.pace.next().map_or(ATTENTION, clock::left);
        clock::left(impatient).min(lines).min(ATTENTION)
    }

    /// Fetches the counts of log rules that have changed and evaluates, due or not, what depends on them.
    fn judge_lines(&mut self) {
        self.pace.offer(self.shared.taps.changed().take().unwrap_or_default());
        let due = self.pace.due(clock::monotonic());
        if due.is_empty() {
            return;
        }
        let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
        self.shared.taps.collect_changed(&due, &mut store, clock::now());
        drop(store);
        self.shared.arrivals.come();
        for at in self.readers.reading(&due) {
            self.judge(at, |_, now| Some(now.into()));
        }
        self.publish();
        self.shared.books.close_finished(&self.shared.watcher);
    }

    /// Evaluates a group now, at the times that `when` says, if it says any.
    fn judge(&self, at: usize, when: impl FnOnce(&mut Judged, Timestamp) -> Option<RoundTimes>) {
        let mut groups = self.shared.groups.write();
        let Some(judged) = groups.get_mut(at) else { return };
        let now = not_again(clock::now(), judged.evaluated_at);
        let Some(times) = when(judged, now) else { return };
        self.pulse.beat(WORK_WITHIN);
        let round = {
            let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
            let begun = clock::monotonic();
            judged.group.evaluate(&mut store, times, &mut || clock::monotonic().duration_since(begun))
        };
        judged.evaluated_at = times.now;
        judged.say(&round);
        self.shared.groups.count(judged.group.group().rules().len(), &round);
        drop(groups);
        self.tell_all(&round.transitions);
    }

    /// Puts up what fires now, and has others told.
    fn publish(&self) {
        self.shared.clock.look();
        let interval = self.patience / 2;
        let lines_of = |alert: &str| self.shared.lines_of(alert);
        self.shared.notify.publish(&self.shared.groups, &self.departed, lines_of, interval, clock::now());
        let left_out = self.shared.groups.read(|groups| {
            let firing = groups.iter().flat_map(|judged| {
                let firing = judged.group.active_alerts().filter(|alert| alert.state == AlertState::Firing);
                firing.map(|alert| Fired { alert: alert.clone(), at: judged.evaluated_at })
            });
            self.shared.firing.publish(firing, beside(groups))
        });
        if left_out > 0 {
            tracing::warn!(left_out, "more alerts fire at once than are answered");
        }
    }
}

/// What stands on the board beside the alerts that fire.
fn beside(groups: &[Judged]) -> Beside {
    let active = groups.iter().flat_map(|judged| judged.group.active_alerts());
    let pending = active.filter(|alert| alert.state == AlertState::Pending).map(|alert| alert.labels.clone());
    let unknown = groups.iter().flat_map(|judged| judged.group.unknown_alerts()).map(str::to_owned);
    Beside { pending: pending.collect(), unknown: unknown.collect() }
}

/// The time of a round after one at `before`. Series keep whole milliseconds and take one sample of each, so a round that
/// follows at once, or after the clock was set back a little, comes a millisecond later.
fn not_again(now: Timestamp, before: Timestamp) -> Timestamp {
    let ahead = before.as_millis() - now.as_millis();
    if (0..SET_BACK_A_LITTLE).contains(&ahead) { before.plus(Duration::from_millis(1)) } else { now }
}

/// Gives the groups the alerts that the agent before this one knew. What fires has an incident again.
fn restore(groups: &mut [Judged], saved: &SavedGroups, shared: &Shared, now: Timestamp) {
    let mut restored = 0;
    for Judged { group, .. } in groups {
        if let Some(own) = saved.of_group(group.group()) {
            restored += group.restore(own, now);
        }
        for alert in group.active_alerts().filter(|alert| alert.state == AlertState::Firing) {
            shared.books.alert_changed(alert);
        }
    }
    if restored > 0 {
        tracing::info!(alerts = restored, "alerts of before the restart go on");
    }
}

/// The groups as their files say now, what is left of those that are gone, and what became of alerts by it.
struct Next {
    groups: Vec<Judged>,
    departed: Vec<Departed>,
    transitions: Vec<Transition>,
}

/// A group that is still there goes on; one that is gone ends, and its alerts with it.
fn go_on(mut before: Vec<Judged>, groups: Vec<RuleGroup>, defaults: &Defaults, now: Timestamp) -> Next {
    let mut transitions = Vec::new();
    let mut next = Vec::with_capacity(groups.len());
    for group in groups {
        let known = before.iter().position(|judged| judged.is(&group)).map(|at| before.swap_remove(at));
        next.push(match known {
            Some(judged) => {
                let (judged, ended) = judged.go_on_as(group, defaults, now);
                transitions.extend(ended);
                judged
            }
            None => Judged::new(GroupState::new(group, defaults, now), now),
        });
    }
    let mut departed = Vec::with_capacity(before.len());
    for gone in before {
        let (left, ended) = gone.group.end(now);
        departed.push(left);
        transitions.extend(ended);
    }
    Next { groups: next, departed, transitions }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_follows_at_once_has_a_millisecond_of_its_own() {
        let before = Timestamp::from_nanos(5_000_400_000);
        for (now, expected) in [
            (5_000_400_000, 5_001),
            (5_000_900_000, 5_001),
            (5_000_100_000, 5_001),
            (4_999_000_000, 5_001),
            (4_991_000_000, 5_001),
            (4_990_000_000, 4_990),
            (5_001_000_000, 5_001),
            (5_007_000_000, 5_007),
        ] {
            let found = not_again(Timestamp::from_nanos(now), before);
            assert_eq!(found.as_millis(), expected, "{now}");
        }
    }
}
