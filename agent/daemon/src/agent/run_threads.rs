//! The threads that runs are performed on, each under a name and a pulse of its own.
//!
//! A script's process ends with the thread that started it, so a run stays on its thread to its end. What a thread leaves
//! open when it dies is closed by whoever collects the threads that have ended.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use remediation::Run;
use telemetry::{Alert, RunId};

use super::firing::FiringBoard;
use super::heartbeat::Heartbeats;
use super::world::LiveWorld;

/// More runs at once than this are not possible.
pub(crate) const MOST_AT_ONCE: usize = NAMES.len();

/// As the kernel and the heartbeats know them.
const NAMES: [&str; 8] = ["run-1", "run-2", "run-3", "run-4", "run-5", "run-6", "run-7", "run-8"];

/// The runs under way.
#[derive(Debug)]
pub(crate) struct RunThreads {
    under_way: Vec<UnderWay>,
    heartbeats: Arc<Heartbeats>,
    firing: Arc<FiringBoard>,
}

#[derive(Debug)]
struct UnderWay {
    name: &'static str,
    run: RunId,
    alert: Alert,
    thread: JoinHandle<()>,
}

impl RunThreads {
    /// None yet. The board is woken when one ends.
    pub(crate) fn new(heartbeats: Arc<Heartbeats>, firing: Arc<FiringBoard>) -> Self {
        Self { under_way: Vec::new(), heartbeats, firing }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.under_way.len()
    }

    /// Performs a run on a thread of its own.
    ///
    /// # Errors
    ///
    /// All names are taken, or the system gives no thread. Nothing was performed.
    pub(crate) fn perform(&mut self, run: Box<Run>, mut world: LiveWorld) -> anyhow::Result<()> {
        let free = NAMES.into_iter().find(|name| self.under_way.iter().all(|under| under.name != *name));
        let name = free.with_context(|| format!("more than {MOST_AT_ONCE} runs at once"))?;
        world.speak_through(self.heartbeats.pulse(name));
        let (id, alert) = (run.id().clone(), run.alert().clone());
        let ended = WakesAtEnd(Arc::clone(&self.firing));
        let work = move || {
            let _ended = ended;
            run.perform(&mut world);
            world.close_incident();
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.with_context(|| format!("starting the thread {name}"))?;
        self.under_way.push(UnderWay { name, run: id, alert, thread });
        Ok(())
    }

    /// Takes away the threads that have ended, and returns the runs of those that died.
    pub(crate) fn collect_ended(&mut self) -> Vec<(RunId, Alert)> {
        let (ended, under_way) =
            std::mem::take(&mut self.under_way).into_iter().partition(|under| under.thread.is_finished());
        self.under_way = under_way;
        self.join(ended)
    }

    /// Waits for all of them, and returns the runs of those that died.
    pub(crate) fn join_all(&mut self) -> Vec<(RunId, Alert)> {
        let all = std::mem::take(&mut self.under_way);
        self.join(all)
    }

    fn join(&self, threads: Vec<UnderWay>) -> Vec<(RunId, Alert)> {
        let mut died = Vec::new();
        for UnderWay { name, run, alert, thread } in threads {
            if thread.join().is_err() {
                tracing::error!(%run, thread = name, "the thread of a run panicked");
                died.push((run, alert));
            }
            self.heartbeats.forget(name);
        }
        died
    }
}

/// What waits for another run can go on, however that one ended.
struct WakesAtEnd(Arc<FiringBoard>);

impl Drop for WakesAtEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}
