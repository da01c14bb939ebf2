//! What becomes of entries.

use telemetry::{AttributeValue, LogValue, LogView};

use super::writer::Writer;
use super::*;

/// The records of these entries.
fn records_of(entries: &[&[&str]], change: impl FnOnce(&mut JournalOptions)) -> (LogBuffer, JournalSource) {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(1, 1, true);
    for (at, fields) in entries.iter().enumerate() {
        writer.append(at as u64 + 1, fields);
    }
    writer.save(&directory.path().join("system.journal"));
    let mut options = JournalOptions {
        name: "journal".into(),
        directories: vec![directory.path().to_owned()],
        units: Vec::new(),
        exclude_units: Vec::new(),
        priority: 7,
        start: StartAt::Beginning,
        max_field_bytes: 100,
    };
    change(&mut options);
    let positions = Positions::open(&directory.path().join("positions")).unwrap();
    let mut source = JournalSource::open(options, &positions).unwrap();
    let mut out = LogBuffer::default();
    source.read_ready(NOW, &mut out, 1 << 20).unwrap();
    (out, source)
}

fn resource(record: &LogView<'_>) -> Vec<(String, AttributeValue)> {
    record.group().resource.to_vec()
}

fn messages(out: &LogBuffer) -> Vec<String> {
    let text = |value| match value {
        LogValue::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    out.records().map(|record| text(record.body())).collect()
}

#[test]
fn an_entry_becomes_a_record_by_the_table() {
    let (out, _) = records_of(
        &[&[
            "MESSAGE=started",
            "PRIORITY=4",
            "_SYSTEMD_UNIT=web.service",
            "_PID=42",
            "_COMM=nginx",
            "CODE_LINE=7",
            "CODE_FILE=src/main.c",
            "CODE_FUNC=main",
            "SYSLOG_FACILITY=3",
            "SYSLOG_IDENTIFIER=web",
            "_BOOT_ID=ignored",
            "_CMDLINE=nginx --password=x",
            "_SOURCE_REALTIME_TIMESTAMP=1762999999999000",
            "TRACE_ID=0af7651916cd43dd8448eb211c80319c",
            "SPAN_ID=b7ad6b7169203331",
            "MY_FIELD=1",
        ]],
        |_| {},
    );
    let record = out.records().next().unwrap();
    assert_eq!(record.body(), LogValue::Text(b"started"));
    assert_eq!((record.severity(), record.severity_text()), (13, &b"warning"[..]));
    assert_eq!(record.time(), Timestamp::from_nanos(1_762_999_999_999_000_000));
    assert_eq!(record.observed(), NOW);
    assert_eq!(resource(&record), [("systemd.unit.name".to_owned(), "web.service".into())]);
    assert_eq!((record.trace()[0], record.span()[0]), (0x0a, 0xb7));
    let attributes: Vec<_> = record.attributes().collect();
    let expected: [(&[u8], LogValue<'_>); 9] = [
        (b"process.pid", LogValue::Int(42)),
        (b"process.command", LogValue::Text(b"nginx")),
        (b"code.line.number", LogValue::Int(7)),
        (b"code.file.path", LogValue::Text(b"src/main.c")),
        (b"code.function.name", LogValue::Text(b"main")),
        (b"syslog.facility", LogValue::Int(3)),
        (b"SYSLOG_IDENTIFIER", LogValue::Text(b"web")),
        (b"MY_FIELD", LogValue::Text(b"1")),
        (b"", LogValue::Empty),
    ];
    assert_eq!(attributes, expected[..8]);
}

#[test]
fn what_is_not_what_it_should_be_is_kept_under_its_own_name() {
    let (out, _) = records_of(
        &[&["MESSAGE=x", "PRIORITY=9", "CODE_LINE=near", "TRACE_ID=0", "_SOURCE_REALTIME_TIMESTAMP=5"]],
        |_| {},
    );
    let record = out.records().next().unwrap();
    assert_eq!((record.severity(), record.time()), (0, Timestamp::from_nanos(1_763_000_000_001_000_000)));
    for (name, value) in
        [("PRIORITY", "9"), ("CODE_LINE", "near"), ("TRACE_ID", "0"), ("_SOURCE_REALTIME_TIMESTAMP", "5")]
    {
        assert_eq!(record.attribute(name), Some(LogValue::Text(value.as_bytes())), "{name}");
    }
}

#[test]
fn a_field_that_is_there_several_times_is_a_list() {
    let (out, _) = records_of(&[&["A=1", "MESSAGE=m", "A=2", "B=3", "A=4", "MESSAGE=n"]], |_| {});
    let record = out.records().next().unwrap();
    assert_eq!(record.body(), LogValue::Text(b"m"));
    let list = |name| match record.attribute(name) {
        Some(LogValue::List(list)) => list.map(|(_, value)| format!("{value:?}")).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!((list("A").len(), list("MESSAGE").len(), record.attributes().count()), (3, 1, 3));
}

#[test]
fn records_of_one_unit_share_their_group() {
    let (out, _) = records_of(
        &[
            &["MESSAGE=1", "_SYSTEMD_UNIT=a.service"],
            &["MESSAGE=2", "_SYSTEMD_UNIT=a.service", "SYSLOG_IDENTIFIER=other"],
            &["MESSAGE=3", "SYSLOG_IDENTIFIER=kernel"],
            &[
                "MESSAGE=4",
                "_SYSTEMD_UNIT=user@7.service",
                "_SYSTEMD_USER_UNIT=b.service",
                "_SYSTEMD_OWNER_UID=7",
            ],
        ],
        |_| {},
    );
    let records: Vec<_> = out.records().collect();
    assert!(records[0].is_beside(&records[1]) && !records[1].is_beside(&records[2]));
    assert_eq!(resource(&records[2]), [("service.name".to_owned(), "kernel".into())]);
    let user = [("systemd.unit.name".to_owned(), "b.service".into()), ("user.id".to_owned(), "7".into())];
    assert_eq!(resource(&records[3]), user);
    assert_eq!(records[3].attribute("_SYSTEMD_UNIT"), Some(LogValue::Text(b"user@7.service")));
}

#[test]
fn what_the_kernel_tells_of_faults_is_an_event_and_what_others_write_is_not() {
    let kill = "MESSAGE=Out of memory: Killed process 42 (web) total-vm:10kB, anon-rss:5kB";
    let (out, _) = records_of(
        &[
            &[kill, "_TRANSPORT=kernel", "SYSLOG_FACILITY=0"],
            &[kill, "_TRANSPORT=kernel", "SYSLOG_FACILITY=1"],
            &[kill, "_TRANSPORT=journal", "SYSLOG_FACILITY=0"],
            &[kill],
        ],
        |_| {},
    );
    let names: Vec<&[u8]> = out.records().map(|record| record.event_name()).collect();
    assert_eq!(names, [&b"kernel.oom_kill"[..], b"", b"", b""]);
    let record = out.records().next().unwrap();
    assert_eq!(record.attribute("process.pid"), Some(LogValue::Int(42)));
}

#[test]
fn units_are_chosen_as_journalctl_chooses_them() {
    let entries: &[&[&str]] = &[
        &["MESSAGE=own", "_SYSTEMD_UNIT=web.service"],
        &["MESSAGE=of systemd", "_SYSTEMD_UNIT=init.scope", "_PID=1", "UNIT=web.service"],
        &["MESSAGE=claimed", "_SYSTEMD_UNIT=evil.service", "_PID=9", "UNIT=web.service"],
        &["MESSAGE=core", "_UID=0", "COREDUMP_UNIT=web.service"],
        &["MESSAGE=other", "_SYSTEMD_UNIT=db.service"],
        &["MESSAGE=none"],
    ];
    let (out, _) = records_of(entries, |options| options.units = vec!["web*".to_owned()]);
    assert_eq!(messages(&out), ["own", "of systemd", "core"]);
    let (out, source) = records_of(entries, |options| options.exclude_units = vec!["web*".to_owned()]);
    assert_eq!(messages(&out), ["claimed", "other", "none"]);
    assert_eq!(source.figures().records, 3);
}

#[test]
fn less_important_entries_are_passed_over_and_unrated_ones_are_not() {
    let entries: &[&[&str]] =
        &[&["MESSAGE=err", "PRIORITY=3"], &["MESSAGE=info", "PRIORITY=6"], &["MESSAGE=none"]];
    let (out, _) = records_of(entries, |options| options.priority = 3);
    assert_eq!(messages(&out), ["err", "none"]);
}

#[test]
fn a_pattern_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let positions = Positions::open(&directory.path().join("positions")).unwrap();
    let options = JournalOptions {
        name: "journal".into(),
        directories: Vec::new(),
        units: vec!["a[".to_owned()],
        exclude_units: Vec::new(),
        priority: 7,
        start: StartAt::End,
        max_field_bytes: 100,
    };
    let error = JournalSource::open(options, &positions).unwrap_err();
    assert_eq!(error.to_string(), "a[: 1 is no pattern of units: invalid range pattern");
}

#[test]
fn what_is_too_long_is_cut_between_characters_and_flagged() {
    let long = format!("MESSAGE={}", "é".repeat(100));
    let (out, source) =
        records_of(&[&[&long, "A=1"], &["MESSAGE=short"]], |options| options.max_field_bytes = 101);
    assert_eq!(messages(&out), ["é".repeat(50), "short".to_owned()]);
    let flags: Vec<_> = out.records().map(|it| it.attribute("hostmend.log.truncated").is_some()).collect();
    assert_eq!((flags, source.figures().truncated), (vec![true, false], 1));
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let directory = directory_of(&fixture("xz.journal"));
    let (entries, _) = read_all(&[directory.path()]);
    let is_binary = |(_, fields): &Told| fields.iter().any(|(name, _)| name == b"BIN");
    let count = entries.iter().filter(|it| is_binary(it)).count();
    let positions = Positions::open(&directory.path().join("positions")).unwrap();
    let options = JournalOptions {
        name: "journal".into(),
        directories: vec![directory.path().to_owned()],
        units: Vec::new(),
        exclude_units: Vec::new(),
        priority: 7,
        start: StartAt::Beginning,
        max_field_bytes: 1 << 20,
    };
    let mut source = JournalSource::open(options, &positions).unwrap();
    let mut out = LogBuffer::default();
    source.read_ready(NOW, &mut out, 64 << 20).unwrap();
    let kept = out.records().filter(|it| matches!(it.attribute("BIN"), Some(LogValue::Bytes(_)))).count();
    assert_eq!((kept, source.figures().invalid_utf8), (count, count as u64));
    assert!(count > 3);
}

#[test]
fn every_field_of_the_table_is_there_once() {
    for (at, row) in JOURNAL_FIELDS.iter().enumerate() {
        assert!(JOURNAL_FIELDS[..at].iter().all(|before| before.name != row.name), "{}", row.name);
    }
}
