//! Reads a header.
//!
//! The header is read as a text of the same length as the script's, with blanks where the comment signs are, so that every
//! place in it is the place in the script.

use std::collections::BTreeMap;
use std::time::Duration;

use documents::{Document, Problem, Review, Spanned, nearest, yaml};
use serde::Deserialize;
use serde_json::Value;
use telemetry::format_duration;

use super::{Class, Header, Param, ParamKind, Params, Risk, fill, is_open};
use crate::grants::{Capability, Grants};
use crate::runbook::{MAX_TIMEOUT, MAX_VERIFY, Verify};

/// How a line of the header begins.
const SIGN: &str = "//!";
/// As many.
const BLANKS: &str = "   ";

/// The smallest header, for the hint.
const EXAMPLE: &str = "begin the script with `//! summary: What it does` and `//! risk: low`";

const DEFAULT_WITHIN: Duration = Duration::from_secs(30);
const DEFAULT_SETTLE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    summary: Spanned<String>,
    #[serde(default)]
    params: yaml::Entries<ParamWritten>,
    #[serde(default)]
    needs: yaml::Entries<Vec<Spanned<String>>>,
    risk: Spanned<String>,
    class: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    verify: Option<VerifyWritten>,
    escalate: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParamWritten {
    r#type: Spanned<String>,
    default: Option<Spanned<Value>>,
    min: Option<Spanned<Value>>,
    max: Option<Spanned<Value>>,
    of: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyWritten {
    promql: Spanned<String>,
    r#for: Option<Spanned<String>>,
    within: Option<Spanned<String>>,
}

pub(super) fn read(script: &Document) -> Result<Header, Vec<Problem>> {
    let Some(text) = blanked(script.text()) else {
        return Err(vec![Problem::at(script, 0..0, "the script has no header").with_hint(EXAMPLE)]);
    };
    let document = Document::from_text(script.path(), &text);
    let written: Written =
        yaml::parse(&document).map_err(|problem| vec![problem.in_same_place_of(script)])?;
    let mut review = Review::new(script);
    let header = header(&written, &mut review);
    match header {
        Some(header) if !review.has_errors() => Ok(header),
        _ => Err(review.into_problems()),
    }
}

/// The lines of the header with blanks for the sign; None if there is none.
fn blanked(script: &str) -> Option<String> {
    let lines = script.split_inclusive('\n').map_while(|line| line.strip_prefix(SIGN));
    let text = lines.fold(String::new(), |text, line| text + BLANKS + line);
    (!text.is_empty()).then_some(text)
}

fn header(written: &Written, review: &mut Review) -> Option<Header> {
    if written.summary.value.trim().is_empty() {
        review.error(&written.summary, "a script says what it does");
    }
    let params = params(&written.params, review);
    // One whose type is wrong is known all the same.
    let names = written.params.0.iter().map(|(name, _)| name.value.clone());
    let examples: Params = names
        .map(|name| {
            let example = params.get(&name).map_or(Value::Null, |param| param.kind.example());
            (name, example)
        })
        .collect();
    let risk = review.read(&written.risk, |text| match text {
        "low" => Ok(Risk::Low),
        "medium" => Ok(Risk::Medium),
        "high" => Ok(Risk::High),
        other => Err(format!("{other:?} is not a risk; write low, medium or high")),
    });
    let class = written.class.as_ref().and_then(|class| {
        review.read(class, |text| match text {
            "restore" => Ok(Class::Restore),
            other => Err(format!("{other:?} is not a class; write restore, or leave it out")),
        })
    });
    let timeout = written.timeout.as_ref().map(|timeout| (timeout, review.duration(timeout)));
    if let Some((written, Some(timeout))) = timeout
        && (timeout > MAX_TIMEOUT || timeout.is_zero())
    {
        review.error(written, format!("a script may take up to {}", format_duration(MAX_TIMEOUT)));
    }
    if let Some(escalate) = &written.escalate {
        placeholders(escalate, &examples, review);
    }
    Some(Header {
        summary: written.summary.value.trim().to_owned(),
        needs: needs(&written.needs, &examples, review),
        params,
        risk: risk?,
        class: class.unwrap_or_default(),
        timeout: timeout.and_then(|(_, timeout)| timeout),
        verify: written.verify.as_ref().map(|verify| self::verify(verify, &examples, review)),
        escalate: written.escalate.as_ref().map(|text| text.value.clone()),
    })
}

fn params(written: &yaml::Entries<ParamWritten>, review: &mut Review) -> BTreeMap<String, Param> {
    let mut params = BTreeMap::new();
    for (name, written) in &written.0 {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.value.starts_with(|c: char| c.is_ascii_lowercase()) || !name.value.chars().all(is_name) {
            review.error(name, "the name of a parameter is made of a-z, 0-9 and _, and begins with a letter");
        }
        if let Some(param) = param(written, review)
            && params.insert(name.value.clone(), param).is_some()
        {
            review.error(name, format!("parameter `{}` is there twice", name.value));
        }
    }
    params
}

fn param(written: &ParamWritten, review: &mut Review) -> Option<Param> {
    let kind = kind(written, review)?;
    let mut bound = |bound: &Option<Spanned<Value>>, what: &str| {
        let written = bound.as_ref()?;
        let read = kind.read(&written.value).ok().filter(|value| kind.measure(value).is_some());
        if read.is_none() {
            let message = match kind {
                ParamKind::Int | ParamKind::Float | ParamKind::Bytes | ParamKind::Duration => {
                    format!("`{what}` is {kind}")
                }
                _ => format!("a parameter of this type has no `{what}`"),
            };
            review.error(written, message);
        }
        read
    };
    let (min, max) = (bound(&written.min, "min"), bound(&written.max, "max"));
    let param = Param { kind, default: None, min, max };
    let measure = |value: &Option<Value>| value.as_ref().and_then(|value| param.kind.measure(value));
    if let (Some(min), Some(max), Some(written)) = (measure(&param.min), measure(&param.max), &written.max)
        && min > max
    {
        review.error(written, "`max` is less than `min`");
    }
    let default = written.default.as_ref().and_then(|written| match param.read(&written.value) {
        Ok(value) => Some(value),
        Err(error) => {
            review.error(written, error);
            None
        }
    });
    Some(Param { default, ..param })
}

fn kind(written: &ParamWritten, review: &mut Review) -> Option<ParamKind> {
    let word = written.r#type.value.as_str();
    match (&written.of, word) {
        (Some(of), "enum") if !of.is_empty() => {
            return Some(ParamKind::OneOf(of.iter().map(|word| word.value.clone()).collect()));
        }
        (_, "enum") => {
            review.error(&written.r#type, "an enum says what it can be").hint =
                Some("add of: [first, second]".to_owned());
            return None;
        }
        (Some(_), _) => {
            review.error(&written.r#type, "`of` belongs to a parameter of type enum");
        }
        (None, _) => {}
    }
    let known = ParamKind::WORDS.into_iter().find(|(known, _)| *known == word);
    if known.is_none() {
        let words = ParamKind::WORDS.map(|(word, _)| word);
        let hint = nearest(word, words.into_iter().chain(["enum"])).map_or_else(
            || format!("known are {}, enum", words.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        review.error(&written.r#type, format!("there is no type `{word}`")).hint = Some(hint);
    }
    known.map(|(_, kind)| kind)
}

fn needs(
    written: &yaml::Entries<Vec<Spanned<String>>>,
    examples: &Params,
    review: &mut Review,
) -> Vec<(Capability, String)> {
    let mut needs = Vec::new();
    for (name, targets) in &written.0 {
        let Some(capability) = Capability::named(&name.value) else {
            let known = Capability::ALL.map(Capability::name);
            let hint = nearest(&name.value, known).map_or_else(
                || format!("known are {}", known.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            review.error(name, format!("there is no capability `{}`", name.value)).hint = Some(hint);
            continue;
        };
        if targets.is_empty() {
            review.error(name, format!("`{}` needs a target", name.value)).hint =
                Some("write [\"*\"] for whatever the runbook grants".to_owned());
        }
        for target in targets {
            placeholders(target, examples, review);
            // A whole target that is a parameter has that parameter's bounds; the runbook's grants have the last word.
            if target.value != "*"
                && !is_open(&target.value)
                && let Err(error) = Grants::default().add(capability, &target.value)
            {
                review.error(target, error);
            }
            needs.push((capability, target.value.clone()));
        }
    }
    needs
}

fn verify(written: &VerifyWritten, examples: &Params, review: &mut Review) -> Verify {
    match fill::fill_expression(&written.promql.value, examples) {
        Ok(expr) => {
            if let Err(error) = promql::parse(&expr) {
                // Where something was filled in, the places are those of another text.
                let part =
                    if is_open(&written.promql.value) { 0..written.promql.value.len() } else { error.span };
                review.error_within(&written.promql, part, error.message).hint = error.hint;
            }
        }
        Err(error) => drop(review.error(&written.promql, error)),
    }
    let within = review.duration_or(written.within.as_ref(), DEFAULT_WITHIN);
    let settle = review.duration_or(written.r#for.as_ref(), DEFAULT_SETTLE);
    if let Some(written) = written.within.as_ref().filter(|_| within > MAX_VERIFY) {
        review.error(written, format!("at most {} is possible", format_duration(MAX_VERIFY)));
    }
    // Without a word on the time, it is the time to hold and some more.
    let within = if written.within.is_none() { within.max(settle + DEFAULT_WITHIN) } else { within };
    if let Some(written) = written.r#for.as_ref().filter(|_| settle > within || within > MAX_VERIFY) {
        let message =
            format!("it cannot hold for {} within {}", format_duration(settle), format_duration(within));
        review.error(written, message);
    }
    Verify { expr: written.promql.value.clone(), within, settle }
}

fn placeholders(written: &Spanned<String>, examples: &Params, review: &mut Review) {
    if let Err(error) = fill::check(&written.value, &examples.keys().map(String::as_str)) {
        review.error(written, error);
    }
}

/// For tests: a header in one line, which lets a script do whatever its runbook grants.
#[cfg(test)]
pub(crate) fn any_header() -> String {
    let needs: Vec<String> =
        Capability::ALL.iter().map(|capability| format!("{}: ['*']", capability.name())).collect();
    format!(
        "//! {{ summary: Test, risk: low, params: {{ process: {{ type: string, default: web }} }}, needs: {{ {} }} }}\n",
        needs.join(", ")
    )
}
