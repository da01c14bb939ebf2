//! `hostmend collect --once`: what one collection would send.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use collectors::{Collection, HostRoot};
use crossbeam_channel::bounded;
use otlp::MetricsEncoder;
use probes::{HttpProbe, ProbeResult, Prober};
use telemetry::{EntityView, Number, PointView, SampleBuffer, Value, with_causes};

use crate::cli::{CollectArgs, CollectFormat};
use crate::clock;
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::print;

/// What a probe may take beyond its timeout.
const PROBE_MARGIN: Duration = Duration::from_millis(500);

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
    let resource = config.identity.own(&host);
    let collect = config.collect;
    let mut collection = Collection::open(host, collect.options.clone(), &|name| collect.wants(name))
        .context("opening the collectors")?;
    let mut buffer = SampleBuffer::default();
    let begun = clock::monotonic();
    let failures = collection.collect(clock::now(), &mut || begun.elapsed(), &mut buffer);
    for failure in failures {
        tracing::warn!(collector = failure.collector, "{}", with_causes(&failure.error));
    }
    ask_probes(config.probes, &mut buffer)?;
    print::out(&match args.format {
        CollectFormat::Table => table(&buffer),
        CollectFormat::OtlpJson => otlp_json(&resource, &buffer)?,
    })?;
    Ok(Exit::Done)
}

/// One line per request that would be sent: mostly one.
fn otlp_json(resource: &[(String, String)], buffer: &SampleBuffer) -> anyhow::Result<String> {
    let mut text = String::new();
    for request in MetricsEncoder::new(resource).encode(buffer) {
        text += &otlp::to_json(request.signal, &request.payload).context("reading what was just encoded")?;
        text.push('\n');
    }
    Ok(text)
}

/// Asks every configured service once and appends the answers.
fn ask_probes(services: Vec<(HttpProbe, Duration)>, buffer: &mut SampleBuffer) -> anyhow::Result<()> {
    let count = services.len();
    let Some(patience) = services.iter().map(|(probe, _)| probe.timeout()).max() else { return Ok(()) };
    let (answer, answers) = bounded(count);
    // A second answer finds the channel full, and is not waited for.
    let on_result = move |_: &HttpProbe, _: &ProbeResult| {
        let _ = answer.try_send(());
    };
    let nobody_asks = || ();
    let prober = Prober::start(services, patience, nobody_asks, on_result)?;
    let deadline = clock::monotonic() + patience + PROBE_MARGIN;
    for _ in 0..count {
        if answers.recv_timeout(clock::left(deadline)).is_err() {
            break;
        }
    }
    buffer.host();
    prober.write(buffer);
    Ok(())
}

/// One line per point under a heading per entity: metric, value, unit, attributes.
fn table(buffer: &SampleBuffer) -> String {
    let mut text = String::new();
    for entity in buffer.entities() {
        let rows: Vec<[String; 4]> = entity.points().map(|point| row(&point)).collect();
        let [name, value, unit, _] = widths(&rows);
        let _ = writeln!(text, "{}", heading(&entity));
        for [metric, number, of, attributes] in &rows {
            let line = format!("  {metric:name$}  {number:>value$} {of:unit$}  {attributes}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{} points about {} entities", buffer.len(), buffer.entities().count());
    text
}

/// The width of each column, in characters.
fn widths(rows: &[[String; 4]]) -> [usize; 4] {
    rows.iter().fold([0; 4], |mut widths, row| {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
        widths
    })
}

fn heading(entity: &EntityView<'_>) -> String {
    let attributes = pairs(entity.attributes());
    if attributes.is_empty() {
        entity.spec.name.to_owned()
    } else {
        format!("{} {attributes}", entity.spec.name)
    }
}

fn row(point: &PointView<'_>) -> [String; 4] {
    let value = match point.number {
        Number::Int(value) => value.to_string(),
        Number::Double(value) => value.to_string(),
        Number::Gone => "ended".to_owned(),
    };
    let unit = if point.metric.unit == "1" { "" } else { point.metric.unit };
    [point.metric.name.to_owned(), value, unit.to_owned(), pairs(point.attributes())]
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
            "host\n  hostmend.directory.usage  4096 By  hostmend.directory.path=/var/spool\n\n\
             1 points about 1 entities\n"
        );
    }
}
