use std::collections::BTreeMap;

use otlp::tap::{LogRule, LogRules};
use otlp::{Builtin, MaskAction, MaskRule};
use series::{HostNames, Store};
use telemetry::{LogGroup, LogScalar, SampleBuffer};

use super::super::tests::{collection, text};
use super::super::{SourceOptions, TapOptions};
use super::*;

const MATCHES: &str = "log_rule_matches_total";

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + second)
}

fn lines(source: &str, bodies: &[&str]) -> LogBuffer {
    let mut buffer = LogBuffer::default();
    buffer.set_group(&LogGroup { source: source.into(), resource: Arc::default(), shared: Arc::default() });
    for body in bodies {
        buffer.push(at(0)).set_body(LogScalar::Text(body.as_bytes()));
    }
    buffer
}

fn taps(rules: Vec<LogRule>) -> Arc<Taps> {
    let sources = ["nginx", "db"].map(|name| (name.to_owned(), SourceOptions::default())).into();
    let log_rules = Arc::new(LogRules::new(rules).unwrap());
    let options = TapOptions { log_rules, sources, budgets: BTreeMap::new(), ..TapOptions::default() };
    Arc::new(Taps::new(options, HostNames::default(), &[]))
}

fn by_path() -> LogRule {
    LogRule {
        labels: vec![("path".to_owned(), "${path}".to_owned())],
        max_series: 1,
        ..LogRule::new("denied", "denied (?<path>.*)")
    }
}

fn fetched(taps: &Taps, store: &mut Store, second: i64) -> Vec<String> {
    let changed = taps.changed().take().unwrap_or_default();
    taps.collect_changed(&changed, store, at(second));
    changed.into_iter().collect()
}

#[test]
fn lines_count_under_their_source_once_they_are_durable() {
    let (mut store, taps) = (Store::default(), taps(vec![LogRule::new("full", "disk full")]));
    let mut reader = taps.lines();
    collection(&mut store, &taps, 0);
    reader.see(&lines("nginx", &["disk full", "fine"]), &Masking::default(), at(1));
    collection(&mut store, &taps, 10);
    let series = |nginx: u32| {
        [
            r#"log_rule_matches_total{hostmend_origin="log:db", log_rule_name="full"} 0"#.to_owned(),
            format!(r#"log_rule_matches_total{{hostmend_origin="log:nginx", log_rule_name="full"}} {nginx}"#),
        ]
    };
    assert_eq!(text(&store, MATCHES), series(0), "not durable yet");
    reader.discard();
    reader.commit(&Masking::default(), at(11));
    collection(&mut store, &taps, 20);
    assert_eq!(text(&store, MATCHES), series(0), "never durable");
    reader.see(&lines("nginx", &["disk full", "fine"]), &Masking::default(), at(21));
    reader.commit(&Masking::default(), at(22));
    collection(&mut store, &taps, 30);
    assert_eq!(text(&store, MATCHES), series(1));
}

#[test]
fn what_has_changed_is_there_between_two_collections_and_is_an_increase() {
    let (mut store, taps) = (Store::default(), taps(vec![LogRule::new("full", "disk full"), by_path()]));
    let mut reader = taps.lines();
    collection(&mut store, &taps, 0);
    reader.see(&lines("nginx", &["disk full", "denied /a", "denied /b", "fine"]), &Masking::default(), at(1));
    reader.commit(&Masking::default(), at(1));
    assert_eq!(fetched(&taps, &mut store, 2), ["denied", "full"]);
    assert!(fetched(&taps, &mut store, 3).is_empty());
    let expected = [
        r#"log_rule_matches_total{hostmend_origin="log:db", log_rule_name="full"} 0"#,
        r#"log_rule_matches_total{hostmend_origin="log:nginx", log_rule_name="denied", otel_metric_overflow="true"} 1"#,
        r#"log_rule_matches_total{hostmend_origin="log:nginx", log_rule_name="denied", path="/a"} 1"#,
        r#"log_rule_matches_total{hostmend_origin="log:nginx", log_rule_name="full"} 1"#,
    ];
    assert_eq!(text(&store, MATCHES), expected);
    let mut scratch = series::Scratch::default();
    for id in store.select(&[series::Matcher::equal("path", "/a")]) {
        let samples = store.samples(id, i64::MIN, i64::MAX, &mut scratch);
        assert_eq!(samples.values, [0.0, 1.0]);
        assert_eq!(samples.times, [at(0).as_millis(), at(2).as_millis()]);
        assert_eq!(store.origin(id), &telemetry::Origin::Log("nginx".into()));
    }
    collection(&mut store, &taps, 10);
    assert_eq!(text(&store, MATCHES), expected);
    let rejected = store.outside().map(|(_, figures)| figures.rejections.total()).sum::<u64>();
    assert_eq!(rejected, 0);
}

#[test]
fn the_last_lines_of_a_rule_are_kept_masked_once_they_are_durable() {
    let taps = taps(vec![LogRule::new("login", "login")]);
    let rule = MaskRule::new(&[], &[], &[Builtin::Tokens], MaskAction::Replace("[masked]".to_owned()));
    let masking = Masking::new(vec![rule.unwrap()]).unwrap();
    let mut reader = taps.lines();
    reader.see(&lines("nginx", &["login lost"]), &Masking::default(), at(1));
    reader.discard();
    let many: Vec<String> = (0..15).map(|number| format!("login {number} password=hunter2secret")).collect();
    reader.see(
        &lines("db", &many.iter().map(String::as_str).collect::<Vec<_>>()),
        &Masking::default(),
        at(2),
    );
    assert!(taps.evidence(|rule| rule == "login").is_empty());
    reader.commit(&masking, at(3));
    let evidence = taps.evidence(|rule| rule == "login");
    assert_eq!(evidence.len(), LINES);
    assert_eq!((evidence[0].at, evidence[0].origin.as_str()), (at(3), "log:db"));
    let texts: Vec<&str> = evidence.iter().map(|line| line.text.as_str()).collect();
    assert!(texts[0].starts_with("login 5 ") && texts[9].starts_with("login 14 "), "{texts:?}");
    assert!(texts.iter().all(|text| !text.contains("hunter2")), "{texts:?}");
}

#[test]
fn a_secret_that_a_group_has_found_is_masked_in_the_label() {
    let (mut store, taps) = (Store::default(), taps(vec![by_path()]));
    let rule = MaskRule::new(&[], &[], &[Builtin::Tokens], MaskAction::Replace("[masked]".to_owned()));
    let masking = Masking::new(vec![rule.unwrap()]).unwrap();
    let mut reader = taps.lines();
    reader.see(&lines("nginx", &["denied /a?token=hunter2secret"]), &masking, at(1));
    reader.commit(&masking, at(1));
    collection(&mut store, &taps, 10);
    let expected = r#"log_rule_matches_total{hostmend_origin="log:nginx", log_rule_name="denied", path="/a?token=[masked]"} 1"#;
    assert_eq!(text(&store, MATCHES), [expected]);
}

#[test]
fn sources_that_are_not_in_force_and_rules_of_before_a_reload_count_nothing() {
    let (mut store, taps) = (Store::default(), taps(vec![LogRule::new("full", "disk full")]));
    let mut reader = taps.lines();
    reader.see(&lines("gone", &["disk full"]), &Masking::default(), at(1));
    reader.see(&lines("nginx", &["disk full"]), &Masking::default(), at(1));
    taps.reconfigure(TapOptions::default());
    reader.commit(&Masking::default(), at(2));
    collection(&mut store, &taps, 10);
    assert_eq!(text(&store, MATCHES), [""; 0]);
}

#[test]
fn the_taps_say_how_many_records_they_looked_at_and_how_many_found_no_room() {
    let (mut store, taps) = (Store::default(), taps(vec![by_path()]));
    let mut reader = taps.lines();
    reader.see(&lines("nginx", &["denied /a", "denied /b", "denied /c"]), &Masking::default(), at(1));
    reader.commit(&Masking::default(), at(1));
    collection(&mut store, &taps, 10);
    let mut buffer = SampleBuffer::default();
    taps.write_figures(&store, &mut buffer);
    let figures = buffer.to_text();
    for line in [
        r#"hostmend.tap.records{hostmend.origin="log:nginx",hostmend.signal="logs",hostmend.outcome="looked_at"} 3"#,
        r#"hostmend.tap.left_out{hostmend.origin="log:nginx",hostmend.signal="logs",hostmend.reason="overflow"} 2"#,
        r#"hostmend.series.received{hostmend.origin="log:nginx"} 2"#,
    ] {
        assert!(figures.contains(line), "{line}\n{figures}");
    }
}
