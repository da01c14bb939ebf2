//! What an onlooker learns while the agent runs.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use incidents::Incident;
use std::path::PathBuf;
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

/// Tells the onlooker, if there is one. Never waits: what an onlooker is too slow for, it misses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watcher {
    to: Option<Sender<Happening>>,
}

impl Watcher {
    /// A watcher and where its onlooker reads.
    pub(crate) fn new() -> (Self, Receiver<Happening>) {
        let (to, from) = bounded(WAITING);
        (Self { to: Some(to) }, from)
    }

    pub(crate) fn tell(&self, happening: impl FnOnce() -> Happening) {
        let Some(to) = &self.to else { return };
        if let Err(TrySendError::Full(_)) = to.try_send(happening()) {
            tracing::debug!("the onlooker is too slow");
        }
    }
}
