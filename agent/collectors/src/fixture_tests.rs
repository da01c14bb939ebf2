//! Every captured host through every collector.

use std::collections::HashSet;
use std::time::Duration;

use telemetry::{SampleBuffer, Timestamp, ValueType};

use crate::{COLLECTORS, CollectError, Collection, CollectorFailure, HostRoot, Options, Watch, WatchTarget};

/// Metrics whose source not every host has.
const OPTIONAL: [&str; 3] =
    ["system.irq.linux.pressure.total", "system.paging.usage", "system.paging.utilization"];

fn fixtures() -> Vec<String> {
    let names: Vec<String> = std::fs::read_dir(HostRoot::fixture(".").path("/"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(!names.is_empty());
    names
}

fn options() -> Options {
    let watch = |name: &str, target| Watch { name: name.to_owned(), target };
    Options {
        directories: vec!["/srv/data".into()],
        watches: vec![
            watch("sleep", WatchTarget::PidFile("/run/sleep.pid".into())),
            watch("init", WatchTarget::Command("init".to_owned())),
            watch("missing", WatchTarget::Command("missing".to_owned())),
        ],
        ..Options::default()
    }
}

fn collect(fixture: &str) -> (SampleBuffer, Vec<CollectorFailure>) {
    let mut collection = Collection::open(HostRoot::fixture(fixture), options(), &|_| true).unwrap();
    let mut out = SampleBuffer::default();
    let failures = collection.collect(Timestamp::from_secs(1_800_000_000), &mut || Duration::ZERO, &mut out);
    (out, failures)
}

#[test]
fn every_captured_host_is_told_as_its_golden_text_says() {
    for fixture in fixtures() {
        let (out, failures) = collect(&fixture);
        assert_eq!(failures, [], "{fixture}");
        let golden = HostRoot::fixture(&fixture).path("golden.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, out.to_text()).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        assert!(
            out.to_text() == expected,
            "{fixture}: run again with UPDATE_GOLDEN=1 and look at the difference"
        );
    }
}

#[test]
fn points_of_a_metric_of_an_entity_stand_together() {
    for fixture in fixtures() {
        let (out, _) = collect(&fixture);
        for entity in out.entities() {
            let mut finished = HashSet::new();
            let mut current = "";
            for point in entity.points() {
                if point.metric.name != current {
                    current = point.metric.name;
                    assert!(finished.insert(current), "{fixture}: {current} comes back");
                }
            }
        }
    }
}

#[test]
fn no_series_has_two_points() {
    for fixture in fixtures() {
        let (out, _) = collect(&fixture);
        let mut seen = HashSet::new();
        for point in out.entities().flat_map(|entity| entity.points()) {
            assert!(
                seen.insert(point.fingerprint),
                "{fixture}: a point of {} comes twice",
                point.metric.name
            );
        }
    }
}

#[test]
fn a_collector_emits_what_its_row_lists_and_nothing_else() {
    for fixture in fixtures() {
        let host = HostRoot::fixture(&fixture);
        for spec in COLLECTORS {
            let mut out = SampleBuffer::default();
            (spec.open)(&host, &options()).unwrap().collect(&host, &mut out).unwrap();
            let emitted: HashSet<&str> =
                out.entities().flat_map(|entity| entity.points()).map(|point| point.metric.name).collect();
            let listed: HashSet<&str> = spec.metrics.iter().map(|metric| metric.name).collect();
            let unlisted: Vec<_> = emitted.difference(&listed).collect();
            assert!(unlisted.is_empty(), "{fixture}, {}: not in its row: {unlisted:?}", spec.name);
            let missing: Vec<_> =
                listed.difference(&emitted).filter(|name| !OPTIONAL.contains(name)).collect();
            assert!(missing.is_empty(), "{fixture}, {}: not emitted: {missing:?}", spec.name);
        }
    }
}

#[test]
fn seconds_shares_and_load_averages_are_doubles_and_everything_else_is_counted() {
    for metric in COLLECTORS.iter().flat_map(|spec| spec.metrics) {
        let double = matches!(metric.unit, "s" | "1") || metric.name.starts_with("system.cpu.load_average");
        assert_eq!(metric.value == ValueType::Double, double, "{}", metric.name);
    }
}

#[test]
fn whatever_this_kernel_offers_is_a_regular_file() {
    let mut collection = Collection::open(HostRoot::at("/"), Options::default(), &|_| true).unwrap();
    let mut out = SampleBuffer::default();
    for failure in collection.collect(Timestamp::from_secs(1_800_000_000), &mut || Duration::ZERO, &mut out) {
        assert!(!matches!(failure.error, CollectError::NotAFile { .. }), "{failure:?}");
    }
    assert!(out.to_text().contains("system.cpu.time"));
}
