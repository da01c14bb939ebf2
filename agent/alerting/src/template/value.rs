//! What a template computes with: the few of Go's types that Prometheus' data and functions have.
//!
//! `None` of Go's `interface{}` is [`Value::Nil`]. Types matter, since Go compares no text with a number, and are named
//! in failures as Go names them.

use std::collections::BTreeMap;
use std::rc::Rc;

use telemetry::Labels;

use crate::Externals;

/// How deep maps made by `args` may hold one another, since they are printed and dropped by recursion.
const MAX_NESTING: usize = 16;

#[derive(Clone, Debug)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    /// `map[string]string`
    Labels(Labels),
    /// `map[string]interface {}`
    Arguments(Rc<Arguments>),
    /// `template.queryResult`
    Samples(Rc<[Rc<Sample>]>),
    /// `*template.sample`
    Sample(Rc<Sample>),
    /// The data of the whole template.
    Alert(Rc<AlertData>),
    /// `*time.Time`, in nanoseconds.
    Time(i64),
    /// `time.Duration`, in nanoseconds.
    Duration(i64),
}

#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) value: f64,
}

#[derive(Debug)]
pub(super) struct AlertData {
    pub(super) labels: Labels,
    pub(super) externals: Externals,
    pub(super) value: f64,
}

#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) values: BTreeMap<String, Value>,
    nesting: usize,
}

impl Arguments {
    /// The map that `args` gives.
    pub(super) fn new(values: &[Value]) -> Result<Self, String> {
        let inner = |value: &Value| match value {
            Value::Arguments(inner) => inner.nesting,
            _ => 0,
        };
        let nesting = 1 + values.iter().map(inner).max().unwrap_or(0);
        if nesting > MAX_NESTING {
            return Err(format!("maps hold one another more than {MAX_NESTING} deep"));
        }
        let name = |(number, value): (usize, &Value)| (format!("arg{number}"), value.clone());
        Ok(Self { values: values.iter().enumerate().map(name).collect(), nesting })
    }
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// Its type, as Go names it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Labels(_) => "map[string]string",
            Self::Arguments(_) => "map[string]interface {}",
            Self::Samples(_) => "template.queryResult",
            Self::Sample(_) => "*template.sample",
            Self::Alert(_) => {
                "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
            }
            Self::Time(_) => "*time.Time",
            Self::Duration(_) => "time.Duration",
        }
    }

    /// What `if` makes of it: everything but zero and empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::Arguments(arguments) => !arguments.values.is_empty(),
            Self::Samples(samples) => !samples.is_empty(),
            Self::Sample(_) | Self::Alert(_) | Self::Time(_) | Self::Duration(_) => true,
        }
    }
}

/// A number as it is written; Go tells its type from the spelling, unless an argument's type says more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// As Go's parser reads it. `None` for complex numbers and what is no number.
    pub(super) fn parse(source: &str) -> Option<Self> {
        let (negative, digits) = match source.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, source.strip_prefix('+').unwrap_or(source)),
        };
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let lower = digits.to_ascii_lowercase();
        let based = |prefix: &str, base: u32| {
            let digits = lower.strip_prefix(prefix)?.replace('_', "");
            i128::from_str_radix(&digits, base).ok().filter(|_| !digits.starts_with(['+', '-']))
        };
        let magnitude = based("0x", 16).or_else(|| based("0b", 2)).or_else(|| based("0o", 8)).or_else(|| {
            let octal =
                lower.len() > 1 && lower.starts_with('0') && lower.chars().all(|c| c.is_ascii_digit());
            let plain = lower.chars().all(|c| c.is_ascii_digit() || c == '_') && !lower.ends_with('_');
            let decimal = || lower.replace('_', "").parse().ok().filter(|_| plain && !lower.contains("__"));
            if octal { i128::from_str_radix(&lower, 8).ok() } else { decimal() }
        });
        if let Some(magnitude) = magnitude {
            let signed = if negative { -magnitude } else { magnitude };
            return i64::try_from(signed).ok().map(Self::Int);
        }
        let decimal = lower.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | '+' | '-'));
        let float: f64 = lower.parse().ok().filter(|number: &f64| decimal && number.is_finite())?;
        let float = if negative { -float } else { float };
        Some(Self::Float(float)).filter(|_| lower.contains(['.', 'e']))
    }

    pub(super) fn value(self) -> Value {
        match self {
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
        }
    }
}
