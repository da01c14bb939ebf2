//! The functions that every Go template has: comparing, indexing, printing and escaping.
//!
//! Go compares what is of one kind only: a text with a number is a failure, and so is `1` with `1.0`.

use std::cmp::Ordering;
use std::rc::Rc;

use super::Scene;
use super::functions::{Result, Type, query_escape, text};
use super::print::{self, Out};
use super::value::Value;

pub(super) const COMPARED: &[Type] = &[Type::Any, Type::Any];

const BAD_COMPARISON: &str = "invalid type for comparison";

fn shown(value: &Value) -> String {
    let mut out = Out::default();
    match out.value(value) {
        Ok(()) => out.into_text(),
        Err(_) => "…".to_owned(),
    }
}

fn at(values: &[Value], at: usize) -> &Value {
    values.get(at).unwrap_or(&Value::Nil)
}

/// No function is a value, so there is nothing to call.
pub(super) fn call(_: &mut Scene<'_>, values: &[Value]) -> Result {
    match at(values, 0) {
        Value::Nil => Err("call of nil".to_owned()),
        value => Err(format!("non-function {} of type {}", shown(value), value.type_name())),
    }
}

fn is_basic(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_))
}

fn equal(one: &Value, other: &Value) -> std::result::Result<bool, String> {
    Ok(match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Float(one), Value::Float(other)) => one.partial_cmp(other) == Some(Ordering::Equal),
        (Value::Text(one), Value::Text(other)) => one == other,
        (Value::Nil, Value::Nil) => true,
        (Value::Nil, _) | (_, Value::Nil) => false,
        (Value::Int(one), Value::Int(other))
        | (Value::Time(one), Value::Time(other))
        | (Value::Duration(one), Value::Duration(other)) => one == other,
        (Value::Sample(one), Value::Sample(other)) => Rc::ptr_eq(one, other),
        (one, other) if is_basic(one) || is_basic(other) => {
            let (one, other) = (one.type_name(), other.type_name());
            return Err(format!("incompatible types for comparison: {one} and {other}"));
        }
        (_, other) => return Err(format!("non-comparable type {}: {}", shown(other), other.type_name())),
    })
}

pub(super) fn eq(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let Some((first, rest)) = values.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Err("missing argument for comparison".to_owned());
    };
    for value in rest {
        if equal(first, value)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne(_: &mut Scene<'_>, values: &[Value]) -> Result {
    equal(at(values, 0), at(values, 1)).map(|equal| Value::Bool(!equal))
}

/// How two values of one kind are ordered; `None` if one is not a number.
fn ordered(values: &[Value]) -> std::result::Result<Option<Ordering>, String> {
    let (one, other) = (at(values, 0), at(values, 1));
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => Ok(Some(one.cmp(other))),
        (Value::Float(one), Value::Float(other)) => Ok(one.partial_cmp(other)),
        (Value::Text(one), Value::Text(other)) => Ok(Some(one.cmp(other))),
        (Value::Bool(_), Value::Bool(_)) => Err(BAD_COMPARISON.to_owned()),
        _ if !is_basic(one) || !is_basic(other) => Err(BAD_COMPARISON.to_owned()),
        _ => {
            let (one, other) = (one.type_name(), other.type_name());
            Err(format!("incompatible types for comparison: {one} and {other}"))
        }
    }
}

pub(super) fn lt(_: &mut Scene<'_>, values: &[Value]) -> Result {
    Ok(Value::Bool(ordered(values)? == Some(Ordering::Less)))
}

pub(super) fn le(_: &mut Scene<'_>, values: &[Value]) -> Result {
    Ok(Value::Bool(matches!(ordered(values)?, Some(Ordering::Less | Ordering::Equal))))
}

/// As in Go the opposite of `le`, also for what is not a number.
pub(super) fn gt(scene: &mut Scene<'_>, values: &[Value]) -> Result {
    le(scene, values).map(|le| Value::Bool(!le.is_true()))
}

pub(super) fn ge(scene: &mut Scene<'_>, values: &[Value]) -> Result {
    lt(scene, values).map(|lt| Value::Bool(!lt.is_true()))
}

pub(super) fn len(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let length = match at(values, 0) {
        Value::Text(text) => text.len(),
        Value::Labels(labels) => labels.len(),
        Value::Arguments(arguments) => arguments.values.len(),
        Value::Samples(samples) => samples.len(),
        Value::Nil => return Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        other => return Err(format!("len of type {}", other.type_name().trim_start_matches('*'))),
    };
    Ok(Value::Int(length as i64))
}

fn position(index: &Value, length: usize) -> std::result::Result<usize, String> {
    match index {
        Value::Int(number) => usize::try_from(*number)
            .ok()
            .filter(|number| *number <= length)
            .ok_or_else(|| format!("index out of range: {number}")),
        Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

pub(super) fn index(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let Some((item, indexes)) = values.split_first() else { return Ok(Value::Nil) };
    if matches!(item, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    indexes.iter().try_fold(item.clone(), |item, index| indexed(&item, index))
}

fn indexed(item: &Value, index: &Value) -> Result {
    let key = || match index {
        Value::Text(key) => Ok(key),
        Value::Nil => Err("value is nil; should be of type string".to_owned()),
        other => Err(format!("value has type {}; should be string", other.type_name())),
    };
    let in_range = |found: Option<Value>, length: usize| {
        position(index, length)?;
        let kind = if matches!(item, Value::Text(_)) { "string" } else { "slice" };
        found.ok_or_else(|| format!("reflect: {kind} index out of range"))
    };
    let number = if let Value::Int(number) = index { usize::try_from(*number).ok() } else { None };
    match item {
        Value::Labels(labels) => Ok(Value::text(labels.get(key()?))),
        Value::Arguments(arguments) => Ok(arguments.values.get(&**key()?).cloned().unwrap_or(Value::Nil)),
        Value::Text(text) => {
            let byte = number.and_then(|number| text.as_bytes().get(number).copied());
            in_range(byte.map(|byte| Value::Int(i64::from(byte))), text.len())
        }
        Value::Samples(samples) => {
            let sample = number.and_then(|number| samples.get(number).cloned());
            in_range(sample.map(Value::Sample), samples.len())
        }
        Value::Nil => Err("index of nil pointer".to_owned()),
        other => Err(format!("can't index item of type {}", other.type_name().trim_start_matches('*'))),
    }
}

pub(super) fn slice(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let Some((item, indexes)) = values.split_first() else { return Ok(Value::Nil) };
    let length = match item {
        Value::Text(text) => text.len(),
        Value::Samples(samples) => samples.len(),
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        other => {
            return Err(format!("can't slice item of type {}", other.type_name().trim_start_matches('*')));
        }
    };
    match (item, indexes.len()) {
        (_, 4..) => return Err(format!("too many slice indexes: {}", indexes.len())),
        (Value::Text(_), 3) => return Err("cannot 3-index slice a string".to_owned()),
        _ => {}
    }
    let bound = |number: usize, default: usize| {
        indexes.get(number).map_or(Ok(default), |index| position(index, length))
    };
    let (start, end) = (bound(0, 0)?, bound(1, length)?);
    let limit = bound(2, length)?;
    if start > end || end > limit {
        let (low, high) = if start > end { (start, end) } else { (end, limit) };
        return Err(format!("invalid slice index: {low} > {high}"));
    }
    Ok(match item {
        Value::Text(text) => {
            Value::text(&String::from_utf8_lossy(text.as_bytes().get(start..end).unwrap_or(&[])))
        }
        Value::Samples(samples) => Value::Samples(samples.get(start..end).unwrap_or(&[]).into()),
        _ => Value::Nil,
    })
}

pub(super) fn print(_: &mut Scene<'_>, values: &[Value]) -> Result {
    print::print(values).map(|text| Value::text(&text))
}

pub(super) fn println(_: &mut Scene<'_>, values: &[Value]) -> Result {
    print::println(values).map(|text| Value::text(&text))
}

pub(super) fn printf(_: &mut Scene<'_>, values: &[Value]) -> Result {
    print::printf(text(values), values.get(1..).unwrap_or(&[])).map(|text| Value::text(&text))
}

/// What the escaping functions escape: their arguments as an action prints them, one after the other.
fn joined(values: &[Value]) -> std::result::Result<String, String> {
    let printable = |value: &Value| match value {
        Value::Nil => Value::text("<no value>"),
        value => value.clone(),
    };
    print::print(&values.iter().map(printable).collect::<Vec<_>>())
}

pub(super) fn html(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let escape = |c| match c {
        '\0' => "\u{fffd}".to_owned(),
        '"' => "&#34;".to_owned(),
        '\'' => "&#39;".to_owned(),
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        c => c.to_string(),
    };
    Ok(Value::text(&joined(values)?.chars().map(escape).collect::<String>()))
}

pub(super) fn js(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let escape = |c| match c {
        '\\' | '\'' | '"' => format!("\\{c}"),
        '<' | '>' | '&' | '=' => format!("\\u{:04X}", u32::from(c)),
        c if u32::from(c) < 0x20 => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    Ok(Value::text(&joined(values)?.chars().map(escape).collect::<String>()))
}

pub(super) fn urlquery(_: &mut Scene<'_>, values: &[Value]) -> Result {
    Ok(Value::text(&query_escape(&joined(values)?)))
}
