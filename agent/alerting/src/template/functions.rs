//! The functions of templates: a row for each, Go's own in `builtins.rs` and Prometheus' here.

use std::rc::Rc;

use regex::{Regex, RegexBuilder};

use super::builtins::{self, COMPARED};
use super::value::{Arguments, Sample, Value};
use super::{Scene, number, time};

/// What a compiled pattern may weigh. A pattern of a line is far below.
const MAX_REGEX: usize = 1 << 20;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Text,
    Samples,
    Sample,
    Duration,
}

impl Type {
    /// As Go names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Samples => "template.queryResult",
            Self::Sample => "*template.sample",
            Self::Duration => "time.Duration",
        }
    }

    /// Whether `nil` is one.
    pub(super) fn takes_nil(self) -> bool {
        matches!(self, Self::Any | Self::Samples | Self::Sample)
    }
}

pub(super) type Result = std::result::Result<Value, String>;

/// What a function does. Its arguments have the types of the parameters.
pub(super) type Body = fn(&mut Scene<'_>, &[Value]) -> Result;

/// A function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [Type],
    /// What follows the parameters, any number of times.
    pub(super) variadic: Option<Type>,
    /// How many steps it is worth.
    pub(super) cost: usize,
    pub(super) body: Body,
}

const fn row(name: &'static str, parameters: &'static [Type], body: Body) -> Function {
    Function { name, parameters, variadic: None, cost: 1, body }
}

const fn variadic(name: &'static str, parameters: &'static [Type], body: Body) -> Function {
    Function { name, parameters, variadic: Some(Any), cost: 1, body }
}

/// What a pattern and a query are worth beside other functions: about how much longer they take.
const PATTERN: usize = 500;
const QUERY: usize = 5_000;

use Type::{Any, Samples, Text};

const FUNCTIONS: &[Function] = &[
    // Go's. `and` and `or` do not evaluate all arguments, so the evaluator knows them.
    variadic("and", &[Any], |_, values| Ok(values.last().cloned().unwrap_or(Value::Nil))),
    variadic("or", &[Any], |_, values| Ok(values.last().cloned().unwrap_or(Value::Nil))),
    row("not", &[Any], |_, values| Ok(Value::Bool(!values.last().is_some_and(Value::is_true)))),
    variadic("call", &[Any], builtins::call),
    variadic("eq", &[Any], builtins::eq),
    row("ne", COMPARED, builtins::ne),
    row("lt", COMPARED, builtins::lt),
    row("le", COMPARED, builtins::le),
    row("gt", COMPARED, builtins::gt),
    row("ge", COMPARED, builtins::ge),
    row("len", &[Any], builtins::len),
    variadic("index", &[Any], builtins::index),
    variadic("slice", &[Any], builtins::slice),
    variadic("print", &[], builtins::print),
    variadic("println", &[], builtins::println),
    variadic("printf", &[Text], builtins::printf),
    variadic("html", &[], builtins::html),
    variadic("js", &[], builtins::js),
    variadic("urlquery", &[], builtins::urlquery),
    // Prometheus'.
    Function { name: "query", parameters: &[Text], variadic: None, cost: QUERY, body: query },
    row("first", &[Samples], first),
    row("label", &[Text, Type::Sample], |_, values| {
        sample(values).map(|it| Value::text(it.labels.get(text(values))))
    }),
    row("value", &[Type::Sample], |_, values| sample(values).map(|it| Value::Float(it.value))),
    row("strvalue", &[Type::Sample], |_, values| {
        sample(values).map(|it| Value::text(it.labels.get("__value__")))
    }),
    row("sortByLabel", &[Text, Samples], |_, values| Ok(sorted(values))),
    variadic("args", &[], |_, values| Ok(Value::Arguments(Rc::new(Arguments::new(values)?)))),
    Function { name: "match", parameters: &[Text, Text], variadic: None, cost: PATTERN, body: matches },
    Function {
        name: "reReplaceAll",
        parameters: &[Text, Text, Text],
        variadic: None,
        cost: PATTERN,
        body: replace_all,
    },
    row("safeHtml", &[Text], |_, values| Ok(Value::text(text(values)))),
    row("title", &[Text], |_, values| Ok(Value::text(&title(text(values))))),
    row("toUpper", &[Text], |_, values| Ok(Value::text(&text(values).to_uppercase()))),
    row("toLower", &[Text], |_, values| Ok(Value::text(&text(values).to_lowercase()))),
    row("stripPort", &[Text], |_, values| Ok(Value::text(strip_port(text(values))))),
    row("stripDomain", &[Text], |_, values| Ok(Value::text(&strip_domain(text(values))))),
    row("graphLink", &[Text], |_, values| Ok(Value::text(&link(text(values), 0)))),
    row("tableLink", &[Text], |_, values| Ok(Value::text(&link(text(values), 1)))),
    row("urlQueryEscape", &[Text], |_, values| Ok(Value::text(&query_escape(text(values))))),
    row("externalURL", &[], |scene, _| Ok(Value::text(&scene.externals.url))),
    row("pathPrefix", &[], |scene, _| Ok(Value::text(path(&scene.externals.url)))),
    row("now", &[], |scene, _| Ok(Value::Float(scene.at.as_millis() as f64 / 1e3))),
    row("humanize", &[Any], |_, values| humanized(values, number::humanize)),
    row("humanize1024", &[Any], |_, values| humanized(values, number::humanize1024)),
    row("humanizeDuration", &[Any], |_, values| humanized(values, number::humanize_duration)),
    row("humanizePercentage", &[Any], |_, values| humanized(values, number::humanize_percentage)),
    row("humanizeTimestamp", &[Any], humanize_timestamp),
    row("toTime", &[Any], |_, values| Ok(Value::Time(to_time(float(values)?)?))),
    row("toDuration", &[Any], |_, values| Ok(Value::Duration((float(values)? * 1e9) as i64))),
    row("parseDuration", &[Text], parse_duration),
];

/// The function of that name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// The first argument, of a function whose first parameter is a text.
pub(super) fn text(values: &[Value]) -> &str {
    text_at(values, 0)
}

fn text_at(values: &[Value], at: usize) -> &str {
    match values.get(at) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

/// The last argument as a number, as Prometheus' functions take numbers and texts.
fn float(values: &[Value]) -> std::result::Result<f64, String> {
    match values.last() {
        Some(Value::Float(number)) => Ok(*number),
        Some(Value::Int(number)) => Ok(*number as f64),
        Some(Value::Text(text)) => number::parse_float(text),
        Some(Value::Nil) | None => Err("can't convert <nil> to float".to_owned()),
        Some(other) => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn humanized(values: &[Value], print: fn(f64) -> String) -> Result {
    Ok(Value::text(&print(float(values)?)))
}

fn query(scene: &mut Scene<'_>, values: &[Value]) -> Result {
    let samples = (scene.ask)(text(values))?.into_iter();
    Ok(Value::Samples(samples.map(|(labels, value)| Rc::new(Sample { labels, value })).collect()))
}

fn samples(values: &[Value]) -> &[Rc<Sample>] {
    match values.last() {
        Some(Value::Samples(samples)) => samples,
        _ => &[],
    }
}

fn first(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let first = samples(values).first().cloned();
    first.map(Value::Sample).ok_or_else(|| "first() called on vector with no elements".to_owned())
}

fn sample(values: &[Value]) -> std::result::Result<&Sample, String> {
    match values.last() {
        Some(Value::Sample(sample)) => Ok(sample),
        _ => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
    }
}

fn sorted(values: &[Value]) -> Value {
    let label = text(values);
    let mut sorted = samples(values).to_vec();
    sorted.sort_by(|one, other| one.labels.get(label).cmp(other.labels.get(label)));
    Value::Samples(sorted.into())
}

fn regex(pattern: &str) -> std::result::Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MAX_REGEX).build().map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ");
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

fn matches(_: &mut Scene<'_>, values: &[Value]) -> Result {
    Ok(Value::Bool(regex(text(values))?.is_match(text_at(values, 1))))
}

fn replace_all(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let pattern = text(values);
    let regex = regex(pattern).map_err(|error| format!("regexp: Compile(`{pattern}`): {error}"))?;
    let (replacement, text) = (text_at(values, 1), text_at(values, 2));
    // Each match may bring as much as the whole replacement, and that the whole text.
    let mut replaced = String::new();
    let mut end = 0;
    for found in regex.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        replaced.push_str(text.get(end..whole.start()).unwrap_or(""));
        found.expand(replacement, &mut replaced);
        end = whole.end();
        if replaced.len() > super::MAX_EXPANDED {
            return Err(super::too_long());
        }
    }
    replaced.push_str(text.get(end..).unwrap_or(""));
    Ok(Value::text(&replaced))
}

/// The first letter of each word in capitals, all others as they are.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    // Whether the word has had its capital, and whether it may go on after a mark that joins letters.
    let (mut done, mut joined) = (false, false);
    let mut inside = false;
    for c in text.chars() {
        let word = c.is_alphanumeric() || c == '_';
        done &= inside || joined && word;
        joined = inside && matches!(c, '\'' | '.' | ':' | '·' | '’');
        inside = word;
        if !done && c.is_alphabetic() {
            titled.extend(c.to_uppercase());
            done = true;
        } else {
            titled.push(c);
        }
        done &= inside || joined;
    }
    titled
}

/// Host and port, as Go's `net.SplitHostPort` takes them apart.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!bare.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((bare, port))
}

fn strip_port(text: &str) -> &str {
    split_host_port(text).map_or(text, |(host, _)| host)
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    let address =
        host.split_once('%').filter(|(_, zone)| !zone.is_empty()).map_or(host, |(address, _)| address);
    let zoned = address.len() < host.len();
    if address.parse::<std::net::Ipv6Addr>().is_ok() || !zoned && host.parse::<std::net::Ipv4Addr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or("");
    match port {
        "" => name.to_owned(),
        _ if name.contains(':') => format!("[{name}]:{port}"),
        _ => format!("{name}:{port}"),
    }
}

/// Go's `url.QueryEscape`.
pub(super) fn query_escape(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn link(expression: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", query_escape(expression))
}

/// The path of an address: what follows the host, without query and fragment.
fn path(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after.find(['/', '?', '#']).and_then(|start| after.get(start..)).unwrap_or("");
    path.split(['?', '#']).next().unwrap_or("")
}

fn to_time(seconds: f64) -> std::result::Result<i64, String> {
    if !seconds.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let nanos = seconds * 1e9;
    if nanos > i64::MAX as f64 || nanos < i64::MIN as f64 {
        let shown = number::general(seconds, None);
        return Err(format!(
            "{shown} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    // Prometheus' times have milliseconds.
    Ok(nanos as i64 / 1_000_000 * 1_000_000)
}

fn humanize_timestamp(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let seconds = float(values)?;
    let shown = if seconds.is_finite() { time::shown(to_time(seconds)?) } else { number::short(seconds) };
    Ok(Value::text(&shown))
}

fn parse_duration(_: &mut Scene<'_>, values: &[Value]) -> Result {
    let text = text(values);
    let (sign, digits) = text.strip_prefix('-').map_or((1.0, text), |digits| (-1.0, digits));
    if digits.is_empty() {
        return Err("empty duration string".to_owned());
    }
    let quote = super::print::quote;
    let unknown = |unit: &&str| !["", "y", "w", "d", "h", "m", "s", "ms"].contains(unit);
    let duration = telemetry::parse_duration(digits).map_err(|_| {
        let starts = digits.starts_with(|c: char| c.is_ascii_digit());
        match digits.split(|c: char| c.is_ascii_digit()).find(unknown).filter(|_| starts) {
            Some(unit) => format!("unknown unit {} in duration {}", quote(unit), quote(digits)),
            None => format!("not a valid duration string: {}", quote(digits)),
        }
    })?;
    Ok(Value::Float(sign * duration.as_secs_f64()))
}
