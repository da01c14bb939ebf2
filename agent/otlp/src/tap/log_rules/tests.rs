use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Decoded, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message as _;

use super::*;

fn rule(name: &str, pattern: &str, severity: i32) -> LogRule {
    LogRule { name: name.to_owned(), pattern: pattern.to_owned(), severity }
}

fn tap(rules: Vec<LogRule>) -> LogTap {
    LogTap::new(Arc::new(LogRules::new(rules).unwrap()))
}

fn counts(tap: &LogTap) -> Vec<u64> {
    tap.counts().map(|(_, count)| count).collect()
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
        let mut tap = tap(rules.to_vec());
        tap.see_line(severity, body.as_bytes());
        assert_eq!(counts(&tap), expected, "{severity} {body}");
    }
}

#[test]
fn received_records_are_counted_by_the_text_of_their_body() {
    let record = |body| LogRecord {
        severity_number: 17,
        body: Some(Decoded { value: Some(body) }),
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
    let mut tap = tap(vec![rule("oom", "out of memory", 13)]);
    tap.see(&request.encode_to_vec());
    assert_eq!(counts(&tap), [1]);
    assert_eq!(tap.figures().seen, 3);
}

#[test]
fn a_long_body_is_looked_at_in_front_only() {
    let mut tap = tap(vec![rule("end", "end", 0)]);
    let mut body = vec![b'x'; BODY_BYTES - 3];
    body.extend_from_slice(b"end");
    tap.see_line(0, &body);
    body.insert(0, b'x');
    tap.see_line(0, &body);
    assert_eq!(counts(&tap), [1]);
}

#[test]
fn a_bad_pattern_and_one_that_grows_without_end_are_refused() {
    let refused = |pattern: &str| LogRules::new(vec![rule("bad", pattern, 0)]).unwrap_err().to_string();
    assert!(refused("a(b").contains("unclosed group"));
    assert!(refused(r"(\w{500}){500}").contains("make them simpler"));
}
