//! Turns what a file says into what the program may rely on, and collects every problem on the way.

use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use telemetry::parse_duration;

use crate::{Document, Problem, Severity, Spanned, yaml};

/// One document under review, with what was found in it so far.
#[derive(Debug)]
pub struct Review {
    document: Document,
    problems: Vec<Problem>,
}

impl Review {
    /// Begins the review of a document.
    pub fn new(document: &Document) -> Self {
        Self { document: document.clone(), problems: Vec::new() }
    }

    /// The document under review.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// An error at a value. The problem is returned so that a hint can be added.
    pub fn error<T>(&mut self, value: &Spanned<T>, message: impl Into<String>) -> &mut Problem {
        self.error_at(yaml::range(value), message)
    }

    /// An error at a part of a text value.
    pub fn error_within(
        &mut self,
        value: &Spanned<String>,
        part: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.error_at(yaml::range_within(&self.document, value, part), message)
    }

    /// An error at a byte range of the document.
    pub fn error_at(&mut self, range: Range<usize>, message: impl Into<String>) -> &mut Problem {
        self.problems.push(Problem::at(&self.document, range, message));
        self.problems.last_mut().expect("a problem was just pushed")
    }

    /// Adds a problem found elsewhere.
    pub fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The value as `parse` reads it; what `parse` refuses becomes an error at the value.
    pub fn read<V, E: Display>(
        &mut self,
        value: &Spanned<String>,
        parse: impl FnOnce(&str) -> Result<V, E>,
    ) -> Option<V> {
        match parse(&value.value) {
            Ok(read) => Some(read),
            Err(error) => {
                self.error(value, error.to_string());
                None
            }
        }
    }

    /// The value as a duration in Prometheus' spelling.
    pub fn duration(&mut self, value: &Spanned<String>) -> Option<Duration> {
        self.read(value, parse_duration)
    }

    /// Like [`Review::duration`], for a value that may be left out; `fallback` stands for a missing or bad one.
    pub fn duration_or(&mut self, value: Option<&Spanned<String>>, fallback: Duration) -> Duration {
        value.and_then(|value| self.duration(value)).unwrap_or(fallback)
    }

    /// Whether an error was found.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// All problems found.
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}
