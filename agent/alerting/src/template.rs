//! Templates in the labels and annotations of alerts: the part of Go's templates that rule files use.
//!
//! A template is parsed when its rule is loaded, and what is not supported is refused there with its place. Expanding
//! can still fail, on a label that is no number; the alert then carries the failure in the text's place and goes on.
//! What would surprise you: `$labels` are the labels of the sample, its name included, not those of the alert.

mod format;
mod parse;

use std::borrow::Cow;
use std::ops::Range;

use telemetry::Labels;

use crate::brief::brief;
use format::{Print, Verb};

/// The longest text that a template expands to, in bytes. A label may be long, and a template may name it often.
const MAX_EXPANDED: usize = 64 * 1024;

/// A text that is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The bytes of the text that are to blame.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What would be right, where there is a good guess.
    pub hint: Option<String>,
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Action(Operand),
}

#[derive(Clone, Debug)]
enum Operand {
    /// `$value`
    Value,
    /// `$labels`
    Labels,
    /// `$labels.name`
    Label(String),
    /// `"text"`
    Text(String),
    /// `humanize` and its like
    Number(Print, Box<Operand>),
    /// `printf`
    Printf(Vec<Verb>, Vec<Operand>),
}

enum Expanded<'a> {
    Number(f64),
    Text(Cow<'a, str>),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// Actions that do not end, and everything but `$labels`, `$labels.name`, `$value`, texts and the functions listed
    /// in the message.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        parse::template(text).map(|parts| Self { source: text.to_owned(), parts })
    }

    /// The text for one sample. A failure is part of the text.
    pub fn expand(&self, labels: &Labels, value: f64) -> String {
        self.try_expand(labels, value)
            .unwrap_or_else(|failure| format!("<error expanding template: {failure}>"))
    }

    fn try_expand(&self, labels: &Labels, value: f64) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => append(&mut text, plain)?,
                Part::Action(operand) => append(&mut text, &operand.expand(labels, value)?.into_text())?,
            }
        }
        Ok(text)
    }
}

/// Templates are the same if they are written the same.
impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Operand {
    fn expand<'a>(&'a self, labels: &'a Labels, value: f64) -> Result<Expanded<'a>, String> {
        Ok(match self {
            Self::Value => Expanded::Number(value),
            Self::Labels => Expanded::Text(map(labels).into()),
            Self::Label(name) => Expanded::Text(labels.get(name).into()),
            Self::Text(text) => Expanded::Text(text.into()),
            Self::Number(function, operand) => {
                Expanded::Text(function(operand.expand(labels, value)?.into_number()?).into())
            }
            Self::Printf(verbs, operands) => {
                let mut operands = operands.iter();
                let mut text = String::new();
                for verb in verbs {
                    if let Verb::Plain(plain) = verb {
                        append(&mut text, plain)?;
                    } else if let Some(operand) = operands.next() {
                        append(&mut text, &verb.print(operand.expand(labels, value)?)?)?;
                    }
                }
                Expanded::Text(text.into())
            }
        })
    }
}

impl Expanded<'_> {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => format::general(number, None),
            Self::Text(text) => text.into_owned(),
        }
    }

    fn into_number(self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => text.parse().map_err(|_| format!("{:?} is not a number", brief(&text))),
        }
    }
}

fn append(text: &mut String, more: &str) -> Result<(), String> {
    if text.len() + more.len() > MAX_EXPANDED {
        return Err(format!("the text is longer than {MAX_EXPANDED} bytes"));
    }
    text.push_str(more);
    Ok(())
}

/// As Go prints a map: `map[device:sda1 job:node]`.
fn map(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("map[{}]", pairs.join(" "))
}

#[cfg(test)]
mod tests;
