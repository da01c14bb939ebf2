//! What two hours of a host's series take in memory: labels by both names, index and samples.

#[path = "../benches/host.rs"]
mod host;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

#[test]
fn five_thousand_series_of_two_hours_fit_in_twelve_megabytes() {
    let one = host::measure(500);
    let five = host::measure(5_000);
    print!("{one}\n{five}\n");
    assert!(five.bytes <= 12_000_000, "{five}");
    assert!(five.bytes <= 11 * one.bytes, "memory grows faster than the series: {one}, {five}");
}
