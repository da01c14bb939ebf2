//! `hostmend collect --once`.

use std::collections::BTreeSet;

use crate::program::{assert_follows_conventions, run, stderr, stdout};

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

#[test]
fn recommended_metrics_with_a_source_on_this_host_are_there() {
    let output = run(&["collect", "--once", "--format", "otlp-json"]);
    let names: BTreeSet<String> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .flat_map(|request| metric_names(&request))
        .collect();
    for (file, metric) in [
        ("/proc/stat", "system.cpu.time"),
        ("/proc/stat", "system.cpu.logical.count"),
        ("/proc/stat", "system.process.created"),
        ("/proc/loadavg", "system.cpu.load_average.1m"),
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

fn metric_names(request: &serde_json::Value) -> Vec<String> {
    let list = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    list(request, "resourceMetrics")
        .iter()
        .flat_map(|resource| list(resource, "scopeMetrics"))
        .flat_map(|scope| list(&scope, "metrics"))
        .filter_map(|metric| metric["name"].as_str().map(str::to_owned))
        .collect()
}
