//! What an onlooker learns while the agent runs.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use incidents::Incident;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use telemetry::{Alert, RunEvent};

/// Happenings that may wait for the onlooker. A collection makes one, a run about twenty.
const WAITING: usize = 1_024;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A collection was handed on.
    Collected { points: usize, entities: usize },
    /// An alert changed its state.
    Alert(Alert),
    /// A run made a step.
    Run { alert: Alert, event: RunEvent },
    /// An incident is over; the draft of its post-mortem lies there.
    IncidentOver { incident: Incident, draft: PathBuf },
}

/// Tells the onlooker, if there is one. Never waits: what an onlooker is too slow for, it misses, and the
/// log counts it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watcher {
    to: Option<Sender<Happening>>,
    missed: Arc<AtomicU64>,
}

impl Watcher {
    /// A watcher and where its onlooker reads.
    pub(crate) fn new() -> (Self, Receiver<Happening>) {
        let (to, from) = bounded(WAITING);
        (Self { to: Some(to), missed: Arc::default() }, from)
    }

    pub(crate) fn tell(&self, happening: impl FnOnce() -> Happening) {
        let Some(to) = &self.to else { return };
        if let Err(TrySendError::Full(_)) = to.try_send(happening()) {
            let missed = self.missed.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::debug!(missed, "the onlooker is too slow");
        }
    }
}
