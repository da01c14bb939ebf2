//! Evaluates PromQL: a pure function of expression, series and time.
//!
//! [`parse`] says what a text means or, with its place, why it means nothing; [`Query`] keeps a parsed expression bound
//! to the series of a store. No I/O, no clock: the time is an argument. What would surprise you: valid PromQL that is
//! not evaluated yet (native histograms, `anchored`, `info`) is refused by the parser, so that a rule that loads is a rule
//! that works.

#![forbid(unsafe_code)]

pub mod ast;
#[cfg(test)]
mod corpus;
mod error;
pub mod functions;
mod lexer;
mod parser;
mod plan;
mod query;
pub mod script;
mod sets;
mod value;

pub use error::{EvalError, EvalErrorKind, ParseError};
pub use parser::{MAX_DEPTH, MAX_LENGTH, parse};
pub use plan::{DEFAULT_SUBQUERY_STEP, MAX_POINTS, MAX_SAMPLES, QueryLimits};
pub use query::{LOOKBACK, MAX_STEPS, Query};
pub use value::{Note, Point, RangeSeries, Reads, Severity, Value, VectorSample};
