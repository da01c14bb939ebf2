//! Ships batches to destinations, from a thread of its own.
//!
//! Offering never blocks: a batch is appended to the queue of its signal on disk, once for all destinations; each has a
//! cursor there, a pace of its own, and goes on after a restart where it was. What no disk takes goes from memory,
//! bounded. Each destination is served by its own task, so a slow one delays nobody else. Knows nothing of what the
//! batches hold.

mod accept;
mod answer;
mod attempt;
mod backlog;
mod backoff;
mod body;
mod connection;
mod connector;
mod delivery;
mod destination;
mod disk;
mod exporter;
mod feed;
mod figures;
mod grpc;
mod http;
mod line;
mod material;
mod proxy;
mod secret;
pub(crate) mod tls;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use telemetry::{Batch, Signal, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub use accept::NotAccepted;
pub use destination::{
    Compression, Destination, DestinationError, DestinationOptions, Protocol, Temporality,
};
pub use disk::{QueueLimits, QueueOptions};
pub use figures::{DestinationFigures, SenderFigures, SignalFigures};
pub use proxy::proxy_from_environment;
pub use secret::{Secret, SecretError};
pub use tls::{TlsError, TlsOptions};

use accept::Waiting;
use delivery::{Delivery, Stop};
use disk::{Disk, Finding};
use exporter::exporter;
use line::Line;

/// A resolver or a disk that hangs keeps a thread; beyond these, names are looked up and queues read one after the other.
const BLOCKING_THREADS: usize = 16;

/// How much may wait for each destination in memory while no disk takes it: of 1,500 points every ten seconds, about
/// half an hour. More than the largest request that anybody is likely to take, 16 MiB.
const MEMORY_BYTES: usize = 24 << 20;

/// The thread of the sender cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the thread that sends telemetry")]
pub struct StartError {
    #[from]
    source: std::io::Error,
}

/// Delivers batches to destinations in the background.
pub struct Sender {
    lines: Arc<[Arc<Line>]>,
    disk: Disk,
    findings: Mutex<Vec<Finding>>,
    stop: watch::Sender<Option<Instant>>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
    /// The system gives no thread or no event queue.
    pub fn start(
        destinations: Vec<Destination>,
        queue: Option<&QueueOptions>,
        every: Duration,
        alive: impl Fn() + Send + 'static,
    ) -> Result<Self, StartError> {
        let names: Vec<&str> = destinations.iter().map(Destination::name).collect();
        let (disk, mut findings) = match queue {
            Some(options) if !names.is_empty() => Disk::open(options, &names),
            _ => Default::default(),
        };
        let (stop, mut stopped) = watch::channel(None);
        let (lines, deliveries): (Vec<_>, Vec<_>) = destinations
            .into_iter()
            .map(|destination| {
                let cursors = disk.cursors(destination.name(), &mut findings);
                let line = Line::new(destination.name(), MEMORY_BYTES, cursors, disk.underway());
                delivery(destination, Arc::new(line), &stopped)
            })
            .unzip();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("send-blocking")
            .build()?;
        let thread = std::thread::Builder::new().name("send".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(async move {
                    loop {
                        alive();
                        sleep(every).await;
                    }
                });
                let tasks: JoinSet<()> = deliveries.into_iter().map(Delivery::watched).collect();
                // Without a destination, too, the thread lives until it is told to stop.
                let _ = stopped.wait_for(Option::is_some).await;
                tasks.join_all().await;
            });
            // Not the ordinary end, which would wait for a lookup or a read that hangs.
            runtime.shutdown_background();
        })?;
        let (lines, findings) = (lines.into(), Mutex::new(findings));
        Ok(Self { lines, disk, findings, stop, thread: Mutex::new(Some(thread)) })
    }

    /// Logs what opening the queues found, once.
    pub fn say_what_was_found(&self) {
        let findings = std::mem::take(&mut *self.findings.lock().unwrap_or_else(PoisonError::into_inner));
        for finding in findings {
            match finding {
                Finding::Noted(text) => tracing::info!("{text}"),
                Finding::Complaint(text) => tracing::warn!("{text}"),
            }
        }
    }

    /// Queues `batch`, received `now`, for every destination. Never blocks; after a stop the batch is dropped and
    /// counted.
    pub fn offer(&self, batch: &Batch, now: Timestamp) {
        if !self.lines.is_empty() {
            self.disk.append(batch, now, &self.lines);
        }
    }

    /// Takes received telemetry, and has `done` told `Ok` once it is as durable as the disk can make it, or why it was
    /// not accepted. Nothing goes to memory. Never blocks; `done` runs on the thread that writes, or at once on this
    /// one, and must be quick. Without a destination there is nobody to keep it for, and it is accepted at once.
    pub fn accept(
        &self,
        batch: Batch,
        now: Timestamp,
        done: impl FnOnce(Result<(), NotAccepted>) + Send + 'static,
    ) {
        if self.lines.is_empty() {
            done(Ok(()));
        } else {
            self.disk.accept(batch, now, Waiting::new(done));
        }
    }

    /// The signals of which the disk did not take the latest batch.
    pub fn not_durable_now(&self) -> Vec<Signal> {
        self.disk.failing()
    }

    /// What has become of everything offered so far.
    pub fn figures(&self) -> SenderFigures {
        SenderFigures { destinations: self.lines.iter().map(|line| line.figures()).collect() }
    }

    /// Delivers what is queued, for at most `deadline`; the rest waits on disk for the next start, and what is in memory
    /// is dropped and counted. Returns when the thread has ended and the disk has everything. A second call returns the
    /// same figures.
    pub fn flush_and_stop(&self, deadline: Duration) -> SenderFigures {
        let until = Instant::now() + deadline;
        self.stop.send_if_modified(|stop| stop.is_none() && stop.replace(until).is_none());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that sends telemetry panicked");
        }
        self.disk.close();
        for line in self.lines.iter() {
            line.close();
        }
        self.figures()
    }
}

/// How one destination is served, and the line on which its batches wait.
fn delivery(
    destination: Destination,
    line: Arc<Line>,
    stopped: &watch::Receiver<Option<Instant>>,
) -> (Arc<Line>, Delivery) {
    (line.clone(), Delivery::new(line, exporter(destination), Stop(stopped.clone())))
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
mod stub;
#[cfg(test)]
mod tests;
