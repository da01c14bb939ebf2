//! The thread `collect`: a tick, the lanes that are due in it, the results of probes, and on to the intake.

mod board;
mod probes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::probes::Prober;
use anyhow::Context;
use collectors::{CollectError, Collection, CollectorFailure, HostRoot, Lanes};
use crossbeam_channel::{Receiver, Sender, TrySendError, select};
use telemetry::{SampleBuffer, with_causes};

use crate::agent::Shared;
use crate::agent::heartbeat::{ATTENTION, Heartbeats, Pulse, WORK_WITHIN};
use crate::agent::intake::Intake;
use crate::agent::mailbox::Mailbox;
use crate::agent::watcher::{Happening, Watcher};
use crate::clock;
use crate::config::Collect;

pub(crate) use self::board::CollectBoard;
pub(crate) use self::probes::start_probes;

/// What a reload has the stage collect from now on.
#[derive(Default)]
pub(crate) struct NewInputs {
    /// Other collectors, or other times to ask them.
    pub(crate) collection: Option<(Collection, Lanes)>,
    /// Other probes.
    pub(crate) prober: Option<NewProber>,
}

/// Asks other services, or none any more.
pub(crate) struct NewProber(pub(crate) Option<Prober>);

/// Collects until it is stopped.
pub(crate) struct CollectStage {
    collection: Collection,
    lanes: Lanes,
    /// One of each lane.
    buffers: Vec<SampleBuffer>,
    /// What fails, so that it is said once.
    failing: BTreeMap<&'static str, CollectError>,
    prober: Option<Prober>,
    intake: Intake,
    /// Wakes the rules. One wake-up that waits is as good as many.
    arrived: Sender<()>,
    watcher: Watcher,
    next: Arc<Mailbox<NewInputs>>,
    heartbeats: Arc<Heartbeats>,
    board: Arc<CollectBoard>,
}

/// Opens the collectors, and says when each is asked.
pub(crate) fn open_collectors(host: HostRoot, collect: &Collect) -> anyhow::Result<(Collection, Lanes)> {
    let wants = |name: &str| collect.wants(name);
    let opened = Collection::open(host, collect.options.clone(), &wants).context("opening the collectors")?;
    Ok((opened, Lanes::new(&collect.intervals, &wants).context("collect.intervals")?))
}

impl CollectStage {
    /// Opens the collectors.
    pub(crate) fn open(
        host: HostRoot,
        collect: &Collect,
        prober: Option<Prober>,
        intake: Intake,
        arrived: Sender<()>,
        shared: &Shared,
        next: Arc<Mailbox<NewInputs>>,
    ) -> anyhow::Result<Self> {
        let (collection, lanes) = open_collectors(host, collect)?;
        let mut stage = Self {
            collection,
            lanes,
            buffers: Vec::new(),
            failing: BTreeMap::new(),
            prober,
            intake,
            arrived,
            watcher: shared.watcher.clone(),
            next,
            heartbeats: Arc::clone(&shared.heartbeats),
            board: Arc::clone(&shared.collecting),
        };
        stage.begin_lanes();
        Ok(stage)
    }

    /// Runs until the other side of `stop` is dropped. A tick that is missed is left out; a lane that was due in it is
    /// due in the next one.
    pub(crate) fn run(mut self, stop: &Receiver<()>, pulse: &Pulse) {
        let mut ticks = Ticks::begin();
        loop {
            pulse.beat(WORK_WITHIN);
            let (before, tick) = ticks.advance(self.lanes.tick());
            self.tick(before, tick);
            let due = ticks.at(self.lanes.tick(), self.lanes.next(tick, 1));
            while !clock::left(due).is_zero() {
                pulse.beat(ATTENTION);
                select! {
                    recv(stop) -> _ => return,
                    recv(self.next.woken()) -> _ => if self.take_over() {
                        ticks = Ticks::begin();
                        break;
                    },
                    default(clock::left(due).min(ATTENTION)) => {}
                }
            }
        }
    }

    /// Collects what a reload wants from now on. Says whether the collectors are others, which then begin at once.
    fn take_over(&mut self) -> bool {
        let Some(next) = self.next.take() else { return false };
        if let Some(NewProber(prober)) = next.prober {
            // The old one ends here, and its thread with it.
            self.prober = prober;
            if self.prober.is_none() {
                self.heartbeats.forget("probes");
            }
        }
        let Some((collection, lanes)) = next.collection else { return false };
        (self.collection, self.lanes) = (collection, lanes);
        self.begin_lanes();
        true
    }

    fn begin_lanes(&mut self) {
        let lanes = self.lanes.lanes().len();
        self.buffers.resize_with(lanes, SampleBuffer::default);
        self.intake.begin_lanes(lanes);
    }

    /// Collects the lanes that came round after the tick `before` up to `tick`. All samples bear the same time.
    fn tick(&mut self, before: Option<u64>, tick: u64) {
        let (begun, at) = (clock::monotonic(), clock::now());
        let mut due = Vec::new();
        let (mut points, mut entities) = (0, 0);
        for (number, (lane, buffer)) in self.lanes.lanes().iter().zip(&mut self.buffers).enumerate() {
            if !self.lanes.is_due(number, before, tick, 1) {
                continue;
            }
            let failures = self.collection.collect_lane(lane, at, &mut || begun.elapsed(), buffer);
            say_failures(&mut self.failing, failures, |collector| lane.has(collector));
            if let (0, Some(prober)) = (number, &self.prober) {
                buffer.host();
                prober.write(buffer);
            }
            (points, entities) = (points + buffer.len(), entities + buffer.entities().count());
            due.push(number);
        }
        self.intake.take(&mut self.buffers, &due);
        self.board.show_lacking(self.collection.host().lacking(), before.is_none());
        if let Err(TrySendError::Disconnected(())) = self.arrived.try_send(()) {
            tracing::debug!("nobody evaluates rules any more");
        }
        self.watcher.tell(|| Happening::Collected { points, entities });
    }
}

/// Says what began to fail and what works again, of the collectors that have just run.
fn say_failures(
    failing: &mut BTreeMap<&'static str, CollectError>,
    failures: Vec<CollectorFailure>,
    have_run: impl Fn(&str) -> bool,
) {
    failing.retain(|collector, _| {
        let mended = have_run(collector) && failures.iter().all(|failure| failure.collector != *collector);
        if mended {
            tracing::info!(collector, "the collector works again");
        }
        !mended
    });
    for CollectorFailure { collector, error } in failures {
        if failing.get(collector) != Some(&error) {
            tracing::warn!(collector, "{}", with_causes(&error));
            failing.insert(collector, error);
        }
    }
}

/// Which tick it is, counted from a moment.
struct Ticks {
    begun: Instant,
    last: Option<u64>,
}

impl Ticks {
    fn begin() -> Self {
        Self { begun: clock::monotonic(), last: None }
    }

    /// The tick before, and that of now.
    fn advance(&mut self, tick: Duration) -> (Option<u64>, u64) {
        let passed = self.begun.elapsed().as_nanos() / tick.as_nanos().max(1);
        let now = u64::try_from(passed).unwrap_or(u64::MAX);
        (self.last.replace(now), now)
    }

    fn at(&self, tick: Duration, number: u64) -> Instant {
        let nanos = tick.as_nanos().saturating_mul(number.into());
        self.begun + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
