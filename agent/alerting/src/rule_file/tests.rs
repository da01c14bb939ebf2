use super::*;
use crate::Rule;
use documents::Trust;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn read(text: &str) -> Result<RuleFile, Vec<Problem>> {
    RuleFile::read(&Document::from_text(Path::new("r.yaml"), text))
}

fn print(problems: &[Problem], file: &str) -> Vec<String> {
    let problems = problems.iter().map(ToString::to_string);
    problems.map(|problem| problem.trim_start_matches(file).trim_start_matches(':').to_owned()).collect()
}

fn problems(text: &str) -> Vec<String> {
    match read(text) {
        Ok(file) => print(&file.warnings, "r.yaml"),
        Err(problems) => print(&problems, "r.yaml"),
    }
}

/// A file with one group, whose rules are given.
fn group(rules: &str) -> String {
    format!("groups:\n- name: g\n  rules:\n{rules}")
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules").join(name)
}

fn read_fixture(name: &str) -> Result<RuleFile, Vec<String>> {
    let path = fixture(name);
    let document = Document::open(&path, Trust::Anyone).unwrap();
    RuleFile::read(&document).map_err(|problems| print(&problems, path.to_str().unwrap()))
}

#[test]
fn every_key_of_a_rule_file_is_read() {
    let file = read(
        "groups:\n\
         - name: disk\n  interval: 30s\n  query_offset: 5s\n  limit: 7\n  labels: {team: infra, severity: none}\n  \
         rules:\n  \
         - record: disk:free\n    expr: disk_free / disk_size\n    labels: {from: 1, device: ''}\n  \
         - alert: DiskFull\n    expr: disk:free < 0.1\n    for: 5m\n    keep_firing_for: 1h\n    \
         labels: {severity: page}\n    annotations: {summary: 'only {{ $value }} left'}\n",
    )
    .unwrap();
    let [group] = &file.groups[..] else { panic!("{:?}", file.groups) };
    assert_eq!((group.name(), group.interval()), ("disk", Some(Duration::from_secs(30))));
    assert_eq!(group.query_offset, Duration::from_secs(5));
    let [Rule::Recording(record), Rule::Alerting(alert)] = group.rules() else { panic!("{group:?}") };
    let pairs: Vec<String> = record.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(pairs, ["team=infra", "severity=none", "from=1", "device="]);
    assert_eq!((record.limit, alert.limit), (Some(7), Some(7)));
    assert_eq!(
        (alert.hold_for(), alert.keep_firing_for()),
        (Duration::from_mins(5), Duration::from_hours(1))
    );
    let names: Vec<&str> = alert.labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["team", "severity"]);
    assert_eq!(file.groups[0].rules()[1].expression(), "disk:free < 0.1");
}

#[test]
fn what_prometheus_reads_as_nothing_or_as_text_is_read_so() {
    for rules in [
        "  - {alert: A, record: '', expr: up}\n",
        "  - {alert: '', record: a, expr: up}\n",
        "  - {record: a, expr: up, for: 0s, keep_firing_for: 0s, annotations: {}}\n",
        "  - {record: a, expr: up, for: , labels: , annotations: }\n",
        "  - {record: 'süd.west:last', expr: '{\"system.cpu.time\"}', labels: {'host.name': x, 0: y}}\n",
        "  - {alert: A, expr: up, labels: {a: 5, b: true, c: 1.50, d: , e: ~}}\n",
        "  - {alert: A, expr: up, annotations: {__name__: x}}\n",
        "  - {alert: 5, expr: 5}\n",
        "  - &a {alert: A, expr: up, labels: {x: y}}\n  - {alert: B, expr: up, labels: {}}\n",
    ] {
        if let Err(problems) = read(&group(rules)) {
            panic!("{rules}: {problems:?}");
        }
    }
    for head in ["limit: -1", "limit: 0", "interval: 0s", "labels:", "query_offset: 0s", "interval:"] {
        let file = read(&format!("groups:\n- name: g\n  {head}\n  rules: []\n"));
        let file = file.unwrap_or_else(|problems| panic!("{head}: {problems:?}"));
        assert_eq!((file.groups[0].limit, file.groups[0].interval), (None, None), "{head}");
    }
    let file = read(&group("  - {alert: A, expr: up, labels: {a: 5, b: true, c: 1.50, d: }}\n")).unwrap();
    let labels: Vec<(String, String)> = file.groups[0].rules()[0].labels().collect();
    let texts: Vec<&str> = labels.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["5", "true", "1.50", ""]);
}

#[test]
fn what_prometheus_refuses_is_refused() {
    for text in [
        "groups: {}\n",
        "groups:\n- rules: []\n",
        "groups:\n- name: g\n  name: h\n",
        "groups:\n- name: g\n  limit: 1.5\n",
        "groups:\n- name: g\n  limit: ten\n",
        "groups:\n- name: g\n  interval: -1s\n",
        "groups:\n- name: g\n  query_offset: 1m1h\n",
        "groups:\n- name: g\n  labels: {__name__: x}\n",
        "groups:\n- name: g\n  labels: {a: [b]}\n",
        "groups:\n- name: g\n  concurrency: 2\n",
        "groups:\n- name: g\n  source_tenants: [a]\n",
        "global: {}\n",
        "groups:\n- name: g\n  rules:\n  - alert: A\n   expr: up\n",
        "groups:\n- name: g\n\trules: []\n",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    for rule in [
        "{alert: '', record: '', expr: up}",
        "{alert: A}",
        "{alert: A, expr: ''}",
        "{alert: A, expr: }",
        "{alert: A, expr: up, expr: down}",
        "{alert: A, expr: up, for: ''}",
        "{alert: A, expr: up, for: 5}",
        "{alert: A, expr: up, annotations: {'': x}}",
        "{alert: A, expr: up, annotations: {a: {b: c}}}",
        "{alert: A, expr: up, labels: [a]}",
        "{record: 'a{', expr: up}",
        "{record: '}', expr: up}",
        "{record: a, expr: up, for: 1s}",
        "{alert: [a], expr: up}",
        "[]",
        "",
    ] {
        assert!(read(&group(&format!("  - {rule}\n"))).is_err(), "{rule}");
    }
}

#[test]
fn the_keys_beyond_prometheus_are_read_strictly() {
    let file = read(&group(
        "  - {alert: A, expr: up, clear_when: up == 1, on_missing: fire}\n  - {alert: B, expr: up}\n",
    ));
    let file = file.unwrap();
    let [Rule::Alerting(one), Rule::Alerting(other)] = file.groups[0].rules() else { panic!("{file:?}") };
    assert_eq!(one.clear_when.as_ref().map(|query| query.text()), Some("up == 1"));
    assert_eq!((one.on_missing, other.on_missing), (OnMissing::Fire, OnMissing::Clear));
    let problems = problems(&group(
        "  - alert: A\n    expr: up\n    clear_when: up ==\n    on_missing: hold\n  - alert: B\n    expr: up\n    \
         clear_when: up[5m]\n  - record: c\n    expr: up\n    clear_when: up\n    on_missing: keep\n",
    ));
    let places: Vec<&str> = problems.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    assert_eq!(places[1..], ["7:17", "10:17", "13:17", "14:17"], "{problems:?}");
    assert!(places[0].starts_with("6:"), "{problems:?}");
    assert_eq!(
        problems[1],
        "7:17: \"hold\" is nothing that a rule does when series are missing; write keep, fire or clear"
    );
    assert_eq!(problems[3], "13:17: a record takes no `clear_when`; only an alert does");
}

#[test]
fn a_file_without_rules_is_a_file() {
    for text in ["", "# nothing yet\n", "groups:\n", "groups: []\n", "groups:\n- name: later\n  rules:\n"] {
        assert!(read(text).unwrap().warnings.is_empty(), "{text}");
    }
}

#[test]
fn a_problem_quotes_no_more_than_a_line() {
    let long = "x".repeat(5_000);
    for text in [
        format!("groups:\n- name: {long}\n- name: {long}\n"),
        group(&format!("  - record: '{{{long}'\n    expr: up\n")),
        group(&format!("  - alert: {long}\n    expr: up\n  - alert: {long}\n    expr: up\n")),
        group(&format!("  - alert: A\n    expr: up {long}\n")),
    ] {
        let [problem] = &problems(&text)[..] else { panic!("{text}") };
        assert!(problem.contains('…') && problem.chars().count() < 300, "{problem}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let cases: &[(String, &[&str])] = &[
        (
            group("  - alert: A\n    expr: up\n    for: 5 min\n"),
            &["6:10: \"5 min\" is not a duration; write it as in 90s, 5m or 1h30m"],
        ),
        (
            group("  - alert: A\n    expr: up\n    keep_firing_for: -1m\n"),
            &["6:22: \"-1m\" is not a duration; write it as in 90s, 5m or 1h30m"],
        ),
        (
            group("  - alert: A\n    exrp: up\n"),
            &["5:5: unknown field `exrp`, expected one of record, alert, expr, for, keep_firing_for, \
               clear_when, on_missing, labels, annotations; did you mean `expr`?"],
        ),
        (
            group("  - alert: A\n    expr: up[5m]\n  - record: b\n    expr: '\"b\"'\n"),
            &[
                "5:11: the expression gives a range vector; a rule needs an instant vector or a scalar",
                "7:11: the expression gives a string; a rule needs an instant vector or a scalar",
            ],
        ),
        (group("  - alert: A\n"), &["4:12: the rule needs `expr`"]),
        (group("  - expr: up\n"), &["4:5: the rule needs `alert: NAME` or `record: NAME`"]),
        (
            group("  - alert: A\n    record: a\n    expr: up\n"),
            &["4:12: a rule is either an alert or a record, not both"],
        ),
        (group("  - alert: ''\n    expr: up\n"), &["4:12: an alert needs a name"]),
        (group("  - record: ''\n    expr: up\n"), &["4:13: a record needs a name"]),
        (
            group("  - record: up{job=\"x\"}\n    expr: up\n"),
            &["4:13: \"up{job=\\\"x\\\"}\" is not a series name; give labels under `labels`, and a selector as `expr`"],
        ),
        (
            group("  - record: a\n    expr: up\n    for: 5m\n    keep_firing_for: 5m\n    annotations: {a: b}\n"),
            &[
                "6:10: a record takes no `for`; only an alert does",
                "7:22: a record takes no `keep_firing_for`; only an alert does",
                "8:19: a record takes no `annotations`; only an alert does",
            ],
        ),
        (
            group("  - alert: A\n    expr: up\n    labels: {__name__: x, '': y}\n"),
            &[
                "6:14: \"__name__\" is not a name that a label can have",
                "6:27: \"\" is not a name that a label can have",
            ],
        ),
        (
            group("  - alert: A\n    expr: up\n    annotations:\n      text: |\n        first\n        {{ $lables.job }}\n"),
            &["9:12: there is no variable `$lables`; did you mean `$labels`?"],
        ),
        (
            "groups:\n- name: g\n  interval: soon\n  query_offset: 1x\n  limit: -1\n  labels: {a: '{{ end }}'}\n  rules:\n  \
             - alert: A\n    expr: up\n  - alert: B\n    expr: up\n"
                .to_owned(),
            &[
                "3:13: \"soon\" is not a duration; write it as in 90s, 5m or 1h30m",
                "4:17: \"1x\" is not a duration; write it as in 90s, 5m or 1h30m",
                "6:19: `end` ends nothing here",
            ],
        ),
        (
            "groups:\n- name: g\n- name: ''\n- name: g\n".to_owned(),
            &["3:9: a group needs a name", "4:9: the group \"g\" is there twice; name them apart"],
        ),
        ("rules: []\n".to_owned(), &["1:1: unknown field `rules`, expected one of groups"]),
        ("groups: 5\n".to_owned(), &["1:9: expected a list, as in [web] or lines that begin with a dash"]),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), *expected, "{text}");
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn a_bad_expression_is_shown_at_its_place_in_the_file() {
    for (expr, place) in [
        ("sum(rate(up[5m])", "5:"),
        ("'up > > 1'", "5:"),
        ("|\n      up\n      > > 1", "7:"),
        (">-\n      up == 1 and\n      on (job) nonsense(up)", "7:16:"),
    ] {
        let text = group(&format!("  - alert: A\n    expr: {expr}\n"));
        let problems = problems(&text);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(place), "{problems:?}");
    }
}

#[test]
fn all_problems_of_a_file_come_at_once_in_its_order() {
    let text = group("  - alert: A\n    expr: up >\n    for: x\n  - record: b\n    for: 1m\n  - expr: up\n");
    let places: Vec<String> =
        problems(&text).iter().map(|problem| problem.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(places.len(), 5, "{places:?}");
    assert!(places[0].starts_with("5:"), "{places:?}");
    assert_eq!(places[1..], ["6:10", "7:13", "8:10", "9:5"]);
}

#[test]
fn duplicate_rules_are_a_warning() {
    for (rules, expected) in [
        (
            "  - record: a\n    expr: up\n  - record: a\n    expr: down\n",
            Some("6:13: another rule \"a\" has the same labels; one would overwrite the other"),
        ),
        ("  - record: a\n    expr: up\n  - record: a\n    expr: up\n    labels: {x: y}\n", None),
        ("  - alert: a\n    expr: up\n  - record: b\n    expr: up\n", None),
    ] {
        let file = read(&group(rules)).unwrap();
        assert_eq!(print(&file.warnings, "r.yaml").first().map(String::as_str), expected, "{rules}");
    }
}

#[test]
fn of_many_duplicates_the_first_are_named_and_the_others_counted() {
    let rules: Vec<String> = (0..500).map(|number| format!("  - {{record: r{number}, expr: 1}}\n")).collect();
    let rules = rules.join("");
    let file = read(&group(&format!("{rules}{rules}"))).unwrap();
    assert_eq!(file.groups[0].rules().len(), 1_000);
    let warnings = print(&file.warnings, "r.yaml");
    assert_eq!(warnings.len(), MAX_NAMED_DUPLICATES + 1);
    assert!(warnings.iter().any(|it| it.contains("400 more rules have the name")), "{warnings:?}");
}

#[test]
fn of_several_yaml_documents_the_first_is_read_with_a_warning() {
    let file = read_fixture("rules_multi_doc.yaml").unwrap();
    assert_eq!(file.groups[0].name(), "multi_doc");
    assert!(
        file.warnings[0].to_string().contains(":8:1: only the first YAML document"),
        "{:?}",
        file.warnings
    );
    let one = read(
        "# rules\n---\ngroups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    annotations:\n      a: |\n        ---\n",
    );
    assert!(one.unwrap().warnings.is_empty());
}

/// Prometheus' own rule files, with the number of their rules and warnings.
#[test]
fn rule_files_that_prometheus_accepts_load() {
    for (name, rules, warnings) in [
        ("alert_rule.yaml", 1, 0),
        ("alert_rule1.yaml", 1, 0),
        ("rules1.yaml", 1, 0),
        ("rules2.yaml", 1, 0),
        ("rules2_copy.yaml", 1, 0),
        ("rules.yaml", 1, 0),
        ("rules_chain.yaml", 7, 0),
        ("rules_dependencies.yaml", 2, 0),
        ("rules_indeterminates.yaml", 7, 0),
        ("rules_multiple.yaml", 6, 0),
        ("rules_multiple_dependents_on_base.yaml", 8, 0),
        ("rules_multiple_groups.yaml", 10, 0),
        ("rules_multiple_independent.yaml", 8, 0),
        ("at-modifier.yml", 1, 0),
        ("negative-offset.yml", 1, 0),
        ("bad-rules-error.yml", 1, 0),
        ("rules.yml", 5, 0),
        ("rules_duplicates.yml", 5, 2),
        ("prometheus-rules.lint.yml", 2, 1),
        ("node_alerts.yaml", 26, 0),
        ("node_rules.yaml", 15, 0),
    ] {
        let file = read_fixture(name).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        let count: usize = file.groups.iter().map(|group| group.rules().len()).sum();
        assert_eq!((count, file.warnings.len()), (rules, warnings), "{name}");
    }
}

#[test]
fn rule_files_that_prometheus_refuses_are_refused_with_a_place() {
    for (name, expected) in [
        ("invalid_rules.yaml", "6:9: unknown field `unexpected_field`"),
        ("rules_extrafields.yml", "7:5: unknown field `namespace`"),
        ("bad-rules-syntax.yml", "7:"),
        // As in Prometheus without its flag for extended range selectors.
        ("features.yml", "10:"),
        ("rules-bad.yml", "12:33: there is no variable `$label`; did you mean `$labels`?"),
    ] {
        let problems = read_fixture(name).unwrap_err();
        let named = problems.iter().any(|problem| problem.starts_with(expected));
        assert!(named, "{name}: {problems:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "---", "groups:", "- name: g", "  limit: 1", "  rules:", "  - alert: A", "  - record: a",
                "    expr: sum(", "    expr: |", "      up >", "    for: 5", "    labels: {a: '{{'}",
                "    annotations:", "      ä: \"{{ $valüe }}\"", "# ü", "",
            ]),
            0..14,
        ),
    ) {
        if let Err(problems) = read(&lines.join("\n")) {
            prop_assert!(!problems.is_empty());
        }
    }
}
