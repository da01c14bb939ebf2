//! `hostmend collect --once`.

mod stress;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::program::{assert_follows_conventions, root, run, stderr, stdout};

#[test]
fn the_table_shows_this_host() {
    let output = run(&["collect", "--once"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for metric in ["system.cpu.time", "system.memory.usage", "system.uptime", "process.cpu.time"] {
        assert!(text.contains(metric), "{metric} is missing:\n{text}");
    }
}

#[test]
fn every_name_follows_the_conventions() {
    let output = run(&["collect", "--once", "--format", "otlp-json"]);
    let dump = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(dump.path(), &output.stdout).unwrap();
    assert_follows_conventions(dump.path());
}

/// Hosts that this machine is not: with sensors, batteries, arrays, NFS, swap, other kernels.
#[test]
fn every_name_of_every_captured_host_follows_the_conventions() {
    let fixtures = root().join("agent/collectors/fixtures");
    let hosts = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path());
    let hosts: Vec<_> = hosts.filter(|path| path.join("proc").is_dir()).collect();
    assert!(hosts.len() >= 4, "{hosts:?}");
    for host in hosts {
        let path = host.to_str().unwrap();
        let output = run(&["collect", "--once", "--format", "otlp-json", "--root", path, "--captured"]);
        assert_eq!(output.status.code(), Some(0), "{path}: {}", stderr(&output));
        let dump = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(dump.path(), &output.stdout).unwrap();
        assert_follows_conventions(dump.path());
    }
}

#[test]
fn recommended_metrics_with_a_source_on_this_host_are_there() {
    let output = run(&["collect", "--once", "--format", "otlp-json"]);
    let names: BTreeSet<String> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .flat_map(|request| metric_names(&request))
        .collect();
    for (file, metric) in [
        ("/proc/stat", "system.cpu.time"),
        ("/proc/stat", "system.cpu.logical.count"),
        ("/proc/stat", "system.process.created"),
        ("/proc/cpuinfo", "system.cpu.frequency"),
        ("/sys/devices/system/cpu/cpu0/topology/core_id", "system.cpu.physical.count"),
        ("/proc/schedstat", "system.cpu.linux.run_queue.time"),
        ("/proc/loadavg", "system.cpu.load_average.1m"),
        ("/proc/sys/fs/file-nr", "system.unix.file_descriptor.count"),
        ("/proc/meminfo", "system.memory.usage"),
        ("/proc/meminfo", "system.memory.linux.available"),
        ("/proc/vmstat", "system.paging.faults"),
        ("/proc/vmstat", "system.paging.operations"),
        ("/proc/self/mountinfo", "system.filesystem.usage"),
        ("/proc/net/dev", "system.network.io"),
        ("/proc/net/dev", "system.network.packet.count"),
        ("/proc/pressure/cpu", "system.cpu.linux.pressure.total"),
        ("/proc/self/stat", "system.process.count"),
        ("/proc/self/stat", "process.cpu.time"),
        ("/proc/self/statm", "process.memory.usage"),
    ] {
        if std::fs::read(file).is_ok() {
            assert!(names.contains(metric), "{metric} is missing though {file} is there: {names:?}");
        }
    }
}

/// One point of a collection.
struct Point {
    metric: String,
    value: f64,
}

/// What one collection tells of this host.
fn collect_points() -> Vec<Point> {
    let output = run(&["collect", "--once", "--format", "otlp-json"]);
    let requests = stdout(&output);
    let requests = requests.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    requests
        .flat_map(|request| list(&request, "resourceMetrics"))
        .flat_map(|resource| list(&resource, "scopeMetrics"))
        .flat_map(|scope| list(&scope, "metrics"))
        .flat_map(|metric| {
            let name = metric["name"].as_str().unwrap().to_owned();
            let number = |point: &Value| {
                let int = point["asInt"].as_str().and_then(|text| text.parse::<f64>().ok());
                int.or_else(|| point["asDouble"].as_f64()).unwrap()
            };
            let data = if metric["sum"].is_object() { &metric["sum"] } else { &metric["gauge"] };
            let points = list(data, "dataPoints");
            points
                .iter()
                .map(|point| Point { metric: name.clone(), value: number(point) })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// opentelemetry-specification, metrics/data-model.md.
#[test]
fn a_collection_keeps_to_the_data_model() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hostmend.yaml");
    std::fs::write(&file, "resource: { attributes: { host.name: renamed, process.pid: '1', team: a } }\n")
        .unwrap();
    let file = file.to_str().unwrap();
    let output = run(&["collect", "--once", "--format", "otlp-json", "--config", file]);
    let request: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let mut streams = BTreeSet::new();
    let resources = list(&request, "resourceMetrics");
    assert!(resources.len() > 1, "the host and processes");
    for resource in resources {
        let who = keyed(&resource["resource"]);
        assert!(who.contains("renamed") && who.contains("team"), "{who}");
        assert!(resource["schemaUrl"].as_str().is_some_and(|url| !url.is_empty()));
        for scope in list(&resource, "scopeMetrics") {
            let of = scope["scope"]["name"].as_str().unwrap().to_owned();
            let has_schema = scope["schemaUrl"].as_str().is_some_and(|url| !url.is_empty());
            assert_eq!(has_schema, of == "hostmend/collectors", "{of}");
            for metric in list(&scope, "metrics") {
                for point in points(&metric) {
                    let stream = format!("{who} {of} {} {}", metric["name"], keyed(&point));
                    assert!(streams.insert(stream.clone()), "two writers of {stream}");
                }
            }
        }
    }
}

/// The points of a metric, whose kind and times are right.
fn points(metric: &Value) -> Vec<Value> {
    let nanos = |point: &Value, key: &str| point[key].as_str().map(|text| text.parse::<u64>().unwrap());
    let (sum, gauge) = (&metric["sum"], &metric["gauge"]);
    let is_sum = sum.is_object();
    assert_ne!(is_sum, gauge.is_object(), "{metric}");
    let points = list(if is_sum { sum } else { gauge }, "dataPoints");
    assert!(!points.is_empty(), "{metric}");
    for point in &points {
        let (start, time) = (nanos(point, "startTimeUnixNano"), nanos(point, "timeUnixNano").unwrap());
        assert_eq!(start.is_some(), is_sum, "{metric}");
        assert!(start.is_none_or(|start| 0 < start && start <= time), "{metric}");
    }
    if is_sum {
        assert_eq!(sum["aggregationTemporality"], 2, "{metric}");
    }
    points
}

/// The attributes in order of their keys, each of which is there once and not empty.
fn keyed(of: &Value) -> String {
    let attributes: Vec<(String, String)> = list(of, "attributes")
        .iter()
        .map(|pair| (pair["key"].as_str().unwrap().to_owned(), pair["value"].to_string()))
        .collect();
    let sorted: BTreeMap<_, _> = attributes.iter().cloned().collect();
    assert!(sorted.len() == attributes.len() && !sorted.contains_key(""), "{attributes:?}");
    format!("{sorted:?}")
}

fn list(value: &Value, key: &str) -> Vec<Value> {
    value[key].as_array().cloned().unwrap_or_default()
}

fn metric_names(request: &Value) -> Vec<String> {
    list(request, "resourceMetrics")
        .iter()
        .flat_map(|resource| list(resource, "scopeMetrics"))
        .flat_map(|scope| list(&scope, "metrics"))
        .filter_map(|metric| metric["name"].as_str().map(str::to_owned))
        .collect()
}
