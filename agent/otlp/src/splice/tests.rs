use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::generated::{Manner, any_request, damaged};
use crate::wire::bytes_field;
use crate::{check_strictly, count_items};

fn texts(attributes: &[(&str, &str)]) -> telemetry::Attributes {
    attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
}

fn attribute(key: &str, value: &AttributeValue) -> KeyValue {
    let text = |text: &String| Value::StringValue(text.clone());
    let value = match value {
        AttributeValue::Text(value) => text(value),
        AttributeValue::Int(number) => Value::IntValue(*number),
        AttributeValue::Texts(texts) => {
            let values = texts.iter().map(|value| AnyValue { value: Some(text(value)) }).collect();
            Value::ArrayValue(ArrayValue { values })
        }
    };
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

/// What the splice promises, done with decoded messages.
fn expected(
    resource: &mut Option<Resource>,
    missing: &[(String, AttributeValue)],
    replaced: &[(&str, &str)],
) {
    let mut attributes = resource.as_ref().map_or_else(Vec::new, |resource| resource.attributes.clone());
    let mut added = Vec::new();
    for (key, value) in missing.iter().filter(|(key, _)| replaced.iter().all(|(other, _)| other != key)) {
        if !attributes.iter().any(|attribute| attribute.key == *key) {
            added.push(attribute(key, value));
        }
    }
    for (key, value) in replaced {
        let wanted = attribute(key, &(*value).into());
        let found: Vec<&KeyValue> = attributes.iter().filter(|attribute| attribute.key == *key).collect();
        if found != [&wanted] {
            attributes.retain(|attribute| attribute.key != *key);
            added.push(wanted);
        }
    }
    attributes.extend(added);
    // A replaced attribute is the last one, except where it was right but oddly encoded.
    attributes.sort_by(|one, other| one.key.cmp(&other.key));
    resource.get_or_insert_default().attributes = attributes;
}

fn spliced_by_decoding(
    signal: Signal,
    payload: &[u8],
    missing: &[(String, AttributeValue)],
    replaced: &[(&str, &str)],
) -> Vec<u8> {
    match signal {
        Signal::Metrics => {
            let mut request = ExportMetricsServiceRequest::decode(payload).unwrap();
            request.resource_metrics.iter_mut().for_each(|it| expected(&mut it.resource, missing, replaced));
            request.encode_to_vec()
        }
        Signal::Traces => {
            let mut request = ExportTraceServiceRequest::decode(payload).unwrap();
            request.resource_spans.iter_mut().for_each(|it| expected(&mut it.resource, missing, replaced));
            request.encode_to_vec()
        }
        Signal::Logs => {
            let mut request = ExportLogsServiceRequest::decode(payload).unwrap();
            request.resource_logs.iter_mut().for_each(|it| expected(&mut it.resource, missing, replaced));
            request.encode_to_vec()
        }
    }
}

proptest! {
    #[test]
    fn a_decoder_sees_the_request_with_its_attributes_and_nothing_else_changed(
        (signal, payload) in any_request(Manner::Wild),
    ) {
        let mut missing = texts(&[("host.name", "web-01"), ("host.id", "7"), ("k", &"v".repeat(300))]);
        missing.push(("host.cpu.cache.l2.size".to_owned(), AttributeValue::Int(1 << 20)));
        missing.push(("host.ip".to_owned(), AttributeValue::Texts(vec!["192.0.2.1".to_owned(), "fe80::1".to_owned()])));
        for replaced in [&[][..], &[("service.name", "shop")], &[("host.name", ""), ("a", "b")]] {
            let splice = replaced.iter().fold(Splice::new(&missing), |splice, (key, value)| {
                splice.with_override(key, value)
            });
            let spliced = splice.apply(signal, payload.clone().into()).unwrap();
            let decoded = spliced_by_decoding(signal, &spliced, &[], &[]);
            prop_assert!(decoded == spliced_by_decoding(signal, &payload, &missing, replaced));
            prop_assert_eq!(count_items(signal, &spliced), count_items(signal, &payload));
            let again = splice.apply(signal, spliced.clone()).unwrap();
            prop_assert_eq!(again.as_ptr(), spliced.as_ptr(), "the second time nothing is missing");
        }
    }

    #[test]
    fn no_damage_makes_the_splice_panic((signal, payload) in damaged(any_request(Manner::Wild))) {
        let splice = Splice::new(&texts(&[("host.name", "web-01")])).with_override("service.name", "shop");
        let spliced = splice.apply(signal, payload.clone().into());
        if check_strictly(signal, &payload).is_ok() {
            prop_assert!(check_strictly(signal, &spliced.unwrap()).is_ok());
        }
    }
}

#[test]
fn bytes_around_the_resource_are_copied_whatever_they_are() {
    // An unknown field before and after a resource with an unknown field, in an order that senders do not use.
    let mut resource = Vec::new();
    bytes_field(&mut resource, 900, b"new in resource");
    let mut resource_logs = Vec::new();
    bytes_field(&mut resource_logs, 800, b"new before");
    bytes_field(&mut resource_logs, 1, &resource);
    bytes_field(&mut resource_logs, 2, b"\x12\x00\xa2\x06\x03new");
    let mut payload = Vec::new();
    bytes_field(&mut payload, 700, b"new in request");
    bytes_field(&mut payload, 1, &resource_logs);
    bytes_field(&mut payload, 701, b"and behind");

    let splice = Splice::new(&texts(&[("a", "b")]));
    let mut expected_resource = resource.clone();
    bytes_field(&mut expected_resource, 1, b"\x0a\x01a\x12\x03\x0a\x01b");
    let mut expected_logs = Vec::new();
    bytes_field(&mut expected_logs, 1, &expected_resource);
    bytes_field(&mut expected_logs, 800, b"new before");
    bytes_field(&mut expected_logs, 2, b"\x12\x00\xa2\x06\x03new");
    let mut expected = Vec::new();
    bytes_field(&mut expected, 700, b"new in request");
    bytes_field(&mut expected, 1, &expected_logs);
    bytes_field(&mut expected, 701, b"and behind");
    assert_eq!(splice.apply(Signal::Logs, payload.into()), Ok(expected.into()));
}

#[test]
fn a_request_does_not_grow_without_limit() {
    // Two bytes for each resource.
    let payload = Bytes::from([0x0a, 0].repeat(1 << 20));
    let splice = Splice::new(&texts(&[("host.name", &"n".repeat(200))]));
    let error = splice.apply(Signal::Traces, payload).unwrap_err().to_string();
    assert!(error.contains("too many resources"), "{error}");
}

#[test]
fn without_attributes_nothing_changes() {
    let payload = Bytes::from_static(&[0x0a, 0]);
    let same = Splice::default().apply(Signal::Logs, payload.clone()).unwrap();
    assert_eq!(same.as_ptr(), payload.as_ptr());
}
