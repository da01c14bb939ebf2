//! What everybody who sends shares: room in memory, places for connections, and a listener's rate.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes of requests that are being received or wait to become durable, over all listeners.
#[derive(Debug)]
pub(crate) struct InFlight {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl InFlight {
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit: AtomicUsize::new(limit) }
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }
}

/// What a request takes beside its bytes: its stream, its task, its headers.
const REQUEST_WEIGHT: usize = 1024;

/// The part of the room that one request holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    of: Arc<InFlight>,
    bytes: usize,
}

impl Hold {
    pub(crate) fn empty(of: &Arc<InFlight>) -> Self {
        Self { of: of.clone(), bytes: 0 }
    }

    /// Changes what is held to `bytes` and what a request takes beside. False, and nothing changed, when there is no
    /// room for more.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        let bytes = bytes + REQUEST_WEIGHT;
        if bytes <= self.bytes {
            self.of.used.fetch_sub(self.bytes - bytes, Relaxed);
        } else {
            let more = bytes - self.bytes;
            let limit = self.of.limit.load(Relaxed);
            let taken = self
                .of
                .used
                .fetch_update(Relaxed, Relaxed, |used| used.checked_add(more).filter(|sum| *sum <= limit));
            if taken.is_err() {
                return false;
            }
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.of.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// Places for connections. Who finds none waits in the kernel's backlog.
#[derive(Debug)]
pub(crate) struct Places {
    taken: AtomicUsize,
    limit: AtomicUsize,
    /// How often the last place was taken when another was wanted.
    waits: AtomicU64,
    freed: Notify,
}

impl Places {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            waits: AtomicU64::new(0),
            freed: Notify::new(),
        }
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
        self.freed.notify_waiters();
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    pub(crate) fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// Waits until there is a place. Does not take it, so that a listener without clients keeps none.
    pub(crate) async fn free(&self) {
        let mut counted = false;
        loop {
            let freed = self.freed.notified();
            if self.taken() < self.limit.load(Relaxed) {
                return;
            }
            if !counted {
                self.waits.fetch_add(1, Relaxed);
                counted = true;
            }
            freed.await;
        }
    }

    pub(crate) fn take(self: &Arc<Self>) -> Place {
        self.taken.fetch_add(1, Relaxed);
        Place(self.clone())
    }
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
        self.0.freed.notify_waiters();
    }
}

/// A rate in bytes per second. A request is let in as long as nothing is owed, and is charged when its size is known,
/// so the largest request passes whatever the rate is.
#[derive(Debug)]
pub(crate) struct Rate {
    bytes_per_second: u64,
    state: Mutex<RateState>,
}

#[derive(Debug)]
struct RateState {
    /// Bytes that may come at once; below zero when owed.
    credit: f64,
    at: Instant,
}

impl Rate {
    /// A second's worth may come at once.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let state = RateState { credit: bytes_per_second as f64, at: Instant::now() };
        Self { bytes_per_second, state: Mutex::new(state) }
    }

    /// # Errors
    ///
    /// The rate is used up; the time until it is not.
    pub(crate) fn admit(&self) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = self.bytes_per_second as f64;
        let now = Instant::now();
        state.credit = (state.credit + rate * now.duration_since(state.at).as_secs_f64()).min(rate);
        state.at = now;
        if state.credit > 0.0 {
            return Ok(());
        }
        // The longest time that makes sense to a sender; a larger debt does not arise from requests of sane size.
        Err(Duration::from_secs_f64((-state.credit / rate).clamp(0.001, 3600.0)))
    }

    pub(crate) fn charge(&self, bytes: usize) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).credit -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let room = Arc::new(InFlight::new(100 + 2 * REQUEST_WEIGHT));
        let (mut one, mut other) = (Hold::empty(&room), Hold::empty(&room));
        assert!(one.set(60) && !other.set(41) && other.set(40));
        assert_eq!(room.used(), 100 + 2 * REQUEST_WEIGHT);
        assert!(one.set(10) && other.set(90));
        room.set_limit(50 + 2 * REQUEST_WEIGHT);
        assert!(!one.set(11) && other.set(20) && one.set(30));
        drop((one, other));
        assert_eq!(room.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_lets_a_second_through_and_then_says_when_to_come_again() {
        let rate = Rate::new(1000);
        rate.admit().unwrap();
        rate.charge(3000);
        assert_eq!(rate.admit(), Err(Duration::from_secs(2)));
        tokio::time::advance(Duration::from_millis(2001)).await;
        rate.admit().unwrap();
        tokio::time::advance(Duration::from_hours(1)).await;
        rate.admit().unwrap();
        rate.charge(1001);
        assert!(rate.admit().is_err(), "what was not used is not saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_freed_or_added_lets_the_next_in() {
        let places = Arc::new(Places::new(1));
        places.free().await;
        let place = places.take();
        let wait = tokio::time::timeout(Duration::from_secs(1), places.free());
        assert!(wait.await.is_err());
        places.set_limit(2);
        places.free().await;
        places.set_limit(1);
        let waiting = places.free();
        tokio::join!(waiting, async { drop(place) });
        assert_eq!((places.taken(), places.waits()), (0, 2));
    }
}
