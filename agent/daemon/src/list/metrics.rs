//! `hostmend list metrics`: every metric that this agent can have, from the tables that drive collection, and
//! docs/metrics.md, which is this list as a page.

use std::fmt::Write as _;

use anyhow::bail;
use collectors::{COLLECTORS, SCHEDULE_METRICS};
use documents::nearest;
use series::{prometheus_label, prometheus_name};
use telemetry::{Instrument, MetricSpec, Scope, ValueType};

use crate::agent::own_metrics;
use crate::cli::{MetricsArgs, MetricsFormat};
use crate::sections::{self, Section};
use crate::taps;

/// A metric, and who makes it.
struct Row {
    metric: &'static MetricSpec,
    /// A collector's name, or another part of the agent.
    from: &'static str,
}

pub(super) fn text(args: &MetricsArgs) -> anyhow::Result<String> {
    let rows = chosen(args)?;
    Ok(match if args.json { MetricsFormat::Json } else { args.format } {
        MetricsFormat::Text => as_text(&rows),
        MetricsFormat::Json => as_json(&rows)?,
        MetricsFormat::Markdown => as_markdown(&rows),
    })
}

/// Every metric once, in the order in which they are shown.
fn rows() -> Vec<Row> {
    let collected = COLLECTORS.iter().flat_map(|spec| spec.metrics.iter().map(|metric| (*metric, spec.name)));
    let others: [(&[&'static MetricSpec], &str); 7] = [
        (SCHEDULE_METRICS, "schedule"),
        (probes::METRICS, "probes"),
        (own_metrics::METRICS, "agent"),
        (own_metrics::JUDGING_METRICS, "agent"),
        (own_metrics::REPAIR_METRICS, "agent"),
        (own_metrics::LOGS_METRICS, "agent"),
        (&taps::METRICS, "taps"),
    ];
    let others =
        others.into_iter().flat_map(|(metrics, from)| metrics.iter().map(move |metric| (*metric, from)));
    let mut rows: Vec<Row> = collected.chain(others).map(|(metric, from)| Row { metric, from }).collect();
    rows.sort_by_key(|row| (sections::rank(row.metric), row.metric.name));
    rows.dedup_by_key(|row| row.metric.name);
    rows
}

/// The metrics of all rows, by name.
pub(super) fn all() -> Vec<&'static MetricSpec> {
    let mut all: Vec<&MetricSpec> = rows().into_iter().map(|row| row.metric).collect();
    all.sort_by_key(|metric| metric.name);
    all
}

/// What was asked for.
fn chosen(args: &MetricsArgs) -> anyhow::Result<Vec<Row>> {
    let rows = rows();
    if let Some(from) = &args.collector
        && rows.iter().all(|row| row.from != from)
    {
        let near = nearest(from, rows.iter().map(|row| row.from));
        let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        bail!("no collector {from:?} makes metrics{near}");
    }
    let wanted = |row: &Row| {
        let named =
            |name: &String| row.metric.name.contains(name) || prometheus_name(row.metric).contains(name);
        args.name.as_ref().is_none_or(named) && args.collector.as_ref().is_none_or(|from| row.from == from)
    };
    let known: Vec<&str> = rows.iter().map(|row| row.metric.name).collect();
    let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
    if let (Some(name), []) = (&args.name, rows.as_slice()) {
        let near = nearest(name, known).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        bail!("no metric has {name:?} in its name{near}");
    }
    Ok(rows)
}

fn kind(metric: &MetricSpec) -> &'static str {
    match metric.instrument {
        Instrument::Counter => "counter",
        Instrument::UpDownCounter => "updowncounter",
        Instrument::Gauge => "gauge",
    }
}

fn number(metric: &MetricSpec) -> &'static str {
    match metric.value {
        ValueType::Int => "int",
        ValueType::Double => "double",
    }
}

fn scope(metric: &MetricSpec) -> &'static str {
    match metric.scope {
        Scope::Conventions => "conventions",
        Scope::Draft => "draft",
        Scope::Own => "hostmend",
        Scope::NodeExporter => "node_exporter",
    }
}

/// How a rule spells the metric. What bears `node_exporter`'s name has no other.
fn in_rules(metric: &MetricSpec) -> String {
    if metric.scope == Scope::NodeExporter {
        return metric.name.to_owned();
    }
    prometheus_name(metric)
}

fn as_text(rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { metric, from } in rows {
        let labels: Vec<_> = metric.attributes.iter().map(|key| prometheus_label(key)).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(", ")) };
        let off = if metric.by_default { "" } else { ", off by default" };
        let (kind, number, unit) = (kind(metric), number(metric), metric.unit);
        let _ = writeln!(text, "{} ({kind}, {unit}, {number}{off}; {from})", metric.name);
        let _ = writeln!(text, "    in rules: {}{labels}", in_rules(metric));
        let _ = writeln!(text, "    {} From {}.", metric.description, metric.source);
    }
    text
}

fn as_json(rows: &[Row]) -> anyhow::Result<String> {
    let values: Vec<_> = rows
        .iter()
        .map(|Row { metric, from }| {
            serde_json::json!({
                "name": metric.name,
                "unit": metric.unit,
                "instrument": kind(metric),
                "number": number(metric),
                "attributes": metric.attributes,
                "scope": scope(metric),
                "by_default": metric.by_default,
                "from": from,
                "section": Section::of(metric).title(),
                "aspect": Some(sections::aspect(metric)).filter(|aspect| !aspect.is_empty()),
                "in_rules": in_rules(metric),
                "description": metric.description,
                "source": metric.source,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&values)? + "\n")
}

const PAGE_HEAD: &str = "\
# Metrics

What hostmend can measure, from the tables that it collects by. This page is printed by
`hostmend list metrics --format markdown`; a test holds it current. The resources stand in the order of the USE method: of
each its utilization, its saturation, its errors, then what they are read against.

- **On** says whether a metric is collected unless `collect.metrics` in `hostmend.yaml` says otherwise. A dash: it is off.
- **From** is the collector (`hostmend list collectors`) or the part of the agent that makes it.
- Names in *italics* are drafts: signals for which OpenTelemetry has no convention yet. They are sent in a scope of their own.
- Rules may spell a metric as OpenTelemetry does, `{\"system.cpu.time\"}`, or as Prometheus does,
  `system_cpu_time_seconds_total`; `hostmend list metrics NAME` tells both.
";

fn as_markdown(rows: &[Row]) -> String {
    let mut text = PAGE_HEAD.to_owned();
    for rows in rows.chunk_by(|one, next| Section::of(one.metric) == Section::of(next.metric)) {
        let Some(first) = rows.first() else { continue };
        let has_aspects = first.metric.shows.is_some();
        let _ = writeln!(text, "\n## {}\n", Section::of(first.metric).title());
        let (head, rule) = if has_aspects { (" says |", "---|") } else { ("", "") };
        let _ = writeln!(
            text,
            "| metric |{head} kind | unit | number | attributes | on | from | meaning | source |"
        );
        let _ = writeln!(text, "|---|{rule}---|---|---|---|---|---|---|---|");
        for Row { metric, from } in rows {
            let name = if metric.scope == Scope::Draft {
                format!("*`{}`*", metric.name)
            } else {
                format!("`{}`", metric.name)
            };
            let says = if has_aspects { format!(" {} |", sections::aspect(metric)) } else { String::new() };
            let (kind, number) = (kind(metric), number(metric));
            let attributes: Vec<_> = metric.attributes.iter().map(|key| format!("`{key}`")).collect();
            let on = if metric.by_default { "on" } else { "-" };
            let [meaning, source] = [metric.description, metric.source].map(cell);
            let (unit, attributes) = (metric.unit, attributes.join(", "));
            let _ = writeln!(
                text,
                "| {name} |{says} {kind} | `{unit}` | {number} | {attributes} | {on} | {from} | {meaning} | {source} |"
            );
        }
    }
    text.push_str(&made_of_received());
    text
}

/// The series that received telemetry becomes. They have no description on the wire of ours, so they are no metrics of the
/// tables above.
fn made_of_received() -> String {
    let mut text = "\n## Made of received telemetry\n\n\
        For rules; each bears `hostmend_origin` too, the listener that it came by. The series of spans are sent as well if \
        `taps: { span_metrics: { export: true } }` says so.\n\n\
        | series | kind | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for made in taps::MADE {
        let labels: Vec<_> = made.labels.iter().map(|key| format!("`{key}`")).collect();
        let (name, kind, labels, meaning) = (made.name, made.kind, labels.join(", "), cell(made.meaning));
        let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {meaning} |");
    }
    text
}

/// Text as it stands in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: Option<&str>, collector: Option<&str>) -> MetricsArgs {
        let [name, collector] = [name, collector].map(|text| text.map(str::to_owned));
        MetricsArgs { name, collector, json: false, format: MetricsFormat::Text }
    }

    /// `UPDATE_GOLDEN=1` writes it anew.
    #[test]
    fn the_metrics_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = as_markdown(&rows());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        let first = page.lines().zip(kept.lines()).find(|(now, kept)| now != kept);
        assert!(
            page == kept,
            "docs/metrics.md is not current, first at {first:?}; renew it by \
             `cargo run -p daemon -- list metrics --format markdown > docs/metrics.md`, \
             or by this test with UPDATE_GOLDEN=1"
        );
    }

    #[test]
    fn a_metric_is_found_by_either_of_its_names_and_by_its_collector() {
        for asked in
            [args(Some("system.cpu.time"), None), args(Some("system_cpu_time_seconds_total"), Some("cpu"))]
        {
            let listed = text(&asked).unwrap();
            assert!(listed.starts_with("system.cpu.time (counter, s, double; cpu)\n"), "{listed}");
            assert_eq!(listed.lines().count(), 3, "{listed}");
        }
        let of_load = text(&args(None, Some("load"))).unwrap();
        assert!(of_load.contains("system.cpu.load_average.1m (gauge, {thread}, double; load)"), "{of_load}");
        assert!(!of_load.contains("; cpu)"), "{of_load}");
    }

    #[test]
    fn a_name_that_nothing_has_is_told_the_nearest() {
        let error = text(&args(Some("system.cpu.tyme"), None)).unwrap_err().to_string();
        assert_eq!(error, "no metric has \"system.cpu.tyme\" in its name; did you mean \"system.cpu.time\"?");
        let error = text(&args(None, Some("lode"))).unwrap_err().to_string();
        assert_eq!(error, "no collector \"lode\" makes metrics; did you mean \"load\"?");
    }

    #[test]
    fn a_program_reads_everything_as_json() {
        let listed =
            text(&MetricsArgs { json: true, ..args(Some("system.cpu.linux.run_queue.length"), None) });
        let listed: serde_json::Value = serde_json::from_str(&listed.unwrap()).unwrap();
        for (key, value) in
            [("section", "CPU"), ("aspect", "saturation"), ("scope", "draft"), ("number", "int")]
        {
            assert_eq!(listed[0][key], value, "{key}");
        }
    }
}
