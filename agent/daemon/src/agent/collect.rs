//! The thread `collect`: a tick, the collectors, the results of probes, and on to the intake.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use collectors::{Collection, CollectorFailure, HostRoot};
use crossbeam_channel::{Receiver, Sender, TrySendError, select};
use probes::{HttpProbe, ProbeResult, Prober};
use telemetry::{SampleBuffer, with_causes};

use crate::agent::Shared;
use crate::agent::heartbeat::{ATTENTION, Heartbeats, Pulse, WORK_WITHIN};
use crate::agent::intake::Intake;
use crate::agent::mailbox::Mailbox;
use crate::agent::watcher::{Happening, Watcher};
use crate::clock;
use crate::config::Collect;

/// What a reload has the stage collect from now on.
#[derive(Default)]
pub(crate) struct NewInputs {
    /// Other collectors, and how often they are asked.
    pub(crate) collection: Option<(Collection, Duration)>,
    /// Other probes.
    pub(crate) prober: Option<NewProber>,
}

/// Asks other services, or none any more.
pub(crate) struct NewProber(pub(crate) Option<Prober>);

/// Collects until it is stopped.
pub(crate) struct CollectStage {
    interval: Duration,
    collection: Collection,
    prober: Option<Prober>,
    intake: Intake,
    /// Wakes the rules. One wake-up that waits is as good as many.
    arrived: Sender<()>,
    watcher: Watcher,
    next: Arc<Mailbox<NewInputs>>,
    heartbeats: Arc<Heartbeats>,
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
        let collection = Collection::open(host, collect.options.clone(), &|name| collect.wants(name))
            .context("opening the collectors")?;
        Ok(Self {
            interval: collect.interval,
            collection,
            prober,
            intake,
            arrived,
            watcher: shared.watcher.clone(),
            next,
            heartbeats: Arc::clone(&shared.heartbeats),
        })
    }

    /// Runs until the other side of `stop` is dropped. A tick that is missed is left out.
    pub(crate) fn run(mut self, stop: &Receiver<()>, pulse: &Pulse) {
        let mut buffer = SampleBuffer::default();
        let mut failing: Vec<CollectorFailure> = Vec::new();
        let mut due = clock::monotonic();
        loop {
            pulse.beat(WORK_WITHIN);
            failing = self.tick(&mut buffer, &failing);
            let now = clock::monotonic();
            while due <= now {
                due += self.interval;
            }
            while !clock::left(due).is_zero() {
                pulse.beat(ATTENTION);
                select! {
                    recv(stop) -> _ => return,
                    recv(self.next.woken()) -> _ => if self.take_over() { due = clock::monotonic(); },
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
        let Some((collection, interval)) = next.collection else { return false };
        (self.collection, self.interval) = (collection, interval);
        true
    }

    fn tick(
        &mut self,
        buffer: &mut SampleBuffer,
        failed_before: &[CollectorFailure],
    ) -> Vec<CollectorFailure> {
        let begun = clock::monotonic();
        let failures = self.collection.collect(clock::now(), &mut || begun.elapsed(), buffer);
        for failure in failures.iter().filter(|failure| !failed_before.contains(failure)) {
            tracing::warn!(collector = failure.collector, "{}", with_causes(&failure.error));
        }
        for mended in
            failed_before.iter().filter(|before| failures.iter().all(|f| f.collector != before.collector))
        {
            tracing::info!(collector = mended.collector, "the collector works again");
        }
        if let Some(prober) = &self.prober {
            buffer.host();
            prober.write(buffer);
        }
        let (points, entities) = (buffer.len(), buffer.entities().count());
        self.intake.take(buffer);
        if let Err(TrySendError::Disconnected(())) = self.arrived.try_send(()) {
            tracing::debug!("nobody evaluates rules any more");
        }
        self.watcher.tell(|| Happening::Collected { points, entities });
        failures
    }
}

/// Starts the thread `probes`, if there is something to ask.
pub(crate) fn start_probes(
    services: Vec<(HttpProbe, Duration)>,
    pulse: Pulse,
) -> anyhow::Result<Option<Prober>> {
    if services.is_empty() {
        return Ok(None);
    }
    let alive = move || pulse.beat(ATTENTION);
    Ok(Some(Prober::start(services, ATTENTION, alive, say_changes())?))
}

/// Says when a service begins to fail its probe, with the reason, and when it answers again.
fn say_changes() -> impl Fn(&HttpProbe, &ProbeResult) + Send + 'static {
    let failing = Mutex::new(BTreeSet::new());
    move |probe, result| {
        let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &result.failure {
            Some(reason) => {
                if failing.insert(probe.name().to_owned()) {
                    tracing::warn!(probe = probe.name(), url = probe.url(), "the probe fails: {reason}");
                }
            }
            None => {
                if failing.remove(probe.name()) {
                    tracing::info!(probe = probe.name(), url = probe.url(), "the probe succeeds again");
                }
            }
        }
    }
}
