//! What holds of any bytes.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A value as JSON can say it.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn said(value: &LogValue<'_>) -> serde_json::Value {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match value {
        LogValue::Empty => serde_json::Value::Null,
        LogValue::Text(bytes) => text(bytes).into(),
        LogValue::Bytes(bytes) => panic!("{bytes:?} of a text"),
        LogValue::Int(number) => (*number).into(),
        LogValue::Double(number) => (*number).into(),
        LogValue::Bool(answer) => (*answer).into(),
        LogValue::Map(fields) => {
            serde_json::Value::Object(fields.clone().map(|(key, value)| (text(key), said(&value))).collect())
        }
        LogValue::List(fields) => fields.clone().map(|(_, value)| said(&value)).collect::<Vec<_>>().into(),
    }
}

fn formats() -> Vec<RecordSettings> {
    let plain = RecordSettings::default;
    let json = || Some(LineFormat::Json);
    vec![
        plain(),
        RecordSettings { format: LineFormat::Json, dedup: Some(Duration::from_secs(1)), ..plain() },
        RecordSettings { format: LineFormat::Logfmt, ..plain() },
        RecordSettings {
            format: LineFormat::Syslog,
            inner: json(),
            zone: Some("Europe/Berlin".into()),
            ..plain()
        },
        RecordSettings { format: LineFormat::Access, ..plain() },
        RecordSettings { format: LineFormat::ErrorLog, ..plain() },
        RecordSettings {
            format: LineFormat::Cri,
            inner: json(),
            multiline: Some(Multiline::StackTraces),
            ..plain()
        },
        RecordSettings { format: LineFormat::Docker, inner: Some(LineFormat::Logfmt), ..plain() },
        RecordSettings {
            format: LineFormat::Pattern("(?<time>[^ ]+) (?<level>[^ ]*)".into()),
            time_format: Some("%H:%M:%S".into()),
            ..plain()
        },
    ]
}

/// Pieces of lines that get further into the parsers than any bytes would.
const PIECES: [&[u8]; 40] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u00",
    b"\\ud83d",
    b":",
    b",",
    b" ",
    b"=",
    b"-",
    b"1e9",
    b"0.5",
    b"true",
    b"\"time\":",
    b"\"msg\":\"",
    b"level=error",
    b"<34>",
    b"1 ",
    b"Nov 22 08:00:00",
    b"Feb 29 01:02:03",
    b"2026-11-22T08:00:00Z",
    b"stdout P ",
    b"stderr F ",
    b"\"log\":\"",
    b"\\n\"",
    b"\"stream\":\"stdout\"",
    b"127.0.0.1 - - [",
    b"22/Nov/2026:08:00:00 +0000] \"",
    b"GET / HTTP/1.1\" 200 5",
    b"2026/11/22 08:00:00 [error] ",
    b"5#6: ",
    b"[Sun Nov 22 08:00:00 2026] [",
    b"\xff",
    b"\0",
    b"99999999999999999999",
    b"\xef\xbb\xbf",
    b"\t",
];

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        prop::collection::vec(select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat()),
    ]
}

/// What the records of lines say, read with pauses and flushes anywhere.
fn all(settings: &RecordSettings, lines: &[Vec<u8>], clears: &[bool]) -> Vec<String> {
    let mut recorder = recorder(settings.clone());
    let (mut out, mut says) = (LogBuffer::default(), Vec::new());
    for (at, line) in lines.iter().enumerate() {
        recorder.line(line, at as u64 + 1, false, NOW, &mut out);
        if clears.get(at) == Some(&true) {
            recorder.flush(NOW, &mut out);
            says.extend(out.records().map(|record| shown(&record)));
            out.clear();
        }
    }
    recorder.finish(NOW, &mut out);
    says.extend(out.records().map(|record| shown(&record)));
    says
}

proptest! {
    #[test]
    fn json_is_read_as_it_was_written(fields in prop::collection::btree_map("x.{0,8}", json(), 0..6)) {
        let object = serde_json::Value::Object(fields.into_iter().collect());
        let line = object.to_string();
        let mut recorder = recorder(RecordSettings { format: LineFormat::Json, ..RecordSettings::default() });
        let mut out = LogBuffer::default();
        recorder.line(line.as_bytes(), 1, false, NOW, &mut out);
        prop_assert_eq!(recorder.take_figures().unparsed, 0);
        let record = out.records().next().unwrap();
        prop_assert_eq!(said(&LogValue::Map(record.attributes())), object);
    }

    #[test]
    fn logfmt_is_read_as_it_was_written(
        pairs in prop::collection::btree_map("x[a-z._]{0,8}", ".{0,12}", 1..6),
    ) {
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let line: Vec<String> = pairs.iter().map(|(key, text)| format!("{key}={}", quote(text))).collect();
        let mut recorder = recorder(RecordSettings { format: LineFormat::Logfmt, ..RecordSettings::default() });
        let mut out = LogBuffer::default();
        recorder.line(line.join(" ").as_bytes(), 1, false, NOW, &mut out);
        let record = out.records().next().unwrap();
        let read: Vec<(&[u8], LogValue<'_>)> = record.attributes().collect();
        let wrote: Vec<(&[u8], LogValue<'_>)> =
            pairs.iter().map(|(key, text)| (key.as_bytes(), LogValue::Text(text.as_bytes()))).collect();
        prop_assert_eq!(read, wrote);
    }

    #[test]
    fn any_bytes_are_read_wherever_the_stream_is_interrupted(
        settings in select(formats()),
        lines in prop::collection::vec(any_line(), 0..8),
        clears in prop::collection::vec(any::<bool>(), 8),
    ) {
        prop_assert_eq!(all(&settings, &lines, &clears), all(&settings, &lines, &[]));
    }

    #[test]
    fn every_line_is_a_record(settings in select(formats()), line in any_line()) {
        let mut recorder = recorder(settings);
        let mut out = LogBuffer::default();
        recorder.line(&line, 1, false, NOW, &mut out);
        recorder.finish(NOW, &mut out);
        prop_assert_eq!((out.len(), recorder.holds_from()), (1, None));
        prop_assert_eq!(recorder.take_figures().records, 1);
    }

    #[test]
    fn any_format_of_time_is_refused_or_read(format in ".{0,12}|(%[a-zA-Z.]{1,2}){1,4}", text in ".{0,20}") {
        let settings = RecordSettings { time_format: Some(format), ..RecordSettings::default() };
        if let Ok(options) = RecordOptions::new(settings) {
            let _ = options.time.read(text.as_bytes(), NOW);
        }
    }
}
