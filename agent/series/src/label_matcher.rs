//! Matchers on an alert's labels, spelled as Alertmanager spells them.

use std::fmt;
use std::str::FromStr;

use crate::MatchOp;
use telemetry::Labels;

/// By their spelling; of two that begin alike, the longer first.
const OPERATORS: [(&str, MatchOp); 4] =
    [("=~", MatchOp::Regex), ("!~", MatchOp::NotRegex), ("!=", MatchOp::NotEqual), ("=", MatchOp::Equal)];

/// One condition on a label; a label that is missing has the empty value.
#[derive(Clone, Debug)]
pub struct LabelMatcher(crate::Matcher);

/// A text that is no matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a matcher: {reason}; write it as in alertname=\"WebDown\" or severity=~\"page|ticket\""
)]
pub struct LabelMatcherError {
    text: String,
    reason: String,
}

impl LabelMatcher {
    /// The only value of `label` that meets the condition, if the condition is about it and allows just one.
    pub fn exactly(&self, label: &str) -> Option<&str> {
        (self.0.op() == MatchOp::Equal && self.0.name() == label).then(|| self.0.value())
    }

    /// The label that the condition is about.
    pub fn label(&self) -> &str {
        self.0.name()
    }

    /// Whether the labels meet the condition.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.matches(labels.get(self.0.name()))
    }
}

impl FromStr for LabelMatcher {
    type Err = LabelMatcherError;

    fn from_str(text: &str) -> Result<Self, LabelMatcherError> {
        let error = |reason: &str| LabelMatcherError { text: text.to_owned(), reason: reason.to_owned() };
        let end = text.find(['=', '!']).ok_or_else(|| error("it has no operator =, !=, =~ or !~"))?;
        let (label, rest) = text.split_at(end);
        let read = |(spelled, op)| rest.strip_prefix(spelled).map(|value| (op, value));
        let (op, value) =
            OPERATORS.into_iter().find_map(read).ok_or_else(|| error("after ! comes = or ~"))?;
        let label = label.trim();
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '/');
        if label.is_empty() || !label.chars().all(word) {
            return Err(error("it must begin with a label's name"));
        }
        let value = unquoted(value.trim()).ok_or_else(|| error("the value's quotes do not close"))?;
        crate::Matcher::new(label, op, value).map(Self).map_err(
            |crate::MatcherError::Pattern { source, .. }| {
                error(source.to_string().lines().last().unwrap_or("bad pattern"))
            },
        )
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

impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.0.name(), self.0.op(), self.0.value())
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
            assert_eq!(text.parse::<LabelMatcher>().unwrap().matches(&labels()), matches, "{text}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_refused_with_an_example() {
        for text in ["", "alertname", "=x", "a b=\"x\"", "a!x", r#"a="x"#, r#"a="x"y"#, r#"a=~"(""#] {
            let error = text.parse::<LabelMatcher>().expect_err(text).to_string();
            assert!(error.contains("write it as in alertname="), "{error}");
        }
    }

    #[test]
    fn a_printed_matcher_reads_back() {
        for text in [r#"a="x""#, r#"a!="x\"y""#, r#"a=~"x|y""#, r#"a!~"x.*""#] {
            assert_eq!(text.parse::<LabelMatcher>().unwrap().to_string(), text);
        }
    }
}
