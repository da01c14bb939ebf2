use super::*;
use crate::config::tests::{load_text, problems};

/// The section of one source of files in a directory that only its owner writes to, with more keys.
fn with_files(more: &str) -> String {
    format!("logs:\n  files:\n  - name: app\n    include: [/etc/hostname*]\n{}", indented(more))
}

fn indented(more: &str) -> String {
    let lines: Vec<&str> = more.lines().collect();
    format!("    {}\n", lines.join("\n    "))
}

fn options(more: &str) -> FilesOptions {
    let loaded = load_text(&with_files(more));
    let sources = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)).logs.sources;
    match sources.into_iter().next().unwrap() {
        LogSourceConfig::Files(options) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_the_section_nothing_is_followed_and_it_costs_no_masking() {
    assert_eq!(load_text("{}\n").config.unwrap().logs.sources.len(), 0);
}

#[test]
fn files_are_followed_as_they_are_written() {
    let text = "exclude: ['*.gz']\nstart: beginning\nfile_path: true\nmax_line_bytes: 4096\n\
                path: '^/srv/(?<app>[^/]+)/'\nresource: { service.name: 'x-${path.app}' }\n\
                format: json\nmultiline: { indented: true, flush: 2s }\ndedup: 10s\nsample: 0.1\n\
                timestamp: { field: time, format: '%Y-%m-%d %H:%M:%S', zone: UTC }\n\
                severity: { field: level, names: { W: warn, Q: 3 } }\n";
    let options = options(text);
    assert_eq!((&*options.name, options.start, options.max_line_bytes), ("app", StartAt::Beginning, 4096));
    assert_eq!(
        (options.include, options.exclude),
        (vec!["/etc/hostname*".to_owned()], vec!["*.gz".to_owned()])
    );
    assert!(options.file_path_attribute && options.resource.path.is_some());
    let settings = options.record.settings();
    assert_eq!(settings.format, logs::LineFormat::Json);
    assert_eq!(settings.multiline, Some(logs::Multiline::Indented));
    assert_eq!(settings.flush, Some(std::time::Duration::from_secs(2)));
    assert_eq!(settings.severities, [("Q".to_owned(), 3), ("W".to_owned(), 13)]);
    assert_eq!((settings.zone.as_deref(), settings.sample), (Some("UTC"), Some(0.1)));
    assert_eq!(settings.fields.severity.as_deref(), Some("level"));
}

#[test]
fn the_journal_and_the_kernel_need_no_more_than_to_be_named() {
    let loaded = load_text("logs: { journal: {}, kernel: {} }\n").config.unwrap();
    let named: Vec<(&str, &str)> = loaded.logs.sources.iter().map(|it| (it.kind(), &**it.name())).collect();
    assert_eq!(named, [("journal", "journal"), ("kernel", "kernel")]);
    let LogSourceConfig::Journal(journal) = &loaded.logs.sources[0] else { panic!("it comes first") };
    assert_eq!((journal.priority, journal.start), (7, StartAt::End));
    assert!(journal.directories.iter().all(|path| path.parent().unwrap().ends_with("log/journal")));
}

#[test]
fn secrets_are_masked_unless_that_is_switched_off() {
    let masks = |text: &str| !load_text(text).config.unwrap().logs.masking.is_empty();
    assert!(masks("logs: { kernel: {} }\n"));
    assert!(!masks("logs: { kernel: {}, masking: none }\n"));
    assert!(masks("logs: { kernel: {}, masking: none }\nmasking: [{ keys: [a] }]\n"));
}

#[test]
fn mistakes_are_told_where_they_are() {
    for (more, expected) in [
        ("format: jsn", "5:13: there is no format \"jsn\"; did you mean `json`?"),
        ("format: { pattern: '(a' }", "5:13: the pattern is no regular expression: unclosed group"),
        (
            "inner: json",
            "5:12: only the formats cri, docker and syslog have an inner format, and it is none of these",
        ),
        ("multiline: { start: 'a(b' }", "5:27: the pattern is no regular expression: unclosed group"),
        (
            "multiline: { flush: 1s }",
            "5:16: say one of start, continuation, indented: true and stack_traces: true",
        ),
        (
            "timestamp: { zone: Mars/Base }",
            "5:24: \"Mars/Base\" is no time zone that this host knows: write a name such as Europe/Berlin or UTC",
        ),
        ("sample: 2", "5:13: 2 is no part of the records: write a number above 0 and up to 1"),
        ("max_line_bytes: 1", "5:21: a line has from 256 to 8388608 bytes at most"),
        (
            "resource: { a: '${path.b}' }",
            "5:20: `path` has no group \"b\"; path: '^/srv/(?<app>[^/]+)/' has the group app",
        ),
        ("exclude: ['[']", "5:15: \"[\" is no glob: invalid range pattern"),
    ] {
        assert_eq!(problems(&with_files(more)), [expected], "{more}");
    }
}

#[test]
fn names_of_sources_are_plain_and_their_own() {
    let expected = "\"a b\" is no name of a log source; write up to 64 of a-z, 0-9, `_`, `.` and `-`";
    assert!(problems("logs: { journal: { name: 'a b' } }\n")[0].ends_with(expected));
    let text = "logs: { journal: { name: x }, kernel: { name: x } }\n";
    assert!(problems(text)[0].contains("two log sources are named \"x\"; name them apart"));
    let text = "logs: { journal: {}, files: [{ name: journal, include: [/etc/hostname] }] }\n";
    assert!(problems(text)[0].contains("two log sources are named \"journal\"; name them apart"));
}

#[test]
fn a_glob_that_would_bring_nothing_or_strangers_lines_is_warned_of() {
    let text = |glob: &str| format!("logs: {{ files: [{{ name: a, include: ['{glob}'] }}] }}\n");
    let told = problems(&text("/etc/no-such-*.log"));
    assert!(
        told[0].contains("no file matches /etc/no-such-*.log now; those that come are followed"),
        "{told:?}"
    );
    let told = problems(&text("/tmp/no-such-*.log"));
    assert!(told.iter().any(|it| it.contains("everybody may write to /tmp")), "{told:?}");
    assert!(load_text(&text("/tmp/no-such-*.log")).config.is_some());
    assert!(problems(&text("")).len() == 1 && load_text(&text("")).config.is_none());
}

#[test]
fn whole_sections_are_read_strictly_and_each_mistake_says_where_and_what_would_be_right() {
    let files = |more: &str| format!("logs: {{ files: [{{ name: a, include: [/etc/hostname]{more} }}] }}\n");
    for (text, expected) in [
        (
            "logs: { fils: [] }\n",
            "1:9: unknown field `fils`, expected one of files, journal, kernel, masking; did you mean `files`?",
        ),
        ("logs: { files: [{ include: [/etc/hostname] }] }\n", "1:17: missing field `name`"),
        ("logs: { files: [{ name: a }] }\n", "1:17: missing field `include`"),
        (
            "logs: { files: [{ name: a, include: /etc/hostname }] }\n",
            "1:37: expected a list, as in [web] or lines that begin with a dash",
        ),
        (&files(", path: '(a'"), "1:60: the pattern is no regular expression: unclosed group"),
        (
            &files(", start: begin"),
            "1:61: unknown variant `begin`, expected one of end, beginning; did you mean `beginning`?",
        ),
        (&files(", dedup: 10"), "1:61: \"10\" is not a duration; write it as in 90s, 5m or 1h30m"),
        (
            &files(", severity: { names: { W: wrn } }"),
            "1:78: expected trace, debug, info, warn, error, fatal, or a number from 1 to 24",
        ),
        (
            &files(" }, { name: a, include: [/etc/hosts]"),
            "1:64: two log sources are named \"a\"; name them apart",
        ),
        (
            "logs: { journal: { unit: [a.service] } }\n",
            "1:20: unknown field `unit`, expected one of name, units, exclude_units, priority, start, directory; \
             did you mean `units`?",
        ),
        ("logs: { journal: { units: ['a['] } }\n", "1:28: \"a[\" is no glob: invalid range pattern"),
        (
            "logs: { journal: { priority: loud } }\n",
            "1:30: there is no priority \"loud\"; there are emerg, alert, crit, err, warning, notice, info, debug",
        ),
        ("logs: { journal: [] }\n", "1:18: expected keys and values, as in name: web"),
        (
            "logs: { kernel: { nam: x } }\n",
            "1:19: unknown field `nam`, expected one of name, path; did you mean `name`?",
        ),
        (
            "logs: { kernel: {}, masking: all }\n",
            "1:30: unknown variant `all`, expected one of default, none",
        ),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
    let told = problems(&files(", formt: json"));
    assert!(told[0].starts_with("1:54: unknown field `formt`, expected one of name, include,"), "{told:?}");
    assert!(told[0].ends_with("did you mean `format`?"), "{told:?}");
}
