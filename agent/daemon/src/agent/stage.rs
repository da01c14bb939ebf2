//! A thread of the agent, with a name, that others can wait for.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// A running stage.
#[derive(Debug)]
pub(crate) struct Stage {
    name: &'static str,
    over: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Stage {
    /// Starts `work` on a thread called `name`. When it ends, however it ends, `ended` gets the name.
    pub(crate) fn start(
        name: &'static str,
        ended: Sender<&'static str>,
        work: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (holds, over) = bounded::<()>(0);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Dropped when the work returns or panics.
                let _holds = holds;
                let _last = Last { name, ended };
                work();
            })
            .with_context(|| format!("starting the thread {name}"))?;
        Ok(Self { name, over, thread })
    }

    /// Waits for its end for at most `within`; a stage that takes longer is left behind, and said to be.
    pub(crate) fn join(self, within: Duration) {
        if let Some(late) = self.await_end(within) {
            tracing::warn!(stage = late.name, ?within, "a stage did not end in time and is left behind");
        }
    }

    /// Waits for its end for at most `within`. A stage that takes longer is given back, to be waited for again.
    #[must_use]
    pub(crate) fn await_end(self, within: Duration) -> Option<Self> {
        if self.over.recv_timeout(within) == Err(RecvTimeoutError::Timeout) {
            return Some(self);
        }
        if self.thread.join().is_err() {
            tracing::error!(stage = self.name, "a stage panicked");
        }
        None
    }
}

struct Last {
    name: &'static str,
    ended: Sender<&'static str>,
}

impl Drop for Last {
    fn drop(&mut self) {
        // Nobody listens any more once the agent is stopping.
        let _ = self.ended.try_send(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_panics_is_reported_by_name() {
        let (ended, reports) = bounded(1);
        let stage = Stage::start("broken", ended, || panic!("as the test wants it")).unwrap();
        assert_eq!(reports.recv_timeout(Duration::from_secs(10)), Ok("broken"));
        stage.join(Duration::from_secs(10));
    }

    #[test]
    fn a_stage_that_hangs_does_not_hold_up_the_stop() {
        let (ended, _reports) = bounded(1);
        let (release, held) = bounded::<()>(0);
        let stage = Stage::start("hanging", ended, move || {
            let _ = held.recv();
        })
        .unwrap();
        let late = stage.await_end(Duration::ZERO).unwrap();
        late.join(Duration::ZERO);
        drop(release);
    }

    #[test]
    fn a_stage_that_is_late_can_be_waited_for_again() {
        let (ended, reports) = bounded(1);
        let (release, held) = bounded::<()>(0);
        let work = move || {
            let _ = held.recv();
        };
        let stage = Stage::start("late", ended, work).unwrap().await_end(Duration::ZERO).unwrap();
        drop(release);
        assert!(stage.await_end(Duration::from_secs(10)).is_none());
        assert_eq!(reports.try_recv(), Ok("late"));
    }
}
