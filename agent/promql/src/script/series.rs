//! Series as tests write them: `name{label="value"} 1+2x3 _ stale`.
//!
//! The values are kept as they are written, as runs, so that a short text never becomes a large memory before somebody
//! has looked at its [`Values::count`].

use std::ops::Range;

use series::STALE;
use telemetry::{Labels, LabelsBuilder, METRIC_NAME};

use crate::ParseError;
use crate::error::brief;
use crate::lexer::{Spanned, Token, tokens};

const NOT_SUPPORTED: &str = "not supported";

const HOW_VALUES_ARE_WRITTEN: &str = "write a number, `_` for no sample, `stale`, or runs: 1x3 is four times 1, 1+2x3 is 1 3 5 7, _x3 is three times \
     no sample";

/// Values at regular steps; a missing one is no sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(Vec<Run>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Run {
    Missing(u64),
    Numbers { first: f64, step: f64, count: u64 },
}

impl Run {
    fn count(self) -> u64 {
        match self {
            Self::Missing(count) | Self::Numbers { count, .. } => count,
        }
    }

    fn values(self) -> impl Iterator<Item = Option<f64>> {
        let (mut value, step, count) = match self {
            Self::Missing(count) => (None, 0.0, count),
            Self::Numbers { first, step, count } => (Some(first), step, count),
        };
        // Added one by one, as Prometheus does it: a product rounds otherwise. A stale marker must keep its bits.
        (0..count).map(move |_| {
            let now = value;
            value = value.map(|value| if step == 0.0 { value } else { value + step });
            now
        })
    }
}

impl Values {
    /// How many steps they take.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum, run| sum.saturating_add(run.count()))
    }

    /// How many of them are there.
    pub fn samples(&self) -> u64 {
        let numbers = self.0.iter().filter(|run| matches!(run, Run::Numbers { .. }));
        numbers.fold(0, |sum, run| sum.saturating_add(run.count()))
    }

    /// The value of every step in turn.
    pub fn iter(&self) -> impl Iterator<Item = Option<f64>> {
        self.0.iter().flat_map(|run| run.values())
    }

    /// The values that are there, each with the number of its step. Missing ones cost no time.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, f64)> {
        let mut at = 0_u64;
        self.0.iter().flat_map(move |run| {
            let first = at;
            at = at.saturating_add(run.count());
            let there = matches!(run, Run::Numbers { .. }).then(|| run.values()).into_iter().flatten();
            there.zip(0_u64..).filter_map(move |(value, number)| Some((first.saturating_add(number), value?)))
        })
    }
}

/// Reads a line of labels and values.
///
/// # Errors
///
/// The place and the reason; native histograms are refused as not supported.
pub fn parse_series(line: &str) -> Result<(Labels, Values), ParseError> {
    let end = metric_end(line);
    let (metric, values) = line.split_at(end);
    if metric.ends_with("@st") {
        return Err(fault(end - 3..end, "start times (`@st`) are not supported", None));
    }
    let labels = parse_metric(metric)?;
    let values = parse_values(values).map_err(|error| shifted(error, end))?;
    Ok((labels, values))
}

/// Whether a series is refused for what is right in Prometheus and not evaluated here.
pub fn is_unsupported(error: &ParseError) -> bool {
    error.message.ends_with(NOT_SUPPORTED)
}

/// The error with its place moved on by `by` bytes.
pub(super) fn shifted(error: ParseError, by: usize) -> ParseError {
    ParseError { span: error.span.start + by..error.span.end + by, ..error }
}

pub(super) fn fault(span: Range<usize>, message: impl Into<String>, hint: Option<&str>) -> ParseError {
    ParseError { span, message: message.into(), hint: hint.map(str::to_owned) }
}

/// Where the labels end and the values begin.
fn metric_end(line: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    let mut braces = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => braces = true,
            (None, '}') => {
                let rest = line.get(at + 1..).unwrap_or_default();
                return at + 1 + if rest.starts_with("@st") { 3 } else { 0 };
            }
            (None, c) if c.is_whitespace() && !braces => {
                let rest = line.get(at..).unwrap_or_default().trim_start();
                if at > 0 && (!rest.starts_with('{') || rest.starts_with("{{")) {
                    return at;
                }
            }
            _ => {}
        }
    }
    line.len()
}

/// Reads the labels of a series: `name{label="value"}`, `{"any name", label="value"}`, or nothing for no label.
///
/// # Errors
///
/// The place and the reason.
pub fn parse_metric(text: &str) -> Result<Labels, ParseError> {
    let words = tokens(text)?;
    let mut words = words.iter();
    let mut labels = LabelsBuilder::default();
    let mut word = next(&mut words, text);
    if let Token::Name(name) = &word.token {
        labels.set(METRIC_NAME, name);
        word = next(&mut words, text);
    }
    if word.token == Token::Sign("{") {
        pairs(&mut words, text, &mut labels)?;
        word = next(&mut words, text);
    }
    match word.token {
        Token::End => Ok(labels.build()),
        _ => Err(unexpected(&word, text)),
    }
}

fn next(words: &mut std::slice::Iter<'_, Spanned>, text: &str) -> Spanned {
    words.next().cloned().unwrap_or(Spanned { token: Token::End, span: text.len()..text.len() })
}

fn pairs(
    words: &mut std::slice::Iter<'_, Spanned>,
    text: &str,
    labels: &mut LabelsBuilder,
) -> Result<(), ParseError> {
    loop {
        let word = next(words, text);
        let (name, quoted) = match &word.token {
            Token::Sign("}") => return Ok(()),
            Token::Name(name) => (name.clone(), false),
            Token::Text(name) => (name.clone(), true),
            _ => return Err(unexpected(&word, text)),
        };
        let mut after = next(words, text);
        if after.token == Token::Sign("=") {
            let value = next(words, text);
            let Token::Text(value) = &value.token else { return Err(unexpected(&value, text)) };
            labels.set(&name, value);
            after = next(words, text);
        } else if quoted {
            labels.set(METRIC_NAME, &name);
        } else {
            return Err(unexpected(&after, text));
        }
        match after.token {
            Token::Sign(",") => {}
            Token::Sign("}") => return Ok(()),
            _ => return Err(unexpected(&after, text)),
        }
    }
}

fn unexpected(word: &Spanned, text: &str) -> ParseError {
    let message = match text.get(word.span.clone()).filter(|found| !found.is_empty()) {
        Some(found) => format!("unexpected {:?} in the labels of a series", brief(found)),
        None => "the labels of the series end too early".to_owned(),
    };
    fault(word.span.clone(), message, Some("write a series as in up{job=\"node\"}"))
}

/// Reads values: `1 2+3x4 _ stale`.
///
/// # Errors
///
/// The place and the reason; native histograms are refused as not supported.
pub fn parse_values(text: &str) -> Result<Values, ParseError> {
    if let Some(at) = text.find("{{") {
        let end = text.get(at..).and_then(|rest| rest.find("}}")).map_or(text.len(), |end| at + end + 2);
        return Err(fault(at..end, "native histograms are not supported", None));
    }
    let mut runs = Vec::new();
    let mut at = 0;
    for part in text.split_inclusive(char::is_whitespace) {
        let item = part.trim();
        if !item.is_empty() {
            let place = at..at + item.len();
            let run = run(item).ok_or_else(|| {
                let message = format!("{:?} is not a value", brief(item));
                fault(place, message, Some(HOW_VALUES_ARE_WRITTEN))
            })?;
            runs.push(run);
        }
        at += part.len();
    }
    Ok(Values(runs))
}

fn run(item: &str) -> Option<Run> {
    let one = |first| Run::Numbers { first, step: 0.0, count: 1 };
    match item {
        "_" => return Some(Run::Missing(1)),
        "stale" => return Some(one(STALE)),
        _ => {}
    }
    let Some((body, times)) = item.split_once('x') else { return number(item).map(one) };
    let plain = times.bytes().all(|b| b.is_ascii_digit());
    let times = times.parse::<u64>().ok().filter(|_| plain)?;
    if body == "_" {
        return Some(Run::Missing(times));
    }
    let count = times.checked_add(1)?;
    if let Some(first) = finite(body) {
        return Some(Run::Numbers { first, step: 0.0, count });
    }
    let split = |(at, c): (usize, char)| {
        let before = body.get(..at)?;
        let sign = matches!(c, '+' | '-') && at > 0 && !before.ends_with(['e', 'E']);
        sign.then_some((before, body.get(at..)?))
    };
    let (first, step) = body.char_indices().find_map(split)?;
    Some(Run::Numbers { first: finite(first)?, step: finite(step)?, count })
}

/// A number that can begin a run.
fn finite(text: &str) -> Option<f64> {
    number(text).filter(|number| number.is_finite())
}

/// A number in decimal digits, or `Inf` or `NaN` in any case, with a sign or without.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    match digits.to_ascii_lowercase().as_str() {
        "inf" => Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        "nan" => Some(f64::NAN),
        _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

/// A line that is nothing but a number, hexadecimal after `0x`.
pub(super) fn only_number(line: &str) -> Option<f64> {
    let (negative, digits) = match line.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, line.strip_prefix('+').unwrap_or(line)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    match hexadecimal.filter(|digits| !digits.starts_with(['+', '-'])) {
        Some(digits) => i64::from_str_radix(digits, 16)
            .ok()
            .map(|number| if negative { -(number as f64) } else { number as f64 }),
        None => number(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        for (text, expected) in [
            ("1 2.5 _ -1e3", "Some(1.0) Some(2.5) None Some(-1000.0)"),
            ("0x2", "Some(0.0) Some(0.0) Some(0.0)"),
            ("1+2x2", "Some(1.0) Some(3.0) Some(5.0)"),
            ("-1-1e1x1 _x2", "Some(-1.0) Some(-11.0) None None"),
            ("Inf -inf", "Some(inf) Some(-inf)"),
        ] {
            let values = parse_values(text).unwrap();
            let shown: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
            assert_eq!(shown.join(" "), expected, "{text}");
            assert_eq!(values.count(), shown.len() as u64);
        }
    }

    #[test]
    fn what_is_no_value_is_named_with_its_place() {
        for (line, place, message) in [
            ("up 1 0x1x2", 5..10, "\"0x1x2\" is not a value"),
            ("up{a=\"b\"} NaNx3", 10..15, "\"NaNx3\" is not a value"),
            ("up 1x-1", 3..7, "\"1x-1\" is not a value"),
            ("up {{sum:3 count:2}}x2", 3..20, "native histograms are not supported"),
            ("up{a=1} 1", 5..6, "unexpected \"1\" in the labels of a series"),
            ("up{a=\"b\" 1", 9..10, "unexpected \"1\" in the labels of a series"),
            ("up{a=\"b\"}@st 5s", 9..12, "start times (`@st`) are not supported"),
            ("up@st 5s", 2..5, "start times (`@st`) are not supported"),
        ] {
            let error = parse_series(line).unwrap_err();
            assert_eq!((error.span, error.message.as_str()), (place, message), "{line}");
        }
    }

    #[test]
    fn labels_are_read_quoted_and_plain() {
        for (text, shown) in [
            ("", "{}"),
            ("up", "up"),
            ("up{}", "up"),
            ("up {job='node',}", r#"up{job="node"}"#),
            (r#"{"system.cpu.time", "cpu.mode"=`idle`}"#, r#"{"system.cpu.time", "cpu.mode"="idle"}"#),
            ("job:up:sum{a=\"}\"}", r#"job:up:sum{a="}"}"#),
        ] {
            assert_eq!(parse_metric(text).unwrap().to_string(), shown, "{text}");
            if text.is_empty() {
                continue;
            }
            let (labels, values) = parse_series(&format!("{text} 7")).unwrap();
            assert_eq!((labels.to_string().as_str(), values.count()), (shown, 1), "{text}");
        }
    }

    #[test]
    fn a_run_of_any_length_takes_no_memory() {
        let values = parse_values("1x1000000000 _x18446744073709551615").unwrap();
        assert_eq!(values.samples(), 1_000_000_001);
        assert_eq!(values.count(), u64::MAX);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in "[-+0-9x_{}\"'`=,.a-zöN@ ]{0,30}") {
            if let Err(error) = parse_series(&line) {
                prop_assert!(error.span.end <= line.len(), "{error:?}");
            }
        }
    }
}
