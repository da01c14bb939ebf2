//! Templates in the labels and annotations of alerts: Go's text/template with Prometheus' data and functions.
//!
//! A template is parsed when its rule is loaded, and what Go would refuse is refused there with its place. Expanding can
//! still fail, on a label that is no number; the alert then carries the failure in the text's place and goes on. What
//! would surprise you: `$labels` are the labels of the sample, its name included, not those of the alert.

mod ast;
mod builtins;
mod field;
mod functions;
mod lex;
mod number;
mod parse;
mod print;
mod queries;
mod run;
mod time;
mod unquote;
mod value;

use std::ops::Range;

use telemetry::{Labels, Timestamp};

use crate::Externals;

/// The longest text that a template expands to, in bytes. A label may be long, and a template may name it often.
const MAX_EXPANDED: usize = 64 * 1024;

fn too_long() -> String {
    format!("the text is longer than {MAX_EXPANDED} bytes")
}

/// A text that is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The bytes of the text that are to blame.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What would be right, where there is a good guess.
    pub hint: Option<String>,
}

/// Answers an expression.
pub type Ask<'a> = dyn FnMut(&str) -> Result<Vec<(Labels, f64)>, String> + 'a;

/// What a template may speak of.
pub struct Scene<'a> {
    /// The name of the alert, for what a failure says.
    pub rule: &'a str,
    /// `now`: the time of the evaluation.
    pub at: Timestamp,
    /// `$labels`: those of the sample, its name included.
    pub labels: &'a Labels,
    /// `$value`.
    pub value: f64,
    /// `$externalLabels` and `$externalURL`.
    pub externals: &'a Externals,
    /// Answers `query`: the samples of an expression at the time of the evaluation, or why there are none.
    pub ask: &'a mut Ask<'a>,
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    parsed: parse::Parsed,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// Actions and blocks that do not end, functions and variables that do not exist, and numbers that are complex.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        parse::template(text).map(|parsed| Self { source: text.to_owned(), parsed })
    }

    /// The text that it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The expressions that it asks for with `query`, as far as they are written in it; others are computed.
    pub fn queries(&self) -> Vec<&str> {
        queries::literal(&self.parsed)
    }

    /// The text for one sample. A failure is part of the text.
    pub fn expand(&self, scene: &mut Scene<'_>) -> String {
        run::expand(&self.source, &self.parsed, scene).unwrap_or_else(|failure| {
            format!("<error expanding template: error executing template __alert_{}: {failure}>", scene.rule)
        })
    }
}

/// Templates are the same if they are written the same.
impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

#[cfg(test)]
mod tests;
