//! The profile against what `node_exporter` itself says of the same host, and against the rules that are written for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use telemetry::{Instrument, SampleBuffer, Scope, Timestamp, Value};

use super::{METRICS, SPEC, node_exporter_metrics};
use crate::{CollectError, HostRoot, Options};

/// Everything of the profile.
pub(super) fn all() -> Options {
    let switched = METRICS.iter().map(|metric| (metric.name.to_owned(), true)).collect();
    Options { switched, ..Options::default() }
}

fn collect(host: &HostRoot) -> SampleBuffer {
    let mut out = SampleBuffer::default();
    out.reset(Timestamp::from_secs(1_800_000_000), Timestamp::EPOCH);
    (SPEC.open)(host, &all()).unwrap().collect(host, &mut out).unwrap();
    out
}

/// Name and labels without the empty ones, in order, and the value.
pub(super) type Series = BTreeMap<(String, Vec<(String, String)>), f64>;

pub(super) fn ours(buffer: &SampleBuffer) -> Series {
    let text = |value| match value {
        Value::Str(text) => text.to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Absent => String::new(),
    };
    let points = buffer.entities().flat_map(|entity| entity.points());
    points
        .map(|point| {
            let mut labels: Vec<(String, String)> =
                point.attributes().map(|(key, value)| (key.to_owned(), text(value))).collect();
            labels.retain(|(_, value)| !value.is_empty());
            labels.sort();
            ((point.metric.name.to_owned(), labels), point.number.as_f64().unwrap())
        })
        .collect()
}

/// A text as `node_exporter` serves it. Good enough for what it serves: no escapes but of quotes and backslashes.
pub(super) fn theirs(text: &str) -> (Series, BTreeMap<String, String>) {
    let (mut series, mut types) = (Series::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (series_of, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series_of.split_once('{').unwrap_or((series_of, "}"));
            let mut labels: Vec<(String, String)> = labels
                .trim_end_matches('}')
                .split_inclusive("\",")
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (key, value) = pair.trim_end_matches(',').split_once('=').unwrap();
                    let value = value.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\");
                    (key.to_owned(), value)
                })
                .collect();
            labels.retain(|(_, value)| !value.is_empty());
            labels.sort();
            series.insert((name.to_owned(), labels), value.parse().unwrap());
        }
    }
    (series, types)
}

pub(super) fn type_of(instrument: Instrument) -> &'static str {
    match instrument {
        Instrument::Counter => "counter",
        Instrument::Gauge => "gauge",
        Instrument::UpDownCounter => "untyped",
    }
}

/// Where the two may differ, by the beginning of the name, and why.
const DIFFERENCES: [(&str, &str); 10] = [
    ("node_cpu_frequency_hertz", "theirs is of /proc/cpuinfo, which their test asks for"),
    ("node_hwmon_pwm_", "the settings of fans are not in the fixture"),
    ("node_nvme_info", "their 1.12 has a label more"),
    ("node_arp_entries", "their test leaves a device out"),
    ("node_network_receive_", "their test asks the interfaces of the host it runs on, ours the file beside"),
    ("node_network_transmit_", "likewise"),
    ("node_scrape_collector_success", "their test leaves some out, and has others"),
    ("node_time_seconds", "the time of the test"),
    ("node_udp_queues", "the file of IPv6 is procfs's"),
    ("node_rapl_", "their path begins with the directory of the fixture"),
];

#[test]
fn the_host_of_node_exporters_tests_is_told_as_node_exporter_tells_it() {
    let host = HostRoot::fixture("node_exporter");
    let ours = ours(&collect(&host));
    let expected = std::fs::read_to_string(host.path("e2e-output.prom")).unwrap();
    let (theirs, types) = theirs(&expected);
    for metric in &METRICS {
        if let Some(kind) = types.get(metric.name) {
            assert_eq!(kind, type_of(metric.instrument), "{}", metric.name);
        }
    }
    let claimed: HashSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let differs = |(name, labels): &(String, Vec<(String, String)>)| {
        DIFFERENCES.iter().any(|(beginning, _)| name.starts_with(beginning))
            // Their test leaves these interfaces out, and negative speeds.
            || name.starts_with("node_network_") && labels.iter().any(|(_, device)| device == "dmz" || device == "int")
            || name == "node_network_speed_bytes"
            // Not in the fixture.
            || name.ends_with("_beep_enabled")
            // Their test leaves out all chips but a few.
            || name.starts_with("node_hwmon_") && labels.iter().any(|(_, chip)| chip == "bogus")
    };
    let mut wrong = Vec::new();
    let mut same = 0;
    for (series, value) in theirs.iter().filter(|((name, _), _)| claimed.contains(name.as_str())) {
        match ours.get(series) {
            Some(our) if (our - value).abs() <= value.abs() * 1e-6 => same += 1,
            _ if differs(series) => {}
            found => wrong.push(format!("{series:?}: {value}, found {found:?}")),
        }
    }
    for series in ours.keys().filter(|series| types.contains_key(&series.0) && !theirs.contains_key(series)) {
        if !differs(series) {
            wrong.push(format!("{series:?} is ours alone"));
        }
    }
    assert!(wrong.is_empty(), "{same} are the same, {} are not:\n{}", wrong.len(), wrong.join("\n"));
    assert!(same > 700, "{same}");
}

/// Names beginning with `node_` that a rule file selects, those that it records itself aside.
fn names_in(text: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c: char| !is_word(c)).filter(|word| word.starts_with("node_"));
    let recorded: HashSet<&str> = text
        .lines()
        .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("record: "))
        .collect();
    words.filter(|word| !word.contains(':') && !recorded.contains(word)).collect()
}

/// What rules name and the profile has not, and why.
const NOT_OURS: [(&str, &str); 4] = [
    ("node_textfile_scrape_error", "told by the directory of text files, where there is one"),
    ("node_alerts", "the name of a file"),
    ("node_rules", "the name of a file"),
    ("node_exporter", "the name of a program"),
];

#[test]
fn every_name_that_published_rules_select_is_in_the_profile() {
    let known: HashSet<&str> = node_exporter_metrics().map(|metric| metric.name).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for file in [
        "agent/alerting/tests/rules/node_alerts.yaml",
        "agent/alerting/tests/rules/node_rules.yaml",
        "config/rules/host.yaml",
    ] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for name in names_in(&text) {
            let excused = NOT_OURS.iter().any(|(beginning, _)| name.starts_with(beginning));
            assert!(known.contains(name) || excused, "{file} selects {name}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn all_rows_are_named_once_explained_and_kept_on_the_host() {
    let mut names = HashSet::new();
    for metric in node_exporter_metrics() {
        assert!(names.insert(metric.name), "{} stands twice", metric.name);
        assert!(metric.name.starts_with("node_") || metric.name == "up", "{}", metric.name);
        assert!(!metric.description.is_empty() && !metric.source.is_empty(), "{}", metric.name);
        assert_eq!(metric.scope, Scope::NodeExporter);
        assert!(!metric.by_default, "{}", metric.name);
    }
}

#[test]
fn what_nobody_wants_is_not_read() {
    let host = HostRoot::at("/nowhere");
    assert!(matches!((SPEC.open)(&host, &Options::default()), Err(CollectError::Absent { .. })));
    let one =
        |name: &str| Options { switched: BTreeMap::from([(name.to_owned(), true)]), ..Options::default() };
    let mut out = SampleBuffer::default();
    (SPEC.open)(&host, &one("up")).unwrap().collect(&host, &mut out).unwrap();
    assert_eq!(out.to_text(), "up 1\n");
    let host = HostRoot::fixture("firecracker-6.18");
    let mut collector = (SPEC.open)(&host, &one("node_load5")).unwrap();
    out.reset(Timestamp::EPOCH, Timestamp::EPOCH);
    collector.collect(&host, &mut out).unwrap();
    assert!(
        out.to_text().contains("node_load5 ") && !out.to_text().contains("node_cpu"),
        "{}",
        out.to_text()
    );
}

#[test]
fn every_captured_host_and_this_one_can_be_told() {
    for host in
        ["firecracker-6.18", "qemu-6.1", "procfs"].map(HostRoot::fixture).iter().chain([&HostRoot::at("/")])
    {
        let buffer = collect(host);
        let text = buffer.to_text();
        for name in ["node_cpu_seconds_total", "node_load1", "node_memory_MemTotal_bytes", "up"] {
            assert!(text.contains(name), "{text}");
        }
        let mut seen = HashSet::new();
        for point in buffer.entities().flat_map(|entity| entity.points()) {
            assert!(seen.insert(point.fingerprint), "a series of {} comes twice", point.metric.name);
        }
    }
}
