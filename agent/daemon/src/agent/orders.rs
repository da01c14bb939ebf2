//! What others want of the thread `remediate`: it does it between two looks at what fires, and answers.
//!
//! An order that the thread does not come to in time is withdrawn: what was said not to be done is not done later.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::remediate::RemediateStage;

/// Orders that wait; people give one at a time.
const MAX_WAITING: usize = 16;

/// How long an order may wait, and then how long it may take: a plan is cut off after some seconds. Whoever asks over the
/// socket waits for longer than both together.
const WITHIN: Within = Within { begun: Duration::from_secs(45), done: Duration::from_secs(30) };

#[derive(Clone, Copy, Debug)]
struct Within {
    begun: Duration,
    done: Duration,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It will not be done.
    Withdrawn,
    /// It was begun, and may be done yet.
    UnderWay,
}

impl Unanswered {
    /// For whoever has asked.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Withdrawn => {
                "the thread that decides about repairs does not come to it, so it is not done; /healthz says more"
            }
            Self::UnderWay => {
                "it takes long and is still being done; `hostmend runs` shows what becomes of it"
            }
        }
    }
}

type Order<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Whoever takes the order out decides: the thread to do it, or who gave it to withdraw it.
type Slot<S> = Arc<Mutex<Option<Order<S>>>>;

/// Given by the API, carried out by the thread.
pub(crate) struct Orders<S = RemediateStage> {
    to: Sender<Slot<S>>,
    from: Receiver<Slot<S>>,
}

impl<S> Default for Orders<S> {
    fn default() -> Self {
        let (to, from) = bounded(MAX_WAITING);
        Self { to, from }
    }
}

impl<S> fmt::Debug for Orders<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").field("waiting", &self.from.len()).finish_non_exhaustive()
    }
}

impl<S: 'static> Orders<S> {
    /// Has the thread do something, and waits for what it says. `wake` tells the thread that there is an order.
    ///
    /// # Errors
    ///
    /// It will not be done, or it is not done yet.
    pub(crate) fn carry_out<T: Send + 'static>(
        &self,
        wake: impl FnOnce(),
        what: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        self.carry_out_within(WITHIN, wake, what)
    }

    fn carry_out_within<T: Send + 'static>(
        &self,
        within: Within,
        wake: impl FnOnce(),
        what: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = bounded(1);
        let order: Order<S> = Box::new(move |stage| {
            // Whoever asked may have gone.
            let _ = answer.send(what(stage));
        });
        let slot = Arc::new(Mutex::new(Some(order)));
        self.to.try_send(Arc::clone(&slot)).map_err(|_| Unanswered::Withdrawn)?;
        wake();
        if let Ok(answer) = answered.recv_timeout(within.begun) {
            return Ok(answer);
        }
        if taken(&slot).is_some() {
            return Err(Unanswered::Withdrawn);
        }
        answered.recv_timeout(within.done).map_err(|_| Unanswered::UnderWay)
    }

    /// The next one that waits.
    pub(crate) fn next(&self) -> Option<Order<S>> {
        self.from.try_iter().find_map(|slot| taken(&slot))
    }
}

fn taken<S>(slot: &Slot<S>) -> Option<Order<S>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Within = Within { begun: Duration::ZERO, done: Duration::ZERO };

    #[test]
    fn an_order_that_is_said_not_to_be_done_is_not_done_later() {
        let orders = Orders::<u32>::default();
        let mut done = 0;
        let refused = orders.carry_out_within(AT_ONCE, || (), |done| *done += 1);
        assert_eq!(refused, Err(Unanswered::Withdrawn));
        assert!(orders.next().is_none());
        // The thread comes to it at once.
        let act = || orders.next().expect("it waits")(&mut done);
        assert_eq!(orders.carry_out_within(AT_ONCE, act, |done| *done += 1), Ok(()));
        assert_eq!(done, 1);
    }

    #[test]
    fn of_an_order_that_was_begun_nobody_says_that_it_is_not_done() {
        let orders = Orders::<u32>::default();
        let mut begun = None;
        let answer = orders.carry_out_within(AT_ONCE, || begun = orders.next(), |_| ());
        assert_eq!((answer, begun.is_some()), (Err(Unanswered::UnderWay), true));
    }
}
