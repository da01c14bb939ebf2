//! Any lines become records, as many as there are lines where nothing joins them, and each can be read; it does not matter
//! where the stream is interrupted.
#![no_main]

use std::sync::Arc;

use logs::{LineFormat, Multiline, RecordOptions, RecordSettings, Recorder};
use telemetry::{LogBuffer, LogGroup, LogValue, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_795_334_400);

/// The first byte says how the lines are read.
fn settings(choice: u8) -> RecordSettings {
    let plain = RecordSettings::default;
    match choice % 9 {
        0 => RecordSettings { format: LineFormat::Json, original: true, ..plain() },
        1 => RecordSettings { format: LineFormat::Logfmt, ..plain() },
        2 => RecordSettings { format: LineFormat::Syslog, inner: Some(LineFormat::Json), ..plain() },
        3 => RecordSettings { format: LineFormat::Access, ..plain() },
        4 => RecordSettings { format: LineFormat::ErrorLog, ..plain() },
        5 => RecordSettings { format: LineFormat::Cri, multiline: Some(Multiline::StackTraces), ..plain() },
        6 => RecordSettings { format: LineFormat::Docker, inner: Some(LineFormat::Json), ..plain() },
        7 => RecordSettings {
            format: LineFormat::Pattern("(?<time>.{8}) (?<level>[^ ]*)".into()),
            time_format: Some("%H:%M:%S".into()),
            ..plain()
        },
        _ => RecordSettings { multiline: Some(Multiline::Indented), ..plain() },
    }
}

/// The records of the lines, their texts all together.
fn read(options: &Arc<RecordOptions>, lines: &[&[u8]], is_interrupted: bool) -> (usize, Vec<String>) {
    let group = LogGroup { source: "fuzz".into(), resource: Arc::default(), shared: Arc::default() };
    let mut recorder = Recorder::new(options, group);
    let (mut out, mut texts) = (LogBuffer::default(), Vec::new());
    let mut take = |out: &mut LogBuffer| {
        for record in out.records() {
            walk(&record.body());
            record.attributes().for_each(|(key, value)| {
                assert!(std::str::from_utf8(key).is_ok());
                walk(&value);
            });
            let fields: Vec<_> = record.attributes().collect();
            texts.push(format!("{:?} {:?} {:?} {fields:?}", record.time(), record.severity(), record.body()));
        }
        out.clear();
    };
    for (at, line) in lines.iter().enumerate() {
        recorder.line(line, at as u64 + 1, false, NOW, &mut out);
        if is_interrupted {
            recorder.flush(NOW, &mut out);
            take(&mut out);
        }
    }
    recorder.finish(NOW, &mut out);
    take(&mut out);
    assert_eq!(recorder.holds_from(), None);
    let figures = recorder.take_figures();
    assert_eq!(figures.records, texts.len() as u64);
    (texts.len(), texts)
}

fn walk(value: &LogValue<'_>) {
    match value {
        LogValue::Text(text) => assert!(std::str::from_utf8(text).is_ok()),
        LogValue::Map(fields) | LogValue::List(fields) => {
            fields.clone().for_each(|(key, value)| {
                assert!(std::str::from_utf8(key).is_ok());
                walk(&value);
            });
        }
        _ => {}
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let settings = settings(*choice);
    let joins = settings.multiline.is_some() || matches!(settings.format, LineFormat::Cri | LineFormat::Docker);
    let options = Arc::new(RecordOptions::new(settings).expect("these are right"));
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let (count, texts) = read(&options, &lines, false);
    assert!(joins || count == lines.len());
    assert_eq!(texts, read(&options, &lines, true).1);
});
