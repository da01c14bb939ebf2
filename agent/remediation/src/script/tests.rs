mod page;
mod table;

use proptest::prelude::*;

use super::*;
use crate::runbook::Verify;

const HEADER: &str = "//! { summary: Test, risk: low, params: { process: { type: string } }, needs: { process.restart: [web] } }\n";

fn problems(text: &str) -> Vec<String> {
    let document = Document::from_text(Path::new("s.rhai"), text);
    check_script(&document).iter().map(ToString::to_string).collect()
}

fn within_remediate(line: &str) -> String {
    format!("{HEADER}fn remediate(ctx) {{ proc::restart(\"web\");\n    {line}\n    fixed(\"x\")\n}}\n")
}

#[test]
fn a_sound_script_has_no_problems() {
    let text = HEADER.to_owned()
        + r#"
        fn precheck(ctx) { if proc::find("web").len() > 0 { skip("it runs") } }
        fn remediate(ctx) {
            let names = ["a", "b"].map(|name| name.to_upper());
            for name in names { incident::note(`restarting ${name} of ${ctx.params.process}`); }
            try { proc::restart("web"); } catch (error) { return failed(`${error}`); }
            let usage = metric::query("up") ?? 0.0;
            switch usage { 1.0 => fixed("up"), _ => failed("down") }
        }"#;
    assert_eq!(problems(&text), Vec::<String>::new());
}

#[test]
fn every_wrong_call_is_found_at_its_place() {
    for (line, expected) in [
        ("restart(\"web\");", "s.rhai:3:5: there is no function `restart`; did you mean `unit::restart`?"),
        (
            "proc::restrat(\"web\");",
            "s.rhai:3:5: there is no function `proc::restrat`; did you mean `proc::restart`?",
        ),
        (
            "proc::restart(\"web\", 3);",
            "s.rhai:3:5: `proc::restart` wants 1 arguments and got 2; proc::restart(name: string) -> #{process: string, ended: int or (), killed: bool, pid: int}",
        ),
        (
            "proc::restart(\"db\");",
            "s.rhai:3:19: the header does not say that `process.restart` is needed on \"db\"",
        ),
        (
            "file::remove_old(\"/x\", \"1m\", 1);",
            "s.rhai:3:5: `file::remove_old` needs `file.remove`, which the header does not say; add `//! needs: { file.remove: [..] }`",
        ),
        ("let x = \"a\".to_uper();", "s.rhai:3:17: there is no function `to_uper`; did you mean `to_upper`?"),
        ("if false { let x = `${oops()}`; }", "s.rhai:3:27: there is no function `oops`"),
        ("let f = || oops(); f.call();", "s.rhai:3:16: there is no function `oops`"),
        ("print(1);", "s.rhai:3:5: `print` is not available; use incident::note(..): a script has no output"),
        (
            "sleep(5);",
            "s.rhai:3:5: `sleep` is not available; use clock::sleep(\"5s\"), which a stop can interrupt",
        ),
        (
            "Fn(\"re\" + \"start\").call();",
            "s.rhai:3:5: a function's name must stand in the script, so that it can be checked; use a closure: |x| f(x)",
        ),
        ("Fn(\"restart\").call();", "s.rhai:3:8: the script defines no function `restart`"),
        ("f(1);", "s.rhai:3:5: there is no function `f`"),
        ("let x = failed();", "s.rhai:3:13: `failed` wants 1 arguments and got 0"),
    ] {
        assert_eq!(problems(&within_remediate(line)), [expected], "{line}");
    }
}

#[test]
fn what_the_language_refuses_is_refused_at_its_place() {
    for (line, place) in [
        ("eval(\"1\");", "s.rhai:3:5: "),
        ("import \"x\" as y;", "s.rhai:3:5: "),
        ("let x = ;", "s.rhai:3:13: "),
        ("unknown += 1;", "s.rhai:3:5: "),
        ("unit::restart(\"x.service\");", "s.rhai:3:5: "),
    ] {
        let problems = problems(&within_remediate(line));
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
        assert!(problems.first().unwrap().starts_with(place), "{line}: {problems:?}");
    }
}

#[test]
fn a_script_must_define_remediate_and_no_function_of_the_agent() {
    let text = "//! { summary: Test, risk: low }\nfn remediate() { 1 }\nfn failed(why) { why }\n";
    assert_eq!(
        problems(text),
        [
            "s.rhai:1:1: a script defines `fn remediate(ctx)`, which returns fixed(..), failed(..) or skip(..)",
            "s.rhai:3:1: `failed` is taken: it is one of the agent's own functions",
        ]
    );
}

#[test]
fn the_shipped_scripts_have_no_problems_and_say_what_they_do() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../remediation-scripts");
    let mut seen = 0;
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    for path in entries.filter(|path| path.extension().is_some_and(|extension| extension == "rhai")) {
        let document = Document::open(&path, Trust::Anyone).unwrap();
        let found: Vec<String> = check_script(&document).iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::<String>::new());
        assert!(!Script::read(document).unwrap().header().summary.is_empty());
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn scripts_are_opened_once_and_every_problem_is_told() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("restart-process.rhai"), within_remediate("oops();")).unwrap();
    let document = Document::from_text(Path::new("r.yaml"), crate::runbook::tests::SOUND);
    let mut runbooks = Runbook::read(&document).unwrap();
    runbooks.push(Runbook { script: "missing.rhai".to_owned(), ..runbooks.first().unwrap().clone() });
    let problems = load_scripts(&mut runbooks, directory.path(), Trust::Anyone).unwrap_err();
    let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(
        text.contains("r.yaml:5:13: there is no script") && text.contains("no function `oops`"),
        "{text}"
    );
}

#[test]
fn a_script_that_is_not_there_is_told_where_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("restart-proces.rhai"), "").unwrap();
    let document = Document::from_text(Path::new("r.yaml"), crate::runbook::tests::SOUND);
    let mut runbooks = Runbook::read(&document).unwrap();
    let problems = load_scripts(&mut runbooks, directory.path(), Trust::Anyone).unwrap_err();
    let path = directory.path().join("restart-process.rhai");
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].to_string(),
        format!("r.yaml:5:13: there is no script {}; did you mean `restart-proces.rhai`?", path.display())
    );
}

#[test]
fn the_hash_is_that_of_the_text() {
    let script =
        Script::read(Document::from_text(Path::new("s.rhai"), "//! {summary: a, risk: low}\n")).unwrap();
    assert_eq!(script.sha256(), "964a1bccd0bbe5efc689e334a8d5c8d1b17f770fcdcb447a982f3f23134a5dff");
}

/// The problems of a runbook with this script.
fn misfits(header: &str, runbook: &str) -> Vec<String> {
    let script = Document::from_text(Path::new("s.rhai"), &format!("{header}\nfn remediate(ctx) {{ 1 }}\n"));
    let runbook = format!(
        "runbooks:\n- name: x\n  matchers: ['alertname=\"A\"']\n  script: s.rhai\n  verify: {{ expr: up }}\n  {runbook}\n"
    );
    let runbooks = Runbook::read(&Document::from_text(Path::new("r.yaml"), &runbook)).unwrap();
    let problems = fit::misfits(&Script::read(script).unwrap(), runbooks.first().unwrap());
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_granted_but_not_needed_or_needed_but_not_granted_is_an_error() {
    let unit = "//! { summary: a, risk: low, params: { unit: { type: unit } }, needs: { unit.restart: ['${unit}'] } }";
    let logs = "//! { summary: a, risk: low, needs: { file.remove: [/var/log/web] } }";
    for (header, runbook, expected) in [
        (unit, "params: { unit: a.service }\n  grants: { unit.restart: [a.service] }", None),
        (
            unit,
            "params: { unit: a.service }",
            Some(
                "r.yaml:2:9: it does not grant `unit.restart`, which its script needs; add grants: { unit.restart: [a.service] }",
            ),
        ),
        (
            unit,
            "params: { unit: a.service }\n  grants: { unit.restart: [b.service] }",
            Some(
                "r.yaml:7:13: this does not reach \"a.service\", which its script needs; did you mean it in place of",
            ),
        ),
        (
            unit,
            "params: { unit: a.service }\n  grants: { unit.restart: [a.service], unit.stop: [a.service] }",
            Some("r.yaml:7:52: its script does not need `unit.stop` on \"a.service\""),
        ),
        (
            unit,
            "params: { unit: a.service, unti: b }",
            Some("r.yaml:6:30: the script has no parameter `unti`; did you"),
        ),
        (unit, "grants: { unit.restart: [a.service] }", Some("r.yaml:2:9: parameter `unit` is missing")),
        (unit, "params: { unit: a }", Some("r.yaml:6:19: parameter `unit`: \"a\" is not the exact name")),
        (logs, "grants: { file.remove: [/var/log] }", None),
        (logs, "grants: { file.remove: [/srv] }", Some("r.yaml:6:13: this does not reach \"/var/log/web\"")),
    ] {
        let found = misfits(header, runbook);
        match expected {
            None => assert_eq!(found, Vec::<String>::new(), "{runbook}"),
            Some(expected) => {
                assert!(found.iter().any(|problem| problem.contains(expected)), "{runbook}: {found:?}");
            }
        }
    }
}

#[test]
fn a_run_is_granted_what_both_sides_say() {
    let header = "//! { summary: a, risk: low, timeout: 5s, params: { tries: { type: int, default: 3 } }, \
                  needs: { file.remove: [/var/log/web], process.signal: ['*'] } }\n";
    let script = Script::read(Document::from_text(Path::new("s.rhai"), header)).unwrap();
    let document = Document::from_text(Path::new("r.yaml"), crate::runbook::tests::SOUND);
    let mut runbook = Runbook::read(&document).unwrap().remove(0);
    runbook.params.clear();
    let mut grants = crate::grants::Grants::default();
    for (capability, target) in [
        (crate::Capability::FileRemove, "/var/log"),
        (crate::Capability::ProcessSignal, "web"),
        (crate::Capability::UnitStop, "a.service"),
    ] {
        grants.add(capability, target).unwrap();
    }
    runbook.grants = grants;
    let fitted = script.fit(&runbook).unwrap();
    let granted: Vec<_> = fitted.grants.iter().collect();
    assert_eq!(
        granted,
        [(crate::Capability::ProcessSignal, "web"), (crate::Capability::FileRemove, "/var/log/web")]
    );
    assert_eq!(fitted.timeout, std::time::Duration::from_secs(5));
    assert_eq!(fitted.params.get("tries"), Some(&serde_json::json!(3)));
    runbook.params.insert("trise".to_owned(), serde_json::json!(1));
    assert!(script.fit(&runbook).unwrap_err().contains("no parameter `trise`"));
}

/// How one knows that the runbook helped, after its script was loaded; or the problems.
fn verified_by(header: &str, runbook: &str) -> Result<Option<Verify>, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let header = "//! summary: a\n//! risk: low\n//! params: { unit: { type: unit }, limit: { type: bytes, default: 1KiB } }\n"
        .to_owned()
        + header;
    let text = format!("{header}\nfn remediate(ctx) {{ fixed(\"x\") }}\n");
    std::fs::write(directory.path().join("s.rhai"), text).unwrap();
    let runbook =
        format!("runbooks:\n- name: x\n  matchers: ['alertname=\"A\"']\n  script: s.rhai\n  {runbook}\n");
    let mut runbooks = Runbook::read(&Document::from_text(Path::new("r.yaml"), &runbook)).unwrap();
    load_scripts(&mut runbooks, directory.path(), Trust::Anyone)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(runbooks.remove(0).verify)
}

#[test]
fn a_runbook_is_verified_as_it_says_or_else_as_the_script_says() {
    let header = "//! verify: { promql: 'memory{unit=\"${unit}\"} < ${limit}', for: 5s, within: 20s }";
    let expr = |runbook: &str| verified_by(header, runbook).map(|verify| verify.unwrap().expr);
    let unit = "params: { unit: a.service }";
    assert_eq!(expr(unit), Ok("memory{unit=\"a.service\"} < 1024".to_owned()));
    assert_eq!(
        expr("params: { unit: a.service, limit: 2KiB }"),
        Ok("memory{unit=\"a.service\"} < 2048".to_owned())
    );
    assert_eq!(expr(&format!("{unit}\n  verify: {{ expr: up == 1 }}")), Ok("up == 1".to_owned()));
    let by_label = "params: { unit: '${labels.unit}' }\n  grants: { http.get: ['http://a/'] }";
    let needs = format!("{header}\n//! needs: {{ http.get: ['*'] }}");
    let text = verified_by(&needs, by_label).map(|verify| verify.unwrap().expr);
    assert_eq!(text, Ok("memory{unit=\"${unit}\"} < 1024".to_owned()));
    let missing = verified_by("", unit).unwrap_err();
    assert!(
        missing.iter().any(|problem| problem.contains(
            "r.yaml:2:9: neither it nor its script says how one knows that it helped; add `verify: { expr: .. }`"
        )),
        "{missing:?}"
    );
}

#[test]
fn the_place_among_the_hosts_that_act_lasts_as_long_as_the_script_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let text = "//! { summary: a, risk: low, verify: { promql: up == 1, within: 9m } }\nfn remediate(ctx) { fixed(\"x\") }\n";
    std::fs::write(directory.path().join("s.rhai"), text).unwrap();
    let runbook = "runbooks:\n- name: x\n  matchers: ['a=\"b\"']\n  script: s.rhai\n  timeout: 5m\n  guards: { fleet_lock: { group: web } }\n";
    let mut runbooks = Runbook::read(&Document::from_text(Path::new("r.yaml"), runbook)).unwrap();
    load_scripts(&mut runbooks, directory.path(), Trust::Anyone).unwrap();
    let lock = runbooks.remove(0).guards.fleet_lock.unwrap();
    assert_eq!(lock.ttl, std::time::Duration::from_mins(14));
}

#[test]
fn a_script_without_a_header_is_told_what_one_looks_like() {
    let found = problems("fn remediate(ctx) { fixed(\"x\") }");
    assert_eq!(
        found,
        [
            "s.rhai:1:1: the script has no header; begin the script with `//! summary: What it does` and `//! risk: low`"
        ]
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_checker_panic(
        text in "(fn |remediate|\\(|\\)|ctx|\\{|\\}|step|\"a\"|\\|\\||unit::|stop|;|let |x|=|for |in |,|\\.|#|`|\\$|\\[|\\]|[0-9]| |\n){0,40}"
    ) {
        let _ = problems(&format!("{HEADER}{text}"));
    }
}
