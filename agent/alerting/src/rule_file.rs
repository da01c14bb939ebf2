//! Reads Prometheus' rule files, unchanged and strictly.
//!
//! What the file says is read as text with places; what comes out cannot be wrong, so evaluation never meets a bad
//! label or an expression that does not parse. All problems of a file come at once, apart from bad YAML, where the
//! first ends the reading. As in Prometheus only the first YAML document of a file counts.

mod text;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use documents::{Document, Problem, Review, Spanned, yaml};
use promql::{Query, ast::ValueType};
use telemetry::{AlertSource, METRIC_NAME};

use crate::brief::brief;
use crate::rule::{AlertingRule, OnMissing, RecordingRule, Rule, RuleGroup};
use crate::template::Template;
use text::{GroupText, Pairs, RuleFileText, RuleText};

/// Rules of a file that are named one by one because there is another like them; the others are counted.
const MAX_NAMED_DUPLICATES: usize = 100;

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
        let path = document.path();
        for group in file.unwrap_or_default().groups {
            if !names.insert(group.name.value.clone()) {
                let message =
                    format!("the group {:?} is there twice; name them apart", brief(&group.name.value));
                review.error(&group.name, message);
            }
            groups.push(read_group(&mut review, path, group));
        }
        warn_of_duplicates(&mut review, &groups);
        if review.has_errors() {
            return Err(sorted(review));
        }
        let groups = groups.into_iter().map(|group| RuleGroup {
            file: path.to_owned(),
            name: group.name,
            interval: group.interval,
            query_offset: group.query_offset,
            limit: group.limit,
            rules: group.rules.into_iter().filter_map(|found| found.rule).collect(),
        });
        Ok(Self { groups: groups.collect(), warnings: sorted(review) })
    }
}

struct Group {
    name: String,
    interval: Option<Duration>,
    query_offset: Duration,
    limit: Option<usize>,
    rules: Vec<Found>,
}

/// A rule with what tells it from others, and the place of its name.
struct Found {
    identity: (String, BTreeSet<(String, String)>),
    place: Range<usize>,
    rule: Option<Rule>,
}

/// What the rules of a group have in common.
struct Common<'a> {
    path: &'a Path,
    group: &'a str,
    labels: &'a Pairs,
    limit: Option<usize>,
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

fn read_group(review: &mut Review, path: &Path, group: GroupText) -> Group {
    if group.name.value.is_empty() {
        review.error(&group.name, "a group needs a name");
    }
    check_labels(review, &group.labels);
    // As in Prometheus: what is not above zero is none.
    let limit = group.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let interval = group.interval.and_then(|interval| review.duration(&interval));
    let query_offset = review.duration_or(group.query_offset.as_ref(), Duration::ZERO);
    // As in Prometheus: an interval of zero is none.
    let interval = interval.filter(|interval| !interval.is_zero());
    let common = Common { path, group: &group.name.value, labels: &group.labels, limit };
    let rules = group.rules.iter().map(|rule| read_rule(review, rule, &common)).collect();
    Group { name: group.name.value, interval, query_offset, limit, rules }
}

fn read_rule(review: &mut Review, rule: &Spanned<RuleText>, common: &Common<'_>) -> Found {
    let name = read_name(review, rule);
    let text = &rule.value;
    check_labels(review, &text.labels);
    let query = read_expr(review, text, &name);
    let labels = merged(common.labels, &text.labels);
    let identity = (name.text.clone(), labels.iter().map(texts).collect());
    let place = name.place.clone();
    let rule = if named(text.record.as_ref()) {
        recording(review, text, name, query, &labels, common).map(Rule::Recording)
    } else {
        alerting(review, text, name, query, &labels, common).map(Rule::Alerting)
    };
    Found { identity, place, rule }
}

fn read_name(review: &mut Review, rule: &Spanned<RuleText>) -> Name {
    let RuleText { alert, record, .. } = &rule.value;
    let (name, message) = match (alert, record) {
        (Some(alert), Some(record)) if !alert.value.is_empty() && !record.value.is_empty() => {
            (alert, "a rule is either an alert or a record, not both")
        }
        (Some(name), _) | (_, Some(name)) if !name.value.is_empty() => {
            return Name { text: name.value.clone(), place: yaml::range(name) };
        }
        (Some(alert), _) => (alert, "an alert needs a name"),
        (None, Some(record)) => (record, "a record needs a name"),
        (None, None) => {
            let start = yaml::range(rule).start;
            review.error_at(start..start + 1, "the rule needs `alert: NAME` or `record: NAME`");
            return Name { text: String::new(), place: start..start + 1 };
        }
    };
    review.error(name, message);
    Name { text: name.value.clone(), place: yaml::range(name) }
}

/// As in Prometheus: an empty name is none.
fn named(name: Option<&Spanned<String>>) -> bool {
    name.is_some_and(|name| !name.value.is_empty())
}

fn read_expr(review: &mut Review, text: &RuleText, name: &Name) -> Option<Query> {
    let Some(expr) = &text.expr else {
        review.error_at(name.place.clone(), "the rule needs `expr`");
        return None;
    };
    read_query(review, expr)
}

fn read_query(review: &mut Review, text: &Spanned<String>) -> Option<Query> {
    match Query::new(&text.value) {
        Ok(query) => match query.expr().value_type() {
            ValueType::Scalar | ValueType::Vector => Some(query),
            given @ (ValueType::Range | ValueType::String) => {
                let message =
                    format!("the expression gives a {given}; a rule needs an instant vector or a scalar");
                review.error(text, message);
                None
            }
        },
        Err(error) => {
            review.error_within(text, error.span, error.message).hint = error.hint;
            None
        }
    }
}

fn read_on_missing(review: &mut Review, text: &Spanned<String>) -> OnMissing {
    match text.value.as_str() {
        "keep" => OnMissing::Keep,
        "fire" => OnMissing::Fire,
        "clear" => OnMissing::Clear,
        other => {
            let message = format!(
                "{:?} is nothing that a rule does when series are missing; write keep, fire or clear",
                brief(other)
            );
            review.error(text, message);
            OnMissing::default()
        }
    }
}

fn alerting(
    review: &mut Review,
    text: &RuleText,
    name: Name,
    query: Option<Query>,
    labels: &[Pair<'_>],
    common: &Common<'_>,
) -> Option<AlertingRule> {
    for (name, _) in text.annotations.iter().filter(|(name, _)| name.value.is_empty()) {
        review.error(name, "an annotation needs a name");
    }
    let hold_for = review.duration_or(text.hold_for.as_ref(), Duration::ZERO);
    let keep_firing_for = review.duration_or(text.keep_firing_for.as_ref(), Duration::ZERO);
    let clear_when = text.clear_when.as_ref().map(|text| read_query(review, text));
    let on_missing = text.on_missing.as_ref().map(|text| read_on_missing(review, text));
    let source = AlertSource {
        file: common.path.to_owned(),
        group: common.group.to_owned(),
        expression: text.expr.as_ref().map(|expr| expr.value.clone()).unwrap_or_default(),
    };
    let mut template = |(name, value): Pair<'_>| (name.value.clone(), read_template(review, value));
    let labels: Vec<_> = labels.iter().copied().map(&mut template).collect();
    let annotations: Vec<_> = text.annotations.iter().map(&mut template).collect();
    Some(AlertingRule {
        name: name.text,
        query: query?,
        hold_for,
        keep_firing_for,
        clear_when: match clear_when {
            Some(query) => Some(Box::new(query?)),
            None => None,
        },
        on_missing: on_missing.unwrap_or_default(),
        source: source.into(),
        labels: all(labels)?,
        annotations: all(annotations)?,
        limit: common.limit,
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
    common: &Common<'_>,
) -> Option<RecordingRule> {
    if name.text.contains(['{', '}']) {
        let message = format!("{:?} is not a series name", brief(&name.text));
        review.error_at(name.place.clone(), message).hint =
            Some("give labels under `labels`, and a selector as `expr`".to_owned());
    }
    // As in Prometheus: a duration of zero is none.
    let mut lasting = |text: &Option<Spanned<String>>| {
        text.clone().filter(|text| review.duration(text).is_none_or(|duration| !duration.is_zero()))
    };
    let (hold_for, keep_firing_for) = (lasting(&text.hold_for), lasting(&text.keep_firing_for));
    for (key, present) in [
        ("for", hold_for.as_ref()),
        ("keep_firing_for", keep_firing_for.as_ref()),
        ("clear_when", text.clear_when.as_ref()),
        ("on_missing", text.on_missing.as_ref()),
        ("annotations", text.annotations.first().map(|(name, _)| name)),
    ] {
        if let Some(place) = present.filter(|_| !named(text.alert.as_ref())) {
            review.error(place, format!("a record takes no `{key}`; only an alert does"));
        }
    }
    let labels = labels.iter().map(texts).collect();
    Some(RecordingRule { name: name.text, query: query?, labels, limit: common.limit })
}

fn texts((name, value): &Pair<'_>) -> (String, String) {
    (name.value.clone(), value.value.clone())
}

/// The group's labels and the rule's; the rule's win.
fn merged<'a>(group: &'a Pairs, rule: &'a Pairs) -> Vec<Pair<'a>> {
    let own: HashSet<&str> = rule.iter().map(|(name, _)| name.value.as_str()).collect();
    group.iter().filter(|(name, _)| !own.contains(name.value.as_str())).chain(rule.iter()).collect()
}

fn check_labels(review: &mut Review, labels: &Pairs) {
    for (name, _) in labels.iter() {
        if name.value.is_empty() || name.value == METRIC_NAME {
            review.error(name, format!("{:?} is not a name that a label can have", brief(&name.value)));
        }
    }
}

fn warn_of_duplicates(review: &mut Review, groups: &[Group]) {
    let mut known = HashSet::new();
    let rules = groups.iter().flat_map(|group| &group.rules);
    let again = rules.filter(|found| !found.identity.0.is_empty() && !known.insert(&found.identity));
    let mut more = 0;
    for (number, found) in again.enumerate() {
        if number >= MAX_NAMED_DUPLICATES {
            more += 1;
            continue;
        }
        let message = format!(
            "another rule {:?} has the same labels; one would overwrite the other",
            brief(&found.identity.0)
        );
        let problem = Problem::at(review.document(), found.place.clone(), message).as_warning();
        review.add(problem);
    }
    if more > 0 {
        let message = format!("{more} more rules have the name and the labels of another");
        let problem = Problem::about(review.document().path(), message).as_warning();
        review.add(problem);
    }
}

#[cfg(test)]
mod tests;
