//! The thread `collect`: a tick, the lanes that are due in it, the results of probes, and on to the intake.

mod board;
mod meter;
mod probes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::probes::Prober;
use anyhow::Context;
use collectors::{CollectError, Collection, CollectorFailure, HostRoot, Lanes, PressureThresholds};
use crossbeam_channel::{Receiver, TrySendError, select};
use telemetry::{SampleBuffer, with_causes};

use crate::agent::Shared;
use crate::agent::events::{Change, EventsLink, EventsStage};
use crate::agent::heartbeat::{ATTENTION, Heartbeats, WORK_WITHIN};
use crate::agent::intake::Intake;
use crate::agent::mailbox::Mailbox;
use crate::agent::rules::Wakes;
use crate::agent::watcher::{Happening, Watcher};
use crate::clock;
use crate::config::{Collect, Names};

pub(crate) use self::board::CollectBoard;
use self::meter::Meter;
pub(crate) use self::probes::start_probes;

/// What a reload has the stage collect from now on.
#[derive(Default)]
pub(crate) struct NewInputs {
    /// Other collectors, or other times to ask them.
    pub(crate) collection: Option<Inputs>,
    /// Other probes.
    pub(crate) prober: Option<NewProber>,
}

/// The collectors, when each is asked, how what they tell is named, and what is looked at beside.
pub(crate) struct Inputs {
    collection: Collection,
    lanes: Lanes,
    names: Names,
    thresholds: PressureThresholds,
    meter: Meter,
}

impl Inputs {
    /// Opens the collectors.
    pub(crate) fn open(host: HostRoot, collect: &Collect) -> anyhow::Result<Self> {
        let wants = |name: &str| collect.wants(name);
        let opened = Collection::open(host, collect.options.clone(), &wants);
        Ok(Self {
            collection: opened.context("opening the collectors")?,
            lanes: Lanes::new(&collect.intervals, &wants).context("collect.intervals")?,
            names: collect.names,
            thresholds: collect.pressure.clone(),
            meter: Meter::new(collect.budget),
        })
    }
}

/// Asks other services, or none any more.
pub(crate) struct NewProber(pub(crate) Option<Prober>);

/// Collects until it is stopped.
pub(crate) struct CollectStage {
    inputs: Inputs,
    events: EventsLink,
    /// One of each lane.
    buffers: Vec<SampleBuffer>,
    /// For looks between the ticks.
    between: SampleBuffer,
    /// What fails, so that it is said once.
    failing: BTreeMap<&'static str, CollectError>,
    prober: Option<Prober>,
    intake: Intake,
    wakes: Wakes,
    watcher: Watcher,
    next: Arc<Mailbox<NewInputs>>,
    heartbeats: Arc<Heartbeats>,
    board: Arc<CollectBoard>,
    /// Collectors that a run wants to look now.
    wanted: Arc<Mailbox<BTreeSet<&'static str>>>,
}

impl CollectStage {
    /// Opens the collectors, and what waits for events between their collections.
    pub(crate) fn open(
        host: HostRoot,
        collect: &Collect,
        prober: Option<Prober>,
        intake: Intake,
        wakes: Wakes,
        shared: &Shared,
        next: Arc<Mailbox<NewInputs>>,
    ) -> anyhow::Result<(Self, EventsStage)> {
        let inputs = Inputs::open(host, collect)?;
        let pulse = shared.heartbeats.pulse("events");
        let (waits, events) = EventsStage::new(Arc::clone(&shared.collecting), pulse)?;
        let mut stage = Self {
            inputs,
            events,
            buffers: Vec::new(),
            between: SampleBuffer::default(),
            failing: BTreeMap::new(),
            prober,
            intake,
            wakes,
            watcher: shared.watcher.clone(),
            next,
            heartbeats: Arc::clone(&shared.heartbeats),
            board: Arc::clone(&shared.collecting),
            wanted: Arc::clone(&shared.wanted),
        };
        stage.begin_inputs();
        Ok((stage, waits))
    }

    /// Runs until the other side of `stop` is dropped. A tick that is missed is left out; a lane that was due in it is
    /// due in the next one.
    pub(crate) fn run(mut self, stop: &Receiver<()>) {
        let pulse = self.heartbeats.pulse("collect");
        let mut ticks = Ticks::begin();
        loop {
            pulse.beat(WORK_WITHIN);
            let length = self.inputs.lanes.tick();
            let (before, tick) = ticks.advance(length);
            self.tick(before, tick);
            let due = ticks.due(length, self.inputs.lanes.next(tick, self.inputs.meter.factor()));
            while !clock::left(due).is_zero() {
                pulse.beat(ATTENTION);
                select! {
                    recv(stop) -> _ => return,
                    recv(self.next.woken()) -> _ => if self.take_over() {
                        ticks = Ticks::begin();
                        break;
                    },
                    recv(self.events.happened()) -> sources => match sources {
                        Ok(sources) => {
                            pulse.beat(WORK_WITHIN);
                            self.look_between(sources.iter().map(|source| source.collector()).collect());
                        }
                        Err(_) => return,
                    },
                    recv(self.wanted.woken()) -> _ => {
                        pulse.beat(WORK_WITHIN);
                        self.look_between(self.wanted.take().unwrap_or_default());
                    }
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
        let Some(inputs) = next.collection else { return false };
        self.inputs = inputs;
        self.begin_inputs();
        true
    }

    fn begin_inputs(&mut self) {
        let lanes = self.inputs.lanes.lanes().len();
        self.buffers.resize_with(lanes, SampleBuffer::default);
        self.intake.begin_lanes(lanes);
        self.intake.name(self.inputs.names);
        let triggers = self.inputs.collection.pressure_triggers(&self.inputs.thresholds);
        self.events.change(Change::Triggers(triggers));
        self.events.change(Change::Units(None));
    }

    /// Has these collectors look at once, and lets those rules judge that depend on them.
    fn look_between(&mut self, concerned: BTreeSet<&'static str>) {
        for collector in concerned {
            let Some(lane) = self.inputs.lanes.lane_of(collector) else { continue };
            self.inputs.collection.collect_between(collector, clock::now(), &mut self.between);
            let wake = || self.wakes.urgent.change(|collectors| collectors.extend([collector]));
            self.intake.take_between(lane, collector, &mut self.between, wake);
        }
        self.wait_for_news();
    }

    /// Waits for what has become known by the last collection.
    fn wait_for_news(&mut self) {
        if let Some(units) = self.inputs.collection.unit_signals() {
            self.events.change(Change::Units(Some(units)));
        }
        if let Some(exits) = self.inputs.collection.watched_exits() {
            self.events.change(Change::Exits(exits));
        }
    }

    /// Collects the lanes that came round after the tick `before` up to `tick`. All samples bear the same time.
    fn tick(&mut self, before: Option<u64>, tick: u64) {
        let (begun, at) = (clock::monotonic(), clock::now());
        let mut due = Vec::new();
        let (mut points, mut entities) = (0, 0);
        let Inputs { collection, lanes, meter, .. } = &mut self.inputs;
        for (number, (lane, buffer)) in lanes.lanes().iter().zip(&mut self.buffers).enumerate() {
            if !lanes.is_due(number, before, tick, meter.factor()) {
                continue;
            }
            let failures = collection.collect_lane(lane, at, &mut || begun.elapsed(), buffer);
            say_failures(&mut self.failing, failures, |collector| lane.has(collector));
            if let (0, Some(prober)) = (number, &self.prober) {
                buffer.host();
                prober.write(buffer);
            }
            (points, entities) = (points + buffer.len(), entities + buffer.entities().count());
            due.push(number);
        }
        self.intake.take(&mut self.buffers, &due);
        self.wait_for_news();
        self.inputs.meter.measure(self.inputs.collection.host(), &self.board);
        self.board.show_lacking(self.inputs.collection.host().lacking(), before.is_none());
        if let Err(TrySendError::Disconnected(())) = self.wakes.arrived.try_send(()) {
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
    fn advance(&mut self, length: Duration) -> (Option<u64>, u64) {
        let now = self.now(length);
        (self.last.replace(now), now)
    }

    fn now(&self, length: Duration) -> u64 {
        let passed = self.begun.elapsed().as_nanos() / length.as_nanos().max(1);
        u64::try_from(passed).unwrap_or(u64::MAX)
    }

    /// When the tick `next` comes; if it has passed, the one that comes next, so that work that takes longer than a tick
    /// leaves room for what else is to be heard.
    fn due(&self, length: Duration, next: u64) -> Instant {
        let next = next.max(self.now(length).saturating_add(1));
        let nanos = length.as_nanos().saturating_mul(next.into());
        self.begun + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_takes_longer_than_a_tick_is_not_due_again_before_others_are_heard() {
        let length = Duration::from_secs(100);
        let begun = clock::monotonic().checked_sub(length * 5).unwrap();
        let mut ticks = Ticks { begun, last: None };
        assert_eq!(ticks.advance(length), (None, 5));
        assert_eq!(ticks.advance(length), (Some(5), 5));
        for (next, due) in [(2, 6), (6, 6), (9, 9)] {
            assert_eq!(ticks.due(length, next), begun + length * due, "{next}");
        }
    }

    #[test]
    fn a_failure_is_known_until_its_collector_has_run_without_it() {
        let failure = |collector| CollectorFailure { collector, error: CollectError::Absent { what: "it" } };
        let mut failing = BTreeMap::new();
        say_failures(&mut failing, vec![failure("cpu"), failure("disk")], |_| true);
        say_failures(&mut failing, Vec::new(), |collector| collector == "disk");
        assert_eq!(failing.keys().copied().collect::<Vec<_>>(), ["cpu"]);
    }
}
