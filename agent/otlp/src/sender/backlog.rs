//! What waits in memory for one destination and signal, because no disk takes it, and the count of everything that did.
//!
//! No clock, no lock, no I/O. What was handed out to be sent counts as queued until it is settled, and is not under the
//! limit: at worst the memory is the limit and what is being sent.

use std::collections::VecDeque;

use telemetry::Batch;

use crate::sender::figures::SignalFigures;
use crate::sender::window::{Part, Settled, Source};

/// What the bookkeeping of a queued batch costs beside its payload, so that empty batches are bounded as well.
const BATCH_OVERHEAD: usize = 128;

#[derive(Debug)]
pub(crate) struct Backlog {
    waiting: VecDeque<Part>,
    waiting_bytes: usize,
    limit_bytes: usize,
    closed: bool,
    figures: SignalFigures,
}

impl Backlog {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            limit_bytes,
            closed: false,
            figures: SignalFigures::default(),
        }
    }

    /// Takes a batch; the oldest ones give way when it does not fit, and it is dropped itself when it never could.
    pub(crate) fn offer(&mut self, batch: Batch, received: i64) {
        self.figures.accepted += batch.items;
        self.figures.not_durable += batch.items;
        if self.closed {
            self.figures.dropped_shutdown += batch.items;
            return;
        }
        self.figures.queued += batch.items;
        let part = Part { payload: batch.payload, items: batch.items, received, source: Source::Memory };
        self.waiting_bytes += cost(&part);
        self.waiting.push_back(part);
        while self.waiting_bytes > self.limit_bytes {
            let Some(oldest) = self.pop_oldest() else { return };
            self.figures.queued -= oldest.items;
            self.figures.dropped_queue_full += oldest.items;
        }
    }

    /// The oldest batch, which is from now on being sent until it is settled.
    pub(crate) fn begin(&mut self) -> Option<Part> {
        self.pop_oldest()
    }

    /// Says what became of a batch that was being sent, unless it was dropped meanwhile; says whether it was not. What
    /// of it became dead letters is counted by others from now on.
    pub(crate) fn settle(&mut self, settled: &Settled) -> bool {
        if !self.closed {
            self.figures.queued -= settled.items;
            self.figures.delivered += settled.delivered();
            self.figures.delivered_by_others += settled.by_others;
            self.figures.refused += settled.refused;
        }
        !self.closed
    }

    /// Drops what is left and everything that is offered from now on.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.figures.dropped_shutdown += std::mem::take(&mut self.figures.queued);
    }

    pub(crate) fn figures(&self) -> SignalFigures {
        let oldest = self.waiting.front().map(|part| telemetry::Timestamp::from_nanos(part.received));
        SignalFigures { queued_bytes: self.waiting_bytes as u64, oldest, ..self.figures }
    }

    /// Whether nothing waits and nothing is being sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.figures.queued == 0
    }

    fn pop_oldest(&mut self) -> Option<Part> {
        let oldest = self.waiting.pop_front()?;
        self.waiting_bytes -= cost(&oldest);
        Some(oldest)
    }
}

fn cost(part: &Part) -> usize {
    part.payload.len() + BATCH_OVERHEAD
}

#[cfg(test)]
mod tests;
