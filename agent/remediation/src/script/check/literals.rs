//! Arguments that stand in the script: what is written out can be held against the table before anything runs.

use std::path::Path;

use documents::nearest;
use executor::{ByteCount, Signal, UnitName, is_plain_path};
use rhai::{Expr, Position};
use serde_json::Value;
use telemetry::parse_duration;

use crate::functions::{Arguments, HostFunction, Kind, Parameter};
use crate::sandbox::to_json;

/// What is wrong, where, and what would be right.
pub(super) struct Wrong {
    pub(super) at: Position,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// What is wrong with the arguments of a call, as far as they are written out.
pub(super) fn wrong_arguments(function: &HostFunction, given: &[Expr]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let needed = function.parameters.len() - function.optional;
    for (at, (parameter, given)) in function.parameters.iter().zip(given).enumerate() {
        let left_out = at >= needed && matches!(given, Expr::Unit(_));
        // The one function that takes a name alone as well.
        let by_name = function.path() == "proc::find" && is_text(given);
        if !left_out && !by_name {
            let what = format!("argument {} of `{}`", at + 1, function.path());
            wrong.extend(wrong_argument(&what, parameter, given));
        }
    }
    if wrong.is_empty() {
        wrong.extend(refused(function, given));
    }
    wrong
}

/// Where all is written out, what the agent itself would say to the call.
fn refused(function: &HostFunction, given: &[Expr]) -> Option<Wrong> {
    let values = given.iter().map(literal).collect::<Option<Vec<Value>>>()?;
    let error = (function.read)(&Arguments { function, values: &values }).err()?;
    let at = given.first()?.position();
    Some(Wrong { at, message: error, hint: None })
}

fn wrong_argument(what: &str, parameter: &Parameter, given: &Expr) -> Vec<Wrong> {
    let at = given.position();
    let must = |wanted: String| {
        vec![Wrong { at, message: format!("{what} must be {wanted}, not {}", shown(given)), hint: None }]
    };
    match (parameter.kind, given) {
        (Kind::Options(known), Expr::Map(entries, _)) => {
            let options = entries.0.iter().map(|(name, value)| (name.name.as_str(), name.pos, value));
            options.flat_map(|option| wrong_option(what, parameter, known, option)).collect()
        }
        (Kind::Texts, Expr::Array(items, _)) => {
            let wrong = items.iter().find(|item| is_written_out(item) && !is_text(item));
            wrong.map_or_else(Vec::new, |_| must("an array of strings".to_owned()))
        }
        (kind, given) if is_written_out(given) && !fits(kind, given) => {
            let mut wrong = must(wanted(kind));
            if let (Kind::OneOf(words), Some(Value::String(word)), Some(wrong)) =
                (kind, literal(given), wrong.first_mut())
            {
                wrong.hint =
                    nearest(&word, words.iter().copied()).map(|meant| format!("did you mean {meant:?}?"));
            }
            wrong
        }
        _ => Vec::new(),
    }
}

fn wrong_option(
    what: &str,
    parameter: &Parameter,
    known: &[Parameter],
    (name, at, value): (&str, Position, &Expr),
) -> Vec<Wrong> {
    let Some(option) = known.iter().find(|option| option.name == name) else {
        let names: Vec<&str> = known.iter().map(|option| option.name).collect();
        let meant = nearest(name, names.iter().copied());
        let hint = meant.map_or_else(
            || format!("known are {}", names.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        return vec![Wrong { at, message: format!("{what} knows no option `{name}`"), hint: Some(hint) }];
    };
    let infinite = parameter.name == "limits"
        && matches!(literal(value), Some(Value::String(text)) if text == "infinity" || text.parse::<ByteCount>().is_ok());
    if infinite || matches!(value, Expr::Unit(_)) {
        return Vec::new();
    }
    wrong_argument(&format!("option `{name}`"), option, value)
}

/// Whether it is a text, or a value whose type is seen.
fn is_written_out(given: &Expr) -> bool {
    matches!(given, Expr::InterpolatedString(..) | Expr::Array(..) | Expr::Map(..))
        || literal(given).is_some()
}

fn is_text(given: &Expr) -> bool {
    matches!(given, Expr::InterpolatedString(..) | Expr::StringConstant(..) | Expr::CharConstant(..))
}

fn fits(kind: Kind, given: &Expr) -> bool {
    // What it will say is not known.
    let open = matches!(given, Expr::InterpolatedString(..));
    let value = literal(given).unwrap_or_default();
    let text = value.as_str();
    let reads = |read: fn(&str) -> bool| open || text.is_some_and(read);
    match kind {
        Kind::Text => is_text(given),
        Kind::Int => value.is_i64(),
        Kind::Duration => reads(|text| parse_duration(text).is_ok()),
        Kind::Bytes => value.is_u64() || reads(|text| text.parse::<ByteCount>().is_ok()),
        Kind::Unit => reads(|text| text.parse::<UnitName>().is_ok()),
        Kind::Path => reads(|text| is_plain_path(Path::new(text))),
        Kind::Signal => reads(|text| text.parse::<Signal>().is_ok()),
        Kind::OneOf(words) => open || text.is_some_and(|text| words.contains(&text)),
        // A map of these two is one too, if nobody's.
        Kind::Process => matches!(given, Expr::Map(..)),
        Kind::Texts | Kind::Options(_) => false,
    }
}

fn wanted(kind: Kind) -> String {
    match kind {
        Kind::Text => "a string".to_owned(),
        Kind::Int => "a whole number".to_owned(),
        Kind::Duration => "a duration, as in \"5s\"".to_owned(),
        Kind::Bytes => "bytes, as in 65536 or \"64KiB\"".to_owned(),
        Kind::Unit => "the exact name of a service, as in \"nginx.service\"".to_owned(),
        Kind::Path => "an absolute path without `.` and `..`".to_owned(),
        Kind::Process => "a process that proc::find has returned".to_owned(),
        Kind::Signal => "the name of a signal, as in \"TERM\"".to_owned(),
        Kind::OneOf(words) => format!("one of {}", words.join(", ")),
        Kind::Texts => "an array of strings".to_owned(),
        Kind::Options(_) => "a map, as in #{ name: value }".to_owned(),
    }
}

/// The value of an expression that is one.
fn literal(given: &Expr) -> Option<Value> {
    if matches!(given, Expr::InterpolatedString(..)) {
        return None;
    }
    to_json(&given.get_literal_value(None)?).ok()
}

fn shown(given: &Expr) -> String {
    match (given, literal(given)) {
        (Expr::InterpolatedString(..), _) => "a string".to_owned(),
        (Expr::Array(..), _) => "an array".to_owned(),
        (Expr::Map(..), _) => "a map".to_owned(),
        (_, Some(Value::Null)) => "()".to_owned(),
        (_, value) => value.unwrap_or_default().to_string(),
    }
}
