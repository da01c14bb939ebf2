use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::*;
use crate::MetricsEncoder;
use crate::generated::{Manner, any_request, damaged, decoded, signals};
use crate::samples::{buffers, host_attributes, small_host};
use crate::{check_strictly, count_items};

fn log_record(record: &str) -> Result<LogRecord, String> {
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#);
    let payload = to_protobuf(Signal::Logs, json.as_bytes()).map_err(|error| error.to_string())?;
    let request = ExportLogsServiceRequest::decode(payload).unwrap();
    Ok(request.resource_logs[0].scope_logs[0].log_records[0].clone())
}

fn span(span: &str) -> Result<Span, String> {
    let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
    let payload = to_protobuf(Signal::Traces, json.as_bytes()).map_err(|error| error.to_string())?;
    let request = ExportTraceServiceRequest::decode(payload).unwrap();
    Ok(request.resource_spans[0].scope_spans[0].spans[0].clone())
}

/// The record as JSON, with the one key that is asked for.
fn written(record: LogRecord) -> Json {
    use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..Default::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..Default::default() }];
    let payload = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let line = to_json(Signal::Logs, &payload).unwrap();
    assert!(!line.contains('\n'));
    serde_json::from_str::<Json>(&line).unwrap()["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0].clone()
}

fn body(value: Option<Any>) -> LogRecord {
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    LogRecord { body: Some(AnyValue { value }), ..Default::default() }
}

/// Every record reads as the other does.
fn read_alike(records: &[&str]) {
    for record in records {
        assert_eq!(log_record(record), log_record(records[0]), "{record}");
    }
}

#[test]
fn ids_are_hexadecimal_and_other_bytes_base64() {
    let id: Vec<u8> = (0xa0..0xb0).collect();
    let read = span(
        r#"{"traceId":"a0A1a2a3a4a5a6a7a8a9aaabacadaeaf","spanId":"A0A1","parentSpanId":"a0",
            "links":[{"traceId":"a0","spanId":"a1"}]}"#,
    )
    .unwrap();
    assert_eq!((&read.trace_id, &read.span_id[..], &read.parent_span_id[..]), (&id, &id[..2], &id[..1]));
    assert_eq!((&read.links[0].trace_id[..], &read.links[0].span_id[..]), (&id[..1], &id[1..2]));
    // An id of another length is for others to judge; half a byte is nothing.
    assert!(
        span(r#"{"traceId":"abc"}"#).unwrap_err().contains("traceId is not hexadecimal at line 1 column")
    );
    assert!(
        span(r#"{"traceId":"oKGio6SlpqeoqaqrrK2urw=="}"#).unwrap_err().contains("traceId is not hexadecimal")
    );

    let bytes = Some(Any::BytesValue(vec![0xfb, 0xff, 0xfe, 1]));
    for base64 in ["+//+AQ==", "+//+AQ", "-__-AQ==", "-__-AQ"] {
        let read = log_record(&format!(r#"{{"body":{{"bytesValue":"{base64}"}}}}"#)).unwrap();
        assert_eq!(read.body.unwrap().value, bytes, "{base64}");
    }
    let json = written(LogRecord { trace_id: id, ..body(bytes) });
    assert_eq!(
        json,
        json!({"traceId": "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "body": {"bytesValue": "+//+AQ=="}})
    );
}

#[test]
fn enums_are_numbers_and_never_names() {
    assert_eq!(span(r#"{"kind":2}"#).unwrap().kind, 2);
    assert_eq!(span(r#"{"kind":77}"#).unwrap().kind, 77);
    for refused in [r#"{"kind":"SPAN_KIND_SERVER"}"#, r#"{"kind":"2"}"#] {
        let error = span(refused).unwrap_err();
        assert!(error.contains("kind is a number, never a name at line 1 column"), "{error}");
    }
    assert_eq!(written(LogRecord { severity_number: 9, ..Default::default() }), json!({"severityNumber": 9}));
}

#[test]
fn keys_that_nobody_knows_are_passed_over_whatever_their_value() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    read_alike(&[
        r#"{"severityText":"INFO"}"#,
        r#"{"new":{"a":[1,{"b":null}],"severityText":"x"},"severityText":"INFO","newer":[[]],"newest":-1e9}"#,
        r#"{"severity_text":"WARN","severityText":"INFO","SeverityText":"WARN","dropped_attributes_count":"x"}"#,
        &format!(r#"{{"new":{deep},"severityText":"INFO"}}"#),
    ]);
    read_alike(&[r#"{"body":{}}"#, r#"{"body":{"new":1}}"#, r#"{"body":{"stringValueStrindex":7}}"#]);
    read_alike(&[r#"{"attributes":[{"key":"k"}]}"#, r#"{"attributes":[{"keyStrindex":{},"key":"k"}]}"#]);
}

#[test]
fn integers_of_64_bits_are_texts_and_may_come_as_numbers() {
    read_alike(&[
        r#"{"timeUnixNano":"1544712660300000000","body":{"intValue":"-5"}}"#,
        r#"{"timeUnixNano":1544712660300000000,"body":{"intValue":-5}}"#,
        r#"{"timeUnixNano":"15447126603e8","body":{"intValue":-5.0}}"#,
    ]);
    let record = LogRecord { time_unix_nano: u64::MAX, ..body(Some(Any::IntValue(i64::MIN))) };
    assert_eq!(
        written(record.clone()),
        json!({"timeUnixNano": "18446744073709551615", "body": {"intValue": "-9223372036854775808"}})
    );
    assert_eq!(log_record(&written(record.clone()).to_string()), Ok(record));
    for (refused, reason) in [
        (r#"{"timeUnixNano":"-1"}"#, "out of range for timeUnixNano"),
        (r#"{"timeUnixNano":1.5}"#, "timeUnixNano is a whole number"),
        (r#"{"timeUnixNano":"+1"}"#, "timeUnixNano is a number"),
        (r#"{"timeUnixNano":"inf"}"#, "timeUnixNano is a number"),
        (r#"{"timeUnixNano":"NaN"}"#, "timeUnixNano is a whole number"),
        (r#"{"timeUnixNano":true}"#, "timeUnixNano is neither true nor false"),
        (r#"{"flags":4294967296}"#, "out of range for flags"),
        (r#"{"severityNumber":2147483648}"#, "out of range for severityNumber"),
        (r#"{"body":{"intValue":9223372036854775808}}"#, "out of range for intValue"),
    ] {
        let error = log_record(refused).unwrap_err();
        assert!(error.contains(reason), "{refused}: {error}");
    }
}

#[test]
fn doubles_that_are_no_numbers_are_spelt_and_whole_numbers_are_doubles() {
    for (spelt, value) in [
        (r#""Infinity""#, f64::INFINITY),
        (r#""-Infinity""#, f64::NEG_INFINITY),
        ("7", 7.0),
        ("-0.0", -0.0),
        ("-0", -0.0),
        (r#""-0""#, -0.0),
        ("1e300", 1e300),
        (r#""2.5""#, 2.5),
        ("0.1", 0.1),
        ("5e-324", 5e-324),
    ] {
        let read = log_record(&format!(r#"{{"body":{{"doubleValue":{spelt}}}}}"#)).unwrap();
        let Some(Any::DoubleValue(read)) = read.body.unwrap().value else { panic!("{spelt}") };
        assert_eq!(read.to_bits(), value.to_bits(), "{spelt}");
    }
    let read = log_record(r#"{"body":{"doubleValue":"NaN"}}"#).unwrap();
    assert!(matches!(read.body.unwrap().value, Some(Any::DoubleValue(nan)) if nan.is_nan()));
    for (value, spelt) in [
        (f64::NAN, json!("NaN")),
        (f64::INFINITY, json!("Infinity")),
        (f64::NEG_INFINITY, json!("-Infinity")),
        (0.25, json!(0.25)),
    ] {
        assert_eq!(written(body(Some(Any::DoubleValue(value))))["body"]["doubleValue"], spelt);
    }
}

#[test]
fn null_is_as_good_as_absent() {
    read_alike(&[
        r"{}",
        r#"{"timeUnixNano":null,"body":null,"attributes":null,"severityText":null,"traceId":null,"flags":null}"#,
        r#"{"attributes":[],"timeUnixNano":0,"severityText":"","traceId":""}"#,
    ]);
    let nothing = |json: &str| to_protobuf(Signal::Metrics, json.as_bytes()).map(|bytes| bytes.len());
    assert_eq!((nothing("{}"), nothing("null"), nothing(r#"{"resourceMetrics":[]}"#)), (Ok(0), Ok(0), Ok(0)));
    assert_eq!(to_json(Signal::Metrics, b""), Ok("{}".to_owned()));
}

#[test]
fn an_empty_value_and_an_empty_text_differ() {
    for (json, value) in [
        (json!({}), None),
        (json!({"stringValue": ""}), Some(Any::StringValue(String::new()))),
        (json!({"boolValue": false}), Some(Any::BoolValue(false))),
        (json!({"intValue": "0"}), Some(Any::IntValue(0))),
        (
            json!({"arrayValue": {}}),
            Some(Any::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue::default())),
        ),
    ] {
        assert_eq!(log_record(&json!({"body": json}).to_string()), Ok(body(value.clone())));
        assert_eq!(written(body(value)), json!({"body": json}));
    }
}

#[test]
fn of_a_key_that_comes_twice_the_last_counts() {
    read_alike(&[
        r#"{"severityText":"b","attributes":[{"key":"y"}],"body":{"intValue":1}}"#,
        r#"{"severityText":"a","attributes":[{"key":"x"},{"key":"z"}],"body":{"stringValue":"s"},"severityText":"c",
            "attributes":[{"key":"y","key":"y"}],"severityText":"b","body":{"stringValue":"s","intValue":1}}"#,
        r#"{"body":{"kvlistValue":{}},"attributes":[{"key":"x"}],"severityText":"b","attributes":[{"key":"y"}],
            "body":{"intValue":2,"intValue":1,"stringValue":null}}"#,
    ]);
    read_alike(&["{}", r#"{"attributes":[{"key":"x"}],"body":{"intValue":1},"body":null,"attributes":[]}"#]);
}

#[test]
fn values_may_lie_as_deep_as_in_protobuf_and_no_deeper() {
    let nested = |levels: usize, begin: &str, end: &str| {
        let body = format!(r#"{}{{"stringValue":"deep"}}{}"#, begin.repeat(levels), end.repeat(levels));
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{body}}}]}}]}}]}}"#)
    };
    for (begin, end, most) in [
        (r#"{"arrayValue":{"values":["#, "]}}", 48),
        (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}", 32),
    ] {
        let deepest = nested(most, begin, end);
        let payload = to_protobuf(Signal::Logs, deepest.as_bytes()).unwrap();
        assert_eq!(check_strictly(Signal::Logs, &payload), Ok(1));
        assert_eq!(to_json(Signal::Logs, &payload), Ok(deepest));
        for levels in [most + 1, 10_000] {
            let error =
                to_protobuf(Signal::Logs, nested(levels, begin, end).as_bytes()).unwrap_err().to_string();
            assert!(error.contains("messages lie too deep in each other at line 1 column"), "{error}");
        }
    }
}

#[test]
fn what_is_not_otlp_json_is_refused_with_its_place() {
    for (json, reason) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "invalid type: sequence, expected an object (ExportLogsServiceRequest) at line 1 column"),
        ("{} {}", "trailing characters at line 1 column 4"),
        (
            "{\"resourceLogs\":\n  [{\"resource\": 7}]}",
            "invalid type: integer `7`, expected an object (Resource) at line 2 column",
        ),
        (r#"{"resourceLogs":{}}"#, "invalid type: map, expected a list for resourceLogs"),
        (r#"{"resourceLogs":"x"}"#, "a text for resourceLogs, which is a list"),
        (r#"{"resourceLogs":["x"]}"#, "a text where ResourceLogs is expected, which is an object"),
        (r#"{"resourceLogs":[{"schemaUrl":1}]}"#, "schemaUrl is no number"),
        (r#"{"resourceLogs":[{"schemaUrl":"\ud800"}]}"#, "at line 1 column"),
        (r#"{"resourceLogs":[{]}"#, "at line 1 column"),
    ] {
        let error = to_protobuf(Signal::Logs, json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("not OTLP/JSON: ") && error.contains(reason), "{json}: {error}");
    }
    let error = to_protobuf(Signal::Logs, b"{\"resourceLogs\":[{\"schemaUrl\":\"\xff\"}]}").unwrap_err();
    assert!(error.to_string().contains("at line 1 column"), "{error}");
}

#[test]
fn a_broken_text_does_not_hold_back_the_others() {
    let payload = b"\x0a\x06\x1a\x04a\xffb\xc3";
    assert_eq!(to_json(Signal::Logs, payload), Ok(r#"{"resourceLogs":[{"schemaUrl":"a�b�"}]}"#.to_owned()));
}

#[test]
fn a_collection_of_the_host_is_one_line() {
    let batches = MetricsEncoder::new(&host_attributes()).encode(&small_host(2));
    let line = to_json(Signal::Metrics, &batches[0].payload).unwrap();
    assert!(!line.contains('\n'));
    let request: Json = serde_json::from_str(&line).unwrap();
    let host = &request["resourceMetrics"][0];
    assert_eq!(
        host["resource"]["attributes"][0],
        json!({"key": "host.name", "value": {"stringValue": "web-01"}})
    );
    assert_eq!(
        host["scopeMetrics"][0]["metrics"][0]["sum"],
        json!({
            "dataPoints": [
                {
                    "startTimeUnixNano": "1700000000000000000",
                    "timeUnixNano": "1700000060000000000",
                    "asInt": "4096",
                    "attributes": [
                        {"key": "system.device", "value": {"stringValue": "sda"}},
                        {"key": "disk.io.direction", "value": {"stringValue": "read"}},
                    ],
                },
                {
                    "startTimeUnixNano": "1700000000000000000",
                    "timeUnixNano": "1700000060000000000",
                    "asInt": "8192",
                    "attributes": [
                        {"key": "system.device", "value": {"stringValue": "sda"}},
                        {"key": "disk.io.direction", "value": {"stringValue": "write"}},
                    ],
                },
            ],
            "aggregationTemporality": 2,
            "isMonotonic": true,
        })
    );
}

proptest! {
    #[test]
    fn protobuf_to_json_and_back_says_the_same((signal, payload) in any_request(Manner::Speakable)) {
        let json = to_json(signal, &payload).unwrap();
        prop_assert!(serde_json::from_str::<Json>(&json).is_ok());
        let back = to_protobuf(signal, json.as_bytes()).unwrap();
        prop_assert!(decoded(signal, &back).unwrap() == decoded(signal, &payload).unwrap(), "{}", json);
        prop_assert_eq!(to_json(signal, &back).unwrap().len() <= json.len(), true);
    }

    #[test]
    fn json_to_protobuf_and_back_is_the_same_text((signal, payload) in any_request(Manner::Orderly)) {
        // From prost, so that no default is spelt out.
        let json = to_json(signal, &decoded(signal, &payload).unwrap()).unwrap();
        let back = to_protobuf(signal, json.as_bytes()).unwrap();
        prop_assert_eq!(to_json(signal, &back).unwrap(), json);
    }

    #[test]
    fn whatever_passes_the_strict_check_can_be_said_in_json(
        (signal, payload) in damaged(any_request(Manner::Wild)),
    ) {
        let json = to_json(signal, &payload);
        if check_strictly(signal, &payload).is_ok() {
            let json = json.unwrap();
            let back = to_protobuf(signal, json.as_bytes()).unwrap();
            prop_assert!(check_strictly(signal, &back).is_ok());
            prop_assert!(count_items(signal, &back).unwrap() <= count_items(signal, &payload).unwrap());
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        signal in signals(),
        text in r#"([\[\]{}:,"\\0-9.eE+-]|null|true|"(resource|scope)?(Spans|Logs|Metrics)"|"spans"|"attributes"|"key"|"value"){0,40}"#,
    ) {
        let _ = to_protobuf(signal, text.as_bytes());
    }

    #[test]
    fn damaged_json_is_refused_or_read_but_never_writes_what_is_no_message(
        (signal, payload) in any_request(Manner::Speakable),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut json = to_json(signal, &payload).unwrap().into_bytes();
        for (at, byte) in damage {
            let at = at.index(json.len());
            json[at] = byte;
        }
        if let Ok(read) = to_protobuf(signal, &json) {
            prop_assert!(check_strictly(signal, &read).is_ok());
        }
    }

    #[test]
    fn the_line_holds_as_many_points_as_the_buffer(samples in buffers()) {
        let batches = MetricsEncoder::new(&host_attributes()).encode(&samples);
        let points: usize = batches
            .iter()
            .map(|batch| to_json(Signal::Metrics, &batch.payload).unwrap().matches("\"timeUnixNano\"").count())
            .sum();
        prop_assert_eq!(points, samples.len());
    }
}

#[test]
fn numbers_that_take_more_room_than_in_json_do_not_grow_beyond_the_limit() {
    let counts = "1,".repeat(10_000);
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"h","histogram":{{"dataPoints":[
            {{"bucketCounts":[{counts}1]}}]}}}}]}}]}}]}}"#
    );
    let whole = to_protobuf(Signal::Metrics, json.as_bytes()).unwrap();
    assert!(whole.len() > 80_000);
    assert_eq!(to_protobuf_within(Signal::Metrics, json.as_bytes(), whole.len()), Ok(whole));
    let refused = to_protobuf_within(Signal::Metrics, json.as_bytes(), json.len()).unwrap_err().to_string();
    assert!(refused.contains("it becomes too large at line 2"), "{refused}");
}

#[test]
fn a_key_may_occur_again_but_not_over_and_over() {
    assert_eq!(span(&format!(r#"{{{}"kind":2}}"#, r#""kind":1,"#.repeat(1000))).unwrap().kind, 2);
    let refused = span(&format!(r#"{{{}"kind":2}}"#, r#""kind":1,"#.repeat(2000))).unwrap_err();
    assert!(refused.contains("over and over"), "{refused}");
}
