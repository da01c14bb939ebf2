//! Logs of the host, from the line that a program writes to the destination: what was written arrives, whatever happens in
//! between.

#![expect(clippy::disallowed_methods, reason = "tests measure how long the program takes")]

mod signals;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use load::{Mood, Signal, Sink};
use rustix::process::Signal as Kill;
use tempfile::TempDir;

use crate::program::{Running, binary, free_port, run, stderr, stdout};

mod faults;
mod rotating;

/// Also when other tests and compilers want the processors.
const WITHIN: Duration = Duration::from_mins(1);
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Lines that are written at a time, and how often: 5,000 a second.
const AT_A_TIME: u64 = 25;
const EVERY: Duration = Duration::from_millis(5);

/// What stands around the number of a line.
const MARK: &str = "#line-";

/// The most lines of [`AT_A_TIME`] that one round of the agent can hold.
const ROUND: u64 = 20_000;

/// An agent that follows `app.log*` in a directory of its own.
struct Bench {
    directory: TempDir,
    agent: Option<Running>,
    /// What the agent is started by, with its arguments.
    wrapper: Vec<String>,
}

impl Bench {
    /// Sends to this port; `more` are keys of the source.
    fn new(port: u16, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("logs")).unwrap();
        let bench = Self { directory, agent: None, wrapper: Vec::new() };
        let text = format!(
            "state_directory: state\ncollect: {{ interval: 1m }}\ndestinations:\n  - {{ name: sink, endpoint: \
             \"http://127.0.0.1:{port}\", compression: none }}\nlogs:\n  files:\n  - name: app\n    include: ['{}/app.log*']\n{more}",
            bench.logs().display()
        );
        std::fs::write(bench.configuration(), text).unwrap();
        bench
    }

    fn logs(&self) -> PathBuf {
        self.directory.path().join("logs")
    }

    fn configuration(&self) -> PathBuf {
        self.directory.path().join("hostmend.yaml")
    }

    fn start(&mut self) {
        let configuration = self.configuration();
        let mut command: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        command.extend([binary().to_str().unwrap(), "run", "--config", configuration.to_str().unwrap()]);
        let log = self.directory.path().join("log");
        let mut agent = Running::start(Path::new(command[0]), &command[1..], &[], &log);
        agent.wait_for("start", WITHIN, |log| log.contains(" running version").then_some(()));
        self.agent = Some(agent);
        // The first look at the directory: files that come later are read whole.
        let begun = Instant::now();
        while !self.ask("files").contains("\"name\":\"app\"") {
            assert!(begun.elapsed() < WITHIN);
        }
    }

    fn ask(&self, command: &str) -> String {
        let output = run(&[command, "--json", "--config", self.configuration().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    }

    fn end(&mut self, signal: Kill) {
        let agent = self.agent.as_mut().unwrap();
        agent.signal(signal);
        agent.ended(STOPS_WITHIN);
        assert!(!agent.log().contains("panicked"), "{}", agent.log());
    }
}

/// A program that writes numbered lines, and lets its file be rotated between two of them.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Writer {
    /// Calls `rotate` after every `lines` lines.
    fn start(path: PathBuf, lines: u64, rotate: impl Fn(&Path) + Send + 'static) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let open = || OpenOptions::new().create(true).append(true).open(&path).unwrap();
            let (mut file, mut number) = (open(), 0);
            while !stopped.load(Ordering::Relaxed) {
                let text: Vec<String> =
                    (number..number + AT_A_TIME).map(|number| format!("{MARK}{number:08}# ok\n")).collect();
                file.write_all(text.concat().as_bytes()).unwrap();
                number += AT_A_TIME;
                if number % lines == 0 {
                    rotate(&path);
                    file = open();
                }
                std::thread::park_timeout(EVERY);
            }
            number
        });
        Self { stop, thread }
    }

    /// Says how many lines it has written.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// How often each number arrived.
fn arrived(sink: &Sink) -> BTreeMap<u64, u64> {
    let mut times = BTreeMap::new();
    for (_, request) in sink.kept().iter().filter(|(signal, _)| *signal == Signal::Logs) {
        let text = String::from_utf8_lossy(request);
        for rest in text.split(MARK).skip(1) {
            let number = rest.get(..8).and_then(|digits| digits.parse().ok());
            *times.entry(number.unwrap_or(u64::MAX)).or_default() += 1;
        }
    }
    times
}

/// Waits until every number below `lines` has arrived; says how many came again.
fn all_arrive(sink: &Sink, lines: u64, bench: &Bench) -> u64 {
    let begun = Instant::now();
    loop {
        let times = arrived(sink);
        let missing = (0..lines).filter(|number| !times.contains_key(number)).count();
        if missing == 0 {
            assert_eq!(times.len() as u64, lines, "numbers that were never written arrived");
            return times.values().map(|times| times - 1).sum();
        }
        assert!(
            begun.elapsed() < WITHIN,
            "{missing} of {lines} lines never arrived, the first of them {:?}\n{}",
            (0..lines).find(|number| !times.contains_key(number)),
            bench.ask("files")
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Whether the text is in what arrived.
fn contains(sink: &Sink, text: &str) -> bool {
    sink.kept().iter().any(|(_, request)| String::from_utf8_lossy(request).contains(text))
}

/// Waits until it holds.
fn until(bench: &Bench, what: &str, within: Duration, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < within,
            "not within {within:?}: {what}\n{}\n{}",
            bench.ask("files"),
            bench.agent.as_ref().map(Running::log).unwrap_or_default()
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn listening() -> Sink {
    let sink = Sink::listen(0).unwrap();
    sink.keep();
    sink
}

#[test]
fn a_line_arrives_as_a_record_with_its_fields_its_file_and_without_its_secrets() {
    let sink = listening();
    let more = "    format: json\n    resource: { service.name: shop }\n";
    let mut bench = Bench::new(sink.address().port(), more);
    bench.start();
    let line = "{\"level\":\"warn\",\"msg\":\"#line-00000000#\",\"code\":7,\"password\":\"hunter2\"}\n";
    std::fs::write(bench.logs().join("app.log"), line).unwrap();
    all_arrive(&sink, 1, &bench);
    let requests = sink.kept();
    let of_line = requests.iter().map(|(_, request)| String::from_utf8_lossy(request));
    let text = of_line.into_iter().find(|text| text.contains(MARK)).unwrap();
    for there in ["log.file.name", "app.log", "service.name", "shop", "warn", "code", "[masked]", "host.name"]
    {
        assert!(text.contains(there), "{there} is missing in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    let files = bench.ask("files");
    assert!(files.contains("app.log") && files.contains("\"behind_bytes\":0"), "{files}");
    bench.end(Kill::TERM);
}

#[test]
fn a_file_that_is_renamed_under_load_loses_and_repeats_nothing() {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    let logs = bench.logs();
    let rotate = move |path: &Path| {
        let _ = std::fs::rename(logs.join("app.log.1"), logs.join("app.log.2"));
        std::fs::rename(path, logs.join("app.log.1")).unwrap();
    };
    let writer = Writer::start(bench.logs().join("app.log"), 1_000, rotate);
    std::thread::park_timeout(Duration::from_secs(3));
    let written = writer.end();
    assert!(written > 5_000, "{written}");
    assert_eq!(all_arrive(&sink, written, &bench), 0);
    bench.end(Kill::TERM);
}

#[test]
fn a_file_that_is_copied_and_truncated_under_load_loses_nothing() {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    let copy = bench.logs().join("app.log.1");
    let rotate = move |path: &Path| {
        std::fs::copy(path, &copy).unwrap();
        File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    };
    let writer = Writer::start(bench.logs().join("app.log"), 2_000, rotate);
    std::thread::park_timeout(Duration::from_secs(3));
    let written = writer.end();
    assert!(written > 5_000, "{written}");
    all_arrive(&sink, written, &bench);
    bench.end(Kill::TERM);
}

#[test]
fn killed_twenty_times_under_load_the_agent_skips_no_line_and_repeats_a_round_at_most() {
    const KILLS: u64 = 20;
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    let logs = bench.logs();
    let rotate = move |path: &Path| std::fs::rename(path, logs.join("app.log.1")).unwrap();
    let writer = Writer::start(bench.logs().join("app.log"), 50_000, rotate);
    for _ in 0..KILLS {
        std::thread::park_timeout(Duration::from_millis(200));
        bench.end(Kill::KILL);
        bench.start();
    }
    let written = writer.end();
    let repeated = all_arrive(&sink, written, &bench);
    // A round of the agent, and as much of the sender's, whose position was not saved yet.
    assert!(repeated <= KILLS * 2 * ROUND, "{repeated} lines came again");
    bench.end(Kill::TERM);
}

#[test]
fn what_is_written_while_the_destination_is_away_arrives_when_it_is_back() {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    sink.become_of(Mood::Unavailable);
    let writer = Writer::start(bench.logs().join("app.log"), u64::MAX, |_| ());
    std::thread::park_timeout(Duration::from_secs(1));
    bench.end(Kill::TERM);
    bench.start();
    sink.become_of(Mood::Well);
    let written = writer.end();
    assert_eq!(all_arrive(&sink, written, &bench), 0);
    bench.end(Kill::TERM);
}

#[test]
fn a_reload_follows_what_it_adds_and_leaves_the_rest_at_its_place() {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    let write = |name: &str, number: u64| {
        let path = bench.logs().join(name);
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{MARK}{number:08}#").unwrap();
    };
    write("app.log", 0);
    all_arrive(&sink, 1, &bench);
    let text = std::fs::read_to_string(bench.configuration()).unwrap();
    let logs = bench.logs();
    let more = format!("  - {{ name: more, start: beginning, include: ['{}/more*'] }}\n", logs.display());
    write("more.log", 1);
    std::fs::write(bench.configuration(), format!("{text}{more}")).unwrap();
    let output = run(&["reload", "--wait", "--config", bench.configuration().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    write("app.log", 2);
    assert_eq!(all_arrive(&sink, 3, &bench), 0);
    bench.end(Kill::TERM);
}

#[test]
fn without_a_destination_nothing_is_read_and_the_agent_says_so() {
    let mut bench = Bench::new(free_port(), "");
    let text = std::fs::read_to_string(bench.configuration()).unwrap();
    let (before, after) = (text.find("destinations:").unwrap(), text.find("logs:").unwrap());
    std::fs::write(bench.configuration(), format!("{}{}", &text[..before], &text[after..])).unwrap();
    bench.start();
    bench
        .agent
        .as_mut()
        .unwrap()
        .wait_for("complaint", WITHIN, |log| log.contains("no destination takes logs").then_some(()));
    assert!(bench.ask("status").contains("no destination takes logs"), "{}", bench.ask("status"));
    bench.end(Kill::TERM);
}
