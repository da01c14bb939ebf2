//! A prepared expression.

use std::time::Duration;

use series::Store;
use telemetry::Timestamp;

use crate::{EvalError, ParseError, Value};

/// An expression, parsed once and bound to the series of the store that it was last evaluated on.
#[derive(Debug)]
pub struct Query {
    text: String,
}

impl Query {
    /// Parses and checks `text`.
    ///
    /// # Errors
    ///
    /// The text is not PromQL, or uses a part of it that is not evaluated yet.
    pub fn new(text: &str) -> Result<Self, ParseError> {
        Ok(Self { text: text.to_owned() })
    }

    /// The text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value at `at`.
    ///
    /// # Errors
    ///
    /// Series do not match as the expression needs it, or more samples than the limit would have to be read.
    pub fn instant(&mut self, store: &Store, at: Timestamp) -> Result<Value, EvalError> {
        let _ = (store, at);
        Err(EvalError { span: None, message: "evaluation is not supported yet".to_owned() })
    }

    /// The value at `from` and each `step` after it up to `to`; always [`Value::Matrix`].
    ///
    /// # Errors
    ///
    /// As for [`Query::instant`]; or the expression is a range vector or a text, or `step` is zero.
    pub fn range(
        &mut self,
        store: &Store,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Value, EvalError> {
        let _ = (store, from, to, step);
        Err(EvalError { span: None, message: "evaluation is not supported yet".to_owned() })
    }
}
