//! The queues on disk in which telemetry waits: one for each signal, with a cursor in each for every destination.
//!
//! Appending never waits for the disk. What the disk does not take goes to the destinations from memory for as long,
//! and is counted there. Nothing about the disk keeps the sender from starting; what opening found is kept to be said
//! later, for the log is sent by the sender itself.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queue::{AppendError, Cursor, Entry, Opening, Options, OptionsError, Queue};
use telemetry::{Batch, Signal, Timestamp, with_causes};

use crate::sender::accept::{NotAccepted, Waiting};
use crate::sender::line::Line;

const MIB: u64 = 1 << 20;

/// How often the limits of age and of free disk are applied.
const LIMITS_EVERY: Duration = Duration::from_secs(1);

/// Where telemetry waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// Holds one queue for each signal, in a directory of the signal's name. Made if need be.
    pub directory: PathBuf,
    /// How much may wait.
    pub limits: QueueLimits,
}

/// How much telemetry may wait on disk. At a limit the oldest goes, some megabytes at once, and is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The most that the queue of each signal may take, in bytes of disk. At least 16 MiB.
    pub max_bytes: u64,
    /// What has waited longer is dropped. Without it, only room counts.
    pub max_age: Option<Duration>,
    /// Room on the file system that is left to others, in bytes.
    pub min_free_bytes: u64,
}

/// Of metrics a small host makes about 1 GiB a day, of its own traces and logs some KiB: so the default bridges a day
/// and never fills a small disk. No age: what bounds the disk is the bytes, and the traces of a repair are still wanted
/// after a week.
impl Default for QueueLimits {
    fn default() -> Self {
        Self { max_bytes: 1024 * MIB, max_age: None, min_free_bytes: 256 * MIB }
    }
}

impl QueueLimits {
    /// Checks that a queue can keep to them.
    ///
    /// # Errors
    ///
    /// Says what may be asked for.
    pub fn check(self) -> Result<(), OptionsError> {
        self.options().check()
    }

    fn options(self) -> Options {
        Options {
            // A collector takes 4 MiB in one request by default, so larger records would be of no use. Three reserves,
            // of one segment each, still are little on a small disk.
            segment_bytes: 4 * MIB,
            max_bytes: self.max_bytes,
            max_age: self.max_age,
            min_free_bytes: self.min_free_bytes,
            // This much memory, for each signal, at a disk that hangs. Receivers are told to try again.
            max_waiting_bytes: 16 * MIB,
            // A crash costs duplicates of a second's deliveries; an idle host writes a position for each batch at most.
            position_interval: Duration::from_secs(1),
            ..Options::default()
        }
    }
}

/// What opening found, to be said once somebody listens.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Worth knowing.
    Noted(String),
    /// Something is not as it should be.
    Complaint(String),
}

/// The queues of one sender.
#[derive(Default)]
pub(crate) struct Disk {
    /// In the order of [`Signal::ALL`]; empty once closed.
    queues: Mutex<Vec<Option<Queue>>>,
    /// Appends whose outcome is not known yet.
    underway: Arc<AtomicUsize>,
    /// Whether the latest append of a signal failed, in the order of [`Signal::ALL`].
    failing: Arc<[AtomicBool; Signal::ALL.len()]>,
    limits_applied: AtomicI64,
    closed: AtomicBool,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("underway", &self.underway).finish_non_exhaustive()
    }
}

impl Disk {
    /// Opens the queues and forgets the cursors of destinations that are no more.
    pub(crate) fn open(options: &QueueOptions, destinations: &[&str]) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let queues = Signal::ALL.map(|signal| open(signal, options, destinations, &mut findings));
        (Self { queues: Mutex::new(queues.into()), ..Self::default() }, findings)
    }

    /// Takes the cursors of a destination, in the order of [`Signal::ALL`].
    pub(crate) fn cursors(&self, destination: &str, findings: &mut Vec<Finding>) -> Vec<Option<Cursor>> {
        let queues = self.queues();
        let taken = queues.iter().zip(Signal::ALL).map(|(queue, signal)| {
            let cursor = queue.as_ref()?.cursor(destination);
            match cursor {
                Ok(cursor) => {
                    let waiting = cursor.figures().map_or(0, |figures| figures.queued.items);
                    if waiting > 0 {
                        findings.push(Finding::Noted(format!(
                            "{waiting} {} wait on disk for the destination {destination}",
                            signal.items()
                        )));
                    }
                    Some(cursor)
                }
                Err(error) => {
                    findings.push(Finding::Complaint(format!(
                        "{signal} wait on disk and cannot be read for the destination {destination}: {}",
                        with_causes(&error)
                    )));
                    None
                }
            }
        });
        taken.collect()
    }

    /// The signals of which the latest append failed.
    pub(crate) fn failing(&self) -> Vec<Signal> {
        let failing = Signal::ALL.into_iter().zip(self.failing.iter());
        failing.filter(|(_, fails)| fails.load(Ordering::Relaxed)).map(|(signal, _)| signal).collect()
    }

    /// How many appends have no outcome yet.
    pub(crate) fn underway(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.underway)
    }

    /// Appends a batch for all `lines`; those whose cursor will not see it get it in memory.
    pub(crate) fn append(&self, batch: &Batch, now: Timestamp, lines: &Arc<[Arc<Line>]>) {
        self.underway.fetch_add(1, Ordering::SeqCst);
        let promise = Promise {
            signal: batch.signal,
            batch: Some(batch.clone()),
            lines: Arc::clone(lines),
            underway: Arc::clone(&self.underway),
            failing: Arc::clone(&self.failing),
        };
        let queues = self.queues();
        if let Some(Some(queue)) = queues.get(batch.signal as usize) {
            queue.append(entry(batch.clone(), now), move |outcome| promise.settle(outcome));
            self.apply_limits(&queues, now);
        }
    }

    /// Appends a batch that goes nowhere but to disk.
    pub(crate) fn accept<F>(&self, batch: Batch, now: Timestamp, waiting: Waiting<F>)
    where
        F: FnOnce(Result<(), NotAccepted>) + Send + 'static,
    {
        let queues = self.queues();
        let Some(queue) = queues.get(batch.signal as usize) else {
            return waiting.tell(Err(if self.is_closed() {
                NotAccepted::Stopping
            } else {
                NotAccepted::NoQueue
            }));
        };
        let Some(queue) = queue else { return waiting.tell(Err(NotAccepted::NoQueue)) };
        queue.append(entry(batch, now), move |outcome| {
            waiting.tell(outcome.map(|_| ()).map_err(NotAccepted::from));
        });
        self.apply_limits(&queues, now);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn apply_limits(&self, queues: &[Option<Queue>], now: Timestamp) {
        let last = Timestamp::from_nanos(self.limits_applied.load(Ordering::Relaxed));
        // The clock may have been set back.
        if now.since(last) >= LIMITS_EVERY || now < last {
            self.limits_applied.store(now.as_nanos(), Ordering::Relaxed);
            queues.iter().flatten().for_each(|queue| queue.maintain(now.as_nanos()));
        }
    }

    /// Commits what waits and lets go of the directories.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let queues = std::mem::take(&mut *self.queues());
        drop(queues);
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Option<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(batch: Batch, now: Timestamp) -> Entry {
    Entry {
        class: 0,
        items: u32::try_from(batch.items).unwrap_or(u32::MAX),
        received: now.as_nanos(),
        payload: batch.payload,
    }
}

/// A batch between its offer and its outcome. Dropped without one, it counts as refused by the disk.
struct Promise {
    signal: Signal,
    batch: Option<Batch>,
    lines: Arc<[Arc<Line>]>,
    underway: Arc<AtomicUsize>,
    failing: Arc<[AtomicBool; Signal::ALL.len()]>,
}

impl Promise {
    fn settle(mut self, outcome: Result<u64, AppendError>) {
        match outcome {
            Ok(_) => {
                if let Some(batch) = self.batch.take() {
                    self.lines.iter().for_each(|line| line.stored(&batch));
                }
                if self.was_failing(false) {
                    tracing::info!(signal = %self.signal, "telemetry waits on disk again");
                }
            }
            // Says nothing about the disk; each destination counts it.
            Err(AppendError::Closed | AppendError::TooLarge { .. }) => {}
            Err(error) => {
                if !self.was_failing(true) {
                    let error = with_causes(&error);
                    tracing::warn!(
                        signal = %self.signal,
                        "telemetry waits in memory, which a crash loses: {error}"
                    );
                }
            }
        }
    }

    /// Notes whether the disk fails; says whether it did before.
    fn was_failing(&self, fails: bool) -> bool {
        let failing = self.failing.get(self.signal as usize);
        failing.is_some_and(|failing| failing.swap(fails, Ordering::Relaxed))
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.lines.iter().for_each(|line| line.offer(batch.clone()));
        }
        self.underway.fetch_sub(1, Ordering::SeqCst);
        self.lines.iter().for_each(|line| line.wake());
    }
}

/// Opens the queue of one signal; without one its telemetry goes from memory.
fn open(
    signal: Signal,
    options: &QueueOptions,
    destinations: &[&str],
    findings: &mut Vec<Finding>,
) -> Option<Queue> {
    let directory = options.directory.join(signal.as_str());
    let opened = std::fs::create_dir_all(&options.directory)
        .map_err(|error| format!("making {}: {error}", options.directory.display()))
        .and_then(|()| {
            Queue::open(&directory, options.limits.options()).map_err(|error| with_causes(&error))
        });
    let (queue, opening) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            findings.push(Finding::Complaint(format!(
                "{signal} wait in memory, which a crash loses, until the next start: {error}"
            )));
            return None;
        }
    };
    findings.extend(complaints(signal, &opening).map(Finding::Complaint));
    for gone in queue.figures().cursors {
        if !destinations.contains(&gone.name.as_str()) {
            let finding = if gone.queued.items > 0 { Finding::Complaint } else { Finding::Noted };
            findings.push(finding(format!(
                "the destination {} is no longer configured: {} {} that waited for it are forgotten",
                gone.name,
                gone.queued.items,
                signal.items(),
            )));
            queue.remove_cursor(&gone.name);
        }
    }
    Some(queue)
}

fn complaints(signal: Signal, opening: &Opening) -> impl Iterator<Item = String> {
    let damaged = &opening.quarantined;
    let unknown = &opening.unknown_version;
    let reset = &opening.positions_reset;
    let texts = [
        (!damaged.is_empty()).then(|| format!("nothing in {} can be read; set aside", damaged.join(", "))),
        (!unknown.is_empty()).then(|| format!("{} are of another version; set aside", unknown.join(", "))),
        (!reset.is_empty()).then(|| {
            format!("the positions of {} were lost; they are sent everything again", reset.join(", "))
        }),
        (opening.torn_tails > 0)
            .then(|| format!("{} bytes of a write that a crash broke off were cut", opening.torn_bytes)),
    ];
    texts.into_iter().flatten().map(move |text| format!("the queue of {signal}: {text}"))
}
