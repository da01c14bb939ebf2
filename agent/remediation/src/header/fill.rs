//! Fills `${name}` in with the values of parameters.

use documents::nearest;
use serde_json::Value;

use super::Params;

/// A text with every `${name}` replaced.
///
/// # Errors
///
/// A placeholder that is not closed or names no parameter.
pub(super) fn fill(template: &str, params: &Params) -> Result<String, String> {
    replaced(template, params.keys().map(String::as_str), |name| {
        params.get(name).map(|value| Ok(printed(value)))
    })
}

/// The same for a PromQL expression, where a value must stay within the quotes that it stands in.
///
/// # Errors
///
/// As [`fill`], or a value that could end the text it stands in.
pub(super) fn fill_expression(template: &str, params: &Params) -> Result<String, String> {
    replaced(template, params.keys().map(String::as_str), |name| {
        let value = printed(params.get(name)?);
        let harmless = !value.contains(|c: char| c.is_control() || matches!(c, '"' | '\'' | '`' | '\\'));
        Some(harmless.then_some(value).ok_or_else(|| {
            format!("parameter `{name}` has a quote or a backslash, which cannot stand in an expression")
        }))
    })
}

/// The names of all placeholders.
///
/// # Errors
///
/// As [`fill`].
pub(super) fn check<'a>(
    template: &str,
    known: &(impl Iterator<Item = &'a str> + Clone),
) -> Result<String, String> {
    replaced(template, known.clone(), |name| {
        known.clone().any(|known| known == name).then(|| Ok(String::new()))
    })
}

fn replaced<'a>(
    template: &str,
    known: impl Iterator<Item = &'a str>,
    value: impl Fn(&str) -> Option<Result<String, String>>,
) -> Result<String, String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("a `${` is not closed")?;
        let Some(value) = value(name) else {
            let meant = nearest(name, known).map(|meant| format!("; did you mean `${{{meant}}}`?"));
            return Err(format!("there is no parameter `{name}`{}", meant.unwrap_or_default()));
        };
        text.push_str(before);
        text.push_str(&value?);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

fn printed(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
