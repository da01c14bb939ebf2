use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use telemetry::{
    EntitySpec, Instrument, METRIC_NAME, MetricSpec, SampleBuffer, Scope, Timestamp, Value, ValueType,
};

use super::*;
use crate::{MatchOp, STALE, Scratch, is_stale};

mod ended;
mod model;
mod outside;
mod retention;

static CPU_TIME: MetricSpec = MetricSpec {
    name: "system.cpu.time",
    unit: "s",
    instrument: Instrument::Counter,
    value: ValueType::Double,
    attributes: &["cpu.mode"],
    scope: Scope::Conventions,
    description: "",
    source: "",
    shows: None,
    by_default: true,
};
static UPTIME: MetricSpec = MetricSpec {
    name: "system.uptime",
    unit: "s",
    instrument: Instrument::Gauge,
    value: ValueType::Double,
    attributes: &[],
    scope: Scope::Conventions,
    description: "",
    source: "",
    shows: None,
    by_default: true,
};
static PROCESS: EntitySpec = EntitySpec { name: "process", attributes: &["process.pid"] };

fn limits() -> Limits {
    Limits {
        max_series: 100,
        retention: Duration::from_mins(10),
        max_samples_per_series: 50,
        ..Limits::default()
    }
}

/// A collection at `second`: the uptime, and the CPU time of each mode.
fn cycle(second: i64, modes: &[(&str, f64)]) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    buffer.reset(Timestamp::from_secs(second), Timestamp::EPOCH);
    buffer.double(&UPTIME, &[], second as f64);
    for (mode, value) in modes {
        buffer.double(&CPU_TIME, &[Value::Str(mode)], *value);
    }
    buffer
}

fn name(name: &str) -> Vec<Matcher> {
    vec![Matcher::equal(METRIC_NAME, name)]
}

fn all(store: &Store, id: SeriesId) -> Vec<(i64, f64)> {
    let mut scratch = Scratch::default();
    let samples = store.samples(id, i64::MIN, i64::MAX, &mut scratch);
    samples.times.iter().map(|time| time / 1000).zip(samples.values.iter().copied()).collect()
}

fn text(store: &Store, ids: &[SeriesId]) -> Vec<String> {
    ids.iter().map(|id| store.labels(*id).to_string()).collect()
}

#[test]
fn a_host_series_answers_to_its_otel_and_to_its_prometheus_name() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[("idle", 1.0), ("user", 2.0)]));
    for (matchers, expected) in [
        (name("system.cpu.time"), vec![r#"{"system.cpu.time", "cpu.mode"="idle"}"#]),
        (name("system_cpu_time_seconds_total"), vec![r#"system_cpu_time_seconds_total{cpu_mode="idle"}"#]),
        (vec![Matcher::equal("cpu.mode", "idle")], vec![r#"{"system.cpu.time", "cpu.mode"="idle"}"#]),
        (vec![Matcher::equal("cpu_mode", "idle")], vec![]),
    ] {
        let mut ids = store.select(&matchers);
        ids.truncate(1);
        assert_eq!(text(&store, &ids), expected, "{matchers:?}");
        assert!(ids.iter().all(|id| all(&store, *id) == [(10, 1.0)]));
    }
}

#[test]
fn a_selector_without_a_name_or_with_a_pattern_for_it_sees_a_series_once() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[("idle", 1.0)]));
    for (label, pattern) in [(METRIC_NAME, ".+"), (METRIC_NAME, "system.*"), ("nothing", ".*")] {
        let matcher = Matcher::new(label, MatchOp::Regex, pattern).unwrap();
        let found = text(&store, &store.select(&[matcher]));
        assert_eq!(found, [r#"{"system.uptime"}"#, r#"{"system.cpu.time", "cpu.mode"="idle"}"#], "{pattern}");
    }
    let only_alias = Matcher::new(METRIC_NAME, MatchOp::Regex, "system_.*").unwrap();
    assert_eq!(store.select(&[only_alias]).len(), 2);
}

#[test]
fn attributes_of_the_entity_are_labels_too() {
    let mut store = Store::new(limits());
    let mut buffer = cycle(10, &[]);
    buffer.entity(&PROCESS, Timestamp::EPOCH, &[Value::Int(42)]);
    buffer.double(&UPTIME, &[], 7.0);
    store.append(&buffer);
    let found = store
        .select(&[Matcher::equal("process_pid", "42"), Matcher::equal(METRIC_NAME, "system_uptime_seconds")]);
    assert_eq!(text(&store, &found), [r#"system_uptime_seconds{process_pid="42"}"#]);
}

#[test]
fn an_ended_series_is_marked_stale_and_resumes_when_it_comes_back() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[("idle", 1.0)]));
    let mut ending = cycle(20, &[]);
    ending.gone(&CPU_TIME, &[Value::Str("idle")]);
    assert_eq!(store.append(&ending), Appended { samples: 2, rejected: 0 });
    let id = store.select(&name("system.cpu.time"))[0];
    assert_eq!(store.latest(id, 20_000, 300_000), None);
    assert!(store.samples(id, 0, 20_000, &mut Scratch::default()).may_be_stale);
    let generation = store.generation();
    store.append(&cycle(30, &[("idle", 3.0)]));
    assert_eq!(store.latest(id, 30_000, 300_000), Some((30_000, 3.0)));
    assert_eq!(store.generation(), generation);
}

#[test]
fn a_series_that_misses_collections_keeps_its_own_times() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[("idle", 1.0)]));
    store.append(&cycle(20, &[]));
    store.append(&cycle(30, &[("idle", 3.0)]));
    store.append(&cycle(40, &[("idle", 4.0)]));
    let id = store.select(&name("system.cpu.time"))[0];
    assert_eq!(all(&store, id), [(10, 1.0), (30, 3.0), (40, 4.0)]);
    assert_eq!(store.samples(id, 10_000, 30_000, &mut Scratch::default()).values, [3.0]);
}

#[test]
fn a_point_measured_before_its_collection_is_kept_once_under_its_own_time() {
    let mut store = Store::new(limits());
    let aged = |second: i64, measured: i64, value: f64| {
        let mut buffer = cycle(second, &[]);
        buffer.measured_at(Timestamp::from_secs(measured));
        buffer.double(&CPU_TIME, &[Value::Str("idle")], value);
        buffer
    };
    for (second, measured, value, kept) in [
        (10, 8, 1.0, 2),
        (20, 8, 1.0, 1),
        (30, 30, 2.0, 2),
        (40, 33, 3.0, 2),
        (50, 32, 9.0, 1),
        (60, 60, 4.0, 2),
    ] {
        let done = store.append(&aged(second, measured, value));
        assert_eq!(done, Appended { samples: kept, rejected: 0 }, "at {second}");
    }
    let id = store.select(&name("system.cpu.time"))[0];
    assert_eq!(all(&store, id), [(8, 1.0), (30, 2.0), (33, 3.0), (60, 4.0)]);
}

#[test]
fn a_point_measured_before_the_retention_begins_no_series() {
    let mut store = Store::new(limits());
    let mut buffer = cycle(1_000, &[]);
    buffer.measured_at(Timestamp::from_secs(400));
    buffer.double(&CPU_TIME, &[Value::Str("idle")], 1.0);
    assert_eq!(store.append(&buffer), Appended { samples: 1, rejected: 0 });
    assert_eq!(store.select(&name("system.cpu.time")), []);
}

#[test]
fn a_collection_may_come_in_several_buffers_and_one_may_come_less_often() {
    let mut store = Store::new(limits());
    let slow = |second: i64| {
        let mut buffer = SampleBuffer::default();
        buffer.reset(Timestamp::from_secs(second), Timestamp::EPOCH);
        buffer.double(&CPU_TIME, &[Value::Str("slow")], second as f64);
        buffer
    };
    for second in (0..60).step_by(10) {
        let done = store.append(&cycle(second, &[("idle", second as f64)]));
        assert_eq!(done, Appended { samples: 2, rejected: 0 });
        if second % 30 == 0 {
            assert_eq!(store.append(&slow(second)), Appended { samples: 1, rejected: 0 });
        }
    }
    let ids = store.select(&name("system.cpu.time"));
    assert_eq!(all(&store, ids[0]).len(), 6);
    assert_eq!(all(&store, ids[1]), [(0, 0.0), (30, 30.0)]);
    assert_eq!(store.latest(ids[1], 59_000, 300_000), Some((30_000, 30.0)));
}

#[test]
fn a_look_between_two_collections_costs_the_others_nothing() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[("idle", 1.0)]));
    let mut between = SampleBuffer::default();
    between.reset(Timestamp::from_secs(13), Timestamp::EPOCH);
    between.double(&CPU_TIME, &[Value::Str("idle")], 2.0);
    assert_eq!(store.append_between(&between), Appended { samples: 1, rejected: 0 });
    store.append(&cycle(20, &[("idle", 3.0)]));
    let id = |of: &str| store.select(&name(of))[0];
    assert_eq!(all(&store, id("system.cpu.time")), [(10, 1.0), (13, 2.0), (20, 3.0)]);
    assert_eq!(all(&store, id("system.uptime")), [(10, 10.0), (20, 20.0)]);
    let series = store.series.get(id("system.uptime").series).unwrap();
    assert!(series.ring.is_shared());
}

#[test]
fn of_a_look_and_a_collection_in_the_same_millisecond_the_later_counts() {
    let look = |second, idle: Option<f64>| {
        let mut buffer = SampleBuffer::default();
        buffer.reset(Timestamp::from_secs(second), Timestamp::EPOCH);
        match idle {
            Some(idle) => buffer.double(&CPU_TIME, &[Value::Str("idle")], idle),
            None => buffer.gone(&CPU_TIME, &[Value::Str("idle")]),
        }
        buffer
    };
    let mut store = Store::new(limits());
    store.append_between(&look(10, Some(1.0)));
    assert_eq!(store.append(&cycle(10, &[("idle", 2.0)])), Appended { samples: 2, rejected: 0 });
    store.append(&cycle(20, &[("idle", 3.0)]));
    store.append_between(&look(20, Some(4.0)));
    let id = store.select(&name("system.cpu.time"))[0];
    assert_eq!(all(&store, id), [(10, 2.0), (20, 4.0)]);
    store.append_between(&look(30, Some(5.0)));
    store.append(&look(30, None));
    assert_eq!(store.latest(id, 30_000, 300_000), None);
    store.append(&cycle(40, &[("idle", 6.0)]));
    assert_eq!(store.latest(id, 40_000, 300_000), Some((40_000, 6.0)));
    assert_eq!(store.rejected(), 0);
}

#[test]
fn a_clock_set_back_to_before_a_look_between_collections_is_noticed() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[("idle", 1.0)]));
    store.append_between(&cycle(17, &[("idle", 2.0)]));
    assert_eq!(store.append(&cycle(14, &[("idle", 3.0)])), Appended { samples: 2, rejected: 0 });
    let id = store.select(&name("system.cpu.time"))[0];
    assert_eq!(all(&store, id), [(10, 1.0), (14, 3.0)]);
    assert_eq!(store.clock_jumps(), 1);
}

#[test]
fn what_is_not_newer_is_refused_and_counted() {
    let mut store = Store::new(limits());
    store.append(&cycle(20, &[("idle", 1.0)]));
    assert_eq!(store.append(&cycle(20, &[("idle", 9.0)])), Appended { samples: 0, rejected: 2 });
    let labels: Labels = [(METRIC_NAME, "ALERTS")].into_iter().collect();
    store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(20), 1.0).unwrap();
    let late = store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(19), 1.0);
    assert_eq!(late, Err(Rejected::NotNewer));
    assert_eq!(store.mark_stale(&labels, &Origin::Rule, Timestamp::from_secs(20)), Err(Rejected::NotNewer));
    assert_eq!(store.rejections(), Rejections { not_newer: 4, ..Rejections::default() });
    assert_eq!(store.rejected(), 4);
}

#[test]
fn a_clock_set_back_costs_the_samples_after_it_and_no_more() {
    let mut store = Store::new(limits());
    let rule: Labels = [(METRIC_NAME, "rule")].into_iter().collect();
    let newborn: Labels = [(METRIC_NAME, "newborn")].into_iter().collect();
    for second in [10, 20, 30, 40] {
        store.append(&cycle(second, &[("idle", second as f64)]));
        store.append_sample(&rule, &Origin::Rule, Timestamp::from_secs(second + 1), 1.0).unwrap();
    }
    store.append_sample(&newborn, &Origin::Rule, Timestamp::from_secs(40), 1.0).unwrap();
    let ids = ["system.cpu.time", "system.uptime", "rule"].map(|series| store.select(&name(series))[0]);

    assert_eq!(store.append(&cycle(25, &[("idle", 25.0)])), Appended { samples: 2, rejected: 0 });
    store.append(&cycle(35, &[("idle", 35.0)]));
    store.append_sample(&rule, &Origin::Rule, Timestamp::from_secs(35), 1.0).unwrap();

    let seconds = |id: &SeriesId| all(&store, *id).iter().map(|(at, _)| *at).collect::<Vec<_>>();
    assert_eq!(ids.each_ref().map(seconds), [vec![10, 20, 25, 35], vec![10, 20, 25, 35], vec![11, 21, 35]]);
    assert_eq!(store.select(&name("newborn")), []);
    assert_eq!((store.clock_jumps(), store.rejected()), (1, 0));
}

#[test]
fn a_series_that_had_ended_is_not_brought_back_by_a_clock_set_back() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[("idle", 1.0)]));
    store.append(&cycle(20, &[("idle", 1.0)]));
    let mut ending = cycle(30, &[]);
    ending.gone(&CPU_TIME, &[Value::Str("idle")]);
    store.append(&ending);
    store.append(&cycle(15, &[]));
    let id = store.select(&name("system.cpu.time"))[0];
    assert_eq!(store.latest(id, 15_000, 300_000), None);
    assert_eq!(store.latest(id, 14_998, 300_000), Some((10_000, 1.0)));
    store.append(&cycle(25, &[("idle", 5.0)]));
    assert_eq!(store.latest(id, 25_000, 300_000), Some((25_000, 5.0)));
}

#[test]
fn a_clock_set_back_before_all_samples_begins_anew() {
    let mut store = Store::new(limits());
    for second in [5_000, 5_010, 1_000, 1_010] {
        store.append(&cycle(second, &[("idle", 1.0)]));
    }
    let id = store.select(&name("system.cpu.time"))[0];
    assert_eq!(all(&store, id), [(1_000, 1.0), (1_010, 1.0)]);
}

#[test]
fn a_full_store_refuses_new_series_and_keeps_the_old() {
    let mut store = Store::new(Limits { max_series: 2, ..limits() });
    let done = store.append(&cycle(10, &[("idle", 1.0), ("user", 2.0)]));
    assert_eq!(done, Appended { samples: 2, rejected: 1 });
    let done = store.append(&cycle(20, &[("idle", 1.0), ("user", 2.0)]));
    assert_eq!(done, Appended { samples: 2, rejected: 1 });
    let other: Labels = [(METRIC_NAME, "other")].into_iter().collect();
    let refused = store.append_sample(&other, &Origin::Rule, Timestamp::from_secs(10), 1.0);
    assert_eq!(refused, Err(Rejected::TooManySeries { limit: 2 }));
    let mut ending = cycle(30, &[("idle", 1.0)]);
    ending.gone(&CPU_TIME, &[Value::Str("user")]);
    assert_eq!(store.append(&ending), Appended { samples: 2, rejected: 0 });
    assert_eq!(store.rejections(), Rejections { too_many_series: 3, ..Rejections::default() });
}

#[test]
fn a_rule_cannot_take_the_name_of_a_host_series_and_gives_way_to_one() {
    let mut store = Store::new(limits());
    let alias: Labels = [(METRIC_NAME, "system_uptime_seconds")].into_iter().collect();
    store.append_sample(&alias, &Origin::Rule, Timestamp::from_secs(5), 1.0).unwrap();
    store.append(&cycle(10, &[]));
    let refused = store.append_sample(&alias, &Origin::Rule, Timestamp::from_secs(15), 1.0);
    assert_eq!(refused, Err(Rejected::Foreign { owner: Origin::Host }));
    assert_eq!(store.rejections(), Rejections { foreign: 1, ..Rejections::default() });
    let ids = store.select(&name("system_uptime_seconds"));
    assert_eq!(
        ids.iter().map(|id| (store.origin(*id), all(&store, *id))).collect::<Vec<_>>(),
        [(&Origin::Host, vec![(10, 10.0)])]
    );
}

#[test]
fn samples_go_by_age_and_by_count_and_series_with_their_last_sample() {
    let mut store = Store::new(limits());
    store.append(&cycle(0, &[("idle", 1.0)]));
    let generation = store.generation();
    for second in 1..200 {
        store.append(&cycle(second, &[]));
    }
    let uptime = store.select(&name("system.uptime"))[0];
    assert_eq!(all(&store, uptime), (150..200).map(|s| (s, s as f64)).collect::<Vec<_>>());
    store.append(&cycle(700, &[]));
    assert_eq!(all(&store, uptime).first(), Some(&(151, 151.0)));
    assert_eq!(store.select(&name("system.cpu.time")), []);
    assert_ne!(store.generation(), generation);
    store.append(&cycle(760, &[]));
    assert_eq!(all(&store, uptime).first(), Some(&(161, 161.0)));
}

#[test]
fn ids_of_a_metric_stay_good_while_only_others_come_and_go() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[("idle", 1.0)]));
    let named = name("system.uptime");
    let nameless = [Matcher::equal("cpu.mode", "idle")];
    let before = [store.generation_of(&named), store.generation_of(&nameless)];
    store.append(&cycle(20, &[("idle", 1.0), ("user", 1.0)]));
    assert_eq!(store.generation_of(&named), before[0]);
    assert_ne!(store.generation_of(&nameless), before[1]);
    let other = name("other");
    let mut seen = HashSet::from([store.generation_of(&other)]);
    for second in [1_000, 3_000] {
        let labels: Labels = [(METRIC_NAME, "other")].into_iter().collect();
        store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(second), 1.0).unwrap();
        assert!(seen.insert(store.generation_of(&other)));
        store.expire(Timestamp::from_secs(second + 601));
        assert_eq!(store.generation_of(&other), 0);
    }
}

#[test]
fn two_stores_never_share_a_generation() {
    assert_ne!(Store::new(limits()).generation(), Store::new(limits()).generation());
}

#[test]
fn a_recorded_series_names_all_that_its_samples_were_computed_from_until_it_begins_anew() {
    let mut store = Store::new(limits());
    let labels: Labels = [(METRIC_NAME, "recorded")].into_iter().collect();
    let [host, sent] = [Origin::Host, Origin::Textfile].map(|origin| Arc::new(Origins::from([origin])));
    let both: Origins = [Origin::Host, Origin::Textfile].into();
    for (second, origins, expected) in
        [(10, &host, &*host), (20, &sent, &both), (30, &host, &both), (700, &Arc::default(), &Origins::new())]
    {
        store.append(&cycle(second, &[]));
        store.append_recorded(&labels, origins, Timestamp::from_secs(second), 1.0).unwrap();
        let id = store.select(&name("recorded"))[0];
        assert_eq!(store.origins(id), expected, "at {second}");
    }
}

#[test]
fn only_its_own_origin_ends_a_series() {
    let mut store = Store::new(limits());
    store.append(&cycle(10, &[]));
    let labels: Labels = [(METRIC_NAME, "system_uptime_seconds")].into_iter().collect();
    let refused = store.mark_stale(&labels, &Origin::Rule, Timestamp::from_secs(15));
    assert_eq!(refused, Err(Rejected::Foreign { owner: Origin::Host }));
    assert_eq!(store.rejections(), Rejections { foreign: 1, ..Rejections::default() });
    let id = store.select(&name("system_uptime_seconds"))[0];
    assert_eq!(store.latest(id, 15_000, 300_000), Some((10_000, 10.0)));
}
