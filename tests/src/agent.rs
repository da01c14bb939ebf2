//! `hostmend run`: how it starts, stops and fails.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
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
        "state_directory: state\ncollect: {{ interval: 500ms, budget: {{ cpu: 400% }} }}\n\
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

/// What waits in the state directory: the signal and the request of each record.
fn waiting(directory: &TempDir) -> Vec<(String, Vec<u8>)> {
    let queue = directory.path().join("state/queue");
    let output = run(&["queue", "export", queue.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = stdout(&output);
    let records = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let request = |record: &serde_json::Value| STANDARD.decode(record["request"].as_str().unwrap()).unwrap();
    records.map(|record| (record["signal"].as_str().unwrap().to_owned(), request(&record))).collect()
}

/// All requests of a signal as one, for what waits is sent together.
fn of(signal: &str, records: &[(String, Vec<u8>)]) -> Vec<u8> {
    records.iter().filter(|(of, _)| of == signal).flat_map(|(_, request)| request.iter().copied()).collect()
}

#[test]
fn what_waited_arrives_once_and_in_order_after_a_restart_and_after_a_kill() {
    for end in [Signal::TERM, Signal::KILL] {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (directory, configuration) = configuration(&format!("http://{address}"));
        let mut agent = start(&directory, &configuration);
        let before = agent.wait_for("telemetry on disk", ARRIVES_WITHIN, |_| {
            let waiting = waiting(&directory);
            let metrics = waiting.iter().filter(|(signal, _)| signal == "metrics").count();
            (metrics >= 3 && !of("logs", &waiting).is_empty()).then_some(waiting)
        });
        agent.signal(end);
        agent.ended(STOPS_WITHIN);
        assert!(!agent.log().contains("telemetry was lost"), "{}", agent.log());
        let waited = waiting(&directory);

        let received = Arc::<Mutex<Vec<(String, Vec<u8>)>>>::default();
        let keep = Arc::clone(&received);
        let _receiver = Receiver::bind(address, move |batch| {
            keep.lock().unwrap().push((batch.signal.to_string(), batch.payload.to_vec()));
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
            let since = &received[waited.len()..];
            let again = since.windows(before.len()).any(|window| window == before);
            assert!(!again, "{end:?}: {signal} arrived twice");
        }
    }
}

/// Refuses every request for good, until it is dropped.
struct Refusing(Option<std::thread::JoinHandle<()>>, SocketAddr);

impl Refusing {
    fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let serve = move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while request.read_line(&mut head).unwrap_or(0) > 2 {}
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let Some(length) = length else { return };
                let mut body = vec![0; length.parse().unwrap()];
                request.read_exact(&mut body).unwrap();
                let answer =
                    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\nconnection: close\r\n\r\nnope";
                stream.write_all(answer).unwrap();
            }
        };
        Self(Some(std::thread::spawn(serve)), address)
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        // A request that is none ends it.
        TcpStream::connect(self.1).unwrap().write_all(b"end\r\n\r\n").unwrap();
        self.0.take().unwrap().join().unwrap();
    }
}

#[test]
fn what_is_refused_for_good_is_shown_with_the_reason_and_sent_again_when_an_operator_says_so() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (directory, configuration) = configuration(&format!("http://{address}\", protocol: \"http/protobuf"));
    let configuration_path = configuration.to_str().unwrap();
    let refusing = Refusing::at(address);
    let mut agent = start(&directory, &configuration);
    let queue = directory.path().join("state/queue");
    let dead_letters = || {
        let output = run(&["queue", "inspect", "--json", queue.to_str().unwrap()]);
        let found: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        found["dead_letters"].as_array().unwrap().clone()
    };
    let [metrics, ..] = &agent.wait_for("dead letters", ARRIVES_WITHIN, |_| {
        let found = dead_letters();
        found.iter().any(|queue| queue["kept"]["records"].as_u64() >= Some(2)).then_some(found)
    })[..] else {
        panic!("there are dead letters")
    };
    assert_eq!((metrics["signal"].as_str(), metrics["refused_by"].as_str()), (Some("metrics"), Some("away")));
    let reason = metrics["reasons"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "away will never take this batch: it answered 400 Bad Request: nope");

    // The running agent sends them again, and they are refused again.
    let output = run(&["queue", "replay", "--config", configuration_path, "--signal", "metrics"]);
    assert!(stdout(&output).contains("records go to away again"), "{}{}", stdout(&output), stderr(&output));
    agent.signal(Signal::TERM);
    agent.ended(STOPS_WITHIN);
    drop(refusing);

    let output = run(&["queue", "replay", queue.to_str().unwrap(), "--destination", "away"]);
    assert!(stdout(&output).contains("go to away again when the agent starts"), "{}", stderr(&output));
    let output = run(&["queue", "replay", queue.to_str().unwrap(), "--destination", "other"]);
    assert!(stderr(&output).contains("there are of: away"), "{}", stderr(&output));
    let _receiver = Receiver::bind(address, |_| ()).unwrap();
    let mut agent = start(&directory, &configuration);
    agent.wait_for("delivery", ARRIVES_WITHIN, |_| {
        dead_letters().iter().all(|queue| queue["kept"]["records"] == 0).then_some(())
    });
    agent.signal(Signal::TERM);
    agent.ended(STOPS_WITHIN);
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
