//! The labels of host series, by OpenTelemetry's names and by Prometheus'.

use telemetry::{EntityView, Labels, LabelsBuilder, METRIC_NAME, PointView, Value};

use super::ScrapedAs;
use crate::names::{prometheus_label, prometheus_name};

pub(super) fn otel_labels(entity: &EntityView<'_>, point: &PointView<'_>, scraped: &ScrapedAs) -> Labels {
    let mut labels = LabelsBuilder::default();
    for (key, value) in entity.attributes().chain(point.attributes()) {
        set(&mut labels, key, value);
    }
    scraped.label(point.metric, &mut labels);
    labels.set(METRIC_NAME, point.metric.name);
    labels.build()
}

fn set(labels: &mut LabelsBuilder, key: &str, value: Value<'_>) {
    match value {
        Value::Absent => {}
        Value::Str(text) => {
            labels.set(key, text);
        }
        Value::Int(number) => {
            labels.set(key, &number.to_string());
        }
    }
}

pub(super) fn prometheus_labels(point: &PointView<'_>, otel: &Labels) -> Labels {
    let mut labels = otel.to_builder();
    for (key, value) in otel.iter() {
        let label = prometheus_label(key);
        if label != key {
            labels.set(key, "");
            labels.set(&label, value);
        }
    }
    labels.set(METRIC_NAME, &prometheus_name(point.metric));
    labels.build()
}
