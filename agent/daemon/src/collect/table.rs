//! A collection as a table for people: the host by its resources in the order of the USE method, then units, containers,
//! groups of processes, processes, the agent. Values are exact, with their units.

use std::fmt::Write as _;

use telemetry::{EntityView, Number, OneLine, PointView, SampleBuffer, Value};

use crate::sections::{Section, aspect, rank};

/// A point, as it is printed.
struct Line {
    says: &'static str,
    metric: &'static str,
    value: String,
    unit: &'static str,
    attributes: String,
}

/// The whole table.
pub(super) fn of(buffer: &SampleBuffer) -> String {
    let mut pieces: Vec<(Section, EntityView<'_>, Vec<PointView<'_>>)> = Vec::new();
    for entity in buffer.entities() {
        let mut points: Vec<PointView<'_>> = entity.points().collect();
        points.sort_by_key(|point| rank(point.metric));
        for points in points.chunk_by(|one, next| Section::of(one.metric) == Section::of(next.metric)) {
            pieces.extend(points.first().map(|first| (Section::of(first.metric), entity, points.to_vec())));
        }
    }
    // Stable: entities of one section stay in the order in which they were collected.
    pieces.sort_by_key(|(section, ..)| *section);
    let mut text = String::new();
    for pieces in pieces.chunk_by(|(one, ..), (next, ..)| one == next) {
        let title = pieces.first().map_or("", |(section, ..)| section.title());
        let _ = writeln!(text, "{title}");
        for (_, entity, points) in pieces {
            let heading = pairs(entity.attributes());
            if !heading.is_empty() {
                let _ = writeln!(text, "  {} {heading}", entity.spec.name);
            }
            let indent = if heading.is_empty() { 2 } else { 4 };
            lines(&mut text, indent, &points.iter().map(line).collect::<Vec<_>>());
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{} points about {} entities", buffer.len(), buffer.entities().count());
    text
}

fn line(point: &PointView<'_>) -> Line {
    let value = match point.number {
        Number::Int(value) => value.to_string(),
        Number::Double(value) => value.to_string(),
        Number::Gone => "ended".to_owned(),
    };
    let unit = if point.metric.unit == "1" { "" } else { point.metric.unit };
    let attributes = pairs(point.attributes());
    Line { says: aspect(point.metric), metric: point.metric.name, value, unit, attributes }
}

/// Columns as wide as what stands in them; what a line says of its resource stands where it changes.
fn lines(text: &mut String, indent: usize, lines: &[Line]) {
    let width = |of: fn(&Line) -> &str| lines.iter().map(|line| of(line).chars().count()).max().unwrap_or(0);
    let [says, metric] = [width(|line| line.says), width(|line| line.metric)];
    let [value, unit] = [width(|line| &line.value), width(|line| line.unit)];
    let mut said = "";
    for line in lines {
        let word = if line.says == said { "" } else { line.says };
        said = line.says;
        let _ = write!(text, "{:indent$}", "");
        if says > 0 {
            let _ = write!(text, "{word:says$}  ");
        }
        let rest = format!(
            "{:metric$}  {:>value$} {:unit$}  {}",
            line.metric, line.value, line.unit, line.attributes
        );
        let _ = writeln!(text, "{}", rest.trim_end());
    }
}

/// Names that processes give themselves are kept on their line.
fn pairs<'a>(attributes: impl Iterator<Item = (&'static str, Value<'a>)>) -> String {
    let pairs: Vec<String> = attributes
        .map(|(key, value)| match value {
            Value::Str(text) => format!("{key}={}", OneLine(text)),
            Value::Int(number) => format!("{key}={number}"),
            Value::Absent => format!("{key}="),
        })
        .collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use collectors::names;
    use telemetry::{EntitySpec, Timestamp};

    static PROCESS: EntitySpec =
        EntitySpec { name: "process", attributes: &["process.pid", "process.command"] };

    #[test]
    fn the_host_comes_by_resource_and_processes_come_after_it() {
        let mut buffer = SampleBuffer::default();
        buffer.reset(Timestamp::from_secs(10), Timestamp::from_secs(1));
        buffer.int(&names::DIRECTORY_USAGE, &[Value::Str("/var/spool")], 4096);
        buffer.double(&names::LOAD_1M, &[], 0.25);
        buffer.entity(&PROCESS, Timestamp::from_secs(2), &[Value::Int(7), Value::Str("forged\nCPU")]);
        buffer.int(&names::PROCESS_THREAD_COUNT, &[], 3);
        buffer.host();
        buffer.double(&names::CPU_TIME, &[Value::Str("user"), Value::Absent], 1.5);
        buffer.double(&names::CPU_TIME, &[Value::Str("idle"), Value::Absent], 1000.0);
        assert_eq!(
            of(&buffer),
            "\
CPU
  utilization  system.cpu.time              1.5 s         cpu.mode=user
               system.cpu.time             1000 s         cpu.mode=idle
  saturation   system.cpu.load_average.1m  0.25 {thread}

Processes
  process process.pid=7 process.command=forged\\nCPU
    process.thread.count  3 {thread}

The agent, and what it was told to look at
  hostmend.directory.usage  4096 By  hostmend.directory.path=/var/spool

5 points about 2 entities
"
        );
    }
}
