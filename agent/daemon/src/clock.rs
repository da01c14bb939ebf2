//! The one file that reads the clock. Everything else takes `now`.

#![expect(clippy::disallowed_methods, reason = "this is the file that the ban names")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};
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

/// The time since the host was booted, sleep included. Nobody sets it.
pub(crate) fn since_boot() -> Duration {
    duration(clock_gettime(ClockId::Boottime))
}

/// The time by which the kernel dates its log: since the boot, sleep left out.
pub(crate) fn of_kernel() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

/// The CPU time that this program has taken since its start.
pub(crate) fn cpu_time() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// The CPU time that the calling thread has taken since its start.
pub(crate) fn cpu_time_of_this_thread() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

fn duration(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What is left until `deadline`; zero when it has passed.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(monotonic())
}
