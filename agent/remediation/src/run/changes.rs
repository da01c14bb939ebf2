//! What a run has changed that the executor can take back by its id, as the run's events tell it.
//!
//! Fed with them while the run goes on, or from the journal after a crash, it says what still stands and nobody has wished
//! to stay. What the script has undone as it wants it is its own business; what its undoing changed is no change of its own.
//! The host is not looked at: whether a change can be taken back, the executor knows.

use std::collections::BTreeSet;

use executor::{Action, ChangeId, Outcome};
use telemetry::{RunEvent, RunStep};

/// The changes of one run, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    made: Vec<Made>,
    /// The steps whose changes stay, as the script says.
    kept: BTreeSet<String>,
    /// The step that is under way.
    inside: Option<String>,
    undoing: bool,
    /// Whether the script has ended: what it asks for from then on undoes.
    over: bool,
    /// The action that was intended last.
    intended: String,
}

/// A change that was made.
#[derive(Clone, Debug)]
struct Made {
    change: Standing,
    step: Option<String>,
    /// What has which other value, where it is a value: its name, before and after.
    value: Option<[String; 3]>,
    /// Whether it no longer is to be taken back.
    settled: bool,
}

/// A change that stands, and is to be taken back when the run has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its name with the executor.
    pub(super) id: ChangeId,
    /// The action that made it, printed.
    pub(super) action: String,
}

impl Standing {
    /// What takes it back.
    pub(super) fn undo(&self) -> Action {
        Action::Undo { change: self.id.clone() }
    }

    /// The same as it stands in the journal.
    pub(super) fn printed(&self) -> String {
        format!("{}: {}", self.undo(), self.action)
    }
}

impl Changes {
    /// What these events of one run tell.
    pub(super) fn of(events: &[RunEvent]) -> Self {
        let mut changes = Self::default();
        for event in events {
            changes.see(&event.step);
        }
        changes
    }

    /// Takes one more step of the run into account.
    pub(super) fn see(&mut self, step: &RunStep) {
        match step {
            RunStep::StepBegun { id, keeps } => {
                self.inside = Some(id.clone());
                if *keeps {
                    self.kept.insert(id.clone());
                }
            }
            RunStep::StepDone { .. } | RunStep::StepFailed { .. } => self.inside = None,
            // A script that is run anew begins where nothing is undone.
            RunStep::Resumed { .. } => (self.inside, self.undoing, self.over) = (None, false, false),
            RunStep::Ended { .. } => self.ends(),
            RunStep::UndoBegun { .. } => self.undoing = true,
            RunStep::UndoEnded { id, ok } => {
                self.undoing = false;
                if *ok {
                    self.undone(id.as_deref());
                }
            }
            RunStep::ActionIntended { action, .. } => self.intended.clone_from(action),
            RunStep::ActionDone { ok: true, answer, .. } => self.done(answer.as_deref()),
            _ => {}
        }
    }

    /// The script has ended, or is broken off: what it asks for from now on undoes.
    pub(super) fn ends(&mut self) {
        (self.inside, self.over) = (None, true);
    }

    /// What is to be taken back, the last first.
    pub(super) fn standing(&self) -> Vec<Standing> {
        let is_kept = |made: &Made| made.step.as_ref().is_some_and(|step| self.kept.contains(step));
        let stands = self.made.iter().filter(|made| !made.settled && !is_kept(made));
        stands.rev().map(|made| made.change.clone()).collect()
    }

    /// The script has undone a step, or, without one, all that it did.
    fn undone(&mut self, step: Option<&str>) {
        let of_it = |made: &&mut Made| step.is_none() || made.step.as_deref() == step;
        self.made.iter_mut().filter(of_it).for_each(|made| made.settled = true);
    }

    fn done(&mut self, answer: Option<&str>) {
        if let Some(made) = self.made.iter_mut().find(|made| made.change.printed() == self.intended) {
            made.settled = true;
            return;
        }
        if self.undoing || self.over {
            return;
        }
        let outcome = answer.and_then(|answer| serde_json::from_str(answer).ok());
        let (id, value) = match outcome {
            Some(Outcome::Set { what, before, after, change: Some(id) }) => (id, Some([what, before, after])),
            Some(Outcome::Removed { change: Some(id), .. }) => (id, None),
            _ => return,
        };
        let change = Standing { id, action: self.intended.clone() };
        self.made.push(Made { change, step: self.inside.clone(), value, settled: false });
        self.settle_what_is_as_before();
    }

    /// A script may bring a value back outside of any step. Then neither change is taken back: that would set it anew.
    fn settle_what_is_as_before(&mut self) {
        let Some([what, _, is]) = self.made.last().and_then(|made| made.value.clone()) else { return };
        let of_it = |made: &Made| {
            made.value
                .as_ref()
                .filter(|[name, ..]| *name == what)
                .map(|[_, from, to]| (from.clone(), to.clone()))
        };
        // Back as far as each change begins where the one before it had come to.
        let mut begins: Option<String> = None;
        for at in (0..self.made.len()).rev() {
            let Some((from, to)) = self.made.get(at).and_then(of_it) else { continue };
            if begins.as_ref().is_some_and(|begins| *begins != to) {
                return;
            }
            if from == is {
                let since = self.made.iter_mut().skip(at).filter(|made| of_it(made).is_some());
                since.for_each(|made| made.settled = true);
                return;
            }
            begins = Some(from);
        }
    }
}

#[cfg(test)]
mod tests;
