//! One `eval`: a query, when it is asked, and what is expected of it.

use std::time::Duration;

use telemetry::Timestamp;

use ::series::Store;

use super::expectation::{Expectation, More, Steps, millis, steps};
use super::series::{fault, shifted};
use super::{Failure, Line, judge, variations};
use crate::{Note, ParseError, Query, Value};

const HOW_AN_EVAL_IS_WRITTEN: &str =
    "write eval instant at 5m EXPRESSION, or eval range from 0 to 10m step 1m EXPRESSION";

/// When a query is evaluated, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Instant(i64),
    Range(Steps),
}

pub(super) struct Eval {
    pub(super) expression: String,
    /// Where the expression begins.
    start: usize,
    pub(super) when: When,
    pub(super) expectation: Expectation,
}

/// A value with its notes, or why there is none.
pub(super) type Answer = Result<(Value, Vec<Note>), ParseError>;

impl Eval {
    /// Reads the first line.
    pub(super) fn read(line: &Line<'_>) -> Result<Self, ParseError> {
        let wrong = || fault(line.place(), "this is not an eval", Some(HOW_AN_EVAL_IS_WRITTEN));
        let (command, rest) = word(line.text);
        let (kind, mut rest) = word(rest);
        let suffix = command.strip_prefix("eval").ok_or_else(wrong)?;
        let suffix = if suffix.is_empty() { "" } else { suffix.strip_prefix('_').ok_or_else(wrong)? };
        let known =
            matches!(suffix, "" | "fail" | "warn" | "info") || (suffix == "ordered" && kind == "instant");
        if !known {
            return Err(wrong());
        }
        let mut after = |keyword: &str| {
            let (found, behind) = word(rest);
            let (value, behind) = word(behind);
            (found == keyword).then(|| {
                rest = behind;
                value
            })
        };
        let when = match kind {
            "instant" => When::Instant(after("at").map_or(Ok(0), |at| millis(at, line))?),
            "range" => match (after("from"), after("to"), after("step")) {
                (Some(from), Some(to), Some(step)) => When::Range(steps(from, to, step, line)?),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        if rest.is_empty() {
            return Err(wrong());
        }
        let start = line.place_of(rest).start;
        Ok(Self { expression: rest.to_owned(), start, when, expectation: Expectation::new(suffix) })
    }

    /// Takes in one line that follows.
    pub(super) fn expect(&mut self, line: &Line<'_>) -> Result<More, ParseError> {
        let more = self.expectation.read(line, matches!(self.when, When::Instant(_)))?;
        if let (When::Instant(at), Some(window)) = (&mut self.when, self.expectation.window) {
            *at = window.to;
        }
        if let Some(steps) = self.steps()
            && let Some(series) = self.expectation.series.last()
            && series.values.count() > steps.count()
        {
            let (found, count) = (series.values.count(), steps.count());
            let message = format!("the range holds {count} points, here are {found}");
            return Err(fault(series.place.clone(), message, None));
        }
        Ok(more)
    }

    /// The times of a result with many points.
    pub(super) fn steps(&self) -> Option<Steps> {
        match self.when {
            When::Range(steps) => Some(steps),
            When::Instant(_) => self.expectation.window,
        }
    }

    /// Asks the query and its variations.
    pub(super) fn run(&self, store: &Store) -> Result<(), Failure> {
        match ask(&self.expression, self.when, store) {
            Err(error) => judge::failure(self, shifted(error, self.start)),
            Ok((value, notes)) => {
                judge::notes(self, &notes)?;
                judge::value(self, &value)?;
                match self.when {
                    When::Instant(at) => variations::check(self, &value, at, store)
                        .map_err(|message| fault(self.place(), message, None).into()),
                    When::Range(_) => Ok(()),
                }
            }
        }
    }

    /// The bytes of the expression.
    pub(super) fn place(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.expression.len()
    }
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (word, rest) =
        text.split_once(char::is_whitespace).unwrap_or((text, text.get(text.len()..).unwrap_or("")));
    (word, rest.trim_start())
}

pub(super) fn ask(expression: &str, when: When, store: &Store) -> Answer {
    let mut query = Query::new(expression)?;
    let value = match when {
        When::Instant(at) => query.instant(store, Timestamp::from_millis(at)),
        When::Range(Steps { from, to, step }) => query.range(
            store,
            Timestamp::from_millis(from),
            Timestamp::from_millis(to),
            Duration::from_millis(u64::try_from(step).unwrap_or(0)),
        ),
    };
    match value {
        Ok(value) => Ok((value, query.notes().to_vec())),
        Err(error) => Err(fault(error.span.unwrap_or(0..expression.len()), error.message, None)),
    }
}
