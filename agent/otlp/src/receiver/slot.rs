//! A listener as it is configured now; exchanged whole while connections are open.

use std::sync::{Arc, Mutex, PoisonError};

use super::budget::Rate;
use super::figures::Counters;
use super::listener::{Listener, ReceiverLimits};
use super::sink::OriginOfListener;
use super::tls::Certificates;
use crate::mask::Masking;
use crate::sender::tls::TlsError;
use crate::splice::Splice;

/// What a request is judged by.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) origin: Arc<OriginOfListener>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) limits: ReceiverLimits,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) users: Vec<u32>,
    pub(crate) client_names: Vec<String>,
    pub(crate) rate: Option<Rate>,
    pub(crate) is_strict: bool,
    pub(crate) peer_attribute: Option<String>,
    pub(crate) masking: Arc<Masking>,
    /// What is added to every request; without what a peer adds.
    pub(crate) splice: Option<Splice>,
}

impl Current {
    /// # Errors
    ///
    /// The files of TLS cannot be used.
    pub(crate) fn new(
        listener: &Listener,
        limits: ReceiverLimits,
        counters: Arc<Counters>,
    ) -> Result<Self, TlsError> {
        let missing = &listener.missing_attributes;
        Ok(Self {
            origin: Arc::new(OriginOfListener { name: listener.name.clone() }),
            counters,
            limits,
            certificates: listener.tls.as_ref().map(Certificates::load).transpose()?,
            users: listener.users.clone(),
            client_names: listener.client_names.clone(),
            rate: listener.bytes_per_second.map(|rate| Rate::new(rate.get())),
            is_strict: listener.strict,
            peer_attribute: listener.peer_attribute.clone(),
            masking: Arc::clone(&listener.masking),
            splice: (!missing.is_empty()).then(|| Splice::new(missing)),
        })
    }
}

/// Where the connections of one address find their listener.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Arc<Current>>);

impl Slot {
    pub(crate) const fn new(current: Arc<Current>) -> Self {
        Self(Mutex::new(current))
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, current: Arc<Current>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = current;
    }
}
