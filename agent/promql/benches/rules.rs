//! One round of 200 rules over 5,000 series with two hours of samples, ten seconds apart.
//!
//! 76 rules are published ones for hosts, the others are of the kinds that people write: rates, ratios, quantiles of
//! span durations, sums by service, windows over processes and log counters.

#[path = "../src/corpus/rule_files.rs"]
mod rule_files;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use promql::Query;
use series::{Limits, Store};
use telemetry::{Instrument, MetricSpec, SampleBuffer, Scope, Timestamp, Value, ValueType};

const STEP: i64 = 10;
const CYCLES: i64 = 720;

struct Metric {
    spec: &'static MetricSpec,
    label_sets: Vec<Vec<String>>,
}

fn metric(name: &str, labels: &[(&str, Vec<String>)]) -> Metric {
    let keys: Vec<&'static str> =
        labels.iter().map(|(key, _)| &*Box::leak((*key).to_owned().into_boxed_str())).collect();
    let spec = Box::leak(Box::new(MetricSpec {
        name: Box::leak(name.to_owned().into_boxed_str()),
        unit: "",
        instrument: Instrument::Gauge,
        value: ValueType::Double,
        attributes: Box::leak(keys.into_boxed_slice()),
        scope: Scope::Conventions,
        description: "",
        source: "",
        shows: None,
        by_default: true,
    }));
    let label_sets = labels.iter().fold(vec![Vec::new()], |sets, (_, values)| {
        sets.iter()
            .flat_map(|set: &Vec<String>| {
                values.iter().map(move |value| set.iter().cloned().chain([value.clone()]).collect())
            })
            .collect()
    });
    Metric { spec, label_sets }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

fn metrics() -> Vec<Metric> {
    let job = || ("job", words(&["node"]));
    let instance = || ("instance", words(&["localhost:9100"]));
    let modes = words(&["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"]);
    let mut metrics = vec![metric(
        "node_cpu_seconds_total",
        &[job(), instance(), ("cpu", numbered("", 16)), ("mode", modes)],
    )];
    for name in [
        "load1",
        "memory_MemTotal_bytes",
        "memory_MemAvailable_bytes",
        "memory_MemFree_bytes",
        "memory_Buffers_bytes",
        "memory_Cached_bytes",
        "memory_Slab_bytes",
        "memory_SwapTotal_bytes",
        "memory_SwapFree_bytes",
        "vmstat_pgmajfault",
        "vmstat_oom_kill",
        "context_switches_total",
        "nf_conntrack_entries",
        "nf_conntrack_entries_limit",
        "filefd_allocated",
        "filefd_maximum",
        "textfile_scrape_error",
        "timex_offset_seconds",
        "timex_maxerror_seconds",
        "timex_sync_status",
        "uname_info",
    ] {
        metrics.push(metric(&format!("node_{name}"), &[job(), instance()]));
    }
    for name in [
        "io_time_seconds_total",
        "io_time_weighted_seconds_total",
        "read_time_seconds_total",
        "write_time_seconds_total",
        "reads_completed_total",
        "writes_completed_total",
    ] {
        metrics
            .push(metric(&format!("node_disk_{name}"), &[job(), instance(), ("device", numbered("sd", 8))]));
    }
    for name in ["size_bytes", "avail_bytes", "files", "files_free", "readonly", "device_error"] {
        let mounts = ("mountpoint", numbered("/mnt/", 10));
        let fs = ("fstype", words(&["ext4"]));
        let device = ("device", words(&["/dev/sda1"]));
        metrics.push(metric(&format!("node_filesystem_{name}"), &[job(), instance(), device, fs, mounts]));
    }
    for direction in ["receive", "transmit"] {
        for kind in ["bytes", "packets", "errs", "drop"] {
            let name = format!("node_network_{direction}_{kind}_total");
            metrics.push(metric(&name, &[job(), instance(), ("device", numbered("eth", 12))]));
        }
    }
    metrics.push(metric("node_network_speed_bytes", &[job(), instance(), ("device", numbered("eth", 12))]));
    let states = ("state", words(&["active", "failed", "inactive"]));
    metrics.push(metric(
        "node_systemd_unit_state",
        &[job(), instance(), ("name", numbered("unit", 20)), states],
    ));
    for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "threads"] {
        let pids = ("pid", numbered("", 400));
        metrics.push(metric(&format!("process_{name}"), &[("comm", words(&["worker"])), pids]));
    }
    let services = || ("service_name", numbered("service-", 12));
    let spans = || ("span_name", numbered("GET /route/", 10));
    let bounds =
        words(&["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]);
    metrics
        .push(metric("traces_span_metrics_duration_seconds_bucket", &[services(), spans(), ("le", bounds)]));
    let codes = ("status_code", words(&["OK", "ERROR"]));
    metrics.push(metric("traces_span_metrics_calls_total", &[services(), spans(), codes]));
    metrics
        .push(metric("log_lines_total", &[("source", numbered("file-", 60)), ("level", numbered("l", 6))]));
    metrics.push(metric(
        "cgroup_cpu_seconds_total",
        &[("unit", numbered("unit", 330)), ("mode", words(&["user", "system"]))],
    ));
    metrics.push(metric("cgroup_memory_bytes", &[("unit", numbered("unit", 330))]));
    metrics
}

fn fill(store: &mut Store) {
    let metrics = metrics();
    let mut buffer = SampleBuffer::default();
    let mut state = 1_u64;
    for cycle in 0..CYCLES {
        buffer.reset(Timestamp::from_secs(1_700_000_000 + cycle * STEP), Timestamp::EPOCH);
        for metric in &metrics {
            let counter = metric.spec.name.ends_with("_total") || metric.spec.name.ends_with("_bucket");
            for (number, labels) in metric.label_sets.iter().enumerate() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let noise = (state >> 40) as f64 / 1e6;
                let value = if counter {
                    (cycle * (number as i64 + 1)) as f64 + noise / 100.0
                } else {
                    100.0 + noise
                };
                let values: Vec<Value<'_>> = labels.iter().map(|label| Value::Str(label)).collect();
                buffer.double(metric.spec, &values, value);
            }
        }
        store.append(&buffer);
    }
}

fn rules() -> Vec<String> {
    let mut rules = rule_files::expressions();
    for number in 0..12 {
        let service = format!("service_name=\"service-{number}\"");
        rules.push(format!(
            "histogram_quantile(0.99, sum by (le) (rate(traces_span_metrics_duration_seconds_bucket{{{service}}}[5m]))) > 1"
        ));
        rules.push(format!(
            "sum by (span_name) (rate(traces_span_metrics_calls_total{{{service},status_code=\"ERROR\"}}[5m])) / sum by (span_name) (rate(traces_span_metrics_calls_total{{{service}}}[5m])) > 0.05"
        ));
        rules.push(format!("sum(increase(traces_span_metrics_calls_total{{{service}}}[15m])) < 1"));
    }
    for level in 0..6 {
        rules.push(format!("sum by (source) (rate(log_lines_total{{level=\"l{level}\"}}[5m])) > 100"));
        rules.push(format!("increase(log_lines_total{{level=\"l{level}\"}}[10m]) > 1000"));
        rules.push(format!("absent(log_lines_total{{level=\"l{level}\"}})"));
    }
    rules.push("topk(5, rate(process_cpu_seconds_total[5m])) > 0.9".to_owned());
    rules.push("max_over_time(process_resident_memory_bytes[15m]) > 8e9".to_owned());
    rules.push("process_open_fds > 10000".to_owned());
    rules.push("sum(process_threads) by (comm) > 30000".to_owned());
    rules.push("deriv(process_resident_memory_bytes[15m]) > 1e6".to_owned());
    rules.push("sum by (unit) (rate(cgroup_cpu_seconds_total[5m])) > 3".to_owned());
    rules.push("avg_over_time(cgroup_memory_bytes[15m]) > 4e9".to_owned());
    rules.push("cgroup_memory_bytes / on () group_left () sum(node_memory_MemTotal_bytes) > 0.5".to_owned());
    let fixed = rules.len();
    for number in 0..200 - fixed {
        rules.push(match number % 4 {
            0 => format!("rate(cgroup_cpu_seconds_total{{unit=\"unit{number}\"}}[5m]) > 0.8"),
            1 => format!("avg_over_time(cgroup_memory_bytes{{unit=\"unit{number}\"}}[15m]) > 1e9"),
            2 => format!("sum(rate(log_lines_total{{source=\"file-{number}\"}}[5m])) > 10"),
            _ => format!("max(node_filesystem_avail_bytes) - {number} < 0"),
        });
    }
    rules
}

fn round(queries: &mut [Query], store: &Store, now: Timestamp) {
    for query in queries {
        black_box(query.instant(store, now)).expect("the rules fit the series");
    }
}

/// A store of one counter with so many series, five minutes long.
fn counters(series: usize) -> (Store, Timestamp) {
    let metric = metric("cgroup_cpu_seconds_total", &[("unit", numbered("unit", series))]);
    let mut store = Store::new(Limits::default());
    let mut buffer = SampleBuffer::default();
    let at = |cycle| Timestamp::from_secs(1_700_000_000 + cycle * STEP);
    for cycle in 0..=30 {
        buffer.reset(at(cycle), Timestamp::EPOCH);
        for (number, labels) in metric.label_sets.iter().enumerate() {
            let values: Vec<Value<'_>> = labels.iter().map(|label| Value::Str(label)).collect();
            buffer.double(metric.spec, &values, (cycle * number as i64) as f64);
        }
        store.append(&buffer);
    }
    (store, at(30))
}

/// What must grow in proportion: with the series that a rule reads, and with the rules.
fn growth(criterion: &mut Criterion) {
    for count in [1_000, 4_000, 16_000] {
        let (store, now) = counters(count);
        let mut queries = [Query::new("sum(rate(cgroup_cpu_seconds_total[5m]))").expect("it is PromQL")];
        criterion.bench_function(&format!("one rule over {count} series"), |bencher| {
            bencher.iter(|| round(&mut queries, &store, now));
        });
    }
    let (store, now) = counters(1_600);
    for count in [100, 400, 1_600] {
        let rule = |number| format!("rate(cgroup_cpu_seconds_total{{unit=\"unit{number}\"}}[5m]) > 1");
        let mut queries: Vec<Query> =
            (0..count).map(|number| Query::new(&rule(number)).expect("it is PromQL")).collect();
        criterion.bench_function(&format!("{count} rules over one series each"), |bencher| {
            bencher.iter(|| round(&mut queries, &store, now));
        });
    }
}

fn bench(criterion: &mut Criterion) {
    let mut store = Store::new(Limits::default());
    fill(&mut store);
    let now = Timestamp::from_secs(1_700_000_000 + (CYCLES - 1) * STEP + 3);
    let texts = rules();
    let mut queries: Vec<Query> = texts.iter().map(|text| Query::new(text).expect(text)).collect();
    round(&mut queries, &store, now);
    let (series, samples) = queries
        .iter()
        .map(Query::reads)
        .fold((0, 0), |(series, samples), reads| (series + reads.series, samples + reads.samples));
    #[expect(clippy::print_stdout, reason = "what a round touches belongs to its time")]
    {
        println!(
            "{} series; {} rules touch {series} series and {samples} samples a round",
            store.series_count(),
            queries.len(),
        );
    }
    assert!(store.series_count() >= 5_000);
    assert!(series >= 7_000 && samples >= 290_000);
    criterion.bench_function("200 rules, one round", |bencher| {
        bencher.iter(|| round(&mut queries, &store, now));
    });
    criterion.bench_function("200 rules, parsed and bound anew", |bencher| {
        bencher.iter(|| {
            for text in &texts {
                let mut query = Query::new(text).expect(text);
                black_box(query.instant(&store, now)).expect("the rules fit the series");
            }
        });
    });
}

criterion_group!(benches, bench, growth);
criterion_main!(benches);
