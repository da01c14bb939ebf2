use super::*;
use crate::RuleFile;
use documents::Document;
use series::{Limits, MatchOp, Matcher};
use std::path::Path;

const ROUND: Duration = Duration::from_secs(10);
/// Well after the epoch, so that a window before it is there.
const START: i64 = 100_000;

struct Host {
    store: Store,
    group: GroupState,
    now: Timestamp,
}

impl Host {
    fn new(rules: &str) -> Self {
        let text = format!("groups:\n- name: g\n  {}", rules.trim_start());
        let file = RuleFile::read(&Document::from_text(Path::new("r.yaml"), &text)).unwrap();
        let [group] = <[RuleGroup; 1]>::try_from(file.groups).unwrap();
        let now = Timestamp::from_secs(START);
        Self { store: Store::default(), group: GroupState::new(group, ROUND, now), now }
    }

    fn has(&mut self, name: &str, web: &str, value: f64) {
        let labels: Labels = [("__name__", name), ("web", web)].into_iter().collect();
        self.store.append_sample(&labels, &Origin::Host, self.now, value).unwrap();
    }

    fn lacks(&mut self, name: &str, web: &str) {
        let labels: Labels = [("__name__", name), ("web", web)].into_iter().collect();
        self.store.mark_stale(&labels, self.now).unwrap();
    }

    /// Evaluates now, and goes on to the next round.
    fn round(&mut self) -> Round {
        let round = self.group.evaluate(&mut self.store, self.now);
        self.now = self.now.plus(ROUND);
        round
    }

    /// The group is now as `next` has it; says what became of alerts.
    fn go_on_as(&mut self, next: GroupState) -> Vec<String> {
        let before = std::mem::replace(&mut self.group, next);
        let next = std::mem::replace(&mut self.group, Host::new("rules: []").group);
        let (group, ended) = before.go_on_as(next.group, ROUND, &mut self.store, self.now);
        self.group = group;
        ended.iter().map(|it| format!("{} {}", it.alert().name(), it.alert().state)).collect()
    }

    /// What a query would see of `name` at the time of the last round.
    fn series(&self, name: &str) -> Vec<String> {
        let last = self.now.minus(ROUND).as_millis();
        let matcher = Matcher::new(METRIC_NAME, MatchOp::Equal, name).unwrap();
        let ids = self.store.select(&[matcher]);
        let mut series: Vec<String> = ids
            .into_iter()
            .filter_map(|id| {
                let (_, value) = self.store.latest(id, last, 300_000)?;
                Some(format!("{} {value}", self.store.labels(id)))
            })
            .collect();
        series.sort();
        series
    }
}

fn words(round: &Round) -> Vec<String> {
    assert!(round.errors.is_empty(), "{:?}", round.errors);
    round.transitions.iter().map(|it| format!("{} {}", it.alert().name(), it.alert().state)).collect()
}

fn errors(round: &Round) -> Vec<String> {
    let chain = |error: &RuleError| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    };
    round.errors.iter().map(chain).collect()
}

#[test]
fn each_rule_reads_what_those_before_it_gave_in_the_same_round() {
    let mut host = Host::new(
        "rules:
  - {record: web:doubled, expr: load * 2}
  - {record: web:sum, expr: sum(web:doubled), labels: {of: all}}
  - {alert: Busy, expr: web:sum > 5}
  - {alert: Two, expr: 'count(ALERTS{alertname=\"Busy\", alertstate=\"firing\"}) > 0'}",
    );
    host.has("load", "a", 1.0);
    host.has("load", "b", 2.0);
    assert_eq!(words(&host.round()), ["Busy firing", "Two firing"]);
    assert_eq!(host.series("web:doubled"), [r#"web:doubled{web="a"} 2"#, r#"web:doubled{web="b"} 4"#]);
    assert_eq!(host.series("web:sum"), [r#"web:sum{of="all"} 6"#]);
}

#[test]
fn alerts_are_series_and_a_change_of_state_ends_the_old_one() {
    let mut host = Host::new("rules: [{alert: Busy, expr: load > 1, for: 10s, labels: {severity: page}}]");
    host.has("load", "a", 2.0);
    assert_eq!(words(&host.round()), ["Busy pending"]);
    assert_eq!(
        host.series("ALERTS"),
        [r#"ALERTS{alertname="Busy", alertstate="pending", severity="page", web="a"} 1"#]
    );
    assert_eq!(words(&host.round()), ["Busy firing"]);
    assert_eq!(
        host.series("ALERTS"),
        [r#"ALERTS{alertname="Busy", alertstate="firing", severity="page", web="a"} 1"#]
    );
    assert_eq!(
        host.series("ALERTS_FOR_STATE"),
        [r#"ALERTS_FOR_STATE{alertname="Busy", severity="page", web="a"} 100000"#]
    );
    assert_eq!(host.group.active_alerts().count(), 1);
    host.lacks("load", "a");
    assert_eq!(words(&host.round()), ["Busy resolved"]);
    assert!(host.series("ALERTS").is_empty() && host.series("ALERTS_FOR_STATE").is_empty());
    assert_eq!(host.group.active_alerts().count(), 0);
}

#[test]
fn a_recorded_series_ends_with_its_input() {
    let mut host = Host::new("rules: [{record: copy, expr: load}]");
    host.has("load", "a", 1.0);
    host.has("load", "b", 1.0);
    host.round();
    host.lacks("load", "a");
    host.round();
    assert_eq!(host.series("copy"), [r#"copy{web="b"} 1"#]);
}

#[test]
fn an_evaluation_that_fails_ends_no_series_and_changes_no_alert() {
    let mut host = Host::new(
        "rules:
  - {record: ratio, expr: load / on (web) group_left limit}
  - {alert: Over, expr: load / on (web) group_left limit > 1}
  - {record: after, expr: 1}",
    );
    host.has("load", "a", 3.0);
    host.has("limit", "a", 2.0);
    assert_eq!(words(&host.round()), ["Over firing"]);
    // A second series on the side of the one makes the match ambiguous.
    let labels: Labels = [("__name__", "limit"), ("web", "a"), ("more", "b")].into_iter().collect();
    host.store.append_sample(&labels, &Origin::Host, host.now, 1.0).unwrap();
    let round = host.round();
    assert_eq!(round.transitions, []);
    let errors = errors(&round);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with(
            "evaluating rule ratio of group g: the expression \"load / on (web) group_left limit\" has no value: "
        ),
        "{errors:?}"
    );
    assert_eq!(host.series("ratio"), [r#"ratio{web="a"} 1.5"#]);
    assert_eq!(host.series("ALERTS").len(), 1);
    assert_eq!(host.series("after"), ["after 1"]);
}

#[test]
fn what_a_rule_may_not_give_is_an_error_that_names_it() {
    let mut host = Host::new(
        "limit: 2
  rules:
  - {record: same, expr: load, labels: {web: ''}}
  - {alert: Same, expr: load, labels: {web: ''}}
  - {record: many, expr: '{__name__=~\"load|more\"}'}
  - {alert: Many, expr: '{__name__=~\"load|more\"}'}
  - {record: load, expr: load * 2}",
    );
    host.has("load", "a", 1.0);
    host.has("load", "b", 1.0);
    host.has("more", "c", 1.0);
    assert_eq!(
        errors(&host.round()),
        [
            "evaluating rule same of group g: two samples give the series same; keep a label that tells them apart",
            "evaluating rule Same of group g: two samples give the alert {alertname=\"Same\"}; keep a label that \
             tells them apart",
            "evaluating rule many of group g: 3 series are over the group's limit of 2",
            "evaluating rule Many of group g: 3 alerts are over the group's limit of 2",
            "evaluating rule load of group g: 2 of its series could not be stored, load{web=\"a\"} among them: \
             the series belongs to the origin host",
        ]
    );
    assert!(host.series("same").is_empty() && host.series("many").is_empty());
    assert_eq!(host.series("load"), [r#"load{web="a"} 1"#, r#"load{web="b"} 1"#]);
}

#[test]
fn an_error_quotes_no_more_than_is_recognised() {
    let long = "a".repeat(5_000);
    let mut host = Host::new(&format!(
        "rules:
  - {{record: same, expr: load, labels: {{web: '', x: {long}}}}}
  - {{alert: Same, expr: load, labels: {{web: '', x: {long}}}}}
  - {{alert: {long}, expr: 'load * on() {{x!=\"{long}\", __name__=\"load\"}}'}}",
    ));
    host.has("load", "a", 1.0);
    host.has("load", "b", 1.0);
    let errors: Vec<String> =
        host.round().errors.iter().map(|error| format!("{error}: {}", error.failure)).collect();
    assert_eq!(errors.len(), 3);
    for error in errors {
        assert!(error.contains('…') && error.chars().count() < 800, "{error}");
    }
}

#[test]
fn alerts_that_go_over_the_limit_are_resolved_and_end_with_the_next_good_round() {
    let mut host = Host::new("limit: 1\n  rules: [{alert: Busy, expr: load}]");
    host.has("load", "a", 1.0);
    assert_eq!(words(&host.round()), ["Busy firing"]);
    host.has("load", "b", 1.0);
    let round = host.round();
    assert_eq!(round.errors.len(), 1);
    assert!(matches!(&round.transitions[..], [Transition::Resolved(_)]), "{:?}", round.transitions);
    host.lacks("load", "a");
    assert_eq!(words(&host.round()), ["Busy firing"]);
    assert_eq!(host.series("ALERTS").len(), 1);
}

#[test]
fn with_a_query_offset_the_group_looks_back_and_alerts_keep_the_time_of_the_round() {
    let mut host =
        Host::new("query_offset: 10s\n  rules: [{record: copy, expr: load}, {alert: Busy, expr: load}]");
    host.has("load", "a", 1.0);
    assert_eq!(words(&host.round()), [""; 0]);
    assert_eq!(words(&host.round()), ["Busy firing"]);
    let alert = host.group.active_alerts().next().unwrap();
    assert_eq!(alert.active_at, Timestamp::from_secs(START + 10));
    let matcher = Matcher::new(METRIC_NAME, MatchOp::Equal, "copy").unwrap();
    let id = host.store.select(&[matcher])[0];
    assert_eq!(host.store.samples(id, 0, i64::MAX).times, [START * 1000]);
}

#[test]
fn a_number_raises_an_alert_without_labels_of_its_own() {
    let mut host = Host::new("rules: [{alert: Always, expr: 1}]");
    assert_eq!(words(&host.round()), ["Always firing"]);
    assert_eq!(host.group.active_alerts().next().unwrap().labels.to_string(), r#"{alertname="Always"}"#);
}

#[test]
fn a_full_store_is_an_error_and_the_alert_goes_on() {
    let mut host = Host::new("rules: [{alert: Busy, expr: load}]");
    host.store = Store::new(Limits { max_series: 2, ..Limits::default() });
    host.has("load", "a", 1.0);
    let round = host.round();
    assert_eq!(round.transitions.len(), 1);
    assert_eq!(
        errors(&round),
        ["evaluating rule Busy of group g: 1 of its series could not be stored, \
          ALERTS_FOR_STATE{alertname=\"Busy\", web=\"a\"} among them: the store holds its limit of 2 series"]
    );
}

#[test]
fn a_group_is_due_by_its_own_interval_or_else_by_the_given_one() {
    for (interval, expected) in [("interval: 30s\n  ", 30), ("interval: 0s\n  ", 10), ("", 10)] {
        let mut host = Host::new(&format!("{interval}rules: []"));
        let first = host.group.next_due();
        assert_eq!(host.group.due(first), Some(first));
        assert_eq!(host.group.next_due().since(first), Duration::from_secs(expected));
    }
}

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
    let store = &mut host.store;
    let ended = host.group.end(store, host.now);
    assert_eq!(
        ended.iter().map(|it| it.alert().state).collect::<Vec<_>>(),
        [telemetry::AlertState::Resolved]
    );
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
