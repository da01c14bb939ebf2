//! One destination's backlog, shared between those who offer and the task that delivers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use telemetry::{Batch, Signal};
use tokio::sync::Notify;

use crate::sender::backlog::{Backlog, SignalFigures};

/// What became of everything that was offered to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationFigures {
    /// The destination's name.
    pub name: String,
    /// The items of each signal, in the order of [`Signal::ALL`].
    pub signals: [SignalFigures; Signal::ALL.len()],
    /// What waits for the destination, in bytes of memory.
    pub queued_bytes: usize,
    /// How many attempts have failed since the last one that did not.
    pub consecutive_failures: u32,
    /// Why the latest of all failed attempts failed.
    pub last_error: Option<String>,
}

impl DestinationFigures {
    /// The items of one signal.
    pub fn signal(&self, signal: Signal) -> SignalFigures {
        let [metrics, traces, logs] = self.signals;
        match signal {
            Signal::Metrics => metrics,
            Signal::Traces => traces,
            Signal::Logs => logs,
        }
    }
}

#[derive(Debug)]
struct State {
    backlog: Backlog,
    consecutive_failures: u32,
    last_error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Line {
    name: String,
    state: Mutex<State>,
    offered: Notify,
}

impl Line {
    pub(crate) fn new(name: &str, limit_bytes: usize) -> Self {
        let state = State { backlog: Backlog::new(limit_bytes), consecutive_failures: 0, last_error: None };
        Self { name: name.to_owned(), state: Mutex::new(state), offered: Notify::new() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn offer(&self, batch: Batch) {
        self.state().backlog.offer(batch);
        self.offered.notify_one();
    }

    /// Waits until something was offered since this was last called.
    pub(crate) async fn offered(&self) {
        self.offered.notified().await;
    }

    /// See [`Backlog::begin`].
    pub(crate) fn begin(&self) -> Option<Batch> {
        self.state().backlog.begin()
    }

    pub(crate) fn delivered(&self, rejected: u64) {
        let mut state = self.state();
        state.backlog.delivered(rejected);
        state.consecutive_failures = 0;
    }

    pub(crate) fn refused(&self, error: String) {
        let mut state = self.state();
        state.backlog.refused();
        state.failed(error);
    }

    pub(crate) fn postponed(&self, error: String) {
        let mut state = self.state();
        state.backlog.postponed();
        state.failed(error);
    }

    /// See [`Backlog::close`].
    pub(crate) fn close(&self) {
        self.state().backlog.close();
    }

    /// Nobody delivers any more.
    pub(crate) fn abandon(&self, error: String) {
        let mut state = self.state();
        state.backlog.close();
        state.failed(error);
    }

    pub(crate) fn figures(&self) -> DestinationFigures {
        let state = self.state();
        DestinationFigures {
            name: self.name.clone(),
            signals: state.backlog.figures(),
            queued_bytes: state.backlog.waiting_bytes(),
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
    fn failed(&mut self, error: String) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.last_error = Some(error);
    }
}
