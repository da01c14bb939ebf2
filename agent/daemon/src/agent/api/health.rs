//! Whether the agent does its work, in one word and its reasons.
//!
//! A destination or a receiver of alerts that is away is no illness: what it is owed waits on disk. It is said all the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use otlp::DestinationFigures;
use rustix::fs::{StatVfsMountFlags, statvfs};
use telemetry::Timestamp;
use tokio::time::{sleep, timeout};

use super::Facts;
use super::routes::Reply;
use crate::clock;
use crate::status::Health;

/// How often the file system of the state is looked at: with what the look may take, what is wrong is known within 10 s.
const LOOK_EVERY: Duration = Duration::from_secs(4);

/// A look that takes longer means that the file system hangs.
const LOOK_WITHIN: Duration = Duration::from_secs(4);

/// A receiver of alerts that fails for no longer may just be restarting.
const UNTOLD_FOR: Duration = Duration::from_mins(1);

/// What the last look at the file system of the state directory saw.
#[derive(Debug, Default)]
pub(crate) struct DiskWatch(AtomicU8);

const USABLE: u8 = 0;
const READ_ONLY: u8 = 1;
const HANGS: u8 = 2;

impl DiskWatch {
    fn complaint(&self) -> Option<&'static str> {
        match self.0.load(Ordering::Relaxed) {
            READ_ONLY => Some("the file system of the state directory is read-only"),
            HANGS => Some("the file system of the state directory does not answer"),
            _ => None,
        }
    }
}

/// Since when destinations have failed, to within [`LOOK_EVERY`]. As many as there are destinations.
#[derive(Debug, Default)]
pub(crate) struct FailingSince(Mutex<BTreeMap<String, Timestamp>>);

impl FailingSince {
    /// Since when this one has failed, if it fails.
    pub(super) fn of(&self, destination: &str) -> Option<Timestamp> {
        self.lock().get(destination).copied()
    }

    fn look(&self, destinations: &[DestinationFigures], now: Timestamp) {
        let fails = |found: &&DestinationFigures| found.consecutive_failures > 0;
        let failing: Vec<&str> = destinations.iter().filter(fails).map(|found| found.name.as_str()).collect();
        let mut since = self.lock();
        since.retain(|name, _| failing.contains(&name.as_str()));
        for name in failing {
            since.entry(name.to_owned()).or_insert(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the destinations again and again.
pub(super) async fn watch_destinations(facts: Arc<Facts>) {
    loop {
        facts.failing.look(&facts.sender.figures().destinations, clock::now());
        sleep(LOOK_EVERY).await;
    }
}

/// Looks at the file system again and again. Appending says more, but only when there is something to append.
pub(super) async fn watch_disk(facts: Arc<Facts>) {
    loop {
        let state = facts.state.clone();
        let mut look = tokio::task::spawn_blocking(move || look(&state));
        let seen = if let Ok(seen) = timeout(LOOK_WITHIN, &mut look).await {
            seen
        } else {
            facts.shared.disk.0.store(HANGS, Ordering::Relaxed);
            look.await
        };
        let seen = seen.unwrap_or(USABLE);
        facts.shared.disk.0.store(seen, Ordering::Relaxed);
        sleep(LOOK_EVERY).await;
    }
}

fn look(state: &Path) -> u8 {
    match statvfs(state) {
        Ok(found) if found.f_flag.contains(StatVfsMountFlags::RDONLY) => READ_ONLY,
        // Whatever else it may be, the queue itself says that it cannot append.
        _ => USABLE,
    }
}

/// How the agent is now.
pub(super) fn of(facts: &Facts, now: Timestamp) -> Health {
    let mut reasons = Vec::new();
    if let Some(stage) = facts.shared.heartbeats.overdue(clock::monotonic()) {
        reasons.push(format!("{stage} hangs"));
    }
    if let Some(complaint) = facts.shared.disk.complaint() {
        reasons.push(format!("{complaint}; telemetry goes from memory, which a crash loses"));
    }
    let failing = facts.sender.not_durable_now();
    if !failing.is_empty() {
        let signals: Vec<&str> = failing.iter().map(|signal| signal.as_str()).collect();
        let signals = signals.join(", ");
        reasons.push(format!("the disk does not take {signals}; they go from memory, which a crash loses"));
    }
    let held = facts.shared.logs.held();
    // Where nobody takes them they are not read because the operator wants it so.
    let (ill, idle) = if facts.shared.logs.is_wanted() { (held, None) } else { (None, held) };
    reasons.extend(ill.map(|why| format!("no logs are read: {why}")));
    reasons.extend(facts.shared.runs.journal_failing_since().map(unjournalled));
    let notes = facts.sender.figures().destinations.into_iter();
    let notes = notes.filter(|destination| destination.consecutive_failures > 0).map(|destination| {
        let why = destination.last_error.unwrap_or_default();
        format!("the destination {} does not take telemetry: {why}", destination.name)
    });
    let receivers = facts.shared.notify.notifier.figures().receivers;
    let notes = notes.chain(idle);
    let notes = notes.chain(receivers.iter().filter_map(|receiver| untold(receiver, now)));
    Health { healthy: reasons.is_empty(), reasons, notes: notes.collect() }
}

fn unjournalled(since: Timestamp) -> String {
    format!(
        "the run journal has taken nothing since {since}, and no repair begins without it; it is tried again until the disk takes it"
    )
}

/// That a receiver has taken nothing for too long.
fn untold(receiver: &notify::ReceiverFigures, now: Timestamp) -> Option<String> {
    let failing = receiver.failing.as_ref().filter(|failing| now.since(failing.since) > UNTOLD_FOR)?;
    let (name, since, why) = (&receiver.name, failing.since, &failing.error);
    Some(format!("{name} has not taken what it is told of alerts since {since}: {why}"))
}

pub(super) fn reply(facts: &Facts) -> Reply {
    let health = of(facts, clock::now());
    Reply::json(if health.healthy { 200 } else { 503 }, &health)
}

#[cfg(test)]
mod tests {
    use super::*;
    use otlp::SignalFigures;

    #[test]
    fn a_receiver_of_alerts_that_fails_for_more_than_a_minute_is_noted() {
        let failing = notify::Failing { since: Timestamp::from_secs(0), error: "refused".to_owned() };
        let fails = notify::ReceiverFigures {
            name: "pager".to_owned(),
            failing: Some(failing),
            ..notify::ReceiverFigures::default()
        };
        let works = notify::ReceiverFigures { failing: None, ..fails.clone() };
        let note = "pager has not taken what it is told of alerts since 1970-01-01T00:00:00.000Z: refused";
        assert_eq!(untold(&fails, Timestamp::from_secs(60)), None);
        assert_eq!(untold(&fails, Timestamp::from_secs(61)).as_deref(), Some(note));
        assert_eq!(untold(&works, Timestamp::from_secs(61)), None);
    }

    #[test]
    fn a_destination_fails_since_it_was_first_seen_failing_until_it_takes_something() {
        let figures = |consecutive_failures| DestinationFigures {
            name: "away".to_owned(),
            signals: [SignalFigures::default(); 3],
            queued_bytes: 0,
            consecutive_failures,
            last_error: None,
        };
        let since = FailingSince::default();
        for (at, failures, expected) in
            [(1, 0, None), (2, 1, Some(2)), (3, 2, Some(2)), (4, 0, None), (5, 1, Some(5))]
        {
            since.look(&[figures(failures)], Timestamp::from_secs(at));
            assert_eq!(since.of("away"), expected.map(Timestamp::from_secs), "at {at}");
        }
    }
}
