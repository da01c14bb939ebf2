//! What is done to files, and to the agent that follows them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::*;
use crate::program::skip;

const MIB: u64 = 1 << 20;

impl Bench {
    fn append(&self, name: &str, text: &str) {
        let path = self.logs().join(name);
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn id(&self) -> u32 {
        self.agent.as_ref().unwrap().id()
    }

    /// A figure of the process, in bytes.
    fn memory(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
        line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() * 1024
    }

    /// What the agent has open.
    fn open(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap();
        entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect()
    }
}

fn line(number: u64) -> String {
    format!("{MARK}{number:08}# ok\n")
}

/// Makes the file as long as the file system lets it be.
fn take_all_room(filler: &Path) {
    let mut filler = OpenOptions::new().create(true).append(true).open(filler).unwrap();
    while filler.write(&[1; 4096]).is_ok() {}
}

#[test]
fn a_line_of_64_mib_costs_its_end_and_little_memory() {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    bench.append("app.log", &line(0));
    all_arrive(&sink, 1, &bench);
    let before = bench.memory("VmRSS");
    let part = "x".repeat(MIB as usize);
    for _ in 0..64 {
        bench.append("app.log", &part);
    }
    bench.append("app.log", &format!("\n{}", line(1)));
    all_arrive(&sink, 2, &bench);
    let more = bench.memory("VmHWM").saturating_sub(before);
    assert!(more <= 16 * MIB, "{more} bytes");
    assert!(contains(&sink, "hostmend.log.truncated"));
    bench.end(Kill::TERM);
}

#[test]
fn ten_thousand_files_are_followed_with_256_descriptors() {
    const FILES: u64 = 10_000;
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.wrapper = vec!["prlimit".to_owned(), "--nofile=256:256".to_owned()];
    bench.start();
    for round in 0..2 {
        for file in 0..FILES {
            bench.append(&format!("app.log{file:05}"), &line(round * FILES + file));
        }
        assert_eq!(all_arrive(&sink, (round + 1) * FILES, &bench), 0);
        assert!(bench.open().len() < 200, "{}", bench.open().len());
    }
    bench.end(Kill::TERM);
}

#[test]
fn a_deleted_file_of_500_mb_is_let_go_once_its_end_was_read() {
    const SIZE: u64 = 500_000_000;
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    bench.append("app.log", &line(0));
    all_arrive(&sink, 1, &bench);
    let path = bench.logs().join("app.log");
    let file = File::options().write(true).open(&path).unwrap();
    let end = format!("\n{}", line(1));
    file.write_all_at(end.as_bytes(), SIZE - end.len() as u64).unwrap();
    std::fs::remove_file(&path).unwrap();
    all_arrive(&sink, 2, &bench);
    let is_held = || bench.open().iter().any(|open| open.to_string_lossy().contains("app.log"));
    until(&bench, "the file is let go", Duration::from_secs(10), || !is_held());
    bench.end(Kill::TERM);
}

#[test]
fn two_files_with_the_same_beginning_arrive_whole() {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    let heading = "the same heading\n".repeat(200);
    for name in ["app.log", "app.logger"] {
        bench.append(name, &heading);
    }
    for number in 0..100 {
        bench.append(if number % 2 == 0 { "app.log" } else { "app.logger" }, &line(number));
    }
    assert_eq!(all_arrive(&sink, 100, &bench), 0);
    let headings = sink
        .kept()
        .into_iter()
        .map(|(_, request)| String::from_utf8_lossy(&request).matches("the same heading").count());
    assert_eq!(headings.sum::<usize>(), 400);
    bench.end(Kill::TERM);
}

#[test]
fn halves_of_a_line_three_seconds_apart_are_one_record() {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    let whole = line(0);
    let (begin, end) = whole.split_at(9);
    bench.append("app.log", begin);
    std::thread::park_timeout(Duration::from_secs(3));
    bench.append("app.log", end);
    assert_eq!(all_arrive(&sink, 1, &bench), 0);
    bench.end(Kill::TERM);
}

#[test]
fn a_full_state_disk_holds_the_files_at_their_places_until_there_is_room() {
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    let state = bench.directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let mount = format!("mount -t tmpfs -o mode=700,size=8m small {}; exec \"$@\"", state.display());
    bench.wrapper = ["unshare", "--mount", "sh", "-euc", &mount, "sh"].map(str::to_owned).to_vec();
    let tried = std::process::Command::new(&bench.wrapper[0]).args(&bench.wrapper[1..]).arg("true").output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        return skip("full state disk", &format!("a file system cannot be mounted: {tried:?}"));
    }
    let text = std::fs::read_to_string(bench.configuration()).unwrap();
    // The socket lies where it can be reached.
    let more = format!(
        "queue: {{ max_bytes: 33554432, min_free_bytes: 0 }}\napi: {{ socket: '{}/api.sock' }}\n",
        bench.directory.path().display()
    );
    std::fs::write(bench.configuration(), format!("{text}{more}")).unwrap();
    bench.start();
    bench.append("app.log", &line(0));
    all_arrive(&sink, 1, &bench);
    let inside = state.strip_prefix("/").unwrap();
    let filler = Path::new(&format!("/proc/{}/root", bench.id())).join(inside).join("filler");
    let is_held = |bench: &Bench| {
        bench.ask("status").contains("logs are not read")
            || bench.agent.as_ref().unwrap().log().contains("logs are not read")
    };
    let place = |bench: &Bench| {
        let files: serde_json::Value = serde_json::from_str(&bench.ask("files")).unwrap();
        files["sources"][0]["files"][0]["offset"].as_u64().unwrap()
    };
    let stays = |bench: &Bench| {
        let before = place(bench);
        std::thread::park_timeout(Duration::from_secs(2));
        is_held(bench) && place(bench) == before
    };
    // What the agent removes makes room again; each line is sent before the next one, so none is dropped for want of it.
    for round in 0.. {
        take_all_room(&filler);
        let mark = format!("round {round} of ");
        bench.append("app.log", &format!("{mark}{}\n", "x".repeat(MIB as usize / 8)));
        let is_sent = || contains(&sink, &mark);
        until(&bench, "the line is sent, or nothing is read", WITHIN, || is_held(&bench) || is_sent());
        if stays(&bench) {
            break;
        }
        assert!(round < 20, "the disk is full, and what is written is read");
    }
    let writer = Writer::start(bench.logs().join("app.log"), u64::MAX, |_| ());
    assert!(stays(&bench), "what cannot be kept was read");
    std::fs::remove_file(&filler).unwrap();
    let written = writer.end();
    all_arrive(&sink, written, &bench);
    let log = bench.agent.as_ref().unwrap().log();
    assert!(log.contains("logs are read again"), "{log}");
    bench.end(Kill::TERM);
}

#[test]
fn what_the_kernel_did_not_tell_is_looked_for() {
    /// More makes the test long.
    const MOST_EVENTS: u64 = 100_000;
    const UNTOLD: u64 = 100;
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: u64 = limit.trim().parse().unwrap();
    if limit > MOST_EVENTS {
        return skip("lost events", &format!("{limit} may wait"));
    }
    let sink = listening();
    let mut bench = Bench::new(sink.address().port(), "");
    bench.start();
    bench.agent.as_ref().unwrap().signal(Kill::STOP);
    // Only events that follow each other and are the same become one.
    let open =
        |name: &str| OpenOptions::new().create(true).append(true).open(bench.logs().join(name)).unwrap();
    let mut files = [open("app.log"), open("app.logger")];
    for number in 0..=limit {
        let [file, other] = &mut files;
        let file = if number % 2 == 0 { file } else { other };
        file.write_all(line(number).as_bytes()).unwrap();
    }
    let told = limit + 1;
    for number in told..told + UNTOLD {
        bench.append(&format!("app.log{number}"), &line(number));
    }
    bench.agent.as_ref().unwrap().signal(Kill::CONT);
    // Within five seconds where nobody else needs the processor.
    assert_eq!(all_arrive(&sink, told + UNTOLD, &bench), 0);
    bench.end(Kill::TERM);
}
