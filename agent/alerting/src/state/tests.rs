mod model;

use super::*;
use crate::{Externals, Scene, Template};
use promql::Query;
use std::time::Duration;

fn rule(hold_for: u64, keep_firing_for: u64) -> AlertingRule {
    let template = |text| Template::parse(text).unwrap();
    AlertingRule {
        name: "Slow".to_owned(),
        query: Query::new("latency > 1").unwrap(),
        hold_for: Duration::from_secs(hold_for),
        keep_firing_for: Duration::from_secs(keep_firing_for),
        clear_when: None,
        on_missing: OnMissing::Clear,
        source: Arc::default(),
        labels: vec![("severity".to_owned(), template("page"))],
        annotations: vec![("summary".to_owned(), template("{{ $labels.web }} takes {{ $value }}"))],
        limit: None,
    }
}

/// `a=2 b=3` as samples of `latency{web="a"}` and so on, as the rule raises alerts of them.
fn samples(rule: &AlertingRule, text: &str) -> Findings {
    let externals = Externals::default();
    let mut ask = |_: &str| unreachable!("no template asks");
    let instances = text
        .split_whitespace()
        .map(|sample| {
            let (web, value) = sample.split_once('=').unwrap();
            let labels = [("__name__", "latency"), ("web", web)].into_iter().collect();
            let value = value.parse().unwrap();
            rule.raise(&mut Scene {
                rule: rule.name(),
                at: Timestamp::EPOCH,
                labels: &labels,
                value,
                externals: &externals,
                ask: &mut ask,
            })
        })
        .collect();
    Findings { instances, ..Findings::default() }
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
        let transitions = step(rule, &mut state, samples(rule, result), now).unwrap();
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
    let error = step(&rule, &mut state, samples(&rule, "c=1 d=1"), Timestamp::from_secs(10)).unwrap_err();
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
    assert_eq!(step(&rule, &mut state, samples(&rule, "a=2 b=2"), Timestamp::from_secs(10)), Ok(vec![]));
    // b is kept by `keep_firing_for` and counts.
    match step(&rule, &mut state, samples(&rule, "a=2 c=2"), Timestamp::from_secs(20)).unwrap_err() {
        StepError::OverLimit { limit: 2, count: 3, cleared } => {
            assert_eq!(print(&cleared), "a resolved, b resolved");
        }
        error => panic!("{error}"),
    }
    assert_eq!(state.active().count(), 0);
}

#[test]
fn a_clock_that_jumps_back_neither_fires_nor_resolves() {
    let rule = rule(20, 0);
    let mut state = check(&rule, &[("a=2", "a pending"), ("a=2", ""), ("a=2", "a firing")]);
    step(&rule, &mut state, samples(&rule, "a=2 b=2"), Timestamp::from_secs(-9_000)).unwrap();
    let states: Vec<AlertState> = state.active().map(|alert| alert.state).collect();
    assert_eq!(states, [AlertState::Firing, AlertState::Pending]);
}

/// The findings of a round in which these samples are there, of these alerts nobody can say, and these are cleared.
fn found(rule: &AlertingRule, present: &str, unseen: &str, cleared: &str) -> Findings {
    let labels = |text: &str| samples(rule, text).instances.into_iter().map(|it| it.labels).collect();
    Findings { unseen: labels(unseen), cleared: labels(cleared), ..samples(rule, present) }
}

/// One round every ten seconds: samples, alerts that nobody sees, cleared alerts, and the transitions.
fn check_found(rule: &AlertingRule, rounds: &[(&str, &str, &str, &str)]) -> RuleState {
    let mut state = RuleState::default();
    for (number, (present, unseen, cleared, expected)) in rounds.iter().enumerate() {
        let now = Timestamp::from_secs(10 * number as i64);
        let transitions = step(rule, &mut state, found(rule, present, unseen, cleared), now).unwrap();
        assert_eq!(print(&transitions), *expected, "round {number}");
    }
    state
}

#[test]
fn with_clear_when_a_firing_alert_goes_on_until_it_is_cleared() {
    let mut rule = rule(10, 0);
    rule.clear_when = Some(Box::new(Query::new("latency < 0.5").unwrap()));
    check_found(
        &rule,
        &[
            ("a=2", "", "", "a pending"),
            ("", "", "", "a dropped"),
            ("a=2", "", "", "a pending"),
            ("a=2", "", "", "a firing"),
            ("", "", "", ""),
            ("", "", "", ""),
            ("a=2", "", "a=0", ""),
            ("", "", "a=0", "a resolved"),
        ],
    );
    rule.keep_firing_for = Duration::from_secs(20);
    check_found(
        &rule,
        &[
            ("a=2", "", "", "a pending"),
            ("a=2", "", "", "a firing"),
            ("", "", "a=0", ""),
            ("", "", "", ""),
            ("", "", "a=0", ""),
            ("", "", "a=0", ""),
            ("", "", "a=0", "a resolved"),
        ],
    );
}

#[test]
fn an_alert_whose_series_are_gone_is_over_even_if_it_was_never_cleared() {
    let mut rule = rule(0, 0);
    rule.clear_when = Some(Box::new(Query::new("latency < 0.5").unwrap()));
    check_found(&rule, &[("a=2", "", "", "a firing"), ("", "", "", ""), ("", "a=0", "", "a resolved")]);
}

#[test]
fn a_missing_series_keeps_fires_or_clears() {
    let mut rule = rule(20, 0);
    let rounds = |third, fourth, fifth, sixth| {
        [
            ("a=2 b=2", "", "", "a pending, b pending"),
            ("a=2", "b=0", "", ""),
            ("a=2", "b=0", "", third),
            ("", "a=0 b=0", "", fourth),
            ("b=2", "a=0", "", fifth),
            ("b=2", "", "", sixth),
        ]
    };
    rule.on_missing = OnMissing::Keep;
    // b needs to be seen for 20 s; it was for 10 s, and is again from the fifth round on.
    check_found(&rule, &rounds("a firing", "", "", "a resolved, b firing"));
    rule.on_missing = OnMissing::Fire;
    check_found(&rule, &rounds("b firing, a firing", "", "", "a resolved"));
    rule.on_missing = OnMissing::Clear;
    let state = check_found(
        &rule,
        &[
            ("a=2 b=2", "", "", "a pending, b pending"),
            ("a=2", "b=0", "", "b dropped"),
            ("a=2", "", "", "a firing"),
            ("", "a=0", "", "a resolved"),
        ],
    );
    assert_eq!(state.active().count(), 0);
}

#[test]
fn an_alert_is_told_of_for_a_quarter_of_an_hour_after_its_end() {
    let rule = rule(0, 0);
    let mut state = check(&rule, &[("a=2", "a firing"), ("", "a resolved")]);
    let ended = Timestamp::from_secs(10);
    step(&rule, &mut state, samples(&rule, ""), ended.plus(RESOLVED_FOR)).unwrap();
    assert_eq!(state.resolved().map(|alert| alert.resolved_at).collect::<Vec<_>>(), [Some(ended)]);
    step(&rule, &mut state, samples(&rule, ""), ended.plus(RESOLVED_FOR + Duration::from_secs(1))).unwrap();
    assert_eq!(state.resolved().count(), 0);
    let state = check(&rule, &[("a=2", "a firing"), ("", "a resolved"), ("a=2", "a firing")]);
    assert_eq!(state.resolved().count(), 0, "the new alert stands for it");
}

#[test]
fn resolved_alerts_have_a_limit_and_the_oldest_go() {
    let rule = rule(0, 0);
    let mut state = RuleState::default();
    for round in 0..MAX_RESOLVED + 10 {
        let now = Timestamp::EPOCH.plus(Duration::from_millis(round as u64));
        step(&rule, &mut state, samples(&rule, &format!("{round}=2")), now).unwrap();
    }
    assert_eq!(state.resolved().count(), MAX_RESOLVED);
    assert!(state.resolved().all(|alert| alert.active_at >= Timestamp::from_millis(9)));
}

#[test]
fn a_firing_alert_waits_again_when_a_reload_asks_for_longer() {
    let mut rule = rule(10, 0);
    let mut state = check(&rule, &[("a=2", "a pending"), ("a=2", "a firing")]);
    rule.hold_for = Duration::from_secs(40);
    for (seconds, expected) in [(20, "a pending"), (30, ""), (40, "a firing")] {
        let transitions = step(&rule, &mut state, samples(&rule, "a=2"), Timestamp::from_secs(seconds));
        assert_eq!(print(&transitions.unwrap()), expected, "{seconds}");
    }
}

#[test]
fn a_pending_alert_from_the_future_begins_now() {
    let rule = rule(20, 0);
    let mut state = RuleState::default();
    for (seconds, expected) in [(9_000, "a pending"), (0, ""), (10, ""), (20, "a firing")] {
        let transitions = step(&rule, &mut state, samples(&rule, "a=2"), Timestamp::from_secs(seconds));
        assert_eq!(print(&transitions.unwrap()), expected, "{seconds}");
    }
}

#[test]
fn an_alert_that_fires_again_and_again_is_flapping() {
    let rule = rule(0, 0);
    let mut state = check(
        &rule,
        &[
            ("a=2 b=2", "a firing, b firing"),
            ("b=2", "a resolved"),
            ("a=2 b=2", "a firing"),
            ("b=2", "a resolved"),
        ],
    );
    let score = |state: &RuleState, web: &str, seconds| {
        let labels = &samples(&rule, &format!("{web}=1")).instances[0].labels;
        state.flap_score(labels, Timestamp::from_secs(seconds))
    };
    assert!((3.8..FLAPPING).contains(&score(&state, "a", 30)), "what failed twice does not flap");
    step(&rule, &mut state, samples(&rule, "a=2 b=2"), Timestamp::from_secs(40)).unwrap();
    assert!(score(&state, "a", 40) > FLAPPING && score(&state, "b", 40) < 1.0);
    let half = FLAP_HALF_LIFE.as_secs() as i64;
    assert!((score(&state, "a", 40 + half) * 2.0 - score(&state, "a", 40)).abs() < 1e-9);
    step(&rule, &mut state, samples(&rule, "a=2 b=2"), Timestamp::from_secs(40 + 6 * half)).unwrap();
    assert!(score(&state, "a", 40 + 6 * half) <= 0.0, "forgotten");
}

#[test]
fn an_alert_carries_all_that_was_read_since_it_began() {
    let rule = rule(0, 0);
    let mut state = RuleState::default();
    let origin = |name: &str| telemetry::Origin::Otlp(name.into());
    let mut round = |seconds, present: &str, name: &str| {
        let findings = Findings { origins: [origin(name)].into(), ..samples(&rule, present) };
        let transitions = step(&rule, &mut state, findings, Timestamp::from_secs(seconds)).unwrap();
        transitions.iter().map(|it| it.alert().origins.len()).collect::<Vec<_>>()
    };
    assert_eq!(round(0, "a=2", "x"), [1]);
    assert_eq!(round(10, "a=2", "y"), [0; 0]);
    assert_eq!(round(20, "", "z"), [3], "the end too was judged by something");
    assert_eq!(round(30, "a=2", "x"), [1]);
}
