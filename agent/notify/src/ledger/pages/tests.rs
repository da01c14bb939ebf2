use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{Answer, Pace};
use super::*;

const PACE: Pace = Pace { repeat: Duration::from_hours(4), resolved_for: None };
const AGAIN_FOR: Duration = Duration::from_mins(15);

fn second(n: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + n)
}

fn call(run: &str) -> Call {
    Call {
        alert: [("alertname", "WebDown"), ("unit", "web.service"), ("severity", "page")]
            .into_iter()
            .collect(),
        expression: "up == 0".to_owned(),
        runbook: "restart".to_owned(),
        run: run.to_owned(),
        annotations: [("hostmend_why".to_owned(), "it did not start".to_owned())].into(),
    }
}

fn owed(ledger: &Ledger, receiver: &str, at: i64) -> Vec<(String, bool)> {
    let owed = ledger.owed(receiver, &PACE, |_| false, second(at));
    owed.iter().map(|notice| (notice.labels.get("run").to_owned(), notice.fires())).collect()
}

fn tell(ledger: &mut Ledger, receiver: &str, answer: Answer, at: i64) -> Vec<Arc<Notice>> {
    let owed = ledger.owed(receiver, &PACE, |_| false, second(at));
    ledger.attempt(receiver, &owed, second(at));
    ledger.answered(receiver, &owed, answer, second(at));
    owed
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.keep_receivers(&BTreeSet::from(["r", "s"]));
    ledger
}

#[test]
fn a_call_is_an_alert_of_its_own_that_says_what_it_is_about() {
    let mut ledger = ledger();
    ledger.call(call("r1"), second(0));
    let told = ledger.owed("r", &PACE, |_| false, second(0));
    let expected = [
        ("alertname", REPAIR_FAILED),
        ("alert", "WebDown"),
        ("unit", "web.service"),
        ("severity", "page"),
        ("runbook", "restart"),
        ("run", "r1"),
    ];
    assert_eq!((told.len(), &told[0].labels), (1, &expected.into_iter().collect()));
    assert_eq!(told[0].annotations["hostmend_why"], "it did not start");
}

#[test]
fn it_is_owed_though_no_alert_fires_and_before_any_rule_was_evaluated_and_after_a_crash() {
    let mut before = ledger();
    before.report([], AGAIN_FOR, second(0));
    before.call(call("r1"), second(0));
    before.report([], AGAIN_FOR, second(1));
    assert_eq!(owed(&before, "r", 1), [("r1".to_owned(), true)]);
    let mut after = Ledger::restore(&before.save()).unwrap();
    after.keep_receivers(&BTreeSet::from(["r", "s"]));
    assert_eq!(owed(&after, "r", 2), [("r1".to_owned(), true)]);
    tell(&mut after, "r", Answer::Accepted, 2);
    after.call(call("r1"), second(3));
    assert_eq!(owed(&after, "r", 3), [], "it has been called about that run");
}

#[test]
fn it_is_over_after_an_hour_but_not_before_all_have_it_nor_later_than_a_day() {
    for (second_has_it, over_at) in [(Some(10), 3_600), (Some(7_200), 7_200), (None, 86_400)] {
        let mut ledger = ledger();
        ledger.call(call("r1"), second(0));
        tell(&mut ledger, "r", Answer::Accepted, 0);
        for at in (0..90_000).step_by(10) {
            if second_has_it == Some(at) {
                assert_eq!(tell(&mut ledger, "s", Answer::Accepted, at).len(), 1);
            }
            ledger.report([], AGAIN_FOR, second(at));
            let fires = ledger.firing().count() == 1;
            assert_eq!(fires, at < over_at, "{second_has_it:?} at {at}");
            if at == over_at {
                assert_eq!(owed(&ledger, "r", at), [("r1".to_owned(), false)]);
                tell(&mut ledger, "r", Answer::Accepted, at);
                tell(&mut ledger, "s", Answer::Accepted, at);
            }
        }
        assert!(ledger.entries.is_empty());
    }
}

#[test]
fn it_is_not_told_while_it_is_silenced_and_then_it_is() {
    let mut ledger = ledger();
    ledger.call(call("r1"), second(0));
    assert!(ledger.owed("r", &PACE, |_| true, second(7_200)).is_empty());
    ledger.report([], AGAIN_FOR, second(7_200));
    assert_eq!(owed(&ledger, "r", 7_201), [("r1".to_owned(), true)]);
}

#[test]
fn too_many_calls_cost_the_oldest_which_is_counted_and_no_alert() {
    let mut ledger = ledger();
    for run in 0..=MAX_PAGES {
        ledger.call(call(&format!("{run:04}")), second(run as i64));
    }
    let owed = owed(&ledger, "r", 1_000);
    assert_eq!((owed.len(), owed[0].0.as_str(), ledger.expired()), (MAX_PAGES, "0001", 1));
}

#[test]
fn a_clock_that_is_set_back_keeps_no_call_for_longer_than_a_day() {
    let mut ledger = ledger();
    ledger.call(call("r1"), second(1_000_000));
    ledger.report([], AGAIN_FOR, second(0));
    ledger.report([], AGAIN_FOR, second(86_400));
    assert_eq!(ledger.firing().count(), 0);
}
