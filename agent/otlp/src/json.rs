//! The same samples as OTLP/JSON, for a person or a checker to read.
//!
//! Follows OTLP's JSON mapping: 64-bit integers are texts, enums are numbers, keys are lowerCamelCase. Not made for
//! speed: nothing is sent in this form.

use serde_json::{Map, Value as Json, json};
use telemetry::{EntityView, Instrument, Number, PointView, SampleBuffer, Scope, Timestamp, Value};

use crate::encode::{CUMULATIVE, NO_RECORDED_VALUE, nanos};
use crate::scope;

/// One `ExportMetricsServiceRequest` on one line, without a line end; `None` when there is no sample.
///
/// `host_attributes` are those of [`crate::MetricsEncoder::new`].
pub fn to_json(host_attributes: &[(String, String)], samples: &SampleBuffer) -> Option<String> {
    let resources: Vec<Json> =
        samples.entities().map(|entity| resource_metrics(host_attributes, entity)).collect();
    (!resources.is_empty()).then(|| json!({ "resourceMetrics": resources }).to_string())
}

fn resource_metrics(host: &[(String, String)], entity: EntityView<'_>) -> Json {
    let inherited = host
        .iter()
        .filter(|(key, _)| !entity.spec.attributes.contains(&key.as_str()))
        .map(|(key, value)| attribute(key, Value::Str(value)));
    let own = entity.attributes().map(|(key, value)| attribute(key, value));
    let scopes: Vec<Json> = scope::ALL.into_iter().filter_map(|scope| scope_metrics(scope, entity)).collect();
    json!({
        "resource": { "attributes": inherited.chain(own).collect::<Vec<_>>() },
        "scopeMetrics": scopes,
        "schemaUrl": scope::SCHEMA_URL,
    })
}

fn scope_metrics(scope: Scope, entity: EntityView<'_>) -> Option<Json> {
    let points: Vec<PointView<'_>> = entity.points().filter(|point| point.metric.scope == scope).collect();
    let metrics: Vec<Json> = points
        .chunk_by(|one, next| std::ptr::eq(one.metric, next.metric))
        .filter_map(|run| metric(run, entity.start))
        .collect();
    (!metrics.is_empty()).then(|| {
        json!({
            "scope": { "name": scope::name(scope), "version": scope::VERSION },
            "metrics": metrics,
            "schemaUrl": scope::schema_url(scope),
        })
    })
}

fn metric(run: &[PointView<'_>], start: Timestamp) -> Option<Json> {
    let spec = run.first()?.metric;
    let points: Vec<Json> = run
        .iter()
        .map(|point| {
            let mut json = Map::new();
            if spec.instrument != Instrument::Gauge {
                let start = nanos(start.min(point.at)).to_string();
                json.insert("startTimeUnixNano".to_owned(), Json::from(start));
            }
            json.insert("timeUnixNano".to_owned(), Json::from(nanos(point.at).to_string()));
            let (key, value) = number(point.number);
            json.insert(key.to_owned(), value);
            let attributes = point.attributes().map(|(key, value)| attribute(key, value));
            json.insert("attributes".to_owned(), attributes.collect());
            Json::Object(json)
        })
        .collect();
    let (kind, data) = match spec.instrument {
        Instrument::Gauge => ("gauge", json!({ "dataPoints": points })),
        Instrument::Counter | Instrument::UpDownCounter => (
            "sum",
            json!({
                "dataPoints": points,
                "aggregationTemporality": CUMULATIVE,
                "isMonotonic": spec.instrument == Instrument::Counter,
            }),
        ),
    };
    let mut json = json!({ "name": spec.name, "description": spec.description, "unit": spec.unit });
    json.as_object_mut()?.insert(kind.to_owned(), data);
    Some(json)
}

fn number(number: Number) -> (&'static str, Json) {
    match number {
        Number::Int(value) => ("asInt", Json::from(value.to_string())),
        Number::Double(value) if value.is_nan() => ("asDouble", Json::from("NaN")),
        Number::Double(value) if value == f64::INFINITY => ("asDouble", Json::from("Infinity")),
        Number::Double(value) if value == f64::NEG_INFINITY => ("asDouble", Json::from("-Infinity")),
        Number::Double(value) => ("asDouble", Json::from(value)),
        Number::Gone => ("flags", Json::from(NO_RECORDED_VALUE)),
    }
}

fn attribute(key: &str, value: Value<'_>) -> Json {
    let value = match value {
        Value::Str(text) => json!({ "stringValue": text }),
        Value::Int(number) => json!({ "intValue": number.to_string() }),
        Value::Absent => json!({}),
    };
    json!({ "key": key, "value": value })
}

#[cfg(test)]
mod tests;
