//! Instant vectors: the evaluation of each kind of node, and the simple kinds themselves.

use std::cmp::Ordering;
use std::ops::Range;

use telemetry::Labels;

use super::scalar::{ScalarNode, compare, compute};
use super::{Context, Sample, VectorNode};
use crate::ast::BinaryOp;
use crate::value::short;
use crate::{EvalError, Severity};

/// What a sample costs where it is sorted by labels, in samples that are only added up.
const SORT_COST: u64 = 10;

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
            Self::Sort { descending, vector, warn_at } => {
                warn_of_sort(warn_at.as_ref(), context);
                let mut samples = vector.eval(context)?;
                samples.sort_by(|a, b| nan_last(a.value, b.value, *descending));
                Ok(samples)
            }
            Self::SortByLabel { descending, vector, labels, warn_at } => {
                warn_of_sort(warn_at.as_ref(), context);
                let mut samples = vector.eval(context)?;
                context.count_passed(samples.len() as u64 * SORT_COST)?;
                samples.sort_by(|a, b| {
                    let (a, b) = (context.sets.labels(a.set), context.sets.labels(b.set));
                    let order = by_labels(labels, a, b);
                    if *descending { order.reverse() } else { order }
                });
                Ok(samples)
            }
            Self::Nothing(inner) => inner.eval(context).map(|_| Vec::new()),
            Self::Relabel(node) => node.eval(context),
            Self::Histogram(node) => node.eval(context),
        }
    }
}

/// A single sample without labels.
pub(super) fn unlabelled(context: &mut Context<'_>, value: f64) -> Sample {
    Sample { set: context.sets.intern(Labels::empty()), nameless: false, value }
}

fn warn_of_sort(span: Option<&Range<usize>>, context: &mut Context<'_>) {
    if let (true, Some(span)) = (context.is_repeated, span) {
        let message = "sort is ineffective for range queries since results are always ordered by labels";
        context.note(Severity::Warning, span, message.to_owned());
    }
}

/// By the values of `names`, then by all labels.
fn by_labels(names: &[String], a: &Labels, b: &Labels) -> Ordering {
    let by_names = names.iter().map(|name| natural(a.get(name), b.get(name)));
    by_names.fold(Ordering::Equal, Ordering::then).then_with(|| a.cmp(b))
}

/// The order in which people count: runs of digits by their value, everything else letter by letter.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (chunks(a), chunks(b));
    loop {
        let (one, other) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) => (one, other),
        };
        let order = match (one.parse::<i64>(), other.parse::<i64>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            _ => one.cmp(other),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Runs of digits, and what is between them.
fn chunks(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let digits = text.starts_with(|c: char| c.is_ascii_digit());
        let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
        let (chunk, rest) = text.split_at(end);
        text = rest;
        (!chunk.is_empty()).then_some(chunk)
    })
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

pub(super) fn warn_of_quantile(q: f64, span: &Range<usize>, context: &mut Context<'_>) {
    if !(0.0..=1.0).contains(&q) {
        context.note(Severity::Warning, span, out_of_quantiles(q));
    }
}

pub(super) fn out_of_quantiles(q: f64) -> String {
    format!("quantile value should be between 0 and 1, got {}", short(q))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_labels_are_sorted_as_people_count() {
        let mut found = ["node10", "node9", "b", "node9a", "", "node 1", "node09b"];
        found.sort_by(|a, b| natural(a, b));
        assert_eq!(found, ["", "b", "node9", "node9a", "node09b", "node10", "node 1"]);
    }
}
