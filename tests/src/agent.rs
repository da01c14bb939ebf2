//! `hostmend run`: how it starts, stops and fails.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::program::{Running, binary, free_port, run, stderr};

/// The promise of the README, with nothing else running on the machine it is measured on.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A directory with a configuration that sends to `endpoint`.
fn configuration(endpoint: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostmend.yaml");
    let text = format!(
        "state_directory: state\ncollect: {{ interval: 500ms }}\n\
         destinations:\n  - {{ name: away, endpoint: \"{endpoint}\" }}\n"
    );
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn start(directory: &TempDir, configuration: &std::path::Path) -> Running {
    let arguments = ["run", "--config", configuration.to_str().unwrap()];
    let mut agent = Running::start(binary(), &arguments, &[], &directory.path().join("log"));
    agent.wait_for("start", STARTS_WITHIN, |log| log.contains("running").then_some(()));
    agent
}

#[test]
fn sigterm_ends_the_agent_within_five_seconds_though_the_collector_is_away() {
    let (directory, configuration) = configuration(&format!("http://127.0.0.1:{}", free_port()));
    let mut agent = start(&directory, &configuration);
    agent.wait_for("complaint", STARTS_WITHIN, |log| log.contains("away").then_some(()));
    agent.signal(Signal::TERM);
    let (status, took) = agent.ended(STOPS_WITHIN);
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    assert!(took < STOPS_WITHIN);
}

#[test]
fn an_unreachable_collector_is_reported_once_and_by_name() {
    let (directory, configuration) = configuration(&format!("http://127.0.0.1:{}", free_port()));
    let mut agent = start(&directory, &configuration);
    agent.wait_for("complaint", STARTS_WITHIN, |log| log.contains("WARN").then_some(()));
    agent.signal(Signal::TERM);
    agent.ended(STOPS_WITHIN);
    assert!(agent.log().contains("telemetry was lost"), "what could not be sent is counted: {}", agent.log());
    let warnings: Vec<String> = agent
        .log()
        .lines()
        .filter(|line| line.contains("tried again") && line.contains("away"))
        .map(str::to_owned)
        .collect();
    assert!(warnings.len() == 1, "{warnings:?}");
}

#[test]
fn a_second_agent_on_the_same_state_is_refused() {
    let (directory, configuration) = configuration(&format!("http://127.0.0.1:{}", free_port()));
    let _first = start(&directory, &configuration);
    let second = run(&["run", "--config", configuration.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("another agent uses the state directory"), "{}", stderr(&second));
}

#[test]
fn a_configuration_with_errors_starts_nothing_and_exits_with_3() {
    let (directory, configuration) = configuration("ftp://collector");
    let output = run(&["run", "--config", configuration.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("hostmend.yaml:4:"), "{}", stderr(&output));
    assert!(!directory.path().join("state").exists());
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["demo", "--otlp-listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&address) && stderr(&output).contains("in use"), "{}", stderr(&output));
}

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    for (arguments, code) in
        [(["fly"].as_slice(), 2), (&["collect"], 2), (&["--help"], 0), (&["run", "--help"], 0)]
    {
        assert_eq!(run(arguments).status.code(), Some(code), "{arguments:?}");
    }
}
