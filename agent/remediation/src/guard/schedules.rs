//! Random schedules in virtual time: alerts, ends of runs, crashes, new segments of the journal, and a clock that jumps.
//! What the budgets promise is counted here anew, from the starts alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use documents::Document;
use proptest::prelude::*;
use telemetry::{Alert, AlertState, Labels, RunEvent, RunId, RunOutcome, RunStep, Stage};

use super::*;
use crate::runbook::Runbook;

/// Schedules that one test run tries, some seconds unoptimised; `PROPTEST_CASES` says otherwise.
const SCHEDULES: u32 = 1_000;

const TARGETS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    /// The clock goes on, or jumps.
    Clock(i64),
    /// An alert about a target fires, and one of the runbooks is asked.
    Fires { book: usize, target: usize, new: bool },
    /// One of the open runs ends.
    Ends { which: usize, outcome: RunOutcome },
    /// The agent dies, reads its journal again, and closes what is open.
    Crashes,
    /// The journal begins anew with what is known.
    Segment,
    /// What one of the runs that are over was about has stayed well.
    StaysWell { which: usize },
    /// Somebody lets a target go on.
    Released { target: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(RunOutcome::Repaired),
        Just(RunOutcome::Skipped),
        Just(RunOutcome::Escalated),
        Just(RunOutcome::Interrupted),
    ];
    prop_oneof![
        3 => (0_i64..400).prop_map(Step::Clock),
        1 => (-5000_i64..5000).prop_map(Step::Clock),
        8 => (0..3_usize, 0..TARGETS.len(), any::<bool>())
            .prop_map(|(book, target, new)| Step::Fires { book, target, new }),
        4 => (0..4_usize, outcome).prop_map(|(which, outcome)| Step::Ends { which, outcome }),
        1 => Just(Step::Crashes),
        1 => Just(Step::Segment),
        2 => (0..8_usize).prop_map(|which| Step::StaysWell { which }),
        1 => (0..TARGETS.len()).prop_map(|target| Step::Released { target }),
    ]
}

/// Three runbooks; two of them grant the same. The first is chosen by labels, and only observes targets it does not grant.
fn books() -> Vec<Vec<Runbook>> {
    let text = r#"
runbooks:
- name: one
  matchers: ['a="b"']
  script: x.rhai
  params: { unit: "${labels.unit}.service" }
  grants: { unit.restart: [a.service, b.service] }
  stage: auto
  verify: { expr: up }
  guards: { cooldown: 10s, attempts: 3 per 10m, stable: 2m, backoff: 1m }
- name: two
  matchers: ['a="b"']
  script: x.rhai
  params: { unit: "${labels.unit}.service" }
  grants: { unit.restart: [b.service] }
  stage: auto
  verify: { expr: up }
  guards: { cooldown: 0s, attempts: 2 per 5m, stable: 0s }
- name: three
  matchers: ['a="b"']
  script: x.rhai
  grants: { file.remove: [/var/log] }
  stage: auto
  verify: { expr: up }
  guards: { cooldown: 0s, attempts: 5 per 1h, stable: 1s }
"#;
    let books = Runbook::read(&Document::from_text(Path::new("r.yaml"), text)).unwrap();
    let labels = |target| -> Labels { [("unit", target)].into_iter().collect() };
    let filled = |book: &Runbook| TARGETS.iter().map(|target| book.filled_in(&labels(*target))).collect();
    books.iter().map(filled).collect()
}

struct Start {
    run: RunId,
    at: Timestamp,
    runbook: String,
    target: String,
    /// Whether it has stayed well since.
    settled: bool,
}

struct Host {
    settings: HostGuards,
    /// Each runbook, filled in for each target.
    books: Rc<Vec<Vec<Runbook>>>,
    journal: Vec<RunEvent>,
    /// What the journal's last segment begins with, and how many events came before it.
    segment: (String, usize),
    history: History,
    now: Timestamp,
    onsets: BTreeMap<(usize, usize), Timestamp>,
    open: Vec<(RunId, Vec<String>)>,
    starts: Vec<Start>,
}

impl Host {
    fn new(books: Rc<Vec<Vec<Runbook>>>) -> Self {
        let history = History::default();
        Self {
            settings: HostGuards { at_once: 2, starts: "8 per 15m".parse().unwrap() },
            books,
            journal: Vec::new(),
            segment: (serde_json::to_string(&history).unwrap(), 0),
            history,
            now: Timestamp::from_secs(1_700_000_000),
            onsets: BTreeMap::new(),
            open: Vec::new(),
            starts: Vec::new(),
        }
    }

    fn write(&mut self, run: &RunId, step: RunStep) {
        let event = RunEvent { run: run.clone(), at: self.now, step };
        self.history.apply(&event);
        self.journal.push(event);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Clock(seconds) if seconds < 0 => {
                self.now = self.now.minus(Duration::from_secs(seconds.unsigned_abs()));
            }
            Step::Clock(seconds) => self.now = self.now.plus(Duration::from_secs(seconds.unsigned_abs())),
            Step::Fires { book, target, new } => self.fires(book, target, new),
            Step::Ends { which, outcome } if which < self.open.len() => {
                let (run, _) = self.open.swap_remove(which);
                self.write(&run, RunStep::Finished { outcome, reason: String::new() });
            }
            Step::Ends { .. } => {}
            Step::Crashes => {
                self.history = serde_json::from_str(&self.segment.0).unwrap();
                for event in &self.journal[self.segment.1..] {
                    self.history.apply(event);
                }
                for (run, _) in std::mem::take(&mut self.open) {
                    let outcome = RunOutcome::Interrupted;
                    self.write(&run, RunStep::Finished { outcome, reason: String::new() });
                }
            }
            Step::StaysWell { which } => self.stays_well(which),
            Step::Segment => {
                self.segment = (serde_json::to_string(&self.history).unwrap(), self.journal.len());
            }
            Step::Released { target } => {
                let what = format!("unit {}.service", TARGETS[target]);
                self.write(&RunId("released".to_owned()), RunStep::Released { what, by: String::new() });
            }
        }
    }

    fn fires(&mut self, book: usize, target: usize, new: bool) {
        let now = self.now;
        let onset = self.onsets.entry((book, target)).or_insert(now);
        if new {
            *onset = now;
        }
        let labels: Labels = [("unit", TARGETS[target])].into_iter().collect();
        let books = Rc::clone(&self.books);
        let runbook = &books[book][target];
        let alert = Alert::new(labels, AlertState::Firing, *onset);
        let circumstances = Circumstances { seen_firing: Some(now), ..Circumstances::default() };
        let question = Question {
            subject: &Subject { alert: &alert, runbook },
            circumstances: &circumstances,
            settings: &self.settings,
            journal_writable: true,
            spares_error_budget: false,
        };
        let allowed = judge(&question, &self.history, now).iter().all(|(_, verdict)| verdict.allowed);
        if !allowed {
            return;
        }
        let run = RunId(format!("r{}", self.journal.len()));
        let (target, touches) = (runbook.printed_params(), runbook.targets());
        let matched = RunStep::Matched {
            alert: String::new(),
            runbook: runbook.name.clone(),
            stage: Stage::Auto,
            script: String::new(),
            script_sha256: String::new(),
            target: target.clone(),
            runbook_sha256: String::new(),
            touches: touches.clone(),
        };
        self.write(&run, matched);
        self.write(&run, RunStep::Started { parameters: String::new() });
        self.open.push((run.clone(), touches));
        self.starts.push(Start { run, at: now, runbook: runbook.name.clone(), target, settled: false });
    }

    fn stays_well(&mut self, which: usize) {
        let is_over = |run: &RunId| self.open.iter().all(|(open, _)| open != run);
        let Some(start) = self.starts.iter().rev().nth(which).filter(|start| is_over(&start.run)) else {
            return;
        };
        let (run, runbook, target) = (start.run.clone(), start.runbook.clone(), start.target.clone());
        for start in &mut self.starts {
            let over = self.open.iter().all(|(open, _)| *open != start.run);
            start.settled |= over && (&start.runbook, &start.target) == (&runbook, &target);
        }
        self.write(&run, RunStep::StayedWell { well_for: Duration::ZERO });
    }

    /// In no window as long as the budget's, wherever it ends, did more runs start than it allows.
    fn keeps(&self, budget: Budget, counts: impl Fn(&Start) -> bool) -> bool {
        let starts: Vec<&Start> = self.starts.iter().filter(|start| counts(start)).collect();
        starts.iter().all(|end| {
            let in_window = |start: &&&Start| start.at <= end.at && start.at.plus(budget.per) > end.at;
            starts.iter().filter(in_window).count() <= budget.at_most as usize
        })
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.open.len() <= self.settings.at_once);
        let mut held: Vec<&String> = self.open.iter().flat_map(|(_, touches)| touches).collect();
        let all = held.len();
        held.sort();
        held.dedup();
        prop_assert_eq!(held.len(), all, "two runs at work on one target");
        Ok(())
    }

    /// Whatever the windows, no more runs hang together than a budget allows.
    fn check_rows(&self) -> Result<(), TestCaseError> {
        for book in self.books.iter().flatten().filter(|book| !book.guards.stable.is_zero()) {
            let target = book.printed_params();
            let row = self
                .starts
                .iter()
                .filter(|start| !start.settled && start.runbook == book.name && start.target == target);
            prop_assert!(row.count() <= book.guards.attempts.at_most as usize, "{} on {target}", book.name);
        }
        Ok(())
    }

    fn check_budgets(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.keeps(self.settings.starts, |_| true), "the host's budget");
        prop_assert!(self.keeps("10 per 10m".parse().unwrap(), |_| true), "the storm");
        for book in self.books.iter().flatten() {
            let target = book.printed_params();
            let mut of_book =
                self.starts.iter().filter(|start| start.runbook == book.name && start.target == target);
            if let Some(start) = of_book.next() {
                let same = |other: &Start| other.runbook == book.name && other.target == start.target;
                prop_assert!(self.keeps(book.guards.attempts, same), "{} on {}", book.name, start.target);
                prop_assert!(book.name == "three" || !start.target.contains("\"c.service"));
            }
        }
        Ok(())
    }
}

#[test]
fn in_no_window_do_more_runs_start_than_the_budgets_allow() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig { cases: cases.unwrap_or(SCHEDULES), ..ProptestConfig::default() };
    let books = Rc::new(books());
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let started = std::cell::Cell::new(0_usize);
    let result = runner.run(&proptest::collection::vec(step(), 1..50), |steps| {
        let mut host = Host::new(Rc::clone(&books));
        for step in &steps {
            host.take(step);
            host.check()?;
            host.check_rows()?;
        }
        started.set(started.get() + host.starts.len());
        host.check_budgets()
    });
    result.unwrap();
    assert!(started.get() > 0, "schedules in which nothing starts prove nothing");
}
