//! `hostmend test`: what users' own tests of PromQL, of rules and of scripts say.
//!
//! [`files`] finds the tests, [`suite`] runs one file, the rest tells what came of it: to people, to programs and to CI.
//! What would surprise you: a file that cannot be read is a failed test, not an error of the command, so that one run
//! tells everything.

mod files;
mod json;
mod junit;
mod page;
mod scripts;
mod suite;
mod watch;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use regex::Regex;

use crate::exit::Exit;
use crate::print;
use suite::{FileReport, Options};

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Tests of PromQL (promqltest, *.test), of rules (promtool's YAML) or of scripts (*.cases.yaml). Of a directory, all
    /// *.test, *.test.yaml, *_test.yaml, *-test.yaml and *.cases.yaml in it and below; .yml will do too.
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,

    /// Only tests of rules with a name that matches, and evals with a line that matches. May be given several times.
    #[arg(long, value_name = "REGEX")]
    run: Vec<Regex>,

    /// Also write the results there, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Print them for a program.
    #[arg(long, conflicts_with = "watch")]
    json: bool,

    /// Run the tests again whenever one of their files changes, until Ctrl-C.
    #[arg(long)]
    watch: bool,

    /// Overlook fields of rule files that are not part of the format.
    #[arg(long)]
    ignore_unknown_fields: bool,
}

impl TestArgs {
    fn options(&self) -> Options<'_> {
        Options { run: &self.run, ignore_unknown_fields: self.ignore_unknown_fields }
    }
}

pub(crate) fn run(args: &TestArgs) -> anyhow::Result<Exit> {
    if args.watch {
        return watch::run(args);
    }
    let reports = once(args)?;
    let failed = reports.iter().any(|report| report.failed() > 0);
    Ok(if failed { Exit::TestFailed } else { Exit::Done })
}

/// Runs everything once and tells it.
fn once(args: &TestArgs) -> anyhow::Result<Vec<FileReport>> {
    let colours = std::io::stdout().is_terminal();
    let mut reports = Vec::new();
    for (path, problem) in files::find(&args.files) {
        let report = match problem {
            None => suite::run(&path, &args.options()),
            Some(problem) => FileReport::broken(&path, problem),
        };
        if !args.json {
            print::out(&page::file(&report, colours))?;
        }
        reports.push(report);
    }
    if args.json {
        print::out(&json::all(&reports))?;
    } else {
        print::out(&page::closing(&reports, colours))?;
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::all(&reports)).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(reports)
}

#[cfg(test)]
mod tests;
