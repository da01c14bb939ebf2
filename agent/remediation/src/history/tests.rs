use std::path::Path;

use documents::Document;

use super::*;
use crate::runbook::Runbook;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

fn book(stage: &str) -> Runbook {
    let text = format!(
        "runbooks:\n- name: web\n  matchers: ['a=\"b\"']\n  script: x.rhai\n  stage: {stage}\n  success: 70% of 5\n  verify: {{ expr: up }}\n"
    );
    Runbook::read(&Document::from_text(Path::new("r.yaml"), text.as_str())).unwrap().pop().unwrap()
}

fn apply(history: &mut History, run: &str, step: RunStep) {
    history.apply(&RunEvent { run: RunId(run.to_owned()), at: NOON, step });
}

fn ran(history: &mut History, run: &str, book: &Runbook, stage: Stage, outcome: RunOutcome) {
    let matched = RunStep::Matched {
        alert: String::new(),
        runbook: book.name.clone(),
        stage,
        script: String::new(),
        script_sha256: "s1".to_owned(),
        target: String::new(),
        runbook_sha256: book.sha256.clone(),
        touches: vec!["unit web.service".to_owned()],
    };
    apply(history, run, matched);
    if !matches!(outcome, RunOutcome::Refused | RunOutcome::Observed | RunOutcome::Denied) {
        apply(history, run, RunStep::Started { parameters: String::new() });
    }
    apply(history, run, RunStep::Finished { outcome, reason: String::new() });
}

fn demote(history: &mut History, run: &str) {
    let reason = "2 of 5".to_owned();
    apply(history, run, RunStep::Demoted { from: Stage::Auto, to: Stage::Ask, reason });
}

#[test]
fn a_runbook_falls_short_as_soon_as_its_share_is_out_of_reach() {
    let (mut history, book) = (History::default(), book("auto"));
    for (run, outcome) in [
        ("1", RunOutcome::Repaired),
        ("2", RunOutcome::Escalated),
        ("3", RunOutcome::Skipped),
        ("4", RunOutcome::Interrupted),
        ("5", RunOutcome::Refused),
    ] {
        ran(&mut history, run, &book, Stage::Auto, outcome);
        assert_eq!(history.standing(&book, "s1").falls_short, None, "{run}");
    }
    ran(&mut history, "6", &book, Stage::Auto, RunOutcome::Escalated);
    let standing = history.standing(&book, "s1");
    assert_eq!(
        standing.falls_short.as_deref(),
        Some("2 of the last 3 repairs did not hold, and 70% of 5 must")
    );
    assert_eq!((standing.judged, standing.precision), (3, Some(1.0 / 3.0)));
    let counts = standing.counts.get("auto").unwrap();
    assert_eq!((counts.repaired, counts.escalated, counts.skipped, counts.refused), (1, 2, 1, 1));
}

#[test]
fn only_the_latest_runs_count_and_only_those_of_the_same_texts() {
    let (mut history, book) = (History::default(), book("auto"));
    for run in 0..4 {
        ran(&mut history, &format!("a{run}"), &book, Stage::Auto, RunOutcome::Escalated);
    }
    assert!(history.standing(&book, "s1").falls_short.is_some());
    assert_eq!(history.standing(&book, "s2").falls_short, None);
    for run in 0..4 {
        ran(&mut history, &format!("b{run}"), &book, Stage::Auto, RunOutcome::Repaired);
    }
    assert_eq!(history.standing(&book, "s1").falls_short, None);
}

#[test]
fn a_demoted_runbook_asks_until_its_text_changes_or_a_person_reinstates_it() {
    let (mut history, auto) = (History::default(), book("auto"));
    ran(&mut history, "1", &auto, Stage::Auto, RunOutcome::Escalated);
    ran(&mut history, "2", &auto, Stage::Auto, RunOutcome::Escalated);
    demote(&mut history, "2");
    let standing = history.standing(&auto, "s1");
    assert_eq!((standing.configured, standing.in_force), (Stage::Auto, Stage::Ask));
    assert_eq!(standing.demoted, Some((NOON, "2 of 5".to_owned())));
    assert_eq!(standing.falls_short, None);
    // Good runs that a person approved do not bring it back.
    for run in 3..9 {
        ran(&mut history, &run.to_string(), &auto, Stage::Ask, RunOutcome::Repaired);
    }
    assert_eq!(history.standing(&auto, "s1").in_force, Stage::Ask);
    assert_eq!(history.standing(&auto, "s2").in_force, Stage::Auto);
    assert_eq!(history.standing(&book("shadow"), "s1").in_force, Stage::Shadow);
    let released = RunStep::Released { what: "web".to_owned(), by: "alice".to_owned() };
    apply(&mut history, "x", released);
    let standing = history.standing(&auto, "s1");
    assert_eq!((standing.in_force, standing.falls_short), (Stage::Auto, None));
}

#[test]
fn what_is_kept_reads_back_the_same() {
    let (mut history, book) = (History::default(), book("auto"));
    ran(&mut history, "1", &book, Stage::Auto, RunOutcome::Escalated);
    demote(&mut history, "1");
    ran(&mut history, "2", &book, Stage::Ask, RunOutcome::Repaired);
    let open = RunStep::Matched {
        alert: String::new(),
        runbook: "db".to_owned(),
        stage: Stage::Auto,
        script: String::new(),
        script_sha256: String::new(),
        target: "unit=\"db\"".to_owned(),
        runbook_sha256: String::new(),
        touches: Vec::new(),
    };
    apply(&mut history, "3", open);
    apply(&mut history, "3", RunStep::ActionIntended { number: 1, action: "x".to_owned(), simulated: false });
    let text = serde_json::to_string(&history).unwrap();
    let back: History = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
    assert_eq!(back.standing(&book, "s1"), history.standing(&book, "s1"));
    assert_eq!(back.open().next().unwrap().1.uncertain, ["x"]);
}

#[test]
fn a_run_that_goes_on_after_a_crash_is_one_attempt() {
    let (mut history, book) = (History::default(), book("auto"));
    ran(&mut history, "1", &book, Stage::Auto, RunOutcome::Interrupted);
    let again = History::default();
    let mut history_of_one = again;
    let matched = RunStep::Matched {
        alert: String::new(),
        runbook: "web".to_owned(),
        stage: Stage::Auto,
        script: String::new(),
        script_sha256: String::new(),
        target: String::new(),
        runbook_sha256: String::new(),
        touches: Vec::new(),
    };
    apply(&mut history_of_one, "1", matched);
    for _ in 0..2 {
        apply(&mut history_of_one, "1", RunStep::Started { parameters: String::new() });
    }
    assert_eq!(history_of_one.attempts("web", "").count(), history.attempts("web", "").count());
    assert_eq!(history_of_one.starts_within(Duration::from_hours(1), NOON), 1);
}

#[test]
fn nothing_of_it_grows_without_end() {
    let (mut history, book) = (History::default(), book("auto"));
    for run in 0..3000 {
        let matched = RunStep::Matched {
            alert: String::new(),
            runbook: book.name.clone(),
            stage: Stage::Auto,
            script: String::new(),
            script_sha256: "s1".to_owned(),
            target: format!("unit=\"u{run}\""),
            runbook_sha256: book.sha256.clone(),
            touches: vec![format!("unit u{run}")],
        };
        let run = run.to_string();
        apply(&mut history, &run, matched);
        apply(&mut history, &run, RunStep::Started { parameters: String::new() });
        for number in [1, 2] {
            let intended = RunStep::ActionIntended { number, action: String::new(), simulated: false };
            apply(&mut history, &run, intended);
        }
        let (outcome, took) = (String::new(), Duration::ZERO);
        apply(&mut history, &run, RunStep::ActionDone { number: 1, ok: true, outcome, answer: None, took });
        if run.ends_with('0') {
            continue;
        }
        let outcome = RunOutcome::Escalated;
        apply(&mut history, &run, RunStep::Finished { outcome, reason: String::new() });
    }
    for run in 3000..3000 + MAX_OPEN {
        let matched = RunStep::Matched {
            alert: String::new(),
            runbook: book.name.clone(),
            stage: Stage::Auto,
            script: String::new(),
            script_sha256: String::new(),
            target: String::new(),
            runbook_sha256: String::new(),
            touches: Vec::new(),
        };
        apply(&mut history, &run.to_string(), matched);
    }
    assert_eq!((history.open.len(), history.doubts.len()), (MAX_OPEN, MAX_TARGETS));
    assert_eq!((history.attempts.len(), history.touches.len()), (MAX_PAIRS, MAX_TARGETS));
    assert_eq!(history.starts.len(), MAX_HOST_STARTS as usize);
}
