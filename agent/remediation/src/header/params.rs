//! Parameters of scripts: their types, their bounds, and the values that runbooks hand over.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use documents::nearest;
use executor::{ByteCount, UnitName, is_plain_path};
use serde_json::Value;
use telemetry::parse_duration;

use super::Params;

/// The longest text that a runbook can hand over; it may come from an alert's label.
const MAX_TEXT_BYTES: usize = 1024;

/// One parameter of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// What its values are.
    pub kind: ParamKind,
    /// What it is if the runbook does not say; without one the runbook must.
    pub default: Option<Value>,
    /// The least that it may be.
    pub min: Option<Value>,
    /// The most.
    pub max: Option<Value>,
}

/// What the values of a parameter are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A text without control characters.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// A duration, as in `5m`; the script gets it as text.
    Duration,
    /// An amount of bytes, as in `64MiB`; the script gets it as a number.
    Bytes,
    /// The exact name of a service.
    Unit,
    /// An absolute path.
    Path,
    /// One of these texts.
    OneOf(Vec<String>),
}

impl ParamKind {
    /// How the types are written, except for `enum`.
    pub(super) const WORDS: [(&'static str, Self); 8] = [
        ("string", Self::Text),
        ("int", Self::Int),
        ("float", Self::Float),
        ("bool", Self::Bool),
        ("duration", Self::Duration),
        ("bytes", Self::Bytes),
        ("unit", Self::Unit),
        ("path", Self::Path),
    ];

    /// The value as the script gets it. A label of an alert is always a text, so a text that says a number or a truth
    /// is one where that is wanted.
    pub(super) fn read(&self, value: &Value) -> Result<Value, String> {
        let read = match (self, value) {
            (Self::Int, Value::String(text)) => text.parse::<i64>().ok().map(Value::from),
            (Self::Int, value) => value.as_i64().map(Value::from),
            (Self::Float, Value::String(text)) => text.parse::<f64>().ok().and_then(finite),
            (Self::Float, value) => value.as_f64().and_then(finite),
            (Self::Bool, Value::String(text)) => text.parse::<bool>().ok().map(Value::from),
            (Self::Bool, value) => value.as_bool().map(Value::from),
            (Self::Bytes, Value::String(text)) => text.parse::<ByteCount>().ok().and_then(bytes),
            (Self::Bytes, value) => value.as_u64().and_then(|count| bytes(ByteCount(count))),
            (_, Value::String(text)) => self.holds(text).then(|| value.clone()),
            _ => None,
        };
        read.ok_or_else(|| format!("{value} is not {self}"))
    }

    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Duration => parse_duration(text).is_ok(),
            Self::Unit => text.parse::<UnitName>().is_ok(),
            Self::Path => is_plain_path(Path::new(text)),
            Self::OneOf(words) => words.iter().any(|word| word == text),
            _ => text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control),
        }
    }

    /// What bounds are compared by; None where nothing is more or less.
    pub(super) fn measure(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Int | Self::Float | Self::Bytes => value.as_f64(),
            Self::Duration => {
                value.as_str().and_then(|text| parse_duration(text).ok()).map(|d| d.as_secs_f64())
            }
            _ => None,
        }
    }

    /// A value of this type, to try a template with.
    pub(crate) fn example(&self) -> Value {
        match self {
            Self::Int | Self::Bytes => Value::from(1),
            Self::Float => Value::from(1.0),
            Self::Bool => Value::from(true),
            Self::Duration => Value::from("1m"),
            Self::Unit => Value::from("x.service"),
            Self::Path => Value::from("/x"),
            Self::OneOf(words) => Value::from(words.first().cloned().unwrap_or_default()),
            Self::Text => Value::from("x"),
        }
    }
}

fn finite(number: f64) -> Option<Value> {
    number.is_finite().then(|| Value::from(number))
}

fn bytes(count: ByteCount) -> Option<Value> {
    i64::try_from(count.0).ok().map(Value::from)
}

impl fmt::Display for ParamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text of one line",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Bool => "true or false",
            Self::Duration => "a duration, as in 90s or 5m",
            Self::Bytes => "an amount of bytes, as in 64MiB or 65536",
            Self::Unit => "the exact name of a service, as in nginx.service",
            Self::Path => "an absolute path without `.` and `..`",
            Self::OneOf(words) => return write!(f, "one of {}", words.join(", ")),
        })
    }
}

impl Param {
    /// The value as the script gets it, if it is of the type and within the bounds.
    ///
    /// # Errors
    ///
    /// What it should be.
    pub fn read(&self, value: &Value) -> Result<Value, String> {
        let read = self.kind.read(value)?;
        let measure = |value: &Option<Value>| value.as_ref().and_then(|value| self.kind.measure(value));
        let Some(measured) = self.kind.measure(&read) else { return Ok(read) };
        let shown = |bound: &Option<Value>| bound.as_ref().map(Value::to_string).unwrap_or_default();
        if measure(&self.min).is_some_and(|min| measured < min) {
            return Err(format!("{value} is less than {}", shown(&self.min)));
        }
        if measure(&self.max).is_some_and(|max| measured > max) {
            return Err(format!("{value} is more than {}", shown(&self.max)));
        }
        Ok(read)
    }
}

/// What is wrong with a parameter that a runbook hands over, or should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// Its name.
    pub name: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for ParamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// See [`super::Header::bind`].
pub(super) fn bind(params: &BTreeMap<String, Param>, handed: &Params) -> Result<Params, Vec<ParamProblem>> {
    let mut problems = Vec::new();
    for name in handed.keys().filter(|name| !params.contains_key(*name)) {
        let meant = nearest(name, params.keys().map(String::as_str));
        let hint = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        let message = format!("the script has no parameter `{name}`{hint}");
        problems.push(ParamProblem { name: name.clone(), message });
    }
    let mut bound = Params::new();
    for (name, param) in params {
        let problem = |message| ParamProblem { name: name.clone(), message };
        match (handed.get(name).map(|value| param.read(value)), &param.default) {
            (Some(Ok(value)), _) => drop(bound.insert(name.clone(), value)),
            (Some(Err(error)), _) => problems.push(problem(format!("parameter `{name}`: {error}"))),
            (None, Some(default)) => drop(bound.insert(name.clone(), default.clone())),
            (None, None) => {
                problems.push(problem(format!("parameter `{name}` is missing: it is {}", param.kind)));
            }
        }
    }
    if problems.is_empty() { Ok(bound) } else { Err(problems) }
}
