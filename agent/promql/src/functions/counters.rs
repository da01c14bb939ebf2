//! Growth, slope and change of a series over a window.
//!
//! `rate`, `increase` and `delta` extrapolate to the window's ends as Prometheus does: at most half a mean gap where
//! the first or last sample is further away than 1.1 mean gaps, and never to where a counter would be below zero.

#![expect(clippy::float_cmp, reason = "a value has changed when any bit of it has")]
#![expect(clippy::unnecessary_wraps, reason = "rows of one table share a signature")]

use super::{Sum, Window};

pub(super) fn rate(window: &Window<'_>) -> Option<f64> {
    extrapolated(window, true).map(|growth| growth / seconds(window.to - window.from))
}

pub(super) fn increase(window: &Window<'_>) -> Option<f64> {
    extrapolated(window, true)
}

pub(super) fn delta(window: &Window<'_>) -> Option<f64> {
    extrapolated(window, false)
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn extrapolated(window: &Window<'_>, counter: bool) -> Option<f64> {
    let (first, last) = (*window.values.first()?, *window.values.last()?);
    let (first_at, last_at) = (*window.times.first()?, *window.times.last()?);
    if window.values.len() < 2 {
        return None;
    }
    let mut growth = last - first;
    if counter {
        growth = with_resets(growth, window.values);
    }
    let mut to_start = seconds(first_at - window.from);
    let mut to_end = seconds(window.to - last_at);
    let sampled = seconds(last_at - first_at);
    let gap = sampled / (window.values.len() - 1) as f64;
    let threshold = gap * 1.1;
    if to_start >= threshold {
        to_start = gap / 2.0;
    }
    if counter && growth > 0.0 && first >= 0.0 {
        to_start = to_start.min(sampled * (first / growth));
    }
    if to_end >= threshold {
        to_end = gap / 2.0;
    }
    Some(growth * ((sampled + to_start + to_end) / sampled))
}

/// Adds what the counter had reached at each of its resets, one by one: of very unlike values the order counts. Most
/// windows have none, which a comparison alone finds out.
fn with_resets(growth: f64, values: &[f64]) -> f64 {
    let later = values.get(1..).unwrap_or_default();
    let pairs = values.iter().zip(later).filter(|(before, after)| after < before);
    pairs.fold(growth, |growth, (before, _)| growth + before)
}

fn last_two(window: &Window<'_>) -> Option<([f64; 2], f64)> {
    let before = window.values.len().checked_sub(2)?;
    let gap = seconds(window.times.get(before + 1)? - window.times.get(before)?);
    Some(([*window.values.get(before)?, *window.values.get(before + 1)?], gap))
}

pub(super) fn irate(window: &Window<'_>) -> Option<f64> {
    let ([before, after], gap) = last_two(window)?;
    let growth = if after < before { after } else { after - before };
    (gap > 0.0).then_some(growth / gap)
}

pub(super) fn idelta(window: &Window<'_>) -> Option<f64> {
    last_two(window).map(|([before, after], _)| after - before)
}

pub(super) fn changes(window: &Window<'_>) -> Option<f64> {
    Some(count_pairs(window, |before, after| before != after && !(before.is_nan() && after.is_nan())))
}

pub(super) fn resets(window: &Window<'_>) -> Option<f64> {
    Some(count_pairs(window, |before, after| after < before))
}

fn count_pairs(window: &Window<'_>, counts: fn(f64, f64) -> bool) -> f64 {
    let later = window.values.get(1..).unwrap_or_default();
    window.values.iter().zip(later).filter(|(before, after)| counts(**before, **after)).count() as f64
}

pub(super) fn deriv(window: &Window<'_>) -> Option<f64> {
    regression(window, *window.times.first()?).map(|(slope, _)| slope)
}

pub(super) fn predict_linear(window: &Window<'_>) -> Option<f64> {
    let ahead = window.scalars.first()?;
    regression(window, window.at).map(|(slope, intercept)| slope * ahead + intercept)
}

/// Slope per second, and the value at `origin`, by least squares.
fn regression(window: &Window<'_>, origin: i64) -> Option<(f64, f64)> {
    if window.values.len() < 2 {
        return None;
    }
    let first = *window.values.first()?;
    if window.values.iter().all(|value| *value == first) {
        return Some(if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) });
    }
    let [mut xs, mut ys, mut xys, mut xxs] = [Sum::default(); 4];
    for (time, y) in window.times.iter().zip(window.values) {
        let x = seconds(time - origin);
        xs.add(x);
        ys.add(*y);
        xys.add(x * y);
        xxs.add(x * x);
    }
    let n = window.values.len() as f64;
    let [x, y, xy, xx] = [xs, ys, xys, xxs].map(Sum::value);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    Some((slope, y / n - slope * x / n))
}
