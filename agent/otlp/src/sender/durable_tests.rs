//! What the queues on disk add to sending: nothing is lost by an end, and nobody waits for anybody.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver as Channel, sync_channel};

use bytes::Bytes;
use telemetry::Signal;

use super::*;
use crate::samples::{host_attributes, small_host};
use crate::sender::destination::tests::options;
use crate::sender::stub::{Stub, grpc};
use crate::{MetricsEncoder, Receiver};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(super) const SOON: Duration = Duration::from_secs(10);

fn in_directory(directory: &Path) -> QueueOptions {
    let limits = QueueLimits { min_free_bytes: 0, ..QueueLimits::default() };
    QueueOptions { directory: directory.join("queue"), limits }
}

/// A sender to destinations of these names and addresses.
pub(super) fn sender(directory: &Path, destinations: &[(&str, SocketAddr)]) -> Sender {
    let destinations = destinations.iter().map(|(name, address)| {
        let options = options(&format!("http://{address}"), Protocol::Grpc);
        Destination::new(DestinationOptions { name: (*name).to_owned(), ..options }).unwrap()
    });
    Sender::start(destinations.collect(), Some(&in_directory(directory)), SOON, || ()).unwrap()
}

/// A batch told from others by how much is in it. Metrics happen to be valid records to a receiver.
pub(super) fn batch(signal: Signal, items: u64) -> Batch {
    let metrics = MetricsEncoder::new(&host_attributes()).encode(&small_host(items as i64)).remove(0);
    Batch { signal, items, ..metrics }
}

/// Takes the queues away from under a sender, which may just be saving a position there.
fn remove_queues(directory: &Path) {
    while std::fs::remove_dir_all(directory.join("queue")).is_err() {
        std::thread::yield_now();
    }
}

/// An address that nobody listens on, for as long as the socket lives.
pub(super) fn nobody() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(LOOPBACK).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A collector, and the payloads that it took.
pub(super) fn collector() -> (Receiver, Channel<Batch>) {
    let (arrive, arrived) = sync_channel(1_000);
    (Receiver::bind(LOOPBACK, move |batch| arrive.send(batch).unwrap()).unwrap(), arrived)
}

pub(super) fn metrics(figures: &SenderFigures, at: usize) -> SignalFigures {
    let figures = figures.destinations[at].signal(Signal::Metrics);
    assert!(figures.is_balanced(), "{figures:?}");
    figures
}

#[test]
fn what_waited_at_the_end_is_delivered_after_the_next_start_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let (_socket, away) = nobody();
    let first = sender(directory.path(), &[("collector", away)]);
    for items in 1..=20 {
        first.offer(&batch(Signal::Metrics, items), NOW);
        first.offer(&batch(Signal::Logs, items), NOW);
    }
    let figures = first.flush_and_stop(SOON);
    let left = metrics(&figures, 0);
    assert_eq!((left.accepted, left.queued, left.lost(), left.not_durable), (210, 210, 0, 0));
    drop(first);

    let (receiver, arrived) = collector();
    let second = sender(directory.path(), &[("collector", receiver.local_address())]);
    second.offer(&batch(Signal::Metrics, 21), NOW);
    let figures = second.flush_and_stop(SOON);
    let done = metrics(&figures, 0);
    assert_eq!((done.accepted, done.delivered, done.queued), (231, 231, 0));
    receiver.stop(SOON);
    let arrived: Vec<Batch> = arrived.try_iter().collect();
    for (signal, count) in [(Signal::Metrics, 21), (Signal::Logs, 20)] {
        let payloads: Vec<Bytes> = arrived
            .iter()
            .filter(|batch| batch.signal == signal)
            .map(|batch| batch.payload.clone())
            .collect();
        let expected: Vec<Bytes> = (1..=count).map(|items| batch(signal, items).payload).collect();
        assert_eq!(crate::concatenate(&payloads), crate::concatenate(&expected));
        assert!(payloads.len() < expected.len(), "what waits goes together");
    }
}

#[test]
fn a_stop_does_not_wait_for_a_collector_that_is_away() {
    let directory = tempfile::tempdir().unwrap();
    let (_socket, away) = nobody();
    let sender = sender(directory.path(), &[("collector", away)]);
    sender.offer(&batch(Signal::Metrics, 1), NOW);
    let before = Instant::now();
    sender.flush_and_stop(Duration::from_mins(5));
    assert!(before.elapsed() < SOON);
}

#[test]
fn a_destination_that_is_away_delays_nobody_and_keeps_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let (_socket, away) = nobody();
    let (receiver, arrived) = collector();
    let sound = receiver.local_address();
    let first = sender(directory.path(), &[("away", away), ("sound", sound)]);
    for items in 1..=3 {
        first.offer(&batch(Signal::Metrics, items), NOW);
        arrived.recv_timeout(SOON).unwrap();
    }
    let figures = first.flush_and_stop(SOON);
    assert_eq!((metrics(&figures, 0).queued, metrics(&figures, 1).delivered), (6, 6));
    drop(first);

    let second = sender(directory.path(), &[("away", sound), ("sound", sound)]);
    let figures = second.flush_and_stop(SOON);
    assert_eq!((metrics(&figures, 0).delivered, metrics(&figures, 1).accepted), (6, 0));
    receiver.stop(SOON);
    assert!(arrived.try_iter().next().is_some());
}

#[test]
fn what_no_segment_takes_whole_is_kept_in_pieces() {
    let directory = tempfile::tempdir().unwrap();
    let one = MetricsEncoder::new(&host_attributes()).encode(&small_host(2_000)).remove(0);
    let copies = 1 + (5 << 20) / one.payload.len();
    let payload = crate::concatenate(&vec![one.payload.clone(); copies]);
    let items = one.items * copies as u64;
    let (_socket, away) = nobody();
    let sender = sender(directory.path(), &[("collector", away)]);
    accepted(&sender, Batch { signal: Signal::Metrics, payload, items }).unwrap();
    let figures = metrics(&sender.flush_and_stop(Duration::ZERO), 0);
    assert_eq!((figures.accepted, figures.queued, figures.not_durable), (items, items, 0));
}

#[test]
fn a_destination_that_is_no_longer_configured_holds_nothing_back() {
    let directory = tempfile::tempdir().unwrap();
    let (_socket, away) = nobody();
    let first = sender(directory.path(), &[("old", away), ("new", away)]);
    first.offer(&batch(Signal::Metrics, 5), NOW);
    first.flush_and_stop(SOON);
    drop(first);

    let second = sender(directory.path(), &[("new", away)]);
    let findings = format!("{:?}", second.findings.lock().unwrap());
    let expected = "the destination old is no longer configured: 5 points that waited for it are forgotten";
    assert!(findings.contains(expected), "{findings}");
    assert!(findings.contains("5 points wait on disk for the destination new"), "{findings}");
    second.flush_and_stop(SOON);
    assert!(!directory.path().join("queue/metrics/old.position").exists());
}

#[test]
fn garbage_where_the_queues_lie_keeps_nothing_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let metrics_directory = directory.path().join("queue/metrics");
    std::fs::create_dir_all(&metrics_directory).unwrap();
    for file in ["00000000000000000000.0000.segment", "collector.position", "reserve", "note"] {
        std::fs::write(metrics_directory.join(file), b"garbage".repeat(100)).unwrap();
    }
    // No directory at all: its telemetry goes from memory.
    std::fs::write(directory.path().join("queue/logs"), b"garbage").unwrap();

    let (receiver, arrived) = collector();
    let sender = sender(directory.path(), &[("collector", receiver.local_address())]);
    let findings = format!("{:?}", sender.findings.lock().unwrap());
    assert!(findings.contains("set aside") && findings.contains("logs wait in memory"), "{findings}");
    sender.offer(&batch(Signal::Metrics, 5), NOW);
    sender.offer(&batch(Signal::Logs, 6), NOW);
    let figures = sender.flush_and_stop(SOON);
    let [found, .., logs] = figures.destinations[0].signals;
    assert_eq!((found.delivered, found.not_durable), (5, 0));
    assert_eq!((logs.delivered, logs.not_durable), (6, 6));
    receiver.stop(SOON);
    assert_eq!(arrived.try_iter().count(), 2);
}

#[test]
fn what_no_segment_takes_goes_from_memory_and_is_counted_as_not_durable() {
    let directory = tempfile::tempdir().unwrap();
    let stub = Stub::new(|_| Some(grpc(b"")));
    let sender = sender(directory.path(), &[("collector", stub.address)]);
    let large = Batch { signal: Signal::Metrics, payload: Bytes::from(vec![0; 5 << 20]), items: 7 };
    sender.offer(&large, NOW);
    let figures = metrics(&sender.flush_and_stop(SOON), 0);
    assert_eq!((figures.accepted, figures.delivered, figures.not_durable), (7, 7, 7));
}

#[test]
fn at_the_limit_the_oldest_on_disk_is_lost_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (_socket, away) = nobody();
    let destination = Destination::new(options(&format!("http://{away}"), Protocol::Grpc)).unwrap();
    let limits = QueueLimits { max_bytes: 16 << 20, ..in_directory(directory.path()).limits };
    let queue = QueueOptions { limits, ..in_directory(directory.path()) };
    let sender = Sender::start(vec![destination], Some(&queue), SOON, || ()).unwrap();
    let payload = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..30 {
        sender.offer(&Batch { signal: Signal::Metrics, payload: payload.clone(), items: 1 }, NOW);
        while !sender.recipients().of(Signal::Metrics)[0].is_settled() {
            std::thread::yield_now();
        }
    }
    let figures = metrics(&sender.flush_and_stop(SOON), 0);
    assert_eq!((figures.accepted, figures.delivered, figures.not_durable), (30, 0, 0));
    assert!(figures.lost_bytes >= 15 && figures.queued >= 9, "{figures:?}");
    assert_eq!(figures.lost_bytes, figures.lost());
}

#[test]
fn when_the_disk_is_gone_telemetry_goes_from_memory_and_is_counted_as_not_durable() {
    let directory = tempfile::tempdir().unwrap();
    let stub = Stub::new(|_| Some(grpc(b"")));
    let sender = sender(directory.path(), &[("collector", stub.address)]);
    sender.offer(&batch(Signal::Metrics, 1), NOW);
    stub.next();
    remove_queues(directory.path());
    // The segment that is open takes three of them; for the others no new one can be made.
    for _ in 0..6 {
        let payload = Bytes::from(vec![0; 1 << 20]);
        sender.offer(&Batch { signal: Signal::Metrics, payload, items: 10 }, NOW);
        stub.next();
    }
    let figures = metrics(&sender.flush_and_stop(SOON), 0);
    assert_eq!((figures.accepted, figures.delivered, figures.lost()), (61, 61, 0));
    assert_eq!(figures.not_durable, 30, "{figures:?}");
}

/// What `accept` answers.
fn accepted(sender: &Sender, batch: Batch) -> Result<(), NotAccepted> {
    let (tell, told) = sync_channel(1);
    sender.accept(batch, NOW, move |outcome| tell.send(outcome).unwrap());
    told.recv_timeout(SOON).unwrap()
}

#[test]
fn what_was_accepted_is_on_disk_at_that_moment_and_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let (receiver, arrived) = collector();
    let sender = sender(directory.path(), &[("collector", receiver.local_address())]);
    for items in 1..=5 {
        accepted(&sender, batch(Signal::Metrics, items)).unwrap();
    }
    let mut on_disk = 0;
    let count = |_, entry: queue::Entry| {
        on_disk += entry.items;
        std::ops::ControlFlow::Continue(())
    };
    queue::export(&directory.path().join("queue/metrics"), count).unwrap();
    assert_eq!(on_disk, 15);
    let figures = metrics(&sender.flush_and_stop(SOON), 0);
    assert_eq!((figures.accepted, figures.delivered, figures.not_durable), (15, 15, 0));
    receiver.stop(SOON);
    let payloads: Vec<Bytes> = arrived.try_iter().map(|batch| batch.payload).collect();
    let expected: Vec<Bytes> = (1..=5).map(|items| batch(Signal::Metrics, items).payload).collect();
    assert_eq!(crate::concatenate(&payloads), crate::concatenate(&expected));
    assert!(matches!(accepted(&sender, batch(Signal::Metrics, 1)), Err(NotAccepted::Stopping)));
}

#[test]
fn what_no_disk_takes_is_refused_to_the_one_who_sent_it_and_kept_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let (_socket, away) = nobody();
    std::fs::create_dir_all(directory.path().join("queue")).unwrap();
    std::fs::write(directory.path().join("queue/logs"), b"garbage").unwrap();
    let sender = sender(directory.path(), &[("collector", away)]);
    let large = |signal| Batch { signal, payload: Bytes::from(vec![0; 5 << 20]), items: 7 };
    let too_large = accepted(&sender, large(Signal::Metrics)).unwrap_err();
    assert!(!too_large.is_retryable(), "{too_large}");
    let no_queue = accepted(&sender, batch(Signal::Logs, 1)).unwrap_err();
    assert!(no_queue.is_retryable() && matches!(no_queue, NotAccepted::NoQueue), "{no_queue}");

    accepted(&sender, batch(Signal::Metrics, 1)).unwrap();
    remove_queues(directory.path());
    let outcomes: Vec<_> = (0..6)
        .map(|_| {
            accepted(&sender, Batch { payload: Bytes::from(vec![0; 1 << 20]), ..batch(Signal::Metrics, 10) })
        })
        .collect();
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(NotAccepted::Storage(_)))), "{outcomes:?}");
    let durable = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    let figures = metrics(&sender.flush_and_stop(Duration::ZERO), 0);
    assert_eq!((figures.accepted, figures.not_durable), (1 + 10 * durable, 0));
}
