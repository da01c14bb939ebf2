//! `label_replace` and `label_join`: new labels from old ones, found once per label set.
//!
//! A value is measured before it is built. Both functions can double what they are given, so that a short expression
//! could otherwise fill the memory.

use std::ops::Range;

use regex::{Captures, Regex, RegexBuilder};
use telemetry::{Labels, METRIC_NAME};

use super::{Context, Sample, VectorNode, duplicate};
use crate::EvalError;
use crate::error::brief;
use crate::sets::{SetId, Table};

/// The most memory that a compiled regular expression may take, in bytes: an ordinary one, and any.
const MAX_SIZES: [usize; 2] = [16 * 1024, 1024 * 1024];

/// What matching one byte counts with a regular expression of either size. Finding captures follows all alternatives at
/// once, which takes up to 0.4 or 3 µs a byte.
const COSTS: [usize; 2] = [4, 32];

/// The longest label value that is made, in bytes. Values of real series stay under 1,000.
const MAX_VALUE: usize = 64 * 1024;

#[derive(Debug)]
enum Rule {
    Replace {
        target: String,
        replacement: Vec<Piece>,
        source: String,
        regex: Regex,
        /// What matching one byte counts.
        cost: usize,
    },
    Join {
        target: String,
        separator: String,
        sources: Vec<String>,
    },
    /// The arguments are wrong, which Prometheus finds out when the function is evaluated.
    Wrong(String),
}

/// A piece of a replacement.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    /// What a group of the regular expression caught.
    Group(usize),
}

#[derive(Debug)]
pub(crate) struct Relabel {
    rule: Rule,
    inner: VectorNode,
    span: Range<usize>,
    epoch: u64,
    known: Table<(SetId, bool)>,
}

impl Relabel {
    pub(super) fn new(join: bool, inner: VectorNode, texts: Vec<String>, span: Range<usize>) -> Self {
        let rule = if join { join_rule(texts) } else { replace_rule(texts) };
        Self { rule, inner, span, epoch: 0, known: Table::default() }
    }

    pub(super) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        if let Rule::Wrong(message) = &self.rule {
            return Err(EvalError::new(&self.span, message.as_str()));
        }
        if self.epoch != context.epoch {
            self.epoch = context.epoch;
            self.known.clear();
        }
        let mut samples = self.inner.eval(context)?;
        for sample in &mut samples {
            let (set, names) = if let Some(known) = self.known.get(sample.set) {
                known
            } else {
                let found = self.rule.apply(sample.set, context, &self.span)?;
                self.known.set(sample.set, found);
                found
            };
            sample.set = set;
            sample.nameless &= !names;
        }
        let mut seen = vec![false; context.sets.len()];
        for sample in &samples {
            if seen.get_mut(sample.set.number()).is_some_and(|cell| std::mem::replace(cell, true)) {
                return Err(duplicate(&self.span));
            }
        }
        Ok(samples)
    }
}

fn replace_rule(texts: Vec<String>) -> Rule {
    let Ok([target, replacement, source, pattern]) = <[String; 4]>::try_from(texts) else {
        return Rule::Wrong("label_replace() takes four strings".to_owned());
    };
    if target.is_empty() {
        return Rule::Wrong("invalid destination label name in label_replace(): \"\"".to_owned());
    }
    match compile(&pattern) {
        Ok((regex, cost)) => {
            Rule::Replace { target, replacement: pieces(&replacement, &regex), source, regex, cost }
        }
        Err(regex::Error::CompiledTooBig(limit)) => Rule::Wrong(format!(
            "regular expression in label_replace() is over {limit} bytes once compiled: {}",
            brief(&pattern)
        )),
        Err(_) => Rule::Wrong(format!("invalid regular expression in label_replace(): {}", brief(&pattern))),
    }
}

/// The regular expression, and what matching one byte counts.
fn compile(pattern: &str) -> Result<(Regex, usize), regex::Error> {
    let whole = format!("^(?s:{pattern})$");
    let within = |limit| RegexBuilder::new(&whole).size_limit(limit).build();
    let ([ordinary, any], [cheap, dear]) = (MAX_SIZES, COSTS);
    match within(ordinary) {
        Err(regex::Error::CompiledTooBig(_)) => Ok((within(any)?, dear)),
        compiled => Ok((compiled?, cheap)),
    }
}

/// The pieces of a replacement, as Go's `Expand` cuts it: `$name`, `${name}`, and `$$` for a dollar. A name is as long as
/// it can be, and one that no group has stands for nothing.
fn pieces(replacement: &str, regex: &Regex) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = replacement;
    while let Some((plain, after)) = rest.split_once('$') {
        text.push_str(plain);
        let in_braces = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, tail) =
            in_braces.unwrap_or_else(|| after.split_at(after.find(|c| !word(c)).unwrap_or(after.len())));
        if name.is_empty() {
            text.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
            continue;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        let named = || regex.capture_names().position(|known| known == Some(name));
        pieces.extend(name.parse().ok().or_else(named).map(Piece::Group));
        rest = tail;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

fn join_rule(texts: Vec<String>) -> Rule {
    let mut texts = texts.into_iter();
    let (Some(target), Some(separator)) = (texts.next(), texts.next()) else {
        return Rule::Wrong("label_join() takes at least two strings".to_owned());
    };
    let sources: Vec<String> = texts.collect();
    if target.is_empty() {
        return Rule::Wrong("invalid destination label name in label_join(): \"\"".to_owned());
    }
    if sources.iter().any(String::is_empty) {
        return Rule::Wrong("invalid source label name in label_join(): \"\"".to_owned());
    }
    Rule::Join { target, separator, sources }
}

impl Rule {
    /// The new set, and whether the rule gave it a name.
    fn apply(
        &self,
        set: SetId,
        context: &mut Context<'_>,
        span: &Range<usize>,
    ) -> Result<(SetId, bool), EvalError> {
        let labels = context.sets.labels(set).clone();
        let (target, value) = match self {
            Self::Replace { target, replacement, source, regex, cost } => {
                let source = labels.get(source);
                context.count_label_bytes(source.len().saturating_mul(*cost), span)?;
                let Some(captures) = regex.captures(source) else { return Ok((set, false)) };
                (target, expanded(replacement, &captures, context, span)?)
            }
            Self::Join { target, separator, sources } => {
                (target, joined(sources, separator, &labels, context, span)?)
            }
            Self::Wrong(_) => return Ok((set, false)),
        };
        let mut labels = labels.to_builder();
        labels.set(target, &value);
        Ok((context.sets.intern(labels.build()), target == METRIC_NAME))
    }
}

fn expanded(
    replacement: &[Piece],
    captures: &Captures<'_>,
    context: &mut Context<'_>,
    span: &Range<usize>,
) -> Result<String, EvalError> {
    let parts = replacement.iter().map(|piece| match piece {
        Piece::Text(text) => text.as_str(),
        Piece::Group(number) => captures.get(*number).map_or("", |caught| caught.as_str()),
    });
    admit(replacement.len(), parts.clone().map(str::len).sum(), context, span)?;
    Ok(parts.collect())
}

fn joined(
    sources: &[String],
    separator: &str,
    labels: &Labels,
    context: &mut Context<'_>,
    span: &Range<usize>,
) -> Result<String, EvalError> {
    let values: Vec<&str> = sources.iter().map(|source| labels.get(source)).collect();
    let separators = separator.len().saturating_mul(values.len().saturating_sub(1));
    let length = values.iter().map(|value| value.len()).sum::<usize>().saturating_add(separators);
    admit(values.len(), length, context, span)?;
    Ok(values.join(separator))
}

/// Counts a value that is about to be built of so many parts, and refuses one that is too long.
fn admit(
    parts: usize,
    length: usize,
    context: &mut Context<'_>,
    span: &Range<usize>,
) -> Result<(), EvalError> {
    if length > MAX_VALUE {
        let message = format!("a label value would be {length} bytes long; it may have at most {MAX_VALUE}");
        return Err(EvalError::limit(Some(span), message));
    }
    context.count_label_bytes(parts + length, span)
}

#[cfg(test)]
mod tests {
    use series::{Limits, Store};
    use telemetry::Timestamp;

    use super::*;
    use crate::{Query, Value};

    fn ask(text: &str) -> Result<Value, EvalError> {
        Query::new(text).unwrap().instant(&Store::new(Limits::default()), Timestamp::from_secs(30))
    }

    fn nested(depth: usize, inner: &str, open: &str, close: &str) -> String {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    }

    #[test]
    fn a_replacement_is_cut_as_the_regex_crate_cuts_it() {
        let regex = Regex::new("^(?s:(a)(?<n>b)?(?<x_1>c))$").unwrap();
        for replacement in [
            "$1",
            "$1$2$3",
            "${1}x$1x",
            "$$1",
            "$",
            "a$",
            "$ $1",
            "${",
            "${n",
            "${n}$n$x_1.",
            "$$$1",
            "$9$0",
            "é$n€",
            "$x_1$x_",
            "${no}",
            "$$",
            "",
        ] {
            for source in ["abc", "ac"] {
                let captures = regex.captures(source).unwrap();
                let mut expected = String::new();
                captures.expand(replacement, &mut expected);
                let found: String = pieces(replacement, &regex)
                    .iter()
                    .map(|piece| match piece {
                        Piece::Text(text) => text,
                        Piece::Group(number) => captures.get(*number).map_or("", |caught| caught.as_str()),
                    })
                    .collect();
                assert_eq!(found, expected, "{replacement}");
            }
        }
    }

    #[test]
    fn a_label_value_that_would_be_too_long_is_refused_before_it_is_built() {
        let start = r#"label_replace(vector(1),"a","xxxxxxxxxx","","")"#;
        let thousand = format!(r#","a","",{})"#, vec![r#""a""#; 1_000].join(","));
        let tenfold = format!(r#","a","{}","a","(.*)")"#, "$1".repeat(10));
        for (text, length) in [
            (nested(5, start, "label_join(", &thousand), 10_000_000),
            (nested(9, start, "label_replace(", &tenfold), 100_000),
            (format!(r#"label_join(vector(1),"a","{}","b","b","b")"#, "s".repeat(40_000)), 80_000),
        ] {
            let error = ask(&text).unwrap_err();
            let message = format!("a label value would be {length} bytes long; it may have at most 65536");
            assert_eq!(error.message, message);
            assert!(text[error.span.unwrap()].starts_with("label_"));
        }
        assert!(ask(&nested(3, start, "label_replace(", &tenfold)).is_ok());
    }

    #[test]
    fn a_regular_expression_that_would_take_much_memory_is_refused() {
        let text = r#"label_replace(vector(1),"a","$1","b","(\\w{1,50})")"#;
        assert_eq!(
            ask(text).unwrap_err().message,
            r"regular expression in label_replace() is over 1048576 bytes once compiled: (\w{1,50})"
        );
        assert!(ask(&text.replace("50", "8")).is_ok());
    }

    #[test]
    fn the_label_bytes_of_one_evaluation_are_limited() {
        let text = format!(
            r#"count_over_time(label_join(count_values("v", vector(time())),"a","{}","v","v")[1h:1s])"#,
            "s".repeat(40_000)
        );
        let error = ask(&text).unwrap_err();
        assert_eq!(
            error.message,
            "the query makes too many long labels: over 10000000 bytes, samples counted in"
        );
        assert!(text[error.span.unwrap()].starts_with("label_join"));
    }
}
