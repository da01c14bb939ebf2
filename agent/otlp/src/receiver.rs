//! Receives OTLP over gRPC and HTTP on one port, from a thread of its own.
//!
//! Hands on what arrives as it arrived, counted but not decoded. Everything that a client can make grow is bounded: a
//! request before and after decompression, the requests and connections at once, and the time that each may take.

mod answer;
mod connection;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use telemetry::{Batch, Signal};
use tokio::sync::watch;

use crate::count::count_items;
use crate::wire::Malformed;

/// Why a receiver cannot start. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// Another program listens there.
    #[error("{address} is in use by another program; stop that program or choose another address")]
    AddressInUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The address cannot be listened on for another reason.
    #[error("listening on {address}")]
    Bind {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread or no event queue.
    #[error("starting the thread that receives telemetry")]
    Start {
        /// Why.
        source: io::Error,
    },
}

/// Where batches go, and in doing so are counted.
struct Sink(Box<dyn Fn(Batch) + Send + Sync>);

impl Sink {
    fn take(&self, signal: Signal, payload: Bytes) -> Result<(), Malformed> {
        let items = count_items(signal, &payload)?;
        // A request without items is a legitimate way to ask whether somebody is there.
        if items > 0 {
            (self.0)(Batch { signal, payload, items });
        }
        Ok(())
    }
}

/// Receives telemetry until it is stopped or dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    /// How long connections may take to finish, once it is time.
    stop: watch::Sender<Option<Duration>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens on `address` (port 0 picks one) and calls `on_batch` with each request that holds items.
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
        let binding = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ReceiverError::AddressInUse { address },
            _ => ReceiverError::Bind { address, source },
        };
        let starting = |source| ReceiverError::Start { source };
        let listener = TcpListener::bind(address).map_err(binding)?;
        listener.set_nonblocking(true).map_err(binding)?;
        let local = listener.local_addr().map_err(binding)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(starting)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(starting)?
        };
        let (stop, stopped) = watch::channel(None);
        let sink = Arc::new(Sink(Box::new(on_batch)));
        let thread = std::thread::Builder::new()
            .name("receive".to_owned())
            .spawn(move || runtime.block_on(connection::accept(listener, sink, stopped)))
            .map_err(starting)?;
        Ok(Self { address: local, stop, thread: Some(thread) })
    }

    /// Where it listens, with the port that was picked.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connection, finishes the requests under way for at most `grace`, and ends.
    pub fn stop(mut self, grace: Duration) {
        self.end(grace);
    }

    fn end(&mut self, grace: Duration) {
        self.stop.send_replace(Some(grace));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that receives telemetry panicked");
        }
    }
}

/// Ends at once; requests under way are cut off.
impl Drop for Receiver {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests;
