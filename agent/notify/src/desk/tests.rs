use super::*;
use crate::notice::tests::notice;
use crate::silences::{NewSilence, SilenceError};

const PACE: Pace = Pace { repeat: Duration::from_mins(1), resolved_for: None };
const INTERVAL: Duration = Duration::from_secs(10);

fn second(n: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_100 + n)
}

fn next(desk: &Desk, at: i64) -> Next {
    desk.next("r", &Kind::Alertmanager, &PACE, &Options::default(), second(at))
}

#[test]
fn publishing_waits_neither_for_who_looks_nor_for_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::open(directory.path());
    let (state, file) = (desk.lock(), lock(&desk.ledger_file));
    desk.publish(vec![notice()], INTERVAL, second(0));
    assert_eq!(desk.evaluated(), Some((second(0), INTERVAL)));
    drop((state, file));
    assert!(matches!(next(&desk, 0), Next::Tell(delivery) if delivery.notices.len() == 1));
}

#[test]
fn what_is_silenced_is_known_anew_when_silences_change_or_end_or_others_fire() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Desk::open(directory.path());
    let silence = |at| {
        let matchers = vec!["alertname=DiskFull".to_owned()];
        let new = NewSilence { matchers, lasts: INTERVAL, ..NewSilence::default() };
        desk.change_silences(|silences| silences.add(new, second(at))).unwrap().unwrap()
    };
    let owed = |at| desk.owed("r", &PACE, second(at));
    let waits = |at| matches!(next(&desk, at), Next::Wait(_));
    assert!(waits(0));
    silence(0);
    desk.publish(vec![notice()], INTERVAL, second(1));
    assert!(waits(1), "what fires is matched");
    assert_eq!((owed(9), owed(10)), (0, 1), "the silence ends");
    let id = silence(10).id;
    assert_eq!(owed(11), 0, "another begins");
    let ended: Result<_, SilenceError> = desk.change_silences(|silences| silences.expire(&id, second(12)));
    ended.unwrap().unwrap();
    assert_eq!(owed(12), 1, "it is ended");
    silence(30);
    assert_eq!((owed(31), owed(29)), (0, 1), "the clock is set back to before it began");
    assert_eq!(owed(30), 0, "and it begins");
}

#[test]
fn a_stop_waits_for_who_writes_and_no_longer_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let desk = Arc::new(Desk::open(directory.path()));
    let other: Labels = [("alertname", "Other")].into_iter().collect();
    desk.publish(vec![Notice { labels: other, ..notice() }], INTERVAL, second(0));
    let Next::Tell(delivery) = next(&desk, 0) else { panic!("nothing to tell") };
    desk.answered("r", &delivery.notices, Answer::Accepted, second(0));
    let path = directory.path().join("notifications.json");
    let writing = lock(&desk.ledger_file);
    desk.keep_now(Duration::from_millis(20));
    assert!(!path.exists(), "another writes");
    drop(writing);
    desk.keep_now(Duration::from_secs(20));
    assert!(path.exists());
}
