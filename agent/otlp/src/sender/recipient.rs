//! One destination: the lanes of its signals, how fast its backlog may go, and how it is doing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telemetry::Signal;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::sender::figures::DestinationFigures;
use crate::sender::lane::Lane;
use crate::sender::pace::Pace;

/// How the requests of one signal fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    #[default]
    Sound,
    Unreachable,
    Refusing,
    Complaining,
}

#[derive(Default)]
struct Health {
    /// In the order of [`Signal::ALL`].
    links: [Link; Signal::ALL.len()],
    consecutive_failures: u32,
    last_error: Option<String>,
    /// The troubles that were said and have not been called off.
    announced: BTreeSet<Link>,
    /// When each was last said.
    said: BTreeMap<Link, Instant>,
}

/// The same is not said more often: what is said is telemetry as well, and goes to a destination that may refuse it.
const SAY_EVERY: Duration = Duration::from_mins(1);

pub(crate) struct Recipient {
    name: String,
    /// In the order of [`Signal::ALL`]; none for signals that it does not take.
    lanes: Mutex<[Option<Arc<Lane>>; Signal::ALL.len()]>,
    health: Mutex<Health>,
    pace: Mutex<Pace>,
}

impl Recipient {
    pub(crate) fn new(name: &str, drain_bytes_per_second: Option<u64>) -> Self {
        Self {
            name: name.to_owned(),
            lanes: Mutex::default(),
            health: Mutex::default(),
            pace: Mutex::new(Pace::new(drain_bytes_per_second)),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The lane of `signal`, if the destination takes it.
    pub(crate) fn lane(&self, signal: Signal) -> Option<Arc<Lane>> {
        lock(&self.lanes).get(signal as usize).cloned().flatten()
    }

    /// Puts a lane in its place or takes it away.
    pub(crate) fn set_lane(&self, signal: Signal, lane: Option<Arc<Lane>>) {
        if let Some(place) = lock(&self.lanes).get_mut(signal as usize) {
            *place = lane;
        }
    }

    pub(crate) fn lanes(&self) -> Vec<Arc<Lane>> {
        lock(&self.lanes).iter().flatten().cloned().collect()
    }

    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        lock(&self.pace)
    }

    pub(crate) fn succeeded(&self) {
        lock(&self.health).consecutive_failures = 0;
    }

    pub(crate) fn failed(&self, error: String) {
        let mut health = lock(&self.health);
        health.consecutive_failures = health.consecutive_failures.saturating_add(1);
        health.last_error = Some(error);
    }

    /// What is on disk cannot be read.
    pub(crate) fn unreadable(&self, error: String) {
        lock(&self.health).last_error = Some(error);
    }

    /// Notes how `signal` fares, and says so if it is news: one collector that is away is one message, and one more once
    /// all signals fare well. One that fares now well, now badly is told of once a minute.
    pub(crate) fn say(&self, signal: Signal, link: Link, text: &str) {
        let mut health = lock(&self.health);
        if let Some(place) = health.links.get_mut(signal as usize) {
            *place = link;
        }
        let is_sound = health.links.iter().all(|link| *link == Link::Sound);
        let is_news = match link {
            Link::Sound => is_sound && !health.announced.is_empty(),
            trouble => !health.announced.contains(&trouble),
        };
        let now = Instant::now();
        if !is_news || health.said.get(&link).is_some_and(|said| now < *said + SAY_EVERY) {
            return;
        }
        health.said.insert(link, now);
        if link == Link::Sound {
            health.announced.clear();
        } else {
            health.announced.insert(link);
        }
        drop(health);
        let destination = self.name();
        match link {
            Link::Sound => info!(destination, "the destination takes telemetry again"),
            Link::Unreachable => warn!(destination, "delivery waits and is tried again: {text}"),
            Link::Refusing => {
                warn!(destination, %signal, "telemetry is refused for good and kept as dead letters: {text}");
            }
            Link::Complaining => {
                warn!(destination, %signal, "the destination took telemetry with a remark: {text}");
            }
        }
    }

    pub(crate) fn figures(&self) -> DestinationFigures {
        let signals =
            Signal::ALL.map(|signal| self.lane(signal).map(|lane| lane.figures()).unwrap_or_default());
        let health = lock(&self.health);
        DestinationFigures {
            name: self.name.clone(),
            queued_bytes: signals.iter().map(|figures| figures.queued_bytes).sum(),
            signals,
            consecutive_failures: health.consecutive_failures,
            last_error: health.last_error.clone(),
        }
    }
}

/// Each step under a lock is finished or not begun, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
