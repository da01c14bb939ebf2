//! The seam between the delivery loop and a protocol.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use telemetry::Batch;

use crate::sender::attempt::Attempts;
use crate::sender::destination::Destination;

/// A future that is called through a trait object.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any error, kept for its text and its causes.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Sends batches to one destination, each once.
///
/// Several may be under way at once; how many is for the delivery loop to say.
///
/// Retrying, waiting and counting belong to the delivery loop. An exporter keeps no buffer: a batch it was given is
/// still in the backlog until it says `Ok`.
pub(crate) trait Exporter: Send + Sync {
    /// The destination's name, as configured.
    fn name(&self) -> &str;

    /// Whether it is to get the host's own counters as deltas.
    fn wants_deltas(&self) -> bool {
        false
    }

    /// Sends `batch` and says what became of it. Dropping the future abandons the attempt.
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Accepted, ExportError>>;
}

/// What sends to `destination`, in its protocol.
pub(crate) fn exporter(destination: Destination) -> Arc<dyn Exporter> {
    Arc::new(Attempts::new(destination))
}

/// The destination took the batch, perhaps without some of its items (OTLP partial success).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Items that the destination threw away and does not want again.
    pub(crate) rejected_items: u64,
    /// What it had to say: why it rejected them or, when it rejected none, a warning. Mostly empty.
    pub(crate) message: String,
}

/// What became of a batch that was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// Send the same batch again, not before `retry_after`.
    #[error("{destination} cannot take the batch now")]
    TryLater {
        /// The destination's name.
        destination: String,
        /// How long the destination asked to be left alone.
        retry_after: Option<Duration>,
        /// What went wrong.
        source: BoxError,
    },
    /// It is too much at once for the destination, or for our own limit. Its parts may be taken.
    #[error("the batch is too large for {destination}: {reason}")]
    TooLarge {
        /// The destination's name.
        destination: String,
        /// The destination's words, or ours.
        reason: String,
    },
    /// Sending it again would be refused again. The batch is dropped and counted.
    #[error("{destination} will never take this batch: {reason}")]
    Refused {
        /// The destination's name.
        destination: String,
        /// The destination's words, or ours.
        reason: String,
    },
    /// The destination refuses this host, for want of the right credentials, so it will refuse the next batch as well.
    /// This one is dropped and counted.
    #[error("{destination} does not let this host in: {reason}")]
    Unwelcome {
        /// The destination's name.
        destination: String,
        /// The destination's words.
        reason: String,
    },
}
