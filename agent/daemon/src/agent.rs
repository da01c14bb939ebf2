//! The agent: what it is built of, how it runs, how it stops.
//!
//! Everything is opened before anything starts, so that what cannot work fails at the start, with a name.

mod api;
mod books;
mod collect;
mod events;
mod firing;
mod heartbeat;
mod incident_files;
mod instance;
mod intake;
mod mailbox;
mod node_exporter;
pub(crate) mod own_metrics;
mod parts;
mod phase;
mod receive;
mod reload;
mod remediate;
mod rules;
mod run_trace;
mod runs_in_hand;
pub(crate) mod signals;
mod stage;
mod state;
mod supervision;
mod textfile;
mod watcher;
mod world;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use anyhow::{Context, bail};
use collectors::HostRoot;
use crossbeam_channel::{Receiver, Sender as Channel, bounded, select};
use executor::{Actuator, ExecutorSocket, ExecutorThread, Policy, PolicyInForce};
use opentelemetry::trace::TracerProvider;
use otlp::{Destination, QueueOptions, Sender, SenderFigures, Sink};
use series::Store;
use telemetry::{AttributeValue, Signal};

use crate::config::{self, ApiPlaces, Collect, Config, Judgement, ReceiveConfig, Repairs, find};
use crate::exit::Exit;
use crate::self_telemetry::{SelfTelemetry, Shares};
use crate::taps::{Taps, host_names};
use crate::{clock, logging};

pub(crate) use api::ROUTES;
use api::{Api, DiskWatch, Facts, FailingSince, Listening};
use books::Books;
use collect::{CollectBoard, CollectStage, NewInputs};
use firing::FiringBoard;
use heartbeat::{Heartbeats, Pulse};
use incident_files::IncidentFiles;
use intake::Intake;
use mailbox::Mailbox;
use node_exporter::NodePage;
use own_metrics::Figures;
use parts::InForce;
use phase::{Phase, PhaseBoard, STOP_WITHIN};
use reload::{ReloadRequest, Reloads};
use remediate::RemediateStage;
use rules::RulesStage;
use runs_in_hand::RunsInHand;
use signals::Unfinished;
use stage::Stage;
use state::StateDirectory;
pub(crate) use state::{QUEUE, default_directory};
use supervision::Supervision;
use textfile::TextfileTap;
pub(crate) use watcher::{Happening, Watcher};

/// The socket of the local API in its directory.
pub(crate) const API_SOCKET: &str = "api.sock";

/// Where the package has the socket of the service's agent.
pub(crate) const SYSTEMS_API_SOCKET: &str = "/run/hostmend/api.sock";

/// How long one action may take before the run goes on without its answer: the longest `stop_timeout` or `restart_timeout`
/// and a margin.
const ACTION_WITHIN: Duration = Duration::from_secs(320);

/// The executor, shared by the runs.
pub(crate) type SharedExecutor = Arc<Mutex<dyn Actuator>>;

/// `hostmend run`.
pub(crate) fn run(path: &Path, log: Option<&str>) -> anyhow::Result<Exit> {
    let Some(config) = config::load_or_report(path)? else { return Ok(Exit::Errors) };
    let log = log.or(config.own_telemetry.log_level).unwrap_or("info");
    let stop = signals::stop_requests(Unfinished::AGENT)?;
    let mut agent = Agent::start(config, log, Watcher::default())?;
    signals::reload_at_hangup(agent.reloads.clone())?;
    let died = agent.wait(&stop);
    agent.stop();
    died.map_or(Ok(Exit::Done), |stage| bail!("the thread {stage} ended; the agent cannot go on without it"))
}

/// What the stages share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) store: Arc<RwLock<Store>>,
    pub(crate) books: Arc<Books>,
    pub(crate) executor: SharedExecutor,
    pub(crate) firing: Arc<FiringBoard>,
    pub(crate) collections: Arc<AtomicU64>,
    pub(crate) collecting: Arc<CollectBoard>,
    pub(crate) missed_rounds: Arc<AtomicU64>,
    pub(crate) phase: Arc<PhaseBoard>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) own_shares: Arc<Shares>,
    pub(crate) runs: Arc<RunsInHand>,
    pub(crate) disk: Arc<DiskWatch>,
    /// Connections and requests that the API turned away.
    pub(crate) turned_away: Arc<AtomicU64>,
    pub(crate) taps: Arc<Taps>,
    pub(crate) watcher: Watcher,
    pub(crate) node_page: Arc<NodePage>,
    pub(crate) textfiles: Arc<TextfileTap>,
}

impl Shared {
    /// From now on the metrics of `node_exporter`'s names are kept and served as the configuration says.
    fn name_as_node_exporter(&self, collect: &Collect) {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        let scraped = self.node_page.put_in_force(&collect.node_exporter, &mut store);
        self.textfiles.put_in_force(collect.textfile.clone(), &scraped);
    }
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
    inputs: Vec<Stage>,
    runs: Stage,
    stop_inputs: Channel<()>,
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
        keep_capabilities_from_children()?;
        let (started, size) = (clock::now(), config.size());
        let (reloads, asked) = Reloads::new(&config);
        let own_directory = config.state_directory.clone().map_or_else(default_directory, Ok);
        let state = StateDirectory::open(&own_directory?)?;
        let listening = Listening::open(&api_socket(&config.api, state.path()), config.api.listen)?;
        let host = HostRoot::at("/");
        let (resource, own_resource) = instance::resources(&config.identity, &host, state.path())?;
        let receive = receive::listeners(
            config.receive.take(),
            std::mem::take(&mut config.masking),
            &config.identity,
            &host,
        );
        let in_force = InForce::of(&config, &receive);
        let heartbeats = Arc::<Heartbeats>::default();
        let queue = QueueOptions { directory: state.path().join(QUEUE), limits: config.queue };
        let sender = start_sender(config.destinations, &queue, heartbeats.pulse("send"))?;
        let telemetry = SelfTelemetry::new(&config.own_telemetry, &own_resource, &sender)?;
        logging::start(log, telemetry.logs.as_ref())?;
        sender.say_what_was_found();

        let taps = Taps::new(config.taps, host_names(&config.judgement.groups), &resource);
        let policy = config.repairs.policy.clone();
        let budgets = Some(state.path().join("budgets.json"));
        let (executor, policy_in_force) = reach_executor(config.executor, policy, budgets)?;
        let shared = Shared {
            store: Arc::new(RwLock::new(Store::new(config.series))),
            books: Arc::new(Books::new(IncidentFiles::open(state.path(), host_name(&resource))?)),
            executor,
            firing: Arc::default(),
            collections: Arc::default(),
            collecting: Arc::default(),
            missed_rounds: Arc::default(),
            phase: Arc::default(),
            heartbeats: Arc::clone(&heartbeats),
            own_shares: Arc::clone(&telemetry.shares),
            runs: Arc::default(),
            disk: Arc::default(),
            turned_away: Arc::default(),
            taps: Arc::new(taps),
            watcher,
            textfiles: Arc::new(TextfileTap::new(&resource)),
            node_page: Arc::new(NodePage::new(host_name(&resource).to_owned())),
        };
        shared.name_as_node_exporter(&config.collect);
        let sink = receive::sink(Arc::clone(&sender), Arc::clone(&shared.taps));
        let receiver = start_receiver(receive, sink, heartbeats.pulse("receive"))?;
        let (report, ended) = bounded(1);
        let (stop_inputs, inputs_stopped) = bounded(0);

        let tracer = telemetry.traces.tracer("hostmend");
        let next = Mailboxes::default();
        let new = Arc::clone(&next.repairs);
        let runs = RemediateStage::open(config.repairs, shared.clone(), tracer, state.path(), new)?;
        let new = Arc::clone(&next.judgement);
        let (rules, wakes) = RulesStage::new(config.judgement, clock::now(), shared.clone(), new);
        let figures = Figures::new(Arc::clone(&sender), Arc::clone(&receiver), shared.clone(), started);
        let own = config.own_telemetry.metrics;
        let intake = Intake::new(&resource, own, Arc::clone(&sender), shared.clone(), figures.clone());
        let prober = collect::start_probes(config.probes, heartbeats.pulse("probes"))?;
        let new = Arc::clone(&next.inputs);
        let (collecting, events) =
            CollectStage::open(host, &config.collect, prober, intake, wakes, &shared, new)?;

        let runs = Stage::start("remediate", report.clone(), move || runs.run())?;
        let stopped = inputs_stopped.clone();
        let rules = Stage::start("rules", report.clone(), move || rules.run(&stopped))?;
        let events = Stage::start("events", report.clone(), move || events.run())?;
        let collecting = Stage::start("collect", report, move || collecting.run(&inputs_stopped))?;

        let facts = Facts {
            shared: shared.clone(),
            sender: Arc::clone(&sender),
            receiver: Arc::clone(&receiver),
            figures,
            reloads: reloads.clone(),
            state: state.path().to_owned(),
            failing: FailingSince::default(),
        };
        let api = Api::start(listening, Arc::new(facts), heartbeats.pulse("api"))?;
        shared.phase.enter(Phase::Running);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), state = %state.path().display(), %size, "running");
        let supervision = Supervision::start(heartbeats, format!("running: {size}"));
        let inputs = vec![collecting, events, rules];
        Ok(Self {
            shared,
            inputs,
            runs,
            stop_inputs,
            ended,
            telemetry,
            sender,
            receiver,
            supervision,
            in_force,
            reloads,
            asked,
            next,
            policy: policy_in_force,
            api,
            _state: state,
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

    /// Stops in phases, each within its share of the time.
    pub(crate) fn stop(self) {
        self.shared.phase.enter(Phase::StoppingInputs);
        self.shared.heartbeats.stopping(STOP_WITHIN);
        self.supervision.stopping();
        drop(self.stop_inputs);
        let begun = clock::monotonic();
        self.receiver.stop(Phase::StoppingInputs.share() / 2);
        for stage in self.inputs {
            stage.join(Phase::StoppingInputs.share().saturating_sub(begun.elapsed()));
        }
        self.shared.phase.enter(Phase::FinishingRuns);
        self.shared.firing.close();
        self.runs.join(Phase::FinishingRuns.share());
        self.shared.books.write_open();
        self.shared.phase.enter(Phase::EndingProcesses);
        end_what_was_started(&self.shared.executor, Phase::EndingProcesses.share());
        self.shared.phase.enter(Phase::LastExport);
        let begun = clock::monotonic();
        let share = Phase::LastExport.share();
        self.telemetry.stop(share / 4);
        let figures = self.sender.flush_and_stop(share.saturating_sub(begun.elapsed()));
        say_what_was_lost(&figures);
        drop(self.api);
        self.shared.phase.enter(Phase::Stopped);
        tracing::info!(collections = self.shared.collections.load(Ordering::Relaxed), "stopped");
    }
}

/// Capabilities that a drop-in gave the agent to see more are not for the processes that it starts, such as those of
/// scripts. A thread has what the one has that starts it, so this comes before all threads that start processes.
fn keep_capabilities_from_children() -> anyhow::Result<()> {
    rustix::thread::clear_ambient_capability_set()
        .context("keeping the agent's capabilities from the processes that it starts")
}

fn start_sender(
    destinations: Vec<Destination>,
    queue: &QueueOptions,
    pulse: Pulse,
) -> anyhow::Result<Arc<Sender>> {
    let beat = move || pulse.beat(heartbeat::ATTENTION);
    Ok(Arc::new(Sender::start(destinations, Some(queue), heartbeat::ATTENTION, beat)?))
}

/// Listens, if the configuration names listeners; without any, the receiver waits for a reload that does.
fn start_receiver(receive: ReceiveConfig, sink: Sink, pulse: Pulse) -> anyhow::Result<Arc<otlp::Receiver>> {
    let receiver = otlp::Receiver::start(receive.listeners, receive.limits, sink).context("receive")?;
    receiver.say_alive(heartbeat::ATTENTION, move || pulse.beat(heartbeat::ATTENTION));
    Ok(Arc::new(receiver))
}

/// The executor behind its socket, or on a thread where it has none; then with the policy that it judges by.
fn reach_executor(
    socket: Option<PathBuf>,
    policy: Policy,
    budgets: Option<PathBuf>,
) -> anyhow::Result<(SharedExecutor, Option<PolicyInForce>)> {
    if let Some(socket) = socket {
        return Ok((Arc::new(Mutex::new(ExecutorSocket::at(socket, ACTION_WITHIN))), None));
    }
    let thread = ExecutorThread::start(policy, budgets, clock::now, ACTION_WITHIN);
    let thread = thread.context("starting the thread executor")?;
    let policy = thread.policy();
    Ok((Arc::new(Mutex::new(thread)), Some(policy)))
}

/// Where the local API listens: where the configuration says, where the package has a directory for the service's
/// sockets, or in `state`.
fn api_socket(places: &ApiPlaces, state: &Path) -> PathBuf {
    places.socket.clone().unwrap_or_else(|| {
        let packaged = Path::new(SYSTEMS_API_SOCKET);
        let is_service = std::env::var_os("STATE_DIRECTORY").is_some();
        let may = |directory: &Path| rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).is_ok();
        if is_service && packaged.parent().is_some_and(may) {
            packaged.to_owned()
        } else {
            state.join(API_SOCKET)
        }
    })
}

/// Ends the processes whose policy says that they end with the executor. Not when an action is still under way: it
/// would have to be waited for.
fn end_what_was_started(executor: &SharedExecutor, within: Duration) {
    match executor.try_lock() {
        Ok(mut executor) => executor.stop_started(within),
        Err(TryLockError::Poisoned(executor)) => executor.into_inner().stop_started(within),
        Err(TryLockError::WouldBlock) => {
            tracing::warn!(
                "an action is still under way; what the executor started is left to end by itself"
            );
        }
    }
}

fn host_name(resource: &[(String, AttributeValue)]) -> &str {
    find(resource, "host.name").unwrap_or("this host")
}

/// What is on disk is not lost.
fn say_what_was_lost(figures: &SenderFigures) {
    for destination in &figures.destinations {
        for signal in Signal::ALL {
            let figures = destination.signal(signal);
            if figures.queued > 0 {
                let (waiting, items) = (figures.queued, signal.items());
                tracing::info!(
                    destination = destination.name,
                    "{waiting} {items} wait on disk for the next start"
                );
            }
            if figures.dead_lettered > 0 {
                let (kept, items) = (figures.dead_lettered, signal.items());
                tracing::info!(
                    destination = destination.name,
                    "{kept} {items} are kept as dead letters; `hostmend queue replay` sends them again"
                );
            }
            if figures.lost() > 0 {
                tracing::warn!(
                    destination = destination.name,
                    %signal,
                    delivered = figures.delivered,
                    refused = figures.refused,
                    bytes = figures.lost_bytes,
                    age = figures.lost_age,
                    disk = figures.lost_disk,
                    damaged = figures.lost_damaged,
                    dead_letters = figures.lost_dead_letters,
                    queue_full = figures.dropped_queue_full,
                    shutdown = figures.dropped_shutdown,
                    last_error = destination.last_error,
                    "telemetry was lost"
                );
            }
        }
    }
}
