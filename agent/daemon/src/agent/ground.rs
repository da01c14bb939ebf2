//! What the agent stands on: everything that has to be open before the first of its threads starts.
//!
//! Opened before anything is done, so that what cannot work fails at the start, with a name.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use collectors::HostRoot;
use documents::Trust;
use executor::{ExecutorSocket, ExecutorThread, Policy, PolicyInForce};
use otlp::{Destination, QueueOptions, Sender};
use telemetry::Attributes;

use super::api::Listening;
use super::heartbeat::{self, Heartbeats, Pulse};
use super::parts::InForce;
use super::state::{QUEUE, StateDirectory, default_directory};
use super::{API_SOCKET, SYSTEMS_API_SOCKET, Shared, SharedExecutor, instance, receive};
use crate::config::{ApiPlaces, Config, ReceiveConfig, find};
use crate::self_telemetry::SelfTelemetry;
use crate::{clock, logging};

/// How long one action may take before the run goes on without its answer: the longest `stop_timeout` or `restart_timeout`
/// and a margin.
pub(super) const ACTION_WITHIN: Duration = Duration::from_secs(320);

/// All of it.
pub(super) struct Ground {
    pub(super) state: StateDirectory,
    pub(super) listening: Listening,
    pub(super) resource: Attributes,
    receive: ReceiveConfig,
    pub(super) in_force: InForce,
    pub(super) heartbeats: Arc<Heartbeats>,
    pub(super) sender: Arc<Sender>,
    pub(super) telemetry: SelfTelemetry,
}

/// A name of a host has at most 64 characters in Linux.
const MAX_HOST_NAME: usize = 64;

impl Ground {
    /// Takes of the configuration what others send and where to; from here on the agent logs.
    pub(super) fn open(config: &mut Config, log: &str) -> anyhow::Result<Self> {
        keep_capabilities_from_children()?;
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
        let in_force = InForce::of(config, &receive);
        let heartbeats = Arc::<Heartbeats>::default();
        let queue = QueueOptions { directory: state.path().join(QUEUE), limits: config.queue };
        let destinations = std::mem::take(&mut config.destinations);
        let sender = start_sender(destinations, &queue, heartbeats.pulse("send"))?;
        let telemetry = SelfTelemetry::new(&config.own_telemetry, &own_resource, &sender)?;
        logging::start(log, telemetry.logs.as_ref())?;
        sender.say_what_was_found();
        Ok(Self { state, listening, resource, receive, in_force, heartbeats, sender, telemetry })
    }

    /// What tells this agent from every other, by what a file name can hold, and people which host it is on.
    pub(super) fn name(&self) -> String {
        let told = |key| find(&self.resource, key).unwrap_or_default();
        let holds = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let host: String = told("host.name").chars().filter(holds).take(MAX_HOST_NAME).collect();
        let id: String = told("service.instance.id").chars().filter(holds).take(MAX_HOST_NAME).collect();
        format!("{host}-{id}")
    }

    /// The names of those that others can send to.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &str> {
        self.receive.listeners.iter().map(|listener| listener.name.as_str())
    }

    /// Listens, if the configuration names listeners; without any, the receiver waits for a reload that does.
    pub(super) fn start_receiver(&self, shared: &Shared) -> anyhow::Result<Arc<otlp::Receiver>> {
        let sink = receive::sink(Arc::clone(&self.sender), Arc::clone(&shared.taps));
        let ReceiveConfig { listeners, limits, .. } = self.receive.clone();
        let receiver = otlp::Receiver::start(listeners, limits, sink).context("receive")?;
        let pulse = self.heartbeats.pulse("receive");
        receiver.say_alive(heartbeat::ATTENTION, move || pulse.beat(heartbeat::ATTENTION));
        Ok(Arc::new(receiver))
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

/// The executor behind its socket, or on a thread where it has none; then with the policy that it judges by.
pub(super) fn reach_executor(
    socket: Option<PathBuf>,
    policy: Policy,
    budgets: Option<PathBuf>,
) -> anyhow::Result<(SharedExecutor, Option<PolicyInForce>)> {
    if let Some(socket) = socket {
        return Ok((Arc::new(Mutex::new(ExecutorSocket::at(socket, ACTION_WITHIN))), None));
    }
    let thread =
        ExecutorThread::start(policy, budgets, clock::now, ACTION_WITHIN, Some(Trust::invoking_user()));
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
