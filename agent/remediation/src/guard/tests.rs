use executor::Budget;
use proptest::prelude::*;
use telemetry::{RunEvent, RunId, RunStep, Stage};

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);
const GUARDS_OF_WEB: Guards = Guards {
    cooldown: Duration::from_mins(1),
    attempts: Budget { at_most: 3, per: Duration::from_mins(10) },
};

fn event(run: &str, at: Timestamp, step: RunStep) -> RunEvent {
    RunEvent { run: RunId(run.to_owned()), at, step }
}

fn begin(history: &mut History, run: &str, runbook: &str, at: Timestamp) {
    let text = String::new;
    let step = RunStep::Matched {
        alert: text(),
        runbook: runbook.to_owned(),
        stage: Stage::Auto,
        script: text(),
        script_sha256: text(),
    };
    history.apply(&event(run, at, step));
    history.apply(&event(run, at, RunStep::Started { parameters: text() }));
}

fn finish(history: &mut History, run: &str, at: Timestamp, outcome: RunOutcome) {
    history.apply(&event(run, at, RunStep::Finished { outcome, reason: String::new() }));
}

fn after(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

fn judge(name: &str, history: &History, frozen: bool, now: Timestamp) -> (bool, String) {
    let question = Question {
        runbook: "web",
        guards: &GUARDS_OF_WEB,
        frozen,
        journal_writable: true,
        seen_firing: NOON,
    };
    let guard = GUARDS.iter().find(|guard| guard.name == name).unwrap();
    let Verdict { allowed, reason } = (guard.judge)(&question, history, now);
    (allowed, reason)
}

#[test]
fn nothing_stands_in_the_way_of_the_first_run() {
    for guard in GUARDS {
        let (allowed, reason) = judge(guard.name, &History::default(), false, NOON);
        assert!(allowed, "{}: {reason}", guard.name);
    }
}

#[test]
fn the_kill_switch_stops_everything() {
    let frozen = judge("kill switch", &History::default(), true, NOON);
    assert_eq!(frozen, (false, "repairs are frozen by an operator".to_owned()));
}

#[test]
fn a_runbook_waits_for_its_own_run_and_for_no_other() {
    let mut history = History::default();
    begin(&mut history, "r1", "db", NOON);
    assert!(judge("one at a time", &history, false, after(1)).0);
    begin(&mut history, "r2", "web", NOON);
    assert_eq!(judge("one at a time", &history, false, after(1)), (false, "run r2 has not ended".to_owned()));
    finish(&mut history, "r2", after(2), RunOutcome::Repaired);
    assert!(judge("one at a time", &history, false, after(3)).0);
}

#[test]
fn the_cooldown_counts_from_the_end_of_a_run() {
    let mut history = History::default();
    begin(&mut history, "r1", "web", NOON);
    finish(&mut history, "r1", after(30), RunOutcome::Repaired);
    assert_eq!(judge("cooldown", &history, false, after(80)), (false, "10s left of 1m".to_owned()));
    assert_eq!(judge("cooldown", &history, false, after(90)), (true, "the pause of 1m is over".to_owned()));
}

#[test]
fn each_run_in_a_row_that_did_not_repair_doubles_the_pause() {
    let mut history = History::default();
    for (run, at) in [("r1", 0), ("r2", 100), ("r3", 300)] {
        begin(&mut history, run, "web", after(at));
        finish(&mut history, run, after(at), RunOutcome::Escalated);
    }
    assert_eq!(
        judge("cooldown", &history, false, after(310)),
        (false, "3m50s left of 4m after 3 runs in a row that did not repair".to_owned())
    );
    begin(&mut history, "r4", "web", after(600));
    finish(&mut history, "r4", after(600), RunOutcome::Repaired);
    assert!(judge("cooldown", &history, false, after(660)).0);
}

#[test]
fn the_pause_has_an_upper_limit() {
    let mut history = History::default();
    for run in 0..40 {
        begin(&mut history, &format!("r{run}"), "web", NOON);
        finish(&mut history, &format!("r{run}"), NOON, RunOutcome::Interrupted);
    }
    assert!(judge("cooldown", &history, false, after(3600)).0);
}

#[test]
fn the_budget_of_attempts_is_one_runbook_s_and_opens_after_its_window() {
    let mut history = History::default();
    for run in ["r1", "r2", "r3"] {
        begin(&mut history, run, "web", NOON);
    }
    begin(&mut history, "r4", "db", NOON);
    assert_eq!(judge("attempts", &history, false, after(599)), (false, "3 of 3 per 10m used".to_owned()));
    assert_eq!(judge("attempts", &history, false, after(600)), (true, "0 of 3 per 10m used".to_owned()));
}

#[test]
fn a_stale_alert_and_one_from_the_future_start_nothing() {
    let history = History::default();
    assert!(judge("freshness", &history, false, after(60)).0);
    assert_eq!(
        judge("freshness", &history, false, after(61)),
        (false, "seen firing 1m1s ago, at most 1m".to_owned())
    );
    let (allowed, reason) = judge("freshness", &history, false, NOON.minus(Duration::from_mins(2)));
    assert!(!allowed && reason.contains("the clock has jumped"), "{reason}");
}

#[test]
fn a_storm_of_runs_on_this_host_stops_all_runbooks() {
    let mut history = History::default();
    for run in 0..10 {
        begin(&mut history, &format!("r{run}"), &format!("book{run}"), NOON);
    }
    assert_eq!(
        judge("storm", &history, false, after(1)),
        (false, "10 of 10 per 10m on this host used".to_owned())
    );
    assert!(judge("storm", &history, false, after(600)).0);
}

proptest! {
    #[test]
    fn in_no_window_do_more_runs_start_than_the_budget_allows(
        steps in proptest::collection::vec((-900_i64..900, any::<bool>(), 0_u8..4), 1..150),
    ) {
        let mut history = History::default();
        let (mut now, mut starts, mut number) = (1_700_000_000_i64, Vec::<i64>::new(), 0);
        for (step, asks, ending) in steps {
            now += step;
            let at = Timestamp::from_secs(now);
            if !asks || !judge("attempts", &history, false, at).0 {
                continue;
            }
            number += 1;
            let run = format!("r{number}");
            begin(&mut history, &run, "web", at);
            starts.push(now);
            let outcome = [RunOutcome::Repaired, RunOutcome::Escalated, RunOutcome::Interrupted];
            if let Some(outcome) = outcome.get(usize::from(ending)) {
                finish(&mut history, &run, at, *outcome);
            }
            for end in &starts {
                let within = starts.iter().filter(|start| **start > end - 600 && *start <= end).count();
                prop_assert!(within <= 3, "{starts:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_backwards_opens_no_gate(back in 0_u64..100_000, since in 0_u64..59) {
        let mut history = History::default();
        begin(&mut history, "r1", "web", NOON);
        finish(&mut history, "r1", NOON, RunOutcome::Escalated);
        let now = after(since);
        prop_assert!(!judge("cooldown", &history, false, now).0);
        prop_assert!(!judge("cooldown", &history, false, now.minus(Duration::from_secs(back))).0);
    }
}
