//! Received telemetry on its way to disk: whoever sent it is answered once it is durable, or told to try again.

use queue::AppendError;

/// Why received telemetry was not accepted. Nothing of it is kept in memory; some of it may be on disk all the same,
/// and be delivered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotAccepted {
    /// Sending the same again is of no use; smaller requests are.
    #[error(
        "one record has {bytes} bytes, and the queue keeps records of at most {limit}: send smaller ones"
    )]
    TooLarge {
        /// Bytes of the record.
        bytes: u64,
        /// What fits.
        limit: u64,
    },
    /// The disk is slower than what comes in.
    #[error("too much waits to be written to disk already: send it again a little later")]
    Busy(#[source] AppendError),
    /// The disk does not take it.
    #[error("it cannot be made durable: send it again once there is room on disk and the disk is well")]
    Storage(#[source] AppendError),
    /// There is no queue for the signal; the log says why since the start.
    #[error("it cannot be made durable, for there is no queue on disk: send it again later")]
    NoQueue,
    /// The agent is stopping.
    #[error("the agent is stopping: send it again after the start")]
    Stopping,
}

impl NotAccepted {
    /// Whether sending the same again may succeed.
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::TooLarge { .. })
    }
}

impl From<AppendError> for NotAccepted {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { bytes, limit } => Self::TooLarge { bytes, limit },
            AppendError::Busy { .. } => Self::Busy(error),
            AppendError::Storage { .. } => Self::Storage(error),
            AppendError::Closed => Self::Stopping,
        }
    }
}

/// The one who waits for the answer, who gets one whatever happens.
pub(crate) struct Waiting<F: FnOnce(Result<(), NotAccepted>)>(Option<F>);

impl<F: FnOnce(Result<(), NotAccepted>)> Waiting<F> {
    pub(crate) const fn new(done: F) -> Self {
        Self(Some(done))
    }

    pub(crate) fn tell(mut self, outcome: Result<(), NotAccepted>) {
        if let Some(done) = self.0.take() {
            done(outcome);
        }
    }
}

/// The thread that writes has dropped it, which it does when it is ending or has failed.
impl<F: FnOnce(Result<(), NotAccepted>)> Drop for Waiting<F> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(NotAccepted::Stopping));
        }
    }
}
