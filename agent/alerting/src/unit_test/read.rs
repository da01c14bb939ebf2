//! From what a file says to tests that can run.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use documents::{Document, Problem, Review, Spanned, yaml};
use promql::ParseError;
use promql::script::{MAX_SAMPLES, Values, is_unsupported, parse_metric, parse_values};
use telemetry::{Labels, Timestamp};

use super::text::{AlertTestText, AlertText, ExprTestText, FileText, SampleText, SeriesText, TestText};
use super::{AlertTest, AlertTexts, DEFAULT_INTERVAL, ExprTest, MAX_ROUNDS, Test, UnitTests};
use crate::brief::brief;
use crate::{ALERT_NAME, Externals};

pub(super) fn file(document: &Document) -> Result<UnitTests, Vec<Problem>> {
    let text: Option<FileText> = yaml::parse(document).map_err(|problem| vec![problem])?;
    let Some(text) = text else {
        return Err(vec![Problem::about(document.path(), "the file is empty")]);
    };
    let mut review = Review::new(document);
    let interval = above_zero(&mut review, text.evaluation_interval.as_ref(), DEFAULT_INTERVAL);
    let mut order = Vec::new();
    let mut known = HashSet::new();
    for group in &text.group_eval_order {
        if !known.insert(group.value.as_str()) {
            review.error(group, format!("the group {:?} is there twice", brief(&group.value)));
        }
        order.push(group.value.clone());
    }
    let tests = text.tests.iter().map(|text| test(&mut review, text, interval)).collect();
    if review.has_errors() {
        return Err(review.into_problems());
    }
    Ok(UnitTests {
        document: document.clone(),
        rule_files: text.rule_files,
        interval,
        order,
        fuzzy: text.fuzzy_compare,
        group_intervals: text.group_intervals,
        tests,
    })
}

/// As in promtool: a duration of zero is none.
fn above_zero(review: &mut Review, value: Option<&Spanned<String>>, fallback: Duration) -> Duration {
    let duration = review.duration_or(value, fallback);
    if duration.is_zero() { fallback } else { duration }
}

fn test(review: &mut Review, text: &Spanned<TestText>, tick: Duration) -> Test {
    let start = yaml::range(text).start;
    let text = &text.value;
    let place = text.name.as_ref().map_or(start..start + 1, yaml::range);
    let interval = above_zero(review, text.interval.as_ref(), tick);
    let mut refused = Vec::new();
    let series = series(review, &text.input_series, &mut refused);
    let samples = series.values().fold(0, |sum: u64, values| sum.saturating_add(values.samples()));
    if samples > MAX_SAMPLES {
        review.error_at(place.clone(), format!("the test loads more than {MAX_SAMPLES} samples"));
    }
    let mut expressions = Vec::new();
    for text in &text.promql_expr_test {
        expressions.extend(expression(review, text));
    }
    let read = Test {
        name: text.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        start: text.start_timestamp.as_ref().and_then(|value| review.read(value, time)).unwrap_or_default(),
        externals: Externals {
            labels: text.external_labels.iter().collect(),
            url: text.external_url.clone().unwrap_or_default(),
        },
        alerts: text.alert_rule_test.iter().filter_map(|text| alert(review, text)).collect(),
        place,
        series,
        interval,
        refused,
        expressions,
    };
    if read.length().as_millis() / tick.as_millis().max(1) > u128::from(MAX_ROUNDS) {
        let message = format!("the rules would be evaluated more than {MAX_ROUNDS} times");
        review.error_at(read.place.clone(), message).hint =
            Some("shorten `eval_time`, or make `evaluation_interval` longer".to_owned());
    }
    read
}

/// Of two entries of a series the later counts.
fn series(review: &mut Review, texts: &[SeriesText], refused: &mut Vec<Problem>) -> BTreeMap<Labels, Values> {
    let mut series = BTreeMap::new();
    for text in texts {
        let labels = parse_metric(&text.series.value).map_err(|error| (&text.series, error));
        let values = parse_values(&text.values.value).map_err(|error| (&text.values, error));
        match (labels, values) {
            (Ok(labels), Ok(values)) => {
                series.insert(labels, values);
            }
            (Err((place, error)), _) | (_, Err((place, error))) => {
                if is_unsupported(&error) {
                    refused.push(problem(review.document(), place, error));
                } else {
                    review.error_within(place, error.span, error.message).hint = error.hint;
                }
            }
        }
    }
    series
}

/// A problem in a part of a text value.
pub(super) fn problem(document: &Document, value: &Spanned<String>, error: ParseError) -> Problem {
    let place = yaml::range_within(document, value, error.span);
    let problem = Problem::at(document, place, error.message);
    match error.hint {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    }
}

fn alert(review: &mut Review, text: &Spanned<AlertTestText>) -> Option<AlertTest> {
    let start = yaml::range(text).start;
    let text = &text.value;
    let at = review.duration_or(text.eval_time.as_ref(), Duration::ZERO);
    let Some(name) = text.alertname.as_ref().filter(|name| !name.value.is_empty()) else {
        review.error_at(start..start + 1, "the test of an alert needs `alertname`");
        return None;
    };
    let all = |texts: &[AlertText]| texts.iter().map(|text| alert_texts(text, &name.value)).collect();
    Some(AlertTest {
        at,
        name: name.value.clone(),
        place: yaml::range(name),
        firing: all(&text.exp_alerts),
        pending: text.exp_pending.as_deref().map(all),
    })
}

fn alert_texts(text: &AlertText, name: &str) -> AlertTexts {
    let mut labels = text.exp_labels.clone();
    labels.insert(ALERT_NAME.to_owned(), name.to_owned());
    AlertTexts { labels, annotations: text.exp_annotations.clone() }
}

fn expression(review: &mut Review, text: &Spanned<ExprTestText>) -> Option<ExprTest> {
    let start = yaml::range(text).start;
    let text = &text.value;
    let at = review.duration_or(text.eval_time.as_ref(), Duration::ZERO);
    let Some(expr) = &text.expr else {
        review.error_at(start..start + 1, "the test of an expression needs `expr`");
        return None;
    };
    let samples = text.exp_samples.iter().filter_map(|text| sample(review, text)).collect();
    let histogram = text.exp_samples.iter().find_map(|sample| sample.histogram.as_ref());
    let refused = histogram.map(|histogram| {
        Problem::at(review.document(), yaml::range(histogram), "native histograms are not supported")
    });
    Some(ExprTest { at, expr: expr.clone(), samples, refused })
}

fn sample(review: &mut Review, text: &SampleText) -> Option<(Labels, f64)> {
    let labels = match &text.labels {
        None => Labels::empty(),
        Some(labels) => match parse_metric(&labels.value) {
            Ok(labels) => labels,
            Err(error) => {
                review.error_within(labels, error.span, error.message).hint = error.hint;
                return None;
            }
        },
    };
    let value = text.value.as_ref().map_or(Some(0.0), |value| review.read(value, number))?;
    Some((labels, value))
}

/// A number as YAML or PromQL spells it.
fn number(text: &str) -> Result<f64, String> {
    let digits = text.trim_start_matches(['+', '-']);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match digits.trim_start_matches('.').to_ascii_lowercase().as_str() {
        "inf" => return Ok(sign * f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    let digits = digits.replace('_', "");
    let whole = digits.strip_prefix("0x").map(|digits| i64::from_str_radix(digits, 16).ok());
    let value = match whole {
        Some(whole) => whole.map(|whole| whole as f64),
        None if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => digits.parse().ok(),
        None => None,
    };
    value.map(|value| sign * value).ok_or_else(|| format!("{:?} is not a number", brief(text)))
}

/// Seconds since the epoch, or RFC 3339.
fn time(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "{:?} is not a time; write seconds since 1970 or a time as in 2026-01-02T15:04:05Z",
            brief(text)
        )
    };
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = seconds * 1000.0;
        let fits = millis.is_finite() && millis.abs() < 9e15;
        return if fits { Ok(Timestamp::from_millis(millis.round() as i64)) } else { Err(wrong()) };
    }
    let moment: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(Timestamp::from_millis(moment.as_millisecond()))
}

/// The bytes of a value on its first line, so that what is shown of a long text stays short.
pub(super) fn first_line(document: &Document, value: &Spanned<String>) -> Range<usize> {
    let place = yaml::range(value);
    let text = document.text().get(place.clone()).unwrap_or_default();
    place.start..place.start + text.find('\n').unwrap_or(text.len())
}
