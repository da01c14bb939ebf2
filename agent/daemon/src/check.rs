//! `hostmend check`: every problem in what operators write.

use std::path::Path;

use alerting::RuleFile;
use documents::{Document, Format, Problem, Severity, Trust, render, yaml};
use executor::Policy;
use remediation::Runbook;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cli::{CheckArgs, CheckFormat};
use crate::config;
use crate::exit::Exit;
use crate::print;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Exit> {
    let (problems, files) = if args.files.is_empty() {
        let loaded = config::load(&args.config, Trust::invoking_user(), &config::variables());
        (loaded.problems, loaded.files)
    } else {
        (args.files.iter().flat_map(|file| one(file)).collect(), args.files.len())
    };
    let format = match args.format {
        CheckFormat::Text => Format::Text,
        CheckFormat::Json => Format::Json,
        CheckFormat::Github => Format::Github,
    };
    print::out(&render(&problems, format))?;
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
    groups: Option<IgnoredAny>,
    runbooks: Option<Runbooks>,
    processes: Option<IgnoredAny>,
    units: Option<IgnoredAny>,
    signals: Option<IgnoredAny>,
    directories: Option<IgnoredAny>,
}

/// The key `runbooks` stands in runbook files, over runbooks, and in the configuration, over patterns.
#[derive(Deserialize)]
#[serde(untagged)]
enum Runbooks {
    Patterns(#[expect(dead_code, reason = "only its shape tells")] Vec<String>),
    Here(IgnoredAny),
}

/// The problems of one file. It is only looked at, so it may be anybody's.
fn one(path: &Path) -> Vec<Problem> {
    let document = match Document::open(path, Trust::Anyone) {
        Ok(document) => document,
        Err(error) => return vec![config::about_open(path, &error)],
    };
    if path.extension().is_some_and(|extension| extension == "rhai") {
        return remediation::check_script(&document, None);
    }
    let kind: Kind = match yaml::parse(&document) {
        Ok(kind) => kind,
        Err(problem) => return vec![problem],
    };
    let problems = match kind {
        Kind { groups: Some(_), .. } => RuleFile::read(&document).map(|file| file.warnings),
        Kind { runbooks: Some(Runbooks::Here(_)), .. } => Runbook::read(&document).map(|_| Vec::new()),
        Kind { processes: Some(_), .. }
        | Kind { units: Some(_), .. }
        | Kind { signals: Some(_), .. }
        | Kind { directories: Some(_), .. } => Policy::read(&document).map(|_| Vec::new()),
        _ => Ok(config::load(path, Trust::Anyone, &config::variables()).problems),
    };
    problems.unwrap_or_else(|problems| problems)
}
