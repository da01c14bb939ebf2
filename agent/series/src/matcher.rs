//! Conditions on labels, as selectors state them.
//!
//! A matcher is compiled once and then only asked. An absent label is an empty value, so `{x=""}` holds where there is
//! no `x`; regular expressions match the whole value, and their dot matches a line feed, as in Prometheus. Unlike there,
//! `\d`, `\w` and `\s` know Unicode.

use std::fmt;

use regex::Regex;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

/// A matcher that cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum MatcherError {
    /// The value of `=~` or `!~` is not a regular expression, or one larger than the compiler's limit of 10 MiB.
    #[error("{pattern:?} is not a regular expression")]
    Pattern {
        /// The value as it was given.
        pattern: String,
        /// What is wrong with it.
        source: regex::Error,
    },
}

/// A condition on the value of one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Matcher {
    /// The condition `name op value`.
    ///
    /// # Errors
    ///
    /// `value` is not a regular expression where `op` asks for one.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, MatcherError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => match Regex::new(&format!("^(?s:{value})$")) {
                Ok(regex) => Some(regex),
                Err(source) => return Err(MatcherError::Pattern { pattern: value, source }),
            },
        };
        Ok(Self { name: name.into(), op, value, regex })
    }

    /// The condition that the label `name` has exactly this value.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The text or regular expression it compares with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether it holds for `value`, the empty text standing for an absent label.
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        };
        found == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_decide_as_prometheus_does() {
        for (op, pattern, value, expected) in [
            (MatchOp::Equal, "a", "a", true),
            (MatchOp::Equal, "", "", true),
            (MatchOp::NotEqual, "a", "", true),
            (MatchOp::Regex, "a|b", "b", true),
            (MatchOp::Regex, "a|b", "ab", false),
            (MatchOp::Regex, "a.b", "a\nb", true),
            (MatchOp::Regex, "(?i:PRO).*", "production", true),
            (MatchOp::Regex, ".*", "", true),
            (MatchOp::NotRegex, "a.*", "ab", false),
            (MatchOp::NotRegex, "a.*", "", true),
        ] {
            let matcher = Matcher::new("x", op, pattern).unwrap();
            assert_eq!(matcher.matches(value), expected, "{op}{pattern:?} on {value:?}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Matcher::new("x", MatchOp::Regex, "(").unwrap_err();
        assert_eq!(error.to_string(), r#""(" is not a regular expression"#);
    }
}
