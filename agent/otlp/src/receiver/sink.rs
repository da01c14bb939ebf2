//! What the receiver hands on, and how it learns what became of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use telemetry::Signal;
use tokio::sync::oneshot;

use super::budget::Hold;

/// Where telemetry came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginOfListener {
    /// The listener's name.
    pub name: String,
}

/// As series and alerts carry it: `otlp:apps`.
impl fmt::Display for OriginOfListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "otlp:{}", self.name)
    }
}

/// One request: checked, decompressed, protobuf, with the attributes that its listener adds.
#[derive(Clone, Debug)]
pub struct Received {
    /// The listener that it came by.
    pub origin: Arc<OriginOfListener>,
    /// Which service it is for.
    pub signal: Signal,
    /// The `Export*ServiceRequest`.
    pub payload: Bytes,
    /// Data points, spans or log records inside; at least one.
    pub items: u64,
}

/// What the sender is told of a request that was taken. The default is success without reserve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// How many of its items were refused for good.
    pub rejected: u64,
    /// Why, or a warning; English. Empty when there is nothing to say.
    pub message: String,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room now. The sender should try again.
    Overloaded {
        /// When to try again, if that can be said.
        retry_after: Option<Duration>,
    },
    /// The request can never be taken.
    Invalid(String),
    /// The bytes could not be made durable. The sender should try again.
    NotDurable(String),
}

/// Tells what became of a request, once, from any thread. Dropping it refuses as overloaded.
///
/// Holds the room that the request takes, also when its sender no longer waits: while a disk hangs, requests that time
/// out do not make room for more.
#[derive(Debug)]
pub struct Reply {
    outcome: oneshot::Sender<Result<Answer, Refusal>>,
    hold: Hold,
}

impl Reply {
    pub(crate) fn new(hold: Hold) -> (Self, oneshot::Receiver<Result<Answer, Refusal>>) {
        let (outcome, told) = oneshot::channel();
        (Self { outcome, hold }, told)
    }

    /// `Ok` only once the bytes are durable. A sender that no longer waits is not noticed.
    pub fn send(self, outcome: Result<Answer, Refusal>) {
        drop(self.hold);
        let _ = self.outcome.send(outcome);
    }
}

/// Takes what was received. Runs on the receiver's thread and must not block.
pub type Sink = Arc<dyn Fn(Received, Reply) + Send + Sync>;
