//! Runs one test file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use alerting::unit_test::{CheckFailure, UnitTests, without_unknown_fields};
use documents::{Document, Problem, Trust, yaml};
use promql::script;
use regex::Regex;

use super::scripts;
use crate::{clock, config};

/// Rule files of one test file; a pattern that finds more is told.
const MAX_RULE_FILES: usize = 1_000;

pub(super) struct Options<'a> {
    /// If there are any, a test must match one.
    pub(super) run: &'a [Regex],
    pub(super) ignore_unknown_fields: bool,
}

impl Options<'_> {
    pub(super) fn chosen(&self, name: &str) -> bool {
        self.run.is_empty() || self.run.iter().any(|pattern| pattern.is_match(name))
    }
}

/// What came of one file.
pub(super) struct FileReport {
    pub(super) path: PathBuf,
    /// What keeps the file from being run. Then it counts as one failure.
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    pub(super) cases: Vec<Case>,
    pub(super) took: Duration,
    /// The file, and the rule files that it names: what to watch.
    pub(super) reads: Vec<PathBuf>,
}

/// One eval or expectation.
pub(super) struct Case {
    /// The name of the test it belongs to, if it has one.
    pub(super) test: String,
    /// What is expected, in a few words.
    pub(super) title: String,
    pub(super) failure: Option<CheckFailure>,
}

impl FileReport {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            errors: Vec::new(),
            warnings: Vec::new(),
            cases: Vec::new(),
            took: Duration::ZERO,
            reads: vec![path.to_owned()],
        }
    }

    pub(super) fn broken(path: &Path, problem: Problem) -> Self {
        Self { errors: vec![problem], ..Self::new(path) }
    }

    pub(super) fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.failure.is_none()).count()
    }

    pub(super) fn failed(&self) -> usize {
        self.cases.len() - self.passed() + usize::from(!self.errors.is_empty())
    }
}

pub(super) fn run(path: &Path, options: &Options<'_>) -> FileReport {
    let begun = clock::monotonic();
    let mut report = FileReport::new(path);
    match open(path) {
        Err(problem) => report.errors.push(problem),
        Ok(document) if path.extension().is_some_and(|extension| extension == "test") => {
            promql_tests(&document, options, &mut report);
        }
        Ok(document) if scripts::has_cases(path) => scripts::run(&document, options, &mut report),
        Ok(document) => rule_tests(&document, options, &mut report),
    }
    report.took = clock::monotonic().duration_since(begun);
    report
}

/// A file is only looked at, so it may be anybody's and lie behind a link.
pub(super) fn open(path: &Path) -> Result<Document, Problem> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match Document::open(&real, Trust::Anyone) {
        Ok(document) => Ok(Document::from_text(path, document.text())),
        Err(error) => Err(config::about_open(path, &error)),
    }
}

fn promql_tests(document: &Document, options: &Options<'_>, report: &mut FileReport) {
    for outcome in script::run(document.text()) {
        let is_eval = outcome.title.starts_with("eval");
        if is_eval && !options.chosen(&outcome.title) {
            continue;
        }
        let failure = outcome.failure.map(|failure| {
            let problem = Problem::at(document, failure.place, failure.message);
            let problem = match failure.hint {
                Some(hint) => problem.with_hint(hint),
                None => problem,
            };
            CheckFailure { problem, differences: failure.differences, follows: failure.follows }
        });
        report.cases.push(Case { test: String::new(), title: outcome.title, failure });
    }
}

fn rule_tests(document: &Document, options: &Options<'_>, report: &mut FileReport) {
    let tests = match UnitTests::read(document) {
        Ok(tests) => tests,
        Err(problems) => {
            report.errors = problems.into_iter().map(hinted).collect();
            return;
        }
    };
    let rules = rule_files(&tests, options, report);
    if !report.errors.is_empty() {
        return;
    }
    match tests.run(&rules, &|name| options.chosen(name)) {
        Err(problems) => report.errors = problems,
        Ok(tests) => {
            for test in tests {
                report.cases.extend(test.checks.into_iter().map(|check| Case {
                    test: test.name.clone(),
                    title: check.title,
                    failure: check.failure,
                }));
            }
        }
    }
}

/// A rule file is easily taken for its test.
fn hinted(problem: Problem) -> Problem {
    if problem.message.starts_with("unknown field `groups`") {
        problem.with_hint(
            "this is a rule file; `hostmend check` checks it, and a test names it under `rule_files`",
        )
    } else {
        problem
    }
}

/// Opens the rule files that the tests name. As in promtool a pattern that finds none is only warned of.
fn rule_files(tests: &UnitTests, options: &Options<'_>, report: &mut FileReport) -> Vec<Document> {
    let document = tests.document();
    let directory = document.path().parent().unwrap_or(Path::new("")).to_owned();
    let mut rules = Vec::new();
    for pattern in tests.rule_files() {
        let place = || yaml::range(pattern);
        let absolute = directory.join(&pattern.value);
        let matches = match glob::glob(&absolute.to_string_lossy()) {
            Ok(matches) => matches,
            Err(error) => {
                report.errors.push(Problem::at(document, place(), format!("not a pattern: {}", error.msg)));
                continue;
            }
        };
        let before = rules.len();
        for path in matches.filter_map(Result::ok) {
            if rules.len() == MAX_RULE_FILES {
                let message = format!("the test has more than {MAX_RULE_FILES} rule files");
                report.errors.push(Problem::at(document, place(), message));
                break;
            }
            report.reads.push(path.clone());
            match open(&path) {
                Ok(rule_file) if options.ignore_unknown_fields => {
                    let (rule_file, warnings) = without_unknown_fields(&rule_file);
                    report.warnings.extend(warnings);
                    rules.push(rule_file);
                }
                Ok(rule_file) => rules.push(rule_file),
                Err(problem) => report.errors.push(problem),
            }
        }
        if rules.len() == before && report.errors.is_empty() {
            let message = "no rule file is found by this";
            report.warnings.push(Problem::at(document, place(), message).as_warning());
        }
    }
    rules
}
