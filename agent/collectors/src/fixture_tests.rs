//! Every captured host through every collector.

use std::collections::HashSet;
use std::time::Duration;

use telemetry::{Instrument, SampleBuffer, Scope, Timestamp, ValueType};

use crate::{COLLECTORS, CollectError, Collection, CollectorFailure, HostRoot, Options, Watch, WatchTarget};

/// Metrics that may be missing although the file is there: what it lists may be nothing, or the kernel may be older
/// than the line.
const MAY_BE_EMPTY: [&str; 11] = [
    "system.paging.usage",
    "system.paging.utilization",
    "system.memory.linux.available",
    "system.memory.linux.workingset.refaults",
    "system.memory.linux.reclaim.pages",
    "system.memory.linux.allocation_stalls",
    // These need two readings.
    "process.cpu.utilization",
    "system.cpu.utilization",
    "system.filesystem.lock.count",
    "system.memory.linux.hugepages.utilization",
    "hw.physical_disk.size",
];

pub(crate) fn fixtures() -> Vec<String> {
    let names: Vec<String> = std::fs::read_dir(HostRoot::fixture(".").path("/"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("golden.txt").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(!names.is_empty());
    names
}

fn options(fixture: &str) -> Options {
    let watch = |name: &str, target| Watch { name: name.to_owned(), target };
    let host = HostRoot::fixture(fixture);
    Options {
        directories: Some("/srv/data".into()).into_iter().filter(|path| host.path(path).is_dir()).collect(),
        watches: vec![
            watch("sleep", WatchTarget::PidFile("/run/sleep.pid".into())),
            watch("init", WatchTarget::Command("init".to_owned())),
            watch("missing", WatchTarget::Command("missing".to_owned())),
        ],
        ..Options::default()
    }
}

/// With what nobody gets who does not ask, but for the names of `node_exporter`, which have tests of their own.
fn everything(fixture: &str) -> Options {
    let metrics = COLLECTORS.iter().flat_map(|spec| spec.metrics);
    let metrics = metrics.filter(|metric| metric.scope != Scope::NodeExporter);
    let switched = metrics.map(|metric| (metric.name.to_owned(), true)).collect();
    Options { switched, per_cpu: true, ..options(fixture) }
}

pub(crate) fn collect(fixture: &str) -> (SampleBuffer, Vec<CollectorFailure>) {
    collect_with(fixture, options(fixture))
}

fn collect_with(fixture: &str, options: Options) -> (SampleBuffer, Vec<CollectorFailure>) {
    let mut collection = Collection::open(HostRoot::fixture(fixture), options, &|_| true).unwrap();
    let mut out = SampleBuffer::default();
    let failures = collection.collect(Timestamp::from_secs(1_800_000_000), &mut || Duration::ZERO, &mut out);
    (out, failures)
}

fn assert_golden(fixture: &str, file: &str, text: &str) {
    let golden = HostRoot::fixture(fixture).path(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, text).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert!(text == expected, "{fixture}: run again with UPDATE_GOLDEN=1 and look at the difference");
}

#[test]
fn every_captured_host_is_told_as_its_golden_text_says() {
    for fixture in fixtures() {
        let (out, failures) = collect(&fixture);
        assert_eq!(failures, [], "{fixture}");
        assert_golden(&fixture, "golden.txt", &out.to_text());
    }
}

#[test]
fn what_must_be_asked_for_is_told_as_its_golden_text_says() {
    for fixture in fixtures() {
        let by_default = collect(&fixture).0.to_text();
        let known: HashSet<&str> = by_default.split_inclusive('\n').collect();
        let (out, failures) = collect_with(&fixture, everything(&fixture));
        assert_eq!(failures, [], "{fixture}");
        let told = out.to_text();
        let more: Vec<&str> = told.split_inclusive('\n').filter(|line| !known.contains(line)).collect();
        assert_golden(&fixture, "golden-opt-in.txt", &more.concat());
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
fn a_collector_emits_what_its_row_lists_and_all_that_the_host_has_a_file_for() {
    for fixture in fixtures() {
        let host = HostRoot::fixture(&fixture);
        for spec in COLLECTORS {
            let mut out = SampleBuffer::default();
            let opened = (spec.open)(&host, &everything(&fixture));
            match opened.and_then(|mut collector| collector.collect(&host, &mut out)) {
                Ok(()) | Err(CollectError::Absent { .. }) => {}
                Err(error) => panic!("{fixture}, {}: {error}", spec.name),
            }
            let emitted: HashSet<&str> =
                out.entities().flat_map(|entity| entity.points()).map(|point| point.metric.name).collect();
            let listed: HashSet<&str> = spec.metrics.iter().map(|metric| metric.name).collect();
            let unlisted: Vec<_> = emitted.difference(&listed).collect();
            assert!(unlisted.is_empty(), "{fixture}, {}: not in its row: {unlisted:?}", spec.name);
            for metric in spec.metrics.iter().filter(|metric| !emitted.contains(metric.name)) {
                if metric.scope == Scope::NodeExporter {
                    continue;
                }
                let sources = paths(metric.source);
                let is_there = !sources.is_empty() && sources.iter().all(|path| is_on(&host, path));
                let excused = !is_there || MAY_BE_EMPTY.contains(&metric.name);
                assert!(excused, "{fixture}, {}: {} is missing: {sources:?}", spec.name, metric.name);
            }
        }
    }
}

/// The paths that a metric's source names.
fn paths(source: &str) -> Vec<&str> {
    source
        .split([' ', ',', ';', '(', ')'])
        .filter(|word| word.len() > 1 && word.starts_with('/'))
        .map(|word| word.trim_end_matches([':', '.']))
        .collect()
}

/// Whether a host has a file of this name, where `PID` and `*` stand for anything and `{a|b}` for either.
fn is_on(host: &HostRoot, pattern: &str) -> bool {
    if let Some((before, rest)) = pattern.split_once('{')
        && let Some((choices, after)) = rest.split_once('}')
    {
        return choices.split('|').any(|choice| is_on(host, &format!("{before}{choice}{after}")));
    }
    let mut found = vec![host.path("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let (before, after) = match part.split_once('*') {
            Some(around) => around,
            None if part == "PID" => ("", ""),
            None => {
                for path in &mut found {
                    path.push(part);
                }
                found.retain(|path| path.exists());
                continue;
            }
        };
        let matches = |name: &str| {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
                && (part != "PID" || name.bytes().all(|byte| byte.is_ascii_digit()))
        };
        found = found
            .iter()
            .filter_map(|directory| std::fs::read_dir(directory).ok())
            .flat_map(|entries| entries.filter_map(Result::ok))
            .filter(|entry| entry.file_name().to_str().is_some_and(matches))
            .map(|entry| entry.path())
            .collect();
    }
    !found.is_empty()
}

#[test]
fn a_source_is_found_on_the_host_that_has_it() {
    let host = HostRoot::fixture("node_exporter");
    for (pattern, there) in [
        ("/proc/stat", true),
        ("/proc/PID/stat", true),
        ("/proc/stat/PID", false),
        ("/sys/class/hwmon/hwmon*/temp*_input", true),
        ("/sys/class/hwmon/hwmon*/humidity*_input", false),
        ("/proc/pressure/{cpu|nothing}", true),
        ("/proc/pressure/{some|nothing}", false),
    ] {
        assert_eq!(is_on(&host, pattern), there, "{pattern}");
    }
    assert_eq!(paths("/proc/stat: cpu, ticks / CLK_TCK, /proc/x."), ["/proc/stat", "/proc/x"]);
}

#[test]
fn seconds_shares_and_load_averages_are_doubles_and_everything_else_is_counted() {
    for metric in COLLECTORS.iter().flat_map(|spec| spec.metrics) {
        // The conventions give each metric of hardware a type of its own.
        if metric.scope == Scope::NodeExporter || metric.name.starts_with("hw.") {
            continue;
        }
        let share = metric.unit == "1" && metric.instrument == Instrument::Gauge;
        let double = metric.unit == "s" || share || metric.name.starts_with("system.cpu.load_average");
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
