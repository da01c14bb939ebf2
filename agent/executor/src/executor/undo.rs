//! Changes: remembers what is about to be changed, and takes it back.
//!
//! What was remembered is put back whatever the policy says by now, since it is how the host was before. It is not put
//! back where somebody else has changed it since.

use telemetry::Timestamp;

use super::{Executor, files, flags, links};
use crate::changes::{Change, ChangesError};
use crate::{ActionError, ChangeId, Outcome};

impl Executor {
    pub(super) fn undo(&mut self, id: &ChangeId) -> Result<Outcome, ActionError> {
        let change = self.changes.get(id).map_err(|error| not_known(&error))?;
        let Some(change) = change else { return Err(self.no_such(id)) };
        let outcome = match &change {
            Change::Sysctl { name, before, after } => self.undo_sysctl(name, before, after),
            Change::Cgroup { cgroup, files } => self.undo_cgroup(cgroup, files),
            Change::Unit { unit, properties, open_files } => {
                self.undo_unit(unit, properties, open_files.as_ref())
            }
            Change::Quarantine { quarantine, batch, from } => files::undo_quarantine(quarantine, batch, from),
            Change::Link { link, before, after } => links::undo_link(link, before, after),
            Change::Flag { file, flag, before, after } => flags::undo_flag(file, flag, before, after),
        }?;
        if let Err(error) = self.changes.taken_back(id) {
            say_stays(id, &error);
        }
        Ok(outcome)
    }

    /// Keeps a change that is about to be made; one that cannot be kept must not be made.
    pub(super) fn remember(&mut self, change: Change, now: Timestamp) -> Result<ChangeId, ActionError> {
        self.changes.remember(change, now).map_err(|error| not_known(&error))
    }

    /// Remembers what has become of a change. If that fails it cannot be taken back, and this is then said when it is asked for.
    pub(super) fn amend(&mut self, id: &ChangeId, change: Change) {
        if let Err(error) = self.changes.amend(id, change) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, change = %id, "a change may not be taken back: what has become of it is not kept");
        }
    }

    /// Once it is taken back or has failed, a change in the store is no harm: it would be seen that it does not hold.
    pub(super) fn forget(&mut self, id: &ChangeId) {
        if let Err(error) = self.changes.forget(id) {
            say_stays(id, &error);
        }
    }

    fn no_such(&mut self, id: &ChangeId) -> ActionError {
        match self.changes.was_taken_back(id) {
            Ok(true) => ActionError::TakenBack { change: id.clone() },
            Ok(false) => {
                let forgotten = match self.changes.forgotten() {
                    0 => String::new(),
                    count => format!(", or was forgotten, as {count} were, for newer ones"),
                };
                ActionError::refused(format!("change {id} is not known: it was not made here{forgotten}"))
            }
            Err(error) => not_known(&error),
        }
    }
}

fn say_stays(id: &ChangeId, error: &ChangesError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, change = %id, "a change that no longer holds stays remembered");
}

/// What a change was about has become something else.
pub(super) fn no_longer(what: &str, is: &str, set: &str) -> ActionError {
    ActionError::refused(format!(
        "{what} is {is} and no longer {set}, to which it was set here; whoever changed it since may need that"
    ))
}

fn not_known(error: &ChangesError) -> ActionError {
    let why = telemetry::with_causes(error);
    ActionError::refused(format!("what is changed could not be taken back: {why}"))
}
