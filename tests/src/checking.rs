//! `hostmend check`: every problem, with its place and what would be right.

use std::path::Path;

use serde_json::Value;

use crate::program::{run, stdout};

/// Writes files, checks the first with everything it names, and returns exit code and JSON lines as text.
fn check(files: &[(&str, &str)]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let configuration = directory.path().join(files[0].0);
    let output = run(&["check", "--format", "json", "--config", configuration.to_str().unwrap()]);
    (output.status.code(), plain(&stdout(&output), directory.path()))
}

/// `file:line:column: message; hint`, one line per problem, paths relative to the directory.
fn plain(json: &str, directory: &Path) -> String {
    let objects = json.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // The others say what alerts depend on.
    let problems = objects.filter(|object| object["message"].is_string());
    let lines: Vec<String> = problems.map(|problem| line(&problem, directory)).collect();
    lines.join("\n")
}

fn line(problem: &Value, directory: &Path) -> String {
    let file = Path::new(problem["file"].as_str().unwrap());
    let file = file.strip_prefix(directory).unwrap_or(file).display();
    let place = match (problem["line"].as_u64(), problem["column"].as_u64()) {
        (Some(line), Some(column)) => format!("{line}:{column}:"),
        _ => String::new(),
    };
    let hint = problem["hint"].as_str().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{file}:{place} {}{hint}", problem["message"].as_str().unwrap())
}

const RUNBOOK: &str = "runbooks:
  - name: restart-web
    matchers: ['alertname=\"WebDown\"']
    script: restart.rhai
    params: { process: web }
    grants: { process.restart: [web] }
    stage: auto
    guards: { cooldown: 1m, attempts: 3 per 10m }
    timeout: 30s
    verify: { expr: hostmend_watch_process_count > 0, within: 10s }
";

const CONFIGURATION: &str =
    "rules: [rules/*.yaml]\nrunbooks: [runbooks.yaml]\nscripts: scripts\npolicy: policy.yaml\n";

const POLICY: &str = "processes:
  - { name: web, command: [/usr/sbin/web], pid_file: /run/web.pid, at_most: 5 per 1h }
";

const SCRIPT: &str = "//! {summary: Restart, risk: low, params: {process: {type: string}}, needs: {process.restart: ['*']}}\nfn remediate(ctx) {\n    proc::restart(ctx.params.process);\n    fixed(\"restarted\")\n}\n";

const RULES: &str = "groups:\n  - name: web\n    rules:\n      - alert: WebDown\n        expr: hostmend_watch_process_count == 0\n        for: 1m\n";

/// A good set of files with one of them replaced.
fn with(name: &'static str, text: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut files = vec![
        ("hostmend.yaml", CONFIGURATION),
        ("rules/web.yaml", RULES),
        ("runbooks.yaml", RUNBOOK),
        ("scripts/restart.rhai", SCRIPT),
        ("policy.yaml", POLICY),
    ];
    for file in &mut files {
        if file.0 == name {
            file.1 = text;
        }
    }
    files
}

#[test]
fn a_good_set_of_files_has_no_problem() {
    let (code, problems) = check(&with("", ""));
    assert_eq!((code, problems.as_str()), (Some(0), ""));
}

#[test]
fn each_kind_of_mistake_is_found_at_its_place_with_exit_code_3() {
    for (name, text, expected) in [
        ("hostmend.yaml", "colect: {}\n", "hostmend.yaml:1:1: unknown field `colect`"),
        ("hostmend.yaml", "colect: {}\n", "did you mean `collect`?"),
        ("hostmend.yaml", "collect: { interval: 5 }\n", "hostmend.yaml:1:22: \"5\" is not a duration"),
        (
            "hostmend.yaml",
            "collect: { disable: [cpuu] }\n",
            "hostmend.yaml:1:22: there is no collector \"cpuu\"; did you mean `cpu`?",
        ),
        ("hostmend.yaml", "collect: [cpu]\n", "hostmend.yaml:1:10: "),
        (
            "hostmend.yaml",
            "destinations: [{ name: a, endpoint: collector }]\n",
            "hostmend.yaml:1:37: endpoint \"collector\" has no scheme",
        ),
        ("hostmend.yaml", "policy: gone.yaml\n", "gone.yaml: cannot read "),
        ("hostmend.yaml", "rules: [none.yaml]\n", "hostmend.yaml:1:9: "),
        (
            "rules/web.yaml",
            "groups:\n  - name: w\n    rules:\n      - alert: A\n        expr: up ==\n",
            "rules/web.yaml:5:",
        ),
        (
            "rules/web.yaml",
            "groups:\n  - name: w\n    rules:\n      - alert: A\n        expr: rat(up[5m])\n",
            "rules/web.yaml:5:15: ",
        ),
        (
            "rules/web.yaml",
            "groups:\n  - name: w\n    rules:\n      - alert: A\n        expr: rat(up[5m])\n",
            "did you mean `rate`?",
        ),
        ("scripts/restart.rhai", "fn remediate(ctx) {\n    let a = ;\n}\n", "scripts/restart.rhai:2:13: "),
        (
            "scripts/restart.rhai",
            "fn remediate(ctx) {\n    process::restrat(\"web\");\n    fixed(\"\")\n}\n",
            "scripts/restart.rhai:2:",
        ),
        (
            "scripts/restart.rhai",
            "//! { summary: Clean, risk: low }\nfn remediate(ctx) {\n    file::remove_old(\"/tmp\", \"1h\", \"1MiB\");\n    fixed(\"\")\n}\n",
            "file.remove",
        ),
        (
            "runbooks.yaml",
            "runbooks:\n  - { name: a, sript: b }\n",
            "runbooks.yaml:2:16: unknown field `sript`",
        ),
        (
            "policy.yaml",
            "processes:\n  - { name: web, command: [web], pid_file: /run/web.pid, at_most: 5 per 1h }\n",
            "policy.yaml:2:",
        ),
    ] {
        let (code, problems) = check(&with(name, text));
        assert_eq!(code, Some(3), "{name}: {text}\n{problems}");
        assert!(problems.contains(expected), "{name}: {text}\nexpected {expected}\nfound {problems}");
    }
}

#[test]
fn an_unreadable_file_is_named_with_the_reason() {
    let output = run(&["check", "--config", "/nowhere/hostmend.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stdout(&output).contains("cannot read /nowhere/hostmend.yaml: No such file"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_single_file_of_any_kind_can_be_checked() {
    let directory = tempfile::tempdir().unwrap();
    let files = with("", "");
    for (name, text) in &files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    for (name, _) in files {
        let path = directory.path().join(name);
        let output = run(&["check", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stdout(&output));
    }
}
