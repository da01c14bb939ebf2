//! What Prometheus' API answers, as far as it is shown.

use std::collections::BTreeMap;

use serde::Deserialize;
use telemetry::Labels;

/// An answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    pub(super) data: Option<Data>,
    pub(super) error: Option<String>,
    /// From which byte of the expression to which one the error is about.
    pub(super) span: Option<[usize; 2]>,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

/// The value of an expression.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(super) enum Data {
    Scalar(Point),
    String(Point),
    Vector(Vec<Sample>),
    Matrix(Vec<Series>),
}

/// Seconds, and a number as a text.
#[derive(Debug, Deserialize)]
pub(super) struct Point(pub(super) f64, pub(super) String);

impl Point {
    pub(super) fn value(&self) -> f64 {
        self.1.parse().unwrap_or(f64::NAN)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Sample {
    metric: BTreeMap<String, String>,
    pub(super) value: Point,
}

impl Sample {
    pub(super) fn labels(&self) -> Labels {
        self.metric.iter().collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Series {
    metric: BTreeMap<String, String>,
    pub(super) values: Vec<Point>,
}

impl Series {
    pub(super) fn labels(&self) -> Labels {
        self.metric.iter().collect()
    }
}

/// A number for people: four digits, with a prefix where there are many more.
pub(super) fn figure(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let size = value.abs();
    if size < 100_000.0 && value.fract() == 0.0 {
        return value.to_string();
    }
    if !(1e-6..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let (divisor, prefix) = match size {
        size if size >= 1e12 => (1e12, "T"),
        size if size >= 1e9 => (1e9, "G"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let scaled = value / divisor;
    let whole = scaled.abs().log10().floor().max(-6.0) as i32;
    let decimals = usize::try_from(3 - whole).unwrap_or(0);
    let text = format!("{scaled:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_not_wrong() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (-3.0, "-3"),
            (99_999.0, "99999"),
            (123_456.0, "123.5k"),
            (0.123_456, "0.1235"),
            (0.000_012_34, "0.00001234"),
            (1.0 / 3.0, "0.3333"),
            (2.5, "2.5"),
            (1_234.56, "1235"),
            (12_345.6, "12.35k"),
            (16_777_216_000.0, "16.78G"),
            (1e18, "1.000e18"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(figure(value), expected);
        }
    }

    #[test]
    fn answers_of_every_type_are_read() {
        for (result, is) in [
            (r#""scalar","result":[1,"2"]"#, "Scalar(Point(1.0, \"2\"))"),
            (r#""string","result":[1,"x"]"#, "String(Point(1.0, \"x\"))"),
            (r#""vector","result":[]"#, "Vector([])"),
            (r#""matrix","result":[]"#, "Matrix([])"),
        ] {
            let text = format!(r#"{{"status":"success","data":{{"resultType":{result}}}}}"#);
            let answer: Answer = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{:?}", answer.data.unwrap()), is);
        }
    }
}
