//! `label_replace` and `label_join`: new labels from old ones, found once per label set.

use std::ops::Range;

use regex::Regex;
use telemetry::METRIC_NAME;

use super::{Context, Sample, VectorNode};
use crate::EvalError;
use crate::sets::{SetId, Sets, Table};

#[derive(Debug)]
enum Rule {
    Replace {
        target: String,
        replacement: String,
        source: String,
        regex: Regex,
    },
    Join {
        target: String,
        separator: String,
        sources: Vec<String>,
    },
    /// The arguments are wrong, which Prometheus finds out when the function is evaluated.
    Wrong(String),
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
            return Err(EvalError { span: Some(self.span.clone()), message: message.clone() });
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
                let found = self.rule.apply(sample.set, context.sets);
                self.known.set(sample.set, found);
                found
            };
            sample.set = set;
            sample.nameless &= !names;
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
    match Regex::new(&format!("^(?s:{pattern})$")) {
        Ok(regex) => Rule::Replace { target, replacement, source, regex },
        Err(_) => Rule::Wrong(format!("invalid regular expression in label_replace(): {pattern}")),
    }
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
    fn apply(&self, set: SetId, sets: &mut Sets) -> (SetId, bool) {
        let labels = sets.labels(set);
        let (target, value) = match self {
            Self::Replace { target, replacement, source, regex } => {
                let Some(captures) = regex.captures(labels.get(source)) else { return (set, false) };
                let mut value = String::new();
                captures.expand(replacement, &mut value);
                (target, value)
            }
            Self::Join { target, separator, sources } => {
                let values: Vec<&str> = sources.iter().map(|source| labels.get(source)).collect();
                (target, values.join(separator))
            }
            Self::Wrong(_) => return (set, false),
        };
        let mut labels = labels.to_builder();
        labels.set(target, &value);
        (sets.intern(labels.build()), target == METRIC_NAME)
    }
}
