//! Asks every probe at its interval, on a thread of its own.
//!
//! The surprise is in stopping: looking up a name is a blocking call that nobody can interrupt, so at the stop it is
//! left to end by itself and nobody waits for it.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use telemetry::{SampleBuffer, Timestamp, Value};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::names::{PROBE_DURATION, PROBE_SUCCESS};
use crate::{HttpProbe, ProbeResult, ask};

/// The most probes that one agent asks. More would make the agent a monitoring station; it is refused.
pub const MAX_PROBES: usize = 200;

/// The shortest interval; asking more often would be load, not a check.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// A result is written until this many intervals, and the timeout, have passed without the next.
const FRESH_INTERVALS: u32 = 3;

/// Probes that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Over the limit.
    #[error("{count} probes are more than the {MAX_PROBES} that one agent asks")]
    TooMany {
        /// How many were given.
        count: usize,
    },
    /// Their series would be one.
    #[error("two probes are named {name:?}; name them apart")]
    SameName {
        /// The name.
        name: String,
    },
    /// Asked without a pause.
    #[error("the interval {interval:?} of probe {name:?} is under {MIN_INTERVAL:?}")]
    Interval {
        /// The probe.
        name: String,
        /// The interval given.
        interval: Duration,
    },
    /// The operating system refused a thread or its event queue.
    #[error("starting the thread of the probes")]
    Thread(#[source] std::io::Error),
}

/// The running probes. Dropping it stops them.
#[derive(Debug)]
pub struct Prober {
    board: Arc<Board>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Prober {
    /// Asks each probe at once and then at its interval. A probe is asked again only after its answer or failure; the
    /// ticks it missed meanwhile are left out. The probes' thread calls `on_result`, which must not wait, and also `alive`,
    /// at its start and then `every` so often, as long as nothing holds it up.
    ///
    /// # Errors
    ///
    /// Too many probes, two of one name, an interval under a second, or no thread.
    pub fn start(
        probes: Vec<(HttpProbe, Duration)>,
        every: Duration,
        alive: impl Fn() + Send + 'static,
        on_result: impl Fn(&HttpProbe, &ProbeResult) + Send + 'static,
    ) -> Result<Self, StartError> {
        check(&probes)?;
        let board = Arc::new(Board::new(probes));
        let (stop, stopped) = oneshot::channel();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let shared = Arc::clone(&board);
        let work = move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::task::spawn_local(async move {
                    loop {
                        alive();
                        sleep(every).await;
                    }
                });
                let on_result = Rc::new(on_result);
                for index in 0..shared.slots.len() {
                    tokio::task::spawn_local(repeat(Arc::clone(&shared), index, ask, Rc::clone(&on_result)));
                }
                // An error means that the sender is gone, which is a stop as well.
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        };
        let thread =
            std::thread::Builder::new().name("probes".to_owned()).spawn(work).map_err(StartError::Thread)?;
        Ok(Self { board, stop: Some(stop), thread: Some(thread) })
    }

    /// Appends the latest result of each probe, under the time at which it was asked. A probe without a result appends
    /// nothing, nor does one that has owed its next result for too long.
    pub fn write(&self, out: &mut SampleBuffer) {
        // Age is told by the monotonic clock, so that a jump of the wall clock makes no result old.
        self.board.write(Instant::now(), out);
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed by the thread itself; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// Whether these probes could be started together.
///
/// # Errors
///
/// As [`Prober::start`], but for the thread.
pub fn check(probes: &[(HttpProbe, Duration)]) -> Result<(), StartError> {
    if probes.len() > MAX_PROBES {
        return Err(StartError::TooMany { count: probes.len() });
    }
    let mut names = HashSet::new();
    for (probe, interval) in probes {
        let name = probe.name().to_owned();
        if *interval < MIN_INTERVAL {
            return Err(StartError::Interval { name, interval: *interval });
        }
        if !names.insert(probe.name()) {
            return Err(StartError::SameName { name });
        }
    }
    Ok(())
}

/// The latest result of every probe.
#[derive(Debug)]
struct Board {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    probe: HttpProbe,
    interval: Duration,
    latest: Mutex<Option<Latest>>,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    success: bool,
    duration: Duration,
    asked: Instant,
    answered: Instant,
    /// [`Latest::asked`] by the wall clock, once a collection has told it.
    measured: Option<Timestamp>,
}

impl Latest {
    /// When it was asked, by the wall clock that a collection at `at` went by. One result has one time, however often it
    /// is written, unless the clock has been set back.
    fn measured(&mut self, at: Timestamp, now: Instant) -> Timestamp {
        let asked = at.minus(now.saturating_duration_since(self.asked));
        let known = self.measured.filter(|known| *known <= asked.plus(MIN_INTERVAL));
        *self.measured.insert(known.unwrap_or(asked))
    }
}

impl Board {
    fn new(probes: Vec<(HttpProbe, Duration)>) -> Self {
        let slot = |(probe, interval)| Slot { probe, interval, latest: Mutex::new(None) };
        Self { slots: probes.into_iter().map(slot).collect() }
    }

    fn write(&self, now: Instant, out: &mut SampleBuffer) {
        let at = out.at();
        out.host();
        let fresh: Vec<(&Slot, Latest, Timestamp)> = self
            .slots
            .iter()
            .filter_map(|slot| slot.fresh(now, at).map(|(latest, measured)| (slot, latest, measured)))
            .collect();
        for (slot, latest, measured) in &fresh {
            out.measured_at(*measured);
            out.int(&PROBE_SUCCESS, &slot.attributes(), i64::from(latest.success));
        }
        for (slot, latest, measured) in &fresh {
            out.measured_at(*measured);
            out.double(&PROBE_DURATION, &slot.attributes(), latest.duration.as_secs_f64());
        }
        out.host();
    }
}

impl Slot {
    fn set(&self, result: &ProbeResult, asked: Instant) {
        let ProbeResult { success, duration, .. } = *result;
        let latest = Latest { success, duration, asked, answered: Instant::now(), measured: None };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(latest);
    }

    /// The latest result, if it is fresh, and when it was asked by the wall clock of a collection at `at`.
    fn fresh(&self, now: Instant, at: Timestamp) -> Option<(Latest, Timestamp)> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = self.interval * FRESH_INTERVALS + self.probe.timeout();
        let latest =
            latest.as_mut().filter(|latest| now.saturating_duration_since(latest.answered) <= limit)?;
        let measured = latest.measured(at, now);
        Some((*latest, measured))
    }

    fn attributes(&self) -> [Value<'_>; 2] {
        [Value::Str(self.probe.name()), Value::Str(self.probe.url())]
    }
}

async fn repeat(
    board: Arc<Board>,
    index: usize,
    ask: impl AsyncFn(&HttpProbe) -> ProbeResult,
    on_result: Rc<impl Fn(&HttpProbe, &ProbeResult)>,
) {
    let Some(slot) = board.slots.get(index) else { return };
    let mut due = Instant::now();
    loop {
        tokio::time::sleep_until(due).await;
        let asked = Instant::now();
        let result = ask(&slot.probe).await;
        slot.set(&result, asked);
        on_result(&slot.probe, &result);
        // Not `tokio::time::interval`: it makes up for one missed tick at once and so never lets a slow service rest.
        let now = Instant::now();
        while due <= now {
            due += slot.interval;
        }
    }
}

#[cfg(test)]
mod tests;
