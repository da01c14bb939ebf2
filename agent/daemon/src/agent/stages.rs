//! The threads that observe, judge and repair.

use std::sync::Arc;

use collectors::HostRoot;
use crossbeam_channel::{Sender as Channel, bounded};
use opentelemetry::trace::TracerProvider;

use super::collect::{self, CollectStage};
use super::ground::Ground;
use super::intake::Intake;
use super::logs::Logs;
use super::own_metrics::Figures;
use super::persist::{PersistStage, saved_alerts};
use super::remediate::RemediateStage;
use super::rules::RulesStage;
use super::stage::Stage;
use super::{Mailboxes, Shared};
use crate::clock;
use crate::config::Config;

/// The threads, and how they are asked to end.
pub(super) struct Stages {
    /// Those that end first.
    pub(super) inputs: Vec<Stage>,
    /// Dropped when the inputs are to end.
    pub(super) stop_inputs: Channel<()>,
    /// Ends when the board of firing alerts is closed.
    pub(super) runs: Stage,
    /// Ends when what it keeps cannot change any more, and this is dropped.
    pub(super) persist: Stage,
    pub(super) stop_persist: Channel<()>,
    pub(super) logs: Logs,
}

impl Stages {
    /// Opens what they work with, and starts them. `report` gets the name of one that ends.
    pub(super) fn start(
        config: Config,
        ground: &Ground,
        shared: &Shared,
        figures: &Figures,
        next: &Mailboxes,
        report: &Channel<&'static str>,
    ) -> anyhow::Result<Self> {
        let tracer = ground.telemetry.traces.tracer("hostmend");
        let new = Arc::clone(&next.repairs);
        let runs = RemediateStage::open(
            config.repairs,
            shared.clone(),
            tracer,
            (ground.state.path(), ground.name()),
            new,
        )?;
        let new = Arc::clone(&next.judgement);
        let saved = saved_alerts(ground.state.path(), &shared.kept);
        let (rules, wakes) = RulesStage::new(config.judgement, &saved, clock::now(), shared.clone(), new);
        let persist = PersistStage::new(shared.clone(), ground.state.path());
        let own = config.own_telemetry.metrics;
        let intake =
            Intake::new(&ground.resource, own, Arc::clone(&ground.sender), shared.clone(), figures.clone());
        let prober = collect::start_probes(config.probes, ground.heartbeats.pulse("probes"))?;
        let new = Arc::clone(&next.inputs);
        let (collecting, events) =
            CollectStage::open(HostRoot::at("/"), &config.collect, prober, intake, wakes, shared, new)?;

        let mut logs = Logs::new(ground, config.identity.of_received(&HostRoot::at("/")), shared, report);
        logs.follow_from_the_start(&config.logs)?;

        let (stop_inputs, stopped) = bounded(0);
        let (stop_persist, persist_stopped) = bounded(0);
        let runs = Stage::start("remediate", report.clone(), move || runs.run())?;
        let persist = Stage::start("persist", report.clone(), move || persist.run(&persist_stopped))?;
        let rules_stopped = stopped.clone();
        let rules = Stage::start("rules", report.clone(), move || rules.run(&rules_stopped))?;
        let events = Stage::start("events", report.clone(), move || events.run())?;
        let collecting = Stage::start("collect", report.clone(), move || collecting.run(&stopped))?;
        Ok(Self { inputs: vec![collecting, events, rules], stop_inputs, runs, persist, stop_persist, logs })
    }
}
