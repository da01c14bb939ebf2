use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram as HistogramData, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    metric, number_data_point,
};
use proptest::prelude::*;
use prost::Message as _;
use telemetry::{SampleBuffer, Timestamp, Value};

use super::*;
use crate::MetricsEncoder;
use crate::encode::nanos;
use crate::samples::{PROCESS, SPECS, buffers, host_attributes};

const SECOND: u64 = 1_000_000_000;

/// The first moment that these tests speak of, and when the agent began.
const BEGUN: i64 = 1_700_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(BEGUN + second)
}

/// As if there had been a point at `begun`.
fn since(begun: Timestamp) -> Delta {
    Delta { begun: Some(nanos(begun)), ..Delta::default() }
}

/// One collection: what `fill` pushes, on a host that was booted at `boot`.
fn collection(now: i64, boot: i64, fill: impl FnOnce(&mut SampleBuffer)) -> Bytes {
    let mut buffer = SampleBuffer::default();
    buffer.reset(at(now), at(boot));
    fill(&mut buffer);
    let batches = MetricsEncoder::new(&host_attributes()).encode(&buffer);
    batches.into_iter().map(|batch| batch.payload).next().unwrap_or_default()
}

/// A collection of one counter.
fn disk(now: i64, boot: i64, value: i64) -> Bytes {
    collection(now, boot, |buffer| buffer.int(&SPECS[0], &[Value::Str("sda"), Value::Str("read")], value))
}

fn decode(payload: &Bytes) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(payload.clone()).unwrap()
}

fn metrics(payload: &Bytes) -> Vec<Metric> {
    let resources = decode(payload).resource_metrics.into_iter();
    resources.flat_map(|one| one.scope_metrics).flat_map(|one| one.metrics).collect()
}

/// `start..time value` of each point, in seconds from the beginning.
fn told(payload: &Bytes) -> Vec<String> {
    let seconds = |nanos: u64| (nanos / SECOND) as i64 - BEGUN;
    let points = metrics(payload).into_iter().flat_map(|metric| match metric.data.unwrap() {
        metric::Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 1);
            sum.data_points
        }
        other => panic!("{other:?}"),
    });
    points
        .map(|point| {
            let value = point.value.map_or("gone".to_owned(), |value| match value {
                number_data_point::Value::AsInt(value) => value.to_string(),
                number_data_point::Value::AsDouble(value) => format!("{value:?}"),
            });
            format!("{}..{} {value}", seconds(point.start_time_unix_nano), seconds(point.time_unix_nano))
        })
        .collect()
}

/// What is told of each collection when all are taken.
fn all_taken(collections: &[Bytes]) -> Vec<String> {
    let mut delta = since(at(0));
    collections
        .iter()
        .map(|payload| {
            let rewritten = delta.rewrite(payload).unwrap();
            delta.commit();
            assert_eq!(rewritten.payload.is_empty(), rewritten.held_back > 0);
            told(&rewritten.payload).join(", ")
        })
        .collect()
}

#[test]
fn each_point_counts_from_the_one_before_it() {
    let gone =
        collection(40, -100, |buffer| buffer.gone(&SPECS[0], &[Value::Str("sda"), Value::Str("read")]));
    for (promise, collections, expected) in [
        (
            "of a series from before the agent only what comes after its first point is told",
            vec![disk(10, -100, 1000), disk(20, -100, 1005), disk(30, -100, 1005)],
            vec!["", "10..20 5", "20..30 0"],
        ),
        (
            "of a series that began under our eyes everything is told",
            vec![disk(10, 5, 7), disk(20, 5, 9)],
            vec!["5..10 7", "10..20 2"],
        ),
        (
            "a new start begins anew, whatever the value",
            vec![disk(10, 5, 7), disk(20, 15, 9), disk(30, 15, 10)],
            vec!["5..10 7", "15..20 9", "20..30 1"],
        ),
        (
            "a value that falls begins anew where the last one ended",
            vec![disk(10, 5, 7), disk(20, 5, 3), disk(30, 5, 4)],
            vec!["5..10 7", "10..20 3", "20..30 1"],
        ),
        (
            "a boot time that the clock moves is no new beginning",
            vec![disk(10, -100, 1000), disk(20, -99, 1005), disk(30, -101, 1010)],
            vec!["", "10..20 5", "20..30 5"],
        ),
        (
            "a clock that is set back makes no point that ends before it starts",
            vec![disk(10, -100, 1000), disk(4, -100, 1005), disk(8, -100, 1006)],
            vec!["", "4..4 5", "4..8 1"],
        ),
        (
            "a dead letter that is sent again was told by what came after it",
            vec![disk(20, 5, 9), disk(10, 5, 7), disk(30, 5, 12)],
            vec!["5..20 9", "", "20..30 3"],
        ),
        (
            "a dead letter from before the series began anew counts nothing",
            vec![disk(10, 5, 900), disk(30, 25, 3), disk(20, 5, 1000), disk(40, 25, 4)],
            vec!["5..10 900", "25..30 3", "", "30..40 1"],
        ),
        (
            "a series that ended and comes back where it was counts nothing twice",
            vec![disk(30, 5, 7), gone, disk(50, 5, 9)],
            vec!["5..30 7", "30..40 gone", "30..50 2"],
        ),
    ] {
        assert_eq!(all_taken(&collections), expected, "{promise}");
    }
}

#[test]
fn what_begins_after_the_first_request_is_told_from_its_beginning() {
    let mut delta = Delta::default();
    let mut tell = |payload: &Bytes| {
        let rewritten = delta.rewrite(payload).unwrap();
        delta.commit();
        told(&rewritten.payload)
    };
    assert_eq!(tell(&disk(10, 5, 7)), Vec::<String>::new(), "an earlier run may have told some of it");
    assert_eq!(tell(&disk(20, 5, 9)), ["10..20 2"]);
    assert_eq!(tell(&disk(30, 25, 3)), ["25..30 3"]);
}

#[test]
fn a_request_that_is_sent_again_says_the_same_and_one_that_is_dropped_leaves_its_amount_to_the_next() {
    let mut delta = since(at(0));
    let tell = |delta: &mut Delta, payload: &Bytes| told(&delta.rewrite(payload).unwrap().payload);
    assert_eq!(tell(&mut delta, &disk(10, 5, 7)), ["5..10 7"]);
    delta.commit();
    let next = disk(20, 5, 10);
    assert_eq!(tell(&mut delta, &next), ["10..20 3"]);
    assert_eq!(tell(&mut delta, &next), ["10..20 3"]);
    delta.rollback();
    delta.commit();
    assert_eq!(tell(&mut delta, &disk(30, 5, 12)), ["10..30 5"]);
}

#[test]
fn points_of_one_request_count_from_one_another() {
    let joined: Vec<u8> = [disk(10, 5, 7), disk(20, 5, 9), disk(30, 5, 12)].concat();
    let mut delta = since(at(0));
    let rewritten = delta.rewrite(&joined.into()).unwrap();
    assert_eq!(told(&rewritten.payload), ["5..10 7", "10..20 2", "20..30 3"]);
}

fn histogram(time: i64, count: u64, sum: f64, buckets: &[u64]) -> Bytes {
    let point = HistogramDataPoint {
        start_time_unix_nano: nanos(at(5)),
        time_unix_nano: nanos(at(time)),
        count,
        sum: Some(sum),
        bucket_counts: buckets.to_vec(),
        explicit_bounds: vec![1.0, 2.0],
        min: Some(0.5),
        max: Some(3.0),
        ..HistogramDataPoint::default()
    };
    request(
        "hostmend",
        metric::Data::Histogram(HistogramData { data_points: vec![point], aggregation_temporality: 2 }),
    )
}

fn request(scope: &str, data: metric::Data) -> Bytes {
    let metric = Metric { name: "calls".into(), data: Some(data), ..Metric::default() };
    let scope = InstrumentationScope { name: scope.into(), ..InstrumentationScope::default() };
    let scope = ScopeMetrics { scope: Some(scope), metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec().into()
}

#[test]
fn histograms_count_from_one_another_in_every_bucket() {
    let mut delta = since(at(0));
    let mut tell = |payload: &Bytes| {
        let rewritten = delta.rewrite(payload).unwrap();
        delta.commit();
        let metrics = metrics(&rewritten.payload);
        let Some(metric::Data::Histogram(data)) = metrics[0].data.clone() else { panic!("{metrics:?}") };
        assert_eq!(data.aggregation_temporality, 1);
        let point = data.data_points[0].clone();
        assert_eq!(point.explicit_bounds, [1.0, 2.0]);
        (
            point.start_time_unix_nano / SECOND - BEGUN as u64,
            point.count,
            point.sum,
            point.bucket_counts,
            point.max,
        )
    };
    assert_eq!(tell(&histogram(10, 3, 4.5, &[1, 1, 1])), (5, 3, Some(4.5), vec![1, 1, 1], Some(3.0)));
    assert_eq!(tell(&histogram(20, 5, 7.0, &[1, 2, 2])), (10, 2, Some(2.5), vec![0, 1, 1], None));
    assert_eq!(tell(&histogram(30, 2, 1.0, &[2, 0, 0])), (20, 2, Some(1.0), vec![2, 0, 0], Some(3.0)));
}

#[test]
fn what_others_send_arrives_as_they_sent_it() {
    let point = NumberDataPoint {
        start_time_unix_nano: nanos(at(5)),
        time_unix_nano: nanos(at(10)),
        value: Some(number_data_point::Value::AsInt(7)),
        ..NumberDataPoint::default()
    };
    let sum = opentelemetry_proto::tonic::metrics::v1::Sum {
        data_points: vec![point],
        aggregation_temporality: 2,
        is_monotonic: true,
    };
    let theirs = request("shop", metric::Data::Sum(sum));
    let mut delta = since(at(0));
    assert_eq!(delta.rewrite(&theirs).unwrap(), Rewritten { payload: theirs, held_back: 0 });
}

#[test]
fn more_series_than_are_remembered_are_forgotten_and_nothing_is_told_twice() {
    let mut delta = Delta { max_series: 8, ..since(at(0)) };
    let one = |now: i64, pid: i64, value: i64| {
        collection(now, -10, |buffer| {
            buffer.entity(&PROCESS, at(1), &[Value::Int(pid), Value::Absent, Value::Absent]);
            buffer.int(&SPECS[0], &[Value::Absent, Value::Absent], value);
        })
    };
    let mut tell = |now: i64, pid: i64, value: i64| {
        let rewritten = delta.rewrite(&one(now, pid, value)).unwrap();
        delta.commit();
        assert!(delta.taken.len() <= 8);
        told(&rewritten.payload).join(", ")
    };
    for pid in 1..=9 {
        assert_eq!(tell(10 + pid, pid, 5), format!("1..{} 5", 10 + pid));
    }
    assert_eq!(tell(30, 1, 6), "", "forgotten, so it begins anew");
    assert_eq!(tell(31, 1, 8), "30..31 2");
    assert_eq!(tell(32, 9, 8), "19..32 3", "remembered");
}

#[test]
fn bytes_that_are_no_request_are_refused_and_leave_nothing_behind() {
    let mut broken = disk(10, 5, 7).to_vec();
    broken.truncate(broken.len() - 1);
    let mut delta = since(at(0));
    assert!(delta.rewrite(&broken.into()).is_err());
    assert!(delta.underway.is_empty());
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Taken,
    TakenAtTheSecondAttempt,
    Dropped,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![3 => Just(Fate::Taken), 1 => Just(Fate::TakenAtTheSecondAttempt), 1 => Just(Fate::Dropped)]
}

proptest! {
    #[test]
    fn what_was_taken_adds_up_to_what_the_counters_gained(
        steps in proptest::collection::vec((proptest::collection::vec(0..100_i64, 3), fate()), 1..30)
    ) {
        let mut delta = since(at(0));
        let mut totals = [1_000_i64; 3];
        let mut expected = BTreeMap::new();
        let mut found = BTreeMap::new();
        // Dropped, and of those, the ones that something taken came after.
        let (mut dropped, mut overtaken) = (Vec::new(), Vec::new());
        for (now, (gains, fate)) in (1..).zip(&steps) {
            for (total, gain) in totals.iter_mut().zip(gains) {
                *total += gain;
            }
            let payload = collection(now, -100, |buffer| {
                for (device, total) in ["a", "b", "c"].into_iter().zip(totals) {
                    buffer.int(&SPECS[0], &[Value::Str(device), Value::Absent], total);
                }
            });
            let rewritten = delta.rewrite(&payload).unwrap();
            match fate {
                Fate::Taken => {}
                Fate::TakenAtTheSecondAttempt => prop_assert_eq!(&delta.rewrite(&payload).unwrap(), &rewritten),
                Fate::Dropped => { delta.rollback(); dropped.push(payload); continue }
            }
            delta.commit();
            overtaken.append(&mut dropped);
            for (device, total) in totals.into_iter().enumerate() {
                expected.entry(device).or_insert((total, 0)).1 = total;
            }
            for (device, text) in told(&rewritten.payload).iter().enumerate() {
                let gained: i64 = text.rsplit(' ').next().unwrap().parse().unwrap();
                *found.entry(device).or_insert(0) += gained;
            }
        }
        for payload in overtaken {
            let rewritten = delta.rewrite(&payload).unwrap();
            delta.commit();
            for text in told(&rewritten.payload) {
                prop_assert!(text.ends_with(" 0"), "{text} was told before");
            }
        }
        for (device, (first, last)) in expected {
            prop_assert_eq!(found.get(&device).copied().unwrap_or(0), last - first);
        }
    }

    #[test]
    fn everything_but_counters_stays_as_it_is(buffer in buffers()) {
        let is_counter = |metric: &Metric| {
            matches!(&metric.data, Some(metric::Data::Sum(sum)) if sum.is_monotonic)
        };
        for batch in MetricsEncoder::new(&host_attributes()).encode(&buffer) {
            let rewritten = since(Timestamp::EPOCH).rewrite(&batch.payload).unwrap();
            let (before, after) = (metrics(&batch.payload), metrics(&rewritten.payload));
            let points = crate::count_items(telemetry::Signal::Metrics, &rewritten.payload).unwrap();
            prop_assert_eq!(points + rewritten.held_back, batch.items);
            let rest = |metrics: Vec<Metric>| metrics.into_iter().filter(|metric| !is_counter(metric)).collect::<Vec<_>>();
            // NaN differs from itself.
            prop_assert_eq!(format!("{:?}", rest(before)), format!("{:?}", rest(after)));
        }
    }
}
