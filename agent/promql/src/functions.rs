//! The functions of PromQL, one row each.
//!
//! The parser takes names and types from here, the evaluator what to compute, lists and documentation the rest. A row
//! says how a function is applied, not how its arguments come about, so most rows point at a few lines of arithmetic.

mod counters;
mod dates;
mod over_time;
mod samples;
mod sums;

pub(crate) use over_time::quantile;
pub(crate) use sums::{Mean, Sum, Variance};

use crate::ast::ValueType;
use ValueType::{Range, Scalar, String, Vector};

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// All that are declared.
    Exact,
    /// The last may be left out.
    Optional,
    /// The last may be left out or given many times.
    Repeated,
    /// The last may be left out or given many times, up to so many arguments.
    UpTo(usize),
}

/// The samples of one series in a window, without stale markers and never empty, and what else a function over it was
/// given.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Milliseconds since the epoch, ascending.
    pub times: &'a [i64],
    /// The value at each time.
    pub values: &'a [f64],
    /// Where the window begins; a sample exactly there is not in it.
    pub from: i64,
    /// Where the window ends.
    pub to: i64,
    /// The time of evaluation.
    pub at: i64,
    /// The scalar arguments, in order.
    pub scalars: &'a [f64],
}

/// How a function is applied.
#[derive(Clone, Copy, Debug)]
pub enum Eval {
    /// To each window; the result loses its name.
    Window(fn(&Window<'_>) -> Option<f64>),
    /// To each window; the result is one of its samples and keeps its name.
    Pick(fn(&Window<'_>) -> Option<f64>),
    /// To each sample, with the scalar arguments.
    Sample(fn(f64, &[f64]) -> Option<f64>),
    /// To each sample as a Unix time in seconds, or to the time of evaluation.
    Date(fn(i64) -> f64),
    /// To nothing.
    Constant(f64),
    /// To numbers; the result is one too.
    Scalars(fn(&[f64]) -> f64),
    /// To native histograms only, which are not kept: the result is empty.
    Native,
    /// In a way of its own.
    Special(Special),
}

/// What is known of the whole query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its function")]
pub enum Frame {
    Start,
    End,
    Range,
    Step,
}

/// Functions that need more than samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its function")]
pub enum Special {
    Absent,
    AbsentOverTime,
    Frame(Frame),
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    LabelJoin,
    LabelReplace,
    Scalar,
    Sort,
    SortByLabel,
    SortByLabelDescending,
    SortDescending,
    Time,
    Timestamp,
    Vector,
}

/// One function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments.
    pub arguments: &'static [ValueType],
    /// Which of them may be left out or repeated.
    pub arity: Arity,
    /// The type of its value.
    pub returns: ValueType,
    /// One sentence for the author of a rule.
    pub summary: &'static str,
    /// How it is applied.
    pub eval: Eval,
}

const fn row(
    name: &'static str,
    arguments: &'static [ValueType],
    eval: Eval,
    summary: &'static str,
) -> Function {
    Function { name, arguments, arity: Arity::Exact, returns: Vector, summary, eval }
}

impl Function {
    /// Whether its value depends on the time even where its arguments do not.
    pub(crate) fn depends_on_time(&self) -> bool {
        matches!(
            self.eval,
            Eval::Date(_) | Eval::Special(Special::Time | Special::Timestamp | Special::Frame(_))
        ) || self.name == "predict_linear"
    }

    const fn optional(mut self) -> Self {
        self.arity = Arity::Optional;
        self
    }

    const fn repeated(mut self) -> Self {
        self.arity = Arity::Repeated;
        self
    }

    const fn up_to(mut self, most: usize) -> Self {
        self.arity = Arity::UpTo(most);
        self
    }

    const fn scalar(mut self) -> Self {
        self.returns = Scalar;
        self
    }
}

/// Every function that is evaluated, sorted by name.
pub static FUNCTIONS: &[Function] = &[
    row("abs", &[Vector], Eval::Sample(|v, _| Some(v.abs())), "The absolute value."),
    row("absent", &[Vector], Eval::Special(Special::Absent), "1 if the vector is empty, else nothing."),
    row(
        "absent_over_time",
        &[Range],
        Eval::Special(Special::AbsentOverTime),
        "1 if no series has a sample in the window, else nothing.",
    ),
    row("acos", &[Vector], Eval::Sample(|v, _| Some(v.acos())), "The arc cosine, in radians."),
    row("acosh", &[Vector], Eval::Sample(|v, _| Some(v.acosh())), "The inverse hyperbolic cosine."),
    row("asin", &[Vector], Eval::Sample(|v, _| Some(v.asin())), "The arc sine, in radians."),
    row("asinh", &[Vector], Eval::Sample(|v, _| Some(v.asinh())), "The inverse hyperbolic sine."),
    row("atan", &[Vector], Eval::Sample(|v, _| Some(v.atan())), "The arc tangent, in radians."),
    row("atanh", &[Vector], Eval::Sample(|v, _| Some(v.atanh())), "The inverse hyperbolic tangent."),
    row("avg_over_time", &[Range], Eval::Window(over_time::avg), "The mean of the samples."),
    row("ceil", &[Vector], Eval::Sample(|v, _| Some(v.ceil())), "Rounded up to a whole number."),
    row("changes", &[Range], Eval::Window(counters::changes), "How often the value changed."),
    row("clamp", &[Vector, Scalar, Scalar], Eval::Sample(samples::clamp), "Kept between two bounds."),
    row("clamp_max", &[Vector, Scalar], Eval::Sample(samples::clamp_max), "Kept under a bound."),
    row("clamp_min", &[Vector, Scalar], Eval::Sample(samples::clamp_min), "Kept over a bound."),
    row("cos", &[Vector], Eval::Sample(|v, _| Some(v.cos())), "The cosine."),
    row("cosh", &[Vector], Eval::Sample(|v, _| Some(v.cosh())), "The hyperbolic cosine."),
    row("count_over_time", &[Range], Eval::Window(over_time::count), "How many samples there are."),
    row("day_of_month", &[Vector], Eval::Date(dates::day_of_month), "The day of the month in UTC, from 1.")
        .optional(),
    row(
        "day_of_week",
        &[Vector],
        Eval::Date(dates::day_of_week),
        "The day of the week in UTC, 0 for Sunday.",
    )
    .optional(),
    row("day_of_year", &[Vector], Eval::Date(dates::day_of_year), "The day of the year in UTC, from 1.")
        .optional(),
    row("days_in_month", &[Vector], Eval::Date(dates::days_in_month), "How many days the month has.")
        .optional(),
    row("deg", &[Vector], Eval::Sample(|v, _| Some(v.to_degrees())), "Radians in degrees."),
    row("delta", &[Range], Eval::Window(counters::delta), "The difference of a gauge over the window."),
    row("deriv", &[Range], Eval::Window(counters::deriv), "The slope of a gauge per second, by regression."),
    row(
        "double_exponential_smoothing",
        &[Range, Scalar, Scalar],
        Eval::Window(over_time::double_exponential_smoothing),
        "A gauge smoothed, by a factor for its level and one for its trend, each between 0 and 1.",
    ),
    row("end", &[], Eval::Special(Special::Frame(Frame::End)), "When the query ends, in seconds.").scalar(),
    row("exp", &[Vector], Eval::Sample(|v, _| Some(v.exp())), "The exponential function."),
    row("first_over_time", &[Range], Eval::Pick(over_time::first), "The oldest sample."),
    row("floor", &[Vector], Eval::Sample(|v, _| Some(v.floor())), "Rounded down to a whole number."),
    row("histogram_avg", &[Vector], Eval::Native, "The mean observation of native histograms."),
    row("histogram_count", &[Vector], Eval::Native, "How many observations native histograms have."),
    row(
        "histogram_fraction",
        &[Scalar, Scalar, Vector],
        Eval::Special(Special::HistogramFraction),
        "The share of observations between two bounds, from classic buckets.",
    ),
    row(
        "histogram_quantile",
        &[Scalar, Vector],
        Eval::Special(Special::HistogramQuantile),
        "A quantile of observations, from classic buckets.",
    ),
    row(
        "histogram_quantiles",
        &[Vector, String, Scalar, Scalar],
        Eval::Special(Special::HistogramQuantiles),
        "Quantiles of observations, from classic buckets, each under its value of the label.",
    )
    .up_to(12),
    row("histogram_stddev", &[Vector], Eval::Native, "The standard deviation in native histograms."),
    row("histogram_stdvar", &[Vector], Eval::Native, "The variance in native histograms."),
    row("histogram_sum", &[Vector], Eval::Native, "The sum of observations of native histograms."),
    row("hour", &[Vector], Eval::Date(dates::hour), "The hour of the day in UTC.").optional(),
    row("idelta", &[Range], Eval::Window(counters::idelta), "The difference of the last two samples."),
    row("increase", &[Range], Eval::Window(counters::increase), "How much a counter grew over the window."),
    row(
        "integral",
        &[Range, Scalar],
        Eval::Window(over_time::integral),
        "The area under a gauge, in its unit times seconds: by left samples (0), right samples (1) or trapezoids (2).",
    )
    .optional(),
    row("irate", &[Range], Eval::Window(counters::irate), "Growth per second between the last two samples."),
    row(
        "label_join",
        &[Vector, String, String, String],
        Eval::Special(Special::LabelJoin),
        "Sets a label to the values of others, joined.",
    )
    .repeated(),
    row(
        "label_replace",
        &[Vector, String, String, String, String],
        Eval::Special(Special::LabelReplace),
        "Sets a label from another by a regular expression.",
    ),
    row("last_over_time", &[Range], Eval::Pick(over_time::last), "The newest sample."),
    row("ln", &[Vector], Eval::Sample(|v, _| Some(v.ln())), "The natural logarithm."),
    row("log10", &[Vector], Eval::Sample(|v, _| Some(v.log10())), "The decimal logarithm."),
    row("log2", &[Vector], Eval::Sample(|v, _| Some(v.log2())), "The binary logarithm."),
    row(
        "mad_over_time",
        &[Range],
        Eval::Window(over_time::mad),
        "The median of the samples' distances from their median.",
    ),
    row("max_of", &[Scalar, Scalar], Eval::Scalars(samples::max_of), "The greater of two numbers.").scalar(),
    row("max_over_time", &[Range], Eval::Window(over_time::max), "The greatest sample."),
    row("min_of", &[Scalar, Scalar], Eval::Scalars(samples::min_of), "The lesser of two numbers.").scalar(),
    row("min_over_time", &[Range], Eval::Window(over_time::min), "The least sample."),
    row("minute", &[Vector], Eval::Date(dates::minute), "The minute of the hour in UTC.").optional(),
    row("month", &[Vector], Eval::Date(dates::month), "The month in UTC, from 1.").optional(),
    row("pi", &[], Eval::Constant(std::f64::consts::PI), "The number pi.").scalar(),
    row(
        "predict_linear",
        &[Range, Scalar],
        Eval::Window(counters::predict_linear),
        "A gauge's value so many seconds from now, by regression.",
    ),
    row("present_over_time", &[Range], Eval::Window(|_| Some(1.0)), "1 for each series with a sample."),
    row(
        "quantile_over_time",
        &[Scalar, Range],
        Eval::Window(over_time::quantile_over_time),
        "A quantile of the samples.",
    ),
    row("rad", &[Vector], Eval::Sample(|v, _| Some(v.to_radians())), "Degrees in radians."),
    row(
        "range",
        &[],
        Eval::Special(Special::Frame(Frame::Range)),
        "How long the query goes on, in seconds: 0 for one moment.",
    )
    .scalar(),
    row("rate", &[Range], Eval::Window(counters::rate), "How much a counter grew per second."),
    row("resets", &[Range], Eval::Window(counters::resets), "How often a counter began anew."),
    row("round", &[Vector, Scalar], Eval::Sample(samples::round), "The nearest multiple, of 1 by default.")
        .optional(),
    row(
        "scalar",
        &[Vector],
        Eval::Special(Special::Scalar),
        "The value of a vector of one sample, else NaN.",
    )
    .scalar(),
    row("sgn", &[Vector], Eval::Sample(samples::sign), "-1, 0 or 1, as the sign says."),
    row("sin", &[Vector], Eval::Sample(|v, _| Some(v.sin())), "The sine."),
    row("sinh", &[Vector], Eval::Sample(|v, _| Some(v.sinh())), "The hyperbolic sine."),
    row("sort", &[Vector], Eval::Special(Special::Sort), "Samples by value, least first."),
    row(
        "sort_by_label",
        &[Vector, String],
        Eval::Special(Special::SortByLabel),
        "Samples by their values of labels, numbers in them by value.",
    )
    .repeated(),
    row(
        "sort_by_label_desc",
        &[Vector, String],
        Eval::Special(Special::SortByLabelDescending),
        "The same the other way round.",
    )
    .repeated(),
    row("sort_desc", &[Vector], Eval::Special(Special::SortDescending), "Samples by value, greatest first."),
    row("sqrt", &[Vector], Eval::Sample(|v, _| Some(v.sqrt())), "The square root."),
    row("start", &[], Eval::Special(Special::Frame(Frame::Start)), "When the query begins, in seconds.")
        .scalar(),
    row("stddev_over_time", &[Range], Eval::Window(over_time::stddev), "The samples' standard deviation."),
    row("stdvar_over_time", &[Range], Eval::Window(over_time::stdvar), "The samples' variance."),
    row(
        "step",
        &[],
        Eval::Special(Special::Frame(Frame::Step)),
        "The time between evaluations, in seconds: 0 for one moment.",
    )
    .scalar(),
    row("sum_over_time", &[Range], Eval::Window(over_time::sum), "The sum of the samples."),
    row("tan", &[Vector], Eval::Sample(|v, _| Some(v.tan())), "The tangent."),
    row("tanh", &[Vector], Eval::Sample(|v, _| Some(v.tanh())), "The hyperbolic tangent."),
    row("time", &[], Eval::Special(Special::Time), "The time of evaluation, in seconds.").scalar(),
    row("timestamp", &[Vector], Eval::Special(Special::Timestamp), "When each sample was taken, in seconds."),
    row(
        "ts_of_first_over_time",
        &[Range],
        Eval::Window(over_time::ts_of_first),
        "When the oldest sample was taken, in seconds.",
    ),
    row(
        "ts_of_last_over_time",
        &[Range],
        Eval::Window(over_time::ts_of_last),
        "When the newest sample was taken, in seconds.",
    ),
    row(
        "ts_of_max_over_time",
        &[Range],
        Eval::Window(over_time::ts_of_max),
        "When the greatest sample was taken last, in seconds.",
    ),
    row(
        "ts_of_min_over_time",
        &[Range],
        Eval::Window(over_time::ts_of_min),
        "When the least sample was taken last, in seconds.",
    ),
    row("vector", &[Scalar], Eval::Special(Special::Vector), "A number as a sample without labels."),
    row("year", &[Vector], Eval::Date(dates::year), "The year in UTC.").optional(),
];

/// Functions of Prometheus 3 that are known and not evaluated yet.
pub(crate) const NOT_YET: [&str; 2] = ["info", "start_timestamp"];

/// The function of that name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok().and_then(|at| FUNCTIONS.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted_so_that_each_is_found() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        assert!(FUNCTIONS.iter().all(|f| std::ptr::eq(find(f.name).unwrap(), f)));
    }
}
