//! The agent: what it is built of, how it runs, how it stops.
//!
//! Everything is opened before anything starts, so that what cannot work fails at the start, with a name.

mod api;
mod arrivals;
mod attachments;
mod books;
mod circumstances;
mod collect;
mod ending;
mod events;
mod facts;
mod firing;
mod fleet_lock;
mod ground;
mod groups;
mod heartbeat;
mod hold_back;
mod incident_files;
mod instance;
mod intake;
mod kill_switch;
mod logs;
pub(crate) mod mailbox;
mod needs;
mod node_exporter;
mod notify;
mod orders;
pub(crate) mod own_metrics;
mod parts;
mod persist;
mod phase;
mod receive;
mod reload;
mod remediate;
mod rules;
mod run_threads;
mod run_trace;
mod runs_in_hand;
mod shared;
pub(crate) mod signals;
mod stage;
mod stages;
mod state;
mod supervision;
mod textfile;
mod watcher;
mod world;

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::bail;
use crossbeam_channel::{Receiver, bounded, select};
use executor::{Actuator, PolicyInForce};
use otlp::Sender;

use crate::clock;
use crate::config::{self, Config, Judgement, Repairs};
use crate::exit::Exit;
use crate::self_telemetry::SelfTelemetry;

pub(crate) use api::ROUTES;
use api::{Api, Facts, FailingSince, TakenAlong};
use collect::NewInputs;
use ground::Ground;
use mailbox::Mailbox;
use own_metrics::Figures;
use parts::InForce;
use phase::Phase;
use reload::{ReloadRequest, Reloads};
pub(crate) use run_threads::MOST_AT_ONCE;
pub(crate) use shared::{MOST_WITH_LINES, Shared};
use signals::Unfinished;
use stages::Stages;
use state::StateDirectory;
pub(crate) use state::{QUEUE, default_directory};
use supervision::Supervision;
pub(crate) use watcher::{Happening, Watcher};

/// The socket of the local API in its directory.
pub(crate) const API_SOCKET: &str = "api.sock";

/// Where the package has the socket of the service's agent.
pub(crate) const SYSTEMS_API_SOCKET: &str = "/run/hostmend/api.sock";

/// The executor, shared by the runs.
pub(crate) type SharedExecutor = Arc<Mutex<dyn Actuator>>;

/// `hostmend run`.
pub(crate) fn run(path: &Path, log: Option<&str>) -> anyhow::Result<Exit> {
    let Some(config) = config::load_or_report(path)? else { return Ok(Exit::Errors) };
    let log = log.or(config.own_telemetry.log_level).unwrap_or("info");
    let stop = signals::stop_requests(Unfinished::AGENT)?;
    let mut agent = Agent::start(config, log, Watcher::default())?;
    signals::heed(agent.reloads.clone(), Arc::clone(&agent.shared.kill_switch))?;
    let died = agent.wait(&stop);
    agent.stop();
    died.map_or(Ok(Exit::Done), |stage| bail!("the thread {stage} ended; the agent cannot go on without it"))
}

/// What the stages are to take over after a reload.
#[derive(Default)]
pub(crate) struct Mailboxes {
    inputs: Arc<Mailbox<NewInputs>>,
    judgement: Arc<Mailbox<Option<Judgement>>>,
    repairs: Arc<Mailbox<Option<Repairs>>>,
}

/// A running agent.
pub(crate) struct Agent {
    shared: Shared,
    stages: Stages,
    ended: Receiver<&'static str>,
    telemetry: SelfTelemetry,
    sender: Arc<Sender>,
    receiver: Arc<otlp::Receiver>,
    supervision: Supervision,
    in_force: InForce,
    reloads: Reloads,
    asked: Receiver<ReloadRequest>,
    next: Mailboxes,
    policy: Option<PolicyInForce>,
    api: Api,
    _state: StateDirectory,
}

impl Agent {
    /// Opens everything and starts the threads.
    ///
    /// # Errors
    ///
    /// What could not be opened or started, by name.
    pub(crate) fn start(mut config: Config, log: &str, watcher: Watcher) -> anyhow::Result<Self> {
        let (started, size) = (clock::now(), config.size());
        let (reloads, asked) = Reloads::new(&config);
        let ground = Ground::open(&mut config, log)?;
        let (shared, policy) = Shared::open(&mut config, &ground, watcher)?;
        let receiver = ground.start_receiver(&shared)?;
        let sender = Arc::clone(&ground.sender);
        let figures = Figures::new(Arc::clone(&sender), Arc::clone(&receiver), shared.clone(), started);
        let next = Mailboxes::default();
        let (report, ended) = bounded(1);
        let stages = Stages::start(config, &ground, &shared, &figures, &next, &report)?;
        let facts = Facts {
            shared: shared.clone(),
            sender: Arc::clone(&sender),
            receiver: Arc::clone(&receiver),
            figures,
            reloads: reloads.clone(),
            state: ground.state.path().to_owned(),
            failing: FailingSince::default(),
            taken_along: TakenAlong::default(),
        };
        let api = Api::start(ground.listening, Arc::new(facts), ground.heartbeats.pulse("api"))?;
        shared.phase.enter(Phase::Running);
        let state = ground.state.path().display();
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %state, %size, "running");
        let supervision = Supervision::start(ground.heartbeats, format!("running: {size}"));
        Ok(Self {
            shared,
            stages,
            ended,
            telemetry: ground.telemetry,
            sender,
            receiver,
            supervision,
            in_force: ground.in_force,
            reloads,
            asked,
            next,
            policy,
            api,
            _state: ground.state,
        })
    }

    /// What performs actions, for whoever wants one performed beside the runs.
    pub(crate) fn executor(&self) -> &SharedExecutor {
        &self.shared.executor
    }

    /// Waits until the agent is asked to stop, or until a stage ends by itself; then its name is returned. Reloads when it
    /// is asked to.
    pub(crate) fn wait(&mut self, stop: &Receiver<&'static str>) -> Option<&'static str> {
        loop {
            select! {
                recv(stop) -> signal => {
                    tracing::info!(signal = signal.unwrap_or("nothing"), "stopping");
                    return None;
                }
                recv(self.ended) -> stage => return stage.ok(),
                recv(self.asked) -> request => if let Ok(request) = request { self.reload(request) },
            }
        }
    }
}
