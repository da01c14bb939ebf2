//! What was received and refused, counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::refused::Reason;

/// What a receiver has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverFigures {
    /// In the order in which they are configured.
    pub listeners: Vec<ListenerFigures>,
    /// Connections that are open.
    pub connections: usize,
    /// How often a connection had to wait because all places were taken.
    pub connection_waits: u64,
    /// Bytes of requests that are being received or wait to become durable.
    pub in_flight_bytes: usize,
}

/// What one listener has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerFigures {
    /// Its name.
    pub name: String,
    /// Requests, refused ones included.
    pub requests: u64,
    /// Bytes of accepted requests, uncompressed.
    pub bytes: u64,
    /// Data points, spans and log records of accepted requests.
    pub items: u64,
    /// Items of accepted requests that the answer said were rejected.
    pub rejected_items: u64,
    /// TLS handshakes that failed.
    pub failed_handshakes: u64,
    /// Refused requests by reason, reasons that did not occur included.
    pub refused: Vec<(&'static str, u64)>,
}

/// Counts for one listener; survives a change of its configuration.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) items: AtomicU64,
    pub(crate) rejected_items: AtomicU64,
    pub(crate) failed_handshakes: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
}

impl Counters {
    pub(crate) fn refuse(&self, reason: Reason) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn figures(&self, name: &str) -> ListenerFigures {
        let refused = Reason::ALL.iter().zip(&self.refused);
        ListenerFigures {
            name: name.to_owned(),
            requests: self.requests.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            items: self.items.load(Relaxed),
            rejected_items: self.rejected_items.load(Relaxed),
            failed_handshakes: self.failed_handshakes.load(Relaxed),
            refused: refused.map(|(reason, count)| (reason.as_str(), count.load(Relaxed))).collect(),
        }
    }
}
