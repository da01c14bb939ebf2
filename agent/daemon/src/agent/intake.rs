//! Where one collection divides: to the destinations and to the series.

use std::sync::{Arc, PoisonError};

use otlp::{MetricsEncoder, Sender};
use telemetry::{SampleBuffer, mark_departed};

use crate::agent::Shared;
use crate::agent::own_metrics::{AGENT, Figures, OwnMetrics};
use crate::clock;

/// Ships collections and keeps them for the rules.
pub(crate) struct Intake {
    encoder: MetricsEncoder,
    sender: Arc<Sender>,
    shared: Shared,
    own: OwnMetrics,
    previous: SampleBuffer,
    rejected: u64,
    jumps: u64,
}

impl Intake {
    /// An intake for a host with this resource. `own_figures` says whether those of the agent are sent as well.
    pub(crate) fn new(
        resource: &[(String, String)],
        own_figures: bool,
        sender: Arc<Sender>,
        shared: Shared,
        figures: Figures,
    ) -> Self {
        let encoder = MetricsEncoder::new(resource);
        Self {
            encoder: if own_figures { encoder } else { encoder.without(&AGENT) },
            own: OwnMetrics::new(figures),
            sender,
            shared,
            previous: SampleBuffer::default(),
            rejected: 0,
            jumps: 0,
        }
    }

    /// Takes what `buffer` holds, with the agent's own figures; series that ended since the last time get their last point. Afterwards `buffer`
    /// holds an older collection, to be filled anew.
    pub(crate) fn take(&mut self, buffer: &mut SampleBuffer) {
        self.own.write(buffer);
        mark_departed(&self.previous, buffer);
        let now = clock::now();
        for batch in self.encoder.encode(buffer) {
            self.sender.offer(&batch, now);
        }
        let mut store = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
        store.append(buffer);
        self.shared.taps.collect(&mut store, buffer.at());
        let (rejected, jumps) = (store.rejections().too_many_series, store.clock_jumps());
        drop(store);
        for batch in self.shared.taps.export(now) {
            self.sender.offer(&batch, now);
        }
        if rejected > 0 && self.rejected == 0 {
            tracing::warn!(
                "there are more series than are kept for the rules; raise series.max_series, or collect less"
            );
        }
        if jumps > self.jumps {
            tracing::warn!("the clock was set back; rules forget the samples from the time after it");
        }
        (self.rejected, self.jumps) = (rejected, jumps);
        std::mem::swap(&mut self.previous, buffer);
    }
}
