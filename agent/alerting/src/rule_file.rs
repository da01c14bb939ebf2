//! Reads Prometheus' rule files, unchanged and strictly.
//!
//! What the file says is read as text with places; what comes out cannot be wrong, so evaluation never meets a bad
//! label or an expression that does not parse. All problems of a file come at once, apart from bad YAML, where the
//! first ends the reading. As in Prometheus only the first YAML document of a file counts.

mod text;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::time::Duration;

use documents::{Document, Problem, Review, Spanned, yaml};
use promql::{Query, ast::ValueType};
use telemetry::METRIC_NAME;

use crate::brief::brief;
use crate::rule::{AlertingRule, RecordingRule, Rule, RuleGroup};
use crate::template::Template;
use text::{GroupText, Pairs, RuleFileText, RuleText};

/// The groups of one file.
#[derive(Debug)]
pub struct RuleFile {
    /// In the order of the file.
    pub groups: Vec<RuleGroup>,
    /// What is probably not as meant.
    pub warnings: Vec<Problem>,
}

impl RuleFile {
    /// Reads a rule file.
    ///
    /// # Errors
    ///
    /// Every problem of the file, warnings included, in the order of the file; at least one is an error.
    pub fn read(document: &Document) -> Result<Self, Vec<Problem>> {
        let mut review = Review::new(document);
        let first = first_yaml_document(document, &mut review);
        let file: Option<RuleFileText> = match yaml::parse(&first) {
            Ok(file) => file,
            Err(problem) => {
                review.add(problem);
                return Err(sorted(review));
            }
        };
        let mut names = HashSet::new();
        let mut groups = Vec::new();
        for group in file.unwrap_or_default().groups {
            if !names.insert(group.name.value.clone()) {
                let message =
                    format!("the group {:?} is there twice; name them apart", brief(&group.name.value));
                review.error(&group.name, message);
            }
            groups.push(read_group(&mut review, group));
        }
        warn_of_duplicates(&mut review, &groups);
        if review.has_errors() {
            return Err(sorted(review));
        }
        let file = document.path();
        let groups = groups.into_iter().map(|group| RuleGroup {
            file: file.to_owned(),
            name: group.name,
            interval: group.interval,
            query_offset: group.query_offset,
            rules: group.rules.into_iter().filter_map(|found| found.rule).collect(),
        });
        Ok(Self { groups: groups.collect(), warnings: sorted(review) })
    }
}

struct Group {
    name: String,
    interval: Option<Duration>,
    query_offset: Duration,
    rules: Vec<Found>,
}

/// A rule with what tells it from others, and the place of its name.
struct Found {
    identity: (String, BTreeSet<(String, String)>),
    place: Range<usize>,
    rule: Option<Rule>,
}

/// A label or an annotation.
type Pair<'a> = (&'a Spanned<String>, &'a Spanned<String>);

/// Where a rule is named, and how.
struct Name {
    text: String,
    place: Range<usize>,
}

/// All problems in the order of the file; one that several rules have in common, as in a group's label, once.
fn sorted(review: Review) -> Vec<Problem> {
    let place = |problem: &Problem| problem.place().map(|place| (place.line, place.column));
    let mut placed: Vec<_> = review.into_problems().into_iter().map(|it| (place(&it), it)).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed
        .dedup_by(|(place, one), (other_place, other)| place == other_place && one.message == other.message);
    placed.into_iter().map(|(_, problem)| problem).collect()
}

/// The document without what follows its first `---` after content. Block scalars are indented, so a line that begins
/// with `---` always begins a YAML document.
fn first_yaml_document(document: &Document, review: &mut Review) -> Document {
    let mut content = false;
    let mut at = 0;
    for line in document.text().split_inclusive('\n') {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker && content {
            let message = "only the first YAML document of a rule file is read; move these groups into it";
            review.add(Problem::at(document, at..at + 3, message).as_warning());
            return Document::from_text(document.path(), document.text().get(..at).unwrap_or(""));
        }
        content |= !marker && !line.trim().is_empty() && !line.starts_with(['#', '%']);
        at += line.len();
    }
    document.clone()
}

fn read_group(review: &mut Review, group: GroupText) -> Group {
    if group.name.value.is_empty() {
        review.error(&group.name, "a group needs a name");
    }
    check_names(review, &group.labels, "label");
    let limit = group.limit.and_then(|limit| match usize::try_from(limit.value) {
        Ok(0) => None,
        Ok(limit) => Some(limit),
        Err(_) => {
            review.error(&limit, "a limit is a number of alerts or series; 0 is none");
            None
        }
    });
    let interval = group.interval.and_then(|interval| review.duration(&interval));
    let query_offset = review.duration_or(group.query_offset.as_ref(), Duration::ZERO);
    let rules = group.rules.into_iter().map(|rule| read_rule(review, &rule, &group.labels, limit)).collect();
    // As in Prometheus: an interval of zero is none.
    let interval = interval.filter(|interval| !interval.is_zero());
    Group { name: group.name.value, interval, query_offset, rules }
}

fn read_rule(
    review: &mut Review,
    rule: &Spanned<RuleText>,
    group_labels: &Pairs,
    limit: Option<usize>,
) -> Found {
    let name = read_name(review, rule);
    let text = &rule.value;
    check_names(review, &text.labels, "label");
    let query = read_query(review, text, &name);
    let labels = merged(group_labels, &text.labels);
    let identity = (name.text.clone(), labels.iter().map(texts).collect());
    let place = name.place.clone();
    let rule = if text.record.is_some() {
        recording(review, text, name, query, &labels, limit).map(Rule::Recording)
    } else {
        alerting(review, text, name, query, &labels, limit).map(Rule::Alerting)
    };
    Found { identity, place, rule }
}

fn read_name(review: &mut Review, rule: &Spanned<RuleText>) -> Name {
    let (name, message) = match (&rule.value.alert, &rule.value.record) {
        (Some(alert), Some(_)) => (alert, "a rule is either an alert or a record, not both"),
        (Some(alert), None) if alert.value.is_empty() => (alert, "an alert needs a name"),
        (None, Some(record)) if record.value.is_empty() => (record, "a record needs a name"),
        (Some(name), None) | (None, Some(name)) => {
            return Name { text: name.value.clone(), place: yaml::range(name) };
        }
        (None, None) => {
            let start = yaml::range(rule).start;
            review.error_at(start..start + 1, "the rule needs `alert: NAME` or `record: NAME`");
            return Name { text: String::new(), place: start..start + 1 };
        }
    };
    review.error(name, message);
    Name { text: name.value.clone(), place: yaml::range(name) }
}

fn read_query(review: &mut Review, text: &RuleText, name: &Name) -> Option<Query> {
    let Some(expr) = &text.expr else {
        review.error_at(name.place.clone(), "the rule needs `expr`");
        return None;
    };
    match Query::new(&expr.value) {
        Ok(query) => match query.expr().value_type() {
            ValueType::Scalar | ValueType::Vector => Some(query),
            given @ (ValueType::Range | ValueType::String) => {
                let message =
                    format!("the expression gives a {given}; a rule needs an instant vector or a scalar");
                review.error(expr, message);
                None
            }
        },
        Err(error) => {
            review.error_within(expr, error.span, error.message).hint = error.hint;
            None
        }
    }
}

fn alerting(
    review: &mut Review,
    text: &RuleText,
    name: Name,
    query: Option<Query>,
    labels: &[Pair<'_>],
    limit: Option<usize>,
) -> Option<AlertingRule> {
    check_names(review, &text.annotations, "annotation");
    let hold_for = review.duration_or(text.hold_for.as_ref(), Duration::ZERO);
    let keep_firing_for = review.duration_or(text.keep_firing_for.as_ref(), Duration::ZERO);
    let mut template = |(name, value): Pair<'_>| (name.value.clone(), read_template(review, value));
    let labels: Vec<_> = labels.iter().copied().map(&mut template).collect();
    let annotations: Vec<_> = text.annotations.iter().map(&mut template).collect();
    Some(AlertingRule {
        name: name.text,
        query: query?,
        hold_for,
        keep_firing_for,
        labels: all(labels)?,
        annotations: all(annotations)?,
        limit,
    })
}

fn all(pairs: Vec<(String, Option<Template>)>) -> Option<Vec<(String, Template)>> {
    pairs.into_iter().map(|(name, template)| Some((name, template?))).collect()
}

fn read_template(review: &mut Review, value: &Spanned<String>) -> Option<Template> {
    match Template::parse(&value.value) {
        Ok(template) => Some(template),
        Err(error) => {
            review.error_within(value, error.span, error.message).hint = error.hint;
            None
        }
    }
}

fn recording(
    review: &mut Review,
    text: &RuleText,
    name: Name,
    query: Option<Query>,
    labels: &[Pair<'_>],
    limit: Option<usize>,
) -> Option<RecordingRule> {
    if name.text.contains(['{', '}']) {
        let message = format!("{:?} is not a series name", brief(&name.text));
        review.error_at(name.place.clone(), message).hint =
            Some("give labels under `labels`, and a selector as `expr`".to_owned());
    }
    for (key, present) in [
        ("for", text.hold_for.as_ref()),
        ("keep_firing_for", text.keep_firing_for.as_ref()),
        ("annotations", text.annotations.first().map(|(name, _)| name)),
    ] {
        if let Some(place) = present.filter(|_| text.alert.is_none()) {
            review.error(place, format!("a record takes no `{key}`; only an alert does"));
        }
    }
    let labels = labels.iter().map(texts).collect();
    Some(RecordingRule { name: name.text, query: query?, labels, limit })
}

fn texts((name, value): &Pair<'_>) -> (String, String) {
    (name.value.clone(), value.value.clone())
}

/// The group's labels and the rule's; the rule's win.
fn merged<'a>(group: &'a Pairs, rule: &'a Pairs) -> Vec<Pair<'a>> {
    let own: HashSet<&str> = rule.iter().map(|(name, _)| name.value.as_str()).collect();
    group.iter().filter(|(name, _)| !own.contains(name.value.as_str())).chain(rule.iter()).collect()
}

fn check_names(review: &mut Review, pairs: &Pairs, kind: &str) {
    for (name, _) in pairs.iter() {
        if name.value.is_empty() || name.value == METRIC_NAME {
            review.error(name, format!("{:?} is not a name that a {kind} can have", brief(&name.value)));
        }
    }
}

fn warn_of_duplicates(review: &mut Review, groups: &[Group]) {
    let mut known = HashSet::new();
    for found in groups.iter().flat_map(|group| &group.rules) {
        if !found.identity.0.is_empty() && !known.insert(&found.identity) {
            let message = format!(
                "another rule {:?} has the same labels; one would overwrite the other",
                brief(&found.identity.0)
            );
            let problem = Problem::at(review.document(), found.place.clone(), message).as_warning();
            review.add(problem);
        }
    }
}

#[cfg(test)]
mod tests;
