//! Why a question has no answer, in Prometheus' words, and how often that was so.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use promql::ParseError;

use super::super::Facts;
use super::super::routes::Reply;
use super::json::Body;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The question is wrong.
    BadData,
    /// The expression has no value.
    Execution,
    /// The answer took too long.
    Timeout,
    /// Whoever asked has gone.
    Canceled,
    /// The answer would be too large. To Prometheus a matter of the execution.
    TooLarge,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution | Self::TooLarge => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::BadData => 400,
            Self::Execution | Self::TooLarge => 422,
            Self::Timeout => 503,
            Self::Canceled => 499,
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// The bytes of the expression that are to blame.
    pub(super) span: Option<Range<usize>>,
}

impl Failure {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), span: None }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(Kind::BadData, text)
    }

    /// A parameter that cannot be read.
    pub(super) fn parameter(name: &str, why: &str) -> Self {
        Self::bad(format!("invalid parameter {name:?}: {why}"))
    }

    /// A parameter that is no expression.
    pub(super) fn of_expression(name: &str, text: &str, error: &ParseError) -> Self {
        let (line, column) = place(text, error.span.start);
        let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let why = format!("{line}:{column}: parse error: {}{hint}", error.message);
        Self { span: Some(error.span.clone()), ..Self::parameter(name, &why) }
    }

    fn reply(&self) -> Reply {
        let mut value = serde_json::json!({
            "status": "error", "errorType": self.kind.name(), "error": self.text,
        });
        if let (Some(span), Some(fields)) = (&self.span, value.as_object_mut()) {
            // Ours: where in the expression, in bytes.
            fields.insert("span".to_owned(), serde_json::json!([span.start, span.end]));
        }
        Reply { status: self.kind.status(), content_type: "application/json", body: value.to_string().into() }
    }
}

/// Line and column of a byte, from 1; the column counts bytes, as in Prometheus.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, at - before.rfind('\n').map_or(0, |feed| feed + 1) + 1)
}

/// How questions were answered, by outcome.
#[derive(Debug, Default)]
pub(crate) struct QueryFigures([AtomicU64; OUTCOMES.len()]);

const OUTCOMES: [&str; 6] = ["success", "bad_data", "execution", "timeout", "canceled", "too_large"];

impl QueryFigures {
    /// Outcomes and how often they were.
    pub(crate) fn now(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(&self.0).map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    fn count(&self, failure: Option<Kind>) {
        let outcome = match failure {
            None => "success",
            Some(Kind::TooLarge) => "too_large",
            Some(kind) => kind.name(),
        };
        if let Some((_, count)) = OUTCOMES.into_iter().zip(&self.0).find(|(name, _)| *name == outcome) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Answers, and counts how.
pub(super) fn answer(facts: &Facts, find: impl FnOnce() -> Result<Body, Failure>) -> Reply {
    let found = find();
    facts.shared.queries.count(found.as_ref().err().map(|failure| failure.kind));
    match found {
        Ok(Body(body)) => Reply { status: 200, content_type: "application/json", body: body.into() },
        Err(failure) => failure.reply(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_as_prometheus_tells_it() {
        for (text, at, expected) in
            [("up +", 4, (1, 5)), ("", 0, (1, 1)), ("a\n+ b c", 6, (2, 5)), ("\n\n", 2, (3, 1))]
        {
            assert_eq!(place(text, at), expected, "{text:?}");
        }
    }

    #[test]
    fn every_kind_of_failure_has_its_counter() {
        let figures = QueryFigures::default();
        let kinds = [Kind::BadData, Kind::Execution, Kind::Timeout, Kind::Canceled, Kind::TooLarge].map(Some);
        for kind in kinds.into_iter().chain([None]) {
            figures.count(kind);
        }
        assert!(figures.now().all(|(_, count)| count == 1), "{figures:?}");
    }
}
