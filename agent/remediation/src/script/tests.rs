use super::*;
use crate::grants::Capability;

fn grants() -> Grants {
    let mut grants = Grants::default();
    grants.add(Capability::ProcessRestart, "web").unwrap();
    grants
}

fn problems(text: &str) -> Vec<String> {
    let document = Document::from_text(Path::new("s.rhai"), text);
    check_script(&document, Some(&grants())).iter().map(ToString::to_string).collect()
}

fn within_remediate(line: &str) -> String {
    format!("fn remediate(ctx) {{\n    {line}\n    fixed(\"x\")\n}}\n")
}

#[test]
fn a_sound_script_has_no_problems() {
    let text = r#"
        //! Restarts.
        fn precheck(ctx) { if process::find("web").len() > 0 { skip("it runs") } }
        fn remediate(ctx) {
            let names = ["a", "b"].map(|name| name.to_upper());
            for name in names { incident::note(`restarting ${name} of ${ctx.parameters.process}`); }
            try { process::restart("web"); } catch (error) { return failed(`${error}`); }
            let usage = metric::query("up") ?? 0.0;
            switch usage { 1.0 => fixed("up"), _ => failed("down") }
        }"#;
    assert_eq!(problems(text), Vec::<String>::new());
}

#[test]
fn every_wrong_call_is_found_at_its_place() {
    for (line, expected) in [
        ("restart(\"web\");", "s.rhai:2:5: there is no function `restart`; did you mean `process::restart`?"),
        (
            "process::restrat(\"web\");",
            "s.rhai:2:5: there is no function `process::restrat`; did you mean `process::restart`?",
        ),
        (
            "process::restart(\"web\", 3);",
            "s.rhai:2:5: `process::restart` wants 1 arguments and got 2; process::restart(name: string) -> #{process, ended, killed, pid}",
        ),
        ("process::restart(\"db\");", "s.rhai:2:22: the runbook does not grant `process.restart` on \"db\""),
        (
            "file::delete_old(\"/x\", \"1m\", 1);",
            "s.rhai:2:5: `file::delete_old` needs `file.delete`, which the runbook does not grant; add grants: { file.delete: [..] }",
        ),
        ("let x = \"a\".to_uper();", "s.rhai:2:17: there is no function `to_uper`; did you mean `to_upper`?"),
        ("if false { let x = `${oops()}`; }", "s.rhai:2:27: there is no function `oops`"),
        ("let f = || oops(); f.call();", "s.rhai:2:16: there is no function `oops`"),
        ("print(1);", "s.rhai:2:5: `print` is not available; use incident::note(..): a script has no output"),
        (
            "sleep(5);",
            "s.rhai:2:5: `sleep` is not available; use clock::sleep(\"5s\"), which a stop can interrupt",
        ),
        (
            "Fn(\"re\" + \"start\").call();",
            "s.rhai:2:5: a function's name must stand in the script, so that it can be checked; use a closure: |x| f(x)",
        ),
        ("Fn(\"restart\").call();", "s.rhai:2:8: the script defines no function `restart`"),
        ("f(1);", "s.rhai:2:5: there is no function `f`"),
        ("let x = failed();", "s.rhai:2:13: `failed` wants 1 arguments and got 0"),
    ] {
        assert_eq!(problems(&within_remediate(line)), [expected], "{line}");
    }
}

#[test]
fn what_the_language_refuses_is_refused_at_its_place() {
    for (line, place) in [
        ("eval(\"1\");", "s.rhai:2:5: "),
        ("import \"x\" as y;", "s.rhai:2:5: "),
        ("let x = ;", "s.rhai:2:13: "),
        ("unknown += 1;", "s.rhai:2:5: "),
        ("unit::restart(\"x\");", "s.rhai:2:5: "),
    ] {
        let problems = problems(&within_remediate(line));
        assert_eq!(problems.len(), 1, "{line}: {problems:?}");
        assert!(problems.first().unwrap().starts_with(place), "{line}: {problems:?}");
    }
}

#[test]
fn a_script_must_define_remediate_and_no_function_of_the_agent() {
    let text = "fn remediate() { 1 }\nfn failed(why) { why }\n";
    assert_eq!(
        problems(text),
        [
            "s.rhai:1:1: a script defines `fn remediate(ctx)`, which returns fixed(..), failed(..) or skip(..)",
            "s.rhai:2:1: `failed` is taken: it is one of the agent's own functions",
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
        let found: Vec<String> = check_script(&document, None).iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::<String>::new());
        assert!(!Script::new(document).summary().is_empty());
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
    let problems = load_scripts(&runbooks, directory.path(), Trust::Anyone).unwrap_err();
    let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("missing.rhai: cannot read") && text.contains("no function `oops`"), "{text}");
}

#[test]
fn the_hash_is_that_of_the_text() {
    let script = Script::new(Document::from_text(Path::new("s.rhai"), "abc"));
    assert_eq!(script.sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
