use super::*;

#[test]
fn only_samples_from_after_the_script_verify_but_facts_count_them_all() {
    let script = "fn remediate(ctx) { proc::restart(\"web\"); clock::sleep(\"2s\"); \
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
        "web is still down; restart process web: started web as process 77; none was running; up == 1 did not hold within 5s: \
         it gave no result; up has no new sample"
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
