//! How the runbooks stand, and what a person lets go on.

use std::path::Path;

use serde::Serialize;
use telemetry::{RunEvent, RunStep, Stage, with_causes};

use super::Remediator;
use crate::history::{History, Standing, overlap};
use crate::ledger::{LedgerError, history_of};
use crate::runbook::Runbook;
use crate::script::Scripts;
use crate::world::World;

/// A runbook, and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunbookStanding {
    /// Its name.
    pub runbook: String,
    /// What its runs may change.
    pub targets: Vec<String>,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// How each runbook stands by the run journal of a state directory, which is only read: without an agent.
///
/// # Errors
///
/// The journal is not there or cannot be read.
pub fn standings_of(
    state: &Path,
    runbooks: &[Runbook],
    scripts: &Scripts,
) -> Result<Vec<RunbookStanding>, LedgerError> {
    Ok(standings(runbooks, scripts, &history_of(state)?))
}

fn standings(runbooks: &[Runbook], scripts: &Scripts, history: &History) -> Vec<RunbookStanding> {
    let standing = |runbook: &Runbook| RunbookStanding {
        runbook: runbook.name.clone(),
        targets: runbook.targets(),
        standing: standing(runbook, scripts, history),
    };
    runbooks.iter().map(standing).collect()
}

fn standing(runbook: &Runbook, scripts: &Scripts, history: &History) -> Standing {
    let script = scripts.get(&runbook.script).map_or("", |script| script.sha256());
    history.standing(runbook, script)
}

impl Remediator {
    /// How each runbook stands, in their order.
    pub fn standings(&self) -> Vec<RunbookStanding> {
        standings(&self.runbooks, &self.scripts, self.ledger().history())
    }

    /// Each runbook with the stage that counts, in the order in which they are asked.
    pub fn stages(&self) -> Vec<(&Runbook, Stage)> {
        let ledger = self.ledger();
        let stage = |runbook| standing(runbook, &self.scripts, ledger.history()).in_force;
        self.runbooks.iter().map(|runbook| (runbook, stage(runbook))).collect()
    }

    /// Lets runbooks go on that held themselves back: those that were in conflict over the target `what`, or the demoted
    /// runbook of that name.
    ///
    /// # Errors
    ///
    /// No runbook has such a name, none may or did touch such a target, or it cannot be written down; nothing has changed
    /// then.
    pub fn release(&mut self, world: &mut dyn World, what: &str, by: &str) -> Result<(), String> {
        let targets = || self.runbooks.iter().flat_map(Runbook::targets);
        // Runs are narrowed to what their scripts need, which lies below what a runbook is granted.
        let is_target = targets().any(|target| overlap(&target, what))
            || self.ledger().history().touches(what).next().is_some();
        if !is_target && self.runbooks.iter().all(|runbook| runbook.name != what) {
            let known: Vec<String> =
                self.runbooks.iter().map(|runbook| runbook.name.clone()).chain(targets()).collect();
            let near = documents::nearest(what, known.iter().map(String::as_str));
            let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            return Err(format!("{what:?} is neither a runbook nor a target of one{near}"));
        }
        let at = world.now();
        let step = RunStep::Released { what: what.to_owned(), by: by.to_owned() };
        let event = RunEvent { run: self.next_id(at), at, step };
        let written = self.ledger().append(&event);
        written.map_err(|error| with_causes(&error))?;
        world.record(&event);
        Ok(())
    }
}
