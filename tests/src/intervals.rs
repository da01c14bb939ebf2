//! How often the running agent looks at its host.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, binary, run, stderr, stdout};

const WITHIN: Duration = Duration::from_secs(30);

/// Fires once the load was looked at twice, and less than half as often as the rest.
const RULES: &str = "groups:
- name: g
  interval: 500ms
  rules:
  - alert: Slower
    expr: >
      (count_over_time(hostmend_collector_success{hostmend_collector_name=\"load\"}[1m]) >= 2) * 2
      < scalar(count_over_time(hostmend_collector_success{hostmend_collector_name=\"uptime\"}[1m]))
";

struct Host {
    agent: Running,
    directory: TempDir,
}

impl Host {
    fn start(collect: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("rules.yaml"), RULES).unwrap();
        let configuration = directory.path().join("hostmend.yaml");
        write(&directory, collect);
        let arguments = ["run", "--config", configuration.to_str().unwrap()];
        let agent = Running::start(binary(), &arguments, &[], &directory.path().join("log"));
        Self { agent, directory }
    }

    /// Waits until the status shows `what`.
    fn shows(&mut self, what: &str, seen: impl Fn(&Value) -> bool) {
        let configuration = self.directory.path().join("hostmend.yaml");
        self.agent.wait_for(what, WITHIN, |_| {
            let output = run(&["status", "--json", "--config", configuration.to_str().unwrap()]);
            seen(&serde_json::from_str(&stdout(&output)).ok()?).then_some(())
        });
    }

    fn ask(&self, command: &[&str]) -> String {
        let configuration = self.directory.path().join("hostmend.yaml");
        let output = run(&[command, &["--config", configuration.to_str().unwrap()]].concat());
        format!("{}{}", stdout(&output), stderr(&output))
    }
}

fn write(directory: &TempDir, collect: &str) {
    let text = format!("state_directory: state\nrules: [rules.yaml]\ncollect: {{ {collect} }}\n");
    std::fs::write(directory.path().join("hostmend.yaml"), text).unwrap();
}

#[test]
fn a_collector_with_an_interval_of_its_own_is_asked_less_often_and_a_reload_changes_that() {
    let mut host = Host::start("interval: 500ms, intervals: { load: 2s }, budget: { cpu: 400% }");
    host.shows("the slower collector", |status| {
        status["rules"]["firing"][0]["labels"]["hostmend_collector_name"] == "load"
    });
    write(&host.directory, "interval: 500ms, budget: { cpu: 400% }");
    assert_eq!(host.ask(&["reload", "--wait"]), "reloaded; changed: collect\n");
    host.shows("one lane again", |status| status["rules"]["firing"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn intervals_become_longer_before_the_budget_is_exceeded_and_it_shows() {
    let mut host = Host::start("interval: 100ms, budget: { cpu: 0.1% }");
    host.shows("longer intervals", |status| status["collecting"]["stretch"].as_u64() > Some(1));
    assert!(host.agent.log().contains("times as long as configured"), "{}", host.agent.log());
    assert!(host.ask(&["status"]).contains("TIMES AS LONG"), "{}", host.ask(&["status"]));
}
