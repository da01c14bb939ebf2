//! Log rules: a counter for each named pattern.
//!
//! All patterns are matched in one pass over a body, of which no more than [`BODY_BYTES`] are looked at. Knows nothing of
//! where lines come from: received records come through [`LogTap::see`], any other source's through
//! [`LogTap::see_line`].

use std::ops::Range;
use std::sync::Arc;

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::{TapFigures, walk};
use crate::view::{AnyValue, LogRecordView};

/// How much of a body is looked at: what matters in a line stands in front, and a body may be as long as a request.
const BODY_BYTES: usize = 16 * 1024;

/// How much memory the patterns may take once compiled.
const COMPILED_BYTES: usize = 4 << 20;

/// Which lines one counter counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRule {
    /// What the counter is called.
    pub name: String,
    /// A regular expression, looked for anywhere in the body.
    pub pattern: String,
    /// The least `SeverityNumber`, 1 to 24; 0 counts records of every severity and of none.
    pub severity: i32,
}

/// A pattern that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogRuleError {
    /// It is no regular expression.
    #[error("the pattern is no regular expression: {reason}")]
    Syntax {
        /// Which part of the pattern is wrong, in bytes.
        place: Range<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// Together the patterns take too much memory.
    #[error("the patterns together take more than {COMPILED_BYTES} bytes once compiled; make them simpler")]
    TooLarge,
}

/// Rules ready for use. Shared by the taps of all origins.
#[derive(Debug)]
pub struct LogRules {
    rules: Vec<LogRule>,
    patterns: RegexSet,
}

/// The same rules count the same.
impl PartialEq for LogRules {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl LogRules {
    /// Compiles the patterns.
    ///
    /// # Errors
    ///
    /// One of them is no regular expression, or together they are too large.
    pub fn new(rules: Vec<LogRule>) -> Result<Self, LogRuleError> {
        rules.iter().try_for_each(|rule| parse(&rule.pattern))?;
        // What can be parsed can be compiled, unless it is too large.
        let patterns = RegexSetBuilder::new(rules.iter().map(|rule| &rule.pattern))
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(COMPILED_BYTES)
            .build()
            .map_err(|_| LogRuleError::TooLarge)?;
        Ok(Self { rules, patterns })
    }

    /// The rules, in the order of their counts.
    pub fn rules(&self) -> &[LogRule] {
        &self.rules
    }

    /// Adds one to the count of each rule that a line satisfies.
    fn count(&self, severity: i32, body: &[u8], counts: &mut [u64]) {
        let body = body.get(..BODY_BYTES).unwrap_or(body);
        for found in &self.patterns.matches(body) {
            if let (Some(rule), Some(count)) = (self.rules.get(found), counts.get_mut(found)) {
                *count += u64::from(severity >= rule.severity);
            }
        }
    }
}

/// Says where a pattern is wrong, which its compiler only draws.
fn parse(pattern: &str) -> Result<(), LogRuleError> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    let Err(error) = parser.parse(pattern) else { return Ok(()) };
    let (span, reason) = match &error {
        regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
        other => return Err(LogRuleError::Syntax { place: 0..pattern.len(), reason: other.to_string() }),
    };
    Err(LogRuleError::Syntax { place: span.start.offset..span.end.offset, reason })
}

/// Counts the lines of one origin.
#[derive(Debug)]
pub struct LogTap {
    rules: Arc<LogRules>,
    counts: Box<[u64]>,
    figures: TapFigures,
}

impl LogTap {
    /// All counts are zero.
    pub fn new(rules: Arc<LogRules>) -> Self {
        let counts = vec![0; rules.rules.len()].into();
        Self { rules, counts, figures: TapFigures::default() }
    }

    /// Counts the records of a request. Only a body that is a text can match.
    pub fn see(&mut self, payload: &[u8]) {
        let Self { rules, counts, figures } = self;
        walk(
            payload,
            figures,
            |_| (),
            |(), record| {
                let record = LogRecordView::read(record)?;
                if let AnyValue::Text(body) = record.body {
                    rules.count(record.severity, body, counts);
                }
                Ok(())
            },
        );
    }

    /// Counts a line of another source; `severity` is a `SeverityNumber`, 0 when it is not known.
    pub fn see_line(&mut self, severity: i32, body: &[u8]) {
        self.figures.seen += 1;
        self.rules.count(severity, body, &mut self.counts);
    }

    /// The rules with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (&LogRule, u64)> {
        self.rules.rules.iter().zip(self.counts.iter().copied())
    }

    /// What became of the records.
    pub fn figures(&self) -> TapFigures {
        self.figures
    }
}

#[cfg(test)]
mod tests;
