//! Conditions on labels, as selectors state them.
//!
//! A matcher is compiled once and then only asked. An absent label is an empty value, so `{x=""}` holds where there is
//! no `x`; regular expressions match the whole value, and their dot matches a line feed, as in Prometheus. Unlike there,
//! `\d`, `\w` and `\s` know Unicode.

use std::borrow::Cow;
use std::fmt;

use regex::{Regex, RegexBuilder};

/// The most memory that one compiled regular expression may take, in bytes. Compiling as much takes about 8 ms; published
/// rules stay under 100 KiB.
const MAX_REGEX: usize = 1024 * 1024;

/// How much of a pattern a message quotes, in characters.
const QUOTED: usize = 100;

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
    /// The value of `=~` or `!~` is not a regular expression, or one larger than 1 MiB once compiled.
    #[error("{:?} {}", brief(pattern), verdict(source))]
    Pattern {
        /// The value as it was given.
        pattern: String,
        /// What is wrong with it.
        source: regex::Error,
    },
}

fn verdict(error: &regex::Error) -> &'static str {
    match error {
        regex::Error::CompiledTooBig(_) => {
            "is a regular expression of more than 1 MiB once compiled; lower the counts in it, as in {0,400}"
        }
        _ => "is not a regular expression",
    }
}

fn brief(pattern: &str) -> Cow<'_, str> {
    match pattern.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", pattern.get(..end).unwrap_or(pattern)).into(),
        None => pattern.into(),
    }
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
            MatchOp::Regex | MatchOp::NotRegex => {
                match RegexBuilder::new(&format!("^(?s:{value})$")).size_limit(MAX_REGEX).build() {
                    Ok(regex) => Some(regex),
                    Err(source) => return Err(MatcherError::Pattern { pattern: value, source }),
                }
            }
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
        let error = Matcher::new("x", MatchOp::Regex, "(é".repeat(100_000)).unwrap_err();
        let quoted = "(é".repeat(50);
        assert_eq!(error.to_string(), format!("\"{quoted}…\" is not a regular expression"));
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused() {
        assert!(Matcher::new("x", MatchOp::Regex, r"\w{1,10}.{0,100}").is_ok());
        let error = Matcher::new("x", MatchOp::Regex, r"\w{1,50}").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""\\w{1,50}" is a regular expression of more than 1 MiB once compiled; lower the counts in it, as in {0,400}"#
        );
    }
}
