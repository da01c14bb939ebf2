//! The places that this host's runs have among those of its fleet that may act.
//!
//! A place is taken when all guards have let a run pass, kept until the run has ended, and given back then, by whoever sees
//! the end: the run itself, or the coordinator when the run's thread has died. A run that the agent's end cuts off keeps its
//! place if it has acted, for the next agent to take over; what that does not need it gives back. The rest is free when its
//! time is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemetry::{RunId, Timestamp, with_causes};

use crate::fleet_lock::{FleetLock, Place};
use crate::guard::{FLEET_LOCK, Verdict};
use crate::runbook::Runbook;

/// The lock, and what is held of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    lock: Option<Arc<dyn FleetLock>>,
    /// One for each run that is under way.
    held: Arc<Mutex<HashMap<RunId, Held>>>,
}

/// A place, and the lock that it is of: the host may agree by another since.
#[derive(Clone, Debug)]
struct Held {
    lock: Arc<dyn FleetLock>,
    place: Place,
}

impl Places {
    /// Asks this lock from now on.
    pub(super) fn agree_by(&mut self, lock: Option<Arc<dyn FleetLock>>) {
        self.lock = lock;
    }

    /// Takes a place for a run that all guards let pass. If another host was faster, the guard has refused it.
    pub(super) fn claim(
        &self,
        runbook: &Runbook,
        run: &RunId,
        verdicts: &mut [(&'static str, Verdict)],
        now: Timestamp,
    ) {
        if verdicts.iter().any(|(_, verdict)| !verdict.allowed) {
            return;
        }
        let Err(reason) = self.take(runbook, run, now) else { return };
        if let Some((_, verdict)) = verdicts.iter_mut().find(|(name, _)| *name == FLEET_LOCK) {
            *verdict = Verdict { allowed: false, reason };
        }
    }

    /// Takes the place that a runbook asks for, if it asks for one. A run that has one keeps that.
    pub(super) fn take(&self, runbook: &Runbook, run: &RunId, now: Timestamp) -> Result<(), String> {
        let Some(terms) = &runbook.guards.fleet_lock else { return Ok(()) };
        let refused =
            |why: String| format!("no place among {} of {} was to be had: {why}", terms.max, terms.group);
        let lock = self.lock.clone().ok_or_else(|| refused("this host asks no lock".to_owned()))?;
        let place = lock.acquire(terms, run, now).map_err(|error| refused(with_causes(&error)))?;
        self.held().insert(run.clone(), Held { lock, place });
        Ok(())
    }

    /// Keeps a run's place for its time from now on.
    pub(super) fn keep(&self, run: &RunId, now: Timestamp) {
        // Others need not wait for the answer.
        let held = self.held().get(run).cloned();
        if let Some(Held { lock, place }) = held
            && let Err(error) = lock.renew(&place, now)
        {
            tracing::warn!(%run, "the run's place in the fleet is not kept: {}", with_causes(&error));
        }
    }

    /// Gives back what a run has.
    pub(super) fn give_back(&self, run: &RunId, now: Timestamp) {
        let held = self.held().remove(run);
        if let Some(Held { lock, place }) = held
            && let Err(error) = lock.release(&place, now)
        {
            tracing::warn!(%run, "the run's place in the fleet is not given back: {}", with_causes(&error));
        }
    }

    /// Gives back what this host has by runs that it does not know.
    pub(super) fn give_back_unknown(&self, now: Timestamp) {
        let Some(lock) = &self.lock else { return };
        let known: Vec<RunId> = self.held().keys().cloned().collect();
        if let Err(error) = lock.release_others(&known, now) {
            tracing::warn!("places in the fleet of earlier runs are not given back: {}", with_causes(&error));
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<RunId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
