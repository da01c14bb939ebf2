//! What comes from outside harms nothing that was there.

use std::sync::Arc;

use super::*;
use crate::host_names::HostNames;

fn listener(name: &str) -> Origin {
    Origin::Otlp(Arc::from(name))
}

/// A gauge named `name` from the listener `apps`.
fn outside(name: &str, key: &str) -> Outside {
    let labels = [(METRIC_NAME, name), ("key", key)].into_iter().collect();
    Outside { origin: listener("apps"), labels, alias: None, from_zero: false }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

fn figures(store: &Store, name: &str) -> OutsideFigures {
    store.outside().find(|(origin, _)| **origin == listener(name)).unwrap().1
}

/// A store with room for 100 of the host and 10 of `apps`.
fn store() -> Store {
    let mut store = Store::new(limits());
    store.set_host_names(&Arc::new(HostNames::new([&UPTIME, &CPU_TIME], ["instance:cpu:rate5m"])));
    store.set_budget(listener("apps"), 10);
    store
}

#[test]
fn a_flood_of_new_series_costs_its_origin_and_nobody_else() {
    let mut store = store();
    store.set_budget(listener("calm"), 10);
    store.append(&cycle(10, &[("idle", 1.0)]));
    let old = outside("requests", "old");
    let calm = Outside { origin: listener("calm"), ..outside("calm", "old") };
    store.append_outside(&old, at(10), 1.0).unwrap();
    store.append_outside(&calm, at(10), 1.0).unwrap();
    for number in 0..100_000_i64 {
        let new = outside("requests", &number.to_string());
        let result = store.append_outside(&new, Timestamp::from_millis(10_000 + number / 10), 1.0);
        assert_eq!(result, if number < 9 { Ok(()) } else { Err(Rejected::OverBudget { limit: 10 }) });
    }
    store.append(&cycle(20, &[("idle", 2.0), ("user", 2.0)]));
    store.append_outside(&old, at(20), 2.0).unwrap();
    store.append_outside(&calm, at(20), 2.0).unwrap();
    for (series, expected) in [
        ("system.cpu.time", vec![vec![(10, 1.0), (20, 2.0)], vec![(20, 2.0)]]),
        ("calm", vec![vec![(10, 1.0), (20, 2.0)]]),
    ] {
        let ids = store.select(&name(series));
        assert_eq!(ids.iter().map(|id| all(&store, *id)).collect::<Vec<_>>(), expected, "{series}");
    }
    let id = store.select(&[Matcher::equal("key", "old"), Matcher::equal(METRIC_NAME, "requests")]);
    assert_eq!(all(&store, id[0]), [(10, 1.0), (20, 2.0)]);
    assert_eq!(store.series_count(), 3 + 10 + 1);
    let refused = Rejections { too_many_series: 99_991, ..Rejections::default() };
    assert_eq!(figures(&store, "apps"), OutsideFigures { series: 10, budget: 10, rejections: refused });
    assert_eq!(figures(&store, "calm").rejections, Rejections::default());
    assert_eq!(store.rejections(), Rejections::default());
}

#[test]
fn a_full_budget_leaves_the_host_its_room_and_a_full_host_leaves_the_budget() {
    let mut store = Store::new(Limits { max_series: 2, ..limits() });
    store.set_budget(listener("apps"), 1);
    store.append_outside(&outside("a", ""), at(5), 1.0).unwrap();
    assert_eq!(store.append(&cycle(10, &[("idle", 1.0)])), Appended { samples: 2, rejected: 0 });
    assert!(store.append_outside(&outside("b", ""), at(10), 1.0).is_err());
    assert_eq!(
        store.append(&cycle(20, &[("idle", 1.0), ("user", 1.0)])),
        Appended { samples: 2, rejected: 1 }
    );
    store.set_budget(listener("apps"), 2);
    store.append_outside(&outside("b", ""), at(20), 1.0).unwrap();
}

#[test]
fn a_series_that_ended_makes_room_for_one_of_its_own_origin_only() {
    let mut store = store();
    store.set_budget(listener("apps"), 1);
    store.set_budget(listener("other"), 1);
    store.append(&cycle(10, &[("idle", 1.0)]));
    let mut ending = cycle(20, &[]);
    ending.gone(&CPU_TIME, &[Value::Str("idle")]);
    store.append(&ending);
    let other = |series: &str| Outside { origin: listener("other"), ..outside(series, "") };
    store.append_outside(&outside("a", ""), at(20), 1.0).unwrap();
    store.append_outside(&other("o"), at(20), 1.0).unwrap();
    assert!(store.append_outside(&other("p"), at(21), 1.0).is_err());
    store.append_outside(&outside("a", ""), at(22), STALE).unwrap();
    assert!(store.append_outside(&other("p"), at(23), 1.0).is_err());
    store.append_outside(&outside("b", ""), at(23), 1.0).unwrap();
    assert_eq!(store.select(&name("a")), []);
    assert_eq!(store.select(&name("system.cpu.time")).len(), 1);
    assert_eq!((figures(&store, "apps").series, figures(&store, "other").series), (1, 1));
}

#[test]
fn what_is_received_cannot_bear_a_name_of_the_host_whether_or_not_it_has_the_series() {
    let mut store = store();
    for taken in [
        "system.uptime",
        "system_uptime_seconds",
        "system_cpu_time_seconds_total",
        "instance:cpu:rate5m",
        "node_load1",
        "hostmend_probe_success",
        "hostmend.probe.success",
        "up",
        "ALERTS",
        "ALERTS_FOR_STATE",
    ] {
        let refused = store.append_outside(&outside(taken, ""), at(10), 1.0);
        assert_eq!(refused, Err(Rejected::HostName), "{taken}");
        let alias = Some([(METRIC_NAME, taken)].into_iter().collect());
        let refused = store.append_outside(&Outside { alias, ..outside("free", "") }, at(10), 1.0);
        assert_eq!(refused, Err(Rejected::HostName), "{taken} as an alias");
    }
    store.append_outside(&outside("uptime", ""), at(10), 1.0).unwrap();
    assert_eq!(figures(&store, "apps").rejections, Rejections { foreign: 20, ..Rejections::default() });
}

#[test]
fn a_name_that_becomes_the_hosts_is_taken_from_whoever_bears_it() {
    let mut store = store();
    for series in ["requests", "errors"] {
        store.append_outside(&outside(series, ""), at(10), 1.0).unwrap();
    }
    store.set_host_names(&Arc::new(HostNames::new([], ["errors"])));
    assert_eq!((store.select(&name("requests")).len(), store.select(&name("errors")).len()), (1, 0));
    assert_eq!(figures(&store, "apps").series, 1);
}

#[test]
fn labels_that_clash_stay_with_the_host_and_with_who_was_first_outside() {
    let mut store = Store::new(limits());
    store.set_budget(listener("apps"), 10);
    store.set_budget(listener("other"), 10);
    let shadow = Outside {
        labels: [(METRIC_NAME, "system.uptime")].into_iter().collect(),
        alias: Some([(METRIC_NAME, "system_uptime_seconds")].into_iter().collect()),
        ..outside("", "")
    };
    store.append_outside(&shadow, at(5), 1.0).unwrap();
    let other = Outside { origin: listener("other"), ..shadow.clone() };
    assert_eq!(store.append_outside(&other, at(6), 1.0), Err(Rejected::Foreign { owner: listener("apps") }));
    store.append(&cycle(10, &[]));
    for series in ["system.uptime", "system_uptime_seconds"] {
        let ids = store.select(&name(series));
        assert_eq!(ids.iter().map(|id| store.origin(*id)).collect::<Vec<_>>(), [&Origin::Host], "{series}");
    }
    assert_eq!(figures(&store, "apps").series, 0);
    assert_eq!(store.append_outside(&shadow, at(10), 1.0), Err(Rejected::Foreign { owner: Origin::Host }));
}

#[test]
fn a_counter_that_appears_was_zero_at_the_collection_before() {
    let mut store = store();
    let counter = |key: &str| Outside { from_zero: true, ..outside("calls", key) };
    store.append(&cycle(10, &[]));
    store.append_outside(&counter("first"), at(10), 7.0).unwrap();
    store.append(&cycle(20, &[]));
    store.append_outside(&counter("first"), at(20), 8.0).unwrap();
    store.append_outside(&counter("second"), at(20), 3.0).unwrap();
    store.append_outside(&outside("gauge", ""), at(20), 3.0).unwrap();
    store.append(&cycle(30, &[]));
    store.append_outside(&counter("second"), at(30), 4.0).unwrap();
    let samples = |key: &str, series: &str| {
        all(&store, store.select(&[Matcher::equal("key", key), Matcher::equal(METRIC_NAME, series)])[0])
    };
    assert_eq!(samples("first", "calls"), [(9, 0.0), (10, 7.0), (20, 8.0)]);
    assert_eq!(samples("second", "calls"), [(10, 0.0), (20, 3.0), (30, 4.0)]);
    assert_eq!(samples("", "gauge"), [(20, 3.0)]);
}

#[test]
fn a_counter_that_appears_between_collections_or_before_the_first_was_zero() {
    let mut store = store();
    let counter = |key: &str| Outside { from_zero: true, ..outside("calls", key) };
    store.append_outside(&counter("early"), at(5), 2.0).unwrap();
    store.append(&cycle(10, &[]));
    store.append_outside(&counter("early"), at(10), 3.0).unwrap();
    store.append_outside(&counter("between"), at(15), 1.0).unwrap();
    let samples = |key: &str| all(&store, store.select(&[Matcher::equal("key", key)])[0]);
    assert_eq!(samples("early"), [(4, 0.0), (5, 2.0), (10, 3.0)]);
    assert_eq!(samples("between"), [(10, 0.0), (15, 1.0)]);
}

#[test]
fn samples_come_at_their_own_times_and_those_too_old_or_out_of_order_are_counted() {
    let mut store = store();
    store.append(&cycle(1_000, &[]));
    let gauge = outside("gauge", "");
    assert_eq!(store.append_outside(&gauge, at(400), 1.0), Err(Rejected::TooOld));
    for second in [990, 995, 1_000] {
        store.append_outside(&gauge, at(second), second as f64).unwrap();
    }
    assert_eq!(store.append_outside(&gauge, at(995), 1.0), Err(Rejected::NotNewer));
    assert_eq!(store.append_outside(&outside("never", ""), at(995), STALE), Ok(()));
    let id = store.select(&name("gauge"))[0];
    assert_eq!(all(&store, id), [(990, 990.0), (995, 995.0), (1_000, 1_000.0)]);
    assert_eq!(store.select(&name("never")), []);
    let expected = Rejections { not_newer: 1, too_old: 1, ..Rejections::default() };
    assert_eq!(figures(&store, "apps").rejections, expected);
}

#[test]
fn an_origin_without_a_budget_has_nothing() {
    let mut store = Store::new(limits());
    let refused = store.append_outside(&outside("a", ""), at(10), 1.0);
    assert_eq!(refused, Err(Rejected::OverBudget { limit: 0 }));
    assert_eq!(store.series_count(), 0);
}
