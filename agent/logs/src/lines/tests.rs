//! Lines of real programs, and what is made of them.

use std::fmt::Write as _;

use telemetry::{LogFields, LogValue, LogView};

use super::*;

mod formats;
mod joins;
mod page;
mod properties;
mod repeats;

/// 2026-11-22T08:00:00Z
const NOW: Timestamp = Timestamp::from_secs(1_795_334_400);

fn group() -> LogGroup {
    LogGroup { source: "test".into(), resource: Arc::default(), shared: Arc::default() }
}

fn recorder(settings: RecordSettings) -> Recorder {
    Recorder::new(&Arc::new(RecordOptions::new(settings).unwrap()), group())
}

/// What a record says, in one line: `time severity/word body key=value…`, with `-` for what it does not say.
fn shown(record: &LogView<'_>) -> String {
    let mut text = String::new();
    if record.time() == Timestamp::EPOCH {
        text.push('-');
    } else {
        let moment = jiff::Timestamp::from_nanosecond(i128::from(record.time().as_nanos())).unwrap();
        write!(text, "{moment}").unwrap();
    }
    match record.severity() {
        0 => text.push_str(" -"),
        number => write!(text, " {number}/{}", String::from_utf8_lossy(record.severity_text())).unwrap(),
    }
    write!(text, " {}", value(&record.body())).unwrap();
    if *record.trace() != [0; 16] {
        write!(text, " trace={}", hex(record.trace())).unwrap();
    }
    if *record.span() != [0; 8] {
        write!(text, " span={}", hex(record.span())).unwrap();
    }
    if record.flags() != 0 {
        write!(text, " flags={}", record.flags()).unwrap();
    }
    write!(text, "{}", fields(record.attributes(), " ")).unwrap();
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn fields(fields: LogFields<'_>, before: &str) -> String {
    let shown = |(key, field)| format!("{before}{}={}", String::from_utf8_lossy(key), value(&field));
    fields.map(shown).collect::<Vec<_>>().concat()
}

fn value(of: &LogValue<'_>) -> String {
    match of {
        LogValue::Empty => "null".to_owned(),
        LogValue::Text(text) => format!("{:?}", std::str::from_utf8(text).unwrap()),
        LogValue::Bytes(bytes) => format!("bytes{}", bytes.escape_ascii()),
        LogValue::Int(number) => number.to_string(),
        LogValue::Double(number) => format!("{number:?}"),
        LogValue::Bool(answer) => answer.to_string(),
        LogValue::Map(map) => format!("{{{}}}", fields(map.clone(), " ").trim()),
        LogValue::List(list) => {
            format!("[{}]", list.clone().map(|(_, item)| value(&item)).collect::<Vec<_>>().join(" "))
        }
    }
}

/// What the records of these lines say, and what became of the lines.
fn records(settings: RecordSettings, lines: &[&[u8]]) -> (Vec<String>, RecordFigures) {
    let mut recorder = recorder(settings);
    let mut out = LogBuffer::default();
    let mut at = 0;
    for line in lines {
        recorder.line(line, at, false, NOW, &mut out);
        at += line.len() as u64 + 1;
    }
    recorder.finish(NOW, &mut out);
    (out.records().map(|record| shown(&record)).collect(), recorder.take_figures())
}
