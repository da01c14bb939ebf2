use super::*;

fn dedup() -> RecordSettings {
    RecordSettings {
        format: LineFormat::Json,
        dedup: Some(Duration::from_secs(10)),
        ..RecordSettings::default()
    }
}

fn at(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

#[test]
fn repetitions_are_counted_within_the_window() {
    let mut recorder = recorder(dedup());
    let mut out = LogBuffer::default();
    for second in 0..5 {
        for line in ["a", "b"] {
            let line =
                format!(r#"{{"msg":"{line}","level":"error","time":{},"k":1}}"#, 1_795_334_400 + second);
            recorder.line(line.as_bytes(), 0, false, at(second), &mut out);
        }
    }
    assert_eq!((out.len(), recorder.holds_from()), (2, None));
    assert_eq!(recorder.next_flush(at(4)), Some(Duration::from_secs(6)));
    recorder.flush(at(9), &mut out);
    assert_eq!(out.len(), 2);
    recorder.flush(at(10), &mut out);
    let records: Vec<String> = out.records().map(|record| shown(&record)).collect();
    assert_eq!(
        records,
        [
            r#"2026-11-22T08:00:00Z 17/error "a" k=1"#,
            r#"2026-11-22T08:00:00Z 17/error "b" k=1"#,
            r#"2026-11-22T08:00:04Z 17/error "repeated 4 times: a" k=1 hostmend.log.repeated=4"#,
            r#"2026-11-22T08:00:04Z 17/error "repeated 4 times: b" k=1 hostmend.log.repeated=4"#,
        ]
    );
    let figures = recorder.take_figures();
    assert_eq!(figures, RecordFigures { records: 4, left_out: 8, ..RecordFigures::default() });
    assert_eq!(recorder.next_flush(at(10)), None);
    recorder.line(br#"{"msg":"a","level":"error","k":1}"#, 0, false, at(11), &mut out);
    assert_eq!(out.len(), 5);
}

#[test]
fn thousands_are_grouped() {
    let (records, _) = records(
        RecordSettings { dedup: Some(Duration::from_secs(10)), ..RecordSettings::default() },
        &vec![&b"x"[..]; 4313],
    );
    assert_eq!(records, [r#"- - "x""#, r#"- - "repeated 4,312 times: x" hostmend.log.repeated=4312"#]);
}

#[test]
fn what_differs_in_more_than_its_time_is_no_repetition() {
    let lines: [&[u8]; 4] = [
        br#"{"msg":"a","k":1}"#,
        br#"{"msg":"a","k":2}"#,
        br#"{"msg":"a","k":1,"level":"info"}"#,
        br#"{"msg":"a","k":[1]}"#,
    ];
    assert_eq!(records(dedup(), &lines).0.len(), 4);
}

#[test]
fn many_different_records_cost_no_more_than_some() {
    let mut recorder = recorder(dedup());
    let mut out = LogBuffer::default();
    for number in 0..1000 {
        for _ in 0..2 {
            recorder.line(format!(r#"{{"msg":"{number}"}}"#).as_bytes(), 0, false, NOW, &mut out);
        }
    }
    recorder.finish(NOW, &mut out);
    assert_eq!(out.len(), 2000);
    assert_eq!(recorder.take_figures().left_out, 1000);
}

#[test]
fn a_sample_is_spread_evenly_and_errors_are_kept() {
    let settings =
        |format, sample| RecordSettings { format, sample: Some(sample), ..RecordSettings::default() };
    let lines: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let (kept, figures) = records(settings(LineFormat::Plain, 0.1), &lines);
    assert_eq!((kept.len(), figures.left_out, figures.records), (10, 90, 10));
    assert_eq!(kept[..2], [r#"- - "line 0""#, r#"- - "line 10""#]);
    assert_eq!(records(settings(LineFormat::Plain, 1.0), &lines).0.len(), 100);

    let error = br#"{"level":"error","msg":"e"}"#;
    let lines: Vec<&[u8]> =
        (0..100).map(|at| if at % 2 == 0 { &error[..] } else { br#"{"msg":"m"}"# }).collect();
    assert_eq!(records(settings(LineFormat::Json, 0.01), &lines).0.len(), 50);
    let failed = br#"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" 500 5"#;
    assert_eq!(records(settings(LineFormat::Access, 0.01), &[&failed[..]; 10]).0.len(), 10);
}
