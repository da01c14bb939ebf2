//! Instant vectors: the evaluation of each kind of node, and the simple kinds themselves.

use std::cmp::Ordering;
use std::ops::Range;

use telemetry::Labels;

use super::scalar::{ScalarNode, compare, compute};
use super::select::WindowNode;
use super::{Context, Sample, VectorNode};
use crate::ast::BinaryOp;
use crate::functions::Window;
use crate::{EvalError, Severity};

/// An operator between a vector and a number.
#[derive(Debug)]
pub(crate) struct WithScalar {
    pub(super) op: BinaryOp,
    pub(super) bool_modifier: bool,
    pub(super) scalar_left: bool,
    pub(super) scalar: ScalarNode,
    pub(super) vector: VectorNode,
}

/// A function of each sample.
#[derive(Debug)]
pub(crate) struct Map {
    pub(super) function: fn(f64, &[f64]) -> Option<f64>,
    pub(super) vector: VectorNode,
    pub(super) scalars: Vec<ScalarNode>,
}

/// A function of each window.
#[derive(Debug)]
pub(crate) struct Over {
    pub(super) function: fn(&Window<'_>) -> Option<f64>,
    pub(super) keeps_name: bool,
    pub(super) window: WindowNode,
    pub(super) scalars: Vec<ScalarNode>,
    /// Where the quantile stands, if the function takes one.
    pub(super) quantile: Option<Range<usize>>,
}

impl VectorNode {
    pub(crate) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        let samples = self.eval_uncounted(context)?;
        context.count_passed(samples.len() as u64)?;
        Ok(samples)
    }

    fn eval_uncounted(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        match self {
            Self::Select(select) => select.eval(context),
            Self::Negate(inner) => {
                let mut samples = inner.eval(context)?;
                for sample in &mut samples {
                    sample.value = -sample.value;
                    sample.nameless = true;
                }
                Ok(samples)
            }
            Self::WithScalar(node) => node.eval(context),
            Self::Join(node) => node.eval(context),
            Self::Aggregate(node) => node.eval(context),
            Self::Over(node) => node.eval(context),
            Self::Map(node) => node.eval(context),
            Self::Date(function, vector) => date(*function, vector.as_deref_mut(), context),
            Self::FromScalar(scalar) => {
                let value = scalar.eval(context)?;
                Ok(vec![unlabelled(context, value)])
            }
            Self::Absent(node) => node.eval(context),
            Self::Timestamp(inner) => timestamp(inner, context),
            Self::Sort { descending, vector, span } => {
                if context.is_range {
                    let message =
                        "sort is ineffective for range queries since results are always ordered by labels";
                    context.note(Severity::Warning, span, message.to_owned());
                }
                let mut samples = vector.eval(context)?;
                samples.sort_by(|a, b| nan_last(a.value, b.value, *descending));
                Ok(samples)
            }
            Self::Relabel(node) => node.eval(context),
            Self::Histogram(node) => node.eval(context),
        }
    }
}

/// A single sample without labels.
pub(super) fn unlabelled(context: &mut Context<'_>, value: f64) -> Sample {
    Sample { set: context.sets.intern(Labels::empty()), nameless: false, value }
}

/// The order of values in which NaN comes last whichever way the others go.
pub(super) fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if descending => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
    }
}

fn date(
    function: fn(i64) -> f64,
    vector: Option<&mut VectorNode>,
    context: &mut Context<'_>,
) -> Result<Vec<Sample>, EvalError> {
    let Some(vector) = vector else {
        let now = context.at.div_euclid(1000);
        return Ok(vec![unlabelled(context, function(now))]);
    };
    let mut samples = vector.eval(context)?;
    for sample in &mut samples {
        sample.nameless = true;
        sample.value = if sample.value.is_finite() { function(sample.value as i64) } else { f64::NAN };
    }
    Ok(samples)
}

/// Of a selector, when its samples were taken; of anything else, when it is evaluated.
fn timestamp(inner: &mut VectorNode, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
    let mut samples = match inner {
        VectorNode::Select(select) => select.newest(context, |time, _| time as f64 / 1000.0)?,
        other => {
            let mut samples = other.eval(context)?;
            for sample in &mut samples {
                sample.value = context.at as f64 / 1000.0;
            }
            samples
        }
    };
    for sample in &mut samples {
        sample.nameless = true;
    }
    Ok(samples)
}

impl WithScalar {
    fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        let scalar = self.scalar.eval(context)?;
        let mut samples = self.vector.eval(context)?;
        let (op, bool_modifier, scalar_left) = (self.op, self.bool_modifier, self.scalar_left);
        samples.retain_mut(|sample| {
            let (left, right) = if scalar_left { (scalar, sample.value) } else { (sample.value, scalar) };
            match compare(op, left, right) {
                Some(holds) if bool_modifier => {
                    sample.value = f64::from(u8::from(holds));
                    sample.nameless = true;
                    true
                }
                Some(holds) => holds,
                None => {
                    sample.value = compute(op, left, right);
                    sample.nameless = true;
                    true
                }
            }
        });
        Ok(samples)
    }
}

impl Map {
    fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        let scalars = numbers(&mut self.scalars, context)?;
        let mut samples = self.vector.eval(context)?;
        let function = self.function;
        samples.retain_mut(|sample| {
            sample.nameless = true;
            function(sample.value, &scalars).is_some_and(|value| {
                sample.value = value;
                true
            })
        });
        Ok(samples)
    }
}

fn numbers(nodes: &mut [ScalarNode], context: &mut Context<'_>) -> Result<Vec<f64>, EvalError> {
    nodes.iter_mut().map(|node| node.eval(context)).collect()
}

impl Over {
    fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        let scalars = numbers(&mut self.scalars, context)?;
        if let (Some(span), Some(q)) = (&self.quantile, scalars.first()) {
            warn_of_quantile(*q, span, context);
        }
        let (function, keeps_name, at) = (self.function, self.keeps_name, context.at);
        let mut samples = Vec::new();
        self.window.each(context, |series| {
            let window = Window {
                times: series.times,
                values: series.values,
                from: series.bounds.from,
                to: series.bounds.to,
                at,
                scalars: &scalars,
            };
            if let Some(value) = function(&window) {
                samples.push(Sample { set: series.set, nameless: series.nameless || !keeps_name, value });
            }
        })?;
        Ok(samples)
    }
}

pub(super) fn warn_of_quantile(q: f64, span: &Range<usize>, context: &mut Context<'_>) {
    if !(0.0..=1.0).contains(&q) {
        let q = crate::value::format_number(q);
        let message = format!("quantile value should be between 0 and 1, got {q}");
        context.note(Severity::Warning, span, message);
    }
}
