use std::sync::LazyLock;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;
use telemetry::{LogGroup, LogScalar, LogWriter, Signal, Timestamp};

use super::*;
use crate::mask::{Builtin, MaskAction, MaskRule};
use crate::samples::host_attributes;
use crate::scope;

fn decode(batch: &Batch) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest::decode(batch.payload.clone()).expect("an encoded request decodes")
}

fn holding(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(text: &str) -> AnyValue {
    holding(Value::StringValue(text.to_owned()))
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// Groups whose resources and shared attributes are partly the same, and partly name what the host names.
fn groups() -> Vec<LogGroup> {
    let attributes = |pairs: &[(&str, &str)]| {
        Arc::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect())
    };
    let nginx = attributes(&[("service.name", "nginx")]);
    let group = |resource: &Arc<Attributes>, shared| LogGroup {
        source: "app".into(),
        resource: resource.clone(),
        shared,
    };
    vec![
        group(&attributes(&[]), attributes(&[])),
        group(&nginx, attributes(&[("log.file.name", "access.log")])),
        group(&nginx, attributes(&[("log.file.name", "error.log"), ("log.iostream", "")])),
        group(&attributes(&[("service.name", "nginx")]), attributes(&[])),
        group(&attributes(&[("container.id", "7"), ("token", "abc")]), attributes(&[("password", "x")])),
    ]
}

/// The resource and the shared attributes of each of [`groups`], as they are to leave.
fn expected_group(group: usize) -> (Vec<KeyValue>, Vec<KeyValue>) {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| pair(key, text(value))).collect();
    match group {
        0 => (pairs(&[("host.name", "web-01"), ("service.name", "hostmend")]), Vec::new()),
        1 => (
            pairs(&[("host.name", "web-01"), ("service.name", "nginx")]),
            pairs(&[("log.file.name", "access.log")]),
        ),
        2 => (
            pairs(&[("host.name", "web-01"), ("service.name", "nginx")]),
            pairs(&[("log.file.name", "error.log")]),
        ),
        3 => (pairs(&[("host.name", "web-01"), ("service.name", "nginx")]), Vec::new()),
        _ => (
            pairs(&[
                ("host.name", "web-01"),
                ("service.name", "hostmend"),
                ("container.id", "7"),
                ("token", "abc"),
            ]),
            pairs(&[("password", "x")]),
        ),
    }
}

fn scalar(value: Option<&AnyValue>) -> LogScalar<'_> {
    match value.and_then(|value| value.value.as_ref()) {
        None => LogScalar::Empty,
        Some(Value::StringValue(text)) => LogScalar::Text(text.as_bytes()),
        Some(Value::BytesValue(bytes)) => LogScalar::Bytes(bytes),
        Some(Value::IntValue(number)) => LogScalar::Int(*number),
        Some(Value::DoubleValue(number)) => LogScalar::Double(*number),
        Some(Value::BoolValue(answer)) => LogScalar::Bool(*answer),
        other => panic!("{other:?} is no scalar"),
    }
}

fn write_value(writer: &mut LogWriter<'_>, key: &str, value: &AnyValue) {
    let key = key.as_bytes();
    match &value.value {
        Some(Value::ArrayValue(list)) => {
            let open = writer.begin_list(key);
            list.values.iter().for_each(|value| write_value(writer, "", value));
            writer.end(open);
        }
        Some(Value::KvlistValue(map)) => {
            let open = writer.begin_map(key);
            map.values.iter().for_each(|pair| write_pair(writer, pair));
            writer.end(open);
        }
        _ => {
            writer.attribute(key, scalar(Some(value)));
        }
    }
}

fn write_pair(writer: &mut LogWriter<'_>, pair: &KeyValue) {
    write_value(writer, &pair.key, pair.value.as_ref().unwrap());
}

fn write(buffer: &mut LogBuffer, record: &LogRecord) {
    let mut writer = buffer.push(Timestamp::from_nanos(record.observed_time_unix_nano as i64));
    writer.set_time(Timestamp::from_nanos(record.time_unix_nano as i64));
    writer.set_severity(record.severity_number as u8, record.severity_text.as_bytes());
    writer.set_body(scalar(record.body.as_ref())).set_event_name(&record.event_name).set_flags(record.flags);
    if let Ok(trace) = record.trace_id.as_slice().try_into() {
        writer.set_trace(trace);
    }
    if let Ok(span) = record.span_id.as_slice().try_into() {
        writer.set_span(span);
    }
    record.attributes.iter().for_each(|pair| write_pair(&mut writer, pair));
}

fn written(records: &[(usize, LogRecord)]) -> LogBuffer {
    let (mut buffer, groups) = (LogBuffer::default(), groups());
    for (group, record) in records {
        buffer.set_group(&groups[*group]);
        write(&mut buffer, record);
    }
    buffer
}

/// The request that these records of [`groups`] are to become.
fn request(records: &[(usize, LogRecord)]) -> ExportLogsServiceRequest {
    let mut resource_logs: Vec<ResourceLogs> = Vec::new();
    for (group, record) in records {
        let (resource, mut attributes) = expected_group(*group);
        attributes.extend(record.attributes.iter().cloned());
        let record = LogRecord { attributes, ..record.clone() };
        let resource = Resource { attributes: resource, ..Resource::default() };
        let found = resource_logs.iter_mut().find(|known| known.resource.as_ref() == Some(&resource));
        if let Some(known) = found {
            known.scope_logs[0].log_records.push(record);
            continue;
        }
        let name = "hostmend/logs".to_owned();
        let version = scope::VERSION.to_owned();
        let scope = InstrumentationScope { name, version, ..InstrumentationScope::default() };
        let scope_logs =
            vec![ScopeLogs { scope: Some(scope), log_records: vec![record], ..ScopeLogs::default() }];
        resource_logs.push(ResourceLogs {
            resource: Some(resource),
            scope_logs,
            schema_url: scope::SCHEMA_URL.to_owned(),
        });
    }
    ExportLogsServiceRequest { resource_logs }
}

fn any_scalar() -> impl Strategy<Value = AnyValue> {
    prop_oneof![
        "[a-z =:\"{}\u{e4}]{0,200}".prop_map(|value| text(&value)),
        Just(text("{\"Password\": \"hunter2\"}")),
        Just(text("authorization: Bearer 0123456789abcdef")),
        any::<i64>().prop_map(|number| holding(Value::IntValue(number))),
        any::<f64>().prop_map(|number| holding(Value::DoubleValue(number))),
        any::<bool>().prop_map(|answer| holding(Value::BoolValue(answer))),
        proptest::collection::vec(any::<u8>(), 0..5).prop_map(|bytes| holding(Value::BytesValue(bytes))),
        Just(AnyValue::default()),
    ]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    any_scalar().prop_recursive(3, 12, 3, |inner| {
        let pairs = proptest::collection::vec((any_key(), inner.clone()), 0..3);
        prop_oneof![
            proptest::collection::vec(inner, 0..3)
                .prop_map(|values| holding(Value::ArrayValue(ArrayValue { values }))),
            pairs.prop_map(|pairs| {
                let values = pairs.into_iter().map(|(key, value)| pair(&key, value)).collect();
                holding(Value::KvlistValue(KeyValueList { values }))
            }),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d.]{0,3}", Just("db.PassWord".to_owned())]
}

prop_compose! {
    fn any_record()(
        times in (0..u64::MAX / 2, 0..3_u64),
        severity in 0..25,
        severity_text in "[A-Z]{0,4}",
        body in proptest::option::of(any_scalar().prop_filter("an empty body is none", |value| value.value.is_some())),
        attributes in proptest::collection::vec((any_key(), any_value()), 0..4),
        ids in proptest::option::of((any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u32>())),
        event_name in "[a-z]{0,3}",
    ) -> LogRecord {
        let is_empty = |id: &[u8]| id.iter().all(|byte| *byte == 0);
        let (trace, span, flags) = ids.unwrap_or_default();
        LogRecord {
            time_unix_nano: times.0,
            observed_time_unix_nano: times.1,
            severity_number: severity,
            severity_text,
            body,
            attributes: attributes.into_iter().map(|(key, value)| pair(&key, value)).collect(),
            trace_id: if is_empty(&trace) { Vec::new() } else { trace.to_vec() },
            span_id: if is_empty(&span) { Vec::new() } else { span.to_vec() },
            flags,
            event_name,
            ..LogRecord::default()
        }
    }
}

fn any_records() -> impl Strategy<Value = Vec<(usize, LogRecord)>> {
    proptest::collection::vec((0..5_usize, any_record()), 0..20)
}

static DEFAULT_MASKING: LazyLock<Masking> = LazyLock::new(|| {
    let builtins = [Builtin::SecretKeys, Builtin::Tokens, Builtin::PrivateKeys];
    let rule = MaskRule::new(&[], &[], &builtins, MaskAction::Replace("***".to_owned())).unwrap();
    Masking::new(vec![rule]).unwrap()
});

proptest! {
    #[test]
    fn records_leave_byte_for_byte_as_protobuf_writes_them(records in any_records()) {
        let batches = LogsEncoder::new(&host_attributes()).encode(&written(&records), &Masking::default());
        prop_assert_eq!(batches.len(), usize::from(!records.is_empty()));
        for batch in &batches {
            prop_assert_eq!((batch.signal, batch.items), (Signal::Logs, records.len() as u64));
            prop_assert_eq!(&batch.payload[..], request(&records).encode_to_vec());
        }
    }

    #[test]
    fn what_leaves_is_masked_as_a_whole_request_is(records in any_records()) {
        let buffer = written(&records);
        let mut encoder = LogsEncoder::new(&host_attributes());
        let plain = encoder.encode(&buffer, &Masking::default());
        let masked = encoder.encode(&buffer, &DEFAULT_MASKING);
        prop_assert_eq!(plain.len(), masked.len());
        for (plain, masked) in plain.iter().zip(&masked) {
            let expected = DEFAULT_MASKING.apply(Signal::Logs, plain.payload.clone()).unwrap();
            prop_assert_eq!(&masked.payload, &expected);
        }
    }

    #[test]
    fn split_requests_hold_the_same_records_as_one(records in any_records(), limit in 1..4000_usize) {
        let mut encoder = LogsEncoder { limit, ..LogsEncoder::new(&host_attributes()) };
        let batches = encoder.encode(&written(&records), &Masking::default());
        let mut rest = &records[..];
        for batch in &batches {
            prop_assert!(batch.payload.len() <= limit || batch.items == 1);
            prop_assert_eq!(crate::count_items(Signal::Logs, &batch.payload), Ok(batch.items));
            let (these, others) = rest.split_at(batch.items as usize);
            // Of which resource is first depends on the whole buffer.
            let sorted = |mut request: ExportLogsServiceRequest| {
                request.resource_logs.sort_by_key(|one| one.resource.as_ref().map(prost::Message::encode_to_vec));
                request.encode_to_vec()
            };
            prop_assert_eq!(sorted(decode(batch)), sorted(request(these)));
            rest = others;
        }
        prop_assert!(rest.is_empty());
    }
}

#[test]
fn an_encoder_that_is_used_again_encodes_only_the_new_records() {
    let record = |body: &str| LogRecord { body: Some(text(body)), ..LogRecord::default() };
    let (first, second) = ([(1, record("one")), (4, record("two"))], [(0, record("three"))]);
    let mut encoder = LogsEncoder::new(&host_attributes());
    for records in [&first[..], &second, &first] {
        let batches = encoder.encode(&written(records), &Masking::default());
        assert_eq!(decode(&batches[0]), request(records));
    }
}

#[test]
fn values_that_lie_too_deep_for_decoders_are_left_out_and_the_rest_decodes() {
    let mut buffer = LogBuffer::default();
    buffer.set_group(&groups()[0]);
    let mut writer = buffer.push(Timestamp::from_nanos(1));
    let open: Vec<_> = (0..200).map(|_| writer.begin_map(b"a")).collect();
    writer.attribute(b"deep", LogScalar::Int(1));
    open.into_iter().rev().for_each(|open| writer.end(open));
    writer.attribute(b"after", LogScalar::Int(2));
    let batches = LogsEncoder::new(&host_attributes()).encode(&buffer, &DEFAULT_MASKING);
    let request = decode(&batches[0]);
    let attributes = &request.resource_logs[0].scope_logs[0].log_records[0].attributes;
    assert_eq!(attributes[1], pair("after", holding(Value::IntValue(2))));
    let mut depth = 0;
    let mut value = attributes[0].value.as_ref();
    while let Some(Value::KvlistValue(map)) = value.and_then(|value| value.value.as_ref()) {
        depth += 1;
        value = map.values.first().and_then(|pair| pair.value.as_ref());
    }
    assert_eq!(depth, record::DEPTH + 1);
}

#[test]
fn a_record_that_masking_makes_too_large_leaves_without_what_it_said() {
    let mut buffer = LogBuffer::default();
    buffer.set_group(&groups()[0]);
    buffer
        .push(Timestamp::from_nanos(1))
        .set_severity(9, b"INFO")
        .set_body(LogScalar::Text(&vec![b'x'; 20_000]));
    let rule = MaskRule::new(&[], &["x".to_owned()], &[], MaskAction::Replace("*".repeat(1000))).unwrap();
    let masking = Masking::new(vec![rule]).unwrap();
    let batches = LogsEncoder::new(&host_attributes()).encode(&buffer, &masking);
    let request = decode(&batches[0]);
    let found = &request.resource_logs[0].scope_logs[0].log_records[0];
    let expected = LogRecord {
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        observed_time_unix_nano: 1,
        ..LogRecord::default()
    };
    assert_eq!(*found, expected);
}
