//! Aggregations of one series over a window.

#![expect(clippy::unnecessary_wraps, reason = "rows of one table share a signature")]

use super::{Mean, Sum, Variance, Window};

pub(super) fn avg(window: &Window<'_>) -> Option<f64> {
    let mut mean = Mean::default();
    window.values.iter().for_each(|value| mean.add(*value));
    Some(mean.value())
}

pub(super) fn sum(window: &Window<'_>) -> Option<f64> {
    let mut sum = Sum::default();
    window.values.iter().for_each(|value| sum.add(*value));
    Some(sum.value())
}

pub(super) fn count(window: &Window<'_>) -> Option<f64> {
    Some(window.values.len() as f64)
}

/// `f64::min` and `f64::max` pass over NaN, as is wanted here: only a window of nothing else is NaN.
pub(super) fn min(window: &Window<'_>) -> Option<f64> {
    window.values.iter().copied().reduce(f64::min)
}

pub(super) fn max(window: &Window<'_>) -> Option<f64> {
    window.values.iter().copied().reduce(f64::max)
}

pub(super) fn first(window: &Window<'_>) -> Option<f64> {
    window.values.first().copied()
}

pub(super) fn last(window: &Window<'_>) -> Option<f64> {
    window.values.last().copied()
}

pub(super) fn stdvar(window: &Window<'_>) -> Option<f64> {
    let mut variance = Variance::default();
    window.values.iter().for_each(|value| variance.add(*value));
    Some(variance.value())
}

pub(super) fn stddev(window: &Window<'_>) -> Option<f64> {
    stdvar(window).map(f64::sqrt)
}

pub(super) fn quantile_over_time(window: &Window<'_>) -> Option<f64> {
    let q = window.scalars.first().copied().unwrap_or(f64::NAN);
    Some(quantile(q, window.values.to_vec()))
}

/// The `q`-quantile by linear interpolation; NaN counts as the least value.
pub(crate) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if q.is_nan() || values.is_empty() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    });
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    match (values.get(lower), values.get(upper)) {
        (Some(lower), Some(upper)) => lower * (1.0 - weight) + upper * weight,
        _ => f64::NAN,
    }
}
