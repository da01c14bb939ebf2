use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::runbook::Runbook;
use crate::script::load_scripts;

const SCRIPT: &str =
    "//! { summary: a, risk: low, verify: { promql: up == 1 } }\nfn remediate(ctx) { fixed(\"x\") }\n";
const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn directory(sums: Option<&str>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("s.rhai"), SCRIPT).unwrap();
    if let Some(sums) = sums {
        std::fs::write(directory.path().join(NAME), sums).unwrap();
    }
    directory
}

/// The problems of loading the script, without the directory's name.
fn problems(directory: &Path, trust: Trust) -> Vec<String> {
    let runbook = "runbooks:\n- name: x\n  matchers: ['a=\"b\"']\n  script: s.rhai\n";
    let mut runbooks = Runbook::read(&Document::from_text(Path::new("r.yaml"), runbook)).unwrap();
    let problems = load_scripts(&mut runbooks, directory, trust).err().unwrap_or_default();
    let prefix = format!("{}/", directory.display());
    problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

#[test]
fn a_script_is_run_only_as_it_was_when_somebody_vouched_for_it() {
    let sum = sha256(SCRIPT);
    let none: &[&str] = &[];
    let changed = format!(
        "scripts.sum:2:1: s.rhai is not what this line vouches for, so it is not run; its sum is {sum}; put the script back, or, if somebody has looked at it, make it anew: sha256sum *.rhai > scripts.sum"
    );
    let add = "look at it and add it: sha256sum s.rhai >> scripts.sum";
    let unnamed = format!("s.rhai:1:1: scripts.sum beside it does not name it, so it is not run; {add}");
    let misnamed = unnamed.replace("; look", "; did you mean `s.rhay`? otherwise look");
    for (sums, expected) in [
        (None, none),
        (Some(format!("{sum}  s.rhai\n")), none),
        (Some(format!("# by ann\n\n{} *./s.rhai", sum.to_uppercase())), none),
        (Some(format!("{sum}  s.rhai\n{OTHER}  another.rhai\n")), none),
        (Some(format!("{sum}  another.rhai\n{OTHER}  s.rhai\n")), &[changed.as_str()]),
        (Some(format!("{sum}  s.rhay\n")), &[misnamed.as_str()]),
        (Some(String::new()), &[unnamed.as_str()]),
    ] {
        let directory = directory(sums.as_deref());
        assert_eq!(problems(directory.path(), Trust::Anyone), expected, "{sums:?}");
    }
}

#[test]
fn a_line_that_is_no_sum_of_a_script_beside_the_file_is_found_at_its_place() {
    let wrong = "this is not a SHA-256 and the name of a script beside this file; make it anew: sha256sum *.rhai > scripts.sum";
    for (line, message) in [
        (format!("SHA256 (s.rhai) = {OTHER}"), wrong),
        (format!("{OTHER} s.rhai"), wrong),
        (format!("{OTHER}  "), wrong),
        (format!("{OTHER}  ../s.rhai"), wrong),
        (format!("\\{OTHER}  s\\\\n.rhai"), wrong),
        (format!("{}  s.rhai", &OTHER[1..]), wrong),
        (OTHER.replace('0', "g") + "  s.rhai", wrong),
        (OTHER.replace('0', "ö") + "  s.rhai", wrong),
        (format!("{OTHER}  t.rhai"), "t.rhai is named twice; keep one"),
    ] {
        let document = Document::from_text(Path::new(NAME), &format!("{OTHER}  t.rhai\n{line}\n"));
        let found: Vec<String> = check_sums(&document).iter().map(ToString::to_string).collect();
        assert_eq!(found, [format!("scripts.sum:2:1: {message}")], "{line}");
    }
}

#[test]
fn sums_that_others_could_have_written_vouch_for_nothing() {
    let sum = sha256(SCRIPT);
    let directory = directory(Some(&format!("{sum}  s.rhai\n")));
    assert_eq!(problems(directory.path(), Trust::invoking_user()), [""; 0]);
    let path = directory.path().join(NAME);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let found = problems(directory.path(), Trust::invoking_user());
    assert!(found.len() == 1 && found[0].contains("scripts.sum is not trusted: everybody"), "{found:?}");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    let found = problems(directory.path(), Trust::invoking_user());
    assert!(found.len() == 1 && found[0].starts_with("scripts.sum: cannot read"), "{found:?}");
}
