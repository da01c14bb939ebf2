//! Tells whoever waits for samples of the host that some have come.
//!
//! It counts collections, and looks between them; what is in them the store knows.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often samples have come.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Arrivals {
    /// Samples are in the store.
    pub(crate) fn come(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    /// Waits for `within` at most until they have come another number of times than `seen`; says how often they have.
    pub(crate) fn wait(&self, seen: u64, within: Duration) -> u64 {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(count, within, |count| *count == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_came_before_the_wait_end_it_and_so_do_those_that_come_during_it() {
        let arrivals = Arrivals::default();
        assert_eq!(arrivals.wait(0, Duration::ZERO), 0);
        arrivals.come();
        let seen = arrivals.wait(0, Duration::from_mins(1));
        assert_eq!(seen, 1);
        std::thread::scope(|scope| {
            scope.spawn(|| arrivals.come());
            assert_eq!(arrivals.wait(seen, Duration::from_mins(1)), 2);
        });
    }
}
