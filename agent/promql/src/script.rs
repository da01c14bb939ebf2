//! Tests of PromQL as text: Prometheus' own language of `load`, `eval` and `clear`.
//!
//! [`run`] takes a whole file of anybody, and never fails itself: what cannot be read is a failure with its place, as is
//! what has another result than the one stated. An `eval` passes when its result is the one it states, and when the
//! same holds for the query with its time fixed by `@` and for the query as the middle of a range. What would surprise
//! you: after a `load` that cannot be read nothing is evaluated until the next `clear`, since results of half the data
//! would mislead.

mod compare;
mod eval;
mod expectation;
mod judge;
mod load;
mod mismatch;
mod series;
mod variations;

use std::ops::Range;

use telemetry::parse_duration;

use self::eval::Eval;
use self::load::Data;
use self::series::fault;
use crate::ParseError;
use crate::error::brief;

pub use compare::near;
pub use load::MAX_SAMPLES;
pub use mismatch::{Difference, Entry, Field, differences};
pub use series::{Values, is_unsupported, parse_metric, parse_series, parse_values};

/// What became of one `eval`, or of a line that cannot be read.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The bytes of the text that its first line takes.
    pub place: Range<usize>,
    /// That line.
    pub title: String,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// Why something did not pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The bytes of the text that are to blame.
    pub place: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What would be right, where there is a good guess.
    pub hint: Option<String>,
    /// In what the result differs.
    pub differences: Vec<Difference>,
    /// Whether it was not evaluated because of a failure before it.
    pub follows: bool,
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        let ParseError { span, message, hint } = error;
        Self { place: span, message, hint, differences: Vec::new(), follows: false }
    }
}

/// Runs a script and says what became of each `eval`, and of each line that cannot be read.
pub fn run(text: &str) -> Vec<Outcome> {
    let mut script = Script { lines: lines(text), at: 0, data: Data::default(), outcomes: Vec::new() };
    while let Some(line) = script.next() {
        let command = line.text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        match command.as_str() {
            "" => {}
            "clear" => script.data = Data::default(),
            word if word.starts_with("load") => script.load(&line),
            word if word.starts_with("eval") => script.eval(&line),
            word => {
                let message = format!("{:?} is not a command", brief(word));
                let hint = "a block begins with load, eval or clear and ends with an empty line";
                script.tell(&line, Err(fault(line.place(), message, Some(hint)).into()));
            }
        }
    }
    script.outcomes
}

/// A line without the blanks around it; of a comment, nothing.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    /// Where it begins.
    start: usize,
    /// From 1.
    number: usize,
}

impl Line<'_> {
    fn place(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// The bytes that a part of the line takes.
    fn place_of(&self, part: &str) -> Range<usize> {
        match (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize) {
            Some(at) if at + part.len() <= self.text.len() => self.start + at..self.start + at + part.len(),
            _ => self.place(),
        }
    }
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let blanks = line.len() - line.trim_start().len();
        let trimmed = line.trim();
        let text = if trimmed.starts_with('#') { "" } else { trimmed };
        lines.push(Line { text, start: start + blanks, number });
        start += line.len();
    }
    lines
}

struct Script<'a> {
    lines: Vec<Line<'a>>,
    /// The next line.
    at: usize,
    data: Data,
    outcomes: Vec<Outcome>,
}

impl<'a> Script<'a> {
    fn next(&mut self) -> Option<Line<'a>> {
        let line = self.lines.get(self.at).copied();
        self.at += 1;
        line
    }

    /// The next line of the block, until an empty one ends it.
    fn next_in_block(&mut self) -> Option<Line<'a>> {
        let line = self.lines.get(self.at).copied().filter(|line| !line.text.is_empty())?;
        self.at += 1;
        Some(line)
    }

    fn tell(&mut self, line: &Line<'_>, result: Result<(), Failure>) {
        let (place, title) = (line.place(), line.text.to_owned());
        self.outcomes.push(Outcome { place, title, failure: result.err() });
    }

    /// Whatever is wrong with the load is told once, and everything that needs it fails.
    fn load(&mut self, first: &Line<'a>) {
        let step = load_step(first);
        let mut wrong = step.as_ref().err().cloned();
        while let Some(line) = self.next_in_block() {
            if let (Ok(step), None) = (&step, &wrong) {
                wrong = self.data.load(&line, *step).err().map(|error| hinted(error, &line));
            }
        }
        if let Some(error) = wrong {
            self.data.cannot_be_read(first.number);
            self.tell(first, Err(error.into()));
        }
    }

    fn eval(&mut self, first: &Line<'a>) {
        let result = match self.read_eval(first) {
            Ok(eval) => match self.data.store() {
                Ok(store) => eval.run(store),
                Err(line) => {
                    let message = format!("not evaluated, since the load in line {line} cannot be read");
                    Err(Failure { follows: true, ..fault(first.place(), message, None).into() })
                }
            },
            Err(error) => Err(error.into()),
        };
        self.tell(first, result);
    }

    /// The lines of the block that follow, whether or not they can be read.
    fn read_eval(&mut self, first: &Line<'a>) -> Result<Eval, ParseError> {
        let mut eval = Eval::read(first);
        while let Some(line) = self.next_in_block() {
            let more = match &mut eval {
                Ok(eval) => eval.expect(&line),
                Err(_) => continue,
            };
            match more {
                Ok(expectation::More::Yes) => {}
                Ok(expectation::More::No) => break,
                Err(error) => eval = Err(hinted(error, &line)),
            }
        }
        eval
    }
}

/// A line that looks like the next command is told to be parted from the block.
fn hinted(error: ParseError, line: &Line<'_>) -> ParseError {
    let first = line.text.split([' ', '_']).next().unwrap_or_default();
    if !matches!(first, "clear" | "eval" | "load") {
        return error;
    }
    ParseError { hint: Some("put an empty line before it: only that ends a block".to_owned()), ..error }
}

/// The step of `load 5m`.
fn load_step(line: &Line<'_>) -> Result<std::time::Duration, ParseError> {
    let hint = "write load 5m, with one series in each line after it";
    let words: Vec<&str> = line.text.split_whitespace().collect();
    match words.as_slice() {
        ["load", step] => {
            parse_duration(step).map_err(|error| fault(line.place_of(step), error.to_string(), None))
        }
        [load @ "load_with_nhcb", _] => {
            Err(fault(line.place_of(load), "native histograms are not supported", Some("write load")))
        }
        _ => Err(fault(line.place(), "this is not a load", Some(hint))),
    }
}

#[cfg(test)]
mod tests;
