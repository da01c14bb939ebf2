//! Whether a result is the one that a test states.

use std::collections::BTreeMap;

use telemetry::{Labels, format_duration};

use super::compare::near;
use super::eval::Eval;
use super::expectation::{Annotations, Series, Steps};
use super::mismatch::{Entry, differences};
use super::series::fault;
use super::{Difference, Failure};
use crate::value::format_number;
use crate::{Note, ParseError, RangeSeries, Severity, Value, VectorSample};

/// A failure of the query is right if one is expected.
pub(super) fn failure(eval: &Eval, error: ParseError) -> Result<(), Failure> {
    match &eval.expectation.failure {
        _ if !eval.expectation.fails => Err(error.into()),
        Some(pattern) if !pattern.holds(&error.message) => {
            let message =
                format!("the query should fail with {pattern}, and failed with {:?}", error.message);
            Err(Failure { message, ..error.into() })
        }
        _ => Ok(()),
    }
}

fn wrong(eval: &Eval, message: impl Into<String>) -> Failure {
    fault(eval.place(), message, None).into()
}

pub(super) fn notes(eval: &Eval, notes: &[Note]) -> Result<(), Failure> {
    let expectation = &eval.expectation;
    if expectation.fails {
        return Err(wrong(eval, "the query should fail and does not"));
    }
    for (severity, wanted, word) in
        [(Severity::Warning, &expectation.warnings, "warning"), (Severity::Info, &expectation.infos, "info")]
    {
        let of_it = notes.iter().filter(|note| note.severity == severity);
        let found: Vec<String> = of_it.map(|note| annotation(&eval.expression, note, word)).collect();
        annotations(wanted, &found, word).map_err(|message| wrong(eval, message))?;
    }
    Ok(())
}

/// As Prometheus prints it, with line and column.
fn annotation(expression: &str, note: &Note, word: &str) -> String {
    let before = expression.get(..note.span.start).unwrap_or(expression);
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
    format!("PromQL {word}: {} ({line}:{column})", note.message)
}

fn annotations(wanted: &Annotations, found: &[String], word: &str) -> Result<(), String> {
    if wanted.forbidden && !found.is_empty() {
        return Err(format!("no {word} is expected, and there is {}", found.join(", ")));
    }
    if wanted.wanted && found.is_empty() {
        return Err(format!("a {word} is expected, and there is none"));
    }
    let missing = wanted.patterns.iter().find(|pattern| !found.iter().any(|text| pattern.holds(text)));
    if let Some(pattern) = missing {
        return Err(format!("no {word} is {pattern}; there is {}", found.join(", ")));
    }
    let known = |text: &&String| wanted.patterns.iter().any(|pattern| pattern.holds(text));
    match found.iter().find(|text| !wanted.patterns.is_empty() && !known(text)) {
        Some(text) => Err(format!("the {word} {text:?} is not expected")),
        None => Ok(()),
    }
}

pub(super) fn value(eval: &Eval, value: &Value) -> Result<(), Failure> {
    let expectation = &eval.expectation;
    if expectation.number.is_some() != matches!(value, Value::Scalar(_)) {
        return Err(wrong(eval, format!("{}, and the result is {}", wants(eval), describe(value))));
    }
    match value {
        Value::String(text) if expectation.text.as_ref() == Some(text) => Ok(()),
        Value::String(text) => Err(wrong(eval, format!("{}, and the result is {text:?}", wants(eval)))),
        Value::Scalar(number) if expectation.number.is_some_and(|wanted| near(wanted, *number)) => Ok(()),
        Value::Scalar(number) => {
            Err(wrong(eval, format!("{}, and the result is {}", wants(eval), format_number(*number))))
        }
        Value::Vector(samples) => vector(eval, samples),
        Value::Matrix(series) => matrix(eval, series),
    }
}

fn wants(eval: &Eval) -> String {
    match (&eval.expectation.text, eval.expectation.number) {
        (Some(text), _) => format!("the text {text:?} is expected"),
        (_, Some(number)) => format!("the number {} is expected", format_number(number)),
        _ => format!("{} series are expected", eval.expectation.series.len()),
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Scalar(number) => format!("the number {}", format_number(*number)),
        Value::String(text) => format!("the text {text:?}"),
        Value::Vector(samples) => format!("a vector of {} samples", samples.len()),
        Value::Matrix(series) => format!("a matrix of {} series", series.len()),
    }
}

fn vector(eval: &Eval, samples: &[VectorSample]) -> Result<(), Failure> {
    let wanted = &eval.expectation.series;
    let is = |at: usize, sample: &VectorSample| {
        wanted.get(at).is_some_and(|series| {
            let value = series.values.iter().next().flatten();
            series.labels == sample.labels && value.is_some_and(|value| near(value, sample.value))
        })
    };
    let found_at = |sample: &VectorSample| (0..wanted.len()).find(|at| is(*at, sample));
    let places: Vec<Option<usize>> = samples.iter().map(found_at).collect();
    if samples.len() == wanted.len() && places.iter().all(Option::is_some) {
        if eval.expectation.ordered && !places.is_sorted() {
            let order: Vec<String> = samples.iter().map(|sample| sample.labels.to_string()).collect();
            return Err(wrong(eval, format!("the samples come in another order: {}", order.join(", "))));
        }
        return Ok(());
    }
    let expected: Vec<Entry> = wanted.iter().map(|series| expected_entry(series, samples)).collect();
    let found = samples.iter().map(|sample| entry(&sample.labels, Some(sample.value)));
    Err(differs(eval, differences(&expected, &found.collect::<Vec<_>>())))
}

/// Where the sample that was found is near enough, its value stands for the expected one, so that it is not told.
fn expected_entry(series: &Series, samples: &[VectorSample]) -> Entry {
    let wanted = series.values.iter().next().flatten();
    let is_near = |sample: &&VectorSample| {
        sample.labels == series.labels && wanted.is_some_and(|value| near(value, sample.value))
    };
    entry(&series.labels, samples.iter().find(is_near).map(|sample| sample.value).or(wanted))
}

fn differs(eval: &Eval, differences: Vec<Difference>) -> Failure {
    Failure { differences, ..wrong(eval, "the result is another one") }
}

fn entry(labels: &Labels, value: Option<f64>) -> Entry {
    let value = value.map_or("_".to_owned(), show);
    let title = format!("{labels} {value}");
    let mut fields = label_fields(labels);
    fields.insert("value".to_owned(), value);
    Entry { fields, title }
}

fn label_fields(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (format!("label {name}"), format!("{value:?}"))).collect()
}

fn show(value: f64) -> String {
    if ::series::is_stale(value) { "stale".to_owned() } else { format_number(value) }
}

fn matrix(eval: &Eval, series: &[RangeSeries]) -> Result<(), Failure> {
    if eval.expectation.ordered {
        return Err(wrong(eval, "an order is expected, and series of many points have none"));
    }
    if !series.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err(wrong(eval, "the series are not sorted by their labels"));
    }
    let Some(steps) = eval.steps() else {
        let message = "a range vector is expected with `expect range vector from 0 to 5m step 1m`";
        return if series.is_empty() && eval.expectation.series.is_empty() {
            Ok(())
        } else {
            Err(wrong(eval, message))
        };
    };
    let wanted = eval.expectation.series.iter().map(|wanted| {
        let points = wanted.values.numbered().map(|(number, value)| (steps.at(number), value));
        (&wanted.labels, points.collect::<Points>())
    });
    let mut expected: Vec<(&Labels, Points)> = wanted.collect();
    let found: BTreeMap<&Labels, Points> =
        series.iter().map(|series| (&series.labels, points(series))).collect();
    let mut right = expected.len() == found.len();
    for (labels, points) in &mut expected {
        let Some(own) = found.get(*labels) else {
            right = false;
            continue;
        };
        for (at, value) in points.iter_mut() {
            // What is near enough is not told.
            *value = own.get(at).filter(|own| near(*value, **own)).copied().unwrap_or(*value);
        }
        right &= points.len() == own.len()
            && points.iter().all(|(at, value)| own.get(at).is_some_and(|own| near(*value, *own)));
    }
    if right {
        return Ok(());
    }
    let expected = expected.iter().map(|(labels, points)| range_entry(labels, points, steps));
    let found = found.iter().map(|(labels, points)| range_entry(labels, points, steps));
    Err(differs(eval, differences(&expected.collect::<Vec<_>>(), &found.collect::<Vec<_>>())))
}

/// Values by time in milliseconds.
type Points = BTreeMap<i64, f64>;

fn points(series: &RangeSeries) -> Points {
    series.points.iter().map(|point| (point.at, point.value)).collect()
}

fn range_entry(labels: &Labels, points: &Points, steps: Steps) -> Entry {
    let mut fields = label_fields(labels);
    let first = points.iter().take(8).map(|(_, value)| show(*value));
    let mut title = format!("{labels} {}", first.collect::<Vec<_>>().join(" "));
    if points.len() > 8 {
        title.push_str(" …");
    }
    // So that times come in their order: all as wide as the last.
    let width = steps.to.to_string().len();
    for (at, value) in points {
        let text = format_duration(std::time::Duration::from_millis(u64::try_from(*at).unwrap_or(0)));
        fields.insert(format!("point {at:0width$} ({text})"), show(*value));
    }
    Entry { fields, title }
}
