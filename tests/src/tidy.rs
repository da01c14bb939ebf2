//! What must stay true of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{root, run, stdout};

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of the repository below `directory`, without build output and test data of others.
fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", ".git", "fixtures", "semconv"].contains(&name.as_str()) {
                directories.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Crate name to the names under `[dependencies]` in its manifest.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let crates = std::fs::read_dir(root().join("agent")).unwrap();
    crates
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| {
            let manifest = read(format!("agent/{name}/Cargo.toml"));
            let section = manifest.split("\n[dependencies]").nth(1).unwrap_or("");
            let section = section.split("\n[").next().unwrap_or("");
            let known = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
            (name, known.filter(|known| !known.is_empty()).map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn the_crate_table_says_what_the_manifests_say() {
    let page = read("ARCHITECTURE.md");
    let section = page.split("## The crates").nth(1).unwrap().split("\n## ").next().unwrap();
    let table: BTreeMap<String, BTreeSet<String>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let known = cells[2].split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
            (cells[0].trim_matches('`').to_owned(), known.collect())
        })
        .collect();
    let manifests = manifests();
    let ours: BTreeMap<String, BTreeSet<String>> = manifests
        .iter()
        .map(|(name, known)| {
            (name.clone(), known.iter().filter(|known| manifests.contains_key(*known)).cloned().collect())
        })
        .collect();
    assert_eq!(table, ours);
}

#[test]
fn what_is_heavy_is_known_to_one_crate_only() {
    for (owner, libraries) in [
        ("otlp", ["tonic", "prost", "hyper-rustls", "rustls"].as_slice()),
        ("remediation", &["rhai"]),
        ("documents", &["serde-saphyr"]),
        ("executor", &["zbus"]),
    ] {
        for (name, known) in manifests().iter().filter(|(name, _)| *name != owner) {
            let used = libraries.iter().find(|library| known.contains(**library));
            assert_eq!(used, None, "{name} uses what only {owner} may");
        }
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    for page in files(".", "md") {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or("");
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            assert!(page.parent().unwrap().join(target).exists(), "{}: {target}", page.display());
        }
    }
}

#[test]
fn a_decision_cites_a_check_that_exists() {
    let pages = files("docs/decisions", "md");
    assert!(pages.len() > 2);
    for page in pages.iter().filter(|page| !page.ends_with("README.md")) {
        let text = std::fs::read_to_string(page).unwrap();
        let check = text.lines().find_map(|line| line.strip_prefix("Kept true by: `"));
        let check = check.unwrap_or_else(|| panic!("{} names no check", page.display()));
        let file = check.split('`').next().unwrap();
        assert!(root().join(file).exists(), "{}: {file}", page.display());
    }
}

#[test]
fn the_shipped_configuration_has_no_problem() {
    for configuration in ["config/hostmend.yaml", "config/example/hostmend.yaml"] {
        let output = run(&["check", "--config", configuration]);
        assert!(stdout(&output).contains("errors: 0, warnings: 0"), "{}", stdout(&output));
    }
}

#[test]
fn the_tests_of_the_shipped_rules_pass() {
    let output = run(&["test", "config"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).ends_with(" passed, 0 failed\n"), "{}", stdout(&output));
}

#[test]
fn every_shipped_script_has_no_problem() {
    let scripts = files("remediation-scripts", "rhai");
    assert!(!scripts.is_empty());
    for script in scripts {
        let output = run(&["check", script.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    }
}

#[test]
fn lists_are_printed_from_the_tables() {
    for (what, sample) in [
        ("metrics", "system.cpu.time (counter, s, double; cpu)"),
        ("collectors", "pressure"),
        ("functions", "proc::restart"),
        ("promql-functions", "rate("),
    ] {
        let output = run(&["list", what]);
        assert!(stdout(&output).contains(sample), "{what}: {}", stdout(&output));
    }
}

#[test]
fn a_thing_to_do_names_its_issue() {
    let word = "TO".to_owned() + "DO";
    for source in files("agent", "rs").into_iter().chain(files("tests/src", "rs")) {
        let text = std::fs::read_to_string(&source).unwrap();
        for line in text.lines().filter(|line| line.trim_start().starts_with("//") && line.contains(&word)) {
            // The drafts of post-mortems speak of lines that begin with the word.
            let names_it = line.contains(&format!("{word}(#")) || line.contains(&format!("with {word}"));
            assert!(names_it, "{}: {line}", source.display());
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "cargo is asked what it would start")]
fn cargo_run_starts_the_program_and_asks_for_no_name() {
    let arguments = ["metadata", "--format-version=1", "--no-deps", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let members = list(&metadata, "workspace_default_members");
    let packages = list(&metadata, "packages");
    let programs: Vec<String> = packages
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .flat_map(|package| list(package, "targets"))
        .filter(|target| list(target, "kind").iter().any(|kind| kind == "bin"))
        .map(|target| target["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(programs, ["hostmend"]);
}
