//! Why a rule gave nothing in a round.

use promql::EvalError;
use series::Rejected;
use telemetry::Labels;

use crate::brief::{brief, identity};
use crate::state::StepError;

/// A rule that failed in a round.
#[derive(Debug, thiserror::Error)]
#[error("evaluating rule {} of group {}", brief(rule), brief(group))]
pub struct RuleError {
    /// The group's name.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// Why.
    #[source]
    pub failure: Failure,
}

/// Why a rule failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The expression has no value at this time.
    #[error("the expression {:?} has no value", identity(expression))]
    Query {
        /// The expression.
        expression: String,
        /// Why.
        #[source]
        source: EvalError,
    },
    /// The expression gives a range vector or a text.
    #[error("the expression {:?} gives neither an instant vector nor a scalar", identity(expression))]
    Type {
        /// The expression.
        expression: String,
    },
    /// The alerts could not be brought up to date.
    #[error(transparent)]
    Alerts(#[from] StepError),
    /// Two samples would be recorded under one name.
    #[error("two samples give the series {}; keep a label that tells them apart", identity(&labels.to_string()))]
    SameLabels {
        /// The series.
        labels: Labels,
    },
    /// Over the group's limit. Nothing is recorded.
    #[error("{count} series are over the group's limit of {limit}")]
    OverLimit {
        /// The group's limit.
        limit: usize,
        /// How many there would have been.
        count: usize,
    },
    /// The store did not take some samples.
    #[error("{refused} of its series could not be stored, {} among them", identity(&first.to_string()))]
    Store {
        /// How many.
        refused: usize,
        /// The first.
        first: Labels,
        /// Why that one.
        #[source]
        source: Rejected,
    },
}
