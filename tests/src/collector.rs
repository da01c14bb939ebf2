//! The agent against the official OpenTelemetry Collector, which writes what it received into a file.

mod logs;

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, assert_follows_conventions, binary, free_port, root, skip};

const STARTS_WITHIN: Duration = Duration::from_mins(1);
const ARRIVES_WITHIN: Duration = Duration::from_mins(1);
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// The Collector that `tests/collector/build.sh` builds.
fn otelcol() -> Option<PathBuf> {
    let target = binary().ancestors().nth(2).expect("the binary lies in target/<profile>");
    let path = target.join("otelcol/otelcol");
    path.exists().then_some(path)
}

/// A running Collector and where it writes.
pub(crate) struct Collector {
    running: Running,
    directory: TempDir,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
}

impl Collector {
    /// None, said as a skip, where the Collector was not built.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = otelcol() else {
            skip("collector", "the Collector is not built (tests/collector/build.sh)");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let (grpc, http) = (free_port(), free_port());
        let running = Self::run(&program, directory.path(), grpc, http);
        Some(Self { running, directory, grpc, http })
    }

    fn run(program: &Path, directory: &Path, grpc: u16, http: u16) -> Running {
        let output = directory.join("received.jsonl");
        let config = root().join("tests/collector/config.yaml");
        let mut running = Running::start(
            program,
            &["--config", config.to_str().unwrap()],
            &[
                ("OTELCOL_GRPC_ADDRESS", &format!("127.0.0.1:{grpc}")),
                ("OTELCOL_HTTP_ADDRESS", &format!("127.0.0.1:{http}")),
                ("OTELCOL_OUTPUT_FILE", output.to_str().unwrap()),
            ],
            &directory.join("collector.log"),
        );
        running.wait_for("listening Collector", STARTS_WITHIN, |_| {
            let listens = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
            (listens(grpc) && listens(http)).then_some(())
        });
        running
    }

    /// Ends it at once, without a word.
    pub(crate) fn kill(&mut self) {
        self.running.signal(Signal::KILL);
        self.running.ended(STOPS_WITHIN);
    }

    /// Starts it again on the same ports; it goes on in the same file.
    pub(crate) fn restart(&mut self) {
        let program = otelcol().expect("it was started before");
        self.running = Self::run(&program, self.directory.path(), self.grpc, self.http);
    }

    /// Where it writes `received.jsonl`.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn output(&self) -> PathBuf {
        self.directory.path().join("received.jsonl")
    }

    /// The requests of one signal that it has written so far.
    fn received(&self, key: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.output()).unwrap_or_default();
        // The last line may not be finished yet.
        let requests = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        requests.filter(|request| request.get(key).is_some()).collect()
    }

    /// Runs an agent with `destination` until the Collector has received what `enough` wants.
    fn fed_by(&mut self, destination: &str, more: &str, enough: impl Fn(&Self) -> bool) {
        let configuration = self.directory.path().join("hostmend.yaml");
        let text = format!(
            "state_directory: state\ncollect: {{ interval: 500ms, budget: {{ cpu: 400% }} }}\ndestinations:\n{destination}\n{more}"
        );
        std::fs::write(&configuration, text).unwrap();
        let log = self.directory.path().join("agent.log");
        let mut agent =
            Running::start(binary(), &["run", "--config", configuration.to_str().unwrap()], &[], &log);
        agent.wait_for("telemetry at the Collector", ARRIVES_WITHIN, |_| enough(self).then_some(()));
        agent.signal(Signal::TERM);
        let (status, _) = agent.ended(STOPS_WITHIN);
        assert_eq!(status.code(), Some(0), "{}", agent.log());
        assert!(!agent.log().contains("telemetry was lost"), "{}", agent.log());
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.running.signal(Signal::TERM);
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The metric names under resources with the attribute `host.name`.
fn names_of_host_metrics(requests: &[Value]) -> BTreeSet<String> {
    requests
        .iter()
        .flat_map(|request| list(request, "resourceMetrics"))
        .filter(|resource| list(&resource["resource"], "attributes").iter().any(|a| a["key"] == "host.name"))
        .flat_map(|resource| list(resource, "scopeMetrics"))
        .flat_map(|scope| list(scope, "metrics"))
        .filter_map(|metric| metric["name"].as_str().map(str::to_owned))
        .collect()
}

fn arrived(collector: &Collector) -> bool {
    let names = names_of_host_metrics(&collector.received("resourceMetrics"));
    ["system.cpu.time", "system.memory.usage", "process.cpu.time"].iter().all(|name| names.contains(*name))
}

#[test]
fn the_official_collector_receives_the_host_over_grpc() {
    let Some(mut collector) = Collector::start() else { return };
    let destination = format!("  - {{ name: c, endpoint: \"http://127.0.0.1:{}\" }}", collector.grpc);
    collector.fed_by(&destination, "", arrived);
}

#[test]
fn the_official_collector_receives_the_host_over_http_and_it_follows_the_conventions() {
    let Some(mut collector) = Collector::start() else { return };
    let destination = format!(
        "  - {{ name: c, endpoint: \"http://127.0.0.1:{}\", protocol: http/protobuf, compression: none }}",
        collector.http
    );
    collector.fed_by(&destination, "", arrived);
    let metrics = collector.directory.path().join("metrics.jsonl");
    let lines: Vec<String> = collector.received("resourceMetrics").iter().map(Value::to_string).collect();
    std::fs::write(&metrics, lines.join("\n")).unwrap();
    assert_follows_conventions(&metrics);
}

#[test]
fn a_run_reaches_the_official_collector_as_one_trace_with_its_log_records() {
    let Some(mut collector) = Collector::start() else { return };
    let place = collector.directory.path();
    std::fs::write(
        place.join("rules.yaml"),
        "groups:\n  - name: g\n    rules:\n      - { alert: Always, expr: vector(1) }\n",
    )
    .unwrap();
    std::fs::write(
        place.join("runbooks.yaml"),
        "runbooks:\n  - name: look\n    matchers: ['alertname=\"Always\"']\n    script: look.rhai\n    stage: auto\n    \
         guards: { cooldown: 1m, attempts: 3 per 10m, ignore: [login, packages] }\n    timeout: 10s\n    verify: { expr: vector(1) == 1, within: 5s }\n",
    )
    .unwrap();
    std::fs::write(
        place.join("look.rhai"),
        "//! {summary: Look, risk: low}\nfn remediate(ctx) {\n    incident::note(\"looked\");\n    fixed(\"seen\")\n}\n",
    )
    .unwrap();
    let destination = format!("  - {{ name: c, endpoint: \"http://127.0.0.1:{}\" }}", collector.grpc);
    let more = "evaluation_interval: 500ms\nrules: [rules.yaml]\nrunbooks: [runbooks.yaml]\nscripts: .\n";
    collector.fed_by(&destination, more, |collector| {
        spans(collector).iter().any(|(name, _)| name == "verification")
            && !trace_ids_of_logs(collector).is_empty()
    });
    let spans = spans(&collector);
    let (_, run) = spans.iter().find(|(name, _)| name == "script").unwrap();
    let names: BTreeSet<&str> =
        spans.iter().filter(|(_, trace)| trace == run).map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["detection", "evidence", "run look", "script", "verification"]));
    assert!(trace_ids_of_logs(&collector).contains(run));
}

/// Name and trace id of every span.
fn spans(collector: &Collector) -> Vec<(String, String)> {
    collector
        .received("resourceSpans")
        .iter()
        .flat_map(|request| list(request, "resourceSpans"))
        .flat_map(|resource| list(resource, "scopeSpans"))
        .flat_map(|scope| list(scope, "spans"))
        .map(|span| (span["name"].as_str().unwrap().to_owned(), span["traceId"].as_str().unwrap().to_owned()))
        .collect()
}

/// The trace ids that log records carry.
fn trace_ids_of_logs(collector: &Collector) -> Vec<String> {
    collector
        .received("resourceLogs")
        .iter()
        .flat_map(|request| list(request, "resourceLogs"))
        .flat_map(|resource| list(resource, "scopeLogs"))
        .flat_map(|scope| list(scope, "logRecords"))
        .filter_map(|record| record["traceId"].as_str().filter(|id| !id.is_empty()).map(str::to_owned))
        .collect()
}
