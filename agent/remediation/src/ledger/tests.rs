use std::fs::OpenOptions;

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
        target: String::new(),
        runbook_sha256: String::new(),
        touches: Vec::new(),
    };
    event(run, second, step)
}

fn started(run: &str, second: i64) -> RunEvent {
    event(run, second, RunStep::Started { parameters: String::new() })
}

fn intended(run: &str, number: u32) -> RunEvent {
    event(
        run,
        3,
        RunStep::ActionIntended { number, action: format!("restart process web{number}"), simulated: false },
    )
}

fn done(run: &str, number: u32) -> RunEvent {
    let step = RunStep::ActionDone {
        number,
        ok: true,
        outcome: String::new(),
        answer: None,
        took: Duration::from_millis(1),
    };
    event(run, 4, step)
}

fn finished(run: &str, second: i64) -> RunEvent {
    event(run, second, RunStep::Finished { outcome: RunOutcome::Repaired, reason: String::new() })
}

fn only_segment(directory: &Path) -> PathBuf {
    segments::path_of(directory, 1)
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
    let attempts = |ledger: &Ledger| ledger.history().attempts("web", "").cloned().collect::<Vec<_>>();
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
    let path = only_segment(directory.path());
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
    let mut file = OpenOptions::new().append(true).open(only_segment(directory.path())).unwrap();
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
fn the_journal_stays_small_and_what_counts_is_known_without_what_went() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = Sizes { segment: 4_000, kept: 40_000 };
    let mut ledger = Ledger::open_with_sizes(directory.path(), sizes).unwrap();
    for event in [matched("first", 1), started("first", 2), finished("first", 3), matched("open", 4)] {
        ledger.append(&event).unwrap();
    }
    for run in 0..100 {
        let run = format!("r{run}");
        ledger.append(&matched(&run, 10)).unwrap();
        ledger.append(&finished(&run, 10)).unwrap();
        assert!(ledger.figures().bytes < sizes.kept + sizes.segment + 1_000, "{:?}", ledger.figures());
    }
    let verified = audit::verify(directory.path(), &[ledger.head().get()]).unwrap();
    assert!(verified.events_gone > 50 && verified.events + verified.events_gone == 204, "{verified:?}");
    let again = Ledger::open_with_sizes(directory.path(), sizes).unwrap();
    assert_eq!(again.figures(), ledger.figures());
    assert_eq!(again.figures().events_gone, verified.events_gone);
    let runs: Vec<&str> = again.history().attempts("web", "").map(|attempt| attempt.run.0.as_str()).collect();
    assert_eq!((runs.as_slice(), again.history().open().count()), (["first"].as_slice(), 1));
}

#[test]
fn a_start_reads_the_last_segment_and_an_older_one_only_if_that_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = Sizes { segment: 1, kept: 1 << 20 };
    let mut ledger = Ledger::open_with_sizes(directory.path(), sizes).unwrap();
    for event in [matched("r1", 1), started("r1", 2), finished("r1", 3)] {
        ledger.append(&event).unwrap();
    }
    drop(ledger);
    let begun = |ledger: &Ledger| ledger.history().attempts("web", "").count();
    let last = segments::path_of(directory.path(), 3);
    let whole = std::fs::read_to_string(&last).unwrap();
    std::fs::write(segments::path_of(directory.path(), 1), "nobody reads this").unwrap();
    assert_eq!(begun(&Ledger::open_with_sizes(directory.path(), sizes).unwrap()), 1);
    // Its head cannot be read any more: that of the segment before it tells the same.
    std::fs::write(&last, whole.replacen("\"history\"", "\"fiction\"", 1)).unwrap();
    let mut ledger = Ledger::open_with_sizes(directory.path(), sizes).unwrap();
    assert_eq!((begun(&ledger), ledger.history().open().count()), (1, 0));
    assert!(ledger.dropped_lines() > 0);
    ledger.append(&matched("r2", 4)).unwrap();
    let again = Ledger::open_with_sizes(directory.path(), sizes).unwrap();
    assert_eq!((begun(&again), again.dropped_lines()), (1, 0));
}

#[test]
fn the_file_of_earlier_versions_is_taken_over_once() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("runs.jsonl");
    let lines = |events: &[RunEvent]| {
        let lines = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n");
        lines.collect::<String>()
    };
    std::fs::write(&old, lines(&[matched("r1", 1), started("r1", 2)]) + "{\"torn").unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    assert_eq!((ledger.history().attempts("web", "").count(), ledger.dropped_lines()), (1, 1));
    assert!(!old.exists());
    ledger.append(&finished("r1", 3)).unwrap();
    // As after a crash between the two steps.
    std::fs::write(&old, lines(&[matched("r1", 1), started("r1", 2)])).unwrap();
    let again = Ledger::open(directory.path()).unwrap();
    assert_eq!((again.history().attempts("web", "").count(), again.history().open().count()), (1, 0));
    assert!(!old.exists());
    assert_eq!(audit::verify(directory.path(), &[]).unwrap().events, 3);
}

#[test]
fn a_segment_that_was_begun_and_not_finished_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = Sizes { segment: 1, kept: 1 << 20 };
    let mut ledger = Ledger::open_with_sizes(directory.path(), sizes).unwrap();
    std::fs::write(segments::path_of(directory.path(), 2).with_extension("new"), "half a he").unwrap();
    ledger.append(&matched("r1", 1)).unwrap();
    ledger.append(&finished("r1", 2)).unwrap();
    assert_eq!(audit::verify(directory.path(), &[]).unwrap().segments, 2);
}

#[test]
fn runs_are_told_from_the_files_the_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = Sizes { segment: 900, kept: 1 << 20 };
    let mut ledger = Ledger::open_with_sizes(directory.path(), sizes).unwrap();
    for event in [
        matched("r1", 1),
        matched("r2", 2),
        started("r1", 3),
        finished("r2", 4),
        finished("r1", 5),
        matched("r3", 6),
    ] {
        ledger.append(&event).unwrap();
    }
    let of = |events: &[Vec<RunEvent>]| {
        events.iter().map(|events| (events[0].run.0.clone(), events.len())).collect::<Vec<_>>()
    };
    let named = |name: &str, events| (name.to_owned(), events);
    assert_eq!(of(&ledger.recent(2).unwrap()), [named("r3", 1), named("r2", 2)]);
    assert_eq!(
        ledger.events_of(&RunId("r1".to_owned())).unwrap(),
        [matched("r1", 1), started("r1", 3), finished("r1", 5)]
    );
    let ended = audit::runs(directory.path(), 9, |events| events.len() > 1).unwrap();
    assert_eq!(of(&ended), [named("r2", 2), named("r1", 3)]);
}

#[test]
fn after_a_failed_write_nothing_more_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = filled(directory.path(), &[matched("r1", 1)]);
    // A descriptor that cannot be written to stands for a disk that fails.
    ledger.file = File::open(only_segment(directory.path())).unwrap();
    assert!(matches!(ledger.append(&started("r1", 2)), Err(LedgerError::Write { .. })));
    assert!(matches!(ledger.append(&started("r1", 2)), Err(LedgerError::Poisoned { .. })));
    assert_eq!(ledger.history().attempts("web", "").count(), 0);
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
    let file = OpenOptions::new().append(true).open(only_segment(directory.path())).unwrap();
    file.set_len(segments::MAX_READ_BYTES + 1000).unwrap();
    let ledger = filled(directory.path(), &[matched("r2", 2), started("r2", 3)]);
    assert!(ledger.dropped_lines() > 0);
    let again = Ledger::open(directory.path()).unwrap();
    let runs: Vec<&str> = again.history().attempts("web", "").map(|attempt| attempt.run.0.as_str()).collect();
    assert_eq!(runs, ["r2"]);
}

#[test]
fn after_a_failed_write_a_new_segment_is_begun_once_the_disk_takes_it_and_runs_that_ended_meanwhile_are_closed()
 {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = filled(directory.path(), &[matched("r1", 1), started("r1", 2)]);
    // A file of that name cannot be opened for writing while a directory is there: the disk is not well.
    let beside = segments::path_of(directory.path(), 2).with_extension("new");
    std::fs::create_dir(&beside).unwrap();
    let at = Timestamp::from_secs;
    ledger.fails(at(3));
    // Half a line, of which nobody was told that it was written.
    OpenOptions::new()
        .append(true)
        .open(only_segment(directory.path()))
        .unwrap()
        .write_all(b"{\"ha")
        .unwrap();
    assert!(ledger.append(&finished("r1", 5)).is_err() && ledger.append(&matched("r2", 5)).is_err());
    assert_eq!(ledger.figures().failing_since, Some(at(3)));
    assert!(!ledger.try_again(at(5)) && !ledger.is_writable());
    std::fs::remove_dir(&beside).unwrap();
    assert!(!ledger.try_again(at(6)), "it is not tried at every look");
    assert!(ledger.try_again(at(7)) && ledger.is_writable());
    assert_eq!((ledger.figures().failing_since, ledger.history().open().count()), (None, 0));
    ledger.append(&matched("r3", 8)).unwrap();
    let verified = audit::verify(directory.path(), &[]).unwrap();
    assert_eq!((verified.segments, verified.events), (2, 4));
    let after = Ledger::open(directory.path()).unwrap();
    assert_eq!((after.dropped_lines(), after.history().open().count()), (0, 1));
}
