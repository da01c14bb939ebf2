//! What it costs to take telemetry in, keep it on disk and pass it on: the agent beside the OpenTelemetry Collector.
//!
//! Both run as processes of their own between a generator and a sink that are this process; both have a queue on disk.
//! What counts is the CPU time of the process under test and, since machines differ, the ratio of the two in one run.
//!
//!     cargo run --release -p tests --bin hub-bench             everything
//!     cargo run --release -p tests --bin hub-bench spans       what has this in its name
//!
//! The Collector is what `tests/collector/build.sh` builds; without it the agent is measured alone. The agent syncs
//! before it answers. The Collector's `file_storage` does not unless it is told to, so it is measured both ways.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "programs are started, and what they take is measured")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

mod subject;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use load::{Fate, Load, Protocol, Signal, Sink, Template};
use subject::{Kind, Options, Subject};

/// One line of the table.
struct Case {
    name: &'static str,
    signal: Signal,
    protocol: Protocol,
    connections: u32,
    streams: u32,
    items: u64,
    requests: u64,
}

const SPANS: Case = Case {
    name: "spans",
    signal: Signal::Traces,
    protocol: Protocol::Grpc,
    connections: 4,
    streams: 2,
    items: 1000,
    requests: 2000,
};

const CASES: &[Case] = &[
    SPANS,
    Case { name: "spans, received over HTTP", protocol: Protocol::Http, streams: 1, connections: 8, ..SPANS },
    Case { name: "log records", signal: Signal::Logs, ..SPANS },
    Case { name: "points", signal: Signal::Metrics, ..SPANS },
    Case {
        name: "small requests of 1 span, one connection, 64 at once",
        connections: 1,
        streams: 64,
        items: 1,
        requests: 40_000,
        ..SPANS
    },
    Case {
        name: "small requests of 1 span, one connection, one at a time",
        connections: 1,
        streams: 1,
        items: 1,
        requests: 4000,
        ..SPANS
    },
];

fn main() -> anyhow::Result<()> {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    println!(
        "| work | program | items | bytes of one | wall s | CPU s | CPU s per million | to the agent | p50 | p99 | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for case in CASES.iter().filter(|case| case.name.contains(&wanted)) {
        let mut ours = None;
        for kind in Kind::ALL {
            if let Some(subject) = Subject::start(kind, Options::default())? {
                let cost = measure(case, &subject)?;
                ours.get_or_insert(cost);
                println!("{:.2} |", cost / ours.unwrap_or(cost));
            }
        }
    }
    if "backlog of 1 GB".contains(&wanted) {
        backlog()?;
    }
    Ok(())
}

/// Sends the load through `subject` until all of it has arrived, and prints a line; gives the CPU time of an item.
fn measure(case: &Case, subject: &Subject) -> anyhow::Result<f64> {
    let template = Template::new(case.signal, case.items);
    let load = Load {
        connections: case.connections,
        streams: case.streams,
        ..Load::new(
            subject.address(case.protocol),
            case.protocol,
            template.clone(),
            case.requests / u64::from(case.connections * case.streams),
        )
    };
    // The first requests pay for what is made once.
    load::drive(&Load { requests: 5, ..load.clone() });
    let sent = 5 * u64::from(case.connections * case.streams) * case.items;
    arrive(&subject.sink, case.signal, sent)?;
    let (cpu, began) = (subject.program.cpu()?, Instant::now());
    let outcome = load::drive(&load);
    let accepted = outcome.count(Fate::Accepted) * case.items;
    ensure!(outcome.count(Fate::Unknown) == 0, "{:?}", outcome.said);
    arrive(&subject.sink, case.signal, sent + accepted)?;
    let (cpu, wall) = (subject.program.cpu()? - cpu, began.elapsed());
    let each = cpu / accepted as f64;
    print!(
        "| {} | {} | {accepted} | {} | {:.1} | {:.2} | {:.2} | {:.1} ms | {:.1} ms | {:.1} | ",
        case.name,
        subject.kind.name(),
        template.bytes() / usize::try_from(case.items)?,
        wall.as_secs_f64(),
        cpu,
        each * 1e6,
        outcome.quantile(0.5).as_secs_f64() * 1e3,
        outcome.quantile(0.99).as_secs_f64() * 1e3,
        subject.program.peak_kib()? as f64 / 1024.0,
    );
    let refused = outcome.count(Fate::Refused);
    if refused > 0 {
        print!("{refused} requests refused ({:?}); ", outcome.said);
    }
    Ok(each)
}

/// Waits until so many different items have arrived.
fn arrive(sink: &Sink, signal: Signal, items: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    while sink.items(signal) < items {
        ensure!(began.elapsed() < Duration::from_mins(3), "{} of {items} items arrived", sink.items(signal));
        std::thread::park_timeout(Duration::from_millis(5));
    }
    Ok(())
}

/// What is resident while a gigabyte waits, and while it drains.
fn backlog() -> anyhow::Result<()> {
    println!(
        "\n| 1 GB of spans waits | resident before MB | with it MB | drained in s | peak MB |\n|---|---|---|---|---|"
    );
    for kind in [Kind::Agent, Kind::CollectorSynced] {
        let Some(mut subject) = Subject::start(kind, Options { destination_is_away: true })? else {
            continue;
        };
        let template = Template::new(Signal::Traces, 1000);
        let requests = 1_000_000_000 / template.bytes() as u64;
        let load = Load {
            connections: 4,
            ..Load::new(subject.address(Protocol::Grpc), Protocol::Grpc, template, requests / 4)
        };
        let before = subject.program.resident_kib()?;
        let outcome = load::drive(&load);
        let accepted = outcome.count(Fate::Accepted);
        ensure!(accepted * 10 >= requests * 9, "{accepted} of {requests} accepted: {:?}", outcome.said);
        let with_it = subject.program.resident_kib()?;
        subject.destination_returns().context("listening again")?;
        let began = Instant::now();
        arrive(&subject.sink, Signal::Traces, accepted * 1000)?;
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            kind.name(),
            before as f64 / 1024.0,
            with_it as f64 / 1024.0,
            began.elapsed().as_secs_f64(),
            subject.program.peak_kib()? as f64 / 1024.0
        );
    }
    Ok(())
}
