//! `hostmend demo`, as a newcomer meets it.

use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Running, binary};

const TAKES_AT_MOST: Duration = Duration::from_mins(3);
const STOPS_WITHIN: Duration = Duration::from_secs(5);

fn start(log: &std::path::Path) -> Running {
    Running::start(binary(), &["demo"], &[], log)
}

/// Processes that were started with `text` in their command line.
fn processes_with(text: &str) -> Vec<String> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}

fn directory(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.trim_start().starts_with("directory "))?;
    line.split_whitespace().last().map(str::to_owned)
}

#[test]
fn the_demo_heals_all_three_faults_and_leaves_only_its_drafts() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = start(&place.path().join("log"));
    let (status, _) = demo.ended(TAKES_AT_MOST);
    let log = demo.log();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("3 of 3 faults healed"), "{log}");
    for told in ["guard", "asked for: ", "verification", "holds", "Arrived ", "spans"] {
        assert!(log.contains(told), "nothing is told of {told}:\n{log}");
    }
    let drafts: Vec<&str> =
        log.lines().map(str::trim).filter(|line| line.contains("/postmortems/")).collect();
    assert_eq!(drafts.len(), 3, "{log}");
    for draft in drafts {
        let text = std::fs::read_to_string(draft).unwrap();
        assert!(text.starts_with("# Post-mortem: ") && text.contains("repaired automatically"), "{text}");
    }
    let directory = directory(&log).unwrap();
    assert_eq!(processes_with(&directory), Vec::<String>::new());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = start(&place.path().join("log"));
    demo.wait_for("first fault", TAKES_AT_MOST, |log| log.contains("1 of 3").then_some(()));
    let directory = directory(&demo.log()).unwrap();
    demo.signal(Signal::INT);
    demo.ended(STOPS_WITHIN);
    assert_eq!(processes_with(&directory), Vec::<String>::new());
    assert!(!std::path::Path::new(&directory).exists());
}

#[test]
fn a_demo_that_is_killed_takes_its_victim_with_it() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = start(&place.path().join("log"));
    demo.wait_for("first fault", TAKES_AT_MOST, |log| log.contains("1 of 3").then_some(()));
    let directory = directory(&demo.log()).unwrap();
    demo.signal(Signal::KILL);
    demo.ended(STOPS_WITHIN);
    // The kernel kills the victim when its parent is gone; that takes a moment.
    for _ in 0..100 {
        if processes_with(&directory).is_empty() {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(processes_with(&directory), Vec::<String>::new());
    std::fs::remove_dir_all(directory).unwrap();
}
