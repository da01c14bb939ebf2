//! Families of metrics that were told as a text, as OTLP: counters become cumulative sums, histograms and summaries keep
//! their kind, and what has no type is a gauge. Names stay as they are; when a counter began is not known and not said.

use std::collections::BTreeMap;

use bytes::Bytes;
use telemetry::{AttributeValue, Batch, Family, FamilyKind, FamilySample, Signal, Timestamp};

use crate::encode::{CUMULATIVE, nanos};
use crate::scope::VERSION;
use crate::wire::{attribute_field, bytes_field, fixed64_field, message_field, text_field, varint_field};

/// The scope under which they are sent.
const SCOPE: &str = "hostmend/textfile";

/// Encodes families under the resource of the host.
#[derive(Debug)]
pub struct FamilyEncoder {
    resource: Vec<u8>,
}

impl FamilyEncoder {
    /// An encoder for the host with these resource attributes.
    pub fn new(host_attributes: &[(String, AttributeValue)]) -> Self {
        let mut resource = Vec::new();
        for (key, value) in host_attributes {
            attribute_field(&mut resource, 1, key, value);
        }
        Self { resource }
    }

    /// The request that carries `families` as they are at `now`; none when there is no point. It is as large as they are:
    /// the caller keeps them small.
    pub fn encode(&self, families: &[Family], now: Timestamp) -> Option<Batch> {
        let (mut metrics, mut items) = (Vec::new(), 0);
        for family in families {
            message_field(&mut metrics, 2, 2, |out| {
                text_field(out, 1, &family.name);
                text_field(out, 2, &family.help);
                items += data(out, family, nanos(now));
            });
        }
        if items == 0 {
            return None;
        }
        let mut out = Vec::with_capacity(metrics.len() + self.resource.len() + 256);
        message_field(&mut out, 1, 3, |out| {
            bytes_field(out, 1, &self.resource);
            message_field(out, 2, 3, |out| {
                message_field(out, 1, 1, |out| {
                    text_field(out, 1, SCOPE);
                    text_field(out, 2, VERSION);
                });
                out.extend_from_slice(&metrics);
            });
        });
        Some(Batch { signal: Signal::Metrics, payload: Bytes::from(out), items })
    }
}

/// Writes the data of a metric, and says how many points it has.
fn data(out: &mut Vec<u8>, family: &Family, now: u64) -> u64 {
    let mut points = Vec::new();
    let mut count = 0;
    match family.kind {
        FamilyKind::Counter | FamilyKind::Gauge | FamilyKind::Untyped => {
            for sample in &family.samples {
                message_field(&mut points, 1, 1, |out| {
                    fixed64_field(out, 3, now);
                    fixed64_field(out, 4, sample.value.to_bits());
                    for (key, value) in &sample.labels {
                        attribute(out, 7, key, value);
                    }
                });
                count += 1;
            }
        }
        FamilyKind::Histogram => {
            for (labels, distribution) in distributions(family, "le") {
                message_field(&mut points, 1, 2, |out| histogram(out, &labels, &distribution, now));
                count += 1;
            }
        }
        FamilyKind::Summary => {
            for (labels, distribution) in distributions(family, "quantile") {
                message_field(&mut points, 1, 2, |out| summary(out, &labels, &distribution, now));
                count += 1;
            }
        }
    }
    let (field, cumulative, monotonic) = match family.kind {
        FamilyKind::Counter => (7, true, true),
        FamilyKind::Histogram => (9, true, false),
        FamilyKind::Summary => (11, false, false),
        FamilyKind::Gauge | FamilyKind::Untyped => (5, false, false),
    };
    message_field(out, field, 3, |out| {
        out.extend_from_slice(&points);
        if cumulative {
            varint_field(out, 2, CUMULATIVE);
        }
        if monotonic {
            varint_field(out, 3, 1);
        }
    });
    count
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// What the samples of one histogram or summary say together.
#[derive(Default)]
struct Distribution {
    /// By bound or quantile.
    values: Vec<(f64, f64)>,
    sum: f64,
    count: f64,
}

fn distributions<'a>(family: &'a Family, key: &str) -> BTreeMap<Labels<'a>, Distribution> {
    let mut all: BTreeMap<Labels<'a>, Distribution> = BTreeMap::new();
    for FamilySample { name, labels, value } in &family.samples {
        let others = labels.iter().filter(|(label, _)| label != key);
        let others = others.map(|(label, value)| (label.as_str(), value.as_str())).collect();
        let distribution = all.entry(others).or_default();
        let ending = name.strip_prefix(family.name.as_str()).unwrap_or_default();
        match ending {
            "_sum" => distribution.sum = *value,
            "_count" => distribution.count = *value,
            _ => {
                let at = labels.iter().find(|(label, _)| label == key);
                if let Some(at) = at.and_then(|(_, at)| at.parse().ok()) {
                    distribution.values.push((at, *value));
                }
            }
        }
    }
    for distribution in all.values_mut() {
        distribution.values.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    all
}

/// Buckets are cumulative in the text and are not in OTLP, which has the last one, up to infinity, without a bound.
fn histogram(out: &mut Vec<u8>, labels: &Labels<'_>, distribution: &Distribution, now: u64) {
    let finite = || distribution.values.iter().filter(|(bound, _)| bound.is_finite());
    let infinite = distribution.values.iter().find(|(bound, _)| *bound == f64::INFINITY);
    let total = infinite.map_or(distribution.count, |(_, count)| *count);
    let mut below = 0;
    let mut count_up_to = |count: f64| {
        let here = (count as u64).saturating_sub(below);
        below += here;
        here
    };
    let counts: Vec<u64> = finite().map(|(_, count)| *count).chain([total]).map(&mut count_up_to).collect();
    fixed64_field(out, 3, now);
    // The count has to be that of the buckets.
    fixed64_field(out, 4, counts.iter().sum());
    fixed64_field(out, 5, distribution.sum.to_bits());
    bytes_field(out, 6, &counts.iter().flat_map(|count| count.to_le_bytes()).collect::<Vec<u8>>());
    bytes_field(out, 7, &finite().flat_map(|(bound, _)| bound.to_le_bytes()).collect::<Vec<u8>>());
    for (key, value) in labels {
        attribute(out, 9, key, value);
    }
}

fn summary(out: &mut Vec<u8>, labels: &Labels<'_>, distribution: &Distribution, now: u64) {
    fixed64_field(out, 3, now);
    fixed64_field(out, 4, distribution.count as u64);
    fixed64_field(out, 5, distribution.sum.to_bits());
    for (quantile, value) in &distribution.values {
        message_field(out, 6, 1, |out| {
            fixed64_field(out, 1, quantile.to_bits());
            fixed64_field(out, 2, value.to_bits());
        });
    }
    for (key, value) in labels {
        attribute(out, 7, key, value);
    }
}

fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    message_field(out, field, 1, |out| {
        text_field(out, 1, key);
        message_field(out, 2, 1, |out| bytes_field(out, 1, value.as_bytes()));
    });
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    use prost::Message;

    use super::*;
    use crate::check_strictly;

    /// The ending of a name, labels, and a value.
    type Told<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

    fn family(name: &str, kind: FamilyKind, samples: &[Told<'_>]) -> Family {
        let owned = |labels: &[(&str, &str)]| {
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let sample = |(ending, labels, value): &Told<'_>| FamilySample {
            name: format!("{name}{ending}"),
            labels: owned(labels),
            value: *value,
        };
        Family {
            name: name.to_owned(),
            help: "Help.".to_owned(),
            kind,
            samples: samples.iter().map(sample).collect(),
        }
    }

    #[test]
    fn every_kind_keeps_its_meaning() {
        let families = [
            family(
                "jobs_total",
                FamilyKind::Counter,
                &[("", &[("job", "a")], 3.0), ("", &[("job", "b")], 4.5)],
            ),
            family("last", FamilyKind::Untyped, &[("", &[], f64::NAN)]),
            family(
                "took",
                FamilyKind::Histogram,
                &[
                    ("_bucket", &[("le", "+Inf"), ("x", "1")], 7.0),
                    ("_bucket", &[("le", "0.5"), ("x", "1")], 2.0),
                    ("_bucket", &[("le", "2"), ("x", "1")], 5.0),
                    ("_sum", &[("x", "1")], 9.5),
                    ("_count", &[("x", "1")], 7.0),
                ],
            ),
            family(
                "waited",
                FamilyKind::Summary,
                &[("", &[("quantile", "0.9")], 1.5), ("_sum", &[], 6.0), ("_count", &[], 8.0)],
            ),
        ];
        let batch = FamilyEncoder::new(&[]).encode(&families, Timestamp::from_secs(60)).unwrap();
        assert_eq!(check_strictly(Signal::Metrics, &batch.payload), Ok(batch.items));
        let request = ExportMetricsServiceRequest::decode(batch.payload).unwrap();
        let scope = &request.resource_metrics[0].scope_metrics[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, SCOPE);
        let [counter, untyped, histogram, summary] = &scope.metrics[..] else { panic!("{scope:?}") };
        let Some(Data::Sum(sum)) = &counter.data else { panic!("{counter:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2 && sum.data_points.len() == 2);
        assert_eq!(sum.data_points[1].value, Some(Value::AsDouble(4.5)));
        assert!(matches!(untyped.data, Some(Data::Gauge(_))));
        let Some(Data::Histogram(took)) = &histogram.data else { panic!("{histogram:?}") };
        let point = &took.data_points[0];
        assert_eq!((&point.bucket_counts[..], &point.explicit_bounds[..]), (&[2, 3, 2][..], &[0.5, 2.0][..]));
        assert_eq!((point.count, point.sum, point.attributes.len()), (7, Some(9.5), 1));
        let Some(Data::Summary(waited)) = &summary.data else { panic!("{summary:?}") };
        let point = &waited.data_points[0];
        assert_eq!((point.count, point.sum, point.quantile_values[0].value), (8, 6.0, 1.5));
    }

    #[test]
    fn families_without_samples_are_not_sent() {
        let batch = FamilyEncoder::new(&[]).encode(&[family("a", FamilyKind::Gauge, &[])], Timestamp::EPOCH);
        assert!(batch.is_none());
    }
}
