//! Expressions made ready for evaluation.
//!
//! A plan is an expression sorted by type, so that evaluation cannot meet a range where it needs a number, with room in
//! each node for what it learns about the series: which ones a selector means, which group a label set belongs to.

mod aggregate;
mod context;
mod histogram;
mod join;
mod labels;
mod over;
mod sampling;
mod scalar;
mod select;
mod special;
mod vector;

use std::ops::Range;

pub(crate) use context::{Context, MAX_SETS, Notes, Sample};
pub use context::{MAX_POINTS, MAX_SAMPLES, QueryLimits};
pub(crate) use scalar::compute;
pub use select::DEFAULT_SUBQUERY_STEP;
pub(crate) use select::duplicate;

use crate::ast::{Expr, ExprKind, ValueType};
use crate::functions::{Eval, Function, Special};
use aggregate::AggregateNode;
use histogram::{HistogramNode, Wanted};
use join::Join;
use labels::Relabel;
use over::{Check, Over};
use scalar::ScalarNode;
use select::{Select, WindowNode};
use special::Absent;
use vector::{Map, WithScalar};

/// An expression ready for evaluation.
#[derive(Debug)]
pub(crate) enum Plan {
    Scalar(ScalarNode),
    Vector(VectorNode),
    Window(WindowNode),
    Text(String),
}

/// What evaluates to an instant vector.
#[derive(Debug)]
pub(crate) enum VectorNode {
    Select(Select),
    Negate(Box<VectorNode>),
    WithScalar(Box<WithScalar>),
    Join(Box<Join>),
    Aggregate(Box<AggregateNode>),
    Over(Box<Over>),
    Map(Box<Map>),
    Date(fn(i64) -> f64, Option<Box<VectorNode>>),
    FromScalar(ScalarNode),
    Absent(Box<Absent>),
    Timestamp(Box<VectorNode>),
    Sort {
        descending: bool,
        vector: Box<VectorNode>,
        /// Where, if it is to be said that sorting has no effect on a range query.
        warn_at: Option<Range<usize>>,
    },
    SortByLabel {
        descending: bool,
        vector: Box<VectorNode>,
        labels: Vec<String>,
        warn_at: Option<Range<usize>>,
    },
    /// What is only there for native histograms, of which there are none.
    Nothing(Box<VectorNode>),
    Relabel(Box<Relabel>),
    Histogram(Box<HistogramNode>),
}

impl Plan {
    /// The plan of a checked expression.
    pub(crate) fn new(expr: &Expr) -> Self {
        match expr.value_type() {
            ValueType::Scalar => Self::Scalar(scalar(expr)),
            ValueType::Vector => Self::Vector(vector(expr)),
            ValueType::Range => Self::Window(window(expr)),
            ValueType::String => Self::Text(text(expr)),
        }
    }
}

const CHECKED: &str = "the parser has checked the types of operands and arguments";

fn scalar(expr: &Expr) -> ScalarNode {
    match &expr.kind {
        ExprKind::Number(number) => ScalarNode::Number(*number),
        ExprKind::Paren(inner) | ExprKind::Unary(false, inner) => scalar(inner),
        ExprKind::Unary(true, inner) => ScalarNode::Negate(Box::new(scalar(inner))),
        ExprKind::Binary(binary) => {
            ScalarNode::Compute(binary.op, Box::new((scalar(&binary.left), scalar(&binary.right))))
        }
        ExprKind::Call(function, arguments) => match function.eval {
            Eval::Constant(number) => ScalarNode::Number(number),
            Eval::Special(Special::Time) => ScalarNode::Time,
            Eval::Special(Special::Frame(what)) => ScalarNode::Frame(what),
            Eval::Scalars(function) => ScalarNode::Of(function, arguments.iter().map(scalar).collect()),
            _ => ScalarNode::FromVector(Box::new(vector(arguments.first().expect(CHECKED)))),
        },
        _ => unreachable!("{CHECKED}"),
    }
}

fn text(expr: &Expr) -> String {
    match &expr.unparenthesised().kind {
        ExprKind::Text(text) => text.clone(),
        _ => unreachable!("{CHECKED}"),
    }
}

fn window(expr: &Expr) -> WindowNode {
    match &expr.unparenthesised().kind {
        ExprKind::Range(selector, range) => WindowNode::select(selector, range.millis(), expr.span.clone()),
        ExprKind::Subquery(subquery) => WindowNode::subquery(subquery, expr.span.clone()),
        _ => unreachable!("{CHECKED}"),
    }
}

fn vector(expr: &Expr) -> VectorNode {
    match &expr.kind {
        ExprKind::Selector(selector) => VectorNode::Select(Select::new(selector, expr.span.clone())),
        ExprKind::Paren(inner) | ExprKind::Unary(false, inner) => vector(inner),
        ExprKind::Unary(true, inner) => VectorNode::Negate(Box::new(vector(inner))),
        ExprKind::Binary(binary) => match (binary.left.value_type(), binary.right.value_type()) {
            (ValueType::Scalar, _) => VectorNode::WithScalar(Box::new(WithScalar {
                op: binary.op,
                bool_modifier: binary.bool_modifier,
                scalar_left: true,
                scalar: scalar(&binary.left),
                vector: vector(&binary.right),
            })),
            (_, ValueType::Scalar) => VectorNode::WithScalar(Box::new(WithScalar {
                op: binary.op,
                bool_modifier: binary.bool_modifier,
                scalar_left: false,
                scalar: scalar(&binary.right),
                vector: vector(&binary.left),
            })),
            _ => VectorNode::Join(Box::new(Join::new(binary, expr.span.clone()))),
        },
        ExprKind::Aggregate(aggregate) => {
            VectorNode::Aggregate(Box::new(AggregateNode::new(aggregate, expr.span.clone())))
        }
        ExprKind::Call(function, arguments) => call(function, arguments, &expr.span),
        _ => unreachable!("{CHECKED}"),
    }
}

/// Where an argument stands, parentheses around it left out as in Prometheus' notes.
fn bare_span(expr: &Expr) -> Range<usize> {
    expr.unparenthesised().span.clone()
}

fn call(called: &Function, arguments: &[Expr], span: &Range<usize>) -> VectorNode {
    let of_type = |wanted| arguments.iter().filter(move |a: &&Expr| a.value_type() == wanted);
    let scalars = || of_type(ValueType::Scalar).map(scalar).collect();
    let first_vector = || vector(of_type(ValueType::Vector).next().expect(CHECKED));
    let over = |function, keeps_name| {
        let window_argument = of_type(ValueType::Range).next().expect(CHECKED);
        VectorNode::Over(Box::new(Over {
            function,
            keeps_name,
            window: window(window_argument),
            scalars: of_type(ValueType::Scalar).map(|a| (scalar(a), bare_span(a))).collect(),
            check: Check::of(called.name, window_argument),
        }))
    };
    match called.eval {
        Eval::Window(function) => over(function, false),
        Eval::Pick(function) => over(function, true),
        Eval::Sample(function) => {
            VectorNode::Map(Box::new(Map { function, vector: first_vector(), scalars: scalars() }))
        }
        Eval::Date(function) => VectorNode::Date(function, arguments.first().map(|a| Box::new(vector(a)))),
        Eval::Native => VectorNode::Nothing(Box::new(first_vector())),
        Eval::Constant(_) | Eval::Scalars(_) => unreachable!("{CHECKED}"),
        Eval::Special(special) => self::special(special, arguments, span, first_vector),
    }
}

fn special(
    special: Special,
    arguments: &[Expr],
    span: &Range<usize>,
    first_vector: impl Fn() -> VectorNode,
) -> VectorNode {
    let first = arguments.first();
    let warn_at = || (!arguments.iter().all(Expr::is_fixed)).then(|| span.clone());
    match special {
        Special::Absent | Special::AbsentOverTime => {
            VectorNode::Absent(Box::new(Absent::new(first.expect(CHECKED))))
        }
        Special::Sort | Special::SortDescending => VectorNode::Sort {
            descending: special == Special::SortDescending,
            vector: Box::new(first_vector()),
            warn_at: warn_at(),
        },
        Special::SortByLabel | Special::SortByLabelDescending => VectorNode::SortByLabel {
            descending: special == Special::SortByLabelDescending,
            vector: Box::new(first_vector()),
            labels: arguments.iter().skip(1).map(text).collect(),
            warn_at: warn_at(),
        },
        Special::Timestamp => VectorNode::Timestamp(Box::new(first_vector())),
        Special::Vector => VectorNode::FromScalar(scalar(first.expect(CHECKED))),
        Special::LabelJoin | Special::LabelReplace => {
            let texts = arguments.iter().skip(1).map(text).collect();
            let join = special == Special::LabelJoin;
            VectorNode::Relabel(Box::new(Relabel::new(join, first_vector(), texts, span.clone())))
        }
        Special::HistogramQuantile | Special::HistogramQuantiles | Special::HistogramFraction => {
            let of_type = |wanted| arguments.iter().filter(move |a: &&Expr| a.value_type() == wanted);
            let scalars = of_type(ValueType::Scalar).map(|a| (scalar(a), bare_span(a))).collect();
            let vector_span = of_type(ValueType::Vector).next().map_or(0..0, bare_span);
            let wanted = match special {
                Special::HistogramFraction => Wanted::Fraction,
                Special::HistogramQuantile => Wanted::Quantile,
                _ => Wanted::Quantiles(of_type(ValueType::String).next().map(text).unwrap_or_default()),
            };
            let node = HistogramNode::new(wanted, scalars, first_vector(), vector_span);
            VectorNode::Histogram(Box::new(node))
        }
        Special::Scalar | Special::Time | Special::Frame(_) => unreachable!("{CHECKED}"),
    }
}
