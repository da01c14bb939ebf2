//! `hostmend check`: every problem in what operators write, and whose word each alert takes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use alerting::RuleFile;
use documents::{Document, Format, Problem, Severity, Trust, render, yaml};
use executor::Policy;
use remediation::Runbook;
use serde::Deserialize;
use serde::de::IgnoredAny;
use telemetry::{Origin, Origins};

use crate::cli::{CheckArgs, CheckFormat};
use crate::config::{self, AlertOrigins};
use crate::exit::Exit;
use crate::print;

/// The longest line of names, in bytes.
const WIDTH: usize = 100;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    let (mut problems, mut origins, mut files) = (Vec::new(), Vec::new(), args.files.len());
    if args.files.is_empty() {
        let loaded = config::load(&args.config, Trust::invoking_user(), &config::variables());
        (problems, origins, files) = (loaded.problems, loaded.origins, loaded.files);
    }
    for file in &args.files {
        let (found, depends) = one(file);
        problems.extend(found);
        origins.extend(depends);
    }
    let format = match args.format {
        CheckFormat::Text => Format::Text,
        CheckFormat::Json => Format::Json,
        CheckFormat::Github => Format::Github,
    };
    print::out(&render(&problems, format))?;
    print::out(&match format {
        Format::Text => table(&origins),
        Format::Json => lines(&origins),
        Format::Github => String::new(),
    })?;
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if format == Format::Text {
        print::out(&format!("files read: {files}, errors: {errors}, warnings: {warnings}\n"))?;
    }
    Ok(if errors > 0 { Exit::Errors } else { Exit::Done })
}

/// What a YAML file is, told by its keys at the top.
#[derive(Deserialize)]
struct Kind {
    tests: Option<IgnoredAny>,
    groups: Option<IgnoredAny>,
    runbooks: Option<Runbooks>,
}

/// Keys at the top of policies; configurations have none of them.
const OF_POLICIES: [&str; 11] = [
    "cgroups",
    "commands",
    "directories",
    "flags",
    "journal",
    "links",
    "processes",
    "signals",
    "sysctls",
    "truncatable",
    "units",
];

/// The key `runbooks` stands in runbook files, over runbooks, and in the configuration, over patterns.
#[derive(Deserialize)]
#[serde(untagged)]
enum Runbooks {
    Patterns(#[expect(dead_code, reason = "only its shape tells")] Vec<String>),
    Here(IgnoredAny),
}

/// The problems of one file and, of a configuration, what its alerts depend on. It is only looked at, so it may be
/// anybody's.
fn one(path: &Path) -> (Vec<Problem>, Vec<AlertOrigins>) {
    let document = match Document::open(path, Trust::Anyone) {
        Ok(document) => document,
        Err(error) => return (vec![config::about_open(path, &error)], Vec::new()),
    };
    if path.extension().is_some_and(|extension| extension == "rhai") {
        return (remediation::check_script(&document), Vec::new());
    }
    if path.extension().is_some_and(|extension| extension == "sum") {
        return (remediation::check_sums(&document), Vec::new());
    }
    let kind: Kind = match yaml::parse(&document) {
        Ok(kind) => kind,
        Err(problem) => return (vec![problem], Vec::new()),
    };
    let problems = match kind {
        Kind { tests: Some(_), .. } => {
            Err(vec![Problem::about(path, "this is a test of rules; `hostmend test` reads and runs it")])
        }
        Kind { groups: Some(_), .. } => RuleFile::read(&document).map(|file| file.warnings),
        Kind { runbooks: Some(Runbooks::Here(_)), .. } => Runbook::read(&document).map(|_| Vec::new()),
        _ if is_policy(&document) => Policy::read(&document).map(|_| Vec::new()),
        _ => {
            let loaded = config::load(path, Trust::Anyone, &config::variables());
            return (loaded.problems, loaded.origins);
        }
    };
    (problems.unwrap_or_else(|problems| problems), Vec::new())
}

fn is_policy(document: &Document) -> bool {
    let keys: yaml::Entries<IgnoredAny> = yaml::parse(document).unwrap_or_default();
    keys.0.iter().any(|(key, _)| OF_POLICIES.contains(&key.value.as_str()))
}

/// Alerts by what they depend on, those that strangers can raise last, where they are seen.
fn table(origins: &[AlertOrigins]) -> String {
    let mut by_origins: BTreeMap<(bool, &Origins), BTreeSet<&str>> = BTreeMap::new();
    for alert in origins {
        let outside = alert.origins.iter().any(Origin::is_outside);
        by_origins.entry((outside, &alert.origins)).or_default().insert(&alert.alert);
    }
    let rows = by_origins.into_iter().map(|((_, origins), alerts)| {
        let origins: Vec<String> = origins.iter().map(Origin::to_string).collect();
        let origins = if origins.is_empty() { "nothing".to_owned() } else { origins.join(", ") };
        let noun = if alerts.len() == 1 { "alert depends" } else { "alerts depend" };
        format!("{} {noun} on {origins}:\n{}", alerts.len(), wrapped(&alerts))
    });
    rows.collect()
}

/// Names in lines that fit a terminal.
fn wrapped(names: &BTreeSet<&str>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut().filter(|line| line.len() + name.len() < WIDTH) {
            Some(line) => line.extend([" ", name]),
            None => lines.push(format!("  {name}")),
        }
    }
    lines.join("\n") + "\n"
}

/// An object for each alert, told from problems by its keys.
fn lines(origins: &[AlertOrigins]) -> String {
    let object = |alert: &AlertOrigins| {
        let origins: Vec<String> = alert.origins.iter().map(Origin::to_string).collect();
        let (name, group, file) = (&alert.alert, &alert.group, &alert.file);
        let object =
            serde_json::json!({ "alert": name, "group": group, "file": file, "depends_on": origins });
        format!("{object}\n")
    };
    origins.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_checked_as_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            ("a.yaml", "sysctls:\n- { name: vm.swappiness }\n", "a.yaml:2:3: missing field `value`"),
            ("a.yaml", "links: 1\n", "a.yaml:1:8: expected a list"),
            ("a.yaml", "runbooks:\n- { name: a }\n", "a.yaml:2:3: missing field `matchers`"),
            ("a.yaml", "tests: []\n", "a.yaml: this is a test of rules"),
            ("a.yaml", "destination: []\n", "a.yaml:1:1: unknown field `destination`"),
            ("scripts.sum", "a.rhai\n", "scripts.sum:1:1: this is not a SHA-256"),
            ("a.rhai", "", "a.rhai:1:1: the script has no header"),
        ] {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            let (problems, _) = one(&path);
            let told = problems.first().map(ToString::to_string).unwrap_or_default();
            let told = told.replace(&format!("{}/", directory.path().display()), "");
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
