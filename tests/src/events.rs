//! What need not wait for the next collection.

#![expect(
    clippy::disallowed_methods,
    reason = "a test needs a process that ends, and measures how soon it is missed"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{Running, binary, run, stdout};

const WITHIN: Duration = Duration::from_secs(20);

/// A hundred times what it takes on a machine with nothing else to do.
const MISSED_WITHIN: Duration = Duration::from_secs(1);

/// Not due for an hour, whatever is collected.
const RULES: &str = "groups:
- name: watched
  interval: 1h
  rules:
  - { alert: Gone, expr: 'watched == 0' }
- name: recorded
  interval: 1h
  rules:
  - { record: watched, expr: 'hostmend_watch_process_count{hostmend_watch_name=\"it\"}' }
";

#[test]
fn a_watched_process_that_ends_is_judged_at_once_though_nothing_is_due() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut watched = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    std::fs::write(path("it.pid"), format!("{}\n", watched.id())).unwrap();
    std::fs::write(path("rules.yaml"), RULES).unwrap();
    let text = "state_directory: state\nrules: [rules.yaml]\n\
                collect: { interval: 1m, watch: [{ name: it, pid_file: it.pid }] }\n";
    std::fs::write(path("hostmend.yaml"), text).unwrap();
    let configuration = path("hostmend.yaml");
    let configuration = configuration.to_str().unwrap();
    let mut agent = Running::start(binary(), &["run", "--config", configuration], &[], &path("log"));
    agent.wait_for("the first collection", WITHIN, |_| {
        let output = run(&["status", "--json", "--config", configuration]);
        let status: serde_json::Value = serde_json::from_str(&stdout(&output)).ok()?;
        (status["series"]["kept"].as_u64()? > 0).then_some(())
    });

    watched.kill().unwrap();
    let killed = Instant::now();
    watched.wait().unwrap();
    agent.wait_for("the alert", WITHIN, |log| {
        log.lines().any(|line| line.contains("Gone") && line.contains("firing")).then_some(())
    });
    assert!(killed.elapsed() < MISSED_WITHIN, "{:?}\n{}", killed.elapsed(), agent.log());
    let output = run(&["status", "--json", "--config", configuration]);
    assert!(stdout(&output).contains("\"Gone\""), "{}", stdout(&output));
    agent.signal(Signal::TERM);
    let (status, _) = agent.ended(Duration::from_secs(5));
    assert!(status.success() && !agent.log().contains("did not end in time"), "{}", agent.log());
}
