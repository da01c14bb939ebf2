//! What an expression evaluates to.

use std::ops::Range;

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

/// What an evaluation has read and handled; that of a range query at all its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Series, once for each selector and step that meant them.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Work that reads nothing: evaluations of subqueries, samples between operators, and bytes of the label values that
    /// are looked at and made.
    pub steps: u64,
}

impl Reads {
    /// All of it, as the limit of a query counts it. A series is counted with its samples: looking for one costs as much as
    /// reading one.
    pub const fn total(&self) -> u64 {
        self.series + self.samples + self.steps
    }
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The result is probably not what was meant.
    Warning,
    /// The result may not be what was meant.
    Info,
}

/// Something odd about an evaluation that has a value nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub severity: Severity,
    /// The bytes of the expression's text that it is about.
    pub span: Range<usize>,
    /// What is odd, in the words of Prometheus.
    pub message: String,
}

/// A number as Prometheus writes it into a message: with an exponent once it has more than six digits before the point or
/// four zeros after it.
pub(crate) fn short(number: f64) -> String {
    let scientific = format!("{number:e}");
    let exponent = scientific
        .split_once('e')
        .and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    match exponent {
        Some((digits, exponent @ (..-4 | 6..))) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format_number(number),
    }
}

/// A number as Prometheus writes it into a label or a text: shortest digits, no exponent.
pub(crate) fn format_number(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        number.to_string()
    }
}
