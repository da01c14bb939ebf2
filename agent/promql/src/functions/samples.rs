//! Functions of single samples whose arithmetic needs a word.

#![expect(clippy::unnecessary_wraps, reason = "rows of one table share a signature")]

use crate::ast::{go_max, go_min};

pub(super) fn min_of(numbers: &[f64]) -> f64 {
    numbers.iter().copied().reduce(go_min).unwrap_or(f64::NAN)
}

pub(super) fn max_of(numbers: &[f64]) -> f64 {
    numbers.iter().copied().reduce(go_max).unwrap_or(f64::NAN)
}

/// Nothing at all where the bounds are the wrong way round.
pub(super) fn clamp(value: f64, scalars: &[f64]) -> Option<f64> {
    let [least, most] = scalars else { return None };
    if most < least { None } else { Some(go_max(*least, go_min(*most, value))) }
}

pub(super) fn clamp_min(value: f64, scalars: &[f64]) -> Option<f64> {
    scalars.first().map(|least| go_max(*least, value))
}

pub(super) fn clamp_max(value: f64, scalars: &[f64]) -> Option<f64> {
    scalars.first().map(|most| go_min(*most, value))
}

/// Halves are rounded up, also below zero. The inverse keeps 0.1 and its like exact.
pub(super) fn round(value: f64, scalars: &[f64]) -> Option<f64> {
    let inverse = 1.0 / scalars.first().copied().unwrap_or(1.0);
    Some((value * inverse + 0.5).floor() / inverse)
}

pub(super) fn sign(value: f64, _: &[f64]) -> Option<f64> {
    Some(if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    })
}
