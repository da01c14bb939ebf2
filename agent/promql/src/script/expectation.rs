//! What an `eval` expects, as its lines say it.

use std::ops::Range;

use regex::Regex;
use telemetry::{Labels, parse_duration};

use super::Line;
use super::series::{Values, fault, only_number, parse_series, shifted};
use crate::ParseError;
use crate::error::brief;
use crate::lexer::{Token, tokens};

const EXPECTATIONS: &str = "write expect fail, warn, no_warn, info, no_info or ordered, the first five with `msg: TEXT` or `regex: PATTERN` \
     behind them, expect string \"text\", or expect range vector from 0 to 5m step 1m";

/// A text, or what it must look like.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Exact(String),
    Regex(Regex),
}

impl Pattern {
    pub(super) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => text == wanted,
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    fn regex(text: &str, place: Range<usize>) -> Result<Self, ParseError> {
        Regex::new(text)
            .map(Self::Regex)
            .map_err(|_| fault(place, format!("{:?} is not a regular expression", brief(text)), None))
    }
}

/// As the test names it.
impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "{text:?}"),
            Self::Regex(regex) => write!(f, "what matches {:?}", regex.as_str()),
        }
    }
}

/// What is expected of the annotations of one severity.
#[derive(Clone, Debug, Default)]
pub(super) struct Annotations {
    pub(super) wanted: bool,
    pub(super) forbidden: bool,
    pub(super) patterns: Vec<Pattern>,
}

/// From, to and step, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) step: i64,
}

impl Steps {
    /// How many points a series can have.
    pub(super) fn count(self) -> u64 {
        let length = self.to.saturating_sub(self.from);
        length.checked_div(self.step).and_then(|steps| u64::try_from(steps).ok()).unwrap_or(0) + 1
    }

    pub(super) fn at(self, number: u64) -> i64 {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.from.saturating_add(number.saturating_mul(self.step))
    }
}

/// What the result must be.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    pub(super) values: Values,
    /// The bytes of its line.
    pub(super) place: Range<usize>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Expectation {
    pub(super) fails: bool,
    said_to_fail: bool,
    pub(super) failure: Option<Pattern>,
    pub(super) ordered: bool,
    pub(super) warnings: Annotations,
    pub(super) infos: Annotations,
    pub(super) text: Option<String>,
    pub(super) number: Option<f64>,
    /// Of a range vector that an instant query gives.
    pub(super) window: Option<Steps>,
    pub(super) series: Vec<Series>,
}

/// Whether more lines of the block may follow.
#[derive(PartialEq, Eq)]
pub(super) enum More {
    Yes,
    No,
}

impl Expectation {
    /// For `eval`, `eval_fail`, `eval_warn`, `eval_ordered` or `eval_info`.
    pub(super) fn new(suffix: &str) -> Self {
        let mut this = Self { fails: suffix == "fail", ordered: suffix == "ordered", ..Self::default() };
        this.warnings.wanted = suffix == "warn";
        this.infos.wanted = suffix == "info";
        this
    }

    /// Takes in one line of the block. `instant` says whether one value is expected for each series.
    pub(super) fn read(&mut self, line: &Line<'_>, instant: bool) -> Result<More, ParseError> {
        let old = |word: &str| line.text.strip_prefix(word).filter(|_| self.fails).map(str::trim);
        if let Some(text) = old("expected_fail_message") {
            self.failure = Some(Pattern::Exact(text.to_owned()));
            return Ok(More::No);
        }
        if let Some(text) = old("expected_fail_regexp") {
            self.failure = Some(Pattern::regex(text, line.place())?);
            return Ok(More::No);
        }
        if line.text.split(' ').next() == Some("expect") {
            return self.expect(line).map(|()| More::Yes);
        }
        if let Some(number) = only_number(line.text) {
            self.number = Some(number);
            return Ok(More::No);
        }
        let (labels, values) = parse_series(line.text).map_err(|error| shifted(error, line.start))?;
        let series = Series { labels, values, place: line.place() };
        self.check_count(&series, instant)?;
        self.series.retain(|other| other.labels != series.labels);
        self.series.push(series);
        Ok(More::Yes)
    }

    fn check_count(&self, series: &Series, instant: bool) -> Result<(), ParseError> {
        let found = series.values.count();
        if !instant || self.window.is_some() || found == 1 {
            return Ok(());
        }
        let message = format!("an instant has one value for each series, here are {found}");
        let hint = "for a range vector put `expect range vector from 0 to 5m step 1m` before the series";
        Err(fault(series.place.clone(), message, Some(hint)))
    }

    fn expect(&mut self, line: &Line<'_>) -> Result<(), ParseError> {
        let unknown =
            || fault(line.place(), "this is not something that can be expected", Some(EXPECTATIONS));
        let rest = line.text.strip_prefix("expect").unwrap_or_default().trim();
        if let Some(text) = rest.strip_prefix("string") {
            self.text = Some(quoted(text.trim(), line)?);
            return Ok(());
        }
        if let Some(window) = rest.strip_prefix("range vector") {
            let words: Vec<&str> = window.split_whitespace().collect();
            let ["from", from, "to", to, "step", step] = words.as_slice() else { return Err(unknown()) };
            self.window = Some(steps(from, to, step, line)?);
            return Ok(());
        }
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let pattern = match rest.trim().split_once(':') {
            Some(("msg", text)) => Some(Pattern::Exact(text.trim().to_owned())),
            Some(("regex", text)) => Some(Pattern::regex(text.trim(), line.place())?),
            None if rest.trim().is_empty() => None,
            _ => return Err(unknown()),
        };
        self.note(word, pattern, line).unwrap_or_else(|| Err(unknown()))
    }

    fn note(
        &mut self,
        word: &str,
        pattern: Option<Pattern>,
        line: &Line<'_>,
    ) -> Option<Result<(), ParseError>> {
        let annotations = match word {
            "fail" if self.said_to_fail => {
                return Some(Err(fault(line.place(), "that it fails is said twice", None)));
            }
            "fail" => {
                self.fails = true;
                self.said_to_fail = true;
                self.failure = pattern;
                return Some(Ok(()));
            }
            "ordered" => {
                self.ordered = true;
                return Some(Ok(()));
            }
            "warn" | "no_warn" => &mut self.warnings,
            "info" | "no_info" => &mut self.infos,
            _ => return None,
        };
        if word.starts_with("no_") {
            annotations.forbidden = true;
        } else {
            annotations.wanted = true;
            annotations.patterns.extend(pattern);
        }
        let both = annotations.wanted && annotations.forbidden;
        let message = "it cannot be expected and forbidden at once";
        Some(if both { Err(fault(line.place(), message, None)) } else { Ok(()) })
    }
}

/// The text in quotes, as in Go.
fn quoted(text: &str, line: &Line<'_>) -> Result<String, ParseError> {
    let wrong =
        || fault(line.place(), "the expected text needs quotes", Some("write expect string \"text\""));
    let words = tokens(text).map_err(|_| wrong())?;
    match words.as_slice() {
        [word, end] if end.token == Token::End => match &word.token {
            Token::Text(text) => Ok(text.clone()),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

/// Milliseconds of a duration.
pub(super) fn millis(text: &str, line: &Line<'_>) -> Result<i64, ParseError> {
    let duration =
        parse_duration(text).map_err(|error| fault(line.place_of(text), error.to_string(), None))?;
    Ok(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn steps(from: &str, to: &str, step: &str, line: &Line<'_>) -> Result<Steps, ParseError> {
    let steps = Steps { from: millis(from, line)?, to: millis(to, line)?, step: millis(step, line)? };
    if steps.to < steps.from {
        return Err(fault(line.place_of(to), "the end is before the start", None));
    }
    if steps.step == 0 {
        return Err(fault(line.place_of(step), "the step must be at least a millisecond", None));
    }
    Ok(steps)
}
