//! Receives OTLP over gRPC and HTTP, on TCP addresses and Unix sockets, from a thread of its own.
//!
//! Hands on what arrives as it arrived, checked and counted but not decoded, and answers when it is told that the bytes
//! are durable. Everything that a client can make grow is bounded: a request before and after decompression, all
//! requests together, connections, streams, and the time that each may take. Beyond a limit a request is refused so that
//! its sender tries again. Every address speaks both gRPC and HTTP.

mod body;
mod budget;
mod connection;
mod figures;
mod listener;
mod peer;
mod refused;
mod request;
mod response;
mod sink;
mod slot;
mod socket;
mod tls;
mod unpack;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use telemetry::Batch;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::sender::tls::TlsError;
use budget::{InFlight, Places};
use connection::House;
use figures::Counters;
use request::Hall;
use slot::{Current, Slot};
use socket::{Bound, Listening};

pub use figures::{ListenerFigures, ReceiverFigures};
pub use listener::{AddressError, DEFAULT_SOCKET_MODE, ListenAddress, Listener, ReceiverLimits};
pub use sink::{Answer, OriginOfListener, Received, Refusal, Reply, Sink};
pub use tls::ServerTls;

/// Why a receiver cannot start or change. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// Another program listens there.
    #[error("{address} is in use by another program; stop that program or choose another address")]
    AddressInUse {
        /// Where it was to listen.
        address: ListenAddress,
    },
    /// Two listeners want the same address.
    #[error("two listeners have the address {address}; choose another for one of them")]
    AddressTwice {
        /// Where they were to listen.
        address: ListenAddress,
    },
    /// The address cannot be listened on for another reason.
    #[error("listening on {address}")]
    Bind {
        /// Where it was to listen.
        address: ListenAddress,
        /// Why.
        source: io::Error,
    },
    /// The certificates of a listener cannot be used.
    #[error("setting up TLS of the listener {listener}")]
    Tls {
        /// Its name.
        listener: String,
        /// Why.
        source: Box<TlsError>,
    },
    /// The system gives no thread or no event queue.
    #[error("starting the thread that receives telemetry")]
    Start {
        /// Why.
        source: io::Error,
    },
}

/// Receives telemetry until it is stopped or dropped.
pub struct Receiver {
    house: Arc<House>,
    runtime: Handle,
    open: Mutex<OpenListeners>,
    stop: Mutex<Option<oneshot::Sender<Stop>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is listened to now.
#[derive(Default)]
struct OpenListeners {
    addresses: BTreeMap<ListenAddress, OpenAddress>,
    /// By name, in the order of the configuration.
    counters: Vec<(String, Arc<Counters>)>,
}

struct OpenAddress {
    slot: Arc<Slot>,
    /// Of a TCP address, with the port that was picked.
    tcp: Option<SocketAddr>,
    /// Set when it is time to end; closed when the last connection has ended.
    stop: watch::Sender<bool>,
}

/// How to end.
struct Stop {
    grace: Duration,
    addresses: Vec<watch::Sender<bool>>,
}

/// A new configuration whose sockets are bound and whose certificates are read. Dropping it changes nothing.
pub struct PreparedListeners {
    listeners: Vec<(Listener, Arc<Current>)>,
    fresh: BTreeMap<ListenAddress, (Option<SocketAddr>, Listening)>,
    limits: ReceiverLimits,
}

impl Receiver {
    /// Starts the thread `receive`, which listens and calls `sink` with each request that holds items.
    ///
    /// # Errors
    ///
    /// An address cannot be listened on, certificates cannot be used, or the thread cannot be started.
    pub fn start(
        listeners: Vec<Listener>,
        limits: ReceiverLimits,
        sink: Sink,
    ) -> Result<Self, ReceiverError> {
        let starting = |source| ReceiverError::Start { source };
        let in_flight = Arc::new(InFlight::new(0));
        let house = House::new(Hall { sink, in_flight }, Arc::new(Places::new(0)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(starting)?;
        let (stop, stopped) = oneshot::channel();
        let receiver = Self {
            house: Arc::new(house),
            runtime: runtime.handle().clone(),
            open: Mutex::default(),
            stop: Mutex::new(Some(stop)),
            thread: Mutex::default(),
        };
        receiver.apply(receiver.prepare(listeners, limits)?);
        let thread = std::thread::Builder::new()
            .name("receive".to_owned())
            .spawn(move || runtime.block_on(finish(stopped)))
            .map_err(starting)?;
        *lock(&receiver.thread) = Some(thread);
        Ok(receiver)
    }

    /// Listens on `address` (port 0 picks one) and calls `on_batch` with each request that holds items; what it was
    /// called with counts as durable.
    ///
    /// `on_batch` runs on the thread `receive`, before the client gets its answer, and must not block.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or the thread cannot be started.
    pub fn bind(
        address: SocketAddr,
        on_batch: impl Fn(Batch) + Send + Sync + 'static,
    ) -> Result<Self, ReceiverError> {
        let listener = Listener::new("receiver", vec![ListenAddress::Tcp(address)]);
        let sink: Sink = Arc::new(move |received: Received, reply: Reply| {
            let Received { signal, payload, items, .. } = received;
            on_batch(Batch { signal, payload, items });
            reply.send(Ok(Answer::default()));
        });
        Self::start(vec![listener], ReceiverLimits::default(), sink)
    }

    /// The first TCP address, with the port that was picked; `0.0.0.0:0` when there is none.
    pub fn local_address(&self) -> SocketAddr {
        let first = self.open().addresses.values().find_map(|open| open.tcp);
        first.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// Where it listens, with the ports that were picked.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        let open = self.open();
        let picked = |(address, open): (&ListenAddress, &OpenAddress)| {
            open.tcp.map_or_else(|| address.clone(), ListenAddress::Tcp)
        };
        open.addresses.iter().map(picked).collect()
    }

    /// Binds the addresses of `listeners` that are not listened on yet and reads certificates. Nothing changes before
    /// [`Receiver::apply`].
    ///
    /// # Errors
    ///
    /// An address cannot be listened on, or certificates cannot be used.
    pub fn prepare(
        &self,
        listeners: Vec<Listener>,
        limits: ReceiverLimits,
    ) -> Result<PreparedListeners, ReceiverError> {
        let open = self.open();
        let mut seen = Vec::new();
        let mut prepared = PreparedListeners { listeners: Vec::new(), fresh: BTreeMap::new(), limits };
        let _entered = self.runtime.enter();
        for listener in listeners {
            for address in &listener.addresses {
                if seen.contains(address) {
                    return Err(ReceiverError::AddressTwice { address: address.clone() });
                }
                seen.push(address.clone());
                if !open.addresses.contains_key(address) {
                    let bound = Bound::new(address, listener.socket_mode)?;
                    let tcp = bound.tcp_address();
                    let listening = bound.listen().map_err(|source| ReceiverError::Start { source })?;
                    prepared.fresh.insert(address.clone(), (tcp, listening));
                }
            }
            let known = open.counters.iter().find(|(name, _)| *name == listener.name);
            let counters = known.map(|(_, counters)| counters.clone()).unwrap_or_default();
            let current = Current::new(&listener, limits, counters).map_err(|source| ReceiverError::Tls {
                listener: listener.name.clone(),
                source: Box::new(source),
            })?;
            prepared.listeners.push((listener, Arc::new(current)));
        }
        Ok(prepared)
    }

    /// Makes `prepared` the configuration. Sockets of addresses that stay remain open with their connections; addresses
    /// that are no more are closed, the requests under way there still answered.
    pub fn apply(&self, prepared: PreparedListeners) {
        let PreparedListeners { listeners, fresh: mut new, limits } = prepared;
        let _entered = self.runtime.enter();
        // Compressed and decompressed, the largest request takes twice its size, or it would never fit.
        let in_flight = limits.max_in_flight_bytes.max(2 * limits.max_request_bytes) + ROOM_TO_STEP;
        self.house.hall.in_flight.set_limit(in_flight);
        self.house.places.set_limit(limits.max_connections);
        let mut open = self.open();
        let mut old = std::mem::take(&mut *open);
        for (listener, current) in listeners {
            open.counters.push((listener.name, current.counters.clone()));
            for address in listener.addresses {
                let kept = old.addresses.remove(&address);
                let fresh = new.remove(&address);
                let place = match (kept, fresh) {
                    (Some(kept), _) => {
                        kept.slot.set(current.clone());
                        if let ListenAddress::Unix(path) = &address
                            && let Err(error) = socket::set_mode(path, listener.socket_mode)
                        {
                            tracing::error!("setting the mode of {address}: {error}");
                        }
                        kept
                    }
                    (None, Some((tcp, listening))) => {
                        let slot = Arc::new(Slot::new(current.clone()));
                        let (stop, stopped) = watch::channel(false);
                        tokio::spawn(connection::accept(
                            listening,
                            slot.clone(),
                            self.house.clone(),
                            stopped,
                        ));
                        OpenAddress { slot, tcp, stop }
                    }
                    (None, None) => unreachable!("an address that is not open has been bound"),
                };
                open.addresses.insert(address, place);
            }
        }
        for gone in old.addresses.into_values() {
            gone.stop.send_replace(true);
        }
    }

    /// [`Receiver::prepare`] and [`Receiver::apply`]: all or nothing.
    ///
    /// # Errors
    ///
    /// As these.
    pub fn reconfigure(&self, listeners: Vec<Listener>, limits: ReceiverLimits) -> Result<(), ReceiverError> {
        self.apply(self.prepare(listeners, limits)?);
        Ok(())
    }

    /// Has the receiver's thread call `alive` now and then `every` so often, as long as nothing holds it up.
    pub fn say_alive(&self, every: Duration, alive: impl Fn() + Send + 'static) {
        self.runtime.spawn(async move {
            loop {
                alive();
                sleep(every).await;
            }
        });
    }

    /// What it has done.
    pub fn figures(&self) -> ReceiverFigures {
        let listeners = self.open().counters.iter().map(|(name, counters)| counters.figures(name)).collect();
        ReceiverFigures {
            listeners,
            connections: self.house.places.taken(),
            connection_waits: self.house.places.waits(),
            in_flight_bytes: self.house.hall.in_flight.used(),
        }
    }

    /// Takes no new connection, finishes the requests under way for at most `grace`, and ends. A second call does nothing.
    pub fn stop(&self, grace: Duration) {
        let open = std::mem::take(&mut self.open().addresses);
        let addresses = open.into_values().map(|address| address.stop).collect();
        if let Some(stop) = lock(&self.stop).take() {
            // It no longer waits if it panicked, which joining it tells.
            let _ = stop.send(Stop { grace, addresses });
        }
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that receives telemetry panicked");
        }
    }

    fn open(&self) -> MutexGuard<'_, OpenListeners> {
        lock(&self.open)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a decompressor asks for in advance comes on top of the limit.
const ROOM_TO_STEP: usize = 1 << 20;

/// Waits until it is time, and then until all connections have ended, or not longer than they are given. What has not
/// ended by then is cut off when the runtime goes.
async fn finish(stopped: oneshot::Receiver<Stop>) {
    let Ok(Stop { grace, addresses }) = stopped.await else { return };
    for stop in &addresses {
        stop.send_replace(true);
    }
    let all_closed = async {
        for stop in &addresses {
            stop.closed().await;
        }
    };
    let _ = timeout(grace, all_closed).await;
}

/// Ends at once; requests under way are cut off.
impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
