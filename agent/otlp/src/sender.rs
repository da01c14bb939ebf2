//! Ships batches to destinations, from a thread of its own.
//!
//! Offering never blocks: a batch goes into a bounded backlog per destination, where at the limit the oldest gives way
//! and is counted. Each destination is served by its own task, so a slow one delays nobody else. Knows nothing of what
//! the batches hold.

mod answer;
mod backlog;
mod backoff;
mod connection;
mod delivery;
mod destination;
mod exporter;
mod grpc;
mod http;
mod line;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use telemetry::Batch;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub use backlog::SignalFigures;
pub use destination::{Compression, Destination, DestinationError, DestinationOptions, Protocol};
pub use line::DestinationFigures;
pub use tls::{TlsError, TlsOptions};

use delivery::{Delivery, Stop};
use exporter::Exporter;
use line::Line;

/// A resolver that hangs keeps a thread; beyond these, names are looked up one after the other.
const LOOKUP_THREADS: usize = 8;

/// The thread of the sender cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("starting the thread that sends telemetry")]
pub struct StartError {
    #[from]
    source: std::io::Error,
}

/// What became of everything that was offered, by destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderFigures {
    /// In the order in which the destinations were given.
    pub destinations: Vec<DestinationFigures>,
}

/// Delivers batches to destinations in the background.
#[derive(Debug)]
pub struct Sender {
    lines: Vec<Arc<Line>>,
    stop: watch::Sender<Option<Instant>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sender {
    /// Starts the thread `send`. No connection is made before there is something to send. The thread calls `alive` at its
    /// start and then `every` so often, as long as nothing holds it up.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no event queue.
    pub fn start(
        destinations: Vec<Destination>,
        every: Duration,
        alive: impl Fn() + Send + 'static,
    ) -> Result<Self, StartError> {
        let (stop, mut stopped) = watch::channel(None);
        let (lines, deliveries): (Vec<_>, Vec<_>) =
            destinations.into_iter().map(|destination| delivery(destination, &stopped)).unzip();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOKUP_THREADS)
            .thread_name("send-lookup")
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
            // Not the ordinary end, which would wait for a name lookup that hangs.
            runtime.shutdown_background();
        })?;
        Ok(Self { lines, stop, thread: Mutex::new(Some(thread)) })
    }

    /// Queues `batch` for every destination. Never blocks; after a stop the batch is dropped and counted.
    pub fn offer(&self, batch: &Batch) {
        for line in &self.lines {
            line.offer(batch.clone());
        }
    }

    /// What has become of everything offered so far.
    pub fn figures(&self) -> SenderFigures {
        SenderFigures { destinations: self.lines.iter().map(|line| line.figures()).collect() }
    }

    /// Delivers what is queued, for at most `deadline`; the rest is dropped and counted. Returns when the thread has
    /// ended. A second call returns the same figures.
    pub fn flush_and_stop(&self, deadline: Duration) -> SenderFigures {
        let until = Instant::now() + deadline;
        self.stop.send_if_modified(|stop| stop.is_none() && stop.replace(until).is_none());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that sends telemetry panicked");
        }
        for line in &self.lines {
            line.close();
        }
        self.figures()
    }
}

/// How one destination is served, and the line on which its batches wait.
fn delivery(destination: Destination, stopped: &watch::Receiver<Option<Instant>>) -> (Arc<Line>, Delivery) {
    let limit_bytes = destination.max_queued_bytes;
    let exporter: Box<dyn Exporter> = match destination.protocol {
        Protocol::Grpc => Box::new(grpc::GrpcExporter::new(destination)),
        Protocol::HttpProtobuf => Box::new(http::HttpExporter::new(destination)),
    };
    let line = Arc::new(Line::new(exporter.name(), limit_bytes));
    (line.clone(), Delivery::new(line, exporter, Stop(stopped.clone())))
}

/// Stops without delivering anything more.
impl Drop for Sender {
    fn drop(&mut self) {
        self.flush_and_stop(Duration::ZERO);
    }
}

#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;
