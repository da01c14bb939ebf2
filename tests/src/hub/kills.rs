//! The agent is killed, again and again, while it takes telemetry.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use load::{Fate, Load, Protocol, Signal, Sink};

use super::{Hub, arrives_in_order};

const KILLS: u64 = 20;

/// In each life, before it is killed.
const LIFE: Duration = Duration::from_millis(200);

/// On an idle machine. Tests share theirs with others.
const READY_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn whatever_was_answered_ok_arrives_though_the_agent_is_killed_twenty_times() {
    let sink = Sink::listen(0).unwrap();
    let mut hub = Hub::to(&sink);
    // 5,000 records each second.
    let load =
        Load { every: Duration::from_millis(20), ..hub.load(Protocol::Grpc, Signal::Logs, 100, u64::MAX) };
    let stop = Arc::clone(&load.stop);
    let sending = std::thread::spawn(move || load::drive(&load));
    let mut slowest = Duration::ZERO;
    for _ in 0..KILLS {
        std::thread::park_timeout(LIFE);
        hub.kill();
        slowest = slowest.max(hub.start());
    }
    std::thread::park_timeout(LIFE);
    stop.store(true, Ordering::Relaxed);
    let outcome = sending.join().unwrap();
    assert!(outcome.count(Fate::Accepted) > KILLS, "{:?}", outcome.said);
    // The export under way at each kill, and the one before it, whose position was not saved yet.
    let arrived = arrives_in_order(&sink, Signal::Logs, 100, &outcome);
    let duplicates = arrived.duplicates(Signal::Logs);
    assert!(
        duplicates <= KILLS * 2 * arrived.largest,
        "{duplicates} items arrived twice, {} at once",
        arrived.largest
    );
    assert!(slowest <= READY_WITHIN, "once it took {slowest:?} until the agent was ready");
    hub.stop();
}
