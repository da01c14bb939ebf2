use proptest::prelude::*;

use super::*;

const STABLE: Duration = Duration::from_mins(10);

/// A host whose runbook keeps its rows for ten minutes, after a run that repaired.
fn repaired() -> Bench {
    let mut bench = Bench::with_script(RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    bench
}

/// The same, as the journal would have it.
fn written() -> Bench {
    let bench = Bench::with_script(RESTART);
    let matched = RunStep::Matched {
        alert: String::new(),
        runbook: "restart-web".to_owned(),
        stage: Stage::Auto,
        script: String::new(),
        script_sha256: String::new(),
        target: "process=\"web\"".to_owned(),
        runbook_sha256: String::new(),
        touches: Vec::new(),
    };
    let finished = RunStep::Finished { outcome: RunOutcome::Repaired, reason: String::new() };
    for step in [matched, RunStep::Started { parameters: String::new() }, finished] {
        let event = RunEvent { run: RunId("r".to_owned()), at: NOON, step };
        bench.remediator.ledger().append(&event).unwrap();
    }
    bench
}

fn down() -> Labels {
    alert().labels
}

impl Bench {
    /// Looks at a moment after noon.
    fn look(&mut self, seconds: u64, active: Option<&[Labels]>) {
        self.look_by(seconds, active, &[]);
    }

    fn look_by(&mut self, seconds: u64, active: Option<&[Labels]>, unknown: &[String]) {
        let since_boot = Duration::from_secs(1_000 + seconds);
        let now = NOON.plus(Duration::from_secs(seconds));
        self.remediator.look(&Look { now, since_boot, active, unknown });
    }

    /// How many attempts hang together.
    fn row(&self) -> usize {
        let ledger = self.remediator.ledger();
        let attempts = ledger.history().attempts("restart-web", "process=\"web\"");
        attempts.filter(|attempt| !attempt.settled).count()
    }

    /// The agent starts anew.
    fn restart(&mut self) {
        let Self { remediator: before, directory, .. } = self;
        drop(std::mem::replace(before, remediator(RUNBOOK, RESTART, directory.path())));
    }
}

#[test]
fn a_row_of_attempts_ends_when_its_target_has_been_well_for_the_stable_time_and_stays_ended() {
    let mut bench = repaired();
    for seconds in (10..=600).step_by(10) {
        bench.look(seconds, Some(&[]));
    }
    assert_eq!(bench.row(), 1, "the first look sees only how it is then");
    bench.look(610, Some(&[]));
    assert_eq!(bench.row(), 0);
    bench.restart();
    assert_eq!(bench.row(), 0);
    let state = bench.directory.path();
    let run = crate::audit::runs(state, 1, |_| true).unwrap().pop().unwrap();
    let last = run.last().map(|event| event.step.clone());
    assert_eq!(last, Some(RunStep::StayedWell { well_for: STABLE }));
}

#[test]
fn an_alert_that_clears_for_one_evaluation_leaves_the_row_as_it_was() {
    let other: Labels = [("alertname", "Other")].into_iter().collect();
    for (what, ends) in [(vec![down()], false), (vec![other], true), (vec![], true)] {
        let mut bench = repaired();
        for seconds in (10..2000).step_by(10) {
            bench.look(seconds, Some(if seconds % 500 == 0 { &what } else { &[] }));
        }
        assert_eq!(bench.row() == 0, ends, "{what:?}");
    }
}

#[test]
fn what_was_not_seen_was_not_well() {
    type Break = fn(&mut Bench);
    let breaks: [(&str, Break); 4] = [
        ("not all alerts are known", |bench| bench.look(600, None)),
        ("the rule fails", |bench| bench.look_by(600, Some(&[]), &["WebDown".to_owned()])),
        ("the agent starts anew", Bench::restart),
        ("nobody looks", |_| ()),
    ];
    for (what, breaks) in breaks {
        let mut bench = repaired();
        let pause = if what == "nobody looks" { 301 } else { 10 };
        let look = |bench: &mut Bench, from: u64, to: u64| {
            (from..=to).step_by(10).for_each(|seconds| bench.look(seconds, Some(&[])));
        };
        look(&mut bench, 10, 590);
        breaks(&mut bench);
        look(&mut bench, 590 + pause, 1190);
        assert_eq!(bench.row(), 1, "{what}");
        look(&mut bench, 1200, 1600);
        assert_eq!(bench.row(), 0, "{what}");
    }
    let mut bench = repaired();
    (10..=610).step_by(10).for_each(|at| bench.look_by(at, Some(&[]), &["OtherDown".to_owned()]));
    assert_eq!(bench.row(), 0, "a rule that fails says nothing of others");
}

#[test]
fn a_clock_that_jumps_makes_nothing_well() {
    let mut bench = repaired();
    bench.look(10, Some(&[]));
    for (at, seconds) in [(20, 10_000_000), (30, 0)] {
        let since_boot = Duration::from_secs(1_000 + at);
        let now = NOON.plus(Duration::from_secs(seconds));
        bench.remediator.look(&Look { now, since_boot, active: Some(&[]), unknown: &[] });
    }
    assert_eq!(bench.row(), 1);
}

#[test]
fn a_run_that_is_under_way_is_not_well() {
    let mut bench = repaired();
    bench.world.now.set(NOON.plus(Duration::from_mins(2)));
    let Some(Considered::Begun(run)) = bench.remediator.consider(&mut bench.world, &alert()) else {
        panic!("nothing has begun")
    };
    (130..=900).step_by(10).for_each(|at| bench.look(at, Some(&[])));
    run.perform(&mut bench.world);
    bench.look(910, Some(&[]));
    assert_eq!(bench.row(), 2);
    (920..=1510).step_by(10).for_each(|at| bench.look(at, Some(&[])));
    assert_eq!(bench.row(), 0);
}

#[test]
fn a_journal_that_takes_nothing_keeps_the_row() {
    let mut bench = repaired();
    bench.remediator.ledger().poison();
    (10..=900).step_by(10).for_each(|at| bench.look(at, Some(&[])));
    assert_eq!(bench.row(), 1);
    assert!(bench.remediator.ledger().try_again(NOON.plus(Duration::from_mins(15))));
    bench.look(910, Some(&[]));
    assert_eq!(bench.row(), 0);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Some time passes, and the alert is as it is at the end of it.
    Look { after: u64, fires: bool },
    /// The same, but not all alerts are known.
    Blind { after: u64 },
    /// The agent is away for a while.
    Restart { after: u64 },
    /// The clock on the wall is set.
    Clock(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1_u64..130, proptest::bool::weighted(0.1)).prop_map(|(after, fires)| Step::Look { after, fires }),
        1 => (200_u64..500).prop_map(|after| Step::Look { after, fires: false }),
        1 => (1_u64..100).prop_map(|after| Step::Blind { after }),
        1 => (1_u64..1_000).prop_map(|after| Step::Restart { after }),
        1 => (-10_000_i64..10_000).prop_map(Step::Clock),
    ]
}

proptest! {
    #[test]
    fn a_row_ends_once_the_target_was_seen_well_for_the_stable_time_and_never_before(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut bench = written();
        let (mut at, mut set) = (0_u64, 0_i64);
        // Since when it has been seen to be well, at most five minutes apart, and when the last look was.
        let mut seen: Option<(u64, u64)> = None;
        let mut ended = false;
        for step in steps {
            let fires = match step {
                Step::Clock(by) => {
                    set += by;
                    continue;
                }
                Step::Restart { after } => {
                    at += after;
                    bench.restart();
                    seen = None;
                    continue;
                }
                Step::Look { after, fires } => {
                    at += after;
                    Some(fires)
                }
                Step::Blind { after } => {
                    at += after;
                    None
                }
            };
            let active = fires.map(|fires| if fires { vec![down()] } else { Vec::new() });
            let now = NOON.plus(Duration::from_secs(at));
            let by = Duration::from_secs(set.unsigned_abs());
            let now = if set < 0 { now.minus(by) } else { now.plus(by) };
            let since_boot = Duration::from_secs(1_000 + at);
            bench.remediator.look(&Look { now, since_boot, active: active.as_deref(), unknown: &[] });
            seen = match (fires, seen) {
                (Some(false), Some((since, last))) if at - last <= 300 => Some((since, at)),
                (Some(false), _) => Some((at, at)),
                _ => None,
            };
            ended |= seen.is_some_and(|(since, _)| at - since >= 600);
            prop_assert_eq!(bench.row() == 0, ended, "at {}", at);
        }
    }
}
