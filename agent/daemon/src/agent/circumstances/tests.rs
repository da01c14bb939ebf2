use super::*;

fn facts(active: &str, result: &str, enabled: &str) -> ServiceFacts {
    let load = if enabled == "masked" { "masked" } else { "loaded" };
    let [active, result, enabled, load] = [active, result, enabled, load].map(str::to_owned);
    ServiceFacts { active, result, enabled, load, ..ServiceFacts::default() }
}

#[test]
fn a_unit_that_a_person_wants_to_rest_is_let_rest_and_one_that_failed_is_not() {
    for (active, result, enabled, rests) in [
        ("failed", "exit-code", "enabled", false),
        ("failed", "signal", "static", false),
        ("active", "success", "enabled", false),
        ("active", "success", "disabled", false),
        ("activating", "success", "enabled", false),
        ("inactive", "success", "enabled", true),
        ("deactivating", "success", "enabled", true),
        ("failed", "exit-code", "disabled", true),
        ("failed", "exit-code", "masked", true),
        ("active", "success", "masked-runtime", true),
    ] {
        let why = stopped("web.service", &Ok(facts(active, result, enabled)));
        assert_eq!(why.is_some(), rests, "{active} {result} {enabled}: {why:?}");
    }
}

#[test]
fn where_systemd_does_not_answer_nobody_knows_and_so_it_is_told() {
    let why = stopped("web.service", &Err("asking systemd".to_owned())).unwrap();
    assert_eq!(why, "it is not known whether web.service was stopped: asking systemd");
}

#[test]
fn every_unit_that_a_run_may_touch_is_looked_at() {
    let nowhere = tempfile::tempdir().unwrap();
    let host = HostRoot::at(nowhere.path());
    let targets = ["path /var/log", "unit a.service", "unit b.service"].map(str::to_owned);
    let held =
        holds(&host, &targets, &Work { processes: Vec::new(), holds: Vec::new() }, &StopWatch::default());
    let told = |unit: &str| held.iter().any(|hold| hold.what.contains(unit));
    assert_eq!((held.len(), told("a.service"), told("b.service")), (2, true, true), "{held:?}");
}
