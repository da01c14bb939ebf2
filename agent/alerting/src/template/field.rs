//! What can be asked of a value by name: fields of the data, keys of maps, methods of times and durations.

use super::functions::Type;
use super::time::{self, Parts};
use super::value::Value;

/// Something that a value does.
#[derive(Clone, Copy)]
pub(super) struct Method {
    pub(super) parameters: &'static [Type],
    pub(super) body: fn(&Value, &[Value]) -> Value,
}

const fn plain(body: fn(&Value, &[Value]) -> Value) -> Method {
    Method { parameters: &[], body }
}

const TIME: [(&str, Method); 15] = [
    (
        "Format",
        Method {
            parameters: &[Type::Text],
            body: |time, values| Value::text(&time::format(nanos(time), super::functions::text(values))),
        },
    ),
    (
        "Add",
        Method {
            parameters: &[Type::Duration],
            body: |time, values| Value::Time(nanos(time).saturating_add(values.first().map_or(0, nanos))),
        },
    ),
    ("String", plain(|time, _| Value::text(&time::shown(nanos(time))))),
    ("UTC", plain(|time, _| time.clone())),
    ("Unix", plain(|time, _| Value::Int(nanos(time).div_euclid(1_000_000_000)))),
    ("UnixMilli", plain(|time, _| Value::Int(nanos(time).div_euclid(1_000_000)))),
    ("UnixNano", plain(|time, _| Value::Int(nanos(time)))),
    ("Year", plain(|time, _| Value::Int(parts(time).year))),
    ("Day", plain(|time, _| Value::Int(parts(time).day))),
    ("YearDay", plain(|time, _| Value::Int(parts(time).year_day))),
    ("Hour", plain(|time, _| Value::Int(parts(time).hour))),
    ("Minute", plain(|time, _| Value::Int(parts(time).minute))),
    ("Second", plain(|time, _| Value::Int(parts(time).second))),
    ("Month", plain(|time, _| Value::text(&time::format(nanos(time), "January")))),
    ("Weekday", plain(|time, _| Value::text(&time::format(nanos(time), "Monday")))),
];

const DURATION: [(&str, Method); 5] = [
    ("String", plain(|duration, _| Value::text(&time::duration(nanos(duration))))),
    ("Hours", plain(|duration, _| Value::Float(nanos(duration) as f64 / 3.6e12))),
    ("Minutes", plain(|duration, _| Value::Float(nanos(duration) as f64 / 6e10))),
    ("Seconds", plain(|duration, _| Value::Float(nanos(duration) as f64 / 1e9))),
    ("Milliseconds", plain(|duration, _| Value::Int(nanos(duration) / 1_000_000))),
];

fn nanos(value: &Value) -> i64 {
    match value {
        Value::Time(nanos) | Value::Duration(nanos) => *nanos,
        _ => 0,
    }
}

fn parts(value: &Value) -> Parts {
    time::parts(nanos(value))
}

/// What the value does under this name, if it does anything.
pub(super) fn method(value: &Value, name: &str) -> Option<Method> {
    let methods: &[(&str, Method)] = match value {
        Value::Time(_) => &TIME,
        Value::Duration(_) => &DURATION,
        _ => return None,
    };
    methods.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
}

/// A field or a key. A key that is not there is the empty text or, among arguments, nothing.
///
/// # Errors
///
/// The value has no such field, or there are arguments for it.
pub(super) fn get(value: &Value, name: &str, has_arguments: bool) -> Result<Value, String> {
    let found = match (value, name) {
        (Value::Nil, _) => return Ok(Value::Nil),
        (Value::Labels(_) | Value::Arguments(_), _) if has_arguments => {
            return Err(format!("{name} is not a method but has arguments"));
        }
        (Value::Labels(labels), _) => return Ok(Value::text(labels.get(name))),
        (Value::Arguments(arguments), _) => {
            return Ok(arguments.values.get(name).cloned().unwrap_or(Value::Nil));
        }
        (Value::Sample(sample), "Labels") => Value::Labels(sample.labels.clone()),
        (Value::Sample(sample), "Value") => Value::Float(sample.value),
        (Value::Alert(alert), "Labels") => Value::Labels(alert.labels.clone()),
        (Value::Alert(alert), "ExternalLabels") => Value::Labels(alert.externals.labels.clone()),
        (Value::Alert(alert), "ExternalURL") => Value::text(&alert.externals.url),
        (Value::Alert(alert), "Value") => Value::Float(alert.value),
        _ => return Err(format!("can't evaluate field {name} in type {}", value.type_name())),
    };
    if has_arguments {
        return Err(format!("{name} has arguments but cannot be invoked as function"));
    }
    Ok(found)
}
