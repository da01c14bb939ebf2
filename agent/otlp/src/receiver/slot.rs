//! A listener as it is configured now; exchanged whole while connections are open.

use std::sync::{Arc, Mutex, PoisonError};

use super::budget::Rate;
use super::figures::Counters;
use super::listener::{Listener, ReceiverLimits, User};
use super::sink::OriginOfListener;
use super::tls::Certificates;
use crate::sender::tls::TlsError;

/// What a request is judged by.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) origin: Arc<OriginOfListener>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) limits: ReceiverLimits,
    pub(crate) certificates: Option<Certificates>,
    pub(crate) users: Vec<User>,
    pub(crate) client_names: Vec<String>,
    pub(crate) rate: Option<Rate>,
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
        Ok(Self {
            origin: Arc::new(OriginOfListener { name: listener.name.clone() }),
            counters,
            limits,
            certificates: listener.tls.as_ref().map(Certificates::load).transpose()?,
            users: listener.users.clone(),
            client_names: listener.client_names.clone(),
            rate: listener.bytes_per_second.map(|rate| Rate::new(rate.get())),
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
