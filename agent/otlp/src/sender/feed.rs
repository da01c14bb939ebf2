//! What is to be sent next to one destination: the signals on disk in turn, each in its order, then what is in memory.
//!
//! Reads a little ahead, away from the thread that delivers, for a disk may hang. What cannot be read is tried again
//! ever more rarely, and after some minutes passed over and counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use queue::{Cursor, Record};
use telemetry::{Batch, Signal, with_causes};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::sender::backoff::Backoff;
use crate::sender::line::{Line, Shipment};

/// How much is read at once: enough that small batches cost little, for each signal of each destination.
const AHEAD_BYTES: usize = 256 << 10;
const AHEAD_RECORDS: usize = 64;

/// What the other signals, and what is in memory, wait for a disk that hangs.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// So many reads fail, with the delays of [`Backoff`] about three minutes, before what cannot be read is passed over.
const FAILURES_BEFORE_SALVAGE: u32 = 10;

pub(crate) struct Feed {
    line: Arc<Line>,
    /// The first is the one whose turn it is.
    readers: VecDeque<Reader>,
}

struct Reader {
    signal: Signal,
    cursor: Arc<Cursor>,
    ahead: VecDeque<Record>,
    /// A read that has no result yet.
    reading: Option<JoinHandle<Result<Vec<Record>, String>>>,
    failures: u32,
    backoff: Backoff,
    /// Not read again before then.
    wait_until: Option<Instant>,
}

impl Feed {
    pub(crate) fn new(line: Arc<Line>) -> Self {
        let readers =
            line.cursors().into_iter().map(|(signal, cursor)| Reader::new(signal, cursor)).collect();
        Self { line, readers }
    }

    /// The next batch, which stays the next one until it is [`done`](Self::done).
    pub(crate) async fn next(&mut self) -> Option<Shipment> {
        for _ in 0..self.readers.len() {
            if let Some(reader) = self.readers.front_mut()
                && let Some(shipment) = reader.next(&self.line).await
            {
                return Some(shipment);
            }
            self.readers.rotate_left(1);
        }
        self.line.begin()
    }

    /// The destination took or refused the batch that was the next one.
    pub(crate) fn done(&mut self, shipment: &Shipment) {
        if shipment.place.is_some()
            && let Some(reader) = self.readers.front_mut()
        {
            reader.ahead.pop_front();
            self.readers.rotate_left(1);
        }
    }

    /// When reading is to be tried again, if it failed.
    pub(crate) fn wait_until(&self) -> Option<Instant> {
        self.readers.iter().filter_map(|reader| reader.wait_until).min()
    }
}

impl Reader {
    fn new(signal: Signal, cursor: Arc<Cursor>) -> Self {
        let backoff = Backoff::default();
        Self { signal, cursor, ahead: VecDeque::new(), reading: None, failures: 0, backoff, wait_until: None }
    }

    async fn next(&mut self, line: &Line) -> Option<Shipment> {
        // A limit may have taken them since they were read.
        while self.ahead.pop_front_if(|record| self.cursor.has_passed(record.position)).is_some() {}
        if self.ahead.is_empty() {
            self.read(line).await;
        }
        let record = self.ahead.front()?;
        let (payload, items) = (record.payload.clone(), u64::from(record.items));
        Some(Shipment { batch: Batch { signal: self.signal, payload, items }, place: Some(record.position) })
    }

    async fn read(&mut self, line: &Line) {
        if self.wait_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.wait_until = None;
        if self.reading.is_none() && !self.cursor.wait(Duration::ZERO) {
            return;
        }
        let reading = self.reading.get_or_insert_with(|| begin(&self.cursor, self.failures));
        let Ok(read) = timeout(READ_WITHIN, reading).await else {
            // It goes on, and is looked at again.
            let patience = telemetry::format_duration(READ_WITHIN);
            return self.failed(line, &format!("no answer from the disk within {patience}"));
        };
        self.reading = None;
        match read.unwrap_or_else(|panic| Err(panic.to_string())) {
            Ok(records) => {
                self.ahead = records.into();
                self.failures = 0;
                self.backoff.after_success();
            }
            Err(error) => self.failed(line, &error),
        }
    }

    fn failed(&mut self, line: &Line, error: &str) {
        let error = format!("what waits on disk cannot be read: {error}");
        if self.failures == 0 {
            tracing::warn!(destination = line.name(), signal = %self.signal, "{error}");
        }
        line.unreadable(error);
        self.failures = self.failures.saturating_add(1);
        self.wait_until = Some(Instant::now() + self.backoff.after_failure(None, 1.0));
    }
}

/// Reads on a thread that may hang. After so many `failures` what cannot be read is passed over.
fn begin(cursor: &Arc<Cursor>, failures: u32) -> JoinHandle<Result<Vec<Record>, String>> {
    let cursor = Arc::clone(cursor);
    tokio::task::spawn_blocking(move || {
        if failures >= FAILURES_BEFORE_SALVAGE {
            return Ok(cursor.salvage(AHEAD_RECORDS, AHEAD_BYTES));
        }
        cursor.read(AHEAD_RECORDS, AHEAD_BYTES).map_err(|error| with_causes(&error))
    })
}
