//! Ships batches to destinations, from a thread of its own.
//!
//! What is taken is appended to the queue of its signal on disk, once for all destinations; each has a cursor there, a
//! pace of its own, and goes on after a restart where it was. Each signal of each destination is served by its own task,
//! so a slow one delays nobody else. What a destination refuses for good is kept apart. Knows nothing of what the batches
//! hold.

mod accept;
mod answer;
mod attempt;
mod backlog;
mod backoff;
mod body;
mod connection;
mod connector;
mod dead_letters;
mod delivery;
mod deltas;
mod destination;
mod disk;
mod exporter;
mod feed;
mod figures;
mod grpc;
mod http;
mod lane;
mod material;
mod pace;
mod post;
mod proxy;
mod recipient;
mod roster;
mod route;
mod secret;
pub(crate) mod tls;
mod window;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use telemetry::{Batch, Signal, Timestamp};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub use accept::NotAccepted;
pub use backoff::{Backoff, random};
pub use dead_letters::{DeadLetter, DeadLetterQueue};
pub use destination::{
    Compression, Destination, DestinationError, DestinationOptions, Protocol, Temporality,
};
pub use disk::{QueueLimits, QueueOptions};
pub use figures::{DestinationFigures, SenderFigures, SignalFigures};
pub use post::{PostError, PostTarget, Posted, Poster};
pub use proxy::proxy_from_environment;
pub use roster::{NewDestinations, ReconfigureError};
pub use secret::{Secret, SecretError};
pub use tls::{TlsError, TlsOptions};

use accept::Waiting;
use delivery::{Delivery, Stop};
use disk::{Disk, Finding};
use exporter::exporter;
use roster::{Connect, Recipients, Roster};

/// A resolver or a disk that hangs keeps a thread; beyond these, names are looked up and queues read one after the other.
const BLOCKING_THREADS: usize = 16;

/// How many signals of destinations may be added at once. More are refused.
const NEW_DELIVERIES: usize = 3 * 256;

/// Why the sender cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no thread or no event queue to be had.
    #[error("starting the thread that sends telemetry")]
    Thread(#[source] std::io::Error),
    /// The destinations cannot be served together.
    #[error(transparent)]
    Destinations(#[from] ReconfigureError),
}

/// Delivers batches to destinations in the background.
pub struct Sender {
    roster: Mutex<Roster>,
    recipients: RwLock<Recipients>,
    disk: Arc<Disk>,
    findings: Mutex<Vec<Finding>>,
    stop: watch::Sender<Option<Instant>>,
    deliveries: mpsc::Sender<Delivery>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Dead letters of one destination and signal that are being sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Who refused them.
    pub destination: String,
    /// Of which signal.
    pub signal: Signal,
    /// How many requests they are.
    pub records: u64,
    /// How many points, spans or log records are in them.
    pub items: u64,
}

impl Sender {
    /// Starts the thread `send`. No connection is made before there is something to send. The thread calls `alive` at its
    /// start and then `every` so often, as long as nothing holds it up.
    ///
    /// Opens the queues on disk, unless there is no destination; without `queue`, or where one cannot be opened,
    /// telemetry waits in memory. Cursors of destinations that are no more are removed.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no event queue, or two destinations have one name.
    pub fn start(
        destinations: Vec<Destination>,
        queue: Option<&QueueOptions>,
        every: Duration,
        alive: impl Fn() + Send + 'static,
    ) -> Result<Self, StartError> {
        Self::start_with(destinations, queue, every, alive, Arc::new(exporter), Builder::new_current_thread())
    }

    fn start_with(
        destinations: Vec<Destination>,
        queue: Option<&QueueOptions>,
        every: Duration,
        alive: impl Fn() + Send + 'static,
        connect: Connect,
        mut runtime: Builder,
    ) -> Result<Self, StartError> {
        let disk = Arc::new(Disk::new(queue.cloned()));
        let (stop, stopped) = watch::channel(None);
        let mut roster = Roster::new(connect, Stop(stopped.clone()));
        let mut findings = Vec::new();
        let first = roster.prepare(destinations, &disk, true, &mut findings)?;
        let first = roster.put_in_force(first, &mut findings);
        let runtime = runtime
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("send-blocking")
            .build()
            .map_err(StartError::Thread)?;
        let (deliveries, more) = mpsc::channel(NEW_DELIVERIES);
        let thread = std::thread::Builder::new().name("send".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(async move {
                    loop {
                        alive();
                        sleep(every).await;
                    }
                });
                run(first, more, stopped).await;
            });
            // Not the ordinary end, which would wait for a lookup or a read that hangs.
            runtime.shutdown_background();
        });
        let thread = Mutex::new(Some(thread.map_err(StartError::Thread)?));
        let recipients = RwLock::new(roster.recipients());
        let (roster, findings) = (Mutex::new(roster), Mutex::new(findings));
        Ok(Self { roster, recipients, disk, findings, stop, deliveries, thread })
    }

    /// Logs what opening the queues found, once.
    pub fn say_what_was_found(&self) {
        let findings = std::mem::take(&mut *lock(&self.findings));
        findings.into_iter().for_each(Finding::say);
    }

    /// Queues `batch`, received `now`, for every destination that takes its signal. Never blocks; after a stop the batch
    /// is dropped and counted.
    pub fn offer(&self, batch: &Batch, now: Timestamp) {
        let lanes = self.recipients().of(batch.signal);
        if !lanes.is_empty() {
            self.disk.append(batch, now, lanes);
        }
    }

    /// Takes received telemetry, and has `done` told `Ok` once it is as durable as the disk can make it, or why it was
    /// not accepted. Nothing goes to memory. Never blocks; `done` runs on the thread that writes, or at once on this
    /// one, and must be quick. What no destination takes is kept for nobody, and accepted at once.
    pub fn accept(
        &self,
        batch: Batch,
        now: Timestamp,
        done: impl FnOnce(Result<(), NotAccepted>) + Send + 'static,
    ) {
        if self.recipients().of(batch.signal).is_empty() {
            done(Ok(()));
        } else {
            self.disk.accept(batch, now, Waiting::new(done));
        }
    }

    /// Whether any destination takes the signal.
    pub fn has_recipient(&self, signal: Signal) -> bool {
        !self.recipients().of(signal).is_empty()
    }

    /// The signals of which the disk did not take the latest batch.
    pub fn not_durable_now(&self) -> Vec<Signal> {
        self.disk.failing()
    }

    /// Serves `destinations` from now on: [`prepare`](Self::prepare) and [`put_in_force`](Self::put_in_force).
    ///
    /// # Errors
    ///
    /// Nothing has changed then.
    pub fn reconfigure(&self, destinations: Vec<Destination>) -> Result<(), ReconfigureError> {
        self.put_in_force(self.prepare(destinations)?);
        Ok(())
    }

    /// Makes ready to serve `destinations` instead of those that there are. Everything that can fail is done here.
    ///
    /// # Errors
    ///
    /// Says what would be right.
    pub fn prepare(&self, destinations: Vec<Destination>) -> Result<NewDestinations, ReconfigureError> {
        if self.stop.borrow().is_some() {
            return Err(ReconfigureError::Stopped);
        }
        if destinations.len() * Signal::ALL.len() > NEW_DELIVERIES {
            return Err(ReconfigureError::TooMany { most: NEW_DELIVERIES / Signal::ALL.len() });
        }
        let mut findings = Vec::new();
        let new = lock(&self.roster).prepare(destinations, &self.disk, false, &mut findings);
        findings.into_iter().for_each(Finding::say);
        new
    }

    /// Serves the destinations from now on, and logs who is forgotten. Those that are as before go on undisturbed; one
    /// that was changed keeps its place in the queues, for that is under its name.
    pub fn put_in_force(&self, new: NewDestinations) {
        let mut findings = Vec::new();
        let mut roster = lock(&self.roster);
        for delivery in roster.put_in_force(new, &mut findings) {
            // Without room, or after a stop, what waits there waits for the next start.
            if self.deliveries.try_send(delivery).is_err() {
                tracing::warn!("a destination that was added is served from the next start on");
            }
        }
        *self.recipients.write().unwrap_or_else(PoisonError::into_inner) = roster.recipients();
        drop(roster);
        findings.into_iter().for_each(Finding::say);
    }

    /// Sends the dead letters again that there are now, of one destination or all, of one signal or all. They count as
    /// dead letters until they are taken; what is refused once more becomes one again.
    pub fn replay(&self, destination: Option<&str>, signal: Option<Signal>) -> Vec<Replay> {
        let recipients = self.recipients();
        let asked =
            recipients.all.iter().filter(|recipient| destination.is_none_or(|name| name == recipient.name()));
        let lanes =
            asked.flat_map(|recipient| recipient.lanes().into_iter().map(move |lane| (recipient, lane)));
        lanes
            .filter(|(_, lane)| signal.is_none_or(|signal| signal == lane.signal()))
            .map(|(recipient, lane)| {
                let (records, items) = lane.replay();
                Replay { destination: recipient.name().to_owned(), signal: lane.signal(), records, items }
            })
            .filter(|replay| replay.records > 0)
            .collect()
    }

    /// What has become of everything taken so far.
    pub fn figures(&self) -> SenderFigures {
        SenderFigures {
            destinations: self.recipients().all.iter().map(|recipient| recipient.figures()).collect(),
        }
    }

    /// Delivers what is queued, for at most `deadline`; the rest waits on disk for the next start, and what is in memory
    /// is dropped and counted. Returns when the thread has ended and the disk has everything. A second call returns the
    /// same figures.
    pub fn flush_and_stop(&self, deadline: Duration) -> SenderFigures {
        let until = Instant::now() + deadline;
        self.stop.send_if_modified(|stop| stop.is_none() && stop.replace(until).is_none());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that sends telemetry panicked");
        }
        self.disk.close();
        for lane in self.recipients().all.iter().flat_map(|recipient| recipient.lanes()) {
            lane.close();
        }
        self.figures()
    }

    fn recipients(&self) -> Recipients {
        self.recipients.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs the deliveries that there are and those that are added, until all have ended after a stop.
async fn run(
    first: Vec<Delivery>,
    mut more: mpsc::Receiver<Delivery>,
    mut stopped: watch::Receiver<Option<Instant>>,
) {
    let mut tasks: JoinSet<()> = first.into_iter().map(Delivery::watched).collect();
    // Without a destination, too, the thread lives until it is told to stop.
    loop {
        tokio::select! {
            _ = stopped.wait_for(Option::is_some) => break,
            Some(delivery) = more.recv() => {
                tasks.spawn(delivery.watched());
            }
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
    // Those that were added just before the stop have their chance as well.
    while let Ok(delivery) = more.try_recv() {
        tasks.spawn(delivery.watched());
    }
    tasks.join_all().await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// Stops without delivering anything more.
impl Drop for Sender {
    fn drop(&mut self) {
        self.flush_and_stop(Duration::ZERO);
    }
}

#[cfg(test)]
mod durable_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;
