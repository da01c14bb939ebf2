//! Tests of rules, in promtool's format.
//!
//! A test has series, and says which alerts fire and what expressions give at some times. [`UnitTests::read`] judges
//! what the file says, [`UnitTests::run`] evaluates the rules as the agent does, in virtual time. What would surprise
//! you: as in promtool every group is evaluated at every tick, whatever its own interval, unless the file says
//! `group_intervals: true`. Nothing here opens a file: whoever calls finds the rule files.

mod judge;
mod lenient;
mod read;
mod rounds;
mod rule_places;
mod text;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use documents::{Document, Problem, Spanned};
use promql::script::{Difference, Values};
use telemetry::{Labels, Timestamp};

use crate::{Externals, RuleFile};

pub use lenient::without_unknown_fields;

/// How often groups are evaluated in a test without `evaluation_interval`.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// Times at which the rules of one test are evaluated; a test that needs more is refused before it takes hours.
pub const MAX_ROUNDS: u64 = 1_000_000;

/// A file of rule tests.
#[derive(Debug)]
pub struct UnitTests {
    document: Document,
    rule_files: Vec<Spanned<String>>,
    interval: Duration,
    order: Vec<String>,
    fuzzy: bool,
    group_intervals: bool,
    tests: Vec<Test>,
}

#[derive(Debug)]
struct Test {
    name: String,
    place: Range<usize>,
    start: Timestamp,
    externals: Externals,
    series: BTreeMap<Labels, Values>,
    interval: Duration,
    /// Series that are not supported.
    refused: Vec<Problem>,
    alerts: Vec<AlertTest>,
    expressions: Vec<ExprTest>,
}

#[derive(Debug)]
struct AlertTest {
    at: Duration,
    name: String,
    place: Range<usize>,
    firing: Vec<AlertTexts>,
    pending: Option<Vec<AlertTexts>>,
}

/// Labels, `alertname` among them, and annotations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AlertTexts {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug)]
struct ExprTest {
    at: Duration,
    expr: Spanned<String>,
    samples: Vec<(Labels, f64)>,
    /// What is expected and not supported.
    refused: Option<Problem>,
}

/// What became of one test.
#[derive(Debug)]
pub struct TestReport {
    /// Its name, empty if it has none.
    pub name: String,
    /// The bytes of the file at which it begins.
    pub place: Range<usize>,
    /// Its expectations, and what went wrong beside them.
    pub checks: Vec<Check>,
}

/// One expectation.
#[derive(Debug)]
pub struct Check {
    /// What is expected, in a few words.
    pub title: String,
    /// Why it failed, if it did.
    pub failure: Option<CheckFailure>,
}

/// Why an expectation failed.
#[derive(Debug)]
pub struct CheckFailure {
    /// What is wrong, with its place in the test or rule file.
    pub problem: Problem,
    /// In what the result differs.
    pub differences: Vec<Difference>,
    /// Whether it was not looked at because of a failure before it.
    pub follows: bool,
}

impl UnitTests {
    /// Reads a file of rule tests.
    ///
    /// # Errors
    ///
    /// Every problem of the file; at least one is an error.
    pub fn read(document: &Document) -> Result<Self, Vec<Problem>> {
        read::file(document)
    }

    /// The file.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The patterns of rule files, relative to the file.
    pub fn rule_files(&self) -> &[Spanned<String>] {
        &self.rule_files
    }

    /// Runs the tests whose name `chosen` accepts, with these rule files.
    ///
    /// # Errors
    ///
    /// Every problem of the rule files, if one of them has an error.
    pub fn run(
        &self,
        rules: &[Document],
        chosen: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<TestReport>, Vec<Problem>> {
        let problems: Vec<Problem> =
            rules.iter().filter_map(|document| RuleFile::read(document).err()).flatten().collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let tests = self.tests.iter().filter(|test| chosen(&test.name));
        Ok(tests.map(|test| rounds::run(self, test, rules)).collect())
    }
}

impl Test {
    /// The latest time that an expectation is about.
    fn length(&self) -> Duration {
        let alerts = self.alerts.iter().map(|test| test.at);
        alerts.chain(self.expressions.iter().map(|test| test.at)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
