//! The one file that reads the clock. Everything else takes `now`.

#![expect(clippy::disallowed_methods, reason = "this is the file that the ban names")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use telemetry::Timestamp;

/// The time of day, as the host's clock has it.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.plus(since_epoch)
}

/// A moment that only moves forward, for deadlines and durations.
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

/// What is left until `deadline`; zero when it has passed.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(monotonic())
}
