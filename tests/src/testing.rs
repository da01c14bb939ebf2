//! `hostmend test`: what promtool says of a test, we say too.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{binary, root, run, skip, stderr, stdout};

/// Whether promtool passes a file; `None`, said as a skip, where it is missing.
#[expect(clippy::disallowed_methods, reason = "the tool that we are compared with is a program")]
fn promtool(arguments: &[&str], directory: &Path) -> Option<(bool, String)> {
    let output = Command::new("promtool").args(arguments).current_dir(directory).output();
    let output = output.inspect_err(|error| skip("promtool", &error.to_string())).ok()?;
    Some((output.status.success(), format!("{}{}", stdout(&output), stderr(&output))))
}

#[expect(clippy::disallowed_methods, reason = "the program under test is run in the tests' directory")]
fn hostmend(file: &Path) -> (bool, String) {
    let output = Command::new(binary()).arg("test").arg(file).output().unwrap();
    let passed = output.status.code() == Some(0);
    assert!(passed || output.status.code() == Some(4), "{}", stderr(&output));
    (passed, stdout(&output))
}

/// Files in which promtool before 3.0 knows less: `start_timestamp`, and tests without `interval`.
const NEWER: [&str; 2] = ["start-time-test.yml", "no-test-group-interval.yml"];

#[test]
fn tests_of_others_get_the_verdict_of_promtool() {
    let Some((_, version)) = promtool(&["--version"], root()) else { return };
    let old = version.starts_with("promtool, version 2.");
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in ["agent/alerting/tests/rules", "agent/alerting/tests/alertgen"] {
        let entries = std::fs::read_dir(root().join(directory)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.retain(|file| {
        std::fs::read_to_string(file)
            .is_ok_and(|text| text.contains("\ntests:") || text.starts_with("tests:"))
    });
    files.sort();
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        if old && NEWER.contains(&name) {
            continue;
        }
        let (theirs, told) = promtool(&["test", "rules", name], file.parent().unwrap()).unwrap();
        let (ours, page) = hostmend(&file);
        assert_eq!(ours, theirs, "{name}\n{told}\n{page}");
    }
}

const RULES: &str = "groups:
- name: one
  interval: 7m
  rules:
  - record: sum:x
    expr: sum by (a) (x)
    labels: {b: c}
  - alert: High
    expr: x > 5
    for: 2m
    keep_firing_for: 3m
    labels: {level: '{{ $value }}', a: ''}
    annotations: {text: '{{ $labels.a }} is {{ printf \"%.1f\" $value }}', empty: ''}
- name: two
  rules:
  - alert: High
    expr: absent(x)
  - record: ten
    expr: count_over_time(up[10m:])
";

/// The rest of a test that has `x` of six values, for two values of `a`.
const ODD: [&str; 24] = [
    "promql_expr_test: [{expr: x, eval_time: 90s, exp_samples: [{labels: 'x{a=\"1\"}', value: 2}, {labels: 'x{a=\"2\"}', value: 9}]}]",
    "promql_expr_test: [{expr: x, eval_time: 90s, exp_samples: [{labels: 'x{a=\"2\"}', value: 9}, {labels: 'x{a=\"1\"}', value: 2}]}]",
    "promql_expr_test: [{expr: x, eval_time: 90s}]",
    "promql_expr_test: [{expr: none, eval_time: 90s}]",
    "promql_expr_test: [{expr: none / none, eval_time: 90s, exp_samples: []}]",
    "promql_expr_test: [{expr: 0 / 0, exp_samples: [{value: .nan}]}]",
    "promql_expr_test: [{expr: 1 / 0, exp_samples: [{value: .inf}]}]",
    "promql_expr_test: [{expr: '0.1 + 0.2', exp_samples: [{value: 0.3}]}]",
    "promql_expr_test: [{expr: 'x[5m]', eval_time: 2m}]",
    "promql_expr_test: [{expr: 'x +', eval_time: 2m}]",
    "promql_expr_test: [{expr: 'sum:x', eval_time: 3m, exp_samples: [{labels: 'sum:x{a=\"1\", b=\"c\"}', value: 4}, {labels: 'sum:x{a=\"2\", b=\"c\"}', value: 9}]}]",
    "promql_expr_test: [{expr: 'count(ALERTS)', eval_time: 2m, exp_samples: [{value: 1}]}]",
    "promql_expr_test: [{expr: 'ALERTS_FOR_STATE', eval_time: 2m, exp_samples: [{labels: 'ALERTS_FOR_STATE{alertname=\"High\", level=\"9\"}', value: 0}]}]",
    "promql_expr_test: [{expr: 'x offset -1m', eval_time: 5m, exp_samples: [{labels: 'x{a=\"2\"}', value: 9}]}]",
    "promql_expr_test: [{expr: ten, eval_time: 20m, exp_samples: []}]",
    "alert_rule_test: [{alertname: High, eval_time: 1m, exp_alerts: []}]",
    "alert_rule_test: [{alertname: High, eval_time: 2m59s, exp_alerts: [{exp_labels: {level: 9}, exp_annotations: {text: 2 is 9.0, empty: ''}}]}]",
    "alert_rule_test: [{alertname: High, eval_time: 2m, exp_alerts: [{exp_labels: {level: 9, a: ''}, exp_annotations: {text: 2 is 9.0, empty: ''}}]}]",
    "alert_rule_test: [{alertname: High, eval_time: 2m, exp_alerts: [{exp_labels: {level: 9}, exp_annotations: {text: 2 is 9.0}}]}]",
    "alert_rule_test: [{alertname: High, eval_time: 2m, exp_alerts: [{exp_labels: {level: 9}}, {exp_labels: {level: 9}}]}]",
    "alert_rule_test: [{alertname: Other, eval_time: 2m}]",
    "alert_rule_test: [{eval_time: 2m}]",
    "alert_rule_test: [{alertname: High, eval_time: 40m, exp_alerts: [{}]}]",
    "alert_rule_test: [{alertname: High, eval_time: 12m, exp_alerts: [{exp_labels: {level: 9}, exp_annotations: {text: 2 is 9.0, empty: ''}}]}]",
];

#[test]
fn odd_expectations_get_the_verdict_of_promtool() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yaml"), RULES).unwrap();
    let mut verdicts = [0, 0];
    for rest in ODD {
        let text = format!(
            "rule_files: ['ru*.yaml']\ntests:\n- interval: 1m\n  input_series:\n  - {{series: 'x{{a=\"1\"}}', values: '1+1x5'}}\n  - {{series: 'x{{a=\"2\"}}', values: 9x5 _ _ 9 stale}}\n  {rest}\n"
        );
        let file = directory.path().join("a.test.yaml");
        std::fs::write(&file, text).unwrap();
        let Some((theirs, told)) = promtool(&["test", "rules", "a.test.yaml"], directory.path()) else {
            return;
        };
        let (ours, page) = hostmend(&file);
        assert_eq!(ours, theirs, "{rest}\n{told}\n{page}");
        verdicts[usize::from(ours)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 5), "{verdicts:?}");
}

#[test]
fn every_eval_of_prometheus_that_needs_only_floats_passes() {
    let scripts = std::fs::read_dir(root().join("agent/promql/tests/scripts")).unwrap();
    let scripts: Vec<PathBuf> = scripts.map(|entry| entry.unwrap().path()).collect();
    let floats = scripts.iter().filter(|path| {
        let stem = path.file_stem().unwrap_or_default().to_str().unwrap();
        path.extension().is_some_and(|extension| extension == "test") && !stem.ends_with("_exp")
    });
    let arguments: Vec<&str> =
        std::iter::once("test").chain(floats.map(|path| path.to_str().unwrap())).collect();
    let output = run(&arguments);
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.ends_with("\n656 passed, 0 failed\n"), "{told}");
}
