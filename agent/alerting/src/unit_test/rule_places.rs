//! Where in its file a rule stands that failed.

use std::ops::Range;

use documents::{Document, Spanned, yaml};
use serde::Deserialize;

use crate::{Failure, RuleError};

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: Spanned<String>,
}

/// The bytes of the rule's expression, or of the part of it that is to blame.
pub(super) fn expression(document: &Document, error: &RuleError) -> Option<Range<usize>> {
    let file: File = yaml::parse(document).ok()?;
    let rules =
        file.groups.into_iter().filter(|group| group.name == error.group).flat_map(|group| group.rules);
    let mut named = rules.filter(|rule| rule.record.as_ref().or(rule.alert.as_ref()) == Some(&error.rule));
    match &error.failure {
        Failure::Query { expression, source } => {
            let rule = named.find(|rule| rule.expr.value == *expression)?;
            let part = source.span.clone().unwrap_or(0..rule.expr.value.len());
            Some(yaml::range_within(document, &rule.expr, part))
        }
        _ => named.next().map(|rule| yaml::range(&rule.expr)),
    }
}
