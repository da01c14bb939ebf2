//! What a delivery is told from outside: how to go about it, and when to end.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::sender::exporter::Exporter;

/// How one destination is served.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The destination itself first, then those that stand in for it.
    pub(crate) ways: Vec<Arc<dyn Exporter>>,
    /// How many requests may be under way at once.
    pub(crate) concurrency: usize,
    pub(crate) max_request_bytes: usize,
}

impl Setup {
    /// Whether nothing would change.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same_ways = self.ways.len() == other.ways.len()
            && self.ways.iter().zip(&other.ways).all(|(one, other)| Arc::ptr_eq(one, other));
        same_ways
            && self.concurrency == other.concurrency
            && self.max_request_bytes == other.max_request_bytes
    }
}

/// How a delivery learns that it is to end: the moment after which nothing more is tried.
#[derive(Clone, Debug)]
pub(crate) struct Stop(pub(crate) watch::Receiver<Option<Instant>>);

impl Stop {
    pub(crate) fn has_begun(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }

    pub(crate) async fn begun(&mut self) {
        let _ = self.0.wait_for(Option::is_some).await;
    }

    pub(crate) async fn deadline(&mut self) {
        self.begun().await;
        let deadline = *self.0.borrow();
        if let Some(deadline) = deadline {
            sleep_until(deadline).await;
        }
    }
}
