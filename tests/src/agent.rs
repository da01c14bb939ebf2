//! `hostmend run`: how it starts, stops and fails.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use otlp::Receiver;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::program::{Running, binary, free_port, run, stderr, stdout};

/// The promise of the README, with nothing else running on the machine it is measured on.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

const STARTS_WITHIN: Duration = Duration::from_secs(20);

const ARRIVES_WITHIN: Duration = Duration::from_secs(20);

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
    assert!(agent.log().contains("wait on disk for the next start"), "{}", agent.log());
    assert!(!agent.log().contains("telemetry was lost"), "{}", agent.log());
    let warnings: Vec<String> = agent
        .log()
        .lines()
        .filter(|line| line.contains("tried again") && line.contains("away"))
        .map(str::to_owned)
        .collect();
    assert!(warnings.len() == 1, "{warnings:?}");
}

/// What waits in the state directory: the signal and the request of each record, in base64.
fn waiting(directory: &TempDir) -> Vec<(String, String)> {
    let queue = directory.path().join("state/queue");
    let output = run(&["queue", "export", queue.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = stdout(&output);
    let records = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    records.map(|record| (text(&record["signal"]), text(&record["request"]))).collect()
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn of<'a>(signal: &str, records: &'a [(String, String)]) -> Vec<&'a str> {
    records.iter().filter(|(of, _)| of == signal).map(|(_, request)| request.as_str()).collect()
}

#[test]
fn what_waited_arrives_once_and_in_order_after_a_restart_and_after_a_kill() {
    for end in [Signal::TERM, Signal::KILL] {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (directory, configuration) = configuration(&format!("http://{address}"));
        let mut agent = start(&directory, &configuration);
        let before = agent.wait_for("telemetry on disk", ARRIVES_WITHIN, |_| {
            let waiting = waiting(&directory);
            (of("metrics", &waiting).len() >= 3 && !of("logs", &waiting).is_empty()).then_some(waiting)
        });
        agent.signal(end);
        agent.ended(STOPS_WITHIN);
        assert!(!agent.log().contains("telemetry was lost"), "{}", agent.log());
        let waited = waiting(&directory);

        let received = Arc::<Mutex<Vec<(String, String)>>>::default();
        let keep = Arc::clone(&received);
        let _receiver = Receiver::bind(address, move |batch| {
            keep.lock().unwrap().push((batch.signal.to_string(), STANDARD.encode(&batch.payload)));
        })
        .unwrap();
        let mut agent = start(&directory, &configuration);
        agent.wait_for("delivery", ARRIVES_WITHIN, |_| {
            let received = received.lock().unwrap();
            (of("metrics", &received).len() > of("metrics", &waited).len()).then_some(())
        });
        agent.signal(Signal::TERM);
        agent.ended(STOPS_WITHIN);
        let received = received.lock().unwrap();
        for signal in ["metrics", "logs"] {
            let (before, waited, received) =
                (of(signal, &before), of(signal, &waited), of(signal, &received));
            assert!(waited.starts_with(&before), "{end:?}: {signal} that were on disk are gone");
            assert!(received.starts_with(&waited), "{end:?}: {signal} did not arrive in order");
            let distinct: BTreeSet<&str> = received.iter().copied().collect();
            assert_eq!(distinct.len(), received.len(), "{end:?}: {signal} arrived twice");
        }
    }
}

#[test]
fn garbage_in_the_queue_does_not_keep_the_agent_from_starting_and_is_told() {
    let (directory, configuration) = configuration(&format!("http://127.0.0.1:{}", free_port()));
    let queue = directory.path().join("state/queue");
    std::fs::create_dir_all(queue.join("metrics")).unwrap();
    for file in ["00000000000000000000.0000.segment", "away.position", "reserve"] {
        std::fs::write(queue.join("metrics").join(file), b"garbage ".repeat(1_000)).unwrap();
    }
    std::fs::write(queue.join("logs"), b"garbage").unwrap();
    let fsck = ["queue", "fsck", queue.to_str().unwrap()];
    assert_eq!(run(&fsck).status.code(), Some(3));
    let mut agent = start(&directory, &configuration);
    assert!(agent.log().contains("set aside") && agent.log().contains("wait in memory"), "{}", agent.log());
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended(STOPS_WITHIN).0.code(), Some(0));
    let output = run(&fsck);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn a_look_at_a_queue_that_is_not_there_names_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&["queue", "inspect", directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("name the directory that holds metrics"), "{}", stderr(&output));
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
