use super::*;

fn of(multiline: Multiline) -> RecordSettings {
    RecordSettings { multiline: Some(multiline), ..RecordSettings::default() }
}

/// The bodies of the records of these lines.
fn bodies(settings: RecordSettings, text: &str) -> Vec<String> {
    let lines: Vec<&[u8]> = text.lines().map(str::as_bytes).collect();
    let mut recorder = recorder(settings);
    let mut out = LogBuffer::default();
    for line in lines {
        recorder.line(line, 1, false, NOW, &mut out);
    }
    recorder.finish(NOW, &mut out);
    let body = |record: LogView<'_>| match record.body() {
        LogValue::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("{other:?}"),
    };
    out.records().map(body).collect()
}

#[test]
fn lines_of_one_record_are_joined() {
    let text = "tail\n2026 one\n  more\n2026 two\nand\n2026 three";
    assert_eq!(
        bodies(of(Multiline::Start("^2026".into())), text),
        ["tail", "2026 one\n  more", "2026 two\nand", "2026 three"]
    );
    assert_eq!(
        bodies(of(Multiline::Continuation("^(and| )".into())), text),
        ["tail", "2026 one\n  more", "2026 two\nand", "2026 three"]
    );
    assert_eq!(
        bodies(of(Multiline::Indented), text),
        ["tail", "2026 one\n  more", "2026 two", "and", "2026 three"]
    );
}

/// Traces as the languages print them, each between lines that do not belong to it.
const TRACES: [(&str, &str); 7] = [
    (
        "Java",
        "2026-11-22 ERROR Servlet failed\njava.lang.RuntimeException: x\n\tat a.B.c(B.java:1)\n\tat a.D.e(D.java:2)\nCaused by: java.io.IOException: y\n\tat f.G.h(G.java:3)\n\t... 2 more",
    ),
    (
        "Python",
        "ERROR:root:failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nValueError: x\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nKeyError: 'y'",
    ),
    (
        "Go",
        "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.f(0xc000012345, 0x1)\n\t/app/main.go:9 +0x1d\nmain.main()\n\t/app/main.go:5 +0x20\n\ngoroutine 7 [select]:\nnet/http.(*Server).Serve(0xc0)\n\t/go/server.go:1 +0x1\ncreated by main.main\n\t/app/main.go:4 +0x2\nexit status 2",
    ),
    (
        "Node",
        "TypeError: x is not a function\n    at Object.<anonymous> (/app/a.js:1:1)\n    at node:internal/main:2:3 {\n  code: 'E'\n}",
    ),
    (
        "Rust",
        "thread 'main' panicked at src/main.rs:2:5:\nit broke\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/library/std/src/panicking.rs:1:1\n   1: main::main\nnote: Some details are omitted, run with `RUST_BACKTRACE=full`.",
    ),
    (
        "Rust, newer",
        "thread 'main' (4711) panicked at src/main.rs:2:5:\nit broke\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
    ),
    ("no trace", "listening on :80"),
];

#[test]
fn stack_traces_belong_to_the_line_before() {
    for (language, trace) in TRACES {
        let text = format!("before\n{trace}\nafter\nlater");
        assert_eq!(
            bodies(of(Multiline::StackTraces), &text),
            ["before", trace, "after", "later"],
            "{language}"
        );
    }
}

#[test]
fn a_joined_record_is_read_as_one() {
    let settings = RecordSettings {
        format: LineFormat::Syslog,
        multiline: Some(Multiline::Indented),
        ..RecordSettings::default()
    };
    let (records, _) =
        records(settings, &[b"Nov 22 08:00:00 box app: one", b"  two", b"Nov 22 08:00:00 box app: three"]);
    let prefix = "2026-11-22T08:00:00Z -";
    let suffix = r#"syslog.hostname="box" syslog.appname="app""#;
    assert_eq!(
        records,
        [format!(r#"{prefix} "one\n  two" {suffix}"#), format!(r#"{prefix} "three" {suffix}"#)]
    );
}

#[test]
fn what_is_held_has_not_been_read() {
    let mut recorder = recorder(of(Multiline::Indented));
    let mut out = LogBuffer::default();
    assert_eq!((recorder.holds_from(), recorder.next_flush(NOW)), (None, None));
    recorder.line(b"one", 0, false, NOW, &mut out);
    recorder.line(b" more", 4, false, NOW, &mut out);
    assert_eq!((recorder.holds_from(), out.len()), (Some(0), 0));
    recorder.line(b"two", 10, false, NOW, &mut out);
    assert_eq!((recorder.holds_from(), out.len()), (Some(10), 1));
    assert_eq!(recorder.next_flush(NOW), Some(Duration::from_secs(1)));
    recorder.flush(NOW.plus(Duration::from_millis(999)), &mut out);
    assert_eq!(out.len(), 1);
    recorder.flush(NOW.plus(Duration::from_secs(1)), &mut out);
    assert_eq!((recorder.holds_from(), recorder.next_flush(NOW), out.len()), (None, None, 2));
}

#[test]
fn a_record_of_many_lines_ends_at_its_limits() {
    let long = "x".repeat(1000);
    for (line, lines) in [(" x", 1000), (long.as_str(), 261)] {
        let mut recorder = recorder(of(Multiline::Continuation("^[x ]".into())));
        let mut out = LogBuffer::default();
        for at in 0..=lines {
            recorder.line(line.as_bytes(), at, false, NOW, &mut out);
        }
        assert_eq!((out.len(), recorder.holds_from()), (1, Some(lines)), "{lines}");
        let record = out.records().next().unwrap();
        assert_eq!(record.attribute("hostmend.log.truncated"), Some(LogValue::Bool(true)));
        assert_eq!(
            recorder.take_figures(),
            RecordFigures { records: 1, split: 1, ..RecordFigures::default() }
        );
    }
}

fn container(format: LineFormat) -> RecordSettings {
    RecordSettings { format, inner: Some(LineFormat::Json), ..RecordSettings::default() }
}

#[test]
fn lines_of_containerd_become_those_of_the_program() {
    let (records, figures) = records(
        container(LineFormat::Cri),
        &[
            br#"2026-11-22T08:00:00.1Z stdout F {"msg":"whole"}"#,
            br#"2026-11-22T08:00:00.2Z stdout P {"msg":"in "#,
            br#"2026-11-22T08:00:00.3Z stderr F {"msg":"between","time":1795334401}"#,
            b"2026-11-22T08:00:00.4Z stdout P two ",
            br#"2026-11-22T09:00:00.5+01:00 stdout F:tag parts"}"#,
            b"2026-11-22T08:00:00.6Z stdout F",
            b"no line of a container",
        ],
    );
    assert_eq!(
        records,
        [
            r#"2026-11-22T08:00:00.1Z - "whole" log.iostream="stdout""#,
            r#"2026-11-22T08:00:01Z - "between" log.iostream="stderr""#,
            r#"2026-11-22T08:00:00.2Z - "in two parts" log.iostream="stdout""#,
            r#"2026-11-22T08:00:00.6Z - "" log.iostream="stdout""#,
            r#"- - "no line of a container""#,
        ]
    );
    assert_eq!(figures.unparsed, 2);
}

#[test]
fn lines_of_docker_become_those_of_the_program() {
    let (records, figures) = records(
        container(LineFormat::Docker),
        &[
            br#"{"log":"{\"msg\":\"whole\"}\r\n","stream":"stdout","time":"2026-11-22T08:00:00.123456789Z"}"#,
            br#"{"log":"{\"msg\":","stream":"stderr","time":"2026-11-22T08:00:00.2Z"}"#,
            br#"{"log":"\"parts\"}\n","stream":"stderr","attrs":{"a":["b"]},"time":"2026-11-22T08:00:00.3Z"}"#,
            br#"{"stream":"stderr"}"#,
        ],
    );
    assert_eq!(
        records,
        [
            r#"2026-11-22T08:00:00.123456789Z - "whole" log.iostream="stdout""#,
            r#"2026-11-22T08:00:00.2Z - "parts" log.iostream="stderr""#,
            r#"- - "{\"stream\":\"stderr\"}""#,
        ]
    );
    assert_eq!(figures.unparsed, 1);
}

#[test]
fn parts_of_a_container_wait_and_are_held() {
    let mut recorder = recorder(container(LineFormat::Cri));
    let mut out = LogBuffer::default();
    recorder.line(b"2026-11-22T08:00:00.1Z stdout P a", 7, false, NOW, &mut out);
    assert_eq!((recorder.holds_from(), recorder.next_flush(NOW)), (Some(7), Some(PART_PATIENCE)));
    recorder.flush(NOW.plus(PART_PATIENCE), &mut out);
    assert_eq!((recorder.holds_from(), out.len()), (None, 1));
}
