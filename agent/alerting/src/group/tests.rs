mod clearing;
mod reloading;

use super::*;
use crate::RuleFile;
use documents::Document;
use series::{Limits, MatchOp, Matcher};
use std::path::Path;
use std::time::Duration;
use telemetry::{Instrument, METRIC_NAME, MetricSpec, Origin, SampleBuffer, Scope, ValueType};

const ROUND: Duration = Duration::from_secs(10);
/// Well after the epoch, so that a window before it is there.
const START: i64 = 100_000;

fn defaults() -> Defaults {
    Defaults { interval: ROUND, externals: Arc::default() }
}

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
        Self { store: Store::default(), group: GroupState::new(group, &defaults(), now), now }
    }

    fn has(&mut self, name: &str, web: &str, value: f64) {
        let labels: Labels = [("__name__", name), ("web", web)].into_iter().collect();
        self.store.append_sample(&labels, &Origin::Host, self.now, value).unwrap();
    }

    fn lacks(&mut self, name: &str, web: &str) {
        let labels: Labels = [("__name__", name), ("web", web)].into_iter().collect();
        self.store.mark_stale(&labels, &Origin::Host, self.now).unwrap();
    }

    /// Evaluates now, and goes on to the next round.
    fn round(&mut self) -> Round {
        let round = self.group.evaluate(&mut self.store, self.now, &mut || Duration::ZERO);
        self.now = self.now.plus(ROUND);
        round
    }

    /// The group is now as `next` has it; says what became of alerts.
    fn go_on_as(&mut self, next: GroupState) -> Vec<String> {
        let before = std::mem::replace(&mut self.group, next);
        let next = std::mem::replace(&mut self.group, Host::new("rules: []").group);
        let (group, ended) = before.go_on_as(next.group, &defaults(), self.now);
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
    assert_eq!(host.group.unknown_alerts().collect::<Vec<_>>(), ["Over"], "not evaluated yet");
    assert_eq!(words(&host.round()), ["Over firing"]);
    assert_eq!(host.group.unknown_alerts().count(), 0);
    // A second series on the side of the one makes the match ambiguous.
    let labels: Labels = [("__name__", "limit"), ("web", "a"), ("more", "b")].into_iter().collect();
    host.store.append_sample(&labels, &Origin::Host, host.now, 1.0).unwrap();
    let round = host.round();
    assert_eq!(round.transitions, []);
    assert_eq!(host.group.unknown_alerts().collect::<Vec<_>>(), ["Over"]);
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
    assert_eq!(host.store.samples(id, 0, i64::MAX, &mut series::Scratch::default()).times, [START * 1000]);
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
fn what_a_rule_computes_comes_from_where_its_input_comes_from() {
    let mut host = Host::new(
        "rules:
  - {record: mine, expr: load}
  - {record: theirs, expr: load + on (web) sent}
  - {alert: Busy, expr: theirs > 1}
  - {alert: Again, expr: 'ALERTS{alertname=\"Busy\"}'}",
    );
    host.has("load", "a", 1.0);
    let sent: Labels = [("__name__", "sent"), ("web", "a")].into_iter().collect();
    let apps = Arc::new([Origin::Otlp("apps".into())].into());
    host.store.append_recorded(&sent, &apps, host.now, 1.0).unwrap();
    host.round();
    let origins: Vec<String> = host
        .group
        .active_alerts()
        .map(|alert| {
            let origins: Vec<String> = alert.origins.iter().map(ToString::to_string).collect();
            format!("{} {} {}", alert.name(), origins.join("+"), alert.source.expression)
        })
        .collect();
    assert_eq!(
        origins,
        ["Busy host+otlp:apps theirs > 1", "Again host+otlp:apps ALERTS{alertname=\"Busy\"}"]
    );
    assert_eq!(host.group.active_alerts().next().unwrap().source.file, Path::new("r.yaml"));
}

#[test]
fn the_time_that_rules_take_is_told() {
    let mut host = Host::new("rules: [{record: one, expr: 1}, {record: two, expr: 2}]");
    let mut readings = [5, 7, 10].into_iter().map(Duration::from_millis);
    let round = host.group.evaluate(&mut host.store, host.now, &mut || readings.next().unwrap());
    assert_eq!(round.took, Duration::from_millis(5));
    let took: Vec<u128> =
        host.group.view().rules.iter().map(|rule| rule.evaluation_time.as_millis()).collect();
    assert_eq!(took, [2, 3]);
}

/// The example of docs/rules.md, as the page tells it.
#[test]
fn the_example_for_users_does_what_the_page_says() {
    let page = std::fs::read_to_string("../../docs/rules.md").unwrap();
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = RuleFile::read(&Document::from_text(Path::new("r.yaml"), example)).unwrap();
    let mut host = Host::new("rules: []");
    host.group = GroupState::new(file.groups.into_iter().next().unwrap(), &defaults(), host.now);
    let mut minutes = |free: f64, minutes: u64| {
        let mut words = Vec::new();
        for _ in 0..minutes * 6 {
            if free.is_finite() {
                host.has("node_filesystem_size_bytes", "a", 100.0);
                host.has("node_filesystem_avail_bytes", "a", free);
            }
            words.extend(self::words(&host.round()));
        }
        words
    };
    assert_eq!(minutes(3.0, 6), ["DiskFull pending", "DiskFull firing"]);
    assert_eq!(minutes(10.0, 6), [""; 0]);
    assert_eq!(minutes(f64::NAN, 60), [""; 0]);
    assert_eq!(minutes(16.0, 1), ["DiskFull resolved"]);
}

/// After how many seconds of slots an alert with `for: 3s` fires whose rounds come so many milliseconds after them.
fn fires_after(late: &[u64]) -> Option<usize> {
    let mut host = Host::new("rules: [{alert: Busy, expr: load > 1, for: 3s}]");
    for (number, late) in late.iter().enumerate() {
        let slot = Timestamp::from_secs(START + number as i64);
        host.now = slot.plus(Duration::from_millis(*late));
        host.has("load", "a", 2.0);
        let times = RoundTimes { slot, now: host.now };
        let round = host.group.evaluate(&mut host.store, times, &mut || Duration::ZERO);
        if words(&round).iter().any(|it| it == "Busy firing") {
            let alert = host.group.active_alerts().next().unwrap();
            assert_eq!((alert.active_at, alert.fired_at), (Timestamp::from_secs(START), Some(slot)));
            return Some(number);
        }
    }
    None
}

proptest::proptest! {
    #[test]
    fn rounds_that_come_late_make_no_for_longer(late in proptest::collection::vec(0_u64..900, 6)) {
        proptest::prop_assert_eq!(fires_after(&late), Some(3));
    }
}

#[test]
fn rounds_that_come_late_by_turns_make_no_for_longer() {
    assert_eq!(fires_after(&[900, 0, 0, 0, 0, 0]), Some(3));
    assert_eq!(fires_after(&[0, 900, 0, 900, 0, 0]), Some(3));
}

#[test]
fn the_time_that_alerts_are_judged_by_goes_back_only_with_the_clock() {
    let mut host = Host::new("rules: [{alert: Busy, expr: load > 1, for: 1h}]");
    let second = |seconds: f64| Timestamp::from_millis(START * 1_000 + (seconds * 1_000.0) as i64);
    // A round out of turn, then one whose slot came before it; at last the clock is set back.
    for (slot, now, judged_at) in
        [(10.5, 10.5, 10.5), (10.0, 10.9, 10.5), (11.0, 11.2, 11.0), (3.0, 3.1, 3.0)]
    {
        host.group.evaluate(
            &mut host.store,
            RoundTimes { slot: second(slot), now: second(now) },
            &mut || Duration::ZERO,
        );
        assert_eq!(host.group.judged_at, Some(second(judged_at)), "{slot}");
        assert_eq!(host.group.last, Some((second(now), Duration::ZERO)));
    }
}

#[test]
fn a_rule_does_not_end_the_series_of_the_host_that_took_its_name() {
    static UPTIME: MetricSpec = MetricSpec {
        name: "system.uptime",
        unit: "s",
        instrument: Instrument::Gauge,
        value: ValueType::Double,
        attributes: &[],
        scope: Scope::Conventions,
        description: "",
        source: "",
        shows: None,
        by_default: true,
    };
    let mut host = Host::new("rules:\n  - {record: system_uptime_seconds, expr: vector(1)}");
    assert!(host.round().errors.is_empty());
    let mut collected = SampleBuffer::default();
    collected.reset(host.now.minus(Duration::from_secs(1)), Timestamp::EPOCH);
    collected.double(&UPTIME, &[], 7.0);
    host.store.append(&collected);
    assert_eq!(host.round().errors.len(), 1);
    let id = host.store.select(&[Matcher::equal(METRIC_NAME, "system_uptime_seconds")])[0];
    let newest = host.store.latest(id, host.now.as_millis(), 300_000);
    assert_eq!(newest.map(|(_, value)| value), Some(7.0));
}

#[test]
fn what_a_template_asks_counts_into_the_origins_of_its_rule_alone() {
    let mut host = Host::new(
        "rules:
  - {alert: Asks, expr: load > 1, annotations: {seen: '{{ query \"sent\" | first | value }}'}}
  - {alert: Plain, expr: load > 1}",
    );
    let sent: Labels = [("__name__", "sent")].into_iter().collect();
    let open = Arc::new([Origin::Otlp("open".into())].into());
    host.store.append_recorded(&sent, &open, host.now, 7.0).unwrap();
    host.has("load", "a", 2.0);
    assert_eq!(words(&host.round()), ["Asks firing", "Plain firing"]);
    let both: telemetry::Origins = [Origin::Host, Origin::Otlp("open".into())].into();
    let found: Vec<_> =
        host.group.active_alerts().map(|alert| (alert.name(), alert.origins.clone())).collect();
    assert_eq!(found, [("Asks", both), ("Plain", [Origin::Host].into())]);
    let [asks, plain] = host.group.group().rules() else { panic!("two rules") };
    assert_eq!(asks.expressions().collect::<Vec<_>>(), ["load > 1", "sent"]);
    assert_eq!(plain.expressions().collect::<Vec<_>>(), ["load > 1"]);
}
