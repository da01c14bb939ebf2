//! When two results are the same.

use std::collections::BTreeMap;

use ::series::is_stale;
use telemetry::Labels;

use crate::Value;

/// Equal, or so near that the difference is one of rounding: as Prometheus' own tests compare.
pub fn near(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-6;
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    #[expect(clippy::float_cmp, reason = "what is the same is near, infinities too")]
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn flat(value: &Value) -> BTreeMap<(Labels, i64), f64> {
    match value {
        Value::Scalar(value) => [((Labels::empty(), 0), *value)].into(),
        Value::Vector(samples) => samples.iter().map(|s| ((s.labels.clone(), 0), s.value)).collect(),
        Value::Matrix(series) => series
            .iter()
            .flat_map(|s| s.points.iter().map(|point| ((s.labels.clone(), point.at), point.value)))
            .collect(),
        Value::String(_) => BTreeMap::new(),
    }
}

/// Whether two results agree, whatever their order.
pub(super) fn same(a: &Value, b: &Value) -> Result<(), String> {
    let (one, other) = (flat(a), flat(b));
    let equal = one.len() == other.len()
        && one
            .iter()
            .zip(&other)
            .all(|((key, value), (other_key, other_value))| key == other_key && near(*value, *other_value));
    if equal { Ok(()) } else { Err(format!("{a:?} became {b:?}")) }
}

/// Whether an instant's result is what a range query has at that moment.
pub(super) fn as_middle(value: &Value, middle: &BTreeMap<Labels, f64>) -> Result<(), String> {
    let instant = flat(value);
    let equal = instant.len() == middle.len()
        && instant.iter().zip(middle).all(|(((labels, _), value), (other_labels, other))| {
            labels == other_labels && near(*value, *other)
        });
    if equal { Ok(()) } else { Err(format!("{value:?} became {middle:?}")) }
}
