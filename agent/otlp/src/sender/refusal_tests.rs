//! What becomes of requests that a destination will never take: kept apart, sent again when somebody says so, and no
//! reason to hold up or lose others.

use std::path::Path;

use bytes::Bytes;
use telemetry::Signal;

use super::durable_tests::{NOW, SOON, batch, collector, metrics, nobody, sender};
use super::*;
use crate::MetricsEncoder;
use crate::samples::{host_attributes, small_host};
use crate::sender::stub::{Stub, grpc};

/// The dead letters in `directory`, as pairs of reason and request.
fn dead_letters(directory: &Path) -> Vec<(String, Bytes)> {
    let mut letters = Vec::new();
    for queue in DeadLetterQueue::all(&directory.join("queue")).unwrap() {
        let kept = DeadLetterQueue::oldest_kept(&queue::inspect(&queue.directory).unwrap());
        queue::export(&queue.directory, |seq, entry| {
            let letter = DeadLetter::read(&entry.payload).unwrap();
            if seq >= kept {
                letters.push((letter.reason, letter.request));
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    }
    letters
}

#[test]
fn what_is_refused_for_good_is_kept_apart_and_sent_again_only_when_somebody_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let stub = Stub::new(|_| Some(tonic::Status::invalid_argument("no").into_http()));
    let first = sender(directory.path(), &[("collector", stub.address)]);
    first.offer(&batch(Signal::Metrics, 5), NOW);
    let figures = metrics(&first.flush_and_stop(SOON), 0);
    assert_eq!((figures.dead_lettered, figures.delivered, figures.queued, figures.refused), (5, 0, 0, 0));
    drop(first);
    let reason = "collector will never take this batch: it answered INVALID_ARGUMENT: no".to_owned();
    assert_eq!(dead_letters(directory.path()), [(reason, batch(Signal::Metrics, 5).payload)]);

    // The collector is mended; nothing goes there by itself, not even after a start.
    let (receiver, arrived) = collector();
    let second = sender(directory.path(), &[("collector", receiver.local_address())]);
    assert_eq!(metrics(&second.figures(), 0).dead_lettered, 5);
    assert_eq!(second.replay(Some("other"), None), []);
    assert_eq!(second.replay(None, Some(Signal::Logs)), []);
    assert!(arrived.try_iter().next().is_none());
    let expected = Replay { destination: "collector".into(), signal: Signal::Metrics, records: 1, items: 5 };
    assert_eq!(second.replay(Some("collector"), None), [expected]);
    assert_eq!(arrived.recv_timeout(SOON).unwrap().payload, batch(Signal::Metrics, 5).payload);
    let figures = metrics(&second.flush_and_stop(SOON), 0);
    assert_eq!((figures.accepted, figures.delivered, figures.dead_lettered), (5, 5, 0));
    receiver.stop(SOON);
    drop(second);
    assert_eq!(dead_letters(directory.path()), []);
}

#[test]
fn dead_letters_that_were_marked_are_sent_again_at_the_next_start_and_once_only() {
    let directory = tempfile::tempdir().unwrap();
    let stub = Stub::new(|_| Some(tonic::Status::invalid_argument("no").into_http()));
    let refused = || {
        let sender = sender(directory.path(), &[("collector", stub.address)]);
        sender.offer(&batch(Signal::Metrics, 5), NOW);
        stub.next();
        metrics(&sender.flush_and_stop(SOON), 0).dead_lettered
    };
    assert_eq!(refused(), 5);
    assert_eq!(refused(), 10, "what was there counts as accepted, and as dead");
    let [queue] = &DeadLetterQueue::all(&directory.path().join("queue")).unwrap()[..] else { panic!() };
    queue.replay_at_next_start().unwrap();

    let (receiver, arrived) = collector();
    let sender = sender(directory.path(), &[("collector", receiver.local_address())]);
    for _ in 0..2 {
        arrived.recv_timeout(SOON).unwrap();
    }
    let figures = metrics(&sender.flush_and_stop(SOON), 0);
    assert_eq!((figures.accepted, figures.delivered, figures.dead_lettered), (10, 10, 0));
    receiver.stop(SOON);
    assert!(!queue.directory.with_file_name("collector.replay").exists());
}

#[test]
fn one_bad_request_does_not_take_its_neighbours_with_it() {
    let directory = tempfile::tempdir().unwrap();
    // No other request holds it.
    let bad = batch(Signal::Metrics, 5).payload;
    let marker = bad.clone();
    let (_socket, away) = nobody();
    let waiting = sender(directory.path(), &[("collector", away)]);
    for items in 1..=5 {
        waiting.offer(&batch(Signal::Metrics, items), NOW);
    }
    waiting.flush_and_stop(SOON);
    drop(waiting);

    let stub = Stub::new(move |seen| {
        let is_bad = seen.body.windows(marker.len()).any(|window| window == marker);
        Some(if is_bad { tonic::Status::invalid_argument("no").into_http() } else { grpc(b"") })
    });
    let sender = sender(directory.path(), &[("collector", stub.address)]);
    let figures = metrics(&sender.flush_and_stop(SOON), 0);
    assert_eq!((figures.delivered, figures.dead_lettered, figures.queued), (10, 5, 0));
    drop(sender);
    let letters = dead_letters(directory.path());
    assert_eq!(letters.iter().map(|(_, request)| request).collect::<Vec<_>>(), [&bad]);
}

#[test]
fn a_request_that_is_too_large_for_a_collector_is_divided_until_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let large = MetricsEncoder::new(&host_attributes()).encode(&small_host(2_000)).remove(0);
    let limit = large.payload.len() / 5;
    let stub = Stub::new(move |seen| {
        let text = "larger than max";
        Some(if seen.body.len() > limit {
            tonic::Status::resource_exhausted(text).into_http()
        } else {
            grpc(b"")
        })
    });
    let sender = sender(directory.path(), &[("collector", stub.address)]);
    sender.offer(&large, NOW);
    let figures = metrics(&sender.flush_and_stop(SOON), 0);
    assert_eq!((figures.delivered, figures.dead_lettered, figures.queued), (large.items, 0, 0));
}

#[test]
fn a_stop_while_dead_letters_are_being_kept_leaves_their_queue_to_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let stub = Stub::new(|_| Some(tonic::Status::invalid_argument("no").into_http()));
    for _ in 0..20 {
        let sender = sender(directory.path(), &[("collector", stub.address)]);
        sender.offer(&batch(Signal::Metrics, 5), NOW);
        stub.next();
        let figures = metrics(&sender.flush_and_stop(Duration::ZERO), 0);
        assert_eq!((figures.refused, figures.delivered), (0, 0));
        drop(sender);
        for queue in DeadLetterQueue::all(&directory.path().join("queue")).unwrap() {
            assert!(!queue::is_in_use(&queue.directory).unwrap());
        }
    }
}
