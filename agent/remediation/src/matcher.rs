//! Matchers on an alert's labels, spelled as Alertmanager spells them.

use std::fmt;
use std::str::FromStr;

use regex::Regex;
use telemetry::Labels;

/// The memory that one compiled pattern may take.
const MAX_PATTERN_BYTES: usize = 256 << 10;

/// One condition on a label; a label that is missing has the empty value.
#[derive(Clone, Debug)]
pub struct Matcher {
    label: String,
    wanted: Wanted,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Wanted {
    Value(String),
    Pattern(Regex),
}

/// A text that is no matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a matcher: {reason}; write it as in alertname=\"WebDown\" or severity=~\"page|ticket\""
)]
pub struct MatcherError {
    text: String,
    reason: String,
}

impl Matcher {
    /// Whether the labels meet the condition.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.label);
        let meets = match &self.wanted {
            Wanted::Value(wanted) => value == wanted,
            Wanted::Pattern(pattern) => pattern.is_match(value),
        };
        meets != self.negated
    }
}

impl FromStr for Matcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let error = |reason: &str| MatcherError { text: text.to_owned(), reason: reason.to_owned() };
        let end = text.find(['=', '!']).ok_or_else(|| error("it has no operator =, !=, =~ or !~"))?;
        let (label, rest) = text.split_at(end);
        let (negated, is_pattern, value) = if let Some(value) = rest.strip_prefix("=~") {
            (false, true, value)
        } else if let Some(value) = rest.strip_prefix("!~") {
            (true, true, value)
        } else if let Some(value) = rest.strip_prefix("!=") {
            (true, false, value)
        } else if let Some(value) = rest.strip_prefix('=') {
            (false, false, value)
        } else {
            return Err(error("after ! comes = or ~"));
        };
        let label = label.trim();
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '/');
        if label.is_empty() || !label.chars().all(word) {
            return Err(error("it must begin with a label's name"));
        }
        let value = unquoted(value.trim()).ok_or_else(|| error("the value's quotes do not close"))?;
        let wanted = if is_pattern {
            // Anchored at both ends, as Prometheus and Alertmanager do.
            let pattern = regex::RegexBuilder::new(&format!("^(?:{value})$"))
                .size_limit(MAX_PATTERN_BYTES)
                .dot_matches_new_line(true)
                .build()
                .map_err(|reason| error(reason.to_string().lines().last().unwrap_or("bad pattern")))?;
            Wanted::Pattern(pattern)
        } else {
            Wanted::Value(value)
        };
        Ok(Self { label: label.to_owned(), wanted, negated })
    }
}

/// A quoted value without its quotes and escapes, or a bare one as it stands.
fn unquoted(text: &str) -> Option<String> {
    let Some(rest) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let mut value = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(value),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, value) = match (&self.wanted, self.negated) {
            (Wanted::Value(value), false) => ("=", value.as_str()),
            (Wanted::Value(value), true) => ("!=", value.as_str()),
            (Wanted::Pattern(pattern), false) => ("=~", pattern.as_str()),
            (Wanted::Pattern(pattern), true) => ("!~", pattern.as_str()),
        };
        let value = value.strip_prefix("^(?:").and_then(|v| v.strip_suffix(")$")).unwrap_or(value);
        write!(f, "{}{operator}{value:?}", self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        [("alertname", "WebDown"), ("severity", "page"), ("path", "a\"b")].into_iter().collect()
    }

    #[test]
    fn matchers_mean_what_they_mean_to_alertmanager() {
        for (text, matches) in [
            (r#"alertname="WebDown""#, true),
            ("alertname=WebDown", true),
            (r#"alertname = "WebDown""#, true),
            (r#"alertname!="WebDown""#, false),
            (r#"severity=~"page|ticket""#, true),
            (r#"severity=~"pag""#, false),
            (r#"severity=~"age""#, false),
            (r#"severity!~"page|ticket""#, false),
            (r#"team="""#, true),
            (r#"team!="""#, false),
            (r#"team=~".*""#, true),
            (r#"path="a\"b""#, true),
        ] {
            assert_eq!(text.parse::<Matcher>().unwrap().matches(&labels()), matches, "{text}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused_with_an_example() {
        for text in ["", "alertname", "=x", "a b=\"x\"", "a!x", r#"a="x"#, r#"a="x"y"#, r#"a=~"(""#] {
            let error = text.parse::<Matcher>().expect_err(text).to_string();
            assert!(error.contains("write it as in alertname="), "{error}");
        }
    }

    #[test]
    fn a_printed_matcher_reads_back() {
        for text in [r#"a="x""#, r#"a!="x\"y""#, r#"a=~"x|y""#, r#"a!~"x.*""#] {
            assert_eq!(text.parse::<Matcher>().unwrap().to_string(), text);
        }
    }
}
