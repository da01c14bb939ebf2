use super::*;

#[test]
fn a_rule_that_is_still_there_after_a_reload_keeps_its_alerts_and_one_that_is_gone_ends() {
    let mut host = Host::new(
        "rules:
  - {alert: Busy, expr: load > 1, for: 20s}
  - {alert: Gone, expr: load > 1}
  - {record: web:gone, expr: load}",
    );
    host.has("load", "a", 3.0);
    assert_eq!(words(&host.round()), ["Busy pending", "Gone firing"]);
    let next =
        Host::new("rules: [{alert: New, expr: load > 9}, {alert: Busy, expr: load > 2, for: 20s}]").group;
    let ended = host.go_on_as(next);
    assert_eq!(ended, ["Gone resolved"]);
    assert_eq!(words(&host.round()), Vec::<String>::new(), "still pending, since the first round");
    assert_eq!(host.series("web:gone"), Vec::<String>::new());
    assert_eq!(words(&host.round()), ["Busy firing"]);
    let next = Host::new("rules: [{alert: Busy, expr: load > 2, labels: {severity: page}}]").group;
    assert_eq!(host.go_on_as(next), ["Busy resolved"], "other labels are another alert");
    assert_eq!(words(&host.round()), ["Busy firing"]);
    let (_, ended) = host.group.end(host.now);
    assert_eq!(ended.iter().map(|it| it.alert().state).collect::<Vec<_>>(), [AlertState::Resolved]);
}

#[test]
fn a_group_that_is_reloaded_is_due_when_it_was() {
    let mut host = Host::new("rules: [{alert: Busy, expr: load > 1}]");
    let due = host.group.next_due();
    host.now = due.plus(Duration::from_secs(1));
    assert!(host.group.due(host.now).is_some());
    host.go_on_as(Host::new("rules: [{alert: Busy, expr: load > 2}]").group);
    assert_eq!((host.group.due(host.now), host.group.next_due()), (None, due.plus(ROUND)));
}

#[test]
fn the_series_of_a_rule_that_is_gone_end_with_the_next_round() {
    let mut host = Host::new("rules: [{record: old, expr: load}, {record: moved, expr: load}]");
    host.has("load", "a", 1.0);
    host.round();
    let ended = host.go_on_as(Host::new("rules: [{record: moved, expr: load, labels: {web: a}}]").group);
    assert!(ended.is_empty());
    assert_eq!(host.series("old").len(), 1);
    host.round();
    assert_eq!((host.series("old").len(), host.series("moved").len()), (0, 1));
}

#[test]
fn a_group_that_is_gone_ends_its_series_after_two_intervals_unless_another_went_on_with_them() {
    let rules = "rules: [{record: copy, expr: load}, {alert: Busy, expr: load}]";
    let mut host = Host::new(rules);
    host.has("load", "a", 1.0);
    host.has("load", "b", 1.0);
    host.round();
    let gone = std::mem::replace(&mut host.group, Host::new(rules).group);
    let (mut departed, transitions) = gone.end(host.now);
    assert_eq!((transitions.len(), departed.reported().count()), (2, 2));
    host.now = host.now.plus(ROUND);
    host.lacks("load", "b");
    host.round();
    assert!(!departed.settle(&mut host.store, host.now.minus(ROUND)));
    assert_eq!(host.series("copy").len(), 2);
    assert!(!departed.settle(&mut host.store, host.now), "its alerts are still told of");
    assert_eq!(host.series("copy"), [r#"copy{web="a"} 1"#]);
    assert!(departed.settle(&mut host.store, host.now.plus(crate::RESOLVED_FOR)));
    assert_eq!(departed.reported().count(), 0);
}

#[test]
fn an_alert_of_a_rule_that_is_gone_is_told_of_until_another_raises_it() {
    let mut host = Host::new("rules: [{alert: Busy, expr: load > 1}]");
    host.has("load", "a", 3.0);
    host.round();
    host.go_on_as(Host::new("rules: []").group);
    assert_eq!(host.group.reported().map(|alert| alert.state).collect::<Vec<_>>(), [AlertState::Resolved]);
    host.go_on_as(Host::new("rules: [{alert: Busy, expr: load > 2}]").group);
    assert_eq!(words(&host.round()), ["Busy firing"]);
    assert_eq!(host.group.reported().map(|alert| alert.state).collect::<Vec<_>>(), [AlertState::Firing]);
}
