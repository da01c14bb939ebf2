use std::collections::BTreeMap;

use super::*;

/// A collection at `second` of the modes that are there and of those that have gone.
fn modes(second: i64, there: &[&str], gone: &[&str]) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    buffer.reset(Timestamp::from_secs(second), Timestamp::EPOCH);
    for mode in gone {
        buffer.gone(&CPU_TIME, &[Value::Str(mode)]);
    }
    for mode in there {
        buffer.double(&CPU_TIME, &[Value::Str(mode)], second as f64);
    }
    buffer
}

fn rule(mode: &str) -> Labels {
    [(METRIC_NAME, "rule"), ("cpu.mode", mode)].into_iter().collect()
}

fn kept(store: &Store) -> Vec<String> {
    let all = store.select(&[]);
    let mut modes: Vec<String> = all.iter().map(|id| store.labels(*id).get("cpu.mode").to_owned()).collect();
    modes.sort_unstable();
    modes
}

#[test]
fn in_a_full_store_the_series_that_ended_longest_ago_makes_room() {
    let mut store = Store::new(Limits { max_series: 3, ..limits() });
    store.append(&modes(10, &["a", "b", "c"], &[]));
    store.append(&modes(20, &["a", "c"], &["b"]));
    store.append(&modes(30, &["c"], &["a"]));
    for (second, there, left, evicted, refused) in [
        (40, vec!["c", "d"], vec!["a", "c", "d"], 1, 0),
        (50, vec!["c", "d", "e"], vec!["c", "d", "e"], 2, 0),
        (60, vec!["c", "d", "e", "f"], vec!["c", "d", "e"], 2, 1),
    ] {
        store.append(&modes(second, &there, &[]));
        assert_eq!(kept(&store), left, "at {second}");
        let counted = (store.evicted(), store.rejections().too_many_series);
        assert_eq!(counted, (evicted, refused), "at {second}");
    }
}

#[test]
fn a_series_that_came_back_is_not_evicted_for_its_former_end() {
    let mut store = Store::new(Limits { max_series: 3, ..limits() });
    store.append(&modes(10, &["a", "b"], &[]));
    store.append_sample(&rule("r"), &Origin::Rule, Timestamp::from_secs(10), 1.0).unwrap();
    store.mark_stale(&rule("r"), &Origin::Rule, Timestamp::from_secs(15)).unwrap();
    store.append(&modes(20, &["b"], &["a"]));
    store.append(&modes(30, &["a"], &["b"]));
    store.append_sample(&rule("r"), &Origin::Rule, Timestamp::from_secs(35), 1.0).unwrap();
    let done = store.append(&modes(40, &["a", "c", "d"], &[]));
    assert_eq!(done, Appended { samples: 2, rejected: 1 });
    assert_eq!(kept(&store), ["a", "c", "r"]);
}

#[test]
fn what_a_rule_no_longer_computes_makes_room_too() {
    let mut store = Store::new(Limits { max_series: 1, ..limits() });
    for (second, mode, value) in [(10, "a", 1.0), (20, "a", STALE), (30, "b", 1.0)] {
        store.append_sample(&rule(mode), &Origin::Rule, Timestamp::from_secs(second), value).unwrap();
    }
    store.mark_stale(&rule("b"), &Origin::Rule, Timestamp::from_secs(40)).unwrap();
    store.append(&modes(50, &["c"], &[]));
    assert_eq!((kept(&store), store.evicted()), (vec!["c".to_owned()], 2));
}

#[test]
fn a_selector_is_told_that_its_series_made_room() {
    let mut store = Store::new(Limits { max_series: 1, ..limits() });
    store.append(&modes(10, &["a"], &[]));
    store.append(&modes(20, &[], &["a"]));
    let before = store.generation_of(&name("system.cpu.time"));
    store.append_sample(&rule("r"), &Origin::Rule, Timestamp::from_secs(25), 1.0).unwrap();
    assert_ne!(store.generation_of(&name("system.cpu.time")), before);
    assert_eq!(store.select(&name("system_cpu_time_seconds_total")), []);
}

#[test]
fn a_series_whose_return_was_forgotten_by_a_clock_set_back_is_not_evicted() {
    let mut store = Store::new(Limits { max_series: 2, ..limits() });
    store.append(&modes(10, &["a", "b"], &[]));
    store.append(&modes(20, &[], &["a", "b"]));
    store.append(&modes(40, &["a"], &[]));
    store.append(&modes(30, &["c", "d", "a"], &[]));
    assert_eq!(kept(&store), ["a", "c"]);
    assert_eq!((store.evicted(), store.rejected()), (1, 1));
}

#[test]
fn a_series_that_came_back_lives_however_often_the_clock_is_set_back() {
    let mut store = Store::new(Limits { max_series: 2, ..limits() });
    store.append(&modes(10, &["a", "b"], &[]));
    store.append(&modes(20, &["b"], &["a"]));
    store.append(&modes(40, &["a", "b"], &[]));
    store.append(&modes(30, &["b"], &[]));
    store.append(&modes(25, &["b", "c"], &[]));
    assert_eq!(kept(&store), ["a", "b"]);
    assert_eq!((store.evicted(), store.rejected()), (0, 1));
}

#[test]
fn the_queue_of_ends_is_bounded_however_often_series_come_back() {
    let mut store = Store::new(limits());
    for second in 1..1_000 {
        let (there, gone) = if second % 2 == 0 { (["a"], ["b"]) } else { (["b"], ["a"]) };
        store.append(&modes(second, &there, &gone));
        assert!(store.ended.len() <= 2 * store.series_count(), "at {second}");
    }
}

/// Of each series the time of its newest sample, and when it ended if it has: by its metric and mode.
type Seen = BTreeMap<(String, String), (i64, Option<i64>)>;

fn seen(store: &Store) -> Seen {
    store
        .select(&[])
        .into_iter()
        .map(|id| {
            let labels = store.labels(id);
            let mut scratch = Scratch::default();
            let samples = store.samples(id, i64::MIN, i64::MAX, &mut scratch);
            let newest = *samples.times.last().unwrap();
            let end = is_stale(*samples.values.last().unwrap()).then_some(newest);
            ((labels.metric_name().to_owned(), labels.get("cpu.mode").to_owned()), (newest, end))
        })
        .collect()
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Host { mode: usize, ends: bool },
    Rule { mode: usize, ends: bool },
    SetBack { by: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..6_usize, prop::bool::ANY).prop_map(|(mode, ends)| Step::Host { mode, ends }),
        8 => (0..6_usize, prop::bool::ANY).prop_map(|(mode, ends)| Step::Rule { mode, ends }),
        1 => (1..400_i64).prop_map(|by| Step::SetBack { by }),
    ]
}

const MODES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Refusals are counted by the store.
fn take(store: &mut Store, now: i64, step: Step) {
    let at = Timestamp::from_secs(now);
    match step {
        Step::Host { mode, ends: false } => {
            store.append(&modes(now, &[MODES[mode]], &[]));
        }
        Step::Host { mode, ends: true } => {
            store.append(&modes(now, &[], &[MODES[mode]]));
        }
        Step::Rule { mode, ends: false } => {
            let _ = store.append_sample(&rule(MODES[mode]), &Origin::Rule, at, 1.0);
        }
        Step::Rule { mode, ends: true } => {
            let _ = store.mark_stale(&rule(MODES[mode]), &Origin::Rule, at);
        }
        Step::SetBack { .. } => {
            store.append(&modes(now, &[], &[]));
        }
    }
}

proptest! {
    /// Whatever comes, ends and comes back: the limit holds, only the series that ended longest ago makes room, none is
    /// refused while one has ended, and each that began is kept, evicted, expired or forgotten with the clock.
    #[test]
    fn only_ended_series_make_room_and_all_are_accounted_for(
        steps in prop::collection::vec((prop_oneof![15 => 1..60_i64, 1 => 500..700_i64], step()), 1..200),
    ) {
        let mut store = Store::new(Limits { max_series: 4, ..limits() });
        let (mut now, mut began, mut expired, mut forgotten) = (1_000, 0, 0, 0);
        for (gap, step) in steps {
            now += if let Step::SetBack { by } = step { -by } else { gap };
            let mut before = seen(&store);
            let (evicted, refused) = (store.evicted(), store.rejections().too_many_series);
            take(&mut store, now, step);
            let after = seen(&store);
            prop_assert!(after.len() <= 4);

            if let Step::SetBack { .. } = step {
                forgotten += before.len() - after.len();
                for (name, (_, end)) in &after {
                    prop_assert_eq!(end.is_some(), before[name].1.is_some());
                }
                prop_assert_eq!(store.evicted(), evicted);
                continue;
            }
            if let Step::Host { .. } = step {
                let all = before.len();
                before.retain(|_, (newest, _)| *newest > (now - 600) * 1000);
                expired += all - before.len();
            }
            let new = after.keys().filter(|name| !before.contains_key(*name)).count();
            began += new;
            let first = before.values().filter_map(|(_, end)| *end).min();
            let gone: Vec<_> = before.iter().filter(|(name, _)| !after.contains_key(*name)).collect();
            prop_assert_eq!(gone.len() as u64, store.evicted() - evicted);
            for (_, (_, end)) in gone {
                prop_assert!(before.len() == 4 && new == 1);
                prop_assert!(end.is_some() && *end == first);
            }
            if store.rejections().too_many_series > refused {
                prop_assert!(before.len() == 4 && first.is_none());
            }
        }
        prop_assert_eq!(began as u64, store.series_count() as u64 + store.evicted() + (expired + forgotten) as u64);
    }
}
