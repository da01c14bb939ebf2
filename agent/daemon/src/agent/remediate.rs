//! The thread `remediate`: answers firing alerts, one run at a time.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracer;
use remediation::{Ledger, Remediator, Sandbox};
use telemetry::{Alert, AlertState, Labels};

use crate::agent::Shared;
use crate::agent::heartbeat::{ATTENTION, Pulse, WORK_WITHIN};
use crate::agent::mailbox::Mailbox;
use crate::agent::world::{FREEZE_FILE, LiveWorld, is_frozen};
use crate::cli::SCRIPT_RUNNER;
use crate::clock;
use crate::config::Repairs;

/// What runs need from the rest of the agent.
pub(crate) struct Surroundings {
    pub(crate) shared: Shared,
    pub(crate) pulse: Pulse,
    pub(crate) tracer: SdkTracer,
    /// The state directory.
    pub(crate) state: PathBuf,
    /// Where the processes that the policy defines leave their number, by name.
    pub(crate) pid_files: HashMap<String, PathBuf>,
}

/// Answers alerts until none can come any more.
pub(crate) struct RemediateStage {
    remediator: Remediator,
    surroundings: Surroundings,
    next: Arc<Mailbox<Option<Repairs>>>,
}

impl RemediateStage {
    /// Opens the run journal.
    pub(crate) fn open(
        repairs: Repairs,
        shared: Shared,
        tracer: SdkTracer,
        state: &Path,
        next: Arc<Mailbox<Option<Repairs>>>,
    ) -> anyhow::Result<Self> {
        let ledger = Ledger::open(state)?;
        if ledger.dropped_lines() > 0 {
            tracing::warn!(
                lines = ledger.dropped_lines(),
                "the run journal had lines that could not be read"
            );
        }
        // Not `current_exe`: this name still means the running program after an upgrade has replaced the file.
        let sandbox = Sandbox::process(PathBuf::from("/proc/self/exe"), vec![SCRIPT_RUNNER.to_owned()]);
        let pid_files = pid_files(&repairs);
        let pulse = shared.heartbeats.pulse("remediate");
        Ok(Self {
            remediator: Remediator::new(repairs.runbooks, repairs.scripts, ledger, sandbox),
            surroundings: Surroundings { shared, pulse, tracer, state: state.to_owned(), pid_files },
            next,
        })
    }

    /// Closes the runs that the last agent left open, then answers what fires until no more rounds come.
    pub(crate) fn run(mut self) {
        self.surroundings.pulse.beat(WORK_WITHIN);
        self.recover();
        let pulse = self.surroundings.pulse.clone();
        let firing = Arc::clone(&self.surroundings.shared.firing);
        let mut seen = 0;
        let mut frozen = false;
        while let Some((round, alerts)) = firing.next_round(seen, || pulse.beat(ATTENTION)) {
            seen = round;
            frozen = self.say_frozen(frozen);
            self.take_over();
            for alert in alerts {
                let shared = &self.surroundings.shared;
                if !shared.phase.wait(Duration::ZERO) {
                    return;
                }
                pulse.beat(WORK_WITHIN);
                self.remediator.respond(&mut LiveWorld::new(&self.surroundings, &alert), &alert);
                shared.books.close_finished(&shared.watcher);
            }
        }
    }

    /// Answers by the runbooks of a reload from now on.
    fn take_over(&mut self) {
        let Some(repairs) = self.next.take().flatten() else { return };
        self.surroundings.pid_files = pid_files(&repairs);
        self.remediator.answer_by(repairs.runbooks, repairs.scripts);
    }

    /// Says when repairs are frozen, and when they go on.
    fn say_frozen(&self, before: bool) -> bool {
        let state = &self.surroundings.state;
        let now = is_frozen(state);
        if now && !before {
            let file = state.join(FREEZE_FILE);
            tracing::warn!("repairs are frozen; remove {} to go on", file.display());
        } else if before && !now {
            tracing::info!("repairs are not frozen any more");
        }
        now
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
        self.remediator.recover(&mut LiveWorld::new(&self.surroundings, &unknown));
    }
}

fn pid_files(repairs: &Repairs) -> HashMap<String, PathBuf> {
    let defined = repairs.policy.processes.iter();
    defined.map(|rule| (rule.name.to_string(), rule.pid_file.clone())).collect()
}
