//! The agent's own figures as Prometheus reads them, from the table that also goes out over OTLP.
//!
//! The text format 0.0.4. A line `# UNIT` is of `OpenMetrics`, and a comment to others.

use std::borrow::Cow;
use std::fmt::Write as _;

use series::{prometheus_label, prometheus_name};
use telemetry::{Family, Instrument, MetricSpec, Number, PointView, SampleBuffer, Value};

use super::Facts;
use super::routes::Reply;
use crate::clock;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn reply(facts: &Facts, _query: &str) -> Reply {
    let mut buffer = SampleBuffer::default();
    buffer.reset(clock::now(), facts.figures.started());
    facts.figures.write(&mut buffer);
    Reply { status: 200, content_type: TEXT, body: page(&buffer).into() }
}

/// The host as `node_exporter` names it.
pub(super) fn node_exporter(facts: &Facts, _query: &str) -> Reply {
    match facts.shared.node_page.read() {
        Some(body) => Reply { status: 200, content_type: TEXT, body: body.into() },
        None => Reply::error(
            404,
            "nothing is served here; node_exporter: { enabled: true } in hostmend.yaml would",
        ),
    }
}

/// Every point of the buffer, under a header for each metric.
fn page(buffer: &SampleBuffer) -> String {
    let mut text = String::new();
    let mut before = "";
    for point in buffer.entities().flat_map(|entity| entity.points()) {
        let name = prometheus_name(point.metric);
        if before != point.metric.name {
            before = point.metric.name;
            header_of(&mut text, &name, point.metric);
        }
        series(&mut text, &name, &point);
    }
    text
}

/// The line of one series.
pub(crate) fn series(text: &mut String, name: &str, point: &PointView<'_>) {
    text.push_str(name);
    let mut separator = '{';
    for (key, value) in point.attributes() {
        let _ = write!(text, "{separator}{}=\"{}\"", prometheus_label(key), label(value));
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    let _ = match point.number {
        Number::Int(value) => writeln!(text, " {value}"),
        Number::Double(value) => writeln!(text, " {}", number(value)),
        Number::Gone => writeln!(text, " NaN"),
    };
}

/// The lines of a family that was told as a text.
pub(crate) fn family(text: &mut String, family: &Family) {
    header(text, &family.name, &family.help, family.kind.as_str());
    for sample in &family.samples {
        text.push_str(&sample.name);
        let mut separator = '{';
        for (key, value) in &sample.labels {
            let _ = write!(text, "{separator}{key}=\"{}\"", label(Value::Str(value)));
            separator = ',';
        }
        let _ = writeln!(text, "{} {}", if separator == ',' { "}" } else { "" }, number(sample.value));
    }
}

/// As the text format spells it.
fn number(value: f64) -> Cow<'static, str> {
    match value {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        value => value.to_string().into(),
    }
}

/// The lines above the first series of a metric.
pub(crate) fn header(text: &mut String, name: &str, help: &str, kind: &str) {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn header_of(text: &mut String, name: &str, metric: &MetricSpec) {
    let kind = match metric.instrument {
        Instrument::Counter => "counter",
        Instrument::UpDownCounter | Instrument::Gauge => "gauge",
    };
    header(text, name, metric.description, kind);
    let unit = match metric.unit {
        "By" => "bytes",
        "s" => "seconds",
        _ => return,
    };
    let _ = writeln!(text, "# UNIT {name} {unit}");
}

fn label(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::Absent => Cow::Borrowed(""),
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::Str(text) if text.contains(['\\', '"', '\n']) => {
            Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        }
        Value::Str(text) => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::{Scope, Timestamp, ValueType};

    static QUEUED: MetricSpec = MetricSpec {
        name: "hostmend.test.queue.size",
        unit: "By",
        instrument: Instrument::UpDownCounter,
        value: ValueType::Int,
        attributes: &["hostmend.destination.name"],
        scope: Scope::Own,
        description: "What waits,\nwith a \\ in it.",
        source: "the test",
        shows: None,
        by_default: true,
    };
    static SEEN: MetricSpec = MetricSpec {
        name: "hostmend.test.seen",
        unit: "{item}",
        instrument: Instrument::Counter,
        value: ValueType::Int,
        attributes: &[],
        scope: Scope::Own,
        description: "Items.",
        source: "the test",
        shows: None,
        by_default: true,
    };

    #[test]
    fn prometheus_reads_names_units_and_labels_whatever_they_hold() {
        let mut buffer = SampleBuffer::default();
        buffer.reset(Timestamp::from_secs(1), Timestamp::EPOCH);
        buffer.int(&QUEUED, &[Value::Str("a\"b\\c\nd")], 7);
        buffer.int(&QUEUED, &[Value::Str("e")], 8);
        buffer.int(&SEEN, &[], 9);
        let expected = "# HELP hostmend_test_queue_size_bytes What waits,\\nwith a \\\\ in it.\n\
                        # TYPE hostmend_test_queue_size_bytes gauge\n\
                        # UNIT hostmend_test_queue_size_bytes bytes\n\
                        hostmend_test_queue_size_bytes{hostmend_destination_name=\"a\\\"b\\\\c\\nd\"} 7\n\
                        hostmend_test_queue_size_bytes{hostmend_destination_name=\"e\"} 8\n\
                        # HELP hostmend_test_seen_total Items.\n\
                        # TYPE hostmend_test_seen_total counter\n\
                        hostmend_test_seen_total 9\n";
        assert_eq!(page(&buffer), expected);
    }
}
