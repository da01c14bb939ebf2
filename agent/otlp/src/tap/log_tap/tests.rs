use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Decoded, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message as _;
use telemetry::{AttributeValue, LogBuffer, LogGroup, LogScalar};

use super::super::log_rules::BODY_BYTES;
use super::*;
use crate::{Builtin, MaskAction, MaskRule};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn rule(name: &str, pattern: &str, severity: i32) -> LogRule {
    LogRule { severity, ..LogRule::new(name, pattern) }
}

fn labelled(pattern: &str, labels: &[(&str, &str)]) -> LogRule {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    LogRule { labels, ..LogRule::new("labelled", pattern) }
}

fn tap(rules: Vec<LogRule>) -> LogTap {
    LogTap::new(Arc::new(LogRules::new(rules).unwrap()), "nginx")
}

fn buffer(lines: &[(u8, &[u8])]) -> LogBuffer {
    let service = ("service.name".to_owned(), AttributeValue::Text("web".to_owned()));
    let file = ("log.file.name".to_owned(), AttributeValue::Text("access.log".to_owned()));
    let mut buffer = LogBuffer::default();
    buffer.set_group(&LogGroup {
        source: "nginx".into(),
        resource: Arc::new(vec![service]),
        shared: Arc::new(vec![file]),
    });
    for (severity, body) in lines {
        let mut record = buffer.push(NOW);
        record.set_severity(*severity, b"").set_body(LogScalar::Text(body));
        record.attribute(b"code", LogScalar::Int(body.len() as i64));
        record.attribute(b"password", LogScalar::Text(body));
    }
    buffer
}

fn see(tap: &mut LogTap, lines: &[(u8, &[u8])]) {
    for record in buffer(lines).records() {
        tap.see_record(&record, &Masking::default(), NOW, |_, _| {});
    }
}

fn seen(rules: Vec<LogRule>, lines: &[(u8, &[u8])]) -> LogTap {
    let mut tap = tap(rules);
    see(&mut tap, lines);
    tap.commit(|_| {});
    tap
}

fn counts(tap: &LogTap) -> Vec<u64> {
    tap.matches().map(|matches| matches.count).collect()
}

fn texts(tap: &LogTap) -> Vec<String> {
    let line = |matches: &Matches| {
        let overflow = if matches.overflow { "overflow" } else { "" };
        format!("{}{overflow} {}", matches.values.join(" "), matches.count)
    };
    tap.matches().map(line).collect()
}

#[test]
fn lines_are_counted_by_pattern_and_least_severity() {
    let rules = [rule("any", "disk", 0), rule("errors", "(?i)DISK", 17), rule("other", "^ready$", 0)];
    for (severity, body, expected) in [
        (9, "disk full", [1, 0, 0]),
        (17, "disk full", [1, 1, 0]),
        (24, "a Disk", [0, 1, 0]),
        (0, "disk full", [1, 0, 0]),
        (9, "ready", [0, 0, 1]),
        (9, "already", [0, 0, 0]),
    ] {
        let tap = seen(rules.to_vec(), &[(severity, body.as_bytes())]);
        assert_eq!(counts(&tap), expected, "{severity} {body}");
    }
}

#[test]
fn received_records_are_counted_by_the_text_of_their_body() {
    let record = |body| LogRecord {
        severity_number: 17,
        body: Some(Decoded { value: Some(body) }),
        attributes: vec![KeyValue {
            key: "device".to_owned(),
            value: Some(Decoded { value: Some(Value::StringValue("sda".to_owned())) }),
            ..KeyValue::default()
        }],
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            scope_logs: vec![ScopeLogs {
                log_records: vec![
                    record(Value::StringValue("out of memory".to_owned())),
                    record(Value::BytesValue(b"out of memory".to_vec())),
                    record(Value::StringValue("fine".to_owned())),
                ],
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    };
    let by_device = labelled("memory", &[("device", "${device}")]);
    let of_device = LogRule { field: Some("device".to_owned()), ..LogRule::new("sda", "^sda$") };
    let mut tap = tap(vec![rule("oom", "out of memory", 13), by_device, of_device]);
    let mut matched = Vec::new();
    tap.see(&request.encode_to_vec(), NOW, |rule, body| matched.push((rule.name.clone(), body.to_vec())));
    tap.commit(|_| {});
    assert_eq!(texts(&tap), [" 1", " 3", "sda 1"]);
    assert_eq!(tap.figures().seen, 3);
    assert_eq!(matched[0], ("oom".to_owned(), b"out of memory".to_vec()));
}

#[test]
fn a_long_body_is_looked_at_in_front_only() {
    let mut body = vec![b'x'; BODY_BYTES - 3];
    body.extend_from_slice(b"end");
    let mut longer = body.clone();
    longer.insert(0, b'x');
    let tap = seen(vec![rule("end", "end", 0)], &[(0, &body), (0, &longer)]);
    assert_eq!(counts(&tap), [1]);
}

#[test]
fn labels_are_what_groups_found_attributes_of_the_record_its_group_and_its_resource() {
    let labels = [
        ("path", "${path}"),
        ("code", "c${code}"),
        ("file", "${log.file.name}"),
        ("service", "${service.name}"),
        ("none", "${none}${missing}"),
    ];
    let rule = labelled("GET (?<path>/[a-z]*)(?<none>x9)?", &labels);
    let tap = seen(vec![rule], &[(0, b"GET /a"), (0, b"GET /b"), (0, b"GET /a"), (0, b"PUT /a")]);
    assert_eq!(texts(&tap), ["/a c6 access.log web  2", "/b c6 access.log web  1"]);
}

#[test]
fn an_attribute_can_be_what_the_pattern_is_looked_for_in() {
    let rule =
        LogRule { field: Some("code".to_owned()), ..labelled("^(?<first>.).*", &[("first", "${first}")]) };
    let missing = LogRule { field: Some("other".to_owned()), ..LogRule::new("missing", "") };
    let tap = seen(vec![rule, missing], &[(0, b"xx"), (0, b"yyyyyyyyyyyyyyyyyyyyyyy")]);
    assert_eq!(texts(&tap), [" 0", "2 2"]);
}

#[test]
fn rules_for_other_sources_count_nothing_and_make_nothing() {
    let other = LogRule { sources: vec!["otlp:*".to_owned()], ..LogRule::new("other", "a") };
    let tap = seen(vec![other], &[(0, b"a")]);
    assert!(!tap.is_counting());
    assert_eq!(texts(&tap), [""; 0]);
}

#[test]
fn what_is_discarded_does_not_count_and_what_is_not_committed_does_not_yet() {
    let mut tap = tap(vec![rule("a", "a", 0), labelled("(?<all>.+)", &[("all", "${all}")])]);
    see(&mut tap, &[(0, b"a"), (0, b"b")]);
    assert_eq!(texts(&tap), [" 0"]);
    tap.discard();
    tap.commit(|rule| panic!("{} did not change", rule.name));
    assert_eq!(texts(&tap), [" 0"]);
    see(&mut tap, &[(0, b"a")]);
    let mut changed = Vec::new();
    tap.commit(|rule| changed.push(rule.name.clone()));
    assert_eq!(
        (texts(&tap), changed),
        (vec![" 1".to_owned(), "a 1".to_owned()], vec!["a".to_owned(), "labelled".to_owned()])
    );
}

#[test]
fn labels_beyond_the_limit_are_one_overflow_until_others_were_idle() {
    let mut tap = tap(vec![LogRule { max_series: 2, ..labelled("(?<all>.+)", &[("all", "${all}")]) }]);
    see(&mut tap, &[(0, b"a"), (0, b"b"), (0, b"c"), (0, b"d"), (0, b"a")]);
    tap.commit(|_| {});
    assert_eq!(texts(&tap), ["overflow 2", "a 2", "b 1"]);
    assert_eq!(tap.overflowed(), 2);
    assert!(tap.make_room(NOW).is_empty());
    assert_eq!(tap.make_room(NOW.plus(IDLE)).len(), 2);
    see(&mut tap, &[(0, b"c")]);
    tap.commit(|_| {});
    assert_eq!(texts(&tap), ["overflow 2", "c 1"]);
}

#[test]
fn a_long_value_is_cut_before_a_character_that_does_not_fit() {
    let long = format!("{}ä", "x".repeat(127));
    let tap = seen(vec![labelled("(?<all>.+)", &[("all", "${all}")])], &[(0, long.as_bytes())]);
    assert_eq!(texts(&tap), [format!("{} 1", "x".repeat(127))]);
}

#[test]
fn a_secret_in_a_line_makes_no_label() {
    let hidden = || MaskAction::Replace("[masked]".to_owned());
    let builtin = [Builtin::SecretKeys, Builtin::Tokens];
    let rules = [
        MaskRule::new(&["code".to_owned()], &[], &[], MaskAction::Drop),
        MaskRule::new(&[], &[], &builtin, hidden()),
        MaskRule::new(&[], &["user=(?<mask>[a-z]+)".to_owned()], &[], hidden()),
    ];
    let masking = Masking::new(rules.map(Result::unwrap).into()).unwrap();
    let by_value = || labelled("(?<key>[a-z]+)=(?<value>\\S+)", &[("value", "${value}")]);
    let by_field = || LogRule {
        field: Some("password".to_owned()),
        ..labelled("(?<all>.+)", &[("found", "${all}"), ("asked", "${password}"), ("n", "${code}")])
    };
    for (rule, lines, expected) in [
        (by_value(), &["user=ann", "user=bob", "size=7"][..], &["[masked] 2", "7 1"][..]),
        (by_value(), &["password=hunter2 x", "password=secret"], &["[masked] 2"]),
        (
            LogRule { max_series: 1, ..by_value() },
            &["user=ann", "user=bob", "a=b"],
            &["overflow 1", "[masked] 2"],
        ),
        (by_field(), &["x", "xy"], &["[masked] [masked]  2"]),
    ] {
        let mut tap = tap(vec![rule]);
        let lines: Vec<(u8, &[u8])> = lines.iter().map(|line| (0, line.as_bytes())).collect();
        for record in buffer(&lines).records() {
            tap.see_record(&record, &masking, NOW, |_, _| {});
        }
        tap.commit(|_| {});
        assert_eq!(texts(&tap), expected);
    }
}

proptest! {
    #[test]
    fn no_line_is_lost_and_no_rule_makes_more_series_than_its_limit(
        max_series in 1..4_usize,
        batches in prop::collection::vec((prop::collection::vec("[a-e]{1,2}", 0..20), any::<bool>()), 0..8),
    ) {
        let mut tap = tap(vec![LogRule { max_series, ..labelled("(?<all>.+)", &[("all", "${all}")]) }]);
        let mut expected = 0;
        for (minutes, (lines, durable)) in batches.iter().enumerate() {
            let now = NOW.plus(Duration::from_mins(6 * minutes as u64));
            let lines: Vec<(u8, &[u8])> = lines.iter().map(|line| (0, line.as_bytes())).collect();
            let before = tap.matches().map(|matches| matches.count).sum::<u64>();
            for record in buffer(&lines).records() {
                tap.see_record(&record, &Masking::default(), now, |_, _| {});
            }
            if *durable { tap.commit(|_| {}) } else { tap.discard() }
            expected = before + if *durable { lines.len() as u64 } else { 0 };
            prop_assert_eq!(tap.matches().map(|matches| matches.count).sum::<u64>(), expected);
            prop_assert!(tap.matches().count() <= max_series + 1);
            let values: std::collections::BTreeSet<_> = tap.matches().map(|matches| &matches.values).collect();
            prop_assert_eq!(values.len(), tap.matches().count());
            tap.make_room(now);
        }
        let _ = expected;
    }
}
