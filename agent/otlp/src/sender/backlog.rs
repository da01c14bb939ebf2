//! What waits for one destination in memory, because no disk takes it, and the count of everything that ever did.
//!
//! No clock, no lock, no I/O. Every batch is in exactly one place, so that for each signal, at every moment,
//! `accepted = delivered + queued + dropped`. The batch that is being sent is not under the limit: at worst the memory
//! is the limit and one batch.

use std::collections::VecDeque;

use telemetry::{Batch, Signal};

use crate::sender::figures::SignalFigures;

/// What the bookkeeping of a queued batch costs beside its payload, so that empty batches are bounded as well.
const BATCH_OVERHEAD: usize = 128;

#[derive(Debug)]
pub(crate) struct Backlog {
    waiting: VecDeque<Batch>,
    waiting_bytes: usize,
    underway: Option<Batch>,
    limit_bytes: usize,
    closed: bool,
    figures: [SignalFigures; Signal::ALL.len()],
}

impl Backlog {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            underway: None,
            limit_bytes,
            closed: false,
            figures: Default::default(),
        }
    }

    /// Takes a batch; the oldest ones give way when it does not fit, and it is dropped itself when it never could.
    pub(crate) fn offer(&mut self, batch: Batch) {
        let figures = self.of(batch.signal);
        figures.accepted += batch.items;
        figures.not_durable += batch.items;
        figures.queued += batch.items;
        if self.closed {
            self.drop_for_shutdown(&batch);
            return;
        }
        self.waiting_bytes += cost(&batch);
        self.waiting.push_back(batch);
        self.make_room();
    }

    /// The oldest batch, which is from now on being sent until one of `delivered`, `refused` and `postponed` is told.
    pub(crate) fn begin(&mut self) -> Option<Batch> {
        let batch = self.waiting.pop_front()?;
        self.waiting_bytes -= cost(&batch);
        self.underway = Some(batch.clone());
        Some(batch)
    }

    /// The destination took the batch, without `rejected` of its items.
    pub(crate) fn delivered(&mut self, rejected: u64) {
        if let Some(batch) = self.underway.take() {
            let figures = self.of(batch.signal);
            let rejected = rejected.min(batch.items);
            figures.queued -= batch.items;
            figures.delivered += batch.items - rejected;
            figures.refused += rejected;
        }
    }

    /// The destination will never take the batch.
    pub(crate) fn refused(&mut self) {
        if let Some(batch) = self.underway.take() {
            let figures = self.of(batch.signal);
            figures.queued -= batch.items;
            figures.refused += batch.items;
        }
    }

    /// The batch goes back to the head of the line, where it is again the first that gives way.
    pub(crate) fn postponed(&mut self) {
        if let Some(batch) = self.underway.take() {
            self.waiting_bytes += cost(&batch);
            self.waiting.push_front(batch);
            self.make_room();
        }
    }

    /// Drops what is left and everything that is offered from now on.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.postponed();
        while let Some(batch) = self.pop_oldest() {
            self.drop_for_shutdown(&batch);
        }
    }

    pub(crate) fn figures(&self) -> [SignalFigures; Signal::ALL.len()] {
        self.figures
    }

    /// What waits, in bytes of memory.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether nothing waits and nothing is being sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.underway.is_none()
    }

    fn make_room(&mut self) {
        while self.waiting_bytes > self.limit_bytes {
            let Some(oldest) = self.pop_oldest() else { return };
            let figures = self.of(oldest.signal);
            figures.queued -= oldest.items;
            figures.dropped_queue_full += oldest.items;
        }
    }

    fn pop_oldest(&mut self) -> Option<Batch> {
        let oldest = self.waiting.pop_front()?;
        self.waiting_bytes -= cost(&oldest);
        Some(oldest)
    }

    fn drop_for_shutdown(&mut self, batch: &Batch) {
        let figures = self.of(batch.signal);
        figures.queued -= batch.items;
        figures.dropped_shutdown += batch.items;
    }

    fn of(&mut self, signal: Signal) -> &mut SignalFigures {
        let [metrics, traces, logs] = &mut self.figures;
        match signal {
            Signal::Metrics => metrics,
            Signal::Traces => traces,
            Signal::Logs => logs,
        }
    }
}

fn cost(batch: &Batch) -> usize {
    batch.payload.len() + BATCH_OVERHEAD
}

#[cfg(test)]
mod tests;
