use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::Path;

use documents::Document;
use executor::{Action, ActionError, Outcome, ProcessId, UnitState};

use super::*;
use crate::world::{Answer, FoundProcess};

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

const RUNBOOK: &str = r#"
runbooks:
  - name: restart-web
    matchers: ['alertname="WebDown"']
    script: s.rhai
    parameters: { process: web }
    grants: { process.restart: [web], process.signal: [web], unit.restart: [web.service], file.delete: [/var/spool/web] }
    stage: auto
    guards: { cooldown: 1m, attempts: 3 per 10m }
    timeout: 10s
    verify: { expr: up == 1, within: 5s, settle: 1s }
    escalate: "${process} is still down"
"#;

const RESTART: &str = "fn remediate(ctx) { process::restart(ctx.parameters.process); fixed(\"restarted\") }";

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
    failures: VecDeque<ActionError>,
    performed: Vec<Action>,
    events: RefCell<Vec<RunEvent>>,
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
}

fn process(pid: u32, state: char) -> FoundProcess {
    FoundProcess { id: ProcessId { pid, start_ticks: 7 }, state, command: "web".to_owned() }
}

impl World for Paper {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn query(&self, expr: &str, since: Option<Timestamp>) -> Result<Answer, String> {
        if expr == "stale" {
            return Err("the newest sample is 5m old".to_owned());
        }
        let now = self.now();
        let acted = self.up_at_once || !self.performed.is_empty();
        let counts = |at: &Timestamp| *at <= now && since.is_none_or(|since| *at > since);
        let sampled = self.samples.is_empty() || self.samples.iter().any(counts);
        let up = acted && sampled && now >= self.up.0 && now < self.up.1;
        Ok(Answer { values: up.then(|| (Labels::empty(), 1.0)).into_iter().collect() })
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        let journal = std::fs::read_to_string(self.directory.join("runs.jsonl")).unwrap();
        let intended = format!("\"action\":\"{action}\"");
        assert!(journal.contains(&intended), "performed before it was written down");
        self.performed.push(action.clone());
        match (self.failures.pop_front(), action) {
            (Some(error), _) => Err(error),
            (None, Action::SignalProcess { process, signal }) => {
                Ok(Outcome::Signalled { process: *process, command: "web".to_owned(), signal: *signal })
            }
            (None, Action::DeleteOldFiles { at_most, .. }) => {
                self.usage.set(self.usage.get().saturating_sub(at_most.0));
                Ok(Outcome::Deleted {
                    files: 3,
                    bytes: *at_most,
                    too_large: 0,
                    failed: 0,
                    first_failure: None,
                    incomplete: false,
                })
            }
            (None, Action::RestartUnit { unit }) => {
                let state = |active: &str| UnitState {
                    active: active.to_owned(),
                    sub: "running".to_owned(),
                    main_pid: Some(77),
                };
                let after = if self.restarts_as == 'Z' { "activating" } else { "active" };
                Ok(Outcome::UnitRestarted {
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
        }
    }

    fn find_processes(&self, _: &str) -> Result<Vec<FoundProcess>, String> {
        Ok(self.processes.clone())
    }

    fn directory_usage(&self, _: &str) -> Result<u64, String> {
        let usage = self.usage.get();
        self.usage.set(self.shrinks_to.take().unwrap_or(usage));
        Ok(usage)
    }

    fn wait(&self, duration: Duration) -> bool {
        self.now.set(self.now().plus(duration));
        self.stops_at.is_none_or(|stop| self.now() < stop)
    }

    fn record(&mut self, event: &RunEvent) {
        self.events.borrow_mut().push(event.clone());
    }

    fn frozen(&self) -> bool {
        self.frozen
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
    Alert {
        labels: [("alertname", "WebDown")].into_iter().collect(),
        annotations: BTreeMap::new(),
        state: AlertState::Firing,
        value: 0.0,
        active_at: NOON,
        fired_at: Some(NOON),
        resolved_at: None,
    }
}

fn remediator(runbook: &str, script: &str, directory: &Path) -> Remediator {
    let runbooks = Runbook::read(&Document::from_text(Path::new("r.yaml"), runbook)).unwrap();
    let script = Script::new(Document::from_text(Path::new("s.rhai"), script));
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
            frozen: false,
            stops_at: None,
            processes: vec![process(42, 'S')],
            restarts_as: 'S',
            usage: Cell::new(4096),
            shrinks_to: Cell::new(None),
            directory: directory.path().to_owned(),
        };
        Self { remediator: remediator(runbook, script, directory.path()), world, directory }
    }

    fn with_script(script: &str) -> Self {
        Self::new(RUNBOOK, script)
    }

    fn respond(&mut self) -> Option<RunOutcome> {
        self.remediator.respond(&mut self.world, &alert())
    }

    /// The events so far, one word each, with what tells them apart.
    fn steps(&self) -> Vec<String> {
        let events = self.world.events.borrow();
        events.iter().map(|event| step_word(&event.step)).filter(|word| word != "guard ok").collect()
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
        RunStep::Guard { allowed: true, .. } => "guard ok".to_owned(),
        RunStep::Guard { guard, .. } => format!("refused by {guard}"),
        RunStep::Started { .. } => "started".to_owned(),
        RunStep::Fact { call, answer } => format!("{call} -> {answer}"),
        RunStep::ActionIntended { action, .. } => format!("intended: {action}"),
        RunStep::ActionDone { ok, .. } => format!("done: {ok}"),
        RunStep::Note { text } => format!("note: {text}"),
        RunStep::Ended { result, .. } => format!("ended: {result}"),
        RunStep::Verified { ok, observed, .. } => format!("verified: {ok}, {observed}"),
        RunStep::Finished { outcome, .. } => format!("finished: {outcome}"),
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
    assert_eq!(bench.reason(), "started web as process 77; none was running; verified: up == 1 gave 1");
    let journal = std::fs::read_to_string(bench.directory.path().join("runs.jsonl")).unwrap();
    assert_eq!(journal.lines().count(), bench.world.events.borrow().len());
}

#[test]
fn all_guards_are_asked_even_when_the_first_refuses() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.frozen = true;
    assert_eq!(bench.respond(), Some(RunOutcome::Refused));
    let guards =
        bench.world.events.borrow().iter().filter(|e| matches!(e.step, RunStep::Guard { .. })).count();
    assert_eq!(guards, GUARDS.len());
    assert_eq!(bench.reason(), "kill switch: repairs are frozen by an operator");
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
    assert_eq!(bench.remediator.respond(&mut bench.world, &again), Some(RunOutcome::Refused));
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
    assert_eq!(bench.remediator.respond(&mut bench.world, &other), None);
    for state in [AlertState::Pending, AlertState::Resolved] {
        assert_eq!(bench.remediator.respond(&mut bench.world, &Alert { state, ..alert() }), None);
    }
    assert!(bench.world.events.borrow().is_empty());
}

#[test]
fn an_alert_that_has_resolved_is_left_alone() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.sightings.set(0);
    assert_eq!(bench.respond(), None);
    assert!(bench.steps().is_empty());
    assert_eq!(std::fs::read_to_string(bench.directory.path().join("runs.jsonl")).unwrap(), "");
}

#[test]
fn an_alert_that_resolves_while_guards_are_asked_is_not_repaired_and_costs_no_attempt() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.sightings.set(1);
    assert_eq!(bench.respond(), Some(RunOutcome::Skipped));
    assert_eq!(bench.steps(), ["matched", "finished: skipped"]);
    assert_eq!(bench.reason(), "the alert resolved by itself");
    assert!(bench.world.performed.is_empty());
    assert_eq!(bench.remediator.ledger().history().attempts("restart-web").count(), 0);
}

#[test]
fn only_samples_from_after_the_script_verify_but_facts_count_them_all() {
    let script = "fn remediate(ctx) { process::restart(\"web\"); clock::sleep(\"2s\"); \
                  incident::note(`${metric::query(\"up\")}`); fixed(\"restarted\") }";
    let end = NOON.plus(Duration::from_secs(2));
    for (samples, outcome) in [
        (vec![NOON, NOON.plus(Duration::from_secs(1)), end], RunOutcome::Escalated),
        (vec![NOON, end.plus(Duration::from_secs(1))], RunOutcome::Repaired),
    ] {
        let mut bench = Bench::with_script(script);
        bench.world.samples = samples;
        assert_eq!(bench.respond(), Some(outcome));
        assert!(bench.steps().contains(&"note: 1.0".to_owned()), "{:?}", bench.steps());
    }
}

#[test]
fn a_verification_that_does_not_hold_escalates_with_what_was_tried_and_seen() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.up = (NOON.plus(Duration::from_mins(1)), NOON);
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert_eq!(
        bench.reason(),
        "web is still down; started web as process 77; none was running; up == 1 did not hold within 5s: \
         it gave no result"
    );
    assert_eq!(bench.world.now().since(NOON), Duration::from_secs(5));
}

#[test]
fn a_verification_must_hold_without_a_break() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.up = (NOON, NOON.plus(Duration::from_millis(900)));
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    let mut bench = Bench::with_script(RESTART);
    bench.world.up.0 = NOON.plus(Duration::from_secs(3));
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    assert_eq!(bench.world.now().since(NOON), Duration::from_secs(4));
}

#[test]
fn stale_data_verify_nothing() {
    let mut bench = Bench::new(&RUNBOOK.replace("up == 1", "stale"), RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert!(bench.reason().ends_with("it gave the newest sample is 5m old"), "{}", bench.reason());
}

#[test]
fn a_script_ends_a_run_in_its_own_words() {
    for (script, outcome, reason) in [
        ("fn remediate(ctx) { skip(\"well again\") }", RunOutcome::Skipped, "well again"),
        (
            "fn remediate(ctx) { failed(\"no idea\") }",
            RunOutcome::Escalated,
            "web is still down; nothing was done; failed: no idea",
        ),
        (
            "fn remediate(ctx) { loop {} }",
            RunOutcome::Escalated,
            "web is still down; nothing was done; Too many operations",
        ),
    ] {
        let mut bench = Bench::with_script(script);
        assert_eq!(bench.respond(), Some(outcome), "{script}");
        assert!(bench.reason().starts_with(reason), "{}", bench.reason());
    }
}

#[test]
fn a_refused_action_is_seen_by_the_script_and_told_in_the_escalation() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.failures.push_back(ActionError::Refused { reason: "the budget is used up".to_owned() });
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    let reason = bench.reason();
    assert!(
        reason.starts_with("web is still down; restart process web: refused: the budget is used up; "),
        "{reason}"
    );
}

#[test]
fn only_what_is_granted_on_this_target_is_done() {
    for (call, expected) in [
        ("process::restart(\"db\")", "runbook restart-web does not grant there"),
        ("file::delete_old(\"/var/spool/web/../db\", \"1m\", 1)", "does not grant there"),
        ("process::signal(#{pid: 1, start_ticks: 0}, \"KILL\")", "process 1 was not found by this run"),
        ("process::signal(process::find(\"db\")[0], \"KILL\")", "does not grant there"),
    ] {
        let script = format!(
            "fn remediate(ctx) {{ try {{ {call}; }} catch (e) {{ return failed(e); }} fixed(\"x\") }}"
        );
        let mut bench = Bench::with_script(&script);
        assert_eq!(bench.respond(), Some(RunOutcome::Escalated), "{call}");
        assert!(
            bench.reason().contains("permission denied") && bench.reason().contains(expected),
            "{}",
            bench.reason()
        );
        assert!(bench.world.performed.is_empty(), "{call}");
        assert!(bench.steps().iter().any(|step| step.contains("permission denied")), "{call}");
    }
}

#[test]
fn a_function_without_its_grant_does_not_exist() {
    let runbook = RUNBOOK.replace("process.restart: [web], ", "");
    let mut bench = Bench::new(&runbook, RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert!(bench.reason().contains("process::restart"), "{}", bench.reason());
    assert!(bench.world.performed.is_empty());
}

#[test]
fn a_process_that_the_run_has_found_may_be_signalled() {
    let script = "fn remediate(ctx) { for p in process::find(\"web\") { process::signal(p, \"SIGABRT\"); } fixed(\"x\") }";
    let mut bench = Bench::with_script(script);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    assert!(bench.steps().contains(&"intended: send ABRT to process 42 (started at tick 7)".to_owned()));
}

#[test]
fn facts_and_notes_are_in_the_journal() {
    let script = "fn remediate(ctx) { incident::note(`attempt ${ctx.attempt}`); let x = metric::query(\"up\"); \
                  disk::directory_usage(\"/tmp\"); if x == () { skip(\"y\") } else { failed(\"z\") } }";
    let mut bench = Bench::with_script(script);
    assert_eq!(bench.respond(), Some(RunOutcome::Skipped));
    assert_eq!(
        bench.steps()[2..5],
        ["note: attempt 1", "metric::query(\"up\") -> null", "disk::directory_usage(\"/tmp\") -> 4096"]
    );
}

#[test]
fn a_script_learns_which_attempt_it_is_within_its_runbook_s_window() {
    let mut bench = Bench::with_script("fn remediate(ctx) { skip(`attempt ${ctx.attempt}`) }");
    let wait = |bench: &Bench, minutes| bench.world.wait(Duration::from_mins(minutes));
    for (minutes, expected) in [(0, "attempt 1"), (2, "attempt 2"), (9, "attempt 2"), (11, "attempt 1")] {
        wait(&bench, minutes);
        assert_eq!(bench.respond(), Some(RunOutcome::Skipped));
        assert_eq!(bench.reason(), expected);
    }
}

#[test]
fn a_script_that_sleeps_beyond_its_timeout_is_ended() {
    let mut bench = Bench::with_script("fn remediate(ctx) { loop { clock::sleep(\"4s\"); } }");
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert_eq!(bench.world.now().since(NOON), Duration::from_secs(10));
    assert!(bench.reason().contains("ended at its timeout of 10s"), "{}", bench.reason());
}

#[test]
fn a_script_cannot_ask_or_act_without_end() {
    let script = "fn remediate(ctx) { for i in 0..1000 { try { process::restart(\"web\"); } catch (e) { } } fixed(\"x\") }";
    let mut bench = Bench::with_script(script);
    bench.respond();
    assert_eq!(bench.world.performed.len(), 20);
}

#[test]
fn a_stop_interrupts_waiting_verifying_and_nothing_stays_open() {
    for script in ["fn remediate(ctx) { clock::sleep(\"5s\"); fixed(\"x\") }", RESTART] {
        let mut bench = Bench::with_script(script);
        bench.world.stops_at = Some(NOON.plus(Duration::from_millis(500)));
        assert_eq!(bench.respond(), Some(RunOutcome::Interrupted), "{script}");
        assert_eq!(bench.remediator.ledger().history().open().count(), 0);
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
fn a_run_that_a_crash_has_cut_off_is_closed_and_its_uncertain_action_named() {
    let mut bench = Bench::with_script(RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    let path = bench.directory.path().join("runs.jsonl");
    let journal = std::fs::read_to_string(&path).unwrap();
    let cut = journal.find("action_done").and_then(|at| journal[..at].rfind('\n')).unwrap() + 1;
    std::fs::write(&path, &journal[..cut]).unwrap();
    bench.remediator = remediator(RUNBOOK, RESTART, bench.directory.path());
    bench.remediator.recover(&mut bench.world);
    assert_eq!(
        bench.reason(),
        "the agent ended before the run did; it is not known whether this was done: restart process web"
    );
    assert_eq!(bench.remediator.ledger().history().open().count(), 0);
    assert_eq!(bench.world.performed.len(), 1);
}

#[test]
fn nothing_is_run_when_it_cannot_be_written_down() {
    let mut bench = Bench::with_script(RESTART);
    bench.remediator.ledger.poison();
    assert_eq!(bench.respond(), Some(RunOutcome::Refused));
    assert_eq!(bench.reason(), "journal: the run journal takes no more events");
    assert_eq!(bench.respond(), None);
    assert!(bench.world.performed.is_empty());
}

/// The shipped script, run under the runbook with these parameters, and what it did in its own words.
fn shipped(name: &str, parameters: &str, prepare: impl FnOnce(&mut Paper)) -> (Vec<Action>, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../remediation-scripts").join(name);
    let runbook = RUNBOOK.replace("{ process: web }", parameters).replace("${process}", "it");
    let mut bench = Bench::new(&runbook, &std::fs::read_to_string(path).unwrap());
    prepare(&mut bench.world);
    bench.respond();
    let ended = bench.steps().into_iter().find(|step| step.starts_with("ended: "));
    (bench.world.performed, ended.unwrap())
}

const RESTART_WEB: &str = "restart process web";

fn printed(actions: &[Action]) -> Vec<String> {
    actions.iter().map(ToString::to_string).collect()
}

#[test]
fn restart_process_restarts_and_looks_whether_it_lives() {
    let web = "{ process: web }";
    for gone in [vec![], vec![process(42, 'T')], vec![process(42, 'Z')]] {
        let (actions, ended) = shipped("restart-process.rhai", web, |world| world.processes = gone);
        assert_eq!(
            (printed(&actions), ended.as_str()),
            (vec![RESTART_WEB.to_owned()], "ended: fixed: web runs as process 77")
        );
    }
    let (_, ended) = shipped("restart-process.rhai", web, |world| {
        (world.processes, world.restarts_as) = (vec![], 'Z');
    });
    assert_eq!(ended, "ended: failed: process 77 ended within a moment of its start");
}

#[test]
fn restart_process_does_nothing_when_somebody_was_faster() {
    let (actions, ended) = shipped("restart-process.rhai", "{ process: web }", |_| ());
    assert_eq!((actions.len(), ended.as_str()), (0, "ended: skip: runs already, as process 42"));
    let probed = "{ process: web, probe: up }";
    let (actions, ended) = shipped("restart-process.rhai", probed, |world| world.up_at_once = true);
    assert_eq!(
        (actions.len(), ended.as_str()),
        (0, "ended: skip: runs already, as process 42, and the probe succeeds")
    );
    let (actions, _) = shipped("restart-process.rhai", probed, |_| ());
    assert_eq!(actions.len(), 1, "it runs and does not answer");
    let (actions, _) = shipped("restart-process.rhai", probed, |world| {
        (world.up_at_once, world.processes) = (true, vec![]);
    });
    assert_eq!(actions.len(), 1, "what answered is gone");
}

#[test]
fn restart_unit_restarts_unless_the_probe_succeeds_and_says_how_the_service_is() {
    let web = "{ unit: web.service, probe: up }";
    let (actions, ended) = shipped("restart-unit.rhai", web, |_| ());
    assert_eq!(printed(&actions), ["restart web.service"]);
    assert_eq!(ended, "ended: fixed: web.service is active (running)");
    let (actions, ended) = shipped("restart-unit.rhai", web, |world| world.up_at_once = true);
    assert_eq!((actions.len(), ended.as_str()), (0, "ended: skip: the probe succeeds"));
    let (_, ended) = shipped("restart-unit.rhai", "{ unit: web.service }", |world| world.restarts_as = 'Z');
    assert_eq!(ended, "ended: failed: web.service is activating (running); see journalctl -u web.service");
}

#[test]
fn restart_hung_process_leaves_evidence_and_restarts() {
    let web = "{ process: web }";
    let hung = |world: &mut Paper| world.processes = vec![process(42, 'T'), process(43, 'S')];
    let (actions, ended) = shipped("restart-hung-process.rhai", web, hung);
    assert_eq!(
        printed(&actions),
        [
            "send ABRT to process 42 (started at tick 7)",
            "send ABRT to process 43 (started at tick 7)",
            RESTART_WEB
        ]
    );
    assert_eq!(ended, "ended: fixed: web runs as process 77");
}

#[test]
fn restart_hung_process_restarts_even_if_the_signal_is_refused_and_leaves_a_process_in_d_alone() {
    let web = "{ process: web, signal: KILL }";
    let (actions, _) = shipped("restart-hung-process.rhai", web, |world| {
        world.failures.push_back(ActionError::Refused { reason: "no".to_owned() });
    });
    assert_eq!(printed(&actions).last().unwrap(), RESTART_WEB);
    let (actions, ended) =
        shipped("restart-hung-process.rhai", web, |world| world.processes = vec![process(42, 'D')]);
    assert!(actions.is_empty() && ended.contains("waits for a device"), "{ended}");
}

#[test]
fn free_spool_deletes_down_to_nine_tenths_of_the_limit_and_no_further() {
    let parameters = "{ directory: /var/spool/web, limit_bytes: 1000000 }";
    let (actions, ended) = shipped("free-spool.rhai", parameters, |world| world.usage.set(1_500_000));
    assert_eq!(printed(&actions), ["delete files older than 1m under /var/spool/web, at most 585.9 KiB"]);
    assert_eq!(ended, "ended: fixed: 3 files deleted, 600000 bytes freed");
    for usage in [900_000, 1_000_000] {
        let (actions, ended) = shipped("free-spool.rhai", parameters, |world| world.usage.set(usage));
        let expected = format!("ended: skip: {usage} bytes, not above the limit");
        assert_eq!((actions.len(), ended), (0, expected));
    }
}

#[test]
fn free_spool_deletes_nothing_from_a_directory_that_has_shrunk_since_the_precheck() {
    let parameters = "{ directory: /var/spool/web, limit_bytes: 1000000 }";
    for shrunk in [0, 100, 1_000_000] {
        let (actions, ended) = shipped("free-spool.rhai", parameters, |world| {
            world.usage.set(1_500_000);
            world.shrinks_to.set(Some(shrunk));
        });
        let expected = format!("ended: skip: {shrunk} bytes, somebody else has made room");
        assert_eq!((actions.len(), ended), (0, expected));
    }
}
