use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{Answer, Call, Pace, REPAIR_FAILED};
use super::*;

const PACE: Pace = Pace { repeat: Duration::from_hours(4), resolved_for: None };
const HELD_FOR: Duration = Duration::from_secs(90);
const AGAIN_FOR: Duration = Duration::from_mins(15);

fn second(n: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + n)
}

fn labels(name: &str) -> Labels {
    [("alertname", name)].into_iter().collect()
}

fn firing(name: &str, since: i64, now: i64) -> Notice {
    let notice = Notice {
        labels: labels(name),
        annotations: BTreeMap::new(),
        fired_at: second(since),
        resolved_at: None,
        valid_until: second(since),
        expression: "up == 0".to_owned(),
        held_until: None,
    };
    notice.held_back(Some(HELD_FOR), second(now))
}

/// A receiver that is told whatever it is owed, at once.
#[derive(Default)]
struct Told(Ledger);

impl Told {
    fn report(&mut self, reported: impl IntoIterator<Item = Notice>, at: i64) {
        self.0.report(reported, AGAIN_FOR, second(at));
    }

    fn tell(&mut self, at: i64) -> Vec<Arc<Notice>> {
        let owed = self.0.owed("r", &PACE, |_| false, second(at));
        self.0.attempt("r", &owed, second(at));
        self.0.answered("r", &owed, Answer::Accepted, second(at));
        owed
    }

    fn names(&mut self, at: i64) -> Vec<String> {
        self.tell(at).iter().map(|notice| notice.name().to_owned()).collect()
    }
}

fn call(alert: &str, run: &str) -> Call {
    Call {
        alert: labels(alert),
        expression: String::new(),
        runbook: "restart".to_owned(),
        run: run.to_owned(),
        annotations: why("no"),
    }
}

fn why(text: &str) -> BTreeMap<String, String> {
    [("hostmend_why".to_owned(), text.to_owned())].into()
}

#[test]
fn what_is_held_back_is_told_when_its_time_is_over_and_not_before() {
    let mut told = Told::default();
    told.report([firing("A", 0, 5)], 5);
    assert_eq!(told.names(89), [] as [&str; 0]);
    assert_eq!(told.0.next_due("r", &PACE, |_| false), Some(second(90)));
    assert_eq!(told.0.held(second(89)).collect::<Vec<_>>(), [(&labels("A"), second(90))]);
    assert_eq!(told.names(90), ["A"]);
    assert_eq!(told.0.held(second(90)).count(), 0);
}

#[test]
fn what_is_repaired_while_it_is_held_back_is_never_told() {
    let mut told = Told::default();
    told.report([firing("A", 0, 0)], 0);
    told.tell(0);
    told.report([], 30);
    for at in [30, 90, 1_000] {
        assert_eq!(told.names(at), [] as [&str; 0]);
    }
}

#[test]
fn what_is_released_is_told_at_once_with_what_was_tried_and_so_it_stays() {
    let mut told = Told::default();
    told.report([firing("A", 0, 0)], 0);
    assert!(told.0.release(&labels("A"), why("it did not help"), second(1)));
    let first = told.tell(1);
    assert_eq!(first[0].annotations, why("it did not help"));
    told.report([firing("A", 0, 10)], 10);
    told.0 = Ledger::restore(&told.0.save()).unwrap();
    told.report([firing("A", 0, 20)], 20);
    let again = told.tell(20_000);
    assert_eq!(again[0].annotations, why("it did not help"));
    told.report([], 20_001);
    told.tell(20_001);
    told.report([firing("A", 20_002, 20_002)], 20_002);
    assert_eq!(told.names(20_002), [] as [&str; 0], "it began anew");
    assert!(!told.0.release(&labels("B"), why(""), second(20_002)));
}

#[test]
fn who_knows_of_an_alert_is_called_when_its_repair_has_failed() {
    let mut told = Told::default();
    told.report([Notice { held_until: None, ..firing("A", 0, 0) }], 0);
    assert_eq!(told.names(0), ["A"]);
    told.report([firing("A", 0, 10)], 10);
    assert_eq!(told.0.held(second(10)).count(), 1);
    told.report([firing("A", 0, 95)], 95);
    assert!(!told.0.release(&labels("A"), why("no"), second(95)), "its time is over");
    assert_eq!(told.names(95), [] as [&str; 0]);
    told.0.call(call("A", "r1"), second(96));
    assert_eq!(told.names(96), [REPAIR_FAILED]);
    assert_eq!(told.names(97), [] as [&str; 0]);
    assert_eq!(told.0.firing().next().unwrap().annotations, why("no"), "it says so itself from now on");
}

#[test]
fn nothing_is_held_back_whose_beginning_lies_in_the_future() {
    let mut told = Told::default();
    told.report([firing("A", 3_600, 0)], 0);
    assert_eq!(told.names(0), ["A"]);
}

#[derive(Clone, Debug)]
enum Happens {
    Fires(u8),
    Ends(u8),
    Fails(u8),
    /// Its run fails or is cut off, whether or not it fires still.
    Calls(u8),
    Passes(u16),
    ClockSteps(i32),
    Restarts,
}

fn history() -> impl Strategy<Value = Vec<Happens>> {
    let happens = prop_oneof![
        3 => (0_u8..3).prop_map(Happens::Fires),
        2 => (0_u8..3).prop_map(Happens::Ends),
        1 => (0_u8..3).prop_map(Happens::Fails),
        1 => (0_u8..3).prop_map(Happens::Calls),
        5 => (1_u16..100).prop_map(Happens::Passes),
        1 => (-5_000..5_000_i32).prop_map(Happens::ClockSteps),
        1 => Just(Happens::Restarts),
    ];
    proptest::collection::vec(happens, 1..60)
}

proptest! {
    /// Whatever happens: an alert that fires has been told when its time to be repaired is over, or its repair has failed;
    /// and not before. A call for people is told in any case, once.
    #[test]
    fn nothing_is_lost_by_holding_it_back(history in history()) {
        let (mut told, mut now) = (Told::default(), 100_000_i64);
        let mut fires: BTreeMap<u8, i64> = BTreeMap::new();
        let mut released = BTreeSet::new();
        let mut knows = BTreeSet::new();
        let (mut calls, mut called) = (Vec::new(), Vec::new());
        told.0.keep_receivers(&BTreeSet::from(["r"]));
        for happens in history {
            match happens {
                Happens::Fires(alert) => { fires.entry(alert).or_insert(now); }
                Happens::Ends(alert) => {
                    fires.remove(&alert);
                    released.remove(&alert);
                }
                Happens::Fails(alert) => {
                    if told.0.release(&labels(&alert.to_string()), why("no"), second(now)) && fires.contains_key(&alert) {
                        released.insert(alert);
                    }
                }
                Happens::Calls(alert) => {
                    let run = format!("r{}", calls.len());
                    told.0.call(call(&alert.to_string(), &run), second(now));
                    calls.push(run);
                    if fires.contains_key(&alert) {
                        released.insert(alert);
                    }
                }
                Happens::Passes(seconds) => now += i64::from(seconds),
                Happens::ClockSteps(seconds) => now += i64::from(seconds),
                Happens::Restarts => {
                    told.0 = Ledger::restore(&told.0.save()).unwrap();
                    told.0.keep_receivers(&BTreeSet::from(["r"]));
                    // Of what nobody was told, the next agent does not know what was said of it.
                    released.retain(|alert| knows.contains(&(*alert, fires[alert])));
                }
            }
            told.report(fires.iter().map(|(alert, since)| firing(&alert.to_string(), *since, now)), now);
            for notice in told.tell(now) {
                if notice.name() == REPAIR_FAILED {
                    called.extend(notice.fires().then(|| notice.labels.get("run").to_owned()));
                    continue;
                }
                let alert: u8 = notice.name().parse().unwrap();
                if notice.fires() {
                    prop_assert!(fires.contains_key(&alert));
                    knows.insert((alert, fires[&alert]));
                }
            }
            // In the order in which they are told, which is that of their labels.
            calls.sort();
            called.sort();
            prop_assert_eq!(&called, &calls);
            for (alert, since) in &fires {
                let is_over = now < *since || now - since >= 90 || released.contains(alert);
                let is_told = knows.contains(&(*alert, *since));
                prop_assert!(is_told || !is_over, "{alert} since {since} at {now}");
            }
        }
    }
}
