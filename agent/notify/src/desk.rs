//! What all receivers share: what is reported, the ledger, the silences, and the files that keep them.
//!
//! What is published lies in a lock of its own until a receiver looks, so that rules wait neither for matching nor for the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telemetry::{Labels, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::alertmanager;
use crate::ledger::{Answer, Call, Ledger, Pace};
use crate::notice::{Notice, valid_until};
use crate::options::{Kind, Options, RESOLVED_FOR};
use crate::silences::Silences;
use crate::state_file::StateFile;
use crate::webhook::LARGEST_MESSAGE;

/// A disk that takes longer is not waited for: who must be told is told.
const KEPT_WITHIN: Duration = Duration::from_secs(1);

/// The name of the alert that always fires.
pub(crate) const WATCHDOG: &str = "Watchdog";

/// All that fires, as the rules said last.
#[derive(Debug)]
struct Report {
    notices: Vec<Notice>,
    at: Timestamp,
    /// How often the rules say so.
    interval: Duration,
}

/// What the rules said, until it is taken.
#[derive(Debug, Default)]
struct Inbox {
    report: Option<Report>,
    /// When rules were last evaluated, and how often they are.
    evaluated: Option<(Timestamp, Duration)>,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    silences: Silences,
    /// None when it is to be found anew.
    quiet: Option<Quiet>,
    /// Counts changes of the ledger that must be kept.
    changes: u64,
}

/// Which of the alerts that fire are silenced. To match them all takes a while, so it is noted.
#[derive(Debug)]
struct Quiet {
    labels: BTreeSet<Labels>,
    /// So it is from then on,
    from: Timestamp,
    /// until then.
    until: Option<Timestamp>,
}

impl State {
    /// Has it noted what is silenced at `now`.
    fn note_quiet(&mut self, now: Timestamp) {
        let holds = |quiet: &Quiet| quiet.from <= now && quiet.until.is_none_or(|until| now < until);
        if self.quiet.as_ref().is_some_and(holds) {
            return;
        }
        let until = self.silences.next_change(now);
        let silenced = |labels: &Labels| self.silences.silencing(labels, now).is_some();
        let silenceable = self.ledger.silenceable();
        let quiet = silenceable.filter(|(labels, about)| silenced(labels) || about.is_some_and(silenced));
        let labels =
            if until.is_some() { quiet.map(|(labels, _)| labels.clone()).collect() } else { BTreeSet::new() };
        self.quiet = Some(Quiet { labels, from: now, until });
    }

    fn is_quiet(&self, labels: &Labels) -> bool {
        self.quiet.as_ref().is_some_and(|quiet| quiet.labels.contains(labels))
    }
}

/// What one receiver is to be told now.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) notices: Vec<Arc<Notice>>,
    /// Besides these there are so many of the same name.
    pub(crate) truncated: usize,
    /// Whether the ledger must be kept before.
    pub(crate) keep_first: bool,
}

/// What there is to do for a receiver.
#[derive(Debug)]
pub(crate) enum Next {
    Tell(Delivery),
    /// Nothing before then.
    Wait(Option<Timestamp>),
}

/// Shared by the rules, the receivers and whoever silences.
#[derive(Debug)]
pub(crate) struct Desk {
    inbox: Mutex<Inbox>,
    /// Locked before the inbox, by whoever wants both.
    state: Mutex<State>,
    /// Locked before the state, by whoever wants both.
    ledger_file: Mutex<StateFile>,
    /// Locked before the state, by whoever wants both.
    silences_file: Mutex<StateFile>,
    /// Whose turn it is to wait for the disk, on one thread at most.
    writing: Arc<Semaphore>,
    written: AtomicU64,
    pub(crate) failed_writes: AtomicU64,
    failing: AtomicBool,
}

impl Desk {
    /// Reads what an earlier agent kept in `directory`.
    pub(crate) fn open(directory: &Path) -> Self {
        let ledger_file = StateFile::new(directory, "notifications.json");
        let silences_file = StateFile::new(directory, "silences.json");
        let ledger = ledger_file.load(Ledger::restore);
        let silences = silences_file.load(Silences::restore);
        Self {
            inbox: Mutex::default(),
            state: Mutex::new(State { ledger, silences, ..State::default() }),
            ledger_file: Mutex::new(ledger_file),
            silences_file: Mutex::new(silences_file),
            writing: Arc::new(Semaphore::new(1)),
            written: AtomicU64::new(0),
            failed_writes: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }
    }

    /// Takes what fires at `now`, as rules that are evaluated each `interval` say.
    pub(crate) fn publish(&self, notices: Vec<Notice>, interval: Duration, now: Timestamp) {
        let mut inbox = lock(&self.inbox);
        inbox.evaluated = Some((now, interval));
        inbox.report = Some(Report { notices, at: now, interval });
    }

    /// When rules were last evaluated, and how often they are.
    pub(crate) fn evaluated(&self) -> Option<(Timestamp, Duration)> {
        lock(&self.inbox).evaluated
    }

    /// What `receiver` is to be told at `now`.
    pub(crate) fn next(
        &self,
        name: &str,
        kind: &Kind,
        pace: &Pace,
        options: &Options,
        now: Timestamp,
    ) -> Next {
        let mut state = self.lock();
        self.take_report(&mut state, options);
        state.note_quiet(now);
        let State { ledger, silences, .. } = &*state;
        let silenced = |labels: &Labels| state.is_quiet(labels);
        let owed = ledger.owed(name, pace, silenced, now);
        let Some(first) = owed.first().cloned() else {
            let due = ledger.next_due(name, pace, silenced);
            return Next::Wait(due.into_iter().chain(silences.next_change(now)).min());
        };
        let (notices, truncated) = match kind {
            Kind::Alertmanager => (owed.into_iter().take(alertmanager::BATCH).collect(), 0),
            Kind::Webhook { .. } => {
                group(ledger, &first, owed, |labels| silenced(labels) || ledger.is_held(labels, now))
            }
        };
        let keep_first = state.ledger.attempt(name, &notices, now);
        state.changes += u64::from(keep_first);
        Next::Tell(Delivery { notices, truncated, keep_first })
    }

    fn take_report(&self, state: &mut State, options: &Options) {
        let report = lock(&self.inbox).report.take();
        if let Some(report) = report {
            take(&mut state.ledger, report, options);
            state.quiet = None;
        }
    }

    /// Has people told at once of an alert that is held back. Says whether it was.
    pub(crate) fn release(
        &self,
        labels: &Labels,
        added: BTreeMap<String, String>,
        options: &Options,
        now: Timestamp,
    ) -> bool {
        let mut state = self.lock();
        // It may have been reported a moment ago.
        self.take_report(&mut state, options);
        let released = state.ledger.release(labels, added, now);
        state.changes += u64::from(released);
        released
    }

    /// Has people called. Says whether they are told now: it is not silenced.
    pub(crate) fn call(&self, call: Call, options: &Options, now: Timestamp) -> bool {
        let mut state = self.lock();
        self.take_report(&mut state, options);
        let silenced = state.silences.silencing(&call.labels(), now).is_some()
            || state.silences.silencing(&call.alert, now).is_some();
        state.ledger.call(call, now);
        state.changes += 1;
        state.quiet = None;
        !silenced
    }

    /// What is held back at `now`, and until when.
    pub(crate) fn held(&self, options: &Options, now: Timestamp) -> BTreeMap<Labels, Timestamp> {
        let mut state = self.lock();
        self.take_report(&mut state, options);
        state.ledger.held(now).map(|(labels, until)| (labels.clone(), until)).collect()
    }

    /// How many alerts `receiver` is owed at `now`.
    pub(crate) fn owed(&self, name: &str, pace: &Pace, now: Timestamp) -> usize {
        let mut state = self.lock();
        state.note_quiet(now);
        state.ledger.owed(name, pace, |labels| state.is_quiet(labels), now).len()
    }

    /// Alerts that were over the limit, and ends that were given up.
    pub(crate) fn dropped(&self) -> (usize, u64) {
        let state = self.lock();
        (state.ledger.left_out(), state.ledger.expired())
    }

    /// Notes what a receiver made of a delivery.
    pub(crate) fn answered(&self, name: &str, notices: &[Arc<Notice>], answer: Answer, now: Timestamp) {
        let mut state = self.lock();
        state.ledger.answered(name, notices, answer, now);
        state.changes += 1;
    }

    /// Forgets what others than these were told.
    pub(crate) fn keep_receivers(&self, names: &BTreeSet<&str>) {
        let mut state = self.lock();
        state.ledger.keep_receivers(names);
        state.changes += 1;
    }

    /// Reads the silences.
    pub(crate) fn silences<T>(&self, read: impl FnOnce(&Silences) -> T) -> T {
        read(&self.lock().silences)
    }

    /// Changes the silences: first on disk, then in force, so that what cannot be kept never holds. Nobody but another change
    /// waits for the disk.
    pub(crate) fn change_silences<T, E>(
        &self,
        change: impl FnOnce(&mut Silences) -> Result<T, E>,
    ) -> Result<std::io::Result<T>, E> {
        let file = lock(&self.silences_file);
        let mut silences = self.silences(Silences::clone);
        let changed = change(&mut silences)?;
        let kept = file.replace(&silences.save());
        if kept.is_ok() {
            let mut state = self.lock();
            state.silences = silences;
            state.quiet = None;
        }
        Ok(kept.map(|()| changed))
    }

    /// Keeps the ledger. Returns once it is on disk, or after a while.
    pub(crate) async fn keep(self: &Arc<Self>) {
        let desk = Arc::clone(self);
        let kept = async move {
            let Ok(turn) = Arc::clone(&desk.writing).acquire_owned().await else { return };
            let write = move || {
                desk.write();
                drop(turn);
            };
            let _ = spawn_blocking(write).await;
        };
        let _ = timeout(KEPT_WITHIN, kept).await;
    }

    /// Keeps the ledger, and waits no longer than `within` for a disk that hangs.
    pub(crate) fn keep_now(self: &Arc<Self>, within: Duration) {
        let (desk, (done, is_done)) = (Arc::clone(self), sync_channel(1));
        let write = move || {
            desk.write();
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("notify-keep".to_owned()).spawn(write);
        if thread.is_err() || is_done.recv_timeout(within).is_err() {
            tracing::warn!(
                "the disk does not take who was told of what; some may be told again after a restart"
            );
        }
    }

    /// Writes the ledger, unless the file has all of it.
    fn write(&self) {
        let file = lock(&self.ledger_file);
        let (changes, ledger) = {
            let state = self.lock();
            if state.changes == self.written.load(Ordering::Relaxed) {
                return;
            }
            (state.changes, state.ledger.clone())
        };
        match file.replace(&ledger.save()) {
            Ok(()) => {
                self.written.store(changes, Ordering::Relaxed);
                self.failing.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                self.failed_writes.fetch_add(1, Ordering::Relaxed);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    let file = file.path().display();
                    tracing::warn!(%file, "who was told of what is not kept, and may be told again after a restart: {error}");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the ledger know what fires.
fn take(ledger: &mut Ledger, report: Report, options: &Options) {
    let Report { mut notices, at, interval } = report;
    if options.watchdog {
        let since = ledger.fires_since(&watchdog_labels()).unwrap_or(at);
        notices.push(watchdog(since, valid_until(interval, options.resend_delay, at)));
    }
    ledger.report(notices, RESOLVED_FOR, at);
}

fn watchdog_labels() -> Labels {
    [("alertname", WATCHDOG), ("severity", "none")].into_iter().collect()
}

/// The alert that says that alerts would be told.
pub(crate) fn watchdog(since: Timestamp, valid_until: Timestamp) -> Notice {
    let summary =
        "This alert always fires. When it does not, the agent's rules are not evaluated or nobody is told.";
    Notice {
        labels: watchdog_labels(),
        annotations: [("summary".to_owned(), summary.to_owned())].into(),
        fired_at: since,
        resolved_at: None,
        valid_until,
        expression: "vector(1)".to_owned(),
        held_until: None,
    }
}

/// What is owed of the name of `first`, with all else that fires under it: the message speaks for all of them.
fn group(
    ledger: &Ledger,
    first: &Notice,
    owed: Vec<Arc<Notice>>,
    left_out: impl Fn(&Labels) -> bool,
) -> (Vec<Arc<Notice>>, usize) {
    let mut group: Vec<Arc<Notice>> =
        owed.into_iter().filter(|notice| notice.name() == first.name()).collect();
    let told: BTreeSet<Labels> = group.iter().map(|notice| notice.labels.clone()).collect();
    let besides = ledger.firing().filter(|notice| {
        notice.name() == first.name() && !told.contains(&notice.labels) && !left_out(&notice.labels)
    });
    group.extend(besides.cloned());
    let truncated = group.len().saturating_sub(LARGEST_MESSAGE);
    group.truncate(LARGEST_MESSAGE);
    (group, truncated)
}

#[cfg(test)]
mod tests;
