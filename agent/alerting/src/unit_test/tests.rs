use std::path::{Path, PathBuf};

use documents::Trust;
use proptest::prelude::*;

use super::*;

fn data(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).join(name)
}

fn open(path: &Path) -> Document {
    let document = Document::open(path, Trust::Anyone).unwrap();
    // Places then read as in the file's own folder.
    Document::from_text(Path::new(path.file_name().unwrap()), document.text())
}

/// How many passed, and every failure or problem as one line.
fn told(path: &str, chosen: &dyn Fn(&str) -> bool) -> (usize, Vec<String>) {
    let path = data(path);
    let tests = match UnitTests::read(&open(&path)) {
        Ok(tests) => tests,
        Err(problems) => return (0, problems.iter().map(ToString::to_string).collect()),
    };
    let rules = tests.rule_files().iter().map(|file| open(&path.parent().unwrap().join(&file.value)));
    let rules: Vec<Document> = rules.collect();
    tell(tests.run(&rules, chosen))
}

fn tell(result: Result<Vec<TestReport>, Vec<Problem>>) -> (usize, Vec<String>) {
    let reports = match result {
        Ok(reports) => reports,
        Err(problems) => return (0, problems.iter().map(ToString::to_string).collect()),
    };
    let checks: Vec<Check> = reports.into_iter().flat_map(|report| report.checks).collect();
    let passed = checks.iter().filter(|check| check.failure.is_none()).count();
    let failures = checks.iter().filter_map(|check| check.failure.as_ref());
    (passed, failures.map(|failure| failure.problem.to_string()).collect())
}

fn all(_: &str) -> bool {
    true
}

/// Rules and tests given as text.
fn run(rules: &str, tests: &str) -> (usize, Vec<String>) {
    let tests = UnitTests::read(&Document::from_text(Path::new("test.yaml"), tests));
    match tests {
        Ok(tests) => tell(tests.run(&[Document::from_text(Path::new("rules.yaml"), rules)], &all)),
        Err(problems) => (0, problems.iter().map(ToString::to_string).collect()),
    }
}

const DUPLICATE: &str = "found duplicate series for the match group {a=\"1\"} on the right hand-side of the operation: \
     [join_2{a=\"1\", b=\"3\"}, join_2{a=\"1\", b=\"4\"}];many-to-many matching not allowed: matching labels must be unique on one side";

#[test]
fn promtools_own_tests_get_the_verdicts_of_promtool() {
    let else_at = |place: &str| format!("{place}: the expression gives something else at 0s");
    let native = |place: &str| format!("{place}: native histograms are not supported");
    for (file, passed, failures) in [
        ("at-modifier-test.yml", 0, vec![]),
        ("negative-offset-test.yml", 0, vec![]),
        ("no-test-group-interval.yml", 2, vec![]),
        ("long-period.yml", 4, vec![]),
        ("start-time-test.yml", 9, vec![]),
        (
            "bad-input-series.yml",
            0,
            vec!["bad-input-series.yml:3:64: the labels of the series end too early; write a series as in up{job=\"node\"}".to_owned()],
        ),
        ("bad-promql.yml", 0, vec![format!("bad-promql.yml:12:16: {DUPLICATE}")]),
        (
            "bad-rules-error-test.yml",
            0,
            vec![format!(
                "bad-rules-error.yml:7:15: at 0s in a test: evaluating rule joined of group bad-example: the expression \
                 \"join_1 + on(a) join_2\" has no value: {DUPLICATE}"
            )],
        ),
        (
            "bad-rules-syntax-test.yml",
            0,
            vec!["bad-rules-syntax.yml:7:22: unexpected end of the expression, expected an expression".to_owned()],
        ),
        (
            "failing.yml",
            0,
            vec![
                "failing.yml:21:20: 1 firing alert is expected at 0s, 0 found".to_owned(),
                else_at("failing.yml:13:15"),
                "failing.yml:34:20: 0 firing alerts are expected at 5m, 1 found".to_owned(),
                "failing.yml:37:20: 0 firing alerts are expected at 5m, 1 found".to_owned(),
            ],
        ),
        ("rules_run.yml", 1, vec![else_at("rules_run.yml:26:15")]),
        (
            "rules_run_fuzzy.yml",
            2,
            vec![else_at("rules_run_fuzzy.yml:34:15"), else_at("rules_run_fuzzy.yml:39:15")],
        ),
        (
            "rules_run_no_fuzzy.yml",
            0,
            vec![else_at("rules_run_no_fuzzy.yml:15:15"), else_at("rules_run_no_fuzzy.yml:20:15")],
        ),
        // All that upstream expects of floats; it passes there as a whole.
        ("unittest.yml", 23, ["20:18", "23:18", "26:18", "66:24", "72:24", "78:24"].map(|at| native(&format!("unittest.yml:{at}"))).to_vec()),
    ] {
        assert_eq!(told(&format!("rules/{file}"), &all), (passed, failures), "{file}");
    }
}

#[test]
fn chosen_tests_run_alone() {
    assert_eq!(told("rules/rules_run.yml", &|name| name.contains("correct")), (1, vec![]));
    assert_eq!(told("rules/rules_run.yml", &|name| name.contains("neither")), (0, vec![]));
}

#[test]
fn unknown_fields_of_rule_files_are_refused_or_overlooked() {
    let (passed, problems) = told("rules/rules_run_extrafields.yml", &all);
    assert_eq!(passed, 0);
    assert!(problems[0].starts_with("rules_extrafields.yml:7:5: unknown field `namespace`"), "{problems:?}");

    let tests = UnitTests::read(&open(&data("rules/rules_run_extrafields.yml"))).unwrap();
    let (lenient, warnings) = without_unknown_fields(&open(&data("rules/rules_extrafields.yml")));
    let places: Vec<_> = warnings.iter().map(|warning| warning.place().unwrap().line).collect();
    assert_eq!(places, [7, 21]);
    assert_eq!(tell(tests.run(&[lenient], &all)), (1, vec![]));
}

#[test]
fn a_field_is_overlooked_wherever_it_stands() {
    for text in [
        "note: {a: [1, 2]}\ngroups: []\n",
        "groups:\n- name: a\n  rules: []\n  note:\n  - one\n\n  - two: 2\n- name: b\n  rules: []\n",
        "groups:\n- note: x\n  name: a\n  rules:\n  - {record: a, note: {b: ','}, expr: 1}\n",
        "groups:\n- {name: a, rules: [], note: \"}\"}\n",
    ] {
        let (lenient, warnings) = without_unknown_fields(&Document::from_text(Path::new("x"), text));
        assert_eq!(warnings.len(), text.matches("note").count(), "{}", lenient.text());
        assert!(RuleFile::read(&lenient).is_ok(), "{}", lenient.text());
    }
}

const RULES: &str = "groups:
- name: slow
  interval: 5m
  rules:
  - record: ticks:slow
    expr: time()
- name: fast
  rules:
  - record: ticks:fast
    expr: time()
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.job }}'}
";

#[test]
fn groups_have_their_own_intervals_where_the_file_says_so() {
    let tests = |head: &str, slow: u32| {
        format!(
            "{head}
tests:
- promql_expr_test:
  - {{expr: 'count_over_time(ticks:slow[1h])', eval_time: 10m, exp_samples: [{{value: {slow}}}]}}
  - {{expr: 'count_over_time(ticks:fast[1h])', eval_time: 10m, exp_samples: [{{value: 11}}]}}
"
        )
    };
    assert_eq!(run(RULES, &tests("", 11)), (2, vec![]));
    assert_eq!(run(RULES, &tests("group_intervals: true", 3)), (2, vec![]));
}

#[test]
fn pending_alerts_are_checked_where_the_test_says_so() {
    let tests = |expected: &str| {
        format!(
            "tests:
- input_series: [{{series: 'up{{job=\"node\"}}', values: 0x9}}]
  alert_rule_test: [{{alertname: Down, eval_time: 1m30s, {expected}}}]
"
        )
    };
    let alert = "exp_labels: {severity: page, job: node}, exp_annotations: {summary: node}";
    assert_eq!(run(RULES, &tests("exp_alerts: []")), (1, vec![]));
    assert_eq!(run(RULES, &tests(&format!("exp_pending: [{{{alert}}}]"))), (1, vec![]));
    let none = vec!["test.yaml:3:33: 0 pending alerts are expected at 1m30s, 1 found".to_owned()];
    assert_eq!(run(RULES, &tests("exp_pending: []")), (0, none));
    let firing = vec!["test.yaml:3:33: 1 firing alert is expected at 1m30s, 0 found".to_owned()];
    assert_eq!(run(RULES, &tests(&format!("exp_alerts: [{{{alert}}}]"))), (0, firing));
}

#[test]
fn an_alert_that_differs_is_told_label_by_label() {
    let text = "tests:
- input_series: [{series: 'up{job=\"node\"}', values: 0x9}]
  alert_rule_test:
  - alertname: Down
    eval_time: 5m
    exp_alerts:
    - exp_labels: {severity: ticket, job: node}
      exp_annotations: {summary: node}
";
    let tests = UnitTests::read(&Document::from_text(Path::new("test.yaml"), text)).unwrap();
    let reports = tests.run(&[Document::from_text(Path::new("rules.yaml"), RULES)], &all).unwrap();
    let failure = reports[0].checks[0].failure.as_ref().unwrap();
    let field = promql::script::Field {
        name: "label severity".to_owned(),
        expected: Some("\"ticket\"".to_owned()),
        found: Some("\"page\"".to_owned()),
    };
    let title = "{job=\"node\", severity=\"ticket\"}".to_owned();
    assert_eq!(failure.differences, [Difference::Differs { title, fields: vec![field] }]);
}

#[test]
fn groups_are_evaluated_in_the_order_that_the_file_gives() {
    let rules = "groups:
- {name: second, rules: [{record: b, expr: a + 1}]}
- {name: first, rules: [{record: a, expr: time()}]}
";
    let tests = "group_eval_order: [first, second]
tests: [{promql_expr_test: [{expr: b, exp_samples: [{labels: b, value: 1}]}]}]
";
    assert_eq!(run(rules, tests), (1, vec![]));
    let (passed, failures) = run(rules, &tests.replace("[first, second]", "[]"));
    assert_eq!((passed, failures.len()), (0, 1));
}

#[test]
fn a_subquery_that_does_not_say_looks_as_often_as_rules_are_evaluated() {
    let rules = "groups: [{name: a, rules: [{record: n, expr: 'count_over_time(vector(1)[5m:])'}]}]";
    let tests = "evaluation_interval: 30s
tests:
- promql_expr_test:
  - {expr: n, eval_time: 10m, exp_samples: [{labels: n, value: 10}]}
  - {expr: 'count_over_time(vector(1)[5m:])', eval_time: 10m, exp_samples: [{value: 10}]}
";
    assert_eq!(run(rules, tests), (2, vec![]));
    assert_eq!(run(rules, &tests.replace("30s", "1m").replace("10}", "5}")), (2, vec![]));
}

#[test]
fn templates_know_the_external_labels_of_the_test() {
    let rules = "groups: [{name: a, rules: [{alert: A, expr: 'vector(1)', annotations: {host: '{{ $externalLabels.host }} {{ $externalURL }}'}}]}]";
    let tests = "tests:
- external_labels: {host: web-01}
  external_url: http://here
  alert_rule_test: [{alertname: A, exp_alerts: [{exp_annotations: {host: web-01 http://here}}]}]
";
    assert_eq!(run(rules, tests), (1, vec![]));
}

#[test]
fn the_scenarios_of_the_alert_generator_suite_pass() {
    let scenarios = ["NewAlerts_OrderCheck", "PendingAndResolved_AlwaysInactive"];
    let passed = scenarios.map(|name| told(&format!("alertgen/{name}.test.yml"), &all));
    assert_eq!(passed, [(232, vec![]), (84, vec![])]);
}

#[test]
fn what_is_wrong_in_the_file_is_told_with_its_place() {
    for (text, expected) in [
        (
            "tests: [{alert_rule_test: [{eval_time: 5m}]}]",
            "test.yaml:1:28: the test of an alert needs `alertname`",
        ),
        (
            "tests: [{promql_expr_test: [{eval_time: 5m}]}]",
            "test.yaml:1:29: the test of an expression needs `expr`",
        ),
        (
            "tests: [{interval: 5 min}]",
            "test.yaml:1:20: \"5 min\" is not a duration; write it as in 90s, 5m or 1h30m",
        ),
        ("group_eval_order: [a, a]", "test.yaml:1:23: the group \"a\" is there twice"),
        (
            "tests: [{start_timestamp: soon}]",
            "test.yaml:1:27: \"soon\" is not a time; write seconds since 1970 or a time as in 2026-01-02T15:04:05Z",
        ),
        (
            "tests: [{input_series: [{series: up, values: 1x1000000000}]}]",
            "test.yaml:1:9: the test loads more than 1000000 samples",
        ),
        (
            "tests: [{name: long, promql_expr_test: [{expr: a, eval_time: 100y}]}]",
            "test.yaml:1:16: the rules would be evaluated more than 1000000 times; shorten `eval_time`, or make `evaluation_interval` longer",
        ),
        (
            "tests: [{promql_expr_test: [{expr: a, exp_samples: [{value: one}]}]}]",
            "test.yaml:1:61: \"one\" is not a number",
        ),
        ("", "test.yaml: the file is empty"),
    ] {
        let (passed, problems) = run(RULES, text);
        assert_eq!((passed, problems), (0, vec![expected.to_owned()]), "{text}");
    }
}

#[test]
fn after_a_rule_that_fails_nothing_is_looked_at() {
    let rules =
        "groups: [{name: a, rules: [{record: r, expr: 'label_replace(up, \"job\", \"x\", \"\", \"\")'}]}]";
    let tests = "tests:
- input_series:
  - {series: 'up{job=\"a\"}', values: _ 1x9}
  - {series: 'up{job=\"b\"}', values: _ 1x9}
  promql_expr_test: [{expr: r, eval_time: 5m}]
  alert_rule_test: [{alertname: A}, {alertname: B, eval_time: 3m}]
";
    let (passed, failures) = run(rules, tests);
    assert_eq!((passed, failures.len()), (1, 3));
    assert!(failures[0].starts_with("rules.yaml:1:"), "{failures:?}");
    assert_eq!(
        failures[1..],
        [
            "test.yaml:6:49: not looked at, since the test could not run",
            "test.yaml:5:29: not looked at, since the test could not run"
        ]
    );
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(
        text in "((tests|rule_files|input_series|series|values|promql_expr_test|expr|eval_time|alert_rule_test|alertname|exp_alerts):|[-\\[\\]{}\"'a]|1x3|5m|\n|  | )(\n|  | ){0,30}"
    ) {
        run(RULES, &format!("tests:\n- {text}"));
        without_unknown_fields(&Document::from_text(Path::new("x"), &format!("groups:\n- {text}")));
    }
}
