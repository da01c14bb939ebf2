//! What it costs to ship log files: the agent beside the OpenTelemetry Collector with its filelog receiver.
//!
//! Both run as processes of their own between files and a sink that is this process, and both keep places and queues on
//! disk. What counts is the CPU time of the process under test and, since machines differ, the ratio of the two in one
//! run. Half of the lines are of an access log and half JSON; each has a number, so that one that is missing is seen.
//!
//!     cargo run --release -p tests --bin log-bench                500 MB at once, then 5,000 lines a second
//!     cargo run --release -p tests --bin log-bench 50             so many MB
//!     cargo run --release -p tests --bin log-bench 50 zstd        what has this in its name
//!     cargo run --release -p tests --bin log-bench 50 DIR/hostmend
//!                                                                 of this agent
//!
//! The Collector is what `tests/log-bench/collector/build.sh` builds; without it the agent is measured alone. The agent
//! syncs before it goes on reading, and masks secrets; the Collector does neither.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "lines have times and a rate, and what programs take is measured"
)]
#![expect(clippy::print_stdout, reason = "figures are printed")]

mod lines;
mod subject;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use lines::{Mix, Watched, now_nanos};
use subject::{Case, Kind, Subject};
use tempfile::TempDir;

const CASES: &[Case] = &[
    Case { name: "plain lines", compression: "none", is_http: false, is_parsed: false },
    Case { name: "plain lines, HTTP", compression: "none", is_http: true, is_parsed: false },
    Case { name: "plain lines, zstd", compression: "zstd", is_http: false, is_parsed: false },
    Case { name: "JSON, parsed", compression: "none", is_http: false, is_parsed: true },
];

/// Lines a second in the steady cases.
const RATE: u64 = 5_000;

/// How often some are written.
const BEAT: Duration = Duration::from_millis(10);

/// What is made once is made before this; what is measured comes after.
const FIRST: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(30);

/// Without a new line for so long, what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let megabytes = arguments.iter().find_map(|argument| argument.parse::<u64>().ok()).unwrap_or(500);
    let texts = || arguments.iter().filter(|argument| argument.parse::<u64>().is_err());
    let wanted = texts().find(|argument| !argument.contains('/'));
    let agent: PathBuf = match texts().find(|argument| argument.contains('/')) {
        Some(agent) => agent.into(),
        None => load::agent()?,
    };
    let cases =
        || CASES.iter().filter(|case| wanted.is_none_or(|wanted| case.name.contains(wanted.as_str())));
    // On a disk: where temporary files are kept in memory, syncing would cost nothing.
    let parent = std::env::var_os("LOG_BENCH_DIRECTORY").map_or_else(std::env::temp_dir, Into::into);
    println!(
        "| {megabytes} MB | program | lines | wall s | CPU s per million lines | to the agent | missing | repeated | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in cases() {
        let mut ours = None;
        for kind in Kind::ALL {
            let directory = TempDir::new_in(&parent)?;
            let logs = directory.path().join("logs");
            std::fs::create_dir(&logs)?;
            let lines = write_at_once(&logs, megabytes * 1_000_000, case)?;
            let Some(subject) = Subject::start(kind, case, &agent, directory)? else { continue };
            let cost = at_once(&subject, case, lines)?;
            let ours = *ours.get_or_insert(cost);
            let missing = lines - subject.watched.different();
            println!(
                "{:.2} | {missing} | {} | {:.1} |",
                cost / ours,
                subject.watched.repeated(),
                subject.program.peak_kib()? as f64 / 1024.0
            );
        }
    }
    println!(
        "\n| {RATE} lines a second | program | CPU % | to the agent | median ms | p99 ms | missing | repeated | resident MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in cases() {
        let mut ours = None;
        for kind in Kind::ALL {
            let directory = TempDir::new_in(&parent)?;
            std::fs::create_dir(directory.path().join("logs"))?;
            steady(kind, case, (&agent, directory), &mut ours)?;
        }
    }
    Ok(())
}

fn mix(case: &Case) -> Mix {
    if case.is_parsed { Mix::Json } else { Mix::Both }
}

/// Writes two files of together so many bytes, and says how many lines they have.
fn write_at_once(logs: &Path, bytes: u64, case: &Case) -> anyhow::Result<u64> {
    let mut files = [
        BufWriter::new(File::create(logs.join("one.log"))?),
        BufWriter::new(File::create(logs.join("two.log"))?),
    ];
    let (mut number, mut written, mut line) = (0, 0, String::new());
    while written < bytes {
        for file in &mut files {
            line.clear();
            mix(case).line(&mut line, number, 0);
            file.write_all(line.as_bytes())?;
            number += 1;
            written += line.len() as u64;
        }
    }
    for mut file in files {
        file.flush()?;
    }
    Ok(number)
}

/// Waits until all lines have arrived, and prints a part of a line; gives the CPU time of one.
fn at_once(subject: &Subject, case: &Case, lines: u64) -> anyhow::Result<f64> {
    let began = Instant::now();
    let missing = arrive(&subject.watched, lines);
    let (cpu, wall) = (subject.program.cpu()?, began.elapsed());
    ensure!(missing < lines, "nothing arrives:\n{}", subject.said());
    let each = cpu / (lines - missing) as f64;
    print!(
        "| {} | {} | {lines} | {:.1} | {:.2} | ",
        case.name,
        subject.kind.name(),
        wall.as_secs_f64(),
        each * 1e6,
    );
    Ok(each)
}

/// Waits until so many different lines have arrived, or nothing comes any more. How many are missing.
fn arrive(watched: &Watched, lines: u64) -> u64 {
    let (mut last, mut at) = (0, Instant::now());
    loop {
        let arrived = watched.different();
        if arrived >= lines || at.elapsed() > PATIENCE {
            return lines.saturating_sub(arrived);
        }
        if arrived > last {
            (last, at) = (arrived, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes lines to a file that the program follows, and prints what that takes of it.
fn steady(
    kind: Kind,
    case: &Case,
    (agent, directory): (&Path, TempDir),
    ours: &mut Option<f64>,
) -> anyhow::Result<()> {
    let logs = directory.path().join("logs");
    let mut file = File::create(logs.join("one.log"))?;
    let Some(subject) = Subject::start(kind, case, agent, directory)? else { return Ok(()) };
    let mut number = 0;
    let mut write = |long: Duration| -> anyhow::Result<()> {
        let (began, first) = (Instant::now(), number);
        let mut lines = String::new();
        while began.elapsed() < long {
            let due = (began.elapsed().as_secs_f64() * RATE as f64) as u64;
            lines.clear();
            while number - first < due {
                mix(case).line(&mut lines, number, now_nanos());
                number += 1;
            }
            file.write_all(lines.as_bytes())?;
            std::thread::sleep(BEAT);
        }
        Ok(())
    };
    write(FIRST)?;
    subject.watched.forget_delays();
    let (cpu, began) = (subject.program.cpu()?, Instant::now());
    write(MEASURED)?;
    let percent = (subject.program.cpu()? - cpu) / began.elapsed().as_secs_f64() * 100.0;
    let resident = subject.program.resident_kib()? as f64 / 1024.0;
    let missing = arrive(&subject.watched, number);
    let ours = *ours.get_or_insert(percent);
    println!(
        "| {} | {} | {percent:.1} | {:.2} | {:.0} | {:.0} | {missing} | {} | {resident:.1} |",
        case.name,
        kind.name(),
        percent / ours,
        subject.watched.delay(0.5),
        subject.watched.delay(0.99),
        subject.watched.repeated(),
    );
    Ok(())
}
