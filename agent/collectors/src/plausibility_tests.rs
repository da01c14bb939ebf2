//! No value that cannot be: each is held against what its unit allows, on every captured host and on this one.

use std::time::Duration;

use telemetry::{Number, SampleBuffer, Timestamp};

use crate::fixture_tests::{collect, fixtures};
use crate::{COLLECTORS, Collection, HostRoot, Options};

/// May be below 0: how far a clock, or a thermometer, is from zero.
const MAY_BE_NEGATIVE: [&str; 4] =
    ["system.clock.linux.offset", "hw.temperature", "hw.temperature.limit", "node_network_speed_bytes"];

/// The largest value that something in this unit can reasonably have on a host.
fn most(unit: &str) -> f64 {
    match unit {
        "1" => 1.0,
        // A thousand CPUs for ten years, added up.
        "s" => 1000.0 * 10.0 * 366.0 * 86400.0,
        "Cel" => 200.0,
        "Hz" => 2e10,
        "V" => 1e3,
        "W" | "rpm" => 1e5,
        "{cpu}" => 1e4,
        // Counted things and bytes: what the kernel's counters hold, less what a wrapped one would show.
        _ => 2.0_f64.powi(62),
    }
}

fn assert_plausible(host: &str, samples: &SampleBuffer) {
    let mut points = 0;
    for point in samples.entities().flat_map(|entity| entity.points()) {
        let value = match point.number {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
            Number::Gone => continue,
        };
        let name = point.metric.name;
        let least = if MAY_BE_NEGATIVE.contains(&name) { f64::NEG_INFINITY } else { 0.0 };
        let is_fine = value.is_finite() && value >= least && value <= most(point.metric.unit);
        assert!(is_fine, "{host}: {name} is {value} {}", point.metric.unit);
        points += 1;
    }
    assert!(points > 100, "{host}: only {points} points");
}

fn values(samples: &SampleBuffer, name: &str) -> Vec<f64> {
    let points = samples.entities().flat_map(|entity| entity.points());
    points.filter(|point| point.metric.name == name).filter_map(|point| point.number.as_f64()).collect()
}

fn sum(samples: &SampleBuffer, name: &str) -> f64 {
    values(samples, name).iter().sum()
}

fn count(samples: &SampleBuffer, name: &str) -> f64 {
    values(samples, name).len() as f64
}

#[test]
fn what_is_told_of_a_host_can_be() {
    for fixture in fixtures() {
        assert_plausible(&fixture, &collect(&fixture).0);
    }
    let all = COLLECTORS.iter().flat_map(|row| row.metrics).map(|metric| (metric.name.to_owned(), true));
    let options = Options { switched: all.collect(), ..Options::default() };
    let mut collection = Collection::open(HostRoot::at("/"), options, &|_| true).unwrap();
    let mut out = SampleBuffer::default();
    collection.collect(Timestamp::from_secs(1_800_000_000), &mut || Duration::ZERO, &mut out);
    assert_plausible("this host", &out);
}

#[test]
fn used_and_free_add_up_to_the_limit() {
    for fixture in fixtures() {
        let (out, _) = collect(&fixture);
        let (used, limit) = (sum(&out, "system.filesystem.usage"), sum(&out, "system.filesystem.limit"));
        assert!((used - limit).abs() <= limit * 1e-6, "{fixture}: {used} of {limit} bytes of file systems");
        let (share, count) =
            (sum(&out, "system.filesystem.utilization"), count(&out, "system.filesystem.limit"));
        assert!((share - count).abs() < 1e-6, "{fixture}: the shares of {count} add up to {share}");
    }
}

#[test]
fn the_time_of_all_modes_is_the_uptime_of_all_cpus() {
    for fixture in fixtures() {
        let (out, _) = collect(&fixture);
        // Made up by hand, as published fixtures are, they need not fit together.
        if ["node_exporter", "procfs"].contains(&fixture.as_str()) {
            continue;
        }
        let [spent, uptime, cpus] =
            ["system.cpu.time", "system.uptime", "system.cpu.logical.count"].map(|name| sum(&out, name));
        assert!(
            (spent / (uptime * cpus) - 1.0).abs() < 0.1,
            "{fixture}: {spent} s in {uptime} s of {cpus} CPUs"
        );
    }
}
