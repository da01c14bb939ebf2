//! Expressions, as the parser makes them.
//!
//! Parentheses are kept, so printing adds none and a printed expression reads back as the same one. Equality compares
//! what expressions mean, not where they stand in a text.

mod length;
mod print;
mod walk;

use std::fmt;
use std::ops::Range;

use series::Matcher;

use crate::functions::Function;
pub(crate) use length::{Asked, MAX_MILLIS, go_max, go_min, seconds_of};
pub use length::{DurationExpr, Length};

/// The type of an expression's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A number.
    Scalar,
    /// One sample per series.
    Vector,
    /// A window of samples per series.
    Range,
    /// A text.
    String,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Range => "range vector",
            Self::String => "string",
        })
    }
}

/// An expression and its place in the text.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// The bytes of the text that it was read from.
    pub span: Range<usize>,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// The kinds of expression.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number; a duration literal is its seconds.
    Number(f64),
    /// A text.
    Text(String),
    /// `name{matchers} @ t offset d`
    Selector(Selector),
    /// `name{matchers}[5m] @ t offset d`
    Range(Selector, Length),
    /// `(expr)[5m:1m] @ t offset d`
    Subquery(Box<Subquery>),
    /// `(expr)`
    Paren(Box<Expr>),
    /// `-expr` if the flag is set, else `+expr`
    Unary(bool, Box<Expr>),
    /// `left op right`
    Binary(Box<Binary>),
    /// `sum by (label) (expr)`
    Aggregate(Box<Aggregate>),
    /// `function(arguments)`
    Call(&'static Function, Vec<Expr>),
}

impl PartialEq for ExprKind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Selector(a), Self::Selector(b)) => a == b,
            (Self::Range(a, x), Self::Range(b, y)) => a == b && x == y,
            (Self::Subquery(a), Self::Subquery(b)) => a == b,
            (Self::Paren(a), Self::Paren(b)) => a == b,
            (Self::Unary(a, x), Self::Unary(b, y)) => a == b && x == y,
            (Self::Binary(a), Self::Binary(b)) => a == b,
            (Self::Aggregate(a), Self::Aggregate(b)) => a == b,
            (Self::Call(a, x), Self::Call(b, y)) => a.name == b.name && x == y,
            _ => false,
        }
    }
}

/// The time that `@` fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the epoch.
    Millis(i64),
    /// `start()`: the first evaluation of a range query.
    Start,
    /// `end()`: the last evaluation of a range query.
    End,
}

/// Which moment a selector or subquery looks at, seen from the evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shift {
    /// `offset`; positive looks into the past.
    pub offset: Length,
    /// `@`, in place of the time of evaluation.
    pub at: Option<At>,
}

/// Which series an expression is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The conditions, that on `__name__` among them.
    pub matchers: Vec<Matcher>,
    /// The moment.
    pub shift: Shift,
}

/// An expression evaluated repeatedly over a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Expr,
    /// The window's length.
    pub range: Length,
    /// The time between evaluations; the query's default where it is left out.
    pub step: Option<Length>,
    /// The moment at which the window ends.
    pub shift: Shift,
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its sign")]
pub enum BinaryOp {
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Atan2,
    Power,
}

impl BinaryOp {
    /// How it is spelled.
    pub fn spelling(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Unless => "unless",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::LessOrEqual => "<=",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Atan2 => "atan2",
            Self::Power => "^",
        }
    }

    /// How tightly it binds, from 1 for `or` to 6 for `^`.
    pub fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Modulo | Self::Atan2 => 5,
            Self::Power => 6,
            _ => 3,
        }
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        self.precedence() == 3
    }

    /// Whether it is `and`, `or` or `unless`.
    pub fn is_set(self) -> bool {
        self.precedence() < 3
    }
}

/// Which labels must agree for samples of two sides to belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// `on (labels)`; otherwise `ignoring (labels)`.
    pub on: bool,
    /// The labels.
    pub labels: Vec<String>,
    /// `group_left` or `group_right`.
    pub group: Option<Group>,
    /// `fill` and `fill_left`: what stands in on the left for a sample without a match.
    pub fill_left: Option<f64>,
    /// `fill` and `fill_right`: the same on the right.
    pub fill_right: Option<f64>,
}

/// A match of many samples with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The side with many: `group_left` or else `group_right`.
    pub left: bool,
    /// Labels taken over from the one.
    pub include: Vec<String>,
}

/// An operation on two expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Whether a comparison answers with 0 or 1 instead of filtering.
    pub bool_modifier: bool,
    /// `on`, `ignoring` and groups, where they were written.
    pub matching: Option<Matching>,
    /// The left side.
    pub left: Expr,
    /// The right side.
    pub right: Expr,
}

/// What an aggregation computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its keyword")]
pub enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    Quantile,
    CountValues,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// All of them, with their keywords.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Sum, "sum"),
        (Self::Avg, "avg"),
        (Self::Min, "min"),
        (Self::Max, "max"),
        (Self::Count, "count"),
        (Self::Group, "group"),
        (Self::Stddev, "stddev"),
        (Self::Stdvar, "stdvar"),
        (Self::Topk, "topk"),
        (Self::Bottomk, "bottomk"),
        (Self::Quantile, "quantile"),
        (Self::CountValues, "count_values"),
        (Self::Limitk, "limitk"),
        (Self::LimitRatio, "limit_ratio"),
    ];

    /// Its keyword.
    pub fn spelling(self) -> &'static str {
        Self::ALL.iter().find(|(op, _)| *op == self).map_or("", |(_, name)| name)
    }

    /// The type of its parameter, if it has one.
    pub fn parameter(self) -> Option<ValueType> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }
}

/// How an aggregation forms its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// `without (labels)`; otherwise `by (labels)`.
    pub without: bool,
    /// The labels.
    pub labels: Vec<String>,
}

/// An aggregation over series.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// What is computed.
    pub op: AggregateOp,
    /// The groups; one for everything where it is left out.
    pub grouping: Option<Grouping>,
    /// The parameter of `topk` and its like.
    pub parameter: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
}

impl Expr {
    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::Text(_) => ValueType::String,
            ExprKind::Selector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::Range(..) | ExprKind::Subquery(_) => ValueType::Range,
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => inner.value_type(),
            ExprKind::Binary(binary) => {
                if binary.left.value_type() == ValueType::Scalar
                    && binary.right.value_type() == ValueType::Scalar
                {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            ExprKind::Call(function, _) => function.returns,
        }
    }

    /// The expression inside any parentheses.
    pub fn unparenthesised(&self) -> &Self {
        match &self.kind {
            ExprKind::Paren(inner) => inner.unparenthesised(),
            _ => self,
        }
    }
}
