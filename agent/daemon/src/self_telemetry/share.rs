//! How much of the way out the agent's own spans and records may take.
//!
//! A storm of own log records, from whatever cause, must not push the applications' telemetry out of the queue. What is
//! beyond the share is dropped and counted; standard error still has the records.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use telemetry::{Signal, Timestamp};

/// The long-term share of each signal, in bytes per second: about a hundred records. Over a day that is 1.3 GiB at worst.
const RATE: u64 = 16 << 10;

/// What may come at once: a start, or a few hundred runs that end together, with all that they say.
const BURST: u64 = 1 << 20;

/// The shares of all signals, and what was dropped beyond them.
#[derive(Debug)]
pub(crate) struct Shares {
    /// In the order of [`Signal::ALL`].
    buckets: Mutex<[Bucket; Signal::ALL.len()]>,
    dropped: [AtomicU64; Signal::ALL.len()],
}

impl Default for Shares {
    fn default() -> Self {
        Self { buckets: Mutex::new([Bucket::full(); Signal::ALL.len()]), dropped: Default::default() }
    }
}

impl Shares {
    /// Whether a batch of this size still fits; if not, its items are counted as dropped.
    pub(crate) fn admit(&self, signal: Signal, bytes: u64, items: u64, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = buckets.get_mut(signal as usize).is_some_and(|bucket| bucket.take(bytes, now));
        drop(buckets);
        if !fits && let Some(dropped) = self.dropped.get(signal as usize) {
            dropped.fetch_add(items, Ordering::Relaxed);
        }
        fits
    }

    /// How many items of the signal were dropped since the start.
    pub(crate) fn dropped(&self, signal: Signal) -> u64 {
        self.dropped.get(signal as usize).map_or(0, |dropped| dropped.load(Ordering::Relaxed))
    }
}

/// Fills at [`RATE`] up to [`BURST`].
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In thousandths of a byte, so that calls close together lose nothing.
    level: u64,
    filled: Option<Timestamp>,
}

impl Bucket {
    const fn full() -> Self {
        Self { level: BURST * 1_000, filled: None }
    }

    fn take(&mut self, bytes: u64, now: Timestamp) -> bool {
        // A clock that was set back fills nothing, and the time from there on counts.
        let elapsed = self.filled.map_or(0, |filled| now.since(filled).as_micros() as u64);
        self.level = self.level.saturating_add(elapsed.saturating_mul(RATE) / 1_000).min(BURST * 1_000);
        self.filled = Some(now);
        let left = self.level.checked_sub(bytes.saturating_mul(1_000));
        self.level = left.unwrap_or(self.level);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000).plus(Duration::from_millis(millis))
    }

    #[test]
    fn a_storm_gets_the_burst_and_then_its_rate_and_the_rest_is_counted() {
        let shares = Shares::default();
        let (size, items) = (4_096, 10);
        // A thousand batches a second for a minute: 240 MB.
        let admitted = (0..60_000).filter(|&n| shares.admit(Signal::Logs, size, items, at(n))).count() as u64;
        let most = (BURST + 60 * RATE) / size;
        assert!((most - 1..=most).contains(&admitted), "{admitted} of {most}");
        assert_eq!(shares.dropped(Signal::Logs), (60_000 - admitted) * items);
        assert_eq!(shares.dropped(Signal::Traces), 0);
        assert!(shares.admit(Signal::Traces, BURST, 1, at(60_000)), "each signal has a share of its own");
    }

    #[test]
    fn a_clock_that_jumps_neither_fills_the_share_twice_nor_stops_it() {
        let shares = Shares::default();
        assert!(shares.admit(Signal::Logs, BURST, 1, at(3_600_000)));
        assert!(!shares.admit(Signal::Logs, RATE, 1, at(0)));
        assert!(shares.admit(Signal::Logs, RATE, 1, at(1_000)));
        assert!(!shares.admit(Signal::Logs, RATE, 1, at(1_500)));
    }
}
