//! The series that queries are asked of: counters, gauges and histograms, with gaps, ends, resets and odd values.

use std::time::Duration;

use series::{Limits, STALE, Store};
use telemetry::{Labels, Origin, Timestamp};

use super::random::Random;

/// Three hours, in milliseconds.
pub(super) const LENGTH: i64 = 3 * 60 * 60 * 1000;

pub(super) type Stored = (Labels, Vec<(i64, f64)>);

#[derive(Clone, Copy)]
enum Shape {
    Counter,
    Gauge,
    Odd,
    Constant,
}

/// Sorted by labels, as the engine sorts what it reads.
pub(super) fn series(random: &mut Random) -> Vec<Stored> {
    let mut all = Vec::new();
    for (name, shape) in [
        ("requests_total", Shape::Counter),
        ("errors_total", Shape::Counter),
        ("queue", Shape::Gauge),
        ("temperature", Shape::Gauge),
        ("odd", Shape::Odd),
        ("limits", Shape::Constant),
        ("system.cpu.time", Shape::Counter),
    ] {
        for job in ["api", "db"] {
            for instance in ["1", "2", "10"] {
                for mode in ["read", "write"] {
                    let with_mode = name != "limits";
                    if random.one_in(4) || (!with_mode && mode == "write") {
                        continue;
                    }
                    let mut labels = vec![("__name__", name), ("job", job), ("instance", instance)];
                    labels.extend(with_mode.then_some(("mode", mode)));
                    all.push((labels.into_iter().collect(), values(random, shape)));
                }
            }
        }
    }
    all.push(([("__name__", "lonely")].into_iter().collect(), values(random, Shape::Gauge)));
    histograms(random, &mut all);
    all.retain(|(_, points): &Stored| !points.is_empty());
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn histograms(random: &mut Random, all: &mut Vec<Stored>) {
    for job in ["api", "db"] {
        let mut below = vec![0.0; 200];
        for bound in ["0.1", "0.5", "1", "2.5", "+Inf"] {
            let mut sum = 0.0;
            let monotonic = !random.one_in(8);
            let mut points = Vec::new();
            for (number, lower) in below.iter_mut().enumerate() {
                sum += (random.fraction() * 5.0).floor();
                let value = if monotonic { *lower + sum } else { sum };
                *lower = value;
                points.push((number as i64 * 60_000, value));
            }
            let labels = [("__name__", "latency_bucket"), ("job", job), ("le", bound)];
            all.push((labels.into_iter().collect(), points));
        }
    }
}

fn values(random: &mut Random, shape: Shape) -> Vec<(i64, f64)> {
    let step = random.pick(&[15_000, 30_000, 60_000, 300_000]);
    let jitter = if random.one_in(3) { 2_000 } else { 0 };
    let mut points: Vec<(i64, f64)> = Vec::new();
    let mut value = (random.fraction() * 100.0).floor();
    let mut at = random.pick(&[0, 0, 7_000, 1_800_000]);
    while at <= LENGTH {
        let scheduled = at;
        at += step;
        if random.one_in(15) {
            continue;
        }
        if random.one_in(120) {
            at += random.below(20) as i64 * 60_000;
            if random.one_in(2) {
                points.push((scheduled, STALE));
            }
            continue;
        }
        value = match shape {
            Shape::Counter if random.one_in(60) => random.fraction() * 5.0,
            Shape::Counter => value + (random.fraction() * 30.0).floor(),
            Shape::Gauge => value + random.fraction() * 20.0 - 10.0,
            Shape::Odd => random.pick(&ODD),
            Shape::Constant => value,
        };
        let moved = if jitter > 0 { random.below(jitter) as i64 } else { 0 };
        points.push((scheduled + moved, value));
    }
    points
}

const ODD: [f64; 14] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    2.0,
    1e300,
    -1e300,
    1e-300,
    3.5,
];

/// The same in a store of ours.
pub(super) fn store(series: &[Stored]) -> Store {
    let mut store = Store::new(Limits {
        max_series: 10_000,
        retention: Duration::from_hours(24 * 365),
        max_samples_per_series: 100_000,
        ..Limits::default()
    });
    for (labels, points) in series {
        for (at, value) in points {
            let at = Timestamp::from_millis(*at);
            store.append_sample(labels, &Origin::Rule, at, *value).expect("samples come in order");
        }
    }
    store
}
