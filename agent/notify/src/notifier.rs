//! The thread `notify`: a task for each receiver, on a small runtime of its own.
//!
//! Whoever publishes never waits for it. When it stops, what is owed is owed still: the ledger says so to the next agent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use telemetry::{Alert, Labels, Timestamp};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::desk::Desk;
use crate::ledger::Call;
use crate::notice::Notice;
use crate::options::{Clock, Options};
use crate::receiver::{self, Bench, Counters, Failing};
use crate::silences::{NewSilence, Silence, SilenceError, Silences};

/// A resolver or a disk that hangs keeps a thread; beyond these, names are looked up one after the other.
const BLOCKING_THREADS: usize = 8;

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no thread or no event queue to be had.
    #[error("starting the thread that tells others of alerts")]
    Thread(#[source] std::io::Error),
}

/// Why silences did not change.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What was asked for cannot be.
    #[error(transparent)]
    Silence(#[from] SilenceError),
    /// Nothing has changed: what holds must hold after a restart too.
    #[error("the silences cannot be kept on disk")]
    Kept(#[source] std::io::Error),
}

/// What is counted of one receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverFigures {
    /// Its name.
    pub name: String,
    /// Alerts that it took, each time they were told.
    pub accepted: u64,
    /// Alerts that it refused.
    pub refused: u64,
    /// Requests, failed ones included.
    pub requests: u64,
    /// Requests without an answer, or with one that asks to try again.
    pub failed: u64,
    /// How long all requests took.
    pub took: Duration,
    /// Alerts that it is owed now.
    pub owed: usize,
    /// Set when it did not take what it was told last.
    pub failing: Option<Failing>,
}

/// What is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// By receiver, the dead man's switch last.
    pub receivers: Vec<ReceiverFigures>,
    /// Alerts of the last round that were too many.
    pub left_out: usize,
    /// Ends that were given up: nobody could be told of them for a day, or what fires needed their place.
    pub expired: u64,
    /// Times that the ledger could not be written.
    pub failed_writes: u64,
    /// Silences that hold.
    pub silences: usize,
}

/// How long the tasks of options that are no more have for the answers to what they have asked.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// The disk has so long at the stop at least: it is asked when the time may be over.
const KEPT_AT_LAST: Duration = Duration::from_secs(1);

struct InForce {
    options: Arc<Options>,
    counters: Vec<Arc<Counters>>,
    ending: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl InForce {
    fn nobody() -> Self {
        let (ending, _) = watch::channel(false);
        Self { options: Arc::default(), counters: Vec::new(), ending, tasks: JoinSet::new() }
    }

    /// Ends the tasks. What is under way may be answered within `within`; after that it is broken off, and told again some
    /// time: nobody knows whether it was heard.
    fn end(&mut self, runtime: &Handle, within: Duration) {
        self.ending.send_replace(true);
        let mut tasks = std::mem::take(&mut self.tasks);
        let ended = async { while tasks.join_next().await.is_some() {} };
        // An error means that the time is over; dropping the tasks breaks them off.
        let _ = runtime.block_on(async { timeout(within, ended).await });
    }
}

/// Tells others of alerts in the background.
pub struct Notifier {
    desk: Arc<Desk>,
    news: watch::Sender<u64>,
    clock: Clock,
    runtime: Handle,
    /// What is published goes by these, so that it waits for nothing.
    options: Mutex<Arc<Options>>,
    in_force: Mutex<InForce>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Notifier {
    /// Starts the thread `notify`, which keeps what it must remember in `directory`, and calls `alive` at its start and then
    /// `every` so often.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no event queue.
    pub fn start(
        options: Options,
        directory: &Path,
        clock: fn() -> Timestamp,
        every: Duration,
        alive: impl Fn() + Send + 'static,
    ) -> Result<Self, StartError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("notify-blocking")
            .build()
            .map_err(StartError::Thread)?;
        let (stop, mut stopped) = watch::channel(false);
        let handle = runtime.handle().clone();
        let work = move || {
            runtime.block_on(async {
                let beat = async {
                    loop {
                        alive();
                        sleep(every).await;
                    }
                };
                tokio::select! {
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                    () = beat => {}
                }
            });
            // Not the ordinary end, which would wait for a name server that hangs.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("notify".to_owned()).spawn(work);
        let thread = Mutex::new(Some(thread.map_err(StartError::Thread)?));
        let (news, _) = watch::channel(0);
        let notifier = Self {
            desk: Arc::new(Desk::open(directory)),
            news,
            clock: Clock(clock),
            runtime: handle,
            options: Mutex::default(),
            in_force: Mutex::new(InForce::nobody()),
            stop,
            thread,
        };
        notifier.reconfigure(options);
        Ok(notifier)
    }

    /// Tells by these options from now on. Those who stay are told nothing again that they know.
    pub fn reconfigure(&self, options: Options) {
        let mut before = std::mem::replace(&mut *self.in_force(), InForce::nobody());
        before.end(&self.runtime, ANSWERED_WITHIN);
        let options = Arc::new(options);
        *lock(&self.options) = Arc::clone(&options);
        let names: BTreeSet<&str> = options.receivers.iter().map(|receiver| receiver.target.name()).collect();
        self.desk.keep_receivers(&names);
        let mut next = InForce { options: Arc::clone(&options), ..InForce::nobody() };
        for receiver in &options.receivers {
            let task = receiver::serve(receiver.clone(), self.bench(&mut next), self.news.subscribe());
            next.tasks.spawn_on(task, &self.runtime);
        }
        if let Some(switch) = &options.dead_mans_switch {
            let task = receiver::hold(switch.clone(), self.bench(&mut next));
            next.tasks.spawn_on(task, &self.runtime);
        }
        *self.in_force() = next;
    }

    fn bench(&self, next: &mut InForce) -> Bench {
        let counters = Arc::<Counters>::default();
        next.counters.push(Arc::clone(&counters));
        let (options, desk) = (Arc::clone(&next.options), Arc::clone(&self.desk));
        Bench { options, desk, counters, clock: self.clock, ending: next.ending.subscribe() }
    }

    /// What is to be told of these alerts at `now`; with each, how often its group is evaluated. `hold_back` says for how long
    /// from its beginning an alert is held back from people who do not know of it. Nothing, if there is nobody to tell.
    pub fn notices<'a>(
        &self,
        alerts: impl Iterator<Item = (&'a Alert, Duration)>,
        hold_back: impl Fn(&Alert) -> Option<Duration>,
        now: Timestamp,
    ) -> Vec<Notice> {
        let options = Arc::clone(&lock(&self.options));
        if options.receivers.is_empty() {
            return Vec::new();
        }
        let notice = |(alert, interval)| {
            let notice = Notice::of(alert, interval, options.resend_delay, now)?;
            Some(notice.held_back(hold_back(alert), now))
        };
        alerts.filter_map(notice).collect()
    }

    /// Takes what fires, and what was resolved lately, after a round of rules at `now`. Never waits. To be called after each
    /// round, also without alerts: that rules are evaluated is told too.
    pub fn publish(&self, notices: Vec<Notice>, interval: Duration, now: Timestamp) {
        self.desk.publish(notices, interval, now);
        self.news.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Tells people at once of an alert that is held back, with these annotations besides its own.
    pub fn release(&self, labels: &Labels, added: BTreeMap<String, String>) {
        let options = Arc::clone(&lock(&self.options));
        if self.desk.release(labels, added, &options, (self.clock.0)()) {
            self.news.send_modify(|number| *number = number.wrapping_add(1));
        }
    }

    /// Calls people because a repair has failed, whether or not its alert fires. It is on disk when this returns, unless the
    /// disk hangs. Returns who is told now: nobody if it is silenced.
    pub fn call(&self, call: Call) -> Vec<String> {
        let options = Arc::clone(&lock(&self.options));
        if options.receivers.is_empty() {
            return Vec::new();
        }
        let told = self.desk.call(call, &options, (self.clock.0)());
        self.desk.keep_now(KEPT_AT_LAST);
        self.news.send_modify(|number| *number = number.wrapping_add(1));
        let receivers = options.receivers.iter().filter(|_| told);
        receivers.map(|receiver| receiver.target.name().to_owned()).collect()
    }

    /// The alerts that are held back from people, and until when.
    pub fn held(&self) -> BTreeMap<Labels, Timestamp> {
        let options = Arc::clone(&lock(&self.options));
        self.desk.held(&options, (self.clock.0)())
    }

    /// Silences from now on.
    ///
    /// # Errors
    ///
    /// What is asked for is no silence, or it cannot be kept.
    pub fn silence(&self, new: NewSilence) -> Result<Silence, ChangeError> {
        self.change(|silences, now| silences.add(new, now))
    }

    /// Ends a silence.
    ///
    /// # Errors
    ///
    /// None of this id holds, or its end cannot be kept.
    pub fn expire(&self, id: &str) -> Result<Silence, ChangeError> {
        self.change(|silences, now| silences.expire(id, now))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Silences, Timestamp) -> Result<Silence, SilenceError>,
    ) -> Result<Silence, ChangeError> {
        let now = (self.clock.0)();
        let changed = self.desk.change_silences(|silences| change(silences, now))?;
        let changed = changed.map_err(ChangeError::Kept)?;
        self.news.send_modify(|number| *number = number.wrapping_add(1));
        Ok(changed)
    }

    /// Silences that hold or ended lately.
    pub fn silences(&self) -> Vec<Silence> {
        let now = (self.clock.0)();
        self.desk.silences(|silences| silences.list(now))
    }

    /// The silence that holds for an alert with these labels.
    pub fn silencing(&self, labels: &Labels) -> Option<Silence> {
        let now = (self.clock.0)();
        self.desk.silences(|silences| silences.silencing(labels, now).cloned())
    }

    /// What is counted. Counts of receivers begin with the start or the last change of the options.
    pub fn figures(&self) -> Figures {
        let now = (self.clock.0)();
        let in_force = self.in_force();
        let options = &in_force.options;
        let switch = options.dead_mans_switch.as_ref().map(|switch| (switch.target.name(), 0));
        let owed = options.receivers.iter().map(|receiver| {
            let name = receiver.target.name();
            (name, self.desk.owed(name, &receiver.pace(options.resend_delay), now))
        });
        let receivers = owed.chain(switch).zip(&in_force.counters).map(|((name, owed), counters)| {
            let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            ReceiverFigures {
                name: name.to_owned(),
                accepted: read(&counters.accepted),
                refused: read(&counters.refused),
                requests: read(&counters.requests),
                failed: read(&counters.failed),
                took: Duration::from_millis(read(&counters.millis)),
                owed,
                failing: counters.failing(),
            }
        });
        let (left_out, expired) = self.desk.dropped();
        Figures {
            receivers: receivers.collect(),
            left_out,
            expired,
            failed_writes: self.desk.failed_writes.load(Ordering::Relaxed),
            silences: self.silences().iter().filter(|silence| silence.holds(now)).count(),
        }
    }

    /// Ends the thread and keeps what it knows. What is under way may be answered within `within`; the disk has as long, and
    /// a moment at least.
    pub fn stop(&self, within: Duration) {
        let Some(thread) = lock(&self.thread).take() else { return };
        self.in_force().end(&self.runtime, within);
        self.stop.send_replace(true);
        if thread.join().is_err() {
            tracing::error!("the thread notify panicked");
        }
        self.desk.keep_now(within.max(KEPT_AT_LAST));
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        lock(&self.in_force)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.stop(ANSWERED_WITHIN);
    }
}

#[cfg(test)]
mod tests;
