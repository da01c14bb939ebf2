use super::*;

#[test]
fn the_cooldown_counts_from_the_end_of_a_run() {
    let mut case = Case::new("");
    case.ran("r1", 0, 30, RunOutcome::Repaired);
    case.refuses("cooldown", after(80), "10s left of 1m");
    case.allows("cooldown", after(90), "the pause of 1m is over");
}

#[test]
fn each_run_in_a_row_that_left_it_unwell_doubles_the_pause() {
    let mut case = Case::new("");
    for (run, at) in [("r1", 0), ("r2", 100), ("r3", 300)] {
        case.ran(run, at, at, RunOutcome::Escalated);
    }
    let reason = "3m50s left of 4m after 3 runs in a row, none of which left it well for 10m";
    case.refuses("cooldown", after(310), reason);
    // An alert that began anew says nothing: it may have come and gone meanwhile.
    case.alert.active_at = after(100_000);
    assert!(case.judge("cooldown", after(310)).1.contains("of 4m after 3 runs in a row"));
    case.ran("r4", 600, 600, RunOutcome::Repaired);
    assert!(case.judge("cooldown", after(700)).1.contains("of 8m after 4 runs in a row"));
    case.stays_well("r4", after(1200));
    case.allows("cooldown", after(1200), "the pause of 1m is over");
    case.ran("r5", 1200, 1200, RunOutcome::Escalated);
    case.refuses("cooldown", after(1210), "50s left of 1m");
}

#[test]
fn whoever_asks_for_no_wellness_has_no_rows() {
    let mut case = Case::new(", stable: 0s");
    for run in ["r1", "r2", "r3"] {
        case.ran(run, 0, 0, RunOutcome::Escalated);
    }
    case.refuses("cooldown", after(59), "1s left of 1m");
    case.allows("attempts", after(600), "0 of 3 per 10m used");
}

#[test]
fn rehearsals_keep_a_pause_of_their_own_and_use_up_nothing() {
    let mut case = Case::new("");
    for run in 0..150 {
        case.rehearsed(&format!("s{run}"), run * 100, run * 100 + 5);
    }
    case.allows("cooldown", after(14_906), "this runbook has not run on this target yet");
    case.allows("attempts", after(14_906), "0 of 3 per 10m used");
    case.runbook.stage = Stage::Shadow;
    case.refuses("cooldown", after(14_906), "59s left of 1m");
    case.allows("cooldown", after(14_965), "the pause of 1m is over");
    case.allows("attempts", after(14_965), "0 of 3 per 10m used");
}

#[test]
fn the_pause_has_an_upper_limit() {
    for (settings, limit) in [("", 3600), (", backoff: 90s", 90), (", backoff: 0s", 60)] {
        let mut case = Case::new(settings);
        for run in 0..40 {
            case.ran(&format!("r{run}"), 0, 0, RunOutcome::Interrupted);
        }
        assert!(!case.judge("cooldown", after(limit - 1)).0, "{settings}");
        assert!(case.judge("cooldown", after(limit)).0, "{settings}");
    }
}

#[test]
fn the_budget_of_attempts_opens_after_its_window_once_it_has_been_well() {
    let mut case = Case::new("");
    for (run, at) in [("r1", 0), ("r2", 10), ("r3", 20)] {
        case.ran(run, at, at, RunOutcome::Escalated);
    }
    case.begin("r4", "db", "unit db.service", NOON);
    case.refuses("attempts", after(599), "3 of 3 per 10m used");
    case.refuses("attempts", after(100_000), "3 of 3 per 10m used: it has not been well for 10m since");
    case.stays_well("r3", after(620));
    case.allows("attempts", after(700), "0 of 3 per 10m used");
    case.refuses("attempts", after(599), "3 of 3 per 10m used");
}

#[test]
fn the_budget_of_the_host_and_a_storm_stop_all_runbooks_but_only_runs_that_act_count() {
    let mut case = Case::new("");
    case.settings.starts = "12 per 1h".parse().unwrap();
    for run in 0..12 {
        case.begin(&format!("r{run}"), &format!("book{run}"), &format!("unit u{run}"), NOON);
    }
    for run in 0..50 {
        let name = format!("s{run}");
        case.apply(&name, NOON, matched("shadow", Stage::Shadow, "", "unit web.service"));
        case.apply(&name, NOON, RunStep::Started { parameters: String::new() });
    }
    case.refuses("starts", after(1), "12 of 12 per 1h on this host used");
    case.refuses("storm", after(1), "12 of 10 per 10m on this host used");
    case.allows("storm", after(600), "0 of 10 per 10m on this host used");
    assert!(!case.judge("starts", after(3599)).0);
    assert!(case.judge("starts", after(3600)).0);
    assert!(case.judge("one per target", after(1)).0);
}
