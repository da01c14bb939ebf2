//! A file system without room, or without a free inode.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use load::{Fate, Load, Protocol, Signal, Sink};

use super::ledger::ledger;
use super::trouble::in_own_mounts;
use super::{ARRIVES_WITHIN, Hub, destination};
use crate::program::{free_port, skip};

/// How soon everything is as before once there is room.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// An agent whose state lies in a small file system of its own; none where such a one cannot be mounted.
fn on_small_disk(options: &str, port: u16) -> Option<Hub> {
    let queue = "queue: { max_bytes: 33554432, min_free_bytes: 0 }\n";
    let mut hub = Hub::new(&(destination("away", port, "") + queue));
    let state = hub.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let mount = format!("mount -t tmpfs -o mode=700,{options} small {}", state.display());
    hub.wrapper = in_own_mounts(&mount);
    let (program, arguments) = hub.wrapper.split_first().unwrap();
    match Command::new(program).args(arguments).arg("true").output() {
        Ok(output) if output.status.success() => {}
        other => {
            skip("disk full", &format!("a file system cannot be mounted: {other:?}"));
            return None;
        }
    }
    hub.start();
    Some(hub)
}

/// Fills the disk by the telemetry itself and by `filler`, then makes room; everything that was accepted arrives or is
/// counted as lost, and within seconds the agent takes telemetry again.
fn is_survived(options: &str, fill: impl Fn(&PathBuf), make_room: impl Fn(&PathBuf)) {
    let port = free_port();
    let Some(mut hub) = on_small_disk(options, port) else { return };
    let state = hub.state();
    let before = load::drive(&hub.load(Protocol::Grpc, Signal::Logs, 100, 3));
    assert_eq!(before.count(Fate::Accepted), 3, "{:?}", before.said);
    fill(&state);
    let load = hub.load(Protocol::Grpc, Signal::Logs, 1000, 60);
    let during = load::drive(&load);
    assert_eq!(during.count(Fate::Unknown), 0, "{:?}", during.said);
    let refused = during.count(Fate::Refused);
    let is_retryable = |said: &String| said.starts_with("status 14");
    assert!(during.said.iter().all(is_retryable), "{:?}", during.said);
    let held = ledger(&hub, "away", Signal::Logs);
    assert!(refused > 0 || held.lost > 0, "the disk was never full");

    make_room(&state);
    let sink = Sink::listen(port).unwrap();
    let begun = Instant::now();
    let again =
        Load { every: Duration::from_millis(50), ..hub.load(Protocol::Grpc, Signal::Logs, 10, u64::MAX) };
    let stop = Arc::clone(&again.stop);
    let sending = std::thread::spawn(move || load::drive(&again));
    std::thread::park_timeout(BACK_WITHIN);
    stop.store(true, Ordering::Relaxed);
    let after = sending.join().unwrap();
    assert_eq!(after.batches.last().unwrap().fate, Fate::Accepted, "{:?}", after.said);

    let accepted = [(&before, 100), (&during, 1000), (&after, 10)];
    let accepted: u64 = accepted.iter().map(|(outcome, items)| outcome.count(Fate::Accepted) * items).sum();
    loop {
        let now = ledger(&hub, "away", Signal::Logs);
        if now.queued == 0 {
            // The agent's own log records are among them.
            let arrived = sink.arrived().items(Signal::Logs);
            assert!(arrived + now.lost >= accepted, "{arrived} of {accepted} arrived, lost: {}", now.lost);
            break;
        }
        assert!(begun.elapsed() < ARRIVES_WITHIN, "{now:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(sink.arrived().late(Signal::Logs), 0);
    hub.stop();
}

#[test]
fn a_full_disk_is_survived_and_left_behind() {
    let filler = |state: &PathBuf| state.join("filler");
    is_survived(
        "size=16m",
        |state| {
            // As much as there is; the end is the error that is wanted.
            let _ = std::fs::write(filler(state), vec![1; 16 << 20]);
        },
        |state| std::fs::remove_file(filler(state)).unwrap(),
    );
}

#[test]
fn a_file_system_without_a_free_inode_is_survived_and_left_behind() {
    let name = |state: &PathBuf, number: usize| state.join(format!("filler-{number}"));
    is_survived(
        "size=64m,nr_inodes=64",
        |state| {
            for number in 0..64 {
                let _ = std::fs::write(name(state, number), "");
            }
        },
        |state| {
            for number in 0..64 {
                let _ = std::fs::remove_file(name(state, number));
            }
        },
    );
}
