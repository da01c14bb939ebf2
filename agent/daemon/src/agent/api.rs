//! The local API: how commands on this host ask the running agent, and change it.
//!
//! HTTP/1.1 over a Unix socket. Who calls is told by the kernel, what they may do by the groups of the host, and what can
//! be asked by one table, [`ROUTES`]. It has a thread and a runtime of its own, so that it answers while all else hangs.
//! A second listener, on a loopback address, is for those who only watch: it knows the routes that read figures, and no callers.

mod caller;
mod freezing;
mod health;
mod host_header;
mod logs;
pub(super) mod page;
mod parameters;
mod prometheus;
mod repairs;
mod replay;
mod report;
mod routes;
mod runs;
mod server;
mod silences;
mod snapshot;
mod socket;
mod top;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use otlp::{Receiver, Sender};
use tokio::sync::watch;

use crate::agent::Shared;
use crate::agent::heartbeat::{ATTENTION, Pulse};
use crate::agent::own_metrics::Figures;
use crate::agent::reload::Reloads;
pub(crate) use health::{DiskWatch, FailingSince};
pub(crate) use prometheus::QueryFigures;
pub(crate) use routes::{ROUTES, Reply};
pub(crate) use snapshot::TakenAlong;
use socket::Socket;
pub(in crate::agent) use top::ProcessRates;

/// Questions that wait for a lock at once; a further one waits for its turn. The agent's own health needs none.
const BLOCKING_THREADS: usize = 4;

/// What questions are answered from.
pub(crate) struct Facts {
    pub(crate) shared: Shared,
    pub(crate) sender: Arc<Sender>,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) figures: Figures,
    pub(crate) reloads: Reloads,
    pub(crate) state: PathBuf,
    pub(crate) failing: FailingSince,
    pub(crate) taken_along: TakenAlong,
}

/// Where the API listens.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: Socket,
    watchers: Option<TcpListener>,
}

impl Listening {
    /// Listens at `socket`, and for watchers at `address`.
    ///
    /// # Errors
    ///
    /// Says which of the two is taken or cannot be had.
    pub(crate) fn open(socket: &Path, address: Option<SocketAddr>) -> anyhow::Result<Self> {
        let watchers = address.map(|address| {
            let listener = TcpListener::bind(address).with_context(|| {
                format!("listening on {address}; stop what listens there, or change api.listen")
            })?;
            listener.set_nonblocking(true).context("preparing api.listen")?;
            anyhow::Ok(listener)
        });
        Ok(Self { watchers: watchers.transpose()?, socket: Socket::open(socket)? })
    }
}

/// The running API.
#[derive(Debug)]
pub(crate) struct Api {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    _path: socket::Path,
}

impl Api {
    /// Starts the thread `api`, which answers from `facts` and says through `pulse` that it lives.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no event queue.
    pub(crate) fn start(listening: Listening, facts: Arc<Facts>, pulse: Pulse) -> anyhow::Result<Self> {
        let (listener, path) = listening.socket.into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_keep_alive(Duration::from_secs(1))
            .thread_name("api-blocking")
            .build()
            .context("starting the thread api")?;
        let listeners = {
            let _entered = runtime.enter();
            server::Listeners::new(listener, listening.watchers).context("starting the thread api")?
        };
        let (stop, stopped) = watch::channel(false);
        let work = move || {
            runtime.block_on(async {
                tokio::spawn(async move {
                    loop {
                        pulse.beat(ATTENTION);
                        tokio::time::sleep(ATTENTION).await;
                    }
                });
                tokio::spawn(health::watch_disk(Arc::clone(&facts)));
                tokio::spawn(health::watch_destinations(Arc::clone(&facts)));
                server::serve(listeners, facts, stopped).await;
            });
            // Not the ordinary end, which would wait for an answer that hangs.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("api".to_owned()).spawn(work);
        let thread = thread.context("starting the thread api")?;
        Ok(Self { stop, thread: Some(thread), _path: path })
    }
}

/// Takes its socket away and ends.
impl Drop for Api {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread api panicked");
        }
    }
}
