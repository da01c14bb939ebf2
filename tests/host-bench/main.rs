//! What it costs to collect a host: the agent beside `node_exporter` and the Collector's hostmetrics receiver.
//!
//! Each runs as a process of its own on this host, beside so many processes that sleep, and delivers once a second: the
//! agent and the Collector to a sink over OTLP, `node_exporter` to who asks it. What counts is the CPU time of a cycle
//! and, since machines differ, the ratio of the two in one run.
//!
//!     cargo run --release -p tests --bin host-bench             with 100, 1,000 and 5,000 processes
//!     cargo run --release -p tests --bin host-bench 1000        with so many
//!     cargo run --release -p tests --bin host-bench hostmend    what has this in its name
//!
//! `node_exporter` is Debian's package; the Collector is what `tests/host-bench/collector/build.sh` builds. What is not
//! there is left out. The Collector tells 4 metrics of each process, `node_exporter` none of any.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "programs are started, and what they take is measured")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use load::{Program, Signal, Sink, target};
use tempfile::TempDir;

/// Cycles before the measured ones: what is made once is made then.
const FIRST: u64 = 5;

/// Cycles that are measured, a second each.
const CYCLES: u64 = 20;

/// A program that is measured.
struct Kind {
    name: &'static str,
    place: fn() -> anyhow::Result<PathBuf>,
    /// Its configuration, if it reads one, given where the sink listens; and its arguments, given where that lies and
    /// where it is to listen.
    configuration: Option<fn(u16) -> String>,
    arguments: fn(&str, u16) -> Vec<String>,
    is_scraped: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "hostmend",
        place: || Ok(load::agent()?),
        configuration: Some(|to| agent_configuration(to, "top: 20")),
        arguments: |file, _| vec!["run".to_owned(), "--config".to_owned(), file.to_owned()],
        is_scraped: false,
    },
    Kind {
        name: "hostmend, every process reported",
        place: || Ok(load::agent()?),
        configuration: Some(|to| agent_configuration(to, "top: 0")),
        arguments: |file, _| vec!["run".to_owned(), "--config".to_owned(), file.to_owned()],
        is_scraped: false,
    },
    Kind {
        name: "node_exporter",
        place: || Ok("/usr/bin/prometheus-node-exporter".into()),
        configuration: None,
        arguments: |_, at| vec![format!("--web.listen-address=127.0.0.1:{at}")],
        is_scraped: true,
    },
    Kind {
        name: "Collector, hostmetrics",
        place: || Ok(target().join("hostcol/hostcol")),
        configuration: Some(collector_configuration),
        arguments: |file, _| vec!["--config".to_owned(), file.to_owned()],
        is_scraped: false,
    },
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = arguments.iter().find_map(|argument| argument.parse::<usize>().ok());
    let named = arguments.iter().find(|argument| argument.parse::<usize>().is_err());
    println!("| processes | program | CPU ms per cycle | times ours | resident MB | delivered per cycle |");
    println!("|---|---|---|---|---|---|");
    for count in [100, 1000, 5000].into_iter().filter(|count| wanted.is_none_or(|wanted| wanted == *count)) {
        let sleepers = Sleepers::spawn(count)?;
        let mut ours = None;
        for kind in KINDS.iter().filter(|kind| named.is_none_or(|named| kind.name.contains(named.as_str()))) {
            let program = (kind.place)()?;
            if !program.exists() {
                println!("({} is not there)", program.display());
                continue;
            }
            let cost = measure(kind, &program)?;
            let ours = *ours.get_or_insert(cost.cpu);
            println!(
                "| {} | {} | {:.2} | {:.1} | {:.1} | {} |",
                sleepers.0.len(),
                kind.name,
                cost.cpu * 1e3,
                cost.cpu / ours,
                cost.resident_mib,
                cost.delivered
            );
        }
    }
    Ok(())
}

struct Cost {
    /// In seconds.
    cpu: f64,
    resident_mib: f64,
    delivered: String,
}

fn measure(kind: &Kind, program: &Path) -> anyhow::Result<Cost> {
    let directory = TempDir::new()?;
    let sink = Sink::listen(0)?;
    let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let file = directory.path().join("configuration.yaml");
    if let Some(text) = kind.configuration {
        std::fs::write(&file, text(sink.address().port()))?;
    }
    let file = file.to_str().context("a path in UTF-8")?;
    let arguments = (kind.arguments)(file, at);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let log = directory.path().join("log");
    let running = Program::start(program, &arguments, &log)?;
    let cycle = |_: u64| -> anyhow::Result<usize> {
        let begun = Instant::now();
        let size = if kind.is_scraped { scrape(at)? } else { 0 };
        std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
        Ok(size)
    };
    // It listens at once, or within the first second.
    std::thread::sleep(Duration::from_secs(1));
    (0..FIRST).try_for_each(|number| cycle(number).map(drop))?;
    let (cpu, requests) = (running.cpu()?, sink.arrived().requests);
    let bytes = (0..CYCLES).map(cycle).sum::<anyhow::Result<usize>>()?;
    let requests = sink.arrived().requests - requests;
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    ensure!(kind.is_scraped || requests > 0, "{} sends nothing:\n{said}", kind.name);
    // With many processes not everybody manages a cycle in a second.
    let cycles = if kind.is_scraped { CYCLES } else { requests.min(CYCLES) };
    let cpu = (running.cpu()? - cpu) / cycles as f64;
    let delivered = if kind.is_scraped {
        format!("{} KB of text", bytes / 1000 / usize::try_from(CYCLES)?)
    } else {
        format!("{:.1} requests", requests as f64 / CYCLES as f64)
    };
    debug_assert_eq!(sink.items(Signal::Traces), 0, "nobody sends spans");
    Ok(Cost { cpu, resident_mib: running.resident_kib()? as f64 / 1024.0, delivered })
}

/// Asks for all metrics, and says how many bytes came.
fn scrape(at: u16) -> anyhow::Result<usize> {
    let mut stream = TcpStream::connect(("127.0.0.1", at))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"), "no metrics");
    Ok(answer.len())
}

/// Processes that sleep until they are dropped.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn spawn(count: usize) -> anyhow::Result<Self> {
        let mut all = Self(Vec::with_capacity(count));
        for _ in 0..count {
            let child = Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn();
            all.0.push(child.with_context(|| format!("starting sleeper {} of {count}", all.0.len()))?);
        }
        Ok(all)
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

/// What the shipped configuration has, once a second, and a budget that lets it.
fn agent_configuration(to: u16, processes: &str) -> String {
    format!(
        "state_directory: state\ncollect: {{ interval: 1s, budget: {{ cpu: 100% }}, processes: {{ {processes} }} }}\n\
         destinations:\n  - {{ name: sink, endpoint: \"http://127.0.0.1:{to}\", compression: none }}\n"
    )
}

/// Every scraper that Linux has, as it comes.
fn collector_configuration(to: u16) -> String {
    format!(
        "receivers:\n  hostmetrics:\n    collection_interval: 1s\n    scrapers:\n      cpu: {{}}\n      disk: {{}}\n      \
         filesystem: {{}}\n      load: {{}}\n      memory: {{}}\n      network: {{}}\n      paging: {{}}\n      \
         processes: {{}}\n      process: {{ mute_process_all_errors: true }}\n\
         exporters:\n  otlp:\n    endpoint: 127.0.0.1:{to}\n    compression: none\n    tls: {{ insecure: true }}\n\
         service:\n  pipelines:\n    metrics: {{ receivers: [hostmetrics], exporters: [otlp] }}\n  \
         telemetry: {{ logs: {{ level: error }}, metrics: {{ level: none }} }}\n"
    )
}
