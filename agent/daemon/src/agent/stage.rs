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
        match self.over.recv_timeout(within) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(stage = self.name, ?within, "a stage did not end in time and is left behind");
            }
            _ => {
                if self.thread.join().is_err() {
                    tracing::error!(stage = self.name, "a stage panicked");
                }
            }
        }
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
        stage.join(Duration::ZERO);
        drop(release);
    }
}
