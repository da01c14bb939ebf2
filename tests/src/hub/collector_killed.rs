//! The official Collector as the destination, killed and restarted under load.
//!
//! It writes what it receives into a file before it answers, so what is in the file is what it was given. A batch that
//! it had written when it was killed comes again: one for each request that was under way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use load::{Arrived, Fate, Load, Protocol, Signal};

use super::{ARRIVES_WITHIN, Hub, destination};
use crate::collector::Collector;

const KILLS: u64 = 2;
const ITEMS: u64 = 50;

/// What the files hold, by the numbers of the items: in JSON, of each kind under a name of its own. A line that was being
/// written at a kill has no end, and the next follows it at once.
fn written(directory: &Path) -> Arrived {
    let text = std::fs::read_to_string(directory.join("received.jsonl")).unwrap_or_default();
    let mut arrived = Arrived::default();
    let (mut signal, mut items) = (Signal::Traces, 0);
    for piece in text.split("{\"resource") {
        // Others are resources within a request.
        let begins = [("Spans", Signal::Traces), ("Logs", Signal::Logs)];
        if let Some((_, new)) = begins.into_iter().find(|(name, _)| piece.starts_with(name)) {
            (signal, items) = (new, 0);
        }
        for rest in piece.split("\"spanId\":\"").skip(1) {
            let Some(number) = rest.get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok()) else {
                continue;
            };
            arrived.note(signal, number.swap_bytes());
            items += 1;
        }
        arrived.largest = arrived.largest.max(items);
    }
    arrived
}

fn nothing_is_lost(protocol: Protocol, port: impl Fn(&Collector) -> u16, more: &str) {
    let Some(mut collector) = Collector::start() else { return };
    let mut hub = Hub::new(&destination("collector", port(&collector), more));
    hub.start();
    let every = Duration::from_millis(4);
    let spans = Load { every, ..hub.load(protocol, Signal::Traces, ITEMS, u64::MAX) };
    let logs =
        Load { every, stop: Arc::clone(&spans.stop), ..hub.load(protocol, Signal::Logs, ITEMS, u64::MAX) };
    let stop = Arc::clone(&spans.stop);
    let sending = [(Signal::Traces, spans), (Signal::Logs, logs)]
        .map(|(signal, load)| (signal, std::thread::spawn(move || load::drive(&load))));
    for _ in 0..KILLS {
        std::thread::park_timeout(Duration::from_millis(400));
        collector.kill();
        std::thread::park_timeout(Duration::from_millis(200));
        collector.restart();
    }
    std::thread::park_timeout(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    for (signal, sending) in sending {
        let outcome = sending.join().unwrap();
        assert_eq!(outcome.count(Fate::Accepted), outcome.batches.len() as u64, "{:?}", outcome.said);
        let begun = Instant::now();
        let arrived = loop {
            let arrived = written(collector.path());
            let missing = arrived.missing(signal, ITEMS, &outcome);
            if missing == 0 {
                break arrived;
            }
            assert!(begun.elapsed() < ARRIVES_WITHIN, "{missing} {signal:?} never arrived");
            std::thread::park_timeout(Duration::from_millis(50));
        };
        assert_eq!(arrived.late(signal), 0, "{signal:?} came out of order");
        let duplicates = arrived.duplicates(signal);
        assert!(duplicates <= KILLS * arrived.largest, "{duplicates} of {signal:?} arrived twice");
    }
    hub.stop();
}

#[test]
fn the_collector_killed_under_load_loses_nothing_over_grpc_with_gzip() {
    nothing_is_lost(Protocol::Grpc, |collector| collector.grpc, ", compression: gzip");
}

#[test]
fn the_collector_killed_under_load_loses_nothing_over_grpc_with_zstd() {
    nothing_is_lost(Protocol::Http, |collector| collector.grpc, ", compression: zstd");
}

#[test]
fn the_collector_killed_under_load_loses_nothing_over_http_with_gzip() {
    let more = ", protocol: http/protobuf, compression: gzip";
    nothing_is_lost(Protocol::Grpc, |collector| collector.http, more);
}

#[test]
fn the_collector_killed_under_load_loses_nothing_over_http_with_zstd() {
    let more = ", protocol: http/protobuf, compression: zstd";
    nothing_is_lost(Protocol::Http, |collector| collector.http, more);
}
