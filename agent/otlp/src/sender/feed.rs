//! Reads what waits on disk for one destination and signal, a little ahead, away from the thread that delivers, for a
//! disk may hang. What cannot be read is tried again ever more rarely, and after some minutes passed over and counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use queue::{Cursor, Record};
use telemetry::with_causes;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::sender::backoff::Backoff;

/// How much is read at once: enough that small batches cost little.
const AHEAD_BYTES: usize = 512 << 10;
const AHEAD_RECORDS: usize = 1024;

/// After so long a read is said to hang. It goes on.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// So many reads fail, with the delays of [`Backoff`] about three minutes, before what cannot be read is passed over.
const FAILURES_BEFORE_SALVAGE: u32 = 10;

type Reading = JoinHandle<Result<Vec<Record>, String>>;

pub(crate) struct Feed {
    cursor: Arc<Cursor>,
    /// Records from here on are left for another time.
    until: u64,
    /// What was read and lies beyond.
    beyond: VecDeque<Record>,
    reading: Option<Reading>,
    /// When the read that is underway is said to hang.
    late_at: Option<Instant>,
    failures: u32,
    backoff: Backoff,
    /// Not read again before then.
    wait_until: Option<Instant>,
}

impl Feed {
    pub(crate) fn new(cursor: Arc<Cursor>) -> Self {
        Self {
            cursor,
            until: u64::MAX,
            beyond: VecDeque::new(),
            reading: None,
            late_at: None,
            failures: 0,
            backoff: Backoff::default(),
            wait_until: None,
        }
    }

    pub(crate) fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Reads no further than to the record `until`.
    pub(crate) fn bound(&mut self, until: u64) {
        self.until = until;
    }

    /// Whether there is nothing more to read for now: it was all read, or cannot be.
    pub(crate) fn is_idle(&self) -> bool {
        self.reading.is_none() && (self.wait_until.is_some() || !self.has_more())
    }

    fn has_more(&self) -> bool {
        match self.beyond.front() {
            Some(record) => record.seq < self.until,
            None => self.until > 0 && self.cursor.wait(Duration::ZERO),
        }
    }

    /// Begins to read, unless that is under way, is to wait or would find nothing.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.wait_until.is_some_and(|until| now < until) {
            return;
        }
        self.wait_until = None;
        if self.reading.is_none() && self.has_more() {
            self.reading = Some(read(&self.cursor, self.failures, std::mem::take(&mut self.beyond)));
            self.late_at = Some(now + READ_WITHIN);
        }
    }

    /// When it is to be looked at again, if nothing happens.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        [self.wait_until, self.late_at].into_iter().flatten().min()
    }

    /// What is wrong, if this is the moment to say it.
    pub(crate) fn complaint(&mut self, now: Instant) -> Option<String> {
        self.late_at.take_if(|late_at| *late_at <= now)?;
        Some(format!(
            "what waits on disk cannot be read: no answer from the disk within {}",
            telemetry::format_duration(READ_WITHIN)
        ))
    }

    /// Waits for the read that is under way; for ever, if none is. It may be given up and waited for again.
    pub(crate) async fn finished(feed: &mut Option<Self>) -> Result<Vec<Record>, String> {
        let Some(Self { reading: Some(reading), .. }) = feed else { return std::future::pending().await };
        reading.await.unwrap_or_else(|panic| Err(panic.to_string()))
    }

    /// Takes what [`Feed::finished`] gave: the records that are to be sent, or what there is to complain about.
    pub(crate) fn take(
        &mut self,
        outcome: Result<Vec<Record>, String>,
        now: Instant,
    ) -> Result<Vec<Record>, String> {
        (self.reading, self.late_at) = (None, None);
        match outcome {
            Ok(mut records) => {
                self.failures = 0;
                self.backoff.after_success();
                let end = records.partition_point(|record| record.seq < self.until);
                self.beyond = records.split_off(end).into();
                Ok(records)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.backoff.be_patient();
                self.wait_until = Some(now + self.backoff.after_failure(None, 1.0));
                Err(format!("what waits on disk cannot be read: {error}"))
            }
        }
    }
}

/// Reads on a thread that may hang. After so many `failures` what cannot be read is passed over.
fn read(cursor: &Arc<Cursor>, failures: u32, beyond: VecDeque<Record>) -> Reading {
    let cursor = Arc::clone(cursor);
    tokio::task::spawn_blocking(move || {
        if !beyond.is_empty() {
            return Ok(beyond.into());
        }
        if failures >= FAILURES_BEFORE_SALVAGE {
            return Ok(cursor.salvage(AHEAD_RECORDS, AHEAD_BYTES));
        }
        cursor.read(AHEAD_RECORDS, AHEAD_BYTES).map_err(|error| with_causes(&error))
    })
}
