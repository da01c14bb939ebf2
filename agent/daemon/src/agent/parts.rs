//! The parts of a running agent that a reload can change: one row each.
//!
//! A part that did not change prepares nothing and keeps all it has: sockets, connections, positions, alerts. One that did
//! is built beside the part in force; what was prepared and is not committed ends by being dropped.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use collectors::HostRoot;
use documents::Problem;
use otlp::{Destination, QueueLimits};
use probes::HttpProbe;
use series::Limits;

use crate::agent::Agent;
use crate::agent::collect::{self, Inputs, NewInputs, NewProber};
use crate::agent::mailbox::Mailbox;
use crate::agent::receive;
use crate::agent::reload::takes_a_restart;
use crate::config::{ApiPlaces, Collect, Config, Identity, Logs, Notify, ReceiveConfig};
use crate::taps::{TapOptions, host_names};

/// Waits for at most so long until the part has gone over, and says whether it has.
pub(super) type Settled = Box<dyn Fn(Duration) -> bool + Send>;

/// Puts in force what was prepared. Cannot fail.
pub(super) type Commit = Box<dyn FnOnce(&mut Agent) -> Option<Settled>>;

/// One part.
pub(super) struct Part {
    /// As results and messages call it: the key in the configuration.
    pub(super) name: &'static str,
    /// Takes what is its own out of the new configuration and builds it. None if nothing changed.
    pub(super) prepare: fn(&Agent, &mut Config) -> anyhow::Result<Option<Commit>>,
}

/// All of them, in the order in which they are prepared and committed: what may fail for a reason outside the files comes
/// first; what acts on the host comes last.
pub(super) static PARTS: &[Part] = &[
    Part { name: "receive", prepare: listeners },
    Part { name: "destinations", prepare: destinations },
    Part { name: "collect", prepare: collection },
    Part { name: "probes", prepare: probes },
    Part { name: "logs", prepare: logs },
    Part { name: "series", prepare: |agent, config| Ok(series(agent, config)) },
    Part { name: "taps", prepare: |agent, config| Ok(taps(agent, config)) },
    Part { name: "notify", prepare: |agent, config| Ok(notify(agent, config)) },
    Part { name: "rules", prepare: |agent, config| Ok(rules(agent, config)) },
    Part { name: "runbooks", prepare: |agent, config| Ok(repairs(agent, config)) },
];

/// What is in force, as far as it takes to see what a new configuration changes.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(super) file: PathBuf,
    fixed: Fixed,
    receive: ReceiveConfig,
    destinations: Vec<Destination>,
    collect: Collect,
    logs: Logs,
    probes: Vec<(HttpProbe, Duration)>,
    series: Limits,
    snapshot_interval: Duration,
    taps: TapOptions,
    notify: Notify,
    judgement: u64,
    repairs: u64,
}

/// What takes a restart.
#[derive(Debug)]
struct Fixed {
    state_directory: Option<PathBuf>,
    api: ApiPlaces,
    executor: Option<PathBuf>,
    queue: QueueLimits,
    identity: Identity,
    /// As it prints: the SDK's types cannot be compared.
    own_telemetry: String,
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self {
            state_directory: config.state_directory.clone(),
            api: config.api.clone(),
            executor: config.executor.clone(),
            queue: config.queue,
            identity: config.identity.clone(),
            own_telemetry: format!("{:?}", config.own_telemetry),
        }
    }
}

impl InForce {
    /// Of a configuration whose listeners were made ready.
    pub(super) fn of(config: &Config, receive: &ReceiveConfig) -> Self {
        Self {
            receive: receive.clone(),
            file: config.file.clone(),
            fixed: Fixed::of(config),
            destinations: config.destinations.clone(),
            collect: config.collect.clone(),
            logs: config.logs.clone(),
            probes: config.probes.clone(),
            series: config.series,
            snapshot_interval: config.snapshot_interval,
            taps: config.taps.clone(),
            notify: config.notify.clone(),
            judgement: config.judgement.digest,
            repairs: config.repairs.digest,
        }
    }

    /// The keys that would change and cannot.
    pub(super) fn needs_restart(&self, config: &Config) -> Vec<Problem> {
        let (old, new) = (&self.fixed, Fixed::of(config));
        let keys = [
            ("state_directory", old.state_directory != new.state_directory),
            ("api", old.api != new.api),
            ("executor", old.executor != new.executor),
            ("queue", old.queue != new.queue),
            ("resource", old.identity != new.identity),
            ("own_telemetry", old.own_telemetry != new.own_telemetry),
        ];
        let changed = keys.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(key, _)| takes_a_restart(&self.file, key)).collect()
    }
}

fn destinations(agent: &Agent, config: &mut Config) -> anyhow::Result<Option<Commit>> {
    if agent.in_force.destinations == config.destinations {
        return Ok(None);
    }
    let destinations = std::mem::take(&mut config.destinations);
    let new = agent.sender.prepare(destinations.clone())?;
    Ok(Some(Box::new(move |agent| {
        agent.sender.put_in_force(new);
        agent.stages.logs.look_anew();
        agent.in_force.destinations = destinations;
        None
    })))
}

/// Sockets that stay keep their connections. One that is taken by another program fails here, and nothing has changed.
fn listeners(agent: &Agent, config: &mut Config) -> anyhow::Result<Option<Commit>> {
    let receive = receive::listeners(
        config.receive.take(),
        std::mem::take(&mut config.masking),
        &config.identity,
        &HostRoot::at("/"),
    );
    if agent.in_force.receive == receive {
        return Ok(None);
    }
    let prepared = agent.receiver.prepare(receive.listeners.clone(), receive.limits)?;
    Ok(Some(Box::new(move |agent| {
        agent.receiver.apply(prepared);
        agent.in_force.receive = receive;
        None
    })))
}

fn collection(agent: &Agent, config: &mut Config) -> anyhow::Result<Option<Commit>> {
    if agent.in_force.collect == config.collect {
        return Ok(None);
    }
    let collect = std::mem::take(&mut config.collect);
    let opened = Inputs::open(HostRoot::at("/"), &collect)?;
    Ok(Some(Box::new(move |agent| {
        agent.next.inputs.change(|next| next.collection = Some(opened));
        agent.shared.name_as_node_exporter(&collect);
        agent.in_force.collect = collect;
        Some(settled(&agent.next.inputs))
    })))
}

fn probes(agent: &Agent, config: &mut Config) -> anyhow::Result<Option<Commit>> {
    if agent.in_force.probes == config.probes {
        return Ok(None);
    }
    let services = std::mem::take(&mut config.probes);
    let prober = collect::start_probes(services.clone(), agent.shared.heartbeats.pulse("probes"))?;
    Ok(Some(Box::new(move |agent| {
        agent.next.inputs.change(|next| next.prober = Some(NewProber(prober)));
        agent.in_force.probes = services;
        Some(settled(&agent.next.inputs))
    })))
}

/// Sources that stay keep their places; others go on at those that are remembered of their names. The last that may fail:
/// a thread that was started for nothing would end, and the agent with it.
fn logs(agent: &Agent, config: &mut Config) -> anyhow::Result<Option<Commit>> {
    if agent.in_force.logs == config.logs {
        return Ok(None);
    }
    let logs = std::mem::take(&mut config.logs);
    let started = agent.stages.logs.prepare(&logs)?;
    Ok(Some(Box::new(move |agent| {
        let taken = agent.stages.logs.put_in_force(started, &logs);
        agent.in_force.logs = logs;
        taken.map(|taken| -> Settled { Box::new(move |within| taken.wait_taken(within)) })
    })))
}

fn settled(inputs: &Arc<Mailbox<NewInputs>>) -> Settled {
    let inputs = Arc::clone(inputs);
    Box::new(move |within| inputs.wait_taken(within))
}

fn series(agent: &Agent, config: &mut Config) -> Option<Commit> {
    let (limits, interval) = (config.series, config.snapshot_interval);
    if (agent.in_force.series, agent.in_force.snapshot_interval) == (limits, interval) {
        return None;
    }
    Some(Box::new(move |agent| {
        let mut store = agent.shared.store.write().unwrap_or_else(PoisonError::into_inner);
        store.set_limits(limits);
        drop(store);
        agent.shared.kept.write_series_every(interval);
        (agent.in_force.series, agent.in_force.snapshot_interval) = (limits, interval);
        None
    }))
}

/// Taps that changed count from zero.
fn taps(agent: &Agent, config: &mut Config) -> Option<Commit> {
    if agent.in_force.taps == config.taps {
        return None;
    }
    let options = std::mem::take(&mut config.taps);
    Some(Box::new(move |agent| {
        agent.shared.taps.reconfigure(options.clone());
        agent.in_force.taps = options;
        None
    }))
}

/// Who stays is told nothing again that they know.
fn notify(agent: &Agent, config: &mut Config) -> Option<Commit> {
    if agent.in_force.notify == config.notify {
        return None;
    }
    let options = std::mem::take(&mut config.notify);
    Some(Box::new(move |agent| {
        agent.shared.notify.put_in_force(options.clone());
        agent.in_force.notify = options;
        None
    }))
}

fn rules(agent: &Agent, config: &mut Config) -> Option<Commit> {
    if agent.in_force.judgement == config.judgement.digest {
        return None;
    }
    let judgement = std::mem::take(&mut config.judgement);
    Some(Box::new(move |agent| {
        agent.in_force.judgement = judgement.digest;
        agent.shared.taps.set_host_names(host_names(&judgement.groups));
        agent.next.judgement.change(|next| *next = Some(judgement));
        let taken = Arc::clone(&agent.next.judgement);
        Some(Box::new(move |within| taken.wait_taken(within)))
    }))
}

/// Runbooks, scripts and policy belong together. The policy counts at once, the rest from the next run on: a run in hand
/// ends by the runbook that began it.
fn repairs(agent: &Agent, config: &mut Config) -> Option<Commit> {
    if agent.in_force.repairs == config.repairs.digest {
        return None;
    }
    let repairs = std::mem::take(&mut config.repairs);
    Some(Box::new(move |agent| {
        agent.in_force.repairs = repairs.digest;
        if let Some(policy) = &agent.policy {
            policy.replace(repairs.policy.clone());
        }
        agent.shared.kill_switch.heed_policy(&repairs.policy.file);
        agent.shared.notify.hold_back.put_in_force(&repairs.runbooks);
        agent.next.repairs.change(|next| *next = Some(repairs));
        None
    }))
}
