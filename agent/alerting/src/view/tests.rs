use super::*;
use crate::{Defaults, RuleFile};
use documents::Document;
use series::Store;
use std::path::Path;
use std::sync::Arc;
use telemetry::Origin;

fn group(rules: &str) -> GroupState {
    let text = format!("groups:\n- name: g\n  {}", rules.trim_start());
    let file = RuleFile::read(&Document::from_text(Path::new("r.yaml"), &text)).unwrap();
    let defaults = Defaults { interval: Duration::from_secs(10), externals: Arc::default() };
    let group = file.groups.into_iter().next().unwrap();
    GroupState::new(group, &defaults, Timestamp::from_secs(1_000_000))
}

#[test]
fn a_group_is_shown_as_prometheus_shows_it() {
    let mut group = group(
        "interval: 30s
  limit: 5
  labels: {team: web}
  rules:
  - alert: Busy
    expr: load{host='a'} > 1.5
    for: 30s
    keep_firing_for: 1m30s
    labels: {severity: '{{ $value }}'}
    annotations: {summary: '{{ $labels.host }}'}
  - record: broken
    expr: load + on () group_left () more",
    );
    let mut store = Store::default();
    for (name, host) in [("load", "a"), ("load", "b"), ("more", "a"), ("more", "b")] {
        let labels: Labels = [("__name__", name), ("host", host)].into_iter().collect();
        store.append_sample(&labels, &Origin::Host, Timestamp::from_secs(1_000_000), 2.5).unwrap();
    }
    let mut passed = 0;
    group.evaluate(&mut store, Timestamp::from_secs(1_000_010), &mut || {
        passed += 1;
        Duration::from_millis(passed)
    });
    let shown: serde_json::Value = serde_json::to_value(group.view()).unwrap();
    let mut expected = serde_json::json!({
        "name": "g", "file": "r.yaml", "interval": 30.0, "limit": 5, "evaluationTime": 0.002,
        "lastEvaluation": "1970-01-12T13:46:50.000Z", "missedEvaluations": 0,
        "rules": [{
            "type": "alerting", "name": "Busy", "query": "load{host=\"a\"} > 1.5", "state": "pending",
            "duration": 30.0, "keepFiringFor": 90.0, "onMissing": "clear",
            "labels": {"team": "web", "severity": "{{ $value }}"},
            "annotations": {"summary": "{{ $labels.host }}"},
            "alerts": [{
                "labels": {"alertname": "Busy", "host": "a", "severity": "2.5", "team": "web"},
                "annotations": {"summary": "a"}, "state": "pending",
                "activeAt": "1970-01-12T13:46:50.000Z", "value": "2.5e+00",
                "origins": ["host"], "flapScore": 0.0, "flapping": false,
            }],
            "resolved": [],
            "health": "ok", "evaluationTime": 0.001, "lastEvaluation": "1970-01-12T13:46:50.000Z",
            "evaluations": [{
                "at": "1970-01-12T13:46:50.000Z", "took": 0.001, "samples": 1, "seriesRead": 1, "samplesRead": 1,
            }],
            "matchesNothing": [], "origins": ["host"],
        }],
    });
    let mut broken = shown.get("rules").and_then(|rules| rules.get(1)).cloned().unwrap();
    assert_eq!(broken["health"], "err");
    let error = broken["lastError"].take();
    assert!(error.as_str().is_some_and(|text| text.contains("has no value")), "{error}");
    assert_eq!((&broken["type"], &broken["name"]), (&"recording".into(), &"broken".into()));
    expected["rules"].as_array_mut().unwrap().push(shown["rules"][1].clone());
    assert_eq!(shown, expected);
}

#[test]
fn a_group_that_was_never_evaluated_is_of_unknown_health() {
    let shown = serde_json::to_value(group("rules: [{alert: A, expr: up}]").view()).unwrap();
    assert_eq!(shown["lastEvaluation"], "0001-01-01T00:00:00Z");
    assert_eq!(
        (&shown["rules"][0]["health"], &shown["rules"][0]["state"]),
        (&"unknown".into(), &"inactive".into())
    );
}

#[test]
fn of_the_evaluations_the_last_ten_are_shown() {
    let mut group = group("rules: [{record: one, expr: '1'}]");
    let mut store = Store::default();
    for round in 1..=12 {
        group.evaluate(&mut store, Timestamp::from_secs(1_000_000 + round), &mut || Duration::ZERO);
    }
    let shown: Vec<i64> =
        group.view().rules[0].evaluations.iter().map(|it| it.at.as_millis() / 1000 - 1_000_000).collect();
    assert_eq!(shown, (3..=12).collect::<Vec<_>>());
}

#[test]
fn values_are_written_as_go_writes_them() {
    for (value, expected) in [
        (1.0, "1e+00"),
        (0.0, "0e+00"),
        (-0.0025, "-2.5e-03"),
        (123_456.0, "1.23456e+05"),
        (1e100, "1e+100"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        assert_eq!(exponential(value), expected);
    }
}
