use super::*;
use crate::Template;
use promql::Query;
use proptest::prelude::*;
use std::time::Duration;

fn rule(hold_for: u64, keep_firing_for: u64) -> AlertingRule {
    let template = |text| Template::parse(text).unwrap();
    AlertingRule {
        name: "Slow".to_owned(),
        query: Query::new("latency > 1").unwrap(),
        hold_for: Duration::from_secs(hold_for),
        keep_firing_for: Duration::from_secs(keep_firing_for),
        labels: vec![("severity".to_owned(), template("page"))],
        annotations: vec![("summary".to_owned(), template("{{ $labels.web }} takes {{ $value }}"))],
        limit: None,
    }
}

/// `a=2 b=3` as samples of `latency{web="a"}` and so on.
fn samples(text: &str) -> Vec<(Labels, f64)> {
    text.split_whitespace()
        .map(|sample| {
            let (web, value) = sample.split_once('=').unwrap();
            ([("__name__", "latency"), ("web", web)].into_iter().collect(), value.parse().unwrap())
        })
        .collect()
}

fn print(transitions: &[Transition]) -> String {
    let words = transitions.iter().map(|transition| {
        let web = transition.alert().labels.get("web");
        match transition {
            Transition::Pending(_) => format!("{web} pending"),
            Transition::Firing(_) => format!("{web} firing"),
            Transition::Resolved(_) => format!("{web} resolved"),
            Transition::Dropped(_) => format!("{web} dropped"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// One round every ten seconds: the samples, and the transitions they give.
fn check(rule: &AlertingRule, rounds: &[(&str, &str)]) -> RuleState {
    let mut state = RuleState::default();
    for (number, (result, expected)) in rounds.iter().enumerate() {
        let now = Timestamp::from_secs(10 * number as i64);
        let transitions = step(rule, &mut state, &samples(result), now).unwrap();
        assert_eq!(print(&transitions), *expected, "round {number}: {result}");
    }
    state
}

#[test]
fn without_for_an_alert_fires_in_its_first_round() {
    check(&rule(0, 0), &[("", ""), ("a=2", "a firing"), ("a=2", ""), ("", "a resolved"), ("", "")]);
}

#[test]
fn an_alert_fires_in_the_round_in_which_it_has_held_for_for() {
    check(&rule(20, 0), &[("a=2", "a pending"), ("a=2", ""), ("a=2", "a firing"), ("a=2", "")]);
    // `for` under the interval: in the next round.
    check(&rule(1, 0), &[("a=2", "a pending"), ("a=2", "a firing")]);
}

#[test]
fn a_condition_that_breaks_off_begins_again() {
    check(
        &rule(20, 0),
        &[("a=2", "a pending"), ("a=2", ""), ("", "a dropped"), ("a=2", "a pending"), ("a=2", "")],
    );
}

#[test]
fn alerts_of_one_rule_go_their_own_ways() {
    check(
        &rule(10, 0),
        &[
            ("b=2 a=2", "a pending, b pending"),
            ("b=2", "a dropped, b firing"),
            ("c=1", "b resolved, c pending"),
        ],
    );
}

#[test]
fn firing_alert_is_kept_for_keep_firing_for_after_it_recovers() {
    check(&rule(0, 20), &[("a=2", "a firing"), ("", ""), ("", ""), ("", "a resolved"), ("a=2", "a firing")]);
}

#[test]
fn a_sample_that_comes_back_in_time_begins_keep_firing_for_anew() {
    check(
        &rule(0, 20),
        &[("a=2", "a firing"), ("", ""), ("", ""), ("a=2", ""), ("", ""), ("", ""), ("", "a resolved")],
    );
}

#[test]
fn a_pending_alert_is_not_kept_by_keep_firing_for() {
    check(&rule(20, 60), &[("a=2", "a pending"), ("", "a dropped")]);
}

#[test]
fn an_alert_carries_the_labels_of_its_sample_and_its_rule() {
    let state = check(&rule(0, 0), &[("a=2", "a firing")]);
    let alert = state.active().next().unwrap();
    assert_eq!(alert.labels.to_string(), r#"{alertname="Slow", severity="page", web="a"}"#);
}

#[test]
fn value_and_annotations_are_those_of_the_last_sample() {
    let state = check(&rule(0, 30), &[("a=2", "a firing"), ("a=3.5", ""), ("", "")]);
    let alert = state.active().next().unwrap();
    assert_eq!(
        (alert.value.to_string().as_str(), alert.annotations["summary"].as_str()),
        ("3.5", "a takes 3.5")
    );
    assert_eq!((alert.active_at, alert.fired_at), (Timestamp::EPOCH, Some(Timestamp::EPOCH)));
}

#[test]
fn an_alert_that_comes_back_is_a_new_one() {
    let state = check(&rule(0, 0), &[("a=2", "a firing"), ("", "a resolved"), ("a=2", "a firing")]);
    assert_eq!(state.active().next().unwrap().active_at, Timestamp::from_secs(20));
}

#[test]
fn two_samples_for_one_alert_are_an_error_and_change_nothing() {
    let mut rule = rule(0, 0);
    let mut state = check(&rule, &[("a=2 b=2", "a firing, b firing")]);
    let before = state.clone();
    rule.labels.push(("web".to_owned(), Template::parse("").unwrap()));
    let error = step(&rule, &mut state, &samples("c=1 d=1"), Timestamp::from_secs(10)).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"two samples give the alert {alertname="Slow", severity="page"}; keep a label that tells them apart"#
    );
    assert_eq!(state, before);
}

#[test]
fn too_many_alerts_clear_the_rule_and_say_what_was_cleared() {
    let mut rule = rule(0, 20);
    let mut state = check(&rule, &[("a=2 b=2", "a firing, b firing")]);
    rule.limit = Some(2);
    assert_eq!(step(&rule, &mut state, &samples("a=2 b=2"), Timestamp::from_secs(10)), Ok(vec![]));
    // b is kept by `keep_firing_for` and counts.
    match step(&rule, &mut state, &samples("a=2 c=2"), Timestamp::from_secs(20)).unwrap_err() {
        StepError::OverLimit { limit: 2, count: 3, cleared } => {
            assert_eq!(print(&cleared), "a resolved, b resolved");
        }
        error => panic!("{error}"),
    }
    assert_eq!(state, RuleState::default());
}

#[test]
fn a_clock_that_jumps_back_neither_fires_nor_resolves() {
    let rule = rule(20, 0);
    let mut state = check(&rule, &[("a=2", "a pending"), ("a=2", ""), ("a=2", "a firing")]);
    step(&rule, &mut state, &samples("a=2 b=2"), Timestamp::from_secs(-9_000)).unwrap();
    let states: Vec<AlertState> = state.active().map(|alert| alert.state).collect();
    assert_eq!(states, [AlertState::Firing, AlertState::Pending]);
}

proptest! {
    /// Rounds at random gaps, in each of which any of three samples may be there.
    #[test]
    fn no_history_fires_early_or_resolves_what_never_fired(
        hold_for in 0_u64..60,
        keep_firing_for in 0_u64..60,
        rounds in prop::collection::vec((1_i64..30, any::<[bool; 3]>()), 1..60),
    ) {
        let rule = rule(hold_for, keep_firing_for);
        let mut state = RuleState::default();
        let mut now = Timestamp::EPOCH;
        // Per sample: since when it has been there without a break, since when it has been gone, whether it fires.
        let mut held = [None::<Timestamp>; 3];
        let mut gone = [None::<Timestamp>; 3];
        let mut firing = [false; 3];
        for (gap, present) in rounds {
            now = now.plus(Duration::from_secs(gap as u64));
            let names = ["a", "b", "c"];
            let text: Vec<String> = std::iter::zip(names, present)
                .filter(|(_, present)| *present)
                .map(|(name, _)| format!("{name}=1"))
                .collect();
            for index in 0..3 {
                held[index] = present[index].then(|| held[index].unwrap_or(now));
                gone[index] = (!present[index]).then(|| gone[index].unwrap_or(now));
            }
            for transition in step(&rule, &mut state, &samples(&text.join(" ")), now).unwrap() {
                let web = transition.alert().labels.get("web");
                let index = names.iter().position(|name| *name == web).unwrap();
                match transition {
                    Transition::Firing(alert) => {
                        prop_assert!(!firing[index]);
                        prop_assert_eq!(Some(alert.active_at), held[index]);
                        prop_assert!(now.since(alert.active_at) >= rule.hold_for);
                        firing[index] = true;
                    }
                    Transition::Resolved(_) => {
                        prop_assert!(firing[index]);
                        prop_assert!(now.since(gone[index].unwrap()) >= rule.keep_firing_for);
                        firing[index] = false;
                    }
                    Transition::Pending(alert) => {
                        prop_assert!(!firing[index]);
                        prop_assert_eq!((held[index], alert.active_at), (Some(now), now));
                    }
                    Transition::Dropped(_) => prop_assert!(!firing[index] && !present[index]),
                }
            }
            for index in 0..3 {
                let due = held[index].is_some_and(|since| now.since(since) >= rule.hold_for);
                let over = gone[index].is_none_or(|since| now.since(since) >= rule.keep_firing_for);
                prop_assert!(!due || firing[index], "what has held for `for` fires");
                prop_assert!(present[index] || !over || !firing[index], "what is over is resolved");
            }
            let now_firing = state.active().filter(|alert| alert.state == AlertState::Firing).count();
            prop_assert_eq!(now_firing, firing.iter().filter(|firing| **firing).count());
        }
    }
}
