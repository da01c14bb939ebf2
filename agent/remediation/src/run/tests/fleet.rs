use super::*;
use crate::fleet_lock::FileFleetLock;

fn runbook() -> String {
    RUNBOOK.replace("guards: {", "guards: { fleet_lock: { group: web, max: 1, ttl: 20s },")
}

/// Hosts that agree by one directory, on one place.
fn fleet<const N: usize>(directory: &Path, names: [&str; N]) -> [Bench; N] {
    names.map(|name| {
        let mut bench = Bench::new(&runbook(), RESTART);
        let lock: Arc<dyn FleetLock> = Arc::new(FileFleetLock::new(directory.to_owned(), name.to_owned()));
        bench.remediator.agree_by(Some(Arc::clone(&lock)));
        bench.world.fleet_lock = Some(lock);
        bench
    })
}

fn begun(bench: &mut Bench) -> Run {
    match bench.remediator.consider(&mut bench.world, &alert()) {
        Some(Considered::Begun(run)) => *run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_more_hosts_of_a_group_act_at_a_time_than_may_and_the_next_one_does_when_one_is_done() {
    let shared = tempfile::tempdir().unwrap();
    let [mut a, mut b] = fleet(shared.path(), ["a", "b"]);
    let run = begun(&mut a);
    assert_eq!(b.respond(), Some(RunOutcome::Refused));
    let holder = format!("a holds one for 20s more, for run {}", run.id());
    assert_eq!(b.reason(), format!("fleet lock: no place among 1 of web: {holder}"));
    assert_eq!(run.perform(&mut a.world), RunOutcome::Repaired);
    b.world.now.set(a.world.now());
    assert_eq!(b.respond(), Some(RunOutcome::Repaired));
}

#[test]
fn a_place_that_goes_between_looking_and_taking_is_a_refusal_that_is_told_once() {
    let shared = tempfile::tempdir().unwrap();
    let [mut a, mut b] = fleet(shared.path(), ["a", "b"]);
    // It sees a place whenever it looks.
    let elsewhere = tempfile::tempdir().unwrap();
    b.world.fleet_lock = Some(Arc::new(FileFleetLock::new(elsewhere.path().to_owned(), "b".to_owned())));
    let run = begun(&mut a);
    assert_eq!(b.respond(), Some(RunOutcome::Refused));
    let why =
        format!("no place among 1 of web was to be had: a holds one for 20s more, for run {}", run.id());
    assert_eq!(b.reason(), format!("fleet lock: {why}"));
    assert_eq!(b.respond(), None);
    assert!(b.world.performed.is_empty());
}

#[test]
fn the_place_of_a_run_whose_thread_died_is_given_back_and_of_a_host_that_died_it_is_free_in_time() {
    let shared = tempfile::tempdir().unwrap();
    let [mut a, mut b, mut c] = fleet(shared.path(), ["a", "b", "c"]);
    let run = begun(&mut a);
    let id = run.id().clone();
    drop(run);
    assert_eq!(b.respond(), Some(RunOutcome::Refused));
    a.remediator.give_up(&mut a.world, &id);
    let _dies = begun(&mut b);
    for (seconds, outcome) in [(19, RunOutcome::Refused), (20, RunOutcome::Repaired)] {
        c.world.now.set(NOON.plus(Duration::from_secs(seconds)));
        assert_eq!(c.respond(), Some(outcome), "{seconds}");
    }
}

#[test]
fn a_run_that_goes_on_after_a_crash_keeps_its_place_and_one_that_does_not_gives_it_back() {
    for goes_on in [true, false] {
        let shared = tempfile::tempdir().unwrap();
        let [mut a, mut b] = fleet(shared.path(), ["a", "b"]);
        let run = begun(&mut a);
        evidence::alert(&run, &mut a.world);
        drop(run);
        let script = if goes_on { RESTART.to_owned() } else { format!("{RESTART} ") };
        let Bench { remediator: before, world, directory } = &mut a;
        let mut after = remediator(&runbook(), &script, directory.path());
        after.agree_by(world.fleet_lock.clone());
        drop(std::mem::replace(before, after));
        let resumed = a.remediator.recover(&mut a.world);
        assert_eq!(resumed.len(), usize::from(goes_on));
        let expected = if goes_on { RunOutcome::Refused } else { RunOutcome::Repaired };
        assert_eq!(b.respond(), Some(expected), "{goes_on}");
    }
}

#[test]
fn a_stop_gives_the_place_back_of_a_run_that_has_not_acted_and_keeps_that_of_one_that_has() {
    let waits = "fn remediate(ctx) { clock::sleep(\"5s\"); proc::restart(\"web\"); fixed(\"x\") }";
    let acts = "fn remediate(ctx) { proc::restart(\"web\"); clock::sleep(\"5s\"); fixed(\"x\") }";
    for (script, keeps) in [(waits, false), (acts, true)] {
        let shared = tempfile::tempdir().unwrap();
        let [mut a, mut b] = fleet(shared.path(), ["a", "b"]);
        let agent = |bench: &Bench| {
            let mut agent = remediator(&runbook(), script, bench.directory.path());
            agent.agree_by(bench.world.fleet_lock.clone());
            agent
        };
        a.remediator = agent(&a);
        a.world.stops_at = Some(NOON.plus(Duration::from_millis(500)));
        assert_eq!(a.respond(), Some(RunOutcome::Interrupted));
        b.world.now.set(a.world.now());
        let expected = if keeps { RunOutcome::Refused } else { RunOutcome::Repaired };
        assert_eq!(b.respond(), Some(expected), "{script}");
        a.world.now.set(b.world.now());
        // The next agent of the host goes on, and gives the place back in the end.
        a.world.stops_at = None;
        a.remediator = agent(&a);
        let run = a.remediator.recover(&mut a.world).pop().unwrap();
        assert_eq!(run.perform(&mut a.world), RunOutcome::Repaired, "{script}");
        if keeps {
            b.world.now.set(a.world.now());
            assert_eq!(b.respond(), Some(RunOutcome::Repaired), "{script}");
        }
    }
}

#[test]
fn a_place_that_was_taken_for_a_run_that_nobody_wrote_down_is_given_back_at_the_next_start() {
    let shared = tempfile::tempdir().unwrap();
    let [mut a, mut b] = fleet(shared.path(), ["a", "b"]);
    let terms = a.remediator.runbooks[0].guards.fleet_lock.clone().unwrap();
    a.world.fleet_lock.as_ref().unwrap().acquire(&terms, &RunId("unwritten".to_owned()), NOON).unwrap();
    assert_eq!(b.respond(), Some(RunOutcome::Refused));
    assert!(a.remediator.recover(&mut a.world).is_empty());
    assert_eq!(b.respond(), Some(RunOutcome::Repaired));
}
