//! One rule: what is masked, and how.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

use regex::bytes::{Captures, Regex, RegexSet, RegexSetBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use sha2::{Digest as _, Sha256};

use super::builtin::Builtin;

/// What becomes of what is found.
#[derive(Clone, PartialEq, Eq)]
pub enum MaskAction {
    /// It is replaced by this text: the whole value of an attribute found by its key, else the part that a pattern found.
    Replace(String),
    /// The attribute, element of a list, or body in which it was found is left out.
    Drop,
    /// As [`MaskAction::Replace`], by sixteen hexadecimal digits that are the same for the same text and key.
    Hash {
        /// Whoever does not have it cannot try texts out.
        key: Vec<u8>,
    },
}

impl fmt::Debug for MaskAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replace(text) => text,
            Self::Drop => "drop",
            Self::Hash { .. } => "hash",
        })
    }
}

impl MaskAction {
    /// What stands in place of `text`.
    pub(super) fn replacement(&self, text: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Replace(text) => Cow::Borrowed(text.as_bytes()),
            Self::Drop => Cow::Borrowed(&[]),
            Self::Hash { key } => {
                let digest = Sha256::new_with_prefix(key).chain_update([0]).chain_update(text).finalize();
                let mut digits = String::with_capacity(16);
                for byte in digest.iter().take(8) {
                    let _ = write!(digits, "{byte:02x}");
                }
                Cow::Owned(digits.into_bytes())
            }
        }
    }
}

/// Why a rule cannot be what it says.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// A pattern that is no regular expression.
    #[error("{text:?} is no regular expression that can be used: {}", reason(source))]
    Pattern {
        /// As it was given.
        text: String,
        /// What is wrong.
        source: Box<regex::Error>,
    },
    /// A pattern that finds something in every text.
    #[error("{text:?} finds something in an empty text, and so everywhere")]
    Everything {
        /// As it was given.
        text: String,
    },
}

impl MaskError {
    pub(super) fn together(source: regex::Error) -> Self {
        Self::Pattern { text: "all patterns together".to_owned(), source: source.into() }
    }

    /// The pattern or key that is wrong.
    pub fn text(&self) -> &str {
        match self {
            Self::Pattern { text, .. } | Self::Everything { text } => text,
        }
    }
}

/// The last line; those before it draw an arrow.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// What an expression of a rule finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finds {
    Keys,
    Texts,
}

/// What is masked, and how.
#[derive(Clone, Debug)]
pub struct MaskRule {
    pub(super) keys: Option<RegexSet>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) action: MaskAction,
}

impl MaskRule {
    /// A rule about attributes whose key one of `keys` names, with `*` for any characters and `?` for one, whatever their
    /// case; about texts in which one of the regular expressions `values` finds something, of which only the group `mask`
    /// counts where there is one; and about what is known by itself.
    ///
    /// # Errors
    ///
    /// An expression cannot be used.
    pub fn new(
        keys: &[String],
        values: &[String],
        builtins: &[Builtin],
        action: MaskAction,
    ) -> Result<Self, MaskError> {
        let globs = keys.iter().map(|key| glob(key));
        let known = builtins.iter().filter_map(|builtin| builtin.keys()).map(str::to_owned);
        let keys: Vec<String> = globs.chain(known).collect();
        let keys = (!keys.is_empty()).then(|| {
            RegexSetBuilder::new(&keys)
                .case_insensitive(true)
                .unicode(false)
                .build()
                .map_err(MaskError::together)
        });
        let mut patterns = Vec::new();
        for text in values {
            patterns.push(Pattern::new(text, None)?);
        }
        for (text, check) in builtins.iter().flat_map(|builtin| builtin.patterns()) {
            patterns.push(Pattern::new(text, *check)?);
        }
        Ok(Self { keys: keys.transpose()?, patterns, action })
    }

    /// What finds keys and what finds texts, as its parts; nothing where there is no such form.
    pub(super) fn expressions(&self) -> impl Iterator<Item = (Finds, Option<Hir>)> {
        let keys = self.keys.iter().flat_map(RegexSet::patterns);
        let keys = keys.map(|key| parser().case_insensitive(true).unicode(false).build().parse(key).ok());
        let patterns = self.patterns.iter().map(|pattern| parser().build().parse(pattern.as_str()).ok());
        keys.map(|key| (Finds::Keys, key)).chain(patterns.map(|pattern| (Finds::Texts, pattern)))
    }

    pub(super) fn names(&self, key: &[u8]) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.is_match(key))
    }
}

/// One that reads expressions as those of `regex::bytes` are read.
fn parser() -> ParserBuilder {
    let mut parser = ParserBuilder::new();
    parser.utf8(false);
    parser
}

/// Rules are equal when they find the same and do the same with it.
impl PartialEq for MaskRule {
    fn eq(&self, other: &Self) -> bool {
        let keys = |rule: &Self| rule.keys.as_ref().map(|keys| keys.patterns().to_vec());
        let patterns =
            |rule: &Self| rule.patterns.iter().map(|one| one.as_str().to_owned()).collect::<Vec<_>>();
        keys(self) == keys(other) && patterns(self) == patterns(other) && self.action == other.action
    }
}

/// An expression for exactly what a glob matches.
fn glob(text: &str) -> String {
    let mut expression = "^".to_owned();
    for character in text.chars() {
        match character {
            '*' => expression.push_str("(?s-u:.)*"),
            '?' => expression.push_str("(?s-u:.)"),
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    expression
}

/// A further look at what a pattern found.
pub(super) type Check = fn(&[u8]) -> bool;

#[derive(Clone, Debug)]
pub(super) struct Pattern {
    regex: Regex,
    check: Option<Check>,
}

impl Pattern {
    fn new(text: &str, check: Option<Check>) -> Result<Self, MaskError> {
        let regex = Regex::new(text)
            .map_err(|source| MaskError::Pattern { text: text.to_owned(), source: source.into() })?;
        if regex.is_match(b"") {
            return Err(MaskError::Everything { text: text.to_owned() });
        }
        Ok(Self { regex, check })
    }

    pub(super) fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The text with everything replaced that the pattern finds; nothing when it finds nothing.
    pub(super) fn mask(&self, text: &[u8], action: &MaskAction) -> Option<Vec<u8>> {
        let mut masked = Vec::new();
        let mut copied = 0;
        let mut found = false;
        for captures in self.regex.captures_iter(text) {
            let Some(part) = part(&captures) else { continue };
            if self.check.is_some_and(|check| !check(part.as_bytes())) {
                continue;
            }
            found = true;
            masked.extend_from_slice(text.get(copied..part.start()).unwrap_or_default());
            masked.extend_from_slice(&action.replacement(part.as_bytes()));
            copied = part.end();
        }
        masked.extend_from_slice(text.get(copied..).unwrap_or_default());
        found.then_some(masked)
    }
}

/// The group `mask` if it took part, else everything.
fn part<'t>(captures: &Captures<'t>) -> Option<regex::bytes::Match<'t>> {
    captures.name("mask").or_else(|| captures.get(0))
}
