use documents::Document;
use telemetry::Origin;

use super::*;
use crate::RuleFile;

const RULES: &str = r#"
groups:
- name: g
  interval: 10s
  rules:
  - { record: "free:ratio", expr: "disk_free / disk_size" }
  - { alert: Full, expr: "free:ratio < 0.1", for: 30s, labels: { severity: page } }
  - { alert: Worse, expr: 'ALERTS{alertname="Full", alertstate="firing"} == 1' }
  - { alert: Never, expr: "disk_size == 0" }
  - { alert: Broken, expr: "disk_free * on(device) group_left() twice" }
"#;

fn groups() -> Vec<RuleGroup> {
    RuleFile::read(&Document::from_text(std::path::Path::new("rules.yaml"), RULES)).unwrap().groups
}

fn defaults() -> Defaults {
    Defaults { interval: Duration::from_secs(10), externals: Arc::default() }
}

/// Five minutes from 1000 s on: the disk is full from 1100 to 1200 s, and for a moment at 1250 s.
fn past() -> Store {
    let mut store = Store::new(Limits::NONE);
    let series = |name: &str, more: (&str, &str)| -> Labels {
        [("__name__", name), ("device", "sda1"), more].into_iter().collect()
    };
    // What the same rules recorded before tells nothing about them.
    let old = [("__name__", "free:ratio"), ("device", "old")].into_iter().collect();
    for second in (1_000..1_300).step_by(5) {
        let at = Timestamp::from_secs(second);
        let free = if (1_100..1_200).contains(&second) || second == 1_250 { 1.0 } else { 50.0 };
        for (labels, value) in [
            (series("disk_free", ("job", "node")), free),
            (series("disk_size", ("job", "node")), 100.0),
            (series("twice", ("a", "1")), 1.0),
            (series("twice", ("a", "2")), 1.0),
            (Labels::clone(&old), 0.0),
        ] {
            store.append_sample(&labels, &Origin::Host, at, value).unwrap();
        }
    }
    store
}

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_secs(at)
}

#[test]
fn rules_fire_as_they_would_have_fired_then() {
    let replay = replay(&past(), groups(), &defaults(), seconds(1_000), seconds(1_299)).unwrap();
    let found: Vec<_> =
        replay.alerts.iter().map(|alert| (alert.alert.as_str(), alert.fired, alert.nearly)).collect();
    let nearly = replay.alerts[0].nearly;
    assert_eq!(found, [("Full", 1, nearly), ("Worse", 1, 0), ("Never", 0, 0), ("Broken", 0, 0)]);
    assert!(nearly <= 1, "{nearly}");
    let firing = &replay.alerts[0].firings[0];
    let since = firing.from.since(seconds(1_100)).as_secs();
    let over = firing.until.unwrap().since(seconds(1_200)).as_secs();
    assert!((30..=40).contains(&since) && over <= 10, "{firing:?}");
    assert_eq!((firing.labels.get("severity"), firing.labels.get("device")), ("page", "sda1"));
    let [failure] = replay.failures.as_slice() else { panic!("{:?}", replay.failures) };
    assert_eq!((failure.rule.as_str(), failure.rounds), ("Broken", replay.rounds));
    assert!(replay.rounds >= 29 && replay.held_since <= Some(seconds(1_005)));
}

#[test]
fn what_is_not_held_is_told() {
    let replay = replay(&past(), groups(), &defaults(), seconds(0), seconds(1_299)).unwrap();
    assert_eq!((replay.held_since, replay.alerts[0].fired), (Some(seconds(1_000)), 1));
    let empty = Store::new(Limits::NONE);
    let replay = super::replay(&empty, groups(), &defaults(), seconds(0), seconds(60)).unwrap();
    assert_eq!((replay.held_since, replay.alerts.len()), (None, 4));
}

#[test]
fn more_rounds_than_anybody_waits_for_are_refused() {
    let end = seconds(10 * 100_001);
    assert!(replay(&past(), groups(), &defaults(), seconds(0), end).is_err());
}

#[test]
fn a_group_with_an_offset_sees_what_lies_so_far_before_the_replay() {
    let text = "groups:
- name: late
  query_offset: 7m
  rules: [{ alert: Seen, expr: once == 1 }]";
    let document = Document::from_text(std::path::Path::new("rules.yaml"), text);
    let groups = RuleFile::read(&document).unwrap().groups;
    let mut store = Store::new(Limits::NONE);
    let labels: Labels = [("__name__", "once")].into_iter().collect();
    for second in (1_000..1_200).step_by(5) {
        store.append_sample(&labels, &Origin::Host, seconds(second), 1.0).unwrap();
    }
    let replay = replay(&store, groups, &defaults(), seconds(1_500), seconds(1_530)).unwrap();
    assert_eq!(replay.alerts[0].fired, 1);
    assert_eq!(replay.alerts[0].firings[0].from.since(seconds(1_500)).as_secs() / 10, 0);
}
