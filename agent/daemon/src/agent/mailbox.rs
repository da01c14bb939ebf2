//! What a stage is to take over between two pieces of work.
//!
//! Whoever puts never waits; what was not taken yet is changed in place, so that only the newest is taken over. Each
//! stage has one of its own.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Holds at most one `T`.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    slot: Mutex<Option<T>>,
    taken: Condvar,
    wake: Sender<()>,
    woken: Receiver<()>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        // One wake-up that waits is as good as many.
        let (wake, woken) = bounded(1);
        Self { slot: Mutex::new(None), taken: Condvar::new(), wake, woken }
    }
}

impl<T: Default> Mailbox<T> {
    /// Changes what waits, or the default if nothing does, and wakes the stage.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(self.slot().get_or_insert_default());
        // Full is awake.
        let _ = self.wake.try_send(());
    }
}

impl<T> Mailbox<T> {
    /// Gets a message when something was put.
    pub(crate) fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    /// Takes what waits.
    pub(crate) fn take(&self) -> Option<T> {
        let taken = self.slot().take();
        self.taken.notify_all();
        taken
    }

    /// Waits until nothing waits any more, for at most `within`; says whether it came to that.
    pub(crate) fn wait_taken(&self, within: Duration) -> bool {
        let waited = self.taken.wait_timeout_while(self.slot(), within, |slot| slot.is_some());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_none()
    }

    fn slot(&self) -> MutexGuard<'_, Option<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_is_taken_over_and_nobody_waits_to_put_it() {
        let mailbox = Mailbox::<Vec<u32>>::default();
        assert!(mailbox.wait_taken(Duration::ZERO));
        mailbox.change(|next| *next = vec![1]);
        mailbox.change(|next| next.push(2));
        assert!(!mailbox.wait_taken(Duration::ZERO) && mailbox.woken().try_recv().is_ok());
        assert_eq!((mailbox.take(), mailbox.take()), (Some(vec![1, 2]), None));
        assert!(mailbox.wait_taken(Duration::ZERO));
    }
}
