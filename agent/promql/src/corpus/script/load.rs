//! Series as `load` and expected results write them: `name{label="value"} 1+2x3 _ stale`.

use std::collections::BTreeMap;

use crate::ast::ExprKind;
use series::STALE;
use telemetry::Labels;

use super::millis;

/// The points of each series by time in milliseconds.
pub(crate) type Data = BTreeMap<Labels, BTreeMap<i64, f64>>;

pub(crate) fn load(line: &str, block: &[&str], data: &mut Data) {
    let step = millis(line.split_whitespace().nth(1).unwrap());
    for line in block {
        let (labels, values) = series(line);
        let points = data.entry(labels).or_default();
        for (number, value) in values.into_iter().enumerate() {
            if let Some(value) = value {
                points.insert(number as i64 * step, value);
            }
        }
    }
    data.retain(|_, points| !points.is_empty());
}

/// A line of labels and values, a missing point being `None`.
pub(crate) fn series(line: &str) -> (Labels, Vec<Option<f64>>) {
    let (metric, values) = split(line);
    (labels(metric), values.split_whitespace().flat_map(items).collect())
}

fn split(line: &str) -> (&str, &str) {
    let mut quote = None;
    let mut escaped = false;
    let mut braces = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => braces = true,
            (None, '}') => return line.split_at(at + 1),
            (None, c) if c.is_whitespace() && !braces && !line[at..].trim_start().starts_with('{') => {
                return line.split_at(at);
            }
            _ => {}
        }
    }
    (line, "")
}

fn labels(metric: &str) -> Labels {
    let metric: String = metric.trim().to_owned();
    if let Some(name) = metric.strip_suffix("{}") {
        return if name.is_empty() { Labels::empty() } else { [("__name__", name)].into_iter().collect() };
    }
    match crate::parse(&metric).unwrap_or_else(|error| panic!("{metric}: {error}")).kind {
        ExprKind::Selector(selector) => selector.matchers.iter().map(|m| (m.name(), m.value())).collect(),
        _ => panic!("{metric} is not a series"),
    }
}

/// One item: a number, `_`, `stale`, or a run of them.
fn items(item: &str) -> Vec<Option<f64>> {
    if item == "stale" {
        return vec![Some(STALE)];
    }
    let (body, times) = match item.rsplit_once('x') {
        Some((body, times)) => (body, Some(times.parse::<usize>().unwrap())),
        None => (item, None),
    };
    if body == "_" {
        return vec![None; times.unwrap_or(1)];
    }
    if let Some(value) = number(body) {
        return vec![Some(value); times.map_or(1, |times| times + 1)];
    }
    let at = body
        .char_indices()
        .skip(1)
        .find(|(at, c)| matches!(c, '+' | '-') && !body[..*at].ends_with(['e', 'E']))
        .map_or_else(|| panic!("{item} is not a value"), |(at, _)| at);
    let (start, step) = (number(&body[..at]).unwrap(), number(&body[at..]).unwrap());
    (0..=times.unwrap_or(0))
        .scan(start, |value, _| Some(Some(std::mem::replace(value, *value + step))))
        .collect()
}

pub(crate) fn number(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
        "inf" => Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        "nan" => Some(f64::NAN),
        _ => text.parse().ok(),
    }
}
