use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use collectors::{Collection, HostRoot, Options};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric};
use otlp::MetricsEncoder;
use prost::Message as _;
use telemetry::{SampleBuffer, Timestamp};

use crate::config::Names;

/// For each metric of the receiver, its attributes with the values that they may have; any, if there are none.
fn receiver() -> BTreeMap<&'static str, BTreeMap<&'static str, Vec<&'static str>>> {
    let facts = include_str!("../../../collectors/src/names/collector/receiver-0.158.0.txt");
    let lines = facts.lines().filter(|line| !line.starts_with('#'));
    let known = lines.map(|line| {
        let attributes = line.split(' ').skip(4).map(|word| match word.split_once('=') {
            Some((key, values)) => (key, values.split('|').collect()),
            None => (word, Vec::new()),
        });
        (line.split(' ').next().unwrap(), attributes.collect())
    });
    known.collect()
}

fn points(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref().unwrap() {
        metric::Data::Sum(sum) => &sum.data_points,
        metric::Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("{other:?}"),
    }
}

/// What one collection of a captured host is sent as, by the names of the receiver, of which `known` has the attributes.
fn sent(known: &BTreeMap<&str, BTreeMap<&str, Vec<&str>>>) -> BTreeSet<String> {
    let options = Options { per_cpu: true, ..Options::default() };
    let mut collection = Collection::open(HostRoot::fixture("firecracker-6.18"), options, &|_| true).unwrap();
    let mut buffer = SampleBuffer::default();
    collection.collect(Timestamp::from_secs(1_800_000_000), &mut std::time::Duration::default, &mut buffer);
    let mut encoder = MetricsEncoder::new(&[]);
    encoder.spell(Names::Collector.spellings());
    let mut lines = BTreeSet::new();
    for batch in encoder.encode(&buffer) {
        let request = ExportMetricsServiceRequest::decode(batch.payload).unwrap();
        let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        for scope in scopes {
            assert_eq!(scope.schema_url, "", "names of several schemas");
            for metric in scope.metrics.iter().filter(|metric| known.contains_key(&*metric.name)) {
                lines.extend(points(metric).iter().map(|point| line(metric, point, &known[&*metric.name])));
            }
        }
    }
    lines
}

fn line(metric: &Metric, point: &NumberDataPoint, known: &BTreeMap<&str, Vec<&str>>) -> String {
    let attributes = point.attributes.iter().map(|attribute| {
        let key = &attribute.key;
        let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => text.clone(),
            Some(Value::IntValue(number)) => number.to_string(),
            other => panic!("{other:?}"),
        };
        let values = known.get(&**key).unwrap_or_else(|| panic!("{} has no {key}", metric.name));
        assert!(values.is_empty() || values.contains(&&*value), "{}: {key}={value}", metric.name);
        format!(" {key}={value}")
    });
    format!("{} {}{}\n", metric.name, metric.unit, attributes.collect::<String>())
}

/// `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn under_the_collectors_names_a_host_is_sent_as_its_receiver_sends_it() {
    let sent: String = sent(&receiver()).into_iter().collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/collect/collector_names.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &sent).unwrap();
    }
    assert_eq!(sent, std::fs::read_to_string(golden).unwrap(), "UPDATE_GOLDEN=1 renews it");
}
