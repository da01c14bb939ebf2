use std::fs;

use proptest::prelude::*;
use telemetry::{RunOutcome, Stage};

use super::*;
use crate::ledger::Ledger;

fn journal(runs: usize) -> (tempfile::TempDir, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path()).unwrap();
    for number in 0..runs {
        let run = RunId(format!("r{number}"));
        let at = Timestamp::from_secs(i64::try_from(number).unwrap());
        let matched = RunStep::Matched {
            alert: "{alertname=\"WebDown\"}".to_owned(),
            runbook: "web".to_owned(),
            stage: Stage::Auto,
            script: "x.rhai".to_owned(),
            script_sha256: "0".to_owned(),
            target: "web".to_owned(),
            runbook_sha256: String::new(),
            touches: Vec::new(),
        };
        let finished = RunStep::Finished { outcome: RunOutcome::Repaired, reason: "well".to_owned() };
        for step in [matched, finished] {
            ledger.append(&RunEvent { run: run.clone(), at, step }).unwrap();
        }
    }
    (directory, ledger)
}

fn segment(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("runs/000001.jsonl")
}

#[test]
fn an_untouched_journal_is_vouched_for_with_its_witnesses() {
    let (directory, mut ledger) = journal(2);
    let seen = ledger.head().get();
    let event = RunEvent {
        run: RunId("r9".to_owned()),
        at: Timestamp::from_secs(9),
        step: RunStep::Note { text: "later".to_owned() },
    };
    ledger.append(&event).unwrap();
    let expected = Verified {
        segments: 1,
        events: 5,
        events_gone: 0,
        between: Some((Timestamp::from_secs(0), Timestamp::from_secs(9))),
        head: ledger.head().get(),
        unfinished: false,
    };
    assert_eq!(verify(directory.path(), &[seen, ledger.head().get()]).unwrap(), expected);
}

#[test]
fn each_way_to_change_the_record_is_found_where_it_was_done() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, Change, usize, &str); 6] = [
        ("a word", |lines| lines[2] = lines[2].replace("repaired", "skipped"), 3, "does not follow"),
        ("taken out", |lines| drop(lines.remove(2)), 3, "does not follow"),
        ("put in twice", |lines| lines.insert(2, lines[1].clone()), 3, "does not follow"),
        ("swapped", |lines| lines.swap(1, 2), 2, "does not follow"),
        ("no hash", |lines| lines[3] = "{}".to_owned(), 4, "does not end with a hash"),
        ("no head", |lines| drop(lines.remove(0)), 1, "no head"),
    ];
    for (what, change, expected, reason) in changes {
        let (directory, _ledger) = journal(3);
        let path = segment(&directory);
        let mut lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        change(&mut lines);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        match verify(directory.path(), &[]) {
            Err(AuditError::Broken { file, line, why }) => {
                assert_eq!((file, line), (path, expected), "{what}: {why}");
                assert!(why.contains(reason), "{what}: {why}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_journal_that_was_cut_or_written_anew_is_found_by_a_hash_that_was_kept_elsewhere() {
    let (directory, ledger) = journal(3);
    let seen = ledger.head().get();
    let whole = fs::read_to_string(segment(&directory)).unwrap();
    let kept: String = whole.split_inclusive('\n').take(4).collect();
    fs::write(segment(&directory), kept).unwrap();
    assert!(verify(directory.path(), &[]).is_ok());
    assert!(matches!(verify(directory.path(), &[seen]), Err(AuditError::Unknown { .. })));
}

#[test]
fn a_line_that_is_being_written_is_no_break() {
    let (directory, _ledger) = journal(1);
    let whole = fs::read_to_string(segment(&directory)).unwrap();
    fs::write(segment(&directory), whole + "{\"run\":\"r2").unwrap();
    let verified = verify(directory.path(), &[]).unwrap();
    assert!(verified.unfinished && verified.events == 2, "{verified:?}");
}

#[test]
fn a_missing_segment_and_a_missing_journal_are_named() {
    let (directory, _ledger) = journal(1);
    fs::copy(segment(&directory), directory.path().join("runs/000003.jsonl")).unwrap();
    let error = verify(directory.path(), &[]).unwrap_err().to_string();
    assert!(error.contains("000002.jsonl, is missing"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(verify(empty.path(), &[]), Err(AuditError::Missing { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any byte of any line, changed to any other: nothing of it goes unnoticed.
    #[test]
    fn no_byte_can_be_changed_unnoticed(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (directory, ledger) = journal(2);
        let path = segment(&directory);
        let mut bytes = fs::read(&path).unwrap();
        let at = place.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        fs::write(&path, bytes).unwrap();
        prop_assert!(verify(directory.path(), &[ledger.head().get()]).is_err());
    }
}
