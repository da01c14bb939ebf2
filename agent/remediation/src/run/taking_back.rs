//! Taking back what a failed run has changed and its script has not undone, each change by its id.
//!
//! Each is an action of the run, intended in the journal before it is done. What cannot be taken back is said and does not
//! keep the rest from it: the executor leaves what somebody else has changed since.

use executor::ActionError;
use telemetry::{RunStep, with_causes};

use super::changes::{Changes, Standing};
use super::chronicle::Chronicle;
use crate::world::World;

/// Takes back the changes of one run.
pub(super) struct TakingBack<'a> {
    pub(super) chronicle: &'a Chronicle,
    pub(super) world: &'a mut dyn World,
    /// Of the run's last action.
    pub(super) number: u32,
    pub(super) simulated: bool,
}

/// What has become of them.
#[derive(Debug)]
pub(super) struct TakenBack {
    /// Whether all are taken back.
    pub(super) ok: bool,
    /// What was taken back, and what not and why.
    pub(super) what: String,
    /// An action each, with what became of it.
    pub(super) tried: Vec<String>,
}

/// What has become of what a run did, as it follows why it is over.
pub(super) fn in_words(ok: bool, what: &str) -> String {
    format!("{}: {what}", if ok { "taken back" } else { "not all taken back" })
}

impl TakingBack<'_> {
    /// Takes back all that stands, the last first. None if nothing does.
    pub(super) fn all(mut self, changes: &mut Changes) -> Option<TakenBack> {
        let standing = changes.standing();
        if standing.is_empty() {
            return None;
        }
        let (mut taken_back, mut left, mut tried) = (Vec::new(), Vec::new(), Vec::new());
        for change in standing {
            let printed = change.printed();
            match self.one(&change, changes) {
                Ok(outcome) => {
                    tried.push(format!("{printed}: {outcome}"));
                    taken_back.push(outcome);
                }
                Err(why) => {
                    tried.push(format!("{printed}: {why}"));
                    left.push(format!("{} stays (change {}): {why}", change.action, change.id));
                }
            }
        }
        let ok = left.is_empty();
        if !taken_back.is_empty() {
            left.insert(0, format!("by the agent: {}", taken_back.join(", ")));
        }
        Some(TakenBack { ok, what: left.join("; "), tried })
    }

    /// Takes one change back, and says what has its old value again.
    fn one(&mut self, change: &Standing, changes: &mut Changes) -> Result<String, String> {
        if let Some(why) = self.world.frozen() {
            return Err(format!("repairs are frozen: {why}"));
        }
        self.number += 1;
        let (number, simulated) = (self.number, self.simulated);
        let intended = RunStep::ActionIntended { number, action: change.printed(), simulated };
        changes.see(&intended);
        self.chronicle.record(self.world, intended).map_err(|error| {
            format!("it is not taken back, because that cannot be written down: {}", with_causes(&error))
        })?;
        let before = self.world.now();
        let result = self.world.perform(&change.undo());
        let took = self.world.now().since(before);
        let result = match result {
            Ok(outcome) => Ok(outcome.to_string()),
            // By this run, before the agent ended and could write it down.
            Err(error @ ActionError::TakenBack { .. }) => Ok(error.to_string()),
            Err(error) => Err(with_causes(&error)),
        };
        let (ok, outcome) = match &result {
            Ok(outcome) => (true, outcome.clone()),
            Err(why) => (false, why.clone()),
        };
        let done = RunStep::ActionDone { number, ok, outcome, answer: None, took };
        changes.see(&done);
        self.chronicle.tell(self.world, done);
        result
    }
}
