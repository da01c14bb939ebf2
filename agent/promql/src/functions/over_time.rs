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

/// Median absolute deviation. A NaN makes the median unknown, and so everything else.
pub(super) fn mad(window: &Window<'_>) -> Option<f64> {
    if window.values.iter().any(|value| value.is_nan()) {
        return Some(f64::NAN);
    }
    let median = quantile(0.5, window.values.to_vec());
    Some(quantile(0.5, window.values.iter().map(|value| (value - median).abs()).collect()))
}

pub(super) fn ts_of_first(window: &Window<'_>) -> Option<f64> {
    window.times.first().map(|time| seconds(*time))
}

pub(super) fn ts_of_last(window: &Window<'_>) -> Option<f64> {
    window.times.last().map(|time| seconds(*time))
}

pub(super) fn ts_of_max(window: &Window<'_>) -> Option<f64> {
    last_best(window, |value, best| value >= best)
}

pub(super) fn ts_of_min(window: &Window<'_>) -> Option<f64> {
    last_best(window, |value, best| value <= best)
}

fn last_best(window: &Window<'_>, is_better: fn(f64, f64) -> bool) -> Option<f64> {
    let samples = window.times.iter().zip(window.values);
    let best =
        samples.reduce(|best, next| if is_better(*next.1, *best.1) || best.1.is_nan() { next } else { best });
    best.map(|(time, _)| seconds(*time))
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// Holt's method: a level and a trend, each moved by its factor with every sample.
pub(super) fn double_exponential_smoothing(window: &Window<'_>) -> Option<f64> {
    let [smoothing, trend_factor] = window.scalars else { return None };
    let (first, second) = (*window.values.first()?, *window.values.get(1)?);
    let mut level = first;
    let mut trend = second - first;
    let mut before = None;
    for value in window.values.iter().skip(1) {
        if let Some(before) = before {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        before = Some(std::mem::replace(&mut level, next));
    }
    Some(level)
}

/// The area under the samples; NaN counts as zero. An unknown strategy is taken for trapezoids.
#[expect(clippy::float_cmp, reason = "strategies are whole numbers")]
pub(super) fn integral(window: &Window<'_>) -> Option<f64> {
    let strategy = window.scalars.first().copied().unwrap_or(2.0);
    let mut area = Sum::default();
    let samples = window.times.iter().zip(window.values);
    let later = window.times.iter().zip(window.values).skip(1);
    for ((from, before), (to, after)) in samples.zip(later) {
        let [before, after] = [before, after].map(|value| if value.is_nan() { 0.0 } else { *value });
        let height = if strategy == 0.0 {
            Sum::of(before)
        } else if strategy == 1.0 {
            Sum::of(after)
        } else {
            Sum::mean_of_two(after, before)
        };
        area.add_scaled(height, seconds(to - from));
    }
    Some(area.value())
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
        (Some(lower), _) if weight == 0.0 => *lower,
        (Some(lower), Some(upper)) => lower * (1.0 - weight) + upper * weight,
        _ => f64::NAN,
    }
}
