//! A process that is killed while it appends and acknowledges, again and again, on a real directory.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::queue::Queue;

const DIRECTORY: &str = "QUEUE_TEST_DIRECTORY";
const ROUNDS: usize = 12;

fn options() -> Options {
    Options { max_bytes: 1 << 30, ..small() }
}

/// Not a test: what the killed process runs.
#[test]
fn child_appends_and_acknowledges_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let (queue, _) = Queue::open(Path::new(&directory), options()).unwrap();
    let cursor = queue.cursor("a").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0.. {
                    let seq = queue.append_blocking(entry(thread, 700 + number % 5000)).unwrap();
                    writeln!(std::io::stdout(), "\naccepted {seq}").unwrap();
                }
            });
        }
        while cursor.wait(std::time::Duration::from_secs(10)) {
            let records = cursor.read(5, 1 << 20).unwrap();
            writeln!(std::io::stdout(), "\nacknowledged {}", records.last().unwrap().seq).unwrap();
            cursor.acknowledge(records.last().unwrap().position);
        }
    });
}

/// Lets a child run until it has accepted `count` records; says which it accepted, and how far it may have acknowledged.
fn killed_after(directory: &Path, count: usize) -> (Vec<u64>, u64) {
    #[expect(clippy::disallowed_methods, reason = "what is to be killed must be another process")]
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::killed::child_appends_and_acknowledges_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut accepted, mut acknowledged) = (Vec::new(), 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The last line may have been cut off by the kill, but not in the middle of a small write.
        match line.split_once(' ') {
            Some(("accepted", seq)) => accepted.push(seq.parse().unwrap()),
            Some(("acknowledged", seq)) => acknowledged = seq.parse::<u64>().unwrap() + 1,
            _ => {}
        }
        if accepted.len() == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (accepted, acknowledged)
}

#[test]
fn what_a_killed_process_accepted_is_all_there() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        let (accepted, acknowledged) = killed_after(directory.path(), 40 + round * 37);
        let (queue, opening) = Queue::open(directory.path(), options()).unwrap();
        assert!(opening.positions_reset.is_empty() && opening.quarantined.is_empty(), "{opening:?}");
        // Killed before its first position was saved, a cursor begins with the oldest record again.
        let figures = queue.figures().cursors.pop();
        let next = figures.as_ref().map_or(0, |figures| figures.accepted.records - figures.queued.records);
        assert!(next <= acknowledged.max(accepted[0]), "{next} was not acknowledged, only {acknowledged}");
        assert_eq!(figures.unwrap_or_default().lost.total(), Totals::default());
        let read: std::collections::BTreeSet<u64> =
            read_all(&queue.cursor("a").unwrap()).iter().map(|record| record.seq).collect();
        let missing: Vec<_> = accepted.iter().filter(|seq| **seq >= next && !read.contains(seq)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
