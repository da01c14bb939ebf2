//! The scripts that are shipped, each with its rule, its runbook and what shows that they do as they say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{root, run, stdout};

fn place() -> PathBuf {
    root().join("remediation-scripts")
}

/// The names of the files of a kind, without what follows the dot.
fn names(directory: &Path, extension: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.filter_map(|name| name.to_str()?.strip_suffix(extension).map(str::to_owned));
    names.collect()
}

fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_script_is_shipped_with_its_rule_its_runbook_at_stage_observe_and_its_cases() {
    let whole = names(&place().join("runbooks"), ".yaml");
    assert!(whole.len() >= 6, "{whole:?}");
    assert!(whole.is_subset(&names(&place(), ".rhai")));
    assert_eq!(names(&place().join("rules"), ".yaml"), whole);
    assert_eq!(names(&place().join("tests"), ".test.yaml"), whole);
    assert_eq!(names(&place().join("tests"), ".cases.yaml"), whole);
    for name in whole {
        let file: Value = yaml(&place().join("runbooks").join(format!("{name}.yaml")));
        for runbook in file["runbooks"].as_array().unwrap() {
            assert_eq!(runbook["stage"], "observe", "{name}");
            assert_eq!(runbook["script"], format!("{name}.rhai"));
        }
    }
}

#[test]
fn the_tests_of_the_scripts_and_of_their_rules_pass() {
    let output = run(&["test", "remediation-scripts/tests"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

/// What `hostmend test` says of a case of `restart-unit`.
fn told_of_case(case: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let shipped = place();
    let shipped = shipped.display();
    let text = format!(
        "runbooks: {shipped}/runbooks/restart-unit.yaml\nscripts: {shipped}\ncases:\n- name: x\n  labels: {{ systemd_unit_name: web.service }}\n{case}"
    );
    let file = directory.path().join("x.cases.yaml");
    std::fs::write(&file, text).unwrap();
    let output = run(&["test", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(4), "{}", stdout(&output));
    stdout(&output).replace(&format!("{}/", directory.path().display()), "")
}

#[test]
fn a_case_that_a_script_does_not_fulfil_says_where_and_what_happened() {
    let active = "  host: { unit::status web.service: { load: loaded, active: active, sub: running, result: success, main_pid: 42 }, proc::find: [{ pid: 42, unit: web.service }] }\n";
    for (case, expected) in [
        (format!("{active}  outcome: repaired\n  actions: []\n"), "it ended as skipped: "),
        (format!("{active}  outcome: skipped\n  because: nonsense\n  actions: []\n"), "its last words are "),
        (
            format!("{active}  outcome: skipped\n  actions: [restart web.service]\n"),
            "- restart web.service   is expected and not there",
        ),
        (format!("{active}  outcome: skipped\n  actions: []\n  attached: [log.txt]\n"), "this was not kept"),
        (
            "  outcome: skipped\n  actions: []\n".to_owned(),
            "the case has no answer for \"unit::status web.service\"",
        ),
        (
            "  runbook: y\n  outcome: skipped\n  actions: []\n".to_owned(),
            "there is no such runbook in its file",
        ),
        (
            "  params: { untt: 1 }\n  outcome: skipped\n  actions: []\n".to_owned(),
            "the script has no parameter `untt`",
        ),
        (
            "  effects: [{ after: soon }]\n  outcome: skipped\n  actions: []\n".to_owned(),
            "\"soon\" is not a duration",
        ),
    ] {
        let told = told_of_case(&case);
        assert!(
            told.contains(expected) && told.contains("x.cases.yaml: 0 passed, 1 failed"),
            "{case}\n{told}"
        );
    }
}

#[test]
fn every_shipped_runbook_with_its_rule_and_script_has_no_problem() {
    for name in names(&place().join("runbooks"), ".yaml") {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("hostmend.yaml");
        let shipped = place();
        let shipped = shipped.display();
        let text = format!(
            "rules: [\"{shipped}/rules/{name}.yaml\"]\nrunbooks: [\"{shipped}/runbooks/{name}.yaml\"]\nscripts: \"{shipped}\"\n"
        );
        std::fs::write(&configuration, text).unwrap();
        let output = run(&["check", "--config", configuration.to_str().unwrap()]);
        assert!(stdout(&output).contains("errors: 0"), "{name}: {}", stdout(&output));
    }
}
