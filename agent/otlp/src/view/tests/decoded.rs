//! Facts of requests as texts, so that two readings can be compared; from decoded messages and from views.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Decoded, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::view::{
    AnyValue, Attribute, DataKind, DistributionView, NumberView, PointHead, Scalar, SummaryView, Temporality,
};
use crate::wire::Malformed;

pub(super) type Facts = Vec<String>;

pub(super) fn text(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

pub(super) fn value(value: AnyValue<'_>) -> String {
    match value {
        AnyValue::Empty => "empty".to_owned(),
        AnyValue::Text(value) => text(value),
        AnyValue::Bool(value) => value.to_string(),
        AnyValue::Int(value) => value.to_string(),
        AnyValue::Double(value) => format!("{:x}", value.to_bits()),
        AnyValue::Other => "other".to_owned(),
    }
}

pub(super) fn attributes<'a>(
    all: impl Iterator<Item = Result<Attribute<'a>, Malformed>>,
) -> Result<String, Malformed> {
    let all = all.map(|attribute| {
        let attribute = attribute?;
        Ok(format!("{}={};", text(attribute.key), value(attribute.value?)))
    });
    all.collect()
}

fn head(head: &PointHead<'_>) -> Result<String, Malformed> {
    Ok(format!("{} {} {} {}", head.start, head.time, head.is_gone(), attributes(head.attributes())?))
}

fn numbers<T: std::fmt::Debug>(
    numbers: impl Iterator<Item = Result<T, Malformed>>,
) -> Result<String, Malformed> {
    Ok(format!("{:?}", numbers.collect::<Result<Vec<_>, _>>()?))
}

pub(super) fn point(kind: DataKind, bytes: &[u8]) -> Result<String, Malformed> {
    let fact = match kind {
        DataKind::None => String::new(),
        DataKind::Gauge | DataKind::Sum => {
            let point = NumberView::read(bytes)?;
            let value = point.value.map(|value| match value {
                Scalar::Int(value) => value.to_string(),
                Scalar::Double(value) => format!("{:x}", value.to_bits()),
            });
            format!("{} {value:?}", head(&point.head)?)
        }
        DataKind::Histogram => {
            let point = DistributionView::read(bytes)?;
            let (counts, bounds) = (numbers(point.bucket_counts())?, numbers(point.explicit_bounds())?);
            format!("{} {} {:?} {counts} {bounds}", head(&point.head)?, point.count, point.sum)
        }
        DataKind::ExponentialHistogram => {
            let point = DistributionView::read_exponential(bytes)?;
            format!("{} {} {:?}", head(&point.head)?, point.count, point.sum)
        }
        DataKind::Summary => {
            let point = SummaryView::read(bytes)?;
            let quantiles = numbers(point.quantiles())?;
            format!("{} {} {:?} {quantiles}", head(&point.head)?, point.count, point.sum)
        }
    };
    Ok(format!(" | {fact}"))
}

fn decoded_value(decoded: Option<&Decoded>) -> String {
    value(match decoded.and_then(|value| value.value.as_ref()) {
        None => AnyValue::Empty,
        Some(Value::StringValue(value)) => AnyValue::Text(value.as_bytes()),
        Some(Value::BoolValue(value)) => AnyValue::Bool(*value),
        Some(Value::IntValue(value)) => AnyValue::Int(*value),
        Some(Value::DoubleValue(value)) => AnyValue::Double(*value),
        Some(_) => AnyValue::Other,
    })
}

fn decoded_attributes(all: &[KeyValue]) -> String {
    let all = all.iter().map(|pair| format!("{:?}={};", pair.key, decoded_value(pair.value.as_ref())));
    all.collect()
}

fn decoded_resource(resource: Option<&Resource>) -> String {
    format!(
        "resource {}",
        resource.map(|resource| decoded_attributes(&resource.attributes)).unwrap_or_default()
    )
}

pub(super) fn decoded_traces(request: &ExportTraceServiceRequest) -> Facts {
    let mut facts = Facts::new();
    for resource in &request.resource_spans {
        facts.push(decoded_resource(resource.resource.as_ref()));
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let kind = span.kind().as_str_name();
            let status = span.status.clone().unwrap_or_default().code().as_str_name();
            let attributes = decoded_attributes(&span.attributes);
            let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
            facts.push(format!("{:?} {kind} {start} {end} {status} {attributes}", span.name));
        }
    }
    facts
}

pub(super) fn decoded_logs(request: &ExportLogsServiceRequest) -> Facts {
    let mut facts = Facts::new();
    for resource in &request.resource_logs {
        facts.push(decoded_resource(resource.resource.as_ref()));
        for record in resource.scope_logs.iter().flat_map(|scope| &scope.log_records) {
            let (body, attributes) =
                (decoded_value(record.body.as_ref()), decoded_attributes(&record.attributes));
            let (time, severity) = (record.time_unix_nano, record.severity_number);
            facts.push(format!("{time} {severity} {:?} {body} {attributes}", record.severity_text));
        }
    }
    facts
}

pub(super) fn decoded_metrics(request: &ExportMetricsServiceRequest) -> Facts {
    let mut facts = Facts::new();
    for resource in &request.resource_metrics {
        facts.push(decoded_resource(resource.resource.as_ref()));
        facts.extend(resource.scope_metrics.iter().flat_map(|scope| &scope.metrics).map(decoded_metric));
    }
    facts
}

fn decoded_metric(metric: &Metric) -> String {
    let temporality = |number| match number {
        1 => Temporality::Delta,
        2 => Temporality::Cumulative,
        _ => Temporality::Unspecified,
    };
    let head = |start: u64, time: u64, flags: u32, attributes: &[KeyValue]| {
        format!("{start} {time} {} {}", flags & 1 != 0, decoded_attributes(attributes))
    };
    let number = |point: &opentelemetry_proto::tonic::metrics::v1::NumberDataPoint| {
        let value = point.value.map(|value| match value {
            number_data_point::Value::AsInt(value) => value.to_string(),
            number_data_point::Value::AsDouble(value) => format!("{:x}", value.to_bits()),
        });
        let head = head(point.start_time_unix_nano, point.time_unix_nano, point.flags, &point.attributes);
        format!(" | {head} {value:?}")
    };
    let none = Temporality::Unspecified;
    let (kind, temporality, monotonic, points): (_, _, _, String) = match &metric.data {
        None => (DataKind::None, none, false, String::new()),
        Some(Data::Gauge(data)) => {
            (DataKind::Gauge, none, false, data.data_points.iter().map(number).collect())
        }
        Some(Data::Sum(data)) => {
            let points = data.data_points.iter().map(number).collect();
            (DataKind::Sum, temporality(data.aggregation_temporality), data.is_monotonic, points)
        }
        Some(Data::Histogram(data)) => {
            let points = data.data_points.iter().map(|p| {
                let head = head(p.start_time_unix_nano, p.time_unix_nano, p.flags, &p.attributes);
                format!(" | {head} {} {:?} {:?} {:?}", p.count, p.sum, p.bucket_counts, p.explicit_bounds)
            });
            (DataKind::Histogram, temporality(data.aggregation_temporality), false, points.collect())
        }
        Some(Data::ExponentialHistogram(data)) => {
            let points = data.data_points.iter().map(|p| {
                let head = head(p.start_time_unix_nano, p.time_unix_nano, p.flags, &p.attributes);
                format!(" | {head} {} {:?}", p.count, p.sum)
            });
            let temporality = temporality(data.aggregation_temporality);
            (DataKind::ExponentialHistogram, temporality, false, points.collect())
        }
        Some(Data::Summary(data)) => {
            let points = data.data_points.iter().map(|p| {
                let head = head(p.start_time_unix_nano, p.time_unix_nano, p.flags, &p.attributes);
                let quantiles: Vec<_> =
                    p.quantile_values.iter().map(|pair| (pair.quantile, pair.value)).collect();
                format!(" | {head} {} {:?} {quantiles:?}", p.count, p.sum)
            });
            (DataKind::Summary, none, false, points.collect())
        }
    };
    let (name, unit) = (&metric.name, &metric.unit);
    format!("{name:?} {unit:?} {kind:?} {temporality:?} {monotonic}{points}")
}
