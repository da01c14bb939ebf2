//! Prometheus' API of the running agent, asked by Prometheus' own promtool, and held against a real Prometheus.

#![expect(clippy::disallowed_methods, reason = "a test starts promtool and Prometheus")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, binary, free_port, run, skip, stderr, stdout};

const WITHIN: Duration = Duration::from_secs(30);

const RULES: &str = r#"groups:
- name: g
  limit: 5
  rules:
  - { alert: Always, expr: "vector(2) > 1", labels: { severity: page }, annotations: { summary: "is {{ $value }}" } }
  - { alert: Later, expr: vector(1), for: 1h, keep_firing_for: 5m }
  - { record: "a:b", expr: vector(1) + 1, labels: { x: y } }
"#;

/// Something that answers at a loopback port.
struct Server {
    running: Running,
    port: u16,
    directory: TempDir,
}

impl Server {
    /// The agent, once it has judged and knows the host under `node_exporter`'s names.
    fn agent() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let configuration = directory.path().join("hostmend.yaml");
        let text = format!(
            "state_directory: state\nrules: [rules.yaml]\nevaluation_interval: 1s\n\
             collect: {{ interval: 500ms }}\nnode_exporter: {{ enabled: true, keep: all }}\n\
             api: {{ listen: \"127.0.0.1:{port}\" }}\n"
        );
        std::fs::write(&configuration, text).unwrap();
        std::fs::write(directory.path().join("rules.yaml"), RULES).unwrap();
        let arguments = ["run", "--config", configuration.to_str().unwrap()];
        let running = Running::start(binary(), &arguments, &[], &directory.path().join("log"));
        Self { running, port, directory }.ready()
    }

    /// A Prometheus with the same rules, which scrapes itself.
    fn prometheus() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let configuration = directory.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yaml]\n\
             scrape_configs: [{{ job_name: node, static_configs: [{{ targets: [\"127.0.0.1:{port}\"] }}] }}]\n"
        );
        std::fs::write(&configuration, text).unwrap();
        std::fs::write(directory.path().join("rules.yaml"), RULES).unwrap();
        let file = format!("--config.file={}", configuration.display());
        let data = format!("--storage.tsdb.path={}", directory.path().join("data").display());
        let address = format!("--web.listen-address=127.0.0.1:{port}");
        let log = directory.path().join("log");
        let running = Running::start(Path::new("prometheus"), &[&file, &data, &address], &[], &log);
        Self { running, port, directory }.ready()
    }

    /// Until the alert fires and a series is there.
    fn ready(mut self) -> Self {
        let port = self.port;
        self.running.wait_for("alert and series", WITHIN, |_| {
            let fires = ask(port, "GET /api/v1/alerts", "")?.1["data"]["alerts"].as_array()?.len() == 2;
            let up = ask(port, "GET /api/v1/query?query=up", "")?.1["data"]["result"].as_array()?.len() == 1;
            (fires && up).then_some(())
        });
        self
    }

    fn ask(&self, what: &str, form: &str) -> (u16, Value) {
        ask(self.port, what, form).unwrap_or_else(|| panic!("no answer to {what}"))
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// One of the program's own commands.
    fn command(&self, arguments: &[&str]) -> Output {
        let configuration = self.directory.path().join("hostmend.yaml");
        run(&[arguments, &["--config", configuration.to_str().unwrap()]].concat())
    }
}

/// The status and the JSON that answer a method and a path.
fn ask(port: u16, what: &str, form: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(WITHIN)).ok()?;
    let head =
        "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded";
    write!(stream, "{what} {head}\r\nContent-Length: {}\r\n\r\n{form}", form.len()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

fn is_missing(program: &str) -> bool {
    let missing = Command::new(program).arg("--version").output().is_err();
    if missing {
        skip("Prometheus' API", &format!("{program} is missing (./test --install)"));
    }
    missing
}

#[test]
fn promtool_asks_the_agent_as_it_asks_a_prometheus() {
    if is_missing("promtool") {
        return;
    }
    let agent = Server::agent();
    let url = agent.url();
    let promtool = |arguments: &[&str]| {
        let output = Command::new("promtool").arg("query").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    let loads = promtool(&["instant", &url, "node_load1"]);
    assert!(loads.starts_with("node_load1{instance=") && loads.contains("job=\"node\"} => "), "{loads}");
    assert!(promtool(&["instant", &url, "1/0"]).starts_with("scalar: +Inf @["));
    let range = promtool(&["range", "--step=500ms", &url, "sum(up) * 3"]);
    assert!(range.starts_with("{} =>\n3 @["), "{range}");
    let series = promtool(&["series", "--match=up", "--match=ALERTS", &url]);
    assert!(series.contains("{__name__=\"up\", ") && series.contains("alertstate=\"firing\""), "{series}");
    let modes = promtool(&["labels", &url, "mode"]);
    assert!(modes.lines().any(|mode| mode == "idle"), "{modes}");
    let refused = Command::new("promtool").args(["query", "instant", &url, "up +"]).output().unwrap();
    assert!(stderr(&refused).contains("bad_data: invalid parameter \"query\": 1:5: parse error"));
}

/// Questions whose answers do not depend on what is measured; both have to give the very same.
const SAME: [(&str, &str); 23] = [
    ("GET /api/v1/query?query=1%2F0&time=12.3456", ""),
    ("POST /api/v1/query", "query=vector(1)%2F3&time=1970-01-01T00%3A00%3A05.5Z"),
    (
        "POST /api/v1/query?query=1&time=5",
        "query=label_replace(vector(-0.5)%2C%22a%22%2C%22b%22%2C%22%22%2C%22%22)",
    ),
    ("GET /api/v1/query?query=%22a%5C%22b%22&time=0", ""),
    ("GET /api/v1/query?query=vector(1e300*1e9)&time=0", ""),
    ("GET /api/v1/query?query=vector(1e-9)&time=-5.25", ""),
    ("GET /api/v1/query?query=vector(0%2F0)&time=0", ""),
    ("GET /api/v1/query?query=nothing", ""),
    ("GET /api/v1/query?query=up&timeout=x", ""),
    ("GET /api/v1/query_range?query=time()&start=0&end=10&step=2.5", ""),
    ("GET /api/v1/query_range?query=vector(1)&start=0&end=60&step=30s", ""),
    ("GET /api/v1/query_range?query=nothing&start=0&end=10&step=5", ""),
    ("GET /api/v1/query_range?query=up&start=1&end=0&step=1", ""),
    ("GET /api/v1/query_range?query=nothing&start=0&end=11000&step=1", ""),
    ("GET /api/v1/query_range?query=nothing&start=0&end=11001&step=1", ""),
    ("GET /api/v1/query_range?query=up&start=0&end=1&step=0", ""),
    ("GET /api/v1/query_range?query=up&start=0&end=1", ""),
    ("GET /api/v1/query_range?query=up&start=x&end=1&step=1", ""),
    ("GET /api/v1/series", ""),
    ("GET /api/v1/series?match%5B%5D=nothing", ""),
    ("GET /api/v1/label/nothing/values", ""),
    ("GET /api/v1/rules?type=x", ""),
    ("GET /api/v1/query_exemplars?query=up&start=0&end=1", ""),
];

/// Questions whose answers have the same shape.
const ALIKE: [&str; 6] = [
    "GET /api/v1/query?query=up",
    "GET /api/v1/query?query=up%5B5s%5D",
    "GET /api/v1/series?match%5B%5D=up",
    "GET /api/v1/labels?match%5B%5D=up",
    "GET /api/v1/label/job/values",
    "GET /api/v1/status/buildinfo",
];

#[test]
fn answers_are_those_of_a_real_prometheus() {
    if is_missing("prometheus") {
        return;
    }
    let (agent, prometheus) = (Server::agent(), Server::prometheus());
    for (what, form) in SAME {
        assert_eq!(agent.ask(what, form), prometheus.ask(what, form), "{what} {form}");
    }
    for what in ALIKE {
        let [ours, theirs] = [&agent, &prometheus].map(|server| server.ask(what, ""));
        assert_eq!((ours.0, shape(&ours.1)), (theirs.0, shape(&theirs.1)), "{what}");
    }
    for what in ["GET /api/v1/rules", "GET /api/v1/alerts"] {
        let [ours, theirs] = [&agent, &prometheus].map(|server| server.ask(what, "").1);
        assert_holds(&ours, &theirs, what);
    }
}

/// The value with kinds in place of what was measured.
fn shape(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(shape).take(1).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        other => other.clone(),
    }
}

/// Whatever stands in the real answer stands in ours, which says more. Times and files are only alike.
fn assert_holds(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{at}");
            for (number, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                assert_holds(ours, theirs, &format!("{at}[{number}]"));
            }
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in theirs {
                let found = ours.get(name).unwrap_or_else(|| panic!("{at} has no {name}: {ours:?}"));
                assert_holds(found, value, &format!("{at}.{name}"));
            }
        }
        _ if ["Evaluation", "evaluationTime", "activeAt", "file"].iter().any(|end| at.ends_with(end)) => {
            assert_eq!(shape(ours), shape(theirs), "{at}");
        }
        // 15 and 15.0 are the same number.
        _ => assert!(
            ours == theirs || ours.as_f64().is_some_and(|ours| Some(ours) == theirs.as_f64()),
            "{at}: {ours} and {theirs}"
        ),
    }
}

#[test]
fn people_ask_the_agent_and_are_shown_what_is_wrong_with_their_question() {
    let agent = Server::agent();
    let table = agent.command(&["query", "count by (job) (node_cpu_seconds_total) > 1"]);
    assert!(stdout(&table).starts_with("{job=\"node\"}  "), "{}{}", stdout(&table), stderr(&table));
    let chart = stdout(&agent.command(&["query", "up * 3", "--range", "2s", "--step", "500ms"]));
    assert!(chart.contains("{instance=") && chart.contains(" 3 to 3, 3\n"), "{chart}");
    let json = stdout(&agent.command(&["query", "vector(7)", "--at", "1970-01-01T00:00:05Z", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["data"]["result"][0]["value"], serde_json::json!([5, "7"]));
    for (expression, code, place) in
        [("sum(up", 2, "^"), ("up + on() node_cpu_seconds_total", 1, "many-to-many")]
    {
        let output = agent.command(&["query", expression]);
        assert_eq!(output.status.code(), Some(code), "{expression}");
        let said = stderr(&output);
        assert!(said.contains(place) && said.contains("expression"), "{said}");
    }
    let alerts = stdout(&agent.command(&["alerts"]));
    assert!(alerts.starts_with("firing Always for ") && alerts.contains("summary: is 2"), "{alerts}");
    assert!(alerts.contains("\npending Later for "), "{alerts}");
    let rules = stdout(&agent.command(&["alerts", "--rules"]));
    assert!(rules.contains("firing") && rules.contains("records") && rules.contains("a:b"), "{rules}");
    let alerts: Value = serde_json::from_slice(&agent.command(&["alerts", "--json"]).stdout).unwrap();
    assert_eq!(alerts["data"]["alerts"][0]["labels"]["alertname"], "Always");
}

#[test]
fn a_page_that_has_its_name_resolve_to_this_host_reads_nothing() {
    let agent = Server::agent();
    let mut stream = TcpStream::connect(("127.0.0.1", agent.port)).unwrap();
    write!(stream, "GET /api/v1/query?query=up HTTP/1.1\r\nHost: evil.example\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("metric"), "{answer}");
    assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
}
