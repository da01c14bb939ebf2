use super::*;
use crate::Figures;

fn need(name: &str, reach: Duration) -> Need {
    Need { matchers: vec![Matcher::equal(METRIC_NAME, name)], reach }
}

fn small() -> Limits {
    Limits {
        retention: Duration::from_mins(10),
        max_retention: Duration::from_hours(1),
        max_samples_per_series: 10_000,
        hot: Duration::from_mins(1),
        ..Limits::default()
    }
}

fn oldest(store: &Store, named: &str) -> i64 {
    all(store, store.select(&name(named))[0])[0].0
}

#[test]
fn a_series_is_kept_as_long_as_somebody_reads_back() {
    let mut store = Store::new(small());
    store.set_needs(&[
        need("system_cpu_time_seconds_total", Duration::from_mins(30)),
        need("rule", Duration::from_hours(24)),
        need("system.uptime", Duration::from_secs(5)),
    ]);
    let rule: Labels = [(METRIC_NAME, "rule")].into_iter().collect();
    for second in (0..10_000).step_by(10) {
        store.append(&cycle(second, &[("idle", second as f64)]));
        store.append_sample(&rule, &Origin::Rule, Timestamp::from_secs(second), second as f64).unwrap();
    }
    assert_eq!(
        ["system.cpu.time", "rule", "system.uptime"].map(|named| oldest(&store, named)),
        [9_990 - 1_790, 9_990 - 3_590, 9_990 - 590],
    );
    let count = |named: &str| all(&store, store.select(&name(named))[0]).len();
    assert_eq!([count("system.cpu.time"), count("rule"), count("system.uptime")], [180, 360, 60]);

    store.set_needs(&[need("system.uptime", Duration::from_mins(20))]);
    for second in (10_000..10_400).step_by(10) {
        store.append(&cycle(second, &[("idle", second as f64)]));
    }
    assert_eq!(oldest(&store, "system.cpu.time"), 10_390 - 590);
    let oldest = oldest(&store, "system.uptime");
    assert!(oldest > 10_390 - 1_200 && oldest <= 9_990 - 590, "{oldest}");
}

#[test]
fn samples_of_a_window_that_crosses_chunks_and_ring_lack_none() {
    let mut store = Store::new(Limits { retention: Duration::from_hours(2), ..small() });
    for second in (0..7_000).step_by(10) {
        let idle = [("idle", if second < 3_000 { 7.0 } else { second as f64 / 100.0 })];
        store.append(&cycle(second, &idle));
    }
    let id = store.select(&name("system.cpu.time"))[0];
    let figures = store.figures();
    assert!(figures.chunk_bytes > 0 && figures.samples == 1_400, "{figures:?}");
    let mut scratch = Scratch::default();
    for (from, to) in [(0, 6_990), (100, 200), (2_395, 2_405), (2_990, 6_950), (6_940, 6_990), (5_000, 9_000)]
    {
        let samples = store.samples(id, from * 1000, to * 1000, &mut scratch);
        let expected: Vec<i64> = (0..7_000).step_by(10).filter(|at| *at > from && *at <= to).collect();
        let found: Vec<i64> = samples.times.iter().map(|time| time / 1000).collect();
        assert_eq!(found, expected, "from {from} to {to}");
        let newest = expected.last().map(|at| at * 1000);
        assert_eq!(store.latest(id, to * 1000, (to - from) * 1000).map(|(at, _)| at), newest);
    }
}

#[test]
fn a_window_of_a_quarter_of_an_hour_is_read_where_it_lies() {
    let mut store = Store::new(Limits::default());
    for second in (0..7_200).step_by(10) {
        store.append(&cycle(second, &[]));
    }
    let id = store.select(&name("system.uptime"))[0];
    let mut scratch = Scratch::default();
    for (length, lies) in [(900, true), (7_000, false)] {
        let samples = store.samples(id, (7_240 - length) * 1000, 7_240_000, &mut scratch);
        let times = store.timeline.times().as_ptr_range();
        assert_eq!(times.contains(&samples.times.as_ptr()), lies, "{length} s");
    }
}

#[test]
fn a_series_with_a_gap_shares_the_times_of_collections_again() {
    let mut store = Store::new(small());
    for second in (0..600).step_by(10) {
        let idle = [("idle", 1.0)];
        store.append(&cycle(second, if second == 100 { &[] } else { &idle }));
    }
    let id = store.select(&name("system.cpu.time"))[0];
    assert!(store.series.get(id.series).unwrap().ring.is_shared());
    assert_eq!(all(&store, id).len(), 59);
}

#[test]
fn beyond_the_memory_for_chunks_the_oldest_go_and_those_from_outside_first() {
    let limits = Limits { retention: Duration::from_hours(24), max_packed_bytes: 12_000, ..small() };
    let mut store = Store::new(limits);
    store.set_budget(Origin::Textfile, 10);
    let labels: Labels = [(METRIC_NAME, "outside")].into_iter().collect();
    let outside = Outside { origin: Origin::Textfile, labels, alias: None, from_zero: false };
    for second in (0..14_000).step_by(10) {
        let noise = (second as f64).sqrt();
        store.append(&cycle(second, &[("idle", noise)]));
        store.append_outside(&outside, Timestamp::from_secs(second), noise).unwrap();
    }
    let Figures { chunk_bytes, .. } = store.figures();
    assert!(chunk_bytes < 15_000, "{chunk_bytes}");
    assert!(store.squeezed() > 500, "{}", store.squeezed());
    assert!(oldest(&store, "outside") > oldest(&store, "system.cpu.time"));
}

#[test]
fn beyond_the_memory_for_unpacked_samples_they_are_packed_sooner_and_none_goes() {
    let hot = Duration::from_mins(16);
    let limits = Limits { retention: Duration::from_hours(1), hot, max_ring_bytes: 100_000, ..small() };
    let mut store = Store::new(limits);
    let modes: Vec<String> = (0..40).map(|mode| mode.to_string()).collect();
    let mut most = 0;
    for second in 0..2_000 {
        let value = (second as f64).sqrt();
        let idle: Vec<(&str, f64)> = modes.iter().map(|mode| (mode.as_str(), value)).collect();
        store.append(&cycle(second, &idle));
        most = most.max(store.figures().ring_bytes);
    }
    assert!((100_000..120_000).contains(&most), "{most}");
    assert!(store.figures().ring_bytes < 100_000, "{:?}", store.figures());
    assert_eq!((store.figures().samples, store.squeezed()), (41 * 2_000, 0));
    let id = store.select(&name("system.cpu.time"))[0];
    assert_eq!(all(&store, id), (0..2_000).map(|at| (at, (at as f64).sqrt())).collect::<Vec<_>>());

    for second in 2_000..8_000 {
        store.append(&cycle(second, &[]));
    }
    assert_eq!(u128::from(store.hot.unsigned_abs()), hot.as_millis());
}

#[test]
fn names_and_values_of_labels_are_found_by_all_names_and_in_their_time() {
    let mut store = Store::new(small());
    store.append(&cycle(10, &[("idle", 1.0)]));
    store.append(&cycle(100, &[("user", 1.0)]));
    let names = |matchers: &[Matcher], from: i64, to: i64, limit| {
        store.label_names(matchers, from * 1000, to * 1000, limit).join(" ")
    };
    let values = |label: &str, from: i64, to: i64, limit| {
        store.label_values(label, &[], from * 1000, to * 1000, limit).join(" ")
    };
    let time = [Matcher::equal(METRIC_NAME, "system.cpu.time")];
    assert_eq!(names(&[], 0, 200, 9), "__name__ cpu.mode cpu_mode");
    assert_eq!(names(&time, 0, 200, 9), "__name__ cpu.mode");
    assert_eq!(names(&[], 200, 300, 9), "");
    assert_eq!(values("cpu_mode", 0, 200, 9), "idle user");
    assert_eq!(values("cpu.mode", 0, 200, 1), "idle");
    assert_eq!(values("cpu.mode", 0, 99, 9), "idle");
    assert_eq!(values("cpu.mode", 11, 100, 9), "user");
    assert_eq!(values("none", 0, 100, 9), "");
    assert_eq!(store.select_within(&time, 11_000, 100_000, 9).len(), 1);
    assert_eq!(store.select_within(&time, 0, 100_000, 1).len(), 1);
}
