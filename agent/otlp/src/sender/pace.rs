//! How fast a backlog is sent after an outage, so that a collector that has just come back is not buried by all hosts
//! at once. Pure: a bucket that fills by the second and may be overdrawn by one request.

use std::time::Duration;

use tokio::time::Instant;

/// What is sent per second of a backlog at least, unless the destination says otherwise.
const DEFAULT_BYTES_PER_SECOND: u64 = 16 << 20;

/// A backlog leaves within so many seconds, unless the destination says otherwise: else what comes in meanwhile might
/// become one as large.
const DEFAULT_SECONDS: u64 = 15;

#[derive(Debug)]
pub(crate) struct Pace {
    /// What the destination says.
    configured: Option<u64>,
    bytes_per_second: u64,
    /// What was spent is earned again by then.
    free_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(configured: Option<u64>) -> Self {
        let bytes_per_second = configured.unwrap_or(DEFAULT_BYTES_PER_SECOND).max(1);
        Self { configured, bytes_per_second, free_at: None }
    }

    /// A backlog of so many bytes begins to be sent: not at once, but within a second, which `jitter`, from 0 to 1, says.
    pub(crate) fn begin(&mut self, backlog: u64, now: Instant, jitter: f64) {
        if self.configured.is_none() {
            // Another signal of the destination may be at it already.
            let others = if self.wait_until(now).is_some() { self.bytes_per_second } else { 0 };
            self.bytes_per_second = DEFAULT_BYTES_PER_SECOND.max(others + backlog / DEFAULT_SECONDS);
        }
        let start = now + Duration::from_secs(1).mul_f64(jitter);
        self.free_at = Some(self.free_at.map_or(start, |free_at| free_at.max(start)));
    }

    /// When the next request may go, if not `now`.
    pub(crate) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.free_at.filter(|free_at| now < *free_at)
    }

    pub(crate) fn spend(&mut self, bytes: usize, now: Instant) {
        let from = self.free_at.map_or(now, |free_at| free_at.max(now));
        self.free_at = Some(from + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64));
    }

    /// The same bucket with another rate.
    pub(crate) fn set_rate(&mut self, configured: Option<u64>) {
        if configured != self.configured {
            *self = Self { free_at: self.free_at, ..Self::new(configured) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_backlog_leaves_at_its_rate_and_begins_within_a_second() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(1_000));
        assert_eq!(pace.wait_until(now), None);
        pace.begin(1 << 40, now, 0.5);
        let mut moment = pace.wait_until(now).unwrap();
        assert_eq!(moment - now, Duration::from_millis(500));
        for _ in 0..20 {
            pace.spend(500, moment);
            moment = pace.wait_until(moment).unwrap();
        }
        assert_eq!((moment - now).as_millis(), 10_500);
        let later = moment + Duration::from_mins(1);
        pace.spend(500, later);
        assert_eq!(pace.wait_until(later), Some(later + Duration::from_millis(500)), "nothing is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_a_large_backlog_is_gone_before_it_has_grown_again() {
        for (backlog, seconds) in [(1 << 20, 0), (1 << 30, DEFAULT_SECONDS), (100 << 20, 6)] {
            let (mut pace, mut now) = (Pace::new(None), Instant::now());
            let begin = now;
            pace.begin(backlog, now, 0.0);
            for _ in 0..backlog / (512 << 10) {
                pace.spend(512 << 10, now);
                now = pace.wait_until(now).unwrap();
            }
            assert_eq!((now - begin).as_secs(), seconds, "{backlog}");
        }
    }
}
