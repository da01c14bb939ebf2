//! What was read of logs, and what was not.

use logs::SourceFigures;
use telemetry::{Instrument, MetricSpec, SampleBuffer, Value};

use super::own;
use crate::agent::logs::LogsBoard;

const SOURCE: &str = "hostmend.log.source";

static RECORDS: MetricSpec = own(
    "hostmend.logs.records",
    "{record}",
    Instrument::Counter,
    &[SOURCE],
    "Log records that a source made of what it read.",
);
static BYTES: MetricSpec = own(
    "hostmend.logs.io",
    "By",
    Instrument::Counter,
    &[SOURCE],
    "What a source of logs read, as it lay there.",
);
static LOST: MetricSpec = own(
    "hostmend.logs.lost",
    "{record}",
    Instrument::Counter,
    &[SOURCE, "hostmend.reason"],
    "What a source of logs knows to be lost, by the reason: records where they can be counted, else occurrences.",
);
static TRUNCATED: MetricSpec = own(
    "hostmend.logs.truncated",
    "{line}",
    Instrument::Counter,
    &[SOURCE],
    "Lines, or fields of the journal, that were cut because they were longer than the limit.",
);
static UNPARSED: MetricSpec = own(
    "hostmend.logs.unparsed",
    "{line}",
    Instrument::Counter,
    &[SOURCE],
    "Lines that were not of the source's format; they are records all the same.",
);
static LEFT_OUT: MetricSpec = own(
    "hostmend.logs.left_out",
    "{line}",
    Instrument::Counter,
    &[SOURCE],
    "Lines that were left out because they were wanted so: by sampling, as repetitions, by their unit or priority.",
);
static INVALID: MetricSpec =
    own("hostmend.logs.invalid_utf8", "{line}", Instrument::Counter, &[SOURCE], "Texts that were no UTF-8.");
static FAILURES: MetricSpec = own(
    "hostmend.logs.failures",
    "{attempt}",
    Instrument::Counter,
    &[SOURCE],
    "Times that a source of logs could not be opened or read; it is tried again.",
);
static BEHIND: MetricSpec =
    own("hostmend.logs.behind", "By", Instrument::Gauge, &[SOURCE], "What is there and has not been read.");
static FILES: MetricSpec = own(
    "hostmend.logs.files",
    "{file}",
    Instrument::UpDownCounter,
    &[SOURCE],
    "Files that a source of logs follows.",
);

/// All of them.
pub(crate) static METRICS: &[&MetricSpec] =
    &[&RECORDS, &BYTES, &LOST, &TRUNCATED, &UNPARSED, &LEFT_OUT, &INVALID, &FAILURES, &BEHIND, &FILES];

pub(super) fn write(board: &LogsBoard, out: &mut SampleBuffer) {
    let reports = board.reports();
    let mut column = |metric: &'static MetricSpec, of: fn(&SourceFigures) -> u64| {
        for report in &reports {
            out.int(metric, &[Value::Str(&report.name)], of(&report.figures) as i64);
        }
    };
    column(&RECORDS, |figures| figures.records);
    column(&BYTES, |figures| figures.bytes);
    column(&TRUNCATED, |figures| figures.truncated);
    column(&UNPARSED, |figures| figures.unparsed);
    column(&LEFT_OUT, |figures| figures.left_out);
    column(&INVALID, |figures| figures.invalid_utf8);
    column(&BEHIND, |figures| figures.behind_bytes);
    column(&FILES, |figures| figures.files);
    for report in &reports {
        for (reason, lost) in &report.figures.lost {
            out.int(&LOST, &[Value::Str(&report.name), Value::Str(reason)], *lost as i64);
        }
    }
    for report in &reports {
        out.int(&FAILURES, &[Value::Str(&report.name)], report.failures as i64);
    }
}
