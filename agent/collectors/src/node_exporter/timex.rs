//! `timex`: what the kernel knows of its clock, from `adjtimex(2)`, which is only read here.

use telemetry::MetricSpec;

use super::Out;
use super::rows::{counter, from, gauge};
use crate::clock;
use crate::error::CollectError;
use crate::host::HostRoot;

pub(super) static TIMEX: [MetricSpec; 17] = from(
    "adjtimex(2)",
    [
        gauge("node_timex_sync_status", &[], "Whether something keeps the clock right."),
        gauge("node_timex_offset_seconds", &[], "How far the clock is off, in seconds."),
        gauge(
            "node_timex_frequency_adjustment_ratio",
            &[],
            "How much faster than its own the clock is let run.",
        ),
        gauge("node_timex_maxerror_seconds", &[], "How far the clock is off at most, in seconds."),
        gauge("node_timex_estimated_error_seconds", &[], "How far the clock is off by estimate, in seconds."),
        gauge("node_timex_status", &[], "The bits of the clock's status."),
        gauge("node_timex_loop_time_constant", &[], "Time constant of the loop that keeps the clock right."),
        gauge("node_timex_tick_seconds", &[], "Seconds between two ticks of the clock."),
        gauge("node_timex_pps_frequency_hertz", &[], "Frequency of the pulse per second."),
        gauge("node_timex_pps_jitter_seconds", &[], "Jitter of the pulse per second."),
        gauge("node_timex_pps_shift_seconds", &[], "Duration of the interval of the pulse per second."),
        gauge(
            "node_timex_pps_stability_hertz",
            &[],
            "How much the frequency of the pulse per second wanders.",
        ),
        counter(
            "node_timex_pps_jitter_total",
            &[],
            "How often the jitter of the pulse was beyond its limit.",
        ),
        counter("node_timex_pps_calibration_total", &[], "Calibrations by the pulse per second."),
        counter("node_timex_pps_error_total", &[], "Calibrations that failed."),
        counter(
            "node_timex_pps_stability_exceeded_total",
            &[],
            "How often the pulse wandered beyond its limit.",
        ),
        gauge("node_timex_tai_offset_seconds", &[], "Seconds between atomic time and that of the clock."),
    ],
);

/// Frequencies are parts per million with 16 bits of fraction.
const PER_UNIT: f64 = 1_000_000.0 * 65_536.0;

/// Nothing was captured of a captured host but what the collector `clock` tells.
pub(super) fn timex(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    if host.is_captured() {
        return Err(CollectError::Absent { what: "clock whose state may be read" });
    }
    let (state, clock::Timex(timex)) = clock::adjust_nothing(host)?;
    let micros = |number: i64| number as f64 / 1e6;
    let fine = |number: i64| number as f64 / if timex.status & clock::STA_NANO != 0 { 1e9 } else { 1e6 };
    let values = [
        f64::from(u8::from(state != clock::TIME_ERROR)),
        fine(timex.offset),
        1.0 + timex.freq as f64 / PER_UNIT,
        micros(timex.maxerror),
        micros(timex.esterror),
        f64::from(timex.status),
        timex.constant as f64,
        micros(timex.tick),
        timex.ppsfreq as f64 / PER_UNIT,
        fine(timex.jitter),
        f64::from(timex.shift),
        timex.stabil as f64 / PER_UNIT,
        timex.jitcnt as f64,
        timex.calcnt as f64,
        timex.errcnt as f64,
        timex.stbcnt as f64,
        f64::from(timex.tai),
    ];
    for (row, value) in TIMEX.iter().zip(values) {
        out.put(row.name, &[], value);
    }
    Ok(())
}
