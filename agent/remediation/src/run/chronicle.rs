//! Where the steps of one run go: into the run journal, then to whoever follows the run.
//!
//! A run that is only planned has no journal; its steps go to its world alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemetry::{RunEvent, RunId, RunStep};

use crate::ledger::{Ledger, LedgerError};
use crate::runbook::Runbook;
use crate::script::Script;
use crate::world::World;

/// Tells the steps of one run.
#[derive(Clone, Debug)]
pub(super) struct Chronicle {
    ledger: Option<Arc<Mutex<Ledger>>>,
    run: RunId,
}

impl Chronicle {
    /// Writes the steps of this run down.
    pub(super) fn new(ledger: Arc<Mutex<Ledger>>, run: RunId) -> Self {
        Self { ledger: Some(ledger), run }
    }

    /// Writes nothing down.
    pub(super) fn on_paper(run: RunId) -> Self {
        Self { ledger: None, run }
    }

    /// The run.
    pub(super) fn run(&self) -> &RunId {
        &self.run
    }

    /// Writes a step down and passes it on; not passed on if it could not be written.
    pub(super) fn record(&self, world: &mut dyn World, step: RunStep) -> Result<(), LedgerError> {
        let event = RunEvent { run: self.run.clone(), at: world.told_at(), step };
        self.append(&event)?;
        world.record(&event);
        Ok(())
    }

    /// Passes a step on and writes it down, where nothing depends on its being written.
    pub(super) fn tell(&self, world: &mut dyn World, step: RunStep) {
        let event = RunEvent { run: self.run.clone(), at: world.told_at(), step };
        if let Err(error) = self.append(&event) {
            let run = &self.run;
            tracing::error!(%run, error = &error as &dyn std::error::Error, "a run event is not in the journal");
        }
        world.record(&event);
    }

    /// What the journal has of the run.
    pub(super) fn events(&self) -> Option<Vec<RunEvent>> {
        locked(self.ledger.as_ref()?).events_of(&self.run).ok()
    }

    /// Why the run's runbook may no longer go on by itself, if it acts at stage `auto` and its repairs do not hold.
    pub(super) fn falls_short(&self, runbook: &Runbook, script: &Script) -> Option<String> {
        let ledger = locked(self.ledger.as_ref()?);
        ledger.history().standing(runbook, script.sha256()).falls_short
    }

    fn append(&self, event: &RunEvent) -> Result<(), LedgerError> {
        self.ledger.as_ref().map_or(Ok(()), |ledger| locked(ledger).append(event))
    }
}

/// The journal stays whole when a thread dies that holds it: an event is written in one piece or poisons it.
pub(super) fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
