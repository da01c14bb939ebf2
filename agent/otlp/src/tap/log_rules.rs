//! Log rules: which lines count, and under which labels.
//!
//! All patterns for bodies are matched in one pass, of no more than [`BODY_BYTES`] of each. Knows nothing of where lines
//! come from, and keeps no counts: [`LogTap`](super::LogTap) does.

mod label;

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use label::Part;
pub(super) use label::{Line, MaskedLine, Values};

/// How much of a text is looked at: what matters in a line stands in front, and a body may be as long as a request.
pub(super) const BODY_BYTES: usize = 16 * 1024;

/// How much memory the patterns may take once compiled.
const COMPILED_BYTES: usize = 4 << 20;

/// Each is a factor of how many series there can be.
const MAX_LABELS: usize = 8;

/// Labels that are said by who counts.
const RESERVED: [&str; 7] = [
    "log.rule.name",
    "log_rule_name",
    "hostmend.origin",
    "hostmend_origin",
    "otel.metric.overflow",
    "otel_metric_overflow",
    "__name__",
];

/// Which lines one counter counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRule {
    /// What the counter is called.
    pub name: String,
    /// A regular expression, looked for anywhere in the text.
    pub pattern: String,
    /// The least `SeverityNumber`, 1 to 24; 0 counts records of every severity and of none.
    pub severity: i32,
    /// Whose lines count: names of sources, or `otlp:` and a listener, with `*` and `?`. Empty for all.
    pub sources: Vec<String>,
    /// The attribute that the pattern is looked for in, instead of the body.
    pub field: Option<String>,
    /// Labels by their names. In the values `${name}` is what the group of this name has found, or else the attribute.
    pub labels: Vec<(String, String)>,
    /// How many series the labels may make of the lines of one source.
    pub max_series: usize,
}

impl LogRule {
    /// How many series the labels may make of the lines of one source, unless the rule says otherwise.
    pub const DEFAULT_MAX_SERIES: usize = 100;

    /// A rule for every line in which `pattern` is found, with no labels.
    pub fn new(name: &str, pattern: &str) -> Self {
        Self {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
            severity: 0,
            sources: Vec::new(),
            field: None,
            labels: Vec::new(),
            max_series: Self::DEFAULT_MAX_SERIES,
        }
    }

    /// Whether lines of this source count.
    pub fn counts(&self, source: &str) -> bool {
        self.sources.is_empty()
            || self.sources.iter().any(|glob| is_named(glob.as_bytes(), source.as_bytes()))
    }

    /// How many series it can make of the lines of one source.
    pub fn most_series(&self) -> usize {
        // What finds no room is one more.
        if self.labels.is_empty() { 1 } else { self.max_series + 1 }
    }
}

/// Whether `*` for any bytes and `?` for one make the name of the glob. After a star that took too little, it takes one more.
fn is_named(glob: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from, mut star) = (0, 0, None);
    while let Some(byte) = name.get(from) {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(expected) if expected == byte || *expected == b'?' => (at, from) = (at + 1, from + 1),
            _ => {
                let Some((of_star, taken)) = star else { return false };
                star = Some((of_star, taken + 1));
                (at, from) = (of_star + 1, taken + 1);
            }
        }
    }
    glob.get(at..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// A rule that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogRuleError {
    /// The pattern is no regular expression.
    #[error("the pattern is no regular expression: {reason}")]
    Syntax {
        /// Which part of the pattern is wrong, in bytes.
        place: Range<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// Together the patterns take too much memory.
    #[error("the patterns together take more than {COMPILED_BYTES} bytes once compiled; make them simpler")]
    TooLarge,
    /// A label cannot be made.
    #[error("the label {label:?} {reason}")]
    Label {
        /// Its name.
        label: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What a rule is beyond what is written.
#[derive(Debug)]
struct Compiled {
    /// Where the pattern is not looked for in bodies, or its groups are asked for.
    alone: Option<Regex>,
    labels: Vec<Vec<Part>>,
}

impl Compiled {
    fn write_labels(&self, text: &[u8], line: &impl Line, values: &mut Values) {
        values.clear();
        if self.labels.is_empty() {
            return;
        }
        let captures = self.alone.as_ref().and_then(|alone| alone.captures(text));
        for parts in &self.labels {
            values.push(parts, captures.as_ref(), line);
        }
    }
}

/// Rules ready for use. Shared by the taps of all origins.
#[derive(Debug)]
pub struct LogRules {
    rules: Vec<LogRule>,
    compiled: Vec<Compiled>,
    /// The patterns of rules about bodies.
    bodies: RegexSet,
    /// The rule of each of them.
    of_bodies: Vec<usize>,
    /// The rules about attributes.
    of_attributes: Vec<usize>,
    /// The least severity of all.
    severity: i32,
}

/// The same rules count the same.
impl PartialEq for LogRules {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl LogRules {
    /// Compiles the patterns.
    ///
    /// # Errors
    ///
    /// One of them is no regular expression, together they are too large, or a label cannot be made.
    pub fn new(rules: Vec<LogRule>) -> Result<Self, LogRuleError> {
        rules.iter().try_for_each(|rule| parse(&rule.pattern))?;
        let compiled = rules.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        let (of_bodies, of_attributes): (Vec<usize>, Vec<usize>) =
            (0..rules.len()).partition(|at| rules.get(*at).is_some_and(|rule| rule.field.is_none()));
        let patterns = of_bodies.iter().filter_map(|at| rules.get(*at)).map(|rule| &rule.pattern);
        // What can be parsed can be compiled, unless it is too large.
        let bodies = RegexSetBuilder::new(patterns)
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(COMPILED_BYTES)
            .build()
            .map_err(|_| LogRuleError::TooLarge)?;
        let severity = rules.iter().map(|rule| rule.severity).min().unwrap_or(0);
        Ok(Self { rules, compiled, bodies, of_bodies, of_attributes, severity })
    }

    /// The rules, in the order of their counts.
    pub fn rules(&self) -> &[LogRule] {
        &self.rules
    }

    /// Calls `found` with each rule that a line satisfies, and what its labels are.
    pub(super) fn find(
        &self,
        line: &impl Line,
        values: &mut Values,
        mut found: impl FnMut(usize, &LogRule, &mut Values),
    ) {
        let severity = line.severity();
        if severity < self.severity {
            return;
        }
        let body = line.body();
        // Most lines match nothing, and a set can tell that sooner than which of its patterns match.
        if !self.of_bodies.is_empty() && self.bodies.is_match(body) {
            for at in self.bodies.matches(body).iter().filter_map(|at| self.of_bodies.get(at)) {
                self.satisfied(*at, body, line, values, &mut found);
            }
        }
        for at in &self.of_attributes {
            let field = self.rules.get(*at).and_then(|rule| rule.field.as_deref()).unwrap_or_default();
            let Some(text) = label::attribute(line, field) else { continue };
            let alone = self.compiled.get(*at).and_then(|compiled| compiled.alone.as_ref());
            if alone.is_some_and(|alone| alone.is_match(&text)) {
                self.satisfied(*at, &text, line, values, &mut found);
            }
        }
    }

    fn satisfied(
        &self,
        at: usize,
        text: &[u8],
        line: &impl Line,
        values: &mut Values,
        found: &mut impl FnMut(usize, &LogRule, &mut Values),
    ) {
        let (Some(rule), Some(compiled)) = (self.rules.get(at), self.compiled.get(at)) else { return };
        if line.severity() < rule.severity {
            return;
        }
        compiled.write_labels(text, line, values);
        found(at, rule, values);
    }

    /// What the labels of the rule at this place are for a line that satisfied it in another form.
    pub(super) fn label(&self, at: usize, line: &impl Line, values: &mut Values) {
        let (Some(rule), Some(compiled)) = (self.rules.get(at), self.compiled.get(at)) else { return };
        match &rule.field {
            None => compiled.write_labels(line.body(), line, values),
            Some(field) => {
                let text = label::attribute(line, field).unwrap_or_default();
                compiled.write_labels(&text, line, values);
            }
        }
    }
}

fn compile(rule: &LogRule) -> Result<Compiled, LogRuleError> {
    let refuse = |label: &str, reason| LogRuleError::Label { label: label.to_owned(), reason };
    let alone = if rule.field.is_some() || !rule.labels.is_empty() {
        let built = RegexBuilder::new(&rule.pattern).size_limit(COMPILED_BYTES).build();
        Some(built.map_err(|_| LogRuleError::TooLarge)?)
    } else {
        None
    };
    let mut labels = Vec::new();
    for (number, (name, value)) in rule.labels.iter().enumerate() {
        if RESERVED.contains(&name.as_str()) {
            return Err(refuse(name, "is said by hostmend; choose another name"));
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
        {
            return Err(refuse(name, "is no name: letters, digits, dots and underscores make one"));
        }
        let spelled = |name: &str| name.replace('.', "_");
        if rule.labels.iter().take(number).any(|(other, _)| spelled(other) == spelled(name)) {
            return Err(refuse(name, "is there twice as Prometheus spells it, with underscores for dots"));
        }
        if number >= MAX_LABELS {
            return Err(refuse(name, "is one too many; a rule has 8 at most"));
        }
        let parts = label::parts(value, alone.as_ref());
        labels.push(parts.ok_or_else(|| refuse(name, "has a `${` without a name and a `}` after it"))?);
    }
    Ok(Compiled { alone, labels })
}

/// Says where a pattern is wrong, which its compiler only draws.
fn parse(pattern: &str) -> Result<(), LogRuleError> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    let Err(error) = parser.parse(pattern) else { return Ok(()) };
    let (span, reason) = match &error {
        regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
        other => return Err(LogRuleError::Syntax { place: 0..pattern.len(), reason: other.to_string() }),
    };
    Err(LogRuleError::Syntax { place: span.start.offset..span.end.offset, reason })
}

#[cfg(test)]
mod tests;
