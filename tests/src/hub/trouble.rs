//! Destinations that are away, slow or without a name; a limit that is reached; a stop with much to do.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use load::{Fate, Load, Protocol, Signal, Sink};

use super::ledger::ledger;
use super::{ARRIVES_WITHIN, Hub, STOPS_WITHIN, arrive, arrives_in_order, destination};
use crate::program::{free_port, skip};

/// The most that the agent may ever have resident.
const RESIDENT_KIB: u64 = 128 * 1024;

/// Bytes of all files below the state directory's queue.
fn on_disk(hub: &Hub, signal: &str) -> u64 {
    let directory = std::fs::read_dir(hub.state().join("queue").join(signal)).unwrap();
    // A segment may go while it is looked at.
    directory.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

#[test]
fn of_three_times_what_the_queue_may_hold_all_is_delivered_or_counted_as_lost() {
    const CAP: u64 = 32 << 20;
    const SEGMENT: u64 = 4 << 20;
    let port = free_port();
    let mut hub = Hub::new(&format!("{}queue: {{ max_bytes: {CAP} }}", destination("away", port, "")));
    hub.start();
    let load = hub.load(Protocol::Grpc, Signal::Traces, 1000, 0);
    let load = Load { requests: 3 * CAP / load.template.bytes() as u64, ..load };
    let stop = Arc::clone(&load.stop);
    let sending = std::thread::spawn(move || load::drive(&load));
    while !sending.is_finished() {
        let held = on_disk(&hub, "traces");
        assert!(held <= CAP + SEGMENT, "{held} bytes are on disk");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Relaxed);
    let outcome = sending.join().unwrap();
    let accepted = outcome.count(Fate::Accepted) * 1000;
    assert_eq!(accepted, outcome.batches.len() as u64 * 1000, "{:?}", outcome.said);
    let before = ledger(&hub, "away", Signal::Traces);
    assert_eq!((before.accepted, before.delivered), (accepted, 0));
    assert!(before.lost > 0 && before.queued > 0, "{before:?}");

    let sink = Sink::listen(port).unwrap();
    arrive(&sink, Signal::Traces, before.queued);
    let begun = Instant::now();
    while ledger(&hub, "away", Signal::Traces).queued > 0 {
        assert!(begun.elapsed() < ARRIVES_WITHIN);
    }
    let after = ledger(&hub, "away", Signal::Traces);
    assert_eq!((after.accepted, after.delivered, after.lost), (accepted, before.queued, before.lost));
    let arrived = sink.arrived();
    assert_eq!((arrived.items(Signal::Traces), arrived.duplicates(Signal::Traces)), (before.queued, 0));
    assert_eq!(arrived.late(Signal::Traces), 0);
    hub.stop();
}

#[test]
fn a_stop_with_a_hundred_thousand_spans_queued_takes_seconds_and_loses_none() {
    let port = free_port();
    let mut hub = Hub::new(&destination("away", port, ""));
    hub.start();
    let outcome = load::drive(&hub.load(Protocol::Http, Signal::Traces, 1000, 100));
    assert_eq!(outcome.count(Fate::Accepted), 100, "{:?}", outcome.said);
    let took = hub.stop();
    assert!(took < STOPS_WITHIN, "{took:?}");
    let sink = Sink::listen(port).unwrap();
    hub.start();
    let arrived = arrives_in_order(&sink, Signal::Traces, 1000, &outcome);
    assert_eq!(arrived.duplicates(Signal::Traces), 0);
    hub.stop();
}

#[test]
fn a_destination_that_reads_a_kilobyte_each_second_costs_no_memory_and_delays_nobody() {
    let slow = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = slow.local_addr().unwrap().port();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let (mut stream, _) = slow.accept().unwrap();
        while stream.read(&mut [0; 100]).is_ok_and(|read| read > 0) {
            std::thread::park_timeout(Duration::from_millis(100));
        }
    });
    let sink = Sink::listen(0).unwrap();
    let quick = destination("quick", sink.address().port(), "");
    let mut hub = Hub::new(&format!("{}{quick}", destination("slow", port, "")));
    hub.start();
    let load = Load { streams: 4, ..hub.load(Protocol::Grpc, Signal::Traces, 1000, 20) };
    let outcome = load::drive(&load);
    assert_eq!(outcome.count(Fate::Accepted), 80, "{:?}", outcome.said);
    arrives_in_order(&sink, Signal::Traces, 1000, &outcome);
    let peak = hub.peak_kib();
    assert!(peak < RESIDENT_KIB, "{peak} KiB were resident");
    assert_eq!(ledger(&hub, "slow", Signal::Traces).queued, 80_000);
    hub.stop();
}

#[test]
fn a_name_server_that_never_answers_delays_neither_others_nor_the_stop() {
    let server = Ipv4Addr::new(127, 77, 0, 53);
    let silent = match UdpSocket::bind((server, 53)) {
        Ok(silent) => silent,
        Err(error) => return skip("silent name server", &format!("binding port 53: {error}")),
    };
    let sink = Sink::listen(0).unwrap();
    let nowhere =
        "  - { name: nowhere, endpoint: \"http://collector.example.org:4317\", compression: none }\n";
    let near = destination("near", sink.address().port(), "");
    let mut hub = Hub::new(&format!("{nowhere}{near}"));
    std::fs::write(hub.path().join("resolv.conf"), format!("nameserver {server}\n")).unwrap();
    hub.wrapper =
        in_own_mounts(&format!("mount --bind {}/resolv.conf /etc/resolv.conf", hub.path().display()));
    hub.start();
    let outcome = load::drive(&hub.load(Protocol::Grpc, Signal::Traces, 100, 20));
    assert_eq!(outcome.count(Fate::Accepted), 20, "{:?}", outcome.said);
    arrives_in_order(&sink, Signal::Traces, 100, &outcome);
    silent.set_read_timeout(Some(ARRIVES_WITHIN)).unwrap();
    silent.recv(&mut [0; 512]).expect("the agent asks for the name");
    assert_eq!(ledger(&hub, "nowhere", Signal::Traces).queued, 2000);
    let took = hub.stop();
    assert!(took < STOPS_WITHIN, "{took:?}");
}

/// What starts a program with mounts of its own, made by `mount`.
pub(super) fn in_own_mounts(mount: &str) -> Vec<String> {
    let mount = format!("{mount}; exec \"$@\"");
    let mut command = vec!["unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        command.extend(["--user", "--map-root-user"]);
    }
    command.extend(["sh", "-euc", &mount, "sh"]);
    command.into_iter().map(str::to_owned).collect()
}
