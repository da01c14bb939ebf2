//! `hostmend collect --once`: what one collection would send.

use std::fmt::Write as _;

use anyhow::Context;
use collectors::{Collection, HostRoot};
use telemetry::{EntityView, Number, PointView, SampleBuffer, Value};

use crate::cli::{CollectArgs, CollectFormat};
use crate::clock;
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::print;
use crate::print::with_causes;

pub(crate) fn run(args: &CollectArgs, log: &str) -> anyhow::Result<Exit> {
    crate::logging::start(log, None)?;
    let config = match &args.config {
        None => Config::default(),
        Some(path) => match config::load_or_report(path)? {
            Some(config) => config,
            None => return Ok(Exit::Errors),
        },
    };
    let host = HostRoot::at("/");
    let resource = crate::agent::resource(&host);
    let collect = config.collect;
    let mut collection = Collection::open(host, collect.options.clone(), &|name| collect.wants(name))
        .context("opening the collectors")?;
    let mut buffer = SampleBuffer::default();
    let begun = clock::monotonic();
    let failures = collection.collect(clock::now(), &mut || begun.elapsed(), &mut buffer);
    for failure in failures {
        tracing::warn!(collector = failure.collector, "{}", with_causes(&failure.error));
    }
    print::out(&match args.format {
        CollectFormat::Table => table(&buffer),
        CollectFormat::OtlpJson => otlp::to_json(&resource, &buffer).unwrap_or_default(),
    })?;
    Ok(Exit::Done)
}

/// One line per point under a heading per entity: metric, attributes, value, unit.
fn table(buffer: &SampleBuffer) -> String {
    let mut text = String::new();
    for entity in buffer.entities() {
        let rows: Vec<[String; 3]> = entity.points().map(|point| row(&point)).collect();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = [width(0), width(1)];
        let _ = writeln!(text, "{}", heading(&entity));
        for [name, attributes, value] in &rows {
            let _ = writeln!(text, "  {name:0$}  {attributes:1$}  {value}", widths[0], widths[1]);
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{} points about {} entities", buffer.len(), buffer.entities().count());
    text
}

fn heading(entity: &EntityView<'_>) -> String {
    let attributes = pairs(entity.attributes());
    if attributes.is_empty() {
        entity.spec.name.to_owned()
    } else {
        format!("{} {attributes}", entity.spec.name)
    }
}

fn row(point: &PointView<'_>) -> [String; 3] {
    let value = match point.number {
        Number::Int(value) => value.to_string(),
        Number::Double(value) => value.to_string(),
        Number::Gone => "ended".to_owned(),
    };
    let unit = if point.metric.unit == "1" { "" } else { point.metric.unit };
    [point.metric.name.to_owned(), pairs(point.attributes()), format!("{value} {unit}").trim_end().to_owned()]
}

fn pairs<'a>(attributes: impl Iterator<Item = (&'static str, Value<'a>)>) -> String {
    let pairs: Vec<String> = attributes
        .map(|(key, value)| match value {
            Value::Str(text) => format!("{key}={text}"),
            Value::Int(number) => format!("{key}={number}"),
            Value::Absent => format!("{key}="),
        })
        .collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::Timestamp;

    #[test]
    fn the_table_shows_every_point_with_its_unit() {
        let mut buffer = SampleBuffer::default();
        buffer.reset(Timestamp::from_secs(10), Timestamp::from_secs(1));
        buffer.int(&collectors::names::DIRECTORY_USAGE, &[Value::Str("/var/spool")], 4096);
        assert_eq!(
            table(&buffer),
            "host\n  hostmend.directory.usage  hostmend.directory.path=/var/spool  4096 By\n\n\
             1 points about 1 entities\n"
        );
    }
}
