//! The queues on disk in which telemetry waits: one for each signal, with a cursor in each for every destination that
//! takes the signal.
//!
//! Appending never waits for the disk. What the disk does not take of the host's own goes to the destinations from memory
//! for as long, and is counted there. Nothing about the disk keeps the sender from starting; what opening found is kept
//! to be said later, for the log is sent by the sender itself.

mod options;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queue::{AppendError, Cursor, CursorError, Entry, Opening, Queue};
use telemetry::{Batch, Signal, Timestamp, with_causes};

use crate::sender::accept::{NotAccepted, Waiting};
use crate::sender::dead_letters::DeadLetters;
use crate::sender::lane::Lane;
use crate::split;

pub use options::{QueueLimits, QueueOptions};

/// How often the limits of age and of free disk are applied.
const LIMITS_EVERY: Duration = Duration::from_secs(1);

/// What opening found, to be said once somebody listens.
#[derive(Debug)]
pub(crate) enum Finding {
    /// Worth knowing.
    Noted(String),
    /// Something is not as it should be.
    Complaint(String),
}

impl Finding {
    pub(crate) fn say(self) {
        match self {
            Self::Noted(text) => tracing::info!("{text}"),
            Self::Complaint(text) => tracing::warn!("{text}"),
        }
    }
}

/// The queues of one sender.
pub(crate) struct Disk {
    options: Option<QueueOptions>,
    /// In the order of [`Signal::ALL`]; empty before there is a destination and once closed.
    queues: Mutex<Vec<Option<Queue>>>,
    /// Appends whose outcome is not known yet, in the order of [`Signal::ALL`].
    underway: [Arc<AtomicUsize>; Signal::ALL.len()],
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
    pub(crate) fn new(options: Option<QueueOptions>) -> Self {
        Self {
            options,
            queues: Mutex::default(),
            underway: Default::default(),
            failing: Arc::default(),
            limits_applied: AtomicI64::default(),
            closed: AtomicBool::default(),
        }
    }

    /// Opens the queues, unless they are open or are not wanted.
    pub(crate) fn open(&self, findings: &mut Vec<Finding>) {
        let mut queues = self.queues();
        if let Some(options) = self.options.as_ref().filter(|_| queues.is_empty() && !self.is_closed()) {
            queues.extend(Signal::ALL.map(|signal| open(signal, options, findings)));
        }
    }

    /// Makes a lane for `destination`, with the cursor of that name if there is a queue.
    pub(crate) fn lane(
        &self,
        signal: Signal,
        destination: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<Arc<Lane>, CursorError> {
        let queues = self.queues();
        let queue = queues.get(signal as usize).and_then(Option::as_ref);
        let cursor = queue.map(|queue| queue.cursor(destination)).transpose()?;
        drop(queues);
        if let Some(figures) = cursor.as_ref().and_then(Cursor::figures)
            && figures.queued.items > 0
        {
            let (waiting, items) = (figures.queued.items, signal.items());
            findings.push(Finding::Noted(format!(
                "{waiting} {items} wait on disk for the destination {destination}"
            )));
        }
        let dead = self.options.as_ref().map(|options| {
            let free = options.limits.min_free_bytes;
            let (dead, complaint) = DeadLetters::find(&options.directory, signal, destination, free);
            findings.extend(complaint.map(|complaint| {
                Finding::Complaint(format!("the dead letters of {destination} ({signal}): {complaint}"))
            }));
            dead
        });
        Ok(Lane::new(signal, cursor, dead, self.underway(signal)))
    }

    /// The signals of which the latest append failed.
    pub(crate) fn failing(&self) -> Vec<Signal> {
        let failing = Signal::ALL.into_iter().zip(self.failing.iter());
        failing.filter(|(_, fails)| fails.load(Ordering::Relaxed)).map(|(signal, _)| signal).collect()
    }

    /// A lane without a cursor or dead letters.
    pub(crate) fn lane_in_memory(&self, signal: Signal) -> Arc<Lane> {
        Lane::new(signal, None, None, self.underway(signal))
    }

    fn underway(&self, signal: Signal) -> Arc<AtomicUsize> {
        self.underway.get(signal as usize).cloned().unwrap_or_default()
    }

    /// Forgets a cursor that was made in vain.
    pub(crate) fn remove_cursor(&self, signal: Signal, destination: &str) {
        if let Some(Some(queue)) = self.queues().get(signal as usize) {
            queue.remove_cursor(destination);
        }
    }

    /// Forgets the cursors of whom `is_kept` does not know, and says what waited for them.
    pub(crate) fn forget(&self, is_kept: impl Fn(Signal, &str) -> bool, findings: &mut Vec<Finding>) {
        for (signal, queue) in Signal::ALL.into_iter().zip(self.queues().iter()) {
            let Some(queue) = queue else { continue };
            for gone in queue.figures().cursors.into_iter().filter(|cursor| !is_kept(signal, &cursor.name)) {
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
    }

    /// Appends a batch for all `lanes`; those whose cursor will not see it get it in memory.
    pub(crate) fn append(&self, batch: &Batch, now: Timestamp, lanes: Arc<[Arc<Lane>]>) {
        let underway = self.underway(batch.signal);
        underway.fetch_add(1, Ordering::SeqCst);
        let promise = Promise {
            batch: Some(batch.clone()),
            signal: batch.signal,
            received: now,
            lanes,
            underway,
            failing: Arc::clone(&self.failing),
        };
        let queues = self.queues();
        if let Some(Some(queue)) = queues.get(batch.signal as usize) {
            // One that is too large and cannot be divided goes from memory.
            if let Ok(entries) = entries(batch.clone(), now) {
                queue.append_all(entries, move |outcome| promise.settle(outcome));
            }
            self.apply_limits(&queues, now);
        }
    }

    /// Appends a batch that goes nowhere but to disk.
    pub(crate) fn accept<F>(&self, batch: Batch, now: Timestamp, waiting: Waiting<F>)
    where
        F: FnOnce(Result<(), NotAccepted>) + Send + 'static,
    {
        let queues = self.queues();
        let Some(Some(queue)) = queues.get(batch.signal as usize) else {
            let error = if self.is_closed() { NotAccepted::Stopping } else { NotAccepted::NoQueue };
            return waiting.tell(Err(error));
        };
        match entries(batch, now) {
            Ok(entries) => queue.append_all(entries, move |outcome| {
                waiting.tell(outcome.map(|_| ()).map_err(NotAccepted::from));
            }),
            Err(error) => waiting.tell(Err(error)),
        }
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

/// What is appended for `batch`: itself, or several if no segment takes it whole.
fn entries(batch: Batch, now: Timestamp) -> Result<Vec<Entry>, NotAccepted> {
    let entry = |payload, items: u64| Entry {
        class: 0,
        items: u32::try_from(items).unwrap_or(u32::MAX),
        received: now.as_nanos(),
        payload,
    };
    let limit = options::max_record_bytes();
    if batch.payload.len() as u64 <= limit {
        return Ok(vec![entry(batch.payload, batch.items)]);
    }
    let whole = batch.payload.len() as u64;
    let Ok(pieces) = split(batch.signal, &batch.payload, limit as usize) else {
        return Err(NotAccepted::TooLarge { bytes: whole, limit });
    };
    let largest = pieces.iter().map(|(payload, _)| payload.len()).max().unwrap_or(0) as u64;
    if largest > limit {
        return Err(NotAccepted::TooLarge { bytes: largest, limit });
    }
    Ok(pieces.into_iter().map(|(payload, items)| entry(payload, items)).collect())
}

/// A batch between its offer and its outcome. Dropped without one, it counts as refused by the disk.
struct Promise {
    batch: Option<Batch>,
    signal: Signal,
    received: Timestamp,
    lanes: Arc<[Arc<Lane>]>,
    underway: Arc<AtomicUsize>,
    failing: Arc<[AtomicBool; Signal::ALL.len()]>,
}

impl Promise {
    fn settle(mut self, outcome: Result<u64, AppendError>) {
        match outcome {
            Ok(_) => {
                if let Some(batch) = self.batch.take() {
                    self.lanes.iter().for_each(|lane| lane.stored(&batch, self.received));
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
            self.lanes.iter().for_each(|lane| lane.offer(batch.clone(), self.received));
        }
        self.underway.fetch_sub(1, Ordering::SeqCst);
        self.lanes.iter().for_each(|lane| lane.wake());
    }
}

/// Opens the queue of one signal; without one its telemetry goes from memory.
fn open(signal: Signal, options: &QueueOptions, findings: &mut Vec<Finding>) -> Option<Queue> {
    let directory: PathBuf = options.directory.join(signal.as_str());
    let opened = std::fs::create_dir_all(&options.directory)
        .map_err(|error| format!("making {}: {error}", options.directory.display()))
        .and_then(|()| {
            Queue::open(&directory, options.limits.options()).map_err(|error| with_causes(&error))
        });
    match opened {
        Ok((queue, opening)) => {
            findings.extend(complaints(signal, &opening).map(Finding::Complaint));
            Some(queue)
        }
        Err(error) => {
            findings.push(Finding::Complaint(format!(
                "{signal} wait in memory, which a crash loses, until the next start: {error}"
            )));
            None
        }
    }
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
