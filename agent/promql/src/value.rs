//! What an expression evaluates to.

use telemetry::Labels;

/// One sample of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// The labels, with `__name__` where the expression keeps it.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

/// One sample of a series over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// The value.
    pub value: f64,
}

/// One series of a range vector.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSeries {
    /// The labels, with `__name__` where the expression keeps it.
    pub labels: Labels,
    /// Samples in order of time.
    pub points: Vec<Point>,
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number without labels.
    Scalar(f64),
    /// An instant vector. Label sets are distinct; `sort`, `topk` and their like decide the order.
    Vector(Vec<VectorSample>),
    /// A range vector, sorted by labels.
    Matrix(Vec<RangeSeries>),
    /// A text.
    String(String),
}
