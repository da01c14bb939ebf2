//! The thread `remediate`: considers firing alerts and hands runs over. It never waits for one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use collectors::HostRoot;
use opentelemetry_sdk::trace::SdkTracer;
use remediation::{
    ChainHead, Considered, Decision, Explanation, FleetLock, Ledger, Look, Plan, Remediator, Run,
    RunbookStanding, Sandbox, Undecided,
};
use telemetry::{Alert, AlertState, Labels, RunId, RunOutcome, with_causes};

use crate::agent::Shared;
use crate::agent::firing::Active;
use crate::agent::fleet_lock::Agreement;
use crate::agent::heartbeat::{ATTENTION, Pulse, WORK_WITHIN};
use crate::agent::mailbox::Mailbox;
use crate::agent::run_threads::RunThreads;
use crate::agent::run_trace::RunTraces;
use crate::agent::runs_in_hand::Answering;
use crate::agent::world::LiveWorld;
use crate::cli::SCRIPT_RUNNER;
use crate::clock;
use crate::config::Repairs;

/// How long one order may take: a plan asks the host as much as its script does.
const ORDER_WITHIN: Duration = Duration::from_mins(1);

/// What runs need from the rest of the agent.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) shared: Shared,
    pub(crate) traces: Arc<RunTraces>,
    /// The state directory.
    pub(crate) state: PathBuf,
    /// The hash of the newest line of the run journal.
    pub(crate) journal: ChainHead,
    /// Where the processes that the policy defines leave their number, by name.
    pub(crate) pid_files: HashMap<String, PathBuf>,
    /// The files of the flags that the policy names, by their names.
    pub(crate) flag_files: HashMap<String, PathBuf>,
    /// How this host agrees with others on how many of them act.
    pub(crate) fleet_lock: Option<Arc<dyn FleetLock>>,
}

/// Answers alerts until none can come any more.
pub(crate) struct RemediateStage {
    remediator: Remediator,
    /// How many runs may be under way.
    at_once: usize,
    surroundings: Arc<Surroundings>,
    pulse: Pulse,
    runs: RunThreads,
    next: Arc<Mailbox<Option<Repairs>>>,
    agreement: Agreement,
    /// The last round of rules that was looked at.
    looked_at: u64,
    /// As of how many events in the journal it was told which runbook answers what.
    told_as_of: Option<u64>,
}

impl RemediateStage {
    /// Opens the run journal.
    pub(crate) fn open(
        repairs: Repairs,
        shared: Shared,
        tracer: SdkTracer,
        (state, holder): (&Path, String),
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
        let (pid_files, flag_files) = (pid_files(&repairs), flag_files(&repairs));
        let journal = ledger.head();
        let pulse = shared.heartbeats.pulse("remediate");
        let at_once = repairs.host.guards.at_once;
        let mut remediator = Remediator::new(repairs.runbooks, repairs.scripts, ledger, sandbox);
        remediator.guard_by(repairs.host.guards);
        let mut agreement = Agreement::of(holder);
        let fleet_lock = agreement.by(repairs.host.fleet_lock)?;
        remediator.agree_by(fleet_lock.clone());
        Ok(Self {
            remediator,
            at_once,
            runs: RunThreads::new(Arc::clone(&shared.heartbeats), Arc::clone(&shared.firing)),
            surroundings: Arc::new(Surroundings {
                shared,
                traces: Arc::new(RunTraces::new(tracer)),
                state: state.to_owned(),
                journal,
                pid_files,
                flag_files,
                fleet_lock,
            }),
            pulse,
            next,
            agreement,
            looked_at: 0,
            told_as_of: None,
        })
    }

    /// Goes on with the runs that the last agent left open, or closes them, then answers what fires until no more rounds come.
    pub(crate) fn run(mut self) {
        self.pulse.beat(WORK_WITHIN);
        self.recover();
        self.tell_who_answers();
        let pulse = self.pulse.clone();
        let firing = Arc::clone(&self.surroundings.shared.firing);
        let mut seen = 0;
        let mut frozen = false;
        while let Some((round, alerts)) = firing.next_round(seen, || pulse.beat(ATTENTION)) {
            seen = round;
            self.surroundings.shared.work.forget();
            frozen = self.say_frozen(frozen);
            self.look_after_journal();
            self.take_over();
            self.look();
            self.expire();
            self.carry_out_orders();
            let died = self.runs.collect_ended();
            self.give_up(died);
            if alerts.is_empty() {
                self.surroundings.shared.work.prepare(&HostRoot::at("/"));
            }
            for alert in alerts {
                if !self.surroundings.shared.phase.wait(Duration::ZERO) {
                    break;
                }
                self.consider(&alert);
            }
            self.tell_who_answers();
        }
        let died = self.runs.join_all();
        self.give_up(died);
    }

    /// Has a journal that failed tried again, and tells how it fares.
    fn look_after_journal(&self) {
        let figures = {
            let mut ledger = self.remediator.ledger();
            if ledger.try_again(clock::now()) {
                tracing::warn!("the run journal takes events again");
            }
            ledger.figures()
        };
        self.surroundings.shared.runs.journal_is(figures, self.remediator.untold_refusals());
        self.surroundings.shared.runs.fleet_lock_is(self.agreement.unanswered());
    }

    /// Sees what has stayed well, once after each round of rules: those may hang while others wake this.
    fn look(&mut self) {
        let Active { published, labels, unknown } = self.surroundings.shared.firing.active();
        if std::mem::replace(&mut self.looked_at, published) == published {
            return;
        }
        let (now, since_boot) = (clock::now(), clock::since_boot());
        self.remediator.look(&Look { now, since_boot, active: labels.as_deref(), unknown: &unknown });
    }

    /// Tells whoever asks which runbook answers what, and at which stage, as far as that may have changed.
    fn tell_who_answers(&mut self) {
        let as_of = Some(self.remediator.ledger().figures().events);
        if self.told_as_of == as_of {
            return;
        }
        self.told_as_of = as_of;
        let answering = self.remediator.stages().into_iter().map(|(runbook, stage)| Answering {
            runbook: runbook.name.clone(),
            stage,
            matchers: runbook.matchers.clone(),
        });
        self.surroundings.shared.runs.answered_by(answering.collect());
    }

    /// Hands the run over that an alert begins, if it does. While no more runs may be under way the alert waits: the end of
    /// one is a round.
    fn consider(&mut self, alert: &Alert) {
        let shared = &self.surroundings.shared;
        if self.runs.count() >= self.at_once {
            return;
        }
        if shared.notify.notifier.silencing(&alert.labels).is_some_and(|silence| silence.repairs) {
            tracing::debug!(alert = %alert.labels, "not repaired, for a silence says so");
            return;
        }
        self.pulse.beat(WORK_WITHIN);
        let mut world = self.world(alert.clone());
        match self.remediator.consider(&mut world, alert) {
            Some(Considered::Begun(run)) => self.hand_over(run, world),
            Some(Considered::Told(_)) => world.close_incident(),
            None => {}
        }
    }

    fn hand_over(&mut self, run: Box<Run>, world: LiveWorld) {
        let (id, alert) = (run.id().clone(), run.alert().clone());
        if let Err(error) = self.runs.perform(run, world) {
            tracing::error!(run = %id, "{error:#}");
            self.give_up(vec![(id, alert)]);
        }
    }

    fn give_up(&self, runs: Vec<(RunId, Alert)>) {
        for (run, alert) in runs {
            let mut world = self.world(alert);
            self.remediator.give_up(&mut world, &run);
            world.close_incident();
        }
    }

    fn world(&self, alert: Alert) -> LiveWorld {
        LiveWorld::new(Arc::clone(&self.surroundings), self.pulse.clone(), alert)
    }

    fn carry_out_orders(&mut self) {
        let orders = Arc::clone(&self.surroundings.shared.orders);
        while let Some(order) = orders.next() {
            self.pulse.beat(ORDER_WITHIN);
            order(self);
        }
        self.pulse.beat(WORK_WITHIN);
    }

    /// Why runbooks would answer an alert or not.
    pub(super) fn explain(&self, alert: &Alert) -> Vec<Explanation> {
        self.remediator.explain(&self.world(alert.clone()), alert)
    }

    /// What a run would do about an alert now.
    pub(super) fn plan(&self, alert: &Alert) -> Result<Plan, String> {
        self.remediator.plan(&self.world(alert.clone()), alert)
    }

    /// How the runbooks stand.
    pub(super) fn standings(&self) -> Vec<RunbookStanding> {
        self.remediator.standings()
    }

    /// Lets go on what held itself back.
    pub(super) fn release(&mut self, what: &str, by: &str) -> Result<(), String> {
        let mut world = self.world(nothing());
        self.remediator.release(&mut world, what, by)
    }

    /// Carries out what a person has decided about a run that waits. None if it has begun.
    pub(super) fn decide(
        &mut self,
        run: &RunId,
        approved: bool,
        by: &str,
        comment: &str,
    ) -> Result<Option<RunOutcome>, Undecided> {
        if approved && self.runs.count() >= self.at_once {
            return Err(Undecided::NotNow(format!(
                "{} runs are under way, as many as may be; approve it when one is over",
                self.at_once
            )));
        }
        let alert = self.remediator.alert_of_waiting(run).cloned().unwrap_or_else(nothing);
        let mut world = self.world(alert);
        match self.remediator.decide(run, Decision { approved, by, comment }, &mut world)? {
            Considered::Begun(run) => {
                self.hand_over(run, world);
                Ok(None)
            }
            Considered::Told(outcome) => {
                world.close_incident();
                Ok(Some(outcome))
            }
        }
    }

    /// Answers by the runbooks of a reload from now on.
    fn take_over(&mut self) {
        let Some(repairs) = self.next.take().flatten() else { return };
        let (pid_files, flag_files) = (pid_files(&repairs), flag_files(&repairs));
        let fleet_lock = self.agreement.by(repairs.host.fleet_lock).unwrap_or_else(|error| {
            tracing::error!("no runbook that asks for a place in the fleet can have one: {error:#}");
            None
        });
        self.remediator.agree_by(fleet_lock.clone());
        let before = (*self.surroundings).clone();
        self.surroundings = Arc::new(Surroundings { pid_files, flag_files, fleet_lock, ..before });
        self.remediator.answer_by(repairs.runbooks, repairs.scripts);
        self.at_once = repairs.host.guards.at_once;
        self.remediator.guard_by(repairs.host.guards);
        self.told_as_of = None;
    }

    /// Says when repairs are frozen, and when they go on.
    fn say_frozen(&self, before: bool) -> bool {
        let now = self.surroundings.shared.kill_switch.frozen(clock::now());
        match &now {
            Some(freeze) if !before => {
                tracing::warn!(
                    "repairs are frozen: {}; `hostmend unfreeze` lets them go on",
                    freeze.describe()
                );
            }
            None if before => tracing::info!("repairs are not frozen any more"),
            _ => {}
        }
        now.is_some()
    }

    fn recover(&mut self) {
        // Runs of the last agent belong to alerts that this one has not seen.
        let mut world = self.world(nothing());
        for run in self.remediator.recover(&mut world) {
            match self.remediator.ledger().events_of(run.id()) {
                Ok(past) => self.surroundings.shared.runs.goes_on(&past),
                Err(error) => tracing::warn!(run = %run.id(), "{}", with_causes(&error)),
            }
            let world = self.world(run.alert().clone());
            self.hand_over(Box::new(run), world);
        }
    }

    /// Gives up what waits for a person and need not any more.
    fn expire(&mut self) {
        for waiting in self.remediator.waiting() {
            let Some(alert) = self.remediator.alert_of_waiting(&waiting.run).cloned() else { continue };
            let mut world = self.world(alert);
            self.remediator.expire(&mut world, &waiting.run);
            world.close_incident();
        }
    }
}

/// An alert that nobody has seen.
fn nothing() -> Alert {
    Alert::new(Labels::empty(), AlertState::Firing, clock::now())
}

fn pid_files(repairs: &Repairs) -> HashMap<String, PathBuf> {
    let defined = repairs.policy.processes.iter();
    defined.map(|rule| (rule.name.to_string(), rule.pid_file.clone())).collect()
}

fn flag_files(repairs: &Repairs) -> HashMap<String, PathBuf> {
    let named = repairs.policy.flags.iter();
    named.map(|rule| (rule.name.clone(), rule.file.clone())).collect()
}
