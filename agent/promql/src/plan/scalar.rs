//! Numbers, and the arithmetic of all binary operators.

use super::{Context, VectorNode};
use crate::EvalError;
use crate::ast::{BinaryOp, seconds_of};
use crate::functions::Frame;

/// What evaluates to a number.
#[derive(Debug)]
pub(crate) enum ScalarNode {
    Number(f64),
    Time,
    /// Of the whole query.
    Frame(Frame),
    Of(fn(&[f64]) -> f64, Vec<ScalarNode>),
    Negate(Box<ScalarNode>),
    Compute(BinaryOp, Box<(ScalarNode, ScalarNode)>),
    /// The value of a vector of one sample, else NaN.
    FromVector(Box<VectorNode>),
}

impl ScalarNode {
    pub(crate) fn eval(&mut self, context: &mut Context<'_>) -> Result<f64, EvalError> {
        Ok(match self {
            Self::Number(number) => *number,
            Self::Time => context.at as f64 / 1000.0,
            Self::Frame(what) => match what {
                Frame::Start => context.start as f64 / 1000.0,
                Frame::End => context.end as f64 / 1000.0,
                Frame::Range => seconds_of(context.end - context.start),
                Frame::Step => seconds_of(context.step),
            },
            Self::Of(function, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(argument.eval(context)?);
                }
                function(&values)
            }
            Self::Negate(inner) => -inner.eval(context)?,
            Self::Compute(op, sides) => {
                let (left, right) = sides.as_mut();
                let (left, right) = (left.eval(context)?, right.eval(context)?);
                match compare(*op, left, right) {
                    Some(holds) => f64::from(u8::from(holds)),
                    None => compute(*op, left, right),
                }
            }
            Self::FromVector(vector) => match vector.eval(context)?.as_slice() {
                [sample] => sample.value,
                _ => f64::NAN,
            },
        })
    }
}

/// Whether a comparison holds; `None` for other operators.
#[inline]
pub(crate) fn compare(op: BinaryOp, left: f64, right: f64) -> Option<bool> {
    #[expect(clippy::float_cmp, reason = "PromQL compares exactly")]
    Some(match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::LessOrEqual => left <= right,
        BinaryOp::Less => left < right,
        BinaryOp::GreaterOrEqual => left >= right,
        BinaryOp::Greater => left > right,
        _ => return None,
    })
}

/// The value of an arithmetic operator; the left side for any other.
#[inline]
pub(crate) fn compute(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Subtract => left - right,
        BinaryOp::Multiply => left * right,
        BinaryOp::Divide => left / right,
        BinaryOp::Modulo => left % right,
        BinaryOp::Power => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => left,
    }
}
