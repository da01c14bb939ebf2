//! Metrics of the clock.

use telemetry::{Aspect, MetricSpec, Resource};

use super::{GAUGE, LEVEL, draft, metric, shows};

/// How far the clock is from the right time, as its time service last told the kernel.
pub static CLOCK_OFFSET: MetricSpec = shows(
    Resource::Clock,
    Aspect::Errors,
    draft(metric(
        "system.clock.linux.offset",
        "s",
        GAUGE,
        &[],
        [
            "How far the clock is from the right time, as its time service last told the kernel.",
            "adjtimex(2): offset, in nanoseconds where STA_NANO is set, else in microseconds",
        ],
    )),
);

/// How far the clock can be off at most.
pub static CLOCK_MAX_ERROR: MetricSpec = shows(
    Resource::Clock,
    Aspect::Errors,
    draft(metric(
        "system.clock.linux.max_error",
        "s",
        GAUGE,
        &[],
        [
            "How far the clock can be off at most; 16 s where nothing keeps it right.",
            "adjtimex(2): maxerror / 1e6",
        ],
    )),
);

/// Whether the clock is synchronised.
pub static CLOCK_SYNCHRONIZED: MetricSpec = shows(
    Resource::Clock,
    Aspect::Errors,
    draft(metric(
        "system.clock.linux.synchronized",
        "1",
        LEVEL,
        &[],
        [
            "1 where the clock is kept right by a time service, else 0.",
            "adjtimex(2): the state is not TIME_ERROR and STA_UNSYNC is not set",
        ],
    )),
);
