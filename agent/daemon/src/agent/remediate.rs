//! The thread `remediate`: answers firing alerts, one run at a time.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crossbeam_channel::Receiver;
use opentelemetry_sdk::trace::SdkTracer;
use remediation::{Ledger, Remediator, Runbook, Sandbox, Script};
use series::Store;
use telemetry::{Alert, AlertState, Labels, Timestamp};

use crate::agent::SharedExecutor;
use crate::agent::books::Books;
use crate::agent::phase::PhaseBoard;
use crate::agent::watcher::Watcher;
use crate::agent::world::LiveWorld;
use crate::cli::SCRIPT_RUNNER;
use crate::clock;

/// A firing alert, and when it was seen firing.
#[derive(Clone, Debug)]
pub(crate) struct Fired {
    pub(crate) alert: Alert,
    pub(crate) at: Timestamp,
}

/// What runs need from the rest of the agent.
pub(crate) struct Surroundings {
    pub(crate) store: Arc<RwLock<Store>>,
    pub(crate) executor: SharedExecutor,
    pub(crate) books: Arc<Books>,
    pub(crate) phase: Arc<PhaseBoard>,
    pub(crate) watcher: Watcher,
    pub(crate) tracer: SdkTracer,
    pub(crate) state: PathBuf,
    /// Where the processes that the policy defines leave their number, by name.
    pub(crate) pid_files: HashMap<String, PathBuf>,
}

/// Answers alerts until none can come any more.
pub(crate) struct RemediateStage {
    remediator: Remediator,
    surroundings: Surroundings,
}

impl RemediateStage {
    /// Opens the run journal.
    pub(crate) fn open(
        runbooks: Vec<Runbook>,
        scripts: BTreeMap<String, Script>,
        surroundings: Surroundings,
    ) -> anyhow::Result<Self> {
        let ledger = Ledger::open(&surroundings.state)?;
        // Not `current_exe`: this name still means the running program after an upgrade has replaced the file.
        let sandbox = Sandbox::process(PathBuf::from("/proc/self/exe"), vec![SCRIPT_RUNNER.to_owned()]);
        Ok(Self { remediator: Remediator::new(runbooks, scripts, ledger, sandbox), surroundings })
    }

    /// Closes the runs that the last agent left open, then answers until the other side of `fired` is dropped.
    pub(crate) fn run(mut self, fired: &Receiver<Fired>) {
        self.recover();
        for Fired { alert, at } in fired {
            if !self.surroundings.phase.wait(Duration::ZERO) {
                return;
            }
            let mut world = LiveWorld::new(&self.surroundings, &alert, at);
            self.remediator.respond(&mut world, &alert);
            self.surroundings.books.close_finished(&self.surroundings.watcher);
        }
    }

    fn recover(&mut self) {
        let now = clock::now();
        // Runs of the last agent belong to alerts that this one has not seen.
        let unknown = Alert {
            labels: Labels::empty(),
            annotations: BTreeMap::new(),
            state: AlertState::Firing,
            value: 0.0,
            active_at: now,
            fired_at: None,
            resolved_at: None,
        };
        self.remediator.recover(&mut LiveWorld::new(&self.surroundings, &unknown, now));
    }
}
