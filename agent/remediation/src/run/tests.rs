mod asking;
mod escalation;
mod fleet;
mod recovery;
mod refusals;
mod scripts;
mod shipped;
mod standing;
mod taking_back;
mod verifying;
mod wellness;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use documents::Document;
use executor::{Action, ActionError, Outcome, ProcessId, Selection, UnitState, UnitVerb};

use super::*;
use serde_json::{Value, json};
use telemetry::{Labels, MatchedLine, RunEvent};

use crate::circumstances::{Circumstances, Subject};
use crate::fact::{Fact, ProcessFilter};
use crate::header::tests::any_header;
use crate::world::{Answer, FoundProcess, Page};

/// The first segment of the run journal, in the state directory.
const JOURNAL: &str = "runs/000001.jsonl";
const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

const RUNBOOK: &str = r#"
runbooks:
  - name: restart-web
    matchers: ['alertname="WebDown"']
    script: s.rhai
    params: { process: web }
    grants: { process.restart: [web], process.signal: [web], unit.restart: [web.service], file.remove: [/var/spool/web] }
    stage: auto
    guards: { cooldown: 1m, attempts: 3 per 10m }
    timeout: 10s
    verify: { expr: up == 1, within: 5s, settle: 1s }
    escalate: { text: "${process} is still down" }
"#;

const RESTART: &str = "fn remediate(ctx) { proc::restart(ctx.params.process); fixed(\"restarted\") }";

/// A host on paper: time passes only by waiting.
struct Paper {
    now: Cell<Timestamp>,
    /// When the verification begins to hold, and when it no longer does.
    up: (Timestamp, Timestamp),
    /// Whether it holds before anything was done.
    up_at_once: bool,
    /// When the verification's series was sampled; empty means all the time.
    samples: Vec<Timestamp>,
    /// How many more times the alert is seen firing.
    sightings: Cell<usize>,
    /// What actions bring; without an entry they succeed.
    failures: VecDeque<Option<ActionError>>,
    performed: Vec<Action>,
    events: RefCell<Vec<RunEvent>>,
    lines: Vec<MatchedLine>,
    frozen: bool,
    stops_at: Option<Timestamp>,
    processes: Vec<FoundProcess>,
    /// In what state a restarted process is found.
    restarts_as: char,
    /// The bytes in every directory; deleting frees what is asked for.
    usage: Cell<u64>,
    /// What they shrink to by themselves after they were looked at once.
    shrinks_to: Cell<Option<u64>>,
    directory: std::path::PathBuf,
    pages: Vec<Page>,
    fleet_lock: Option<Arc<dyn FleetLock>>,
    circumstances: Circumstances,
    /// How often all that guards judge by was gathered.
    looked: Cell<usize>,
    kernel: taking_back::Kernel,
}

fn process(pid: u32, state: char) -> FoundProcess {
    FoundProcess {
        id: ProcessId { pid, start_ticks: 7 },
        state,
        command: "web".to_owned(),
        ppid: 1,
        unit: String::new(),
        age_seconds: 60,
        rss_bytes: 1 << 20,
    }
}

impl World for Paper {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn query(&self, expr: &str, since: Option<Timestamp>) -> Result<Answer, String> {
        if expr == "stale" {
            return Err("the newest sample is 5m old".to_owned());
        }
        if expr == "load" {
            return Ok(Answer { values: vec![(Labels::empty(), 3.5)] });
        }
        let now = self.now();
        let acted = self.up_at_once || !self.performed.is_empty();
        let counts = |at: &Timestamp| *at <= now && since.is_none_or(|since| *at > since);
        let sampled = self.samples.is_empty() || self.samples.iter().any(counts);
        let up = acted && sampled && now >= self.up.0 && now < self.up.1;
        Ok(Answer { values: up.then(|| (Labels::empty(), 1.0)).into_iter().collect() })
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        let journal = std::fs::read_to_string(self.directory.join(JOURNAL)).unwrap();
        let intended = format!("\"action\":\"{action}");
        assert!(journal.contains(&intended), "performed before it was written down");
        self.performed.push(action.clone());
        self.kernel.moment();
        match (self.failures.pop_front().flatten(), action) {
            (Some(error), _) => Err(error),
            (None, Action::SignalProcess { process, signal }) => {
                Ok(Outcome::Signalled { process: *process, command: "web".to_owned(), signal: *signal })
            }
            (None, Action::RemoveFiles { selection: Selection { at_most, .. } }) => {
                self.usage.set(self.usage.get().saturating_sub(at_most.0));
                Ok(Outcome::Removed {
                    quarantined: false,
                    change: None,
                    files: 3,
                    bytes: *at_most,
                    too_large: 0,
                    failed: 0,
                    first_failure: None,
                    incomplete: false,
                })
            }
            (None, Action::Unit { unit, .. }) => {
                let state = |active: &str| UnitState {
                    active: active.to_owned(),
                    sub: "running".to_owned(),
                    main_pid: Some(77),
                };
                let after = if self.restarts_as == 'Z' { "activating" } else { "active" };
                Ok(Outcome::UnitChanged {
                    verb: UnitVerb::Restart,
                    unit: unit.clone(),
                    before: state("failed"),
                    after: state(after),
                })
            }
            (None, Action::RestartProcess { .. }) => {
                self.processes = vec![process(77, self.restarts_as)];
                Ok(Outcome::Restarted {
                    process: "web".into(),
                    ended: None,
                    killed: false,
                    pid: 77,
                    unnamed_by: None,
                })
            }
            (None, other) => {
                let outcome = self.kernel.perform(other);
                self.kernel.moment();
                outcome
            }
        }
    }

    fn find_processes(&self, filter: &ProcessFilter) -> Result<Vec<FoundProcess>, String> {
        let mut processes = self.processes.clone();
        for process in &mut processes {
            process.command = filter.name.clone().unwrap_or_default();
        }
        Ok(processes)
    }

    fn fact(&self, fact: &Fact) -> Result<Value, String> {
        if let Fact::Sysctl { name } = fact {
            return Ok(json!(self.kernel.value(name)));
        }
        let Fact::DirectoryUsage { .. } = fact else { return Err(format!("no answer for {fact:?}")) };
        let usage = self.usage.get();
        self.usage.set(self.shrinks_to.take().unwrap_or(usage));
        Ok(json!(usage))
    }

    fn matched_lines(&self) -> Vec<MatchedLine> {
        self.lines.clone()
    }

    fn attach(&mut self, _: &RunId, name: &str, _: &str) -> Result<String, String> {
        Ok(name.to_owned())
    }

    fn page(&mut self, page: &Page) -> Vec<String> {
        self.pages.push(page.clone());
        vec!["oncall".to_owned()]
    }

    fn circumstances(&self, subject: &Subject<'_>) -> Circumstances {
        self.looked.set(self.looked.get() + 1);
        let terms = subject.runbook.guards.fleet_lock.as_ref();
        let asked = self.fleet_lock.as_ref().zip(terms);
        let fleet_lock =
            asked.map(|(lock, terms)| lock.look(terms, self.now()).map_err(|error| error.to_string()));
        Circumstances { fleet_lock, ..self.circumstances.clone() }
    }

    fn wait(&self, duration: Duration) -> bool {
        self.now.set(self.now().plus(duration));
        self.stops_at.is_none_or(|stop| self.now() < stop)
    }

    fn record(&mut self, event: &RunEvent) {
        self.events.borrow_mut().push(event.clone());
        self.kernel.moment();
    }

    fn frozen(&self) -> Option<String> {
        self.frozen.then(|| "by a test".to_owned())
    }

    fn seen_firing(&self, _: &Alert) -> Option<Timestamp> {
        self.sightings.set(self.sightings.get().checked_sub(1)?);
        Some(self.now())
    }
}

struct Bench {
    remediator: Remediator,
    world: Paper,
    directory: tempfile::TempDir,
}

fn alert() -> Alert {
    Alert::new([("alertname", "WebDown")].into_iter().collect(), AlertState::Firing, NOON)
}

fn remediator(runbook: &str, script: &str, directory: &Path) -> Remediator {
    let runbooks = Runbook::read(&Document::from_text(Path::new("r.yaml"), runbook)).unwrap();
    let script = if script.starts_with("//!") { script.to_owned() } else { any_header() + script };
    let script = Script::read(Document::from_text(Path::new("s.rhai"), &script)).unwrap();
    let scripts = BTreeMap::from([("s.rhai".to_owned(), script)]);
    Remediator::new(runbooks, scripts, Ledger::open(directory).unwrap(), Sandbox::thread())
}

impl Bench {
    fn new(runbook: &str, script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = Paper {
            now: Cell::new(NOON),
            up: (NOON, Timestamp::from_nanos(i64::MAX)),
            up_at_once: false,
            samples: Vec::new(),
            sightings: Cell::new(usize::MAX),
            failures: VecDeque::new(),
            performed: Vec::new(),
            events: RefCell::default(),
            lines: Vec::new(),
            frozen: false,
            stops_at: None,
            processes: vec![process(42, 'S')],
            restarts_as: 'S',
            usage: Cell::new(4096),
            shrinks_to: Cell::new(None),
            directory: directory.path().to_owned(),
            pages: Vec::new(),
            fleet_lock: None,
            circumstances: Circumstances::default(),
            looked: Cell::new(0),
            kernel: taking_back::Kernel::default(),
        };
        Self { remediator: remediator(runbook, script, directory.path()), world, directory }
    }

    fn with_script(script: &str) -> Self {
        Self::new(RUNBOOK, script)
    }

    fn respond(&mut self) -> Option<RunOutcome> {
        self.respond_to(&alert())
    }

    fn respond_to(&mut self, alert: &Alert) -> Option<RunOutcome> {
        match self.remediator.consider(&mut self.world, alert)? {
            Considered::Told(outcome) => Some(outcome),
            Considered::Begun(run) => Some(run.perform(&mut self.world)),
        }
    }

    /// The events so far, one word each, with what tells them apart.
    fn steps(&self) -> Vec<String> {
        let events = self.world.events.borrow();
        let told = |step: &&RunStep| {
            !matches!(step, RunStep::Evidence { .. } | RunStep::Guard { allowed: true, .. })
        };
        events.iter().map(|event| &event.step).filter(told).map(step_word).collect()
    }

    fn reason(&self) -> String {
        match self.world.events.borrow().last().map(|event| event.step.clone()) {
            Some(RunStep::Finished { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }
}

fn step_word(step: &RunStep) -> String {
    match step {
        RunStep::Matched { .. } => "matched".to_owned(),
        RunStep::Guard { guard, .. } => format!("refused by {guard}"),
        RunStep::Started { .. } => "started".to_owned(),
        RunStep::Fact { call, answer } => format!("{call} -> {answer}"),
        RunStep::ActionIntended { action, .. } => format!("intended: {action}"),
        RunStep::ActionDone { ok, .. } => format!("done: {ok}"),
        RunStep::Note { text } => format!("note: {text}"),
        RunStep::Ended { result, .. } => format!("ended: {result}"),
        RunStep::Verified { ok, observed, .. } => format!("verified: {ok}, {observed}"),
        RunStep::RolledBack { ok, result } => format!("rolled back: {ok}, {result}"),
        RunStep::Paged { to, text } => format!("paged {}: {text}", to.join(", ")),
        RunStep::Finished { outcome, .. } => format!("finished: {outcome}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_cause_that_is_repaired_is_verified_and_told_step_by_step() {
    let mut bench = Bench::with_script(RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    assert_eq!(
        bench.steps(),
        [
            "matched",
            "started",
            "intended: restart process web",
            "done: true",
            "ended: fixed: restarted",
            "verified: true, 1",
            "finished: repaired",
        ]
    );
    assert_eq!(
        bench.reason(),
        "restart process web: started web as process 77; none was running; verified: up == 1 gave 1"
    );
    let journal = std::fs::read_to_string(bench.directory.path().join(JOURNAL)).unwrap();
    assert_eq!(journal.lines().skip(1).count(), bench.world.events.borrow().len());
}

#[test]
fn all_guards_are_asked_even_when_the_first_refuses() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.frozen = true;
    assert_eq!(bench.respond(), Some(RunOutcome::Refused));
    assert_eq!(bench.steps(), ["matched", "refused by kill switch", "finished: refused"]);
    assert_eq!(bench.reason(), "kill switch: repairs are frozen: by a test");
    bench.remediator.ledger().poison();
    assert_eq!(bench.respond(), Some(RunOutcome::Refused));
    let both = "kill switch: repairs are frozen: by a test; journal: the run journal takes no events";
    assert_eq!(bench.reason(), both);
    assert!(bench.world.performed.is_empty());
}

#[test]
fn a_runbook_that_observes_runs_nothing() {
    let mut bench = Bench::new(&RUNBOOK.replace("auto", "observe"), RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Observed));
    assert_eq!(bench.reason(), "would have run s.rhai with process=\"web\"");
    assert!(bench.world.performed.is_empty());
}

#[test]
fn what_has_not_changed_is_told_once() {
    let mut bench = Bench::new(&RUNBOOK.replace("auto", "observe"), RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Observed));
    assert_eq!(bench.respond(), None);
    bench.world.frozen = true;
    assert_eq!(bench.respond(), Some(RunOutcome::Refused));
    assert_eq!(bench.respond(), None);
    let again = Alert { active_at: NOON.plus(Duration::from_secs(9)), ..alert() };
    assert_eq!(bench.respond_to(&again), Some(RunOutcome::Refused));
}

#[test]
fn an_alert_that_was_not_seen_firing_since_the_last_run_says_nothing_about_it() {
    let mut bench = Bench::with_script(RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    let told = bench.world.events.borrow().len();
    assert_eq!(bench.respond(), None);
    assert_eq!(bench.world.events.borrow().len(), told);
    bench.world.now.set(NOON.minus(Duration::from_hours(1)));
    assert_eq!(bench.respond(), Some(RunOutcome::Refused), "a clock that jumped back is told");
}

#[test]
fn an_alert_that_no_runbook_matches_or_that_does_not_fire_is_left_alone() {
    let mut bench = Bench::with_script(RESTART);
    let other = Alert { labels: [("alertname", "Other")].into_iter().collect(), ..alert() };
    assert_eq!(bench.respond_to(&other), None);
    for state in [AlertState::Pending, AlertState::Resolved] {
        assert_eq!(bench.respond_to(&Alert { state, ..alert() }), None);
    }
    assert!(bench.world.events.borrow().is_empty());
}

#[test]
fn an_alert_that_has_resolved_is_left_alone() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.sightings.set(0);
    assert_eq!(bench.respond(), None);
    assert!(bench.steps().is_empty());
    assert_eq!(bench.remediator.ledger().figures().events, 0);
}

#[test]
fn an_alert_that_resolves_while_guards_are_asked_is_not_repaired_and_costs_no_attempt() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.sightings.set(1);
    assert_eq!(bench.respond(), Some(RunOutcome::Skipped));
    assert_eq!(bench.steps(), ["matched", "finished: skipped"]);
    assert_eq!(bench.reason(), "the alert resolved by itself");
    assert!(bench.world.performed.is_empty());
    assert_eq!(bench.remediator.ledger().history().attempts("restart-web", "process=\"web\"").count(), 0);
}

#[test]
fn a_stop_interrupts_waiting_and_verifying_and_the_next_agent_goes_on() {
    let sleeps = "fn remediate(ctx) { proc::restart(\"web\"); clock::sleep(\"5s\"); fixed(\"x\") }";
    for script in [sleeps, RESTART] {
        let mut bench = Bench::with_script(script);
        bench.world.up.0 = NOON.plus(Duration::from_secs(2));
        bench.world.stops_at = Some(NOON.plus(Duration::from_millis(500)));
        assert_eq!(bench.respond(), Some(RunOutcome::Interrupted), "{script}");
        assert!(bench.steps().last().unwrap().starts_with("note: the agent is stopping"), "{script}");
        assert!(bench.world.pages.is_empty());
        bench.world.stops_at = None;
        bench.remediator = remediator(RUNBOOK, script, bench.directory.path());
        let run = bench.remediator.recover(&mut bench.world).pop().unwrap();
        assert_eq!(run.perform(&mut bench.world), RunOutcome::Repaired, "{script}");
        assert_eq!(bench.world.performed.len(), 1, "{script}");
    }
}

#[test]
fn a_run_whose_thread_has_died_is_closed_and_a_person_is_called() {
    let mut bench = Bench::with_script(RESTART);
    let Some(Considered::Begun(run)) = bench.remediator.consider(&mut bench.world, &alert()) else {
        panic!()
    };
    bench.remediator.give_up(&mut bench.world, run.id());
    assert_eq!(bench.world.pages.len(), 1);
    assert_eq!(bench.remediator.ledger().history().open().count(), 0);
}

#[test]
fn an_action_without_an_answer_is_not_tried_again_and_what_was_done_is_taken_back() {
    for error in [
        ActionError::NoAnswer { waited: Duration::from_secs(90) },
        ActionError::HungUp { cause: executor::Cause("reset".to_owned()) },
    ] {
        let mut bench = Bench::with_script(
            "fn remediate(ctx) { step(\"reset\", || unit::reset_failed(\"web.service\"), || unit::reload(\"web.service\")); \
             retry(3, \"1s\", || unit::start(\"web.service\")); fixed(\"x\") }",
        );
        bench.world.failures = VecDeque::from([None, Some(error)]);
        assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
        let performed: Vec<String> = bench.world.performed.iter().map(ToString::to_string).collect();
        assert_eq!(performed, ["forget that web.service failed", "start web.service", "reload web.service"]);
        assert!(bench.reason().contains("it is not known whether the action was done"), "{}", bench.reason());
        assert!(bench.reason().contains("taken back: undone: reset"), "{}", bench.reason());
        assert_eq!(bench.steps().iter().filter(|step| step.starts_with("done: ")).count(), 2);
    }
}

#[test]
fn the_cooldown_counts_across_a_restart_of_the_agent() {
    let mut bench = Bench::with_script(RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    bench.remediator = remediator(RUNBOOK, RESTART, bench.directory.path());
    bench.world.wait(Duration::from_secs(1));
    assert_eq!(bench.respond(), Some(RunOutcome::Refused));
    assert!(bench.reason().starts_with("cooldown: 59s left of 1m"), "{}", bench.reason());
    bench.world.wait(Duration::from_mins(1));
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
}

#[test]
fn nothing_is_run_when_it_cannot_be_written_down() {
    let mut bench = Bench::with_script(RESTART);
    bench.remediator.ledger().poison();
    assert_eq!(bench.respond(), Some(RunOutcome::Refused));
    assert_eq!(bench.reason(), "journal: the run journal takes no events");
    assert_eq!(bench.respond(), None);
    assert!(bench.world.performed.is_empty());
}

#[test]
fn a_run_under_way_is_waited_for_by_its_runbook_alone() {
    let other = RUNBOOK.replace("restart-web", "restart-db").replace("WebDown", "DbDown");
    let other = other.replace("[web]", "[db]").replace("web.service", "db.service").replace("l/web", "l/db");
    let two = format!("{RUNBOOK}{}", other.trim_start_matches("\nrunbooks:\n"));
    let mut bench = Bench::new(&two, RESTART);
    let begun = |bench: &mut Bench, name| {
        let alert = Alert { labels: [("alertname", name)].into_iter().collect(), ..alert() };
        bench.remediator.consider(&mut bench.world, &alert)
    };
    let Some(Considered::Begun(web)) = begun(&mut bench, "WebDown") else { panic!("it has to begin") };
    let told = bench.steps().len();
    assert!(begun(&mut bench, "WebDown").is_none());
    assert_eq!(bench.steps().len(), told, "what only waits for a run is no news");
    let Some(Considered::Begun(db)) = begun(&mut bench, "DbDown") else { panic!("it has to begin") };
    assert_eq!(web.perform(&mut bench.world), RunOutcome::Repaired);
    bench.remediator.give_up(&mut bench.world, db.id());
    assert_eq!(bench.reason(), "the thread that performed it has died");
    assert_eq!(bench.remediator.ledger().history().open().count(), 0);
}
