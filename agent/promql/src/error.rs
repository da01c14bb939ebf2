//! What can be wrong with an expression, before and while it is evaluated.

use std::borrow::Cow;
use std::ops::Range;

/// How much of a text a message quotes, in characters.
const QUOTED: usize = 100;

/// What a message quotes of a text that may be of any length.
pub(crate) fn brief(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)).into(),
        None => text.into(),
    }
}

/// Why a text is not an expression that can be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// The bytes of the text that are to blame; empty at the place where something is missing.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What would be right, where there is a good guess.
    pub hint: Option<String>,
}

/// Why an expression has no value at a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// The bytes of the expression's text that are to blame, where they are known.
    pub span: Option<Range<usize>>,
    /// What is wrong, in one line.
    pub message: String,
    /// Who could help.
    pub kind: EvalErrorKind,
}

/// What ended an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// The expression does not fit the series, or the question does not fit the expression.
    Execution,
    /// The evaluation went over one of its limits.
    Limit,
    /// Whoever asked no longer waits.
    Cancelled,
}

impl EvalError {
    pub(crate) fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span.clone()), message: message.into(), kind: EvalErrorKind::Execution }
    }

    pub(crate) fn limit(span: Option<&Range<usize>>, message: impl Into<String>) -> Self {
        Self { span: span.cloned(), message: message.into(), kind: EvalErrorKind::Limit }
    }

    pub(crate) fn cancelled() -> Self {
        Self { span: None, message: "the query was cancelled".to_owned(), kind: EvalErrorKind::Cancelled }
    }
}
