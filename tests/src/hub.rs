//! The agent between applications and collectors: what it took arrives, whatever happens in between.

#![expect(clippy::disallowed_methods, reason = "tests measure how long the program takes")]

mod collector_killed;
mod disk_full;
mod kills;
mod ledger;
mod sdk;
mod trouble;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use load::{Load, Outcome, Protocol, Signal, Sink, Template};
use rustix::process::Signal as Kill;
use tempfile::TempDir;

use crate::program::{Running, binary, free_port};

/// Also when other tests and compilers want the processors.
const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// A destination that was away for long is asked again after half a minute.
const ARRIVES_WITHIN: Duration = Duration::from_mins(1);
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// An agent that listens, in a directory of its own.
struct Hub {
    directory: TempDir,
    grpc: u16,
    http: u16,
    /// What starts the agent, if not the test itself.
    wrapper: Vec<String>,
    agent: Option<Running>,
}

impl Hub {
    /// Configures an agent that sends to these destinations, lines of YAML below `destinations:` and more.
    fn new(destinations: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (grpc, http) = (free_port(), free_port());
        let text = format!(
            "state_directory: state\ncollect: {{ interval: 1m }}\nreceive:\n  listeners:\n    - name: apps\n      \
             grpc: 127.0.0.1:{grpc}\n      http: 127.0.0.1:{http}\ndestinations:\n{destinations}\n"
        );
        std::fs::write(directory.path().join("hostmend.yaml"), text).unwrap();
        Self { directory, grpc, http, wrapper: Vec::new(), agent: None }
    }

    /// One that sends to a sink, and runs.
    fn to(sink: &Sink) -> Self {
        let mut hub = Self::new(&destination("sink", sink.address().port(), ""));
        hub.start();
        hub
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the agent; says how long it took until it listened.
    fn start(&mut self) -> Duration {
        let configuration = self.path().join("hostmend.yaml");
        let mut command = self.wrapper.clone();
        command.extend([binary().to_str().unwrap().to_owned(), "run".to_owned(), "--config".to_owned()]);
        command.push(configuration.to_str().unwrap().to_owned());
        let arguments: Vec<&str> = command.iter().skip(1).map(String::as_str).collect();
        let begun = Instant::now();
        let log = self.path().join("log");
        let mut agent = Running::start(Path::new(&command[0]), &arguments, &[], &log);
        agent.wait_for("listeners", STARTS_WITHIN, |_| {
            let listens = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            (listens(self.grpc) && listens(self.http)).then_some(())
        });
        self.agent = Some(agent);
        begun.elapsed()
    }

    fn agent(&mut self) -> &mut Running {
        self.agent.as_mut().expect("the agent was started")
    }

    /// Ends it at once, without a word.
    fn kill(&mut self) {
        self.agent().signal(Kill::KILL);
        self.agent().ended(STOPS_WITHIN);
    }

    /// Ends it in order.
    fn stop(&mut self) -> Duration {
        self.agent().signal(Kill::TERM);
        let (status, took) = self.agent().ended(STOPS_WITHIN);
        assert_eq!(status.code(), Some(0), "{}", self.agent().log());
        assert!(!self.agent().log().contains("panicked"), "{}", self.agent().log());
        took
    }

    /// The state directory of the agent that runs, as it is seen in the agent's own mounts.
    fn state(&self) -> PathBuf {
        let agent = self.agent.as_ref().expect("the agent was started").id();
        let inside = self.path().strip_prefix("/").expect("a temporary directory has a whole path");
        Path::new(&format!("/proc/{agent}/root")).join(inside).join("state")
    }

    fn address(&self, protocol: Protocol) -> SocketAddr {
        let port = match protocol {
            Protocol::Grpc => self.grpc,
            Protocol::Http => self.http,
        };
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// So many requests of so many items on one stream, flat out.
    fn load(&self, protocol: Protocol, signal: Signal, items: u64, requests: u64) -> Load {
        Load::new(self.address(protocol), protocol, Template::new(signal, items), requests)
    }

    /// The most that it has had resident, in KiB.
    fn peak_kib(&mut self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.agent().id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// A line of YAML: a destination on this host over gRPC, unless `more` says otherwise. Sinks read no compressed requests.
fn destination(name: &str, port: u16, more: &str) -> String {
    let more =
        if more.contains("compression") { more.to_owned() } else { format!(", compression: none{more}") };
    format!("  - {{ name: {name}, endpoint: \"http://127.0.0.1:{port}\"{more} }}\n")
}

/// Waits until so many different items have arrived.
fn arrive(sink: &Sink, signal: Signal, items: u64) {
    let begun = Instant::now();
    while sink.items(signal) < items {
        let arrived = sink.items(signal);
        assert!(begun.elapsed() < ARRIVES_WITHIN, "only {arrived} of {items} items arrived");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Waits until everything has arrived that was accepted, and asserts how often and in what order.
fn arrives_in_order(sink: &Sink, signal: Signal, items: u64, outcome: &Outcome) -> load::Arrived {
    let begun = Instant::now();
    loop {
        let arrived = sink.arrived();
        let missing = arrived.missing(signal, items, outcome);
        if missing == 0 {
            assert_eq!(arrived.late(signal), 0, "items came out of order");
            return arrived;
        }
        assert!(begun.elapsed() < ARRIVES_WITHIN, "{missing} accepted items never arrived");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
