//! What arrived at the demo's own OTLP server.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use otlp::MetricsSummary;
use telemetry::{Batch, Signal};

/// Metric names kept for counting them. The agent sends some seventy; anybody on this host can send more.
const MAX_NAMES: usize = 1_000;

/// Counts of everything that arrived so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) bytes: u64,
    pub(super) points: u64,
    pub(super) metrics: BTreeSet<String>,
    pub(super) resources: u64,
    pub(super) spans: u64,
    pub(super) records: u64,
}

/// Filled by the server's thread, read by the demo's.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    totals: Mutex<Totals>,
}

impl Arrived {
    pub(super) fn take(&self, batch: &Batch) {
        let mut totals = self.lock();
        totals.requests += 1;
        totals.bytes += batch.payload.len() as u64;
        match batch.signal {
            Signal::Metrics => {
                // The server refuses what cannot be read, so this is a formality.
                let summary = MetricsSummary::of(&batch.payload).unwrap_or_default();
                totals.points += summary.points;
                totals.resources = summary.resources;
                let room = MAX_NAMES.saturating_sub(totals.metrics.len());
                totals.metrics.extend(summary.metrics.into_iter().take(room));
            }
            Signal::Traces => totals.spans += batch.items,
            Signal::Logs => totals.records += batch.items,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} metrics, {} points, {} spans, {} log records, {} bytes in {} requests",
            self.metrics.len(),
            self.points,
            self.spans,
            self.records,
            self.bytes,
            self.requests
        )
    }
}
