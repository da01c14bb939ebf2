//! Prints values as Go's package fmt does: `print`, `println` and `printf` with its verbs, flags, widths and indexes.
//!
//! What a verb cannot print is said in its place, as in Go: `%!d(string=sda)`. Texts are bounded on their way.

mod format;
mod scalar;

use telemetry::Labels;

use super::value::Value;
use super::{MAX_EXPANDED, too_long};
pub(super) use format::printf;
pub(super) use scalar::quote;
use scalar::{float, integer, pad, text};

/// A text that may not grow beyond its limit.
#[derive(Debug, Default)]
pub(super) struct Out(String);

impl Out {
    pub(super) fn push(&mut self, more: &str) -> Result<(), String> {
        if self.0.len() + more.len() > MAX_EXPANDED {
            return Err(too_long());
        }
        self.0.push_str(more);
        Ok(())
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// As an action prints its result: what a pointer points to, and no value as such.
    pub(super) fn value(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::Nil => self.push("<no value>"),
            _ => printed(self, value, &PLAIN, false),
        }
    }
}

/// Go's `Sprint`: spaces between what is no text.
pub(super) fn print(values: &[Value]) -> Result<String, String> {
    let mut out = Out::default();
    let mut after_text = true;
    for value in values {
        let text = matches!(value, Value::Text(_));
        if !text && !after_text {
            out.push(" ")?;
        }
        printed(&mut out, value, &PLAIN, true)?;
        after_text = text;
    }
    Ok(out.into_text())
}

/// Go's `Sprintln`.
pub(super) fn println(values: &[Value]) -> Result<String, String> {
    let mut out = Out::default();
    for (number, value) in values.iter().enumerate() {
        out.push(if number > 0 { " " } else { "" })?;
        printed(&mut out, value, &PLAIN, true)?;
    }
    out.push("\n")?;
    Ok(out.into_text())
}

/// A verb with what stands before it.
#[derive(Clone, Copy, Debug)]
struct Verb<'a> {
    letter: char,
    /// Some of `#0+- `.
    flags: &'a str,
    /// Whether what is missing goes after the text.
    left: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `%v`
const PLAIN: Verb<'static> = Verb { letter: 'v', flags: "", left: false, width: None, precision: None };

impl Verb<'_> {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// `+` and ` ` ask for a sign, but not with `%v`, where `+` asks for the names of fields.
    fn sign(&self, negative: bool) -> &'static str {
        match negative {
            true => "-",
            false if self.has('+') && self.letter != 'v' => "+",
            false if self.has(' ') => " ",
            false => "",
        }
    }
}

/// `float64=3`
fn typed(out: &mut Out, value: &Value) -> Result<(), String> {
    if matches!(value, Value::Nil) {
        return out.push("<nil>");
    }
    out.push(value.type_name())?;
    out.push("=")?;
    printed(out, value, &PLAIN, true)
}

/// Prints one value. `top` is false within a map or a list.
fn printed(out: &mut Out, value: &Value, verb: &Verb<'_>, top: bool) -> Result<(), String> {
    if verb.letter == 'T' {
        let name = if matches!(value, Value::Nil) { "<nil>" } else { value.type_name() };
        return text(out, name, &Verb { letter: 's', ..*verb });
    }
    match value {
        Value::Nil if verb.letter == 'v' => pad(out, "<nil>", verb, verb.has('0')),
        Value::Nil => out.push(&format!("%!{}(<nil>)", verb.letter)),
        Value::Bool(value) if matches!(verb.letter, 'v' | 't') => {
            pad(out, &value.to_string(), verb, verb.has('0'))
        }
        Value::Int(number) => integer(out, *number, verb, value),
        Value::Float(number) => float(out, *number, verb, value),
        Value::Text(found) if "vsqxX".contains(verb.letter) => text(out, found, verb),
        Value::Labels(labels) => labels_map(out, labels, verb),
        Value::Arguments(arguments) => {
            out.push("map[")?;
            for (number, (name, value)) in arguments.values.iter().enumerate() {
                out.push(if number > 0 { " " } else { "" })?;
                text(out, name, verb)?;
                out.push(":")?;
                printed(out, value, verb, false)?;
            }
            out.push("]")
        }
        Value::Samples(samples) => {
            // Go prints where in memory the samples are.
            let all: Vec<&str> = samples.iter().map(|_| "0xc000000000").collect();
            out.push(&format!("[{}]", all.join(" ")))
        }
        Value::Sample(sample) => {
            out.push(if top { "&{" } else { "{" })?;
            labels_map(out, &sample.labels, verb)?;
            out.push(" ")?;
            printed(out, &Value::Float(sample.value), verb, false)?;
            out.push("}")
        }
        Value::Alert(alert) => {
            out.push("{")?;
            labels_map(out, &alert.labels, verb)?;
            out.push(" ")?;
            labels_map(out, &alert.externals.labels, verb)?;
            out.push(" ")?;
            text(out, &alert.externals.url, verb)?;
            out.push(" ")?;
            printed(out, &Value::Float(alert.value), verb, false)?;
            out.push("}")
        }
        Value::Time(nanos) if "vs".contains(verb.letter) => text(out, &super::time::shown(*nanos), verb),
        Value::Duration(nanos) if "vs".contains(verb.letter) => {
            text(out, &super::time::duration(*nanos), verb)
        }
        Value::Duration(nanos) => integer(out, *nanos, verb, value),
        Value::Bool(_) | Value::Text(_) | Value::Time(_) => bad_verb(out, verb, value),
    }
}

fn bad_verb(out: &mut Out, verb: &Verb<'_>, value: &Value) -> Result<(), String> {
    out.push(&format!("%!{}(", verb.letter))?;
    typed(out, value)?;
    out.push(")")
}

fn labels_map(out: &mut Out, labels: &Labels, verb: &Verb<'_>) -> Result<(), String> {
    out.push("map[")?;
    for (number, (name, value)) in labels.iter().enumerate() {
        out.push(if number > 0 { " " } else { "" })?;
        printed(out, &Value::text(name), verb, false)?;
        out.push(":")?;
        printed(out, &Value::text(value), verb, false)?;
    }
    out.push("]")
}
