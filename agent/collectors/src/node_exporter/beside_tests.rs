//! The profile of this machine beside a `node_exporter` that runs on it.
//!
//! Debian's is 1.5, so labels and metrics that came later are ours alone.

#![expect(clippy::disallowed_methods, reason = "the test starts node_exporter and ends it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use telemetry::{Instrument, SampleBuffer, Timestamp};

use super::tests::{Series, all, ours, theirs, type_of};
use super::{METRICS, SPEC};
use crate::{Collector, HostRoot};

const PROGRAM: &str = "/usr/bin/prometheus-node-exporter";

struct NodeExporter {
    child: Child,
    /// Kept open: it ends when it cannot log.
    _log: BufReader<ChildStderr>,
    port: u16,
}

impl NodeExporter {
    /// One that listens; `None` where it is not installed.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(PROGRAM)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => panic!("{PROGRAM}: {error}"),
        };
        let mut log = BufReader::new(child.stderr.take().unwrap());
        // Its last line before it serves.
        let ready = log.by_ref().lines().map_while(Result::ok).any(|line| line.contains("TLS is disabled"));
        let started = Self { child, _log: log, port };
        assert!(ready, "{PROGRAM} ended at its start");
        Some(started)
    }

    fn scrape(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\nAccept: text/plain\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{head}");
        page.to_owned()
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(collector: &mut dyn Collector, host: &HostRoot) -> Series {
    let mut out = SampleBuffer::default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    out.reset(Timestamp::from_nanos(now.as_nanos() as i64), Timestamp::EPOCH);
    // A file system that hangs here is no business of this test.
    let _ = collector.collect(host, &mut out);
    ours(&out)
}

/// Names of theirs that are not ours, by their beginning, and why.
const NOT_OURS: [(&str, &str); 4] = [
    ("node_exporter_build_info", "we are another program"),
    ("node_scrape_collector_duration_seconds", "no collector reads a clock"),
    ("node_textfile_scrape_error", "stands where a directory of text files is configured"),
    ("node_time_zone_offset_seconds", "whoever needs the zone has it"),
];

/// Series that may differ, by the beginning of the name, and why.
const DIFFERENCES: [(&str, &str); 7] = [
    ("node_disk_info", "a later label"),
    ("node_network_info", "a later label"),
    ("node_filesystem_", "1.5 chooses other mounts, and other programs write meanwhile"),
    ("node_scrape_collector_success", "1.5 fails where a source is absent and has other sources"),
    ("node_arp_entries", "1.5 counts what it sees in its own namespace only"),
    ("node_softnet_", "CPUs have a number of their own since 1.6"),
    ("node_os_", "1.5 reads other files"),
];

#[test]
fn node_exporter_beside_us_sees_the_same_host() {
    let Some(beside) = NodeExporter::start() else {
        eprintln!("skipped node_exporter: {PROGRAM} is not installed (./test --install)");
        return;
    };
    let host = HostRoot::at("/");
    let mut collector = (SPEC.open)(&host, &all()).unwrap();
    let before = collect(collector.as_mut(), &host);
    let page = beside.scrape();
    let after = collect(collector.as_mut(), &host);
    let (theirs, types) = theirs(&page);

    let mut wrong = Vec::new();
    let excused =
        |list: &[(&str, &str)], name: &str| list.iter().any(|(beginning, _)| name.starts_with(beginning));
    for (name, kind) in types.iter().filter(|(name, _)| name.starts_with("node_")) {
        match METRICS.iter().find(|metric| metric.name == name) {
            Some(metric) if type_of(metric.instrument) != kind => wrong.push(format!("{name} is a {kind}")),
            None if !excused(&NOT_OURS, name) => wrong.push(format!("{name} is not ours")),
            _ => {}
        }
    }
    let mut same = 0;
    for (series, value) in &theirs {
        let name = series.0.as_str();
        let Some(metric) = METRICS.iter().find(|metric| metric.name == name) else { continue };
        match (before.get(series), after.get(series)) {
            (Some(before), Some(after)) if lies_between(metric.instrument, *before, *value, *after) => {
                same += 1;
            }
            // 1.5 still tells of compressed RAM.
            _ if excused(&DIFFERENCES, name)
                || series.1.iter().any(|(_, device)| device.starts_with("zram")) => {}
            found => wrong.push(format!("{series:?} is {value} there, {found:?} here")),
        }
    }
    assert!(wrong.is_empty(), "{same} agree, these do not:\n{}", wrong.join("\n"));
    assert!(same > 200, "{same}");
}

/// Counters between our two readings, what rises and falls near them.
fn lies_between(instrument: Instrument, before: f64, value: f64, after: f64) -> bool {
    // Sums of fractions differ in the last digits, and the kernel lets times of idle CPUs fall a little.
    let digits = value.abs() * 1e-9 + 0.1;
    if instrument == Instrument::Counter {
        return before <= value + digits && value <= after + digits;
    }
    let slack = 0.1 * before.abs().max(after.abs()) + 64.0;
    before.min(after) - slack <= value && value <= before.max(after) + slack
}
