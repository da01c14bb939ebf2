//! What waits for one destination, shared between those who offer and the task that delivers.
//!
//! Mostly on disk, behind cursors; in memory, what no disk took. A step on what waits and its count are one, under the
//! lock, so the figures add up at every moment. Under the lock nothing waits for the disk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use queue::{Cursor, CursorFigures, Position};
use telemetry::{Batch, Signal};
use tokio::sync::Notify;

use crate::sender::backlog::Backlog;
use crate::sender::figures::{DestinationFigures, SignalFigures};

/// A batch that is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Shipment {
    pub(crate) batch: Batch,
    /// Where it ends on disk; none for one from memory.
    pub(crate) place: Option<Position>,
}

/// One signal on disk.
struct Stored {
    cursor: Arc<Cursor>,
    /// What had become of everything before this sender started.
    before: CursorFigures,
    /// What was acknowledged because the destination does not want it, since then.
    refused: u64,
}

struct State {
    memory: Backlog,
    /// In the order of [`Signal::ALL`].
    stored: Vec<Option<Stored>>,
    consecutive_failures: u32,
    last_error: Option<String>,
}

pub(crate) struct Line {
    name: String,
    state: Mutex<State>,
    offered: Notify,
    /// Appends to disk whose outcome is not known yet.
    appending: Arc<AtomicUsize>,
}

impl Line {
    /// A line with `cursors` in the order of [`Signal::ALL`] and so much memory for what no disk takes.
    pub(crate) fn new(
        name: &str,
        memory_bytes: usize,
        cursors: Vec<Option<Cursor>>,
        appending: Arc<AtomicUsize>,
    ) -> Self {
        let stored = cursors.into_iter().map(|cursor| cursor.map(Stored::new)).collect();
        let memory = Backlog::new(memory_bytes);
        let state = State { memory, stored, consecutive_failures: 0, last_error: None };
        Self { name: name.to_owned(), state: Mutex::new(state), offered: Notify::new(), appending }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The cursors and their signals, for the one who reads. Whenever there is more to read, the line is woken.
    pub(crate) fn cursors(self: &Arc<Self>) -> Vec<(Signal, Arc<Cursor>)> {
        let state = self.state();
        let stored = Signal::ALL.into_iter().zip(&state.stored);
        let cursors =
            stored.filter_map(|(signal, stored)| Some((signal, Arc::clone(&stored.as_ref()?.cursor))));
        let cursors: Vec<_> = cursors.collect();
        drop(state);
        for (_, cursor) in &cursors {
            let line = Arc::downgrade(self);
            cursor.on_progress(move || {
                if let Some(line) = line.upgrade() {
                    line.wake();
                }
            });
        }
        cursors
    }

    /// Takes a batch into memory.
    pub(crate) fn offer(&self, batch: Batch) {
        self.state().memory.offer(batch);
        self.wake();
    }

    /// A batch is on disk. Without a cursor there, it is taken into memory as well.
    pub(crate) fn stored(&self, batch: &Batch) {
        let has_cursor = matches!(self.state().stored.get(batch.signal as usize), Some(Some(_)));
        if !has_cursor {
            self.offer(batch.clone());
        }
    }

    /// Has [`Line::offered`] return.
    pub(crate) fn wake(&self) {
        self.offered.notify_one();
    }

    /// Waits until the line was woken since this was last called.
    pub(crate) async fn offered(&self) {
        self.offered.notified().await;
    }

    /// Whether everything that was offered is on disk, in memory or counted as lost.
    pub(crate) fn is_settled(&self) -> bool {
        self.appending.load(Ordering::SeqCst) == 0
    }

    /// Whether nothing would be lost if delivery ended now.
    pub(crate) fn can_wait(&self) -> bool {
        self.is_settled() && self.state().memory.is_empty()
    }

    /// The oldest batch in memory; see [`Backlog::begin`].
    pub(crate) fn begin(&self) -> Option<Shipment> {
        let batch = self.state().memory.begin()?;
        Some(Shipment { batch, place: None })
    }

    /// The destination took the batch, without `rejected` of its items.
    pub(crate) fn delivered(&self, shipment: &Shipment, rejected: u64) {
        let mut state = self.state();
        match shipment.place {
            Some(place) => state.acknowledge(&shipment.batch, place, rejected),
            None => state.memory.delivered(rejected),
        }
        state.consecutive_failures = 0;
    }

    /// The destination will never take the batch.
    pub(crate) fn refused(&self, shipment: &Shipment, error: String) {
        let mut state = self.state();
        match shipment.place {
            Some(place) => state.acknowledge(&shipment.batch, place, shipment.batch.items),
            None => state.memory.refused(),
        }
        state.failed(error);
    }

    /// The batch stays where it is.
    pub(crate) fn postponed(&self, shipment: &Shipment, error: String) {
        let mut state = self.state();
        if shipment.place.is_none() {
            state.memory.postponed();
        }
        state.failed(error);
    }

    /// What is on disk cannot be read.
    pub(crate) fn unreadable(&self, error: String) {
        self.state().last_error = Some(error);
    }

    /// See [`Backlog::close`]. What is on disk stays there.
    pub(crate) fn close(&self) {
        self.state().memory.close();
    }

    /// Nobody delivers any more.
    pub(crate) fn abandon(&self, error: String) {
        let mut state = self.state();
        state.memory.close();
        state.failed(error);
    }

    pub(crate) fn figures(&self) -> DestinationFigures {
        let state = self.state();
        let mut signals = state.memory.figures();
        let mut queued_bytes = state.memory.waiting_bytes() as u64;
        for (figures, stored) in signals.iter_mut().zip(&state.stored) {
            if let Some(stored) = stored {
                queued_bytes += stored.add_to(figures);
            }
        }
        DestinationFigures {
            name: self.name.clone(),
            signals,
            queued_bytes,
            consecutive_failures: state.consecutive_failures,
            last_error: state.last_error.clone(),
        }
    }

    /// Each step on the state is finished or not begun, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A limit may have taken the batch while it was being sent; then it is lost already, and counts as that.
    fn acknowledge(&mut self, batch: &Batch, place: Position, refused: u64) {
        if let Some(Some(stored)) = self.stored.get_mut(batch.signal as usize)
            && stored.cursor.acknowledge(place)
        {
            stored.refused += refused.min(batch.items);
        }
    }

    fn failed(&mut self, error: String) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.last_error = Some(error);
    }
}

impl Stored {
    fn new(cursor: Cursor) -> Self {
        let before = cursor.figures().unwrap_or_default();
        Self { cursor: Arc::new(cursor), before, refused: 0 }
    }

    /// Adds what became of the items on disk since the start; returns the bytes that wait.
    fn add_to(&self, figures: &mut SignalFigures) -> u64 {
        let Some(now) = self.cursor.figures() else { return 0 };
        let before = &self.before;
        figures.accepted += before.queued.items + now.accepted.items.saturating_sub(before.accepted.items);
        let acknowledged = now.delivered.items.saturating_sub(before.delivered.items);
        figures.delivered += acknowledged.saturating_sub(self.refused);
        figures.refused += self.refused;
        figures.queued += now.queued.items;
        figures.lost_bytes += now.lost.bytes.items.saturating_sub(before.lost.bytes.items);
        figures.lost_age += now.lost.age.items.saturating_sub(before.lost.age.items);
        figures.lost_disk += now.lost.disk.items.saturating_sub(before.lost.disk.items);
        figures.lost_damaged += now.lost.damaged.items.saturating_sub(before.lost.damaged.items);
        now.queued.bytes
    }
}
