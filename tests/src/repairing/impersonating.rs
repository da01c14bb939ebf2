//! Anybody on the host may send telemetry and write log lines. What they say starts no run that does not trust them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Host, WITHIN, stop};
use crate::program::{free_port, stdout};

const RESTART: &str = "proc::restart(p.process); fixed(\"restarted\")";
const VERIFY: &str = "    verify: { expr: 'vector(1) == 1', within: 4s, settle: 0s }\n";

/// A host that takes telemetry, with this rule, on which its only runbook acts.
fn host(expr: &str, trust: &str) -> (Host, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let more = format!(
        "receive: {{ listeners: [{{ name: apps, http: \"{address}\" }}] }}\n\
         taps: {{ log_rules: [{{ name: victim-gone, pattern: 'victim is gone' }}] }}\n"
    );
    let host = Host::new("auto", RESTART, &more, &format!("{VERIFY}{trust}"));
    let rules = format!("groups:\n- name: g\n  rules:\n  - {{ alert: VictimGone, expr: '{expr}' }}\n");
    host.write("rules.yaml", &rules);
    (host, address)
}

#[expect(clippy::disallowed_methods, reason = "another program sends telemetry")]
fn post(address: SocketAddr, path: &str, body: &str) {
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sS", "--max-time", "10", "-H", "Content-Type: application/json", "--data", body]);
    let output = curl.args(["-w", "%{http_code}"]).arg(format!("http://{address}{path}")).output().unwrap();
    assert!(stdout(&output).ends_with("200"), "{}", stdout(&output));
}

/// A gauge of this name that is 0, of the unit and the watch that the host itself knows.
fn gauge(name: &str) -> String {
    let now = now();
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    json!({ "resourceMetrics": [{
        "resource": { "attributes": [attribute("service.name", "hostmend"), attribute("hostmend.origin", "host")] },
        "scopeMetrics": [{ "scope": { "name": "hostmend" }, "metrics": [{ "name": name, "gauge": { "dataPoints": [{
            "timeUnixNano": now, "asInt": "0", "attributes": [attribute("hostmend.watch.name", "victim")]
        }] } }] }]
    }] })
    .to_string()
}

/// A line of a log.
fn record(text: &str) -> String {
    let record = json!({ "timeUnixNano": now(), "body": { "stringValue": text } });
    json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] }).to_string()
}

#[test]
fn a_received_series_under_the_name_of_the_hosts_own_starts_no_run() {
    let (host, address) = host("hostmend_watch_process_count{hostmend_watch_name=\"victim\"} == 0", "");
    // The victim is there, so the host itself has nothing to complain of.
    let mut sleeper = sleeper();
    host.write("victim.pid", &format!("{}\n", sleeper.id()));
    let mut agent = host.start();
    for name in ["hostmend.watch.process.count", "hostmend_watch_process_count"] {
        post(address, "/v1/metrics", &gauge(name));
    }
    let before = rounds(&host);
    agent.wait_for("rounds", WITHIN, |_| (rounds(&host) > before + 4).then_some(()));
    assert_eq!(host.steps(), Vec::<Value>::new(), "{}", agent.log());
    sleeper.kill().and_then(|()| sleeper.wait()).unwrap();
    stop(agent);
}

#[test]
fn an_alert_on_what_others_send_is_refused_by_a_runbook_that_does_not_trust_them() {
    let of_logs = "increase(log_rule_matches_total{log_rule_name=\"victim-gone\"}[1m]) > 0";
    for (expr, path, body) in [
        ("app_down == 0", "/v1/metrics", gauge("app.down")),
        (of_logs, "/v1/logs", record("the victim is gone")),
    ] {
        let (host, address) = host(expr, "");
        let mut agent = host.start();
        post(address, path, &body);
        let (outcome, reason) = host.finished(&mut agent, 1);
        assert_eq!(outcome, "refused", "{reason}");
        assert!(reason.contains("trust") && reason.contains("otlp:apps"), "{reason}");
        assert_eq!(host.victim(), None);
        stop(agent);
    }
}

#[test]
fn an_alert_on_what_others_send_is_answered_by_a_runbook_that_trusts_them() {
    let (host, address) = host("app_down == 0", "    trust: [\"otlp:apps\"]\n");
    let mut agent = host.start();
    post(address, "/v1/metrics", &gauge("app.down"));
    assert_eq!(host.finished(&mut agent, 1).0, "repaired", "{}", agent.log());
    stop(agent);
}

#[expect(clippy::disallowed_methods, reason = "a test says when a point was measured")]
fn now() -> String {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().to_string()
}

#[expect(clippy::disallowed_methods, reason = "a test needs a process that is there")]
fn sleeper() -> std::process::Child {
    std::process::Command::new("sleep").arg("600").spawn().unwrap()
}

/// How often rules were evaluated.
fn rounds(host: &Host) -> u64 {
    let status: Value = serde_json::from_str(&host.ask(&["status", "--json"], 0)).unwrap();
    status["rules"]["evaluations"].as_u64().unwrap_or_default()
}
