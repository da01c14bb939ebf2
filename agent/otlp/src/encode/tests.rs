use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric, number_data_point};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::samples::{AT, BOOT, buffers, host_attributes, small_host};

fn decode(batch: &Batch) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(batch.payload.clone()).expect("an encoded request decodes")
}

fn encode(samples: &SampleBuffer) -> Vec<ExportMetricsServiceRequest> {
    MetricsEncoder::new(&host_attributes()).encode(samples).iter().map(decode).collect()
}

fn text(attributes: &[KeyValue]) -> Vec<String> {
    let value = |pair: &KeyValue| match pair.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => format!("{}={text:?}", pair.key),
        Some(any_value::Value::IntValue(number)) => format!("{}={number}", pair.key),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(value).collect()
}

fn expected_text<'a>(attributes: impl Iterator<Item = (&'static str, Value<'a>)>) -> Vec<String> {
    let value = |(key, value)| match value {
        Value::Str(text) => format!("{key}={text:?}"),
        Value::Int(number) => format!("{key}={number}"),
        Value::Absent => unreachable!("absent values are left out"),
    };
    attributes.map(value).collect()
}

/// The points of a metric with the kind of its data: `sum`, cumulative or not, monotonic or not.
fn data(metric: &Metric) -> (&[NumberDataPoint], Instrument) {
    match metric.data.as_ref().unwrap() {
        metric::Data::Gauge(gauge) => (&gauge.data_points, Instrument::Gauge),
        metric::Data::Sum(sum) => {
            assert_eq!(sum.aggregation_temporality, 2);
            let kind = if sum.is_monotonic { Instrument::Counter } else { Instrument::UpDownCounter };
            (&sum.data_points, kind)
        }
        other => panic!("{other:?}"),
    }
}

fn assert_same(point: &NumberDataPoint, view: PointView<'_>, start: Timestamp) {
    let start = if view.metric.instrument == Instrument::Gauge { 0 } else { nanos(start.min(view.at)) };
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (start, nanos(view.at)));
    assert_eq!(text(&point.attributes), expected_text(view.attributes()));
    match (view.number, &point.value) {
        (Number::Int(value), Some(number_data_point::Value::AsInt(found))) => assert_eq!(value, *found),
        (Number::Double(value), Some(number_data_point::Value::AsDouble(found))) => {
            assert_eq!(value.to_bits(), found.to_bits());
        }
        (Number::Gone, None) => {}
        (expected, found) => panic!("{expected:?} became {found:?}"),
    }
    assert_eq!(point.flags, u32::from(view.number == Number::Gone));
}

proptest! {
    #[test]
    fn every_point_arrives_with_its_entity_scope_kind_time_and_attributes(samples in buffers()) {
        let requests = encode(&samples);
        let resources: Vec<_> = requests.iter().flat_map(|request| &request.resource_metrics).collect();
        prop_assert_eq!(resources.len(), samples.entities().count());
        for (resource, entity) in resources.iter().zip(samples.entities()) {
            let found = text(&resource.resource.as_ref().unwrap().attributes);
            prop_assert!(found.ends_with(&expected_text(entity.attributes())));
            prop_assert!(found.contains(&"host.name=\"web-01\"".to_owned()));
            let mut views: Vec<_> = entity.points().collect();
            views.sort_by_key(|view| view.metric.scope);
            let mut views = views.into_iter();
            for scope in &resource.scope_metrics {
                let name = scope.scope.as_ref().unwrap().name.as_str();
                for metric in &scope.metrics {
                    let (points, kind) = data(metric);
                    for point in points {
                        let view = views.next().unwrap();
                        let spec = view.metric;
                        prop_assert_eq!(
                            (spec.name, spec.unit, spec.description, spec.instrument, scope::name(spec.scope)),
                            (&*metric.name, &*metric.unit, &*metric.description, kind, name)
                        );
                        prop_assert_eq!(scope::schema_url(spec.scope), &scope.schema_url);
                        assert_same(point, view, entity.start);
                    }
                }
            }
            prop_assert_eq!(views.len(), 0);
        }
    }

    #[test]
    fn split_requests_hold_the_same_points_as_one(samples in buffers(), limit in 1..4000_usize) {
        let whole = encode(&samples);
        let mut encoder = MetricsEncoder { limit, ..MetricsEncoder::new(&host_attributes()) };
        let batches = encoder.encode(&samples);
        let items: u64 = batches.iter().map(|batch| batch.items).sum();
        prop_assert_eq!(items, samples.len() as u64);
        let parts: Vec<_> = batches.iter().map(decode).collect();
        for (batch, part) in batches.iter().zip(&parts) {
            prop_assert!(batch.payload.len() <= limit || part.resource_metrics.len() == 1);
            prop_assert_eq!(crate::count_items(Signal::Metrics, &batch.payload), Ok(batch.items));
        }
        // Compared as bytes: a NaN does not equal itself.
        let bytes = |requests: Vec<ExportMetricsServiceRequest>| -> Vec<Vec<u8>> {
            let resources = requests.into_iter().flat_map(|request| request.resource_metrics);
            resources.map(|resource| resource.encode_to_vec()).collect()
        };
        prop_assert_eq!(bytes(whole), bytes(parts));
    }
}

#[test]
fn an_empty_buffer_makes_no_request() {
    let mut samples = SampleBuffer::default();
    samples.reset(AT, BOOT);
    assert_eq!(encode(&samples), []);
}

#[test]
fn an_encoder_that_is_used_again_encodes_only_the_new_samples() {
    let mut encoder = MetricsEncoder::new(&host_attributes());
    let first = encoder.encode(&small_host(3));
    encoder.encode(&small_host(1));
    let again = encoder.encode(&small_host(3));
    assert_eq!(decode(&first[0]), decode(&again[0]));
    assert_eq!(again[0].items, 6);
}

#[test]
fn an_entity_that_names_itself_keeps_its_name() {
    let mut samples = SampleBuffer::default();
    samples.reset(AT, BOOT);
    samples.entity(&crate::samples::PROCESS, BOOT, &[Value::Int(7), Value::Str("nginx"), Value::Str("shop")]);
    samples.int(&crate::samples::SPECS[5], &[], 1);
    let requests = encode(&samples);
    let resource = requests[0].resource_metrics[0].resource.as_ref().unwrap();
    assert_eq!(
        text(&resource.attributes),
        [
            "host.name=\"web-01\"",
            "process.pid=7",
            "process.executable.name=\"nginx\"",
            "service.name=\"shop\""
        ]
    );
}

#[test]
fn entities_that_are_not_wanted_are_not_encoded_and_not_counted() {
    let mut encoder = MetricsEncoder::new(&host_attributes()).without(&crate::samples::PROCESS);
    let batches = encoder.encode(&small_host(3));
    assert_eq!(batches.iter().map(|batch| batch.items).collect::<Vec<_>>(), [3]);
    assert_eq!(decode(&batches[0]).resource_metrics.len(), 1);
}

static SPELLINGS: [Spelling; 2] = [
    Spelling {
        of: "system.memory.usage",
        name: "memory",
        unit: "B",
        value: Some(ValueType::Double),
        attributes: &[("system.memory.state", AttributeSpelling::As("state", &[("used", "taken")]))],
    },
    Spelling {
        of: "hostmend.probe.up",
        name: "up",
        unit: "1",
        value: None,
        attributes: &[
            ("probe.name", AttributeSpelling::Only(None, "web")),
            ("probe.port", AttributeSpelling::Numbered("port", "port")),
        ],
    },
];

#[test]
fn metrics_are_sent_as_they_are_spelled_for_the_receiver_and_others_as_they_are() {
    let metric = |name| crate::samples::SPECS.iter().find(|metric| metric.name == name).unwrap();
    let mut samples = SampleBuffer::default();
    samples.reset(AT, BOOT);
    let memory = metric("system.memory.usage");
    samples.int(memory, &[Value::Str("used")], 1);
    samples.int(memory, &[Value::Str("free")], 2);
    let up = metric("hostmend.probe.up");
    samples.int(up, &[Value::Str("mail"), Value::Absent, Value::Int(25)], 1);
    samples.int(up, &[Value::Str("web"), Value::Absent, Value::Int(80)], 1);
    samples.double(metric("system.uptime"), &[], 7.0);
    let mut encoder = MetricsEncoder::new(&host_attributes());
    encoder.spell(&SPELLINGS);
    let batches = encoder.encode(&samples);
    assert_eq!(batches[0].items, 4);
    let request = decode(&batches[0]);
    let mut lines = Vec::new();
    for scope in &request.resource_metrics[0].scope_metrics {
        assert_eq!(scope.schema_url, "");
        for metric in &scope.metrics {
            for point in data(metric).0 {
                let attributes = text(&point.attributes).join(" ");
                lines.push(format!(
                    "{} {} {attributes} {:?}",
                    metric.name,
                    metric.unit,
                    point.value.unwrap()
                ));
            }
        }
    }
    lines.sort();
    assert_eq!(
        lines,
        [
            "memory B state=\"free\" AsDouble(2.0)",
            "memory B state=\"taken\" AsDouble(1.0)",
            "system.uptime By  AsDouble(7.0)",
            "up 1 port=\"port80\" AsInt(1)",
        ]
    );
}

#[test]
fn a_metric_of_which_no_point_is_sent_is_not_sent() {
    let mut samples = SampleBuffer::default();
    samples.reset(AT, BOOT);
    let up = crate::samples::SPECS.iter().find(|metric| metric.name == "hostmend.probe.up").unwrap();
    samples.int(up, &[Value::Str("mail"), Value::Absent, Value::Int(25)], 1);
    let mut encoder = MetricsEncoder::new(&host_attributes());
    encoder.spell(&SPELLINGS);
    assert!(encoder.encode(&samples).is_empty());
}
