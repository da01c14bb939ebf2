use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use telemetry::{
    Instrument, METRIC_NAME, MetricSpec, Origins, SampleBuffer, Scope, Timestamp, Value, ValueType,
};

use super::super::*;
use super::{MAGIC, VERSION};
use crate::{HostNames, Matcher, STALE, Scratch};

static UPTIME: MetricSpec = MetricSpec {
    name: "system.uptime",
    unit: "s",
    instrument: Instrument::Gauge,
    value: ValueType::Double,
    attributes: &["part"],
    scope: Scope::Conventions,
    description: "",
    source: "",
    shows: None,
    by_default: true,
};

fn limits() -> Limits {
    Limits { hot: Duration::from_mins(3), ..Limits::default() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

fn collection(second: i64, parts: &[(&str, Option<f64>)]) -> SampleBuffer {
    let mut buffer = SampleBuffer::default();
    buffer.reset(at(second), Timestamp::EPOCH);
    for (part, value) in parts {
        match value {
            Some(value) => buffer.double(&UPTIME, &[Value::Str(part)], *value),
            None => buffer.gone(&UPTIME, &[Value::Str(part)]),
        }
    }
    buffer
}

fn named(name: &str) -> Labels {
    [(METRIC_NAME, name)].into_iter().collect()
}

fn otlp() -> Origin {
    Origin::Otlp("apps".into())
}

fn log() -> Origin {
    Origin::Log("nginx".into())
}

fn outside(origin: Origin, name: &str) -> Outside {
    let alias = Some(named(&format!("{name}_total")));
    Outside { origin, labels: named(name), alias, from_zero: false }
}

/// Two hours of a host at 10 s, with a rule, a sender and a part that ended.
fn lived() -> Store {
    let mut store = Store::new(limits());
    store.set_budget(otlp(), 10);
    store.set_budget(log(), 10);
    let origins = Arc::new(Origins::from([Origin::Host, otlp()]));
    for second in (0..7_200).step_by(10) {
        let value = second as f64;
        let ending = (second <= 3_600).then_some(value);
        let mut parts = vec![("main", Some(value)), ("constant", Some(1.0))];
        if second <= 3_610 {
            parts.push(("gone", ending));
        }
        if second % 70 != 0 {
            parts.push(("gaps", Some(value / 7.0)));
        }
        store.append(&collection(second, &parts));
        store.append_recorded(&named("rule"), &origins, at(second + 1), value * 2.0).unwrap();
        store.append_outside(&outside(otlp(), "requests"), at(second), value).unwrap();
        store.append_outside(&outside(log(), "lines"), at(second), value).unwrap();
    }
    store
}

fn written(store: &Store, slice: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut snapshot = Snapshot::new();
    while snapshot.write(store, &mut bytes, slice) {}
    bytes
}

fn fresh() -> Store {
    let mut store = Store::new(limits());
    store.set_budget(otlp(), 10);
    store.set_budget(log(), 10);
    store
}

type Contents = BTreeMap<String, (String, Vec<(i64, u64)>)>;

/// All series under all names, with where they come from and their samples.
fn contents(store: &Store) -> Contents {
    let mut scratch = Scratch::default();
    let any = Matcher::new(METRIC_NAME, crate::MatchOp::Regex, ".*").unwrap();
    let names = store.label_values(METRIC_NAME, &[any], i64::MIN, i64::MAX, 100);
    let ids = names.iter().flat_map(|name| store.select(&[Matcher::equal(METRIC_NAME, &**name)]));
    ids.map(|id| {
        let from = format!("{:?} {:?}", store.origin(id), store.origins(id));
        let samples = store.samples(id, i64::MIN, i64::MAX, &mut scratch);
        let samples = samples.times.iter().copied().zip(samples.values.iter().map(|value| value.to_bits()));
        (store.labels(id).to_string(), (from, samples.collect()))
    })
    .collect()
}

fn visible(contents: &Contents) -> usize {
    contents.values().map(|(_, samples)| samples.len()).sum()
}

#[test]
fn what_is_restored_is_what_was_written() {
    let store = lived();
    let before = contents(&store);
    assert!(visible(&before) == 8_438, "{}", visible(&before));
    for slice in [1, 10_000, usize::MAX] {
        let mut again = fresh();
        let restored = again.restore(&*written(&store, slice), at(7_195)).unwrap();
        assert_eq!(contents(&again), before, "in slices of {slice} bytes");
        assert_eq!((restored.series, restored.left_out), (7, 0));
        assert_eq!(again.figures().samples, restored.samples);
        assert!(again.figures().chunk_bytes < 2 * store.figures().chunk_bytes);
    }
}

#[test]
fn series_with_long_labels_are_written_in_more_frames_and_only_one_that_fits_into_none_is_left_out() {
    let mut store = fresh();
    let long = |name: &str, length: usize| -> Labels {
        [(METRIC_NAME, name), ("text", &name.repeat(length))].into_iter().collect()
    };
    for number in 100..400 {
        let labels = long(&number.to_string(), 4_000);
        store.append_sample(&labels, &Origin::Rule, at(10), f64::from(number)).unwrap();
    }
    let before = contents(&store);
    store.append_sample(&long("over", 500_000), &Origin::Rule, at(10), 1.0).unwrap();
    let (mut bytes, mut snapshot) = (Vec::new(), Snapshot::new());
    while snapshot.write(&store, &mut bytes, usize::MAX) {}
    let mut again = fresh();
    again.restore(&*bytes, at(11)).unwrap();
    assert_eq!((snapshot.left_out(), again.series_count()), (1, 300));
    assert_eq!(contents(&again), before);
}

#[test]
fn a_series_that_misses_the_last_collections_is_restored_with_its_own_values() {
    let limits = Limits { retention: Duration::from_mins(10), ..limits() };
    let mut store = Store::new(limits);
    for second in (0..1_000).step_by(60) {
        let parts = [("main", Some(1.0)), ("other", Some(second as f64))];
        store.append(&collection(second, if second < 900 { &parts } else { &parts[..1] }));
    }
    let mut again = Store::new(limits);
    again.restore(&*written(&store, usize::MAX), at(960)).unwrap();
    assert_eq!(contents(&again), contents(&store));
}

#[test]
fn a_series_that_a_rule_computed_of_nothing_is_restored_with_the_others() {
    let mut store = fresh();
    store.append(&collection(10, &[("main", Some(1.0))]));
    store.append_recorded(&named("always"), &Arc::default(), at(10), 1.0).unwrap();
    let mut again = fresh();
    again.restore(&*written(&store, usize::MAX), at(11)).unwrap();
    assert_eq!(contents(&again), contents(&store));
}

#[test]
fn a_collector_goes_on_with_its_series_and_what_ended_stays_ended() {
    let mut store = fresh();
    store.restore(&*written(&lived(), 1_000), at(7_195)).unwrap();
    let generation = store.generation();
    store.append(&collection(7_300, &[("main", Some(5.0))]));
    assert_eq!(store.generation(), generation, "a series began");
    let id = |part| store.select(&[Matcher::equal("part", part)])[0];
    let newest = |part| store.latest(id(part), 7_300_000, 7_200_000);
    assert_eq!(newest("main"), Some((7_300_000, 5.0)));
    assert_eq!(newest("gone"), None);
    assert_eq!(newest("constant"), Some((7_190_000, 1.0)));
    let alias = store.select(&[Matcher::equal(METRIC_NAME, "system_uptime_seconds")]);
    assert_eq!(alias.len(), 4);
}

#[test]
fn a_restored_series_that_does_not_go_on_ends_after_five_minutes() {
    let mut store = fresh();
    store.restore(&*written(&lived(), 1_000), at(7_195)).unwrap();
    for second in [7_300, 7_494, 7_495] {
        store.append(&collection(second, &[("main", Some(5.0))]));
        let ended = |part| {
            let id = store.select(&[Matcher::equal("part", part)])[0];
            store.latest(id, second * 1000, 7_200_000).is_none()
        };
        assert!(!ended("main"));
        assert_eq!(ended("constant"), second == 7_495, "at {second}");
    }
}

#[test]
fn what_is_newer_than_now_or_too_old_is_left_out() {
    let bytes = written(&lived(), 1_000);
    let mut early = fresh();
    early.restore(&*bytes, at(5_000)).unwrap();
    let times = |store: &Store| -> (i64, i64) {
        let contents = contents(store);
        let times = || contents.values().flat_map(|(_, samples)| samples).map(|(at, _)| at / 1000);
        (times().min().unwrap(), times().max().unwrap())
    };
    assert_eq!(times(&early), (0, 5_000));
    let mut late = fresh();
    let restored = late.restore(&*bytes, at(12_000)).unwrap();
    assert_eq!(times(&late), (4_801, 7_191));
    // The part that ended at 3,610 s is too old.
    assert_eq!((restored.series, restored.left_out), (6, 1));
    let mut much_later = fresh();
    assert_eq!(much_later.restore(&*bytes, at(100_000)).unwrap().series, 0);
    assert_eq!(much_later.series_count(), 0);
}

#[test]
fn budgets_limits_and_host_names_of_now_hold_for_what_is_restored() {
    let bytes = written(&lived(), 1_000);
    let mut no_budget = Store::new(limits());
    assert_eq!(no_budget.restore(&*bytes, at(7_195)).unwrap().left_out, 2);
    let mut taken = fresh();
    taken.set_host_names(&Arc::new(HostNames::new([], ["requests_total"])));
    assert_eq!(taken.restore(&*bytes, at(7_195)).unwrap().left_out, 1);
    let mut small = Store::new(Limits { max_series: 2, ..limits() });
    let restored = small.restore(&*bytes, at(7_195)).unwrap();
    assert_eq!((restored.series, small.series_count()), (2, 2));
}

#[test]
fn damage_is_named_and_costs_what_follows_it() {
    let bytes = written(&lived(), 1_000);
    let restore = |bytes: &[u8]| {
        let mut store = fresh();
        let error = store.restore(bytes, at(7_195)).unwrap_err().to_string();
        (error, store.series_count())
    };
    let mut other_version = bytes.clone();
    other_version[8] = 9;
    let mut too_long = bytes.clone();
    too_long[15] = 0xff;
    let mut flipped = bytes.clone();
    flipped[bytes.len() - 20] ^= 1;
    let length = bytes.len();
    for (bytes, message, least) in [
        (&b"no such"[..], "the file does not begin as a snapshot of series does".to_owned(), 0),
        (
            &b"something else entirely"[..],
            "the file does not begin as a snapshot of series does".to_owned(),
            0,
        ),
        (&other_version, "the snapshot has format 9; this program reads format 1".to_owned(), 0),
        (&too_long, "the frame at byte 12 of the snapshot claims ".to_owned(), 0),
        (
            &bytes[..length - 8],
            format!("the snapshot breaks off at byte {}, before its end mark", length - 8),
            6,
        ),
        (&bytes[..100], "the snapshot breaks off at byte 12, before its end mark".to_owned(), 0),
        (&flipped, "of the snapshot does not match its checksum".to_owned(), 3),
    ] {
        let (error, series) = restore(bytes);
        assert!(error.contains(&message), "{error}, not {message}");
        assert!(series >= least, "{message}: {series} series");
    }
}

/// The frames of a snapshot, their checksums made right again after `change`.
fn forged(bytes: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = bytes[..12].to_vec();
    let mut rest = &bytes[12..];
    while let Some((length, tail)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let mut payload = tail[4..4 + length].to_vec();
        rest = &tail[4 + length..];
        if length > 0 {
            change(&mut payload);
        }
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
        out.extend_from_slice(&payload);
    }
    out
}

proptest! {
    /// Whatever stands in the frames, the store stays one that works.
    #[test]
    fn no_snapshot_harms_the_store(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        static SNAPSHOT: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let mut store = fresh();
            for second in (0..600).step_by(10) {
                store.append(&collection(second, &[("main", Some(second as f64 / 100.0))]));
                store.append_outside(&outside(otlp(), "requests"), at(second + 1), STALE * second as f64).unwrap();
            }
            written(&store, 1)
        });
        let mut bytes = forged(&SNAPSHOT, |payload| {
            for (place, byte) in &changes {
                let place = place.index(payload.len());
                payload[place] = *byte;
            }
            payload.extend(&tail);
        });
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        let mut store = fresh();
        let _ = store.restore(&*bytes, at(600));
        let mut scratch = Scratch::default();
        for id in store.select(&[]) {
            let samples = store.samples(id, i64::MIN, i64::MAX, &mut scratch);
            prop_assert!(samples.times.is_sorted_by(|one, next| one < next));
            prop_assert_eq!(samples.times.len(), samples.values.len());
            prop_assert!(samples.times.iter().all(|time| *time <= 600_000));
        }
        store.append(&collection(610, &[("main", Some(1.0))]));
        prop_assert_eq!(store.rejected(), 0);
    }
}

#[test]
fn an_empty_store_is_written_and_read() {
    let bytes = written(&fresh(), 1_000);
    assert_eq!(fresh().restore(&*bytes, at(1)).unwrap(), Restored::default());
    assert_eq!(bytes[..12], [&MAGIC[..], &VERSION.to_le_bytes()].concat());
}
