use std::path::Path;

use super::*;

const RULES: &str = "groups:
- name: web
  rules:
  - alert: WebDown
    expr: up == 0
    for: 2m
    labels: {severity: page}
";

const TEST: &str = "rule_files: [rules.yaml]
tests:
- name: down
  input_series: [{series: 'up{job=\"web\"}', values: 0x9}]
  alert_rule_test:
  - {alertname: WebDown, eval_time: 1m}
  - alertname: WebDown
    eval_time: 2m
    exp_alerts: [{exp_labels: {severity: ticket, job: web}}]
";

const EVALS: &str = "load 1m\n  up 1\n\neval instant at 0 up\n  up 1\n\neval instant at 0 up + 1\n  {} 3\n";

/// Runs files that are written into a directory, all of them.
fn run(files: &[(&str, &str)], options: &Options<'_>) -> Vec<FileReport> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let found = files::find(&[directory.path().to_owned()]);
    let reports = found.into_iter().map(|(path, problem)| match problem {
        None => suite::run(&path, options),
        Some(problem) => FileReport::broken(&path, problem),
    });
    let mut reports: Vec<FileReport> = reports.collect();
    for report in &mut reports {
        report.path = report.path.strip_prefix(directory.path()).unwrap_or(Path::new("DIR")).to_owned();
    }
    reports
}

fn everything() -> Options<'static> {
    Options { run: &[], ignore_unknown_fields: false }
}

/// Without the lines that show where in a temporary directory a file lies.
fn told(reports: &[FileReport]) -> String {
    let pages: String = reports.iter().map(|report| page::file(report, false)).collect();
    let shown = pages.lines().filter(|line| !line.contains("-->"));
    shown.map(|line| format!("{line}\n")).chain([page::closing(reports, false)]).collect()
}

#[test]
fn failures_are_shown_at_their_place_with_what_differs() {
    let reports = run(&[("rules.yaml", RULES), ("web.test.yaml", TEST), ("a.test", EVALS)], &everything());
    let expected = r#"a.test: 1 passed, 1 failed
FAILED eval instant at 0 up + 1
error: the result is another one
  |
7 | eval instant at 0 up + 1
  |                   ^^^^^^
    {} 3   is there, but
      - value: 3
      + value: 2

web.test.yaml: 1 passed, 1 failed
FAILED down: alert WebDown at 2m
error: 1 firing alert is expected at 2m, 1 found
  |
7 |   - alertname: WebDown
  |                ^^^^^^^
    {job="web", severity="ticket"}   is there, but
      - label severity: "ticket"
      + label severity: "page"

2 passed, 2 failed
"#;
    assert_eq!(told(&reports), expected);
}

#[test]
fn a_file_that_cannot_be_run_is_a_failure() {
    for (name, text, expected) in [
        ("a_test.yaml", RULES, "unknown field `groups`"),
        ("a_test.yaml", "tests: {", "error:"),
        ("a_test.yaml", "rule_files: [a_test.yaml]\ntests: []\n", "unknown field `rule_files`"),
        ("b.yaml", TEST, "there is no test in it"),
        ("a.test", "evaluate\n", "this is not an eval"),
    ] {
        let reports = run(&[(name, text)], &everything());
        assert_eq!(reports.iter().map(FileReport::failed).sum::<usize>(), 1, "{text}");
        assert!(told(&reports).contains(expected), "{}", told(&reports));
        assert!(told(&reports).ends_with("0 passed, 1 failed\n"));
    }
    let missing = suite::run(Path::new("/nowhere/a.test"), &everything());
    assert_eq!((missing.passed(), missing.failed()), (0, 1));
}

#[test]
fn a_pattern_without_rule_files_is_warned_of() {
    let reports = run(&[("a.test.yaml", "rule_files: [no*.yaml]\ntests: []\n")], &everything());
    assert_eq!(reports[0].failed(), 0);
    assert!(told(&reports).contains("warning: no rule file is found by this"), "{}", told(&reports));
}

#[test]
fn only_what_matches_is_run() {
    let files = [("rules.yaml", RULES), ("web.test.yaml", TEST), ("a.test", EVALS)];
    for (pattern, expected) in [("down", (1, 1)), ("up \\+", (0, 1)), ("nothing", (0, 0))] {
        let patterns = [Regex::new(pattern).unwrap()];
        let reports = run(&files, &Options { run: &patterns, ignore_unknown_fields: false });
        let sum = |of: fn(&FileReport) -> usize| reports.iter().map(of).sum::<usize>();
        assert_eq!((sum(FileReport::passed), sum(FileReport::failed)), expected, "{pattern}");
    }
}

#[test]
fn what_could_not_be_looked_at_is_counted_and_told_once() {
    let reports = run(
        &[("a.test", "load 1m\n up one\n\neval instant at 0 up\n\neval instant at 0 up\n")],
        &everything(),
    );
    assert_eq!(reports[0].failed(), 3);
    let page = told(&reports);
    assert!(page.contains("2 more could not be looked at because of that\n"), "{page}");
    assert_eq!(page.matches("error:").count(), 1);
}

#[test]
fn programs_get_every_case() {
    let reports = run(&[("rules.yaml", RULES), ("web.test.yaml", TEST)], &everything());
    let object: serde_json::Value = serde_json::from_str(&json::all(&reports)).unwrap();
    assert_eq!((object["passed"].as_u64(), object["failed"].as_u64()), (Some(1), Some(1)));
    let case = &object["files"][0]["cases"][1];
    assert_eq!(case["title"], "alert WebDown at 2m");
    assert_eq!(case["failure"]["line"], 7);
    assert_eq!(case["failure"]["differences"][0]["fields"][0]["expected"], "\"ticket\"");
}

#[test]
fn junit_has_a_suite_for_each_file_and_a_case_for_each_expectation() {
    let files = [("rules.yaml", RULES), ("b.test.yaml", TEST), ("a.test", EVALS), ("c_test.yml", "a")];
    let xml = junit::all(&run(&files, &everything()));
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"hostmend test\" tests=\"5\" failures=\"2\" errors=\"1\">\n"), "{xml}");
    assert_eq!(xml.matches("<testsuite ").count(), 3);
    assert_eq!(xml.matches("<testcase ").count(), 5);
    assert!(
        xml.contains("<testcase classname=\"b.test.yaml: down\" name=\"alert WebDown at 1m\"/>"),
        "{xml}"
    );
}
