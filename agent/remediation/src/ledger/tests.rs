use telemetry::{RunOutcome, Stage, Timestamp};

use super::*;

fn event(run: &str, second: i64, step: RunStep) -> RunEvent {
    RunEvent { run: RunId(run.to_owned()), at: Timestamp::from_secs(second), step }
}

fn matched(run: &str, second: i64) -> RunEvent {
    let step = RunStep::Matched {
        alert: "{alertname=\"WebDown\"}".to_owned(),
        runbook: "web".to_owned(),
        stage: Stage::Auto,
        script: "x.rhai".to_owned(),
        script_sha256: "0".to_owned(),
    };
    event(run, second, step)
}

fn started(run: &str, second: i64) -> RunEvent {
    event(run, second, RunStep::Started { parameters: String::new() })
}

fn intended(run: &str, number: u32) -> RunEvent {
    event(run, 3, RunStep::ActionIntended { number, action: format!("restart process web{number}") })
}

fn done(run: &str, number: u32) -> RunEvent {
    let step = RunStep::ActionDone {
        number,
        ok: true,
        outcome: String::new(),
        took: std::time::Duration::from_millis(1),
    };
    event(run, 4, step)
}

fn finished(run: &str, second: i64) -> RunEvent {
    event(run, second, RunStep::Finished { outcome: RunOutcome::Repaired, reason: String::new() })
}

fn filled(directory: &Path, events: &[RunEvent]) -> Ledger {
    let mut ledger = Ledger::open(directory).unwrap();
    for event in events {
        ledger.append(event).unwrap();
    }
    ledger
}

#[test]
fn what_was_attempted_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let before =
        filled(directory.path(), &[matched("r1", 1), started("r1", 2), finished("r1", 5), matched("r2", 6)]);
    let after = Ledger::open(directory.path()).unwrap();
    let attempts = |ledger: &Ledger| ledger.history().attempts("web").cloned().collect::<Vec<_>>();
    assert_eq!(attempts(&before), attempts(&after));
    assert_eq!(
        attempts(&after).first().unwrap().ended,
        Some((Timestamp::from_secs(5), RunOutcome::Repaired))
    );
    assert_eq!(after.history().open().count(), 1);
}

#[test]
fn a_torn_last_line_is_dropped_wherever_it_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(directory.path(), &[matched("r1", 1), started("r1", 2), intended("r1", 1)]));
    let path = directory.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    let last = whole.iter().rev().skip(1).position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in 1..last {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut ledger = Ledger::open(directory.path()).unwrap();
        let (_, open) = ledger.history().open().next().unwrap();
        assert_eq!((open.started, open.uncertain.len()), (true, 0), "{cut}");
        ledger.append(&finished("r1", 9)).unwrap();
        assert_eq!(Ledger::open(directory.path()).unwrap().history().open().count(), 0, "{cut}");
    }
}

#[test]
fn a_line_that_is_no_event_is_skipped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(directory.path(), &[matched("r1", 1)]));
    let mut file = OpenOptions::new().append(true).open(directory.path().join(FILE_NAME)).unwrap();
    file.write_all(b"{\"run\":\n\xff\xfe\n").unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!((ledger.dropped_lines(), ledger.history().open().count()), (2, 1));
    ledger.append(&finished("r1", 9)).unwrap();
    assert_eq!(Ledger::open(directory.path()).unwrap().history().open().count(), 0);
}

#[test]
fn an_intention_without_an_outcome_is_uncertain() {
    let directory = tempfile::tempdir().unwrap();
    let events = [matched("r1", 1), started("r1", 2), intended("r1", 1), done("r1", 1), intended("r1", 2)];
    drop(filled(directory.path(), &events));
    let ledger = Ledger::open(directory.path()).unwrap();
    let (_, open) = ledger.history().open().next().unwrap();
    assert_eq!(open.uncertain, ["restart process web2"]);
}

#[test]
fn the_file_stays_small_and_what_counts_stays_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let limit = 20_000;
    let mut ledger = Ledger::open_with_limit(directory.path(), limit).unwrap();
    for event in [matched("first", 1), started("first", 2), finished("first", 3)] {
        ledger.append(&event).unwrap();
    }
    for run in 0..500 {
        let run = format!("r{run}");
        ledger.append(&matched(&run, 10)).unwrap();
        ledger.append(&finished(&run, 10)).unwrap();
        assert!(std::fs::metadata(directory.path().join(FILE_NAME)).unwrap().len() < limit + 500);
    }
    assert!(ledger.dropped_lines() > 100);
    let again = Ledger::open(directory.path()).unwrap();
    let runs: Vec<&str> = again.history().attempts("web").map(|attempt| attempt.run.0.as_str()).collect();
    assert_eq!(runs, ["first"]);
}

#[test]
fn after_a_failed_write_nothing_more_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = filled(directory.path(), &[matched("r1", 1)]);
    // A descriptor that cannot be written to stands for a disk that fails.
    ledger.file = File::open(directory.path().join(FILE_NAME)).unwrap();
    assert!(matches!(ledger.append(&started("r1", 2)), Err(LedgerError::Write { .. })));
    assert!(matches!(ledger.append(&started("r1", 2)), Err(LedgerError::Poisoned { .. })));
    assert_eq!(ledger.history().attempts("web").count(), 0);
}

#[test]
fn a_journal_that_is_gone_from_under_its_name_lets_nothing_begin() {
    for replaced in [false, true] {
        for promise in [started("r1", 2), intended("r1", 1)] {
            let directory = tempfile::tempdir().unwrap();
            let state = directory.path().join("state");
            std::fs::create_dir(&state).unwrap();
            let mut ledger = filled(&state, &[matched("r1", 1)]);
            std::fs::remove_dir_all(&state).unwrap();
            if replaced {
                std::fs::create_dir(&state).unwrap();
                drop(filled(&state, &[matched("r1", 1)]));
            }
            assert!(matches!(ledger.append(&promise), Err(LedgerError::Write { .. })), "{promise:?}");
            assert!(!ledger.is_writable());
        }
    }
}

#[test]
fn after_a_last_line_that_is_too_long_to_be_read_the_next_run_is_known() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(directory.path(), &[matched("r1", 1)]));
    let file = OpenOptions::new().append(true).open(directory.path().join(FILE_NAME)).unwrap();
    file.set_len(MAX_READ_BYTES + 1000).unwrap();
    let ledger = filled(directory.path(), &[matched("r2", 2), started("r2", 3)]);
    assert!(ledger.dropped_lines() > 0);
    let again = Ledger::open(directory.path()).unwrap();
    let runs: Vec<&str> = again.history().attempts("web").map(|attempt| attempt.run.0.as_str()).collect();
    assert_eq!(runs, ["r2"]);
}
