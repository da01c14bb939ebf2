//! Where one collection divides: to the destinations and to the series.

use std::sync::{Arc, PoisonError, RwLock};

use otlp::{MetricsEncoder, Sender};
use series::Store;
use telemetry::{SampleBuffer, mark_departed};

/// Ships collections and keeps them for the rules.
pub(crate) struct Intake {
    encoder: MetricsEncoder,
    sender: Arc<Sender>,
    store: Arc<RwLock<Store>>,
    previous: SampleBuffer,
    refused_before: u64,
}

impl Intake {
    pub(crate) fn new(resource: &[(String, String)], sender: Arc<Sender>, store: Arc<RwLock<Store>>) -> Self {
        Self {
            encoder: MetricsEncoder::new(resource),
            sender,
            store,
            previous: SampleBuffer::default(),
            refused_before: 0,
        }
    }

    /// Takes what `buffer` holds; series that ended since the last time get their last point. Afterwards `buffer`
    /// holds an older collection, to be filled anew.
    pub(crate) fn take(&mut self, buffer: &mut SampleBuffer) {
        mark_departed(&self.previous, buffer);
        for batch in self.encoder.encode(buffer) {
            self.sender.offer(&batch);
        }
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        store.append(buffer);
        store.expire(buffer.at());
        let refused = store.rejected();
        drop(store);
        if refused > self.refused_before && self.refused_before == 0 {
            tracing::warn!(refused, "samples are refused: raise series.max_series, or collect less");
        }
        self.refused_before = refused;
        std::mem::swap(&mut self.previous, buffer);
    }
}
