//! Whether alerts and samples are the ones that a test expects.

use std::collections::BTreeMap;

use documents::Problem;
use promql::script::{Difference, Entry, differences};
use promql::{ParseError, Query, Value};
use telemetry::{Alert, AlertState, Labels, format_duration};

use super::rounds::Run;
use super::{AlertTest, AlertTexts, Check, CheckFailure, ExprTest, read};
use crate::ALERT_NAME;
use crate::brief::brief;

pub(super) fn alert_title(test: &AlertTest) -> String {
    format!("alert {} at {}", brief(&test.name), format_duration(test.at))
}

pub(super) fn expression_title(test: &ExprTest) -> String {
    format!("{} at {}", brief(&test.expr.value), format_duration(test.at))
}

/// Alerts of one name over all groups, compared as a whole.
pub(super) fn alert(run: &Run<'_>, test: &AlertTest) -> Check {
    let mut failure = None;
    let wanted = [(AlertState::Firing, Some(&test.firing)), (AlertState::Pending, test.pending.as_ref())];
    for (state, expected) in wanted {
        let Some(expected) = expected else { continue };
        let active = run.groups.iter().flat_map(|timed| timed.group.active_alerts());
        let found = active.filter(|alert| alert.state == state && alert.name() == test.name).map(texts);
        let (mut expected, mut found) = (expected.clone(), found.collect::<Vec<_>>());
        expected.sort();
        found.sort();
        if expected != found && failure.is_none() {
            let expected: Vec<Entry> = expected.iter().map(alert_entry).collect();
            let found: Vec<Entry> = found.iter().map(alert_entry).collect();
            failure = Some(CheckFailure {
                problem: Problem::at(
                    &run.file.document,
                    test.place.clone(),
                    format!(
                        "{} {state} {} expected at {}, {} found",
                        expected.len(),
                        if expected.len() == 1 { "alert is" } else { "alerts are" },
                        format_duration(test.at),
                        found.len(),
                    ),
                ),
                differences: differences(&expected, &found),
                follows: false,
            });
        }
    }
    Check { title: alert_title(test), failure }
}

fn texts(alert: &Alert) -> AlertTexts {
    let labels = alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    AlertTexts { labels: labels.collect(), annotations: alert.annotations.clone() }
}

fn alert_entry(alert: &AlertTexts) -> Entry {
    let shown = alert.labels.iter().filter(|(name, _)| *name != ALERT_NAME);
    let shown: Vec<String> = shown.map(|(name, value)| format!("{name}={value:?}")).collect();
    let labels = alert.labels.iter().map(|(name, value)| (format!("label {name}"), format!("{value:?}")));
    let annotations =
        alert.annotations.iter().map(|(name, text)| (format!("annotation {name}"), format!("{text:?}")));
    Entry { fields: labels.chain(annotations).collect(), title: format!("{{{}}}", shown.join(", ")) }
}

/// What an expression gives after all rounds.
pub(super) fn expression(run: &Run<'_>, test: &ExprTest) -> Check {
    let failure = match (&test.refused, ask(run, test)) {
        (Some(problem), _) => Some(problem.clone().into()),
        (None, Err(error)) => Some(read::problem(&run.file.document, &test.expr, error).into()),
        (None, Ok(found)) => compare(run, test, found),
    };
    Check { title: expression_title(test), failure }
}

fn ask(run: &Run<'_>, test: &ExprTest) -> Result<Vec<(Labels, f64)>, ParseError> {
    let query_text = &test.expr.value;
    let whole = |message: String| ParseError { span: 0..query_text.len(), message, hint: None };
    let mut query = Query::new(query_text)?;
    query.set_subquery_step(run.file.interval);
    match query.instant(&run.store, run.test.start.plus(test.at)) {
        Ok(Value::Vector(samples)) => {
            Ok(samples.into_iter().map(|sample| (sample.labels, sample.value)).collect())
        }
        Ok(Value::Scalar(value)) => Ok(vec![(Labels::empty(), value)]),
        Ok(Value::Matrix(_) | Value::String(_)) => {
            Err(whole("the expression gives neither an instant vector nor a scalar".to_owned()))
        }
        Err(error) => {
            Err(ParseError { span: error.span.unwrap_or(0..query_text.len()), ..whole(error.message) })
        }
    }
}

/// Exactly, or with the last bit left out. As in promtool NaN equals nothing.
fn compare(run: &Run<'_>, test: &ExprTest, mut found: Vec<(Labels, f64)>) -> Option<CheckFailure> {
    let fuzzy = run.file.fuzzy;
    #[expect(clippy::float_cmp, reason = "what is expected is written with all its digits")]
    let same = |a: f64, b: f64| a == b || (fuzzy && (a.next_up() == b || a.next_down() == b));
    let mut expected = test.samples.clone();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let right = expected.len() == found.len()
        && expected.iter().zip(&found).all(|(a, b)| a.0 == b.0 && same(a.1, b.1));
    if right {
        return None;
    }
    for (labels, value) in &mut expected {
        let own = found.iter().find(|(other, own)| other == labels && same(*value, *own));
        *value = own.map_or(*value, |(_, own)| *own);
    }
    let place = read::first_line(&run.file.document, &test.expr);
    let message = format!("the expression gives something else at {}", format_duration(test.at));
    let mut problem = Problem::at(&run.file.document, place, message);
    if expected.iter().any(|(_, value)| value.is_nan()) {
        problem =
            problem.with_hint("NaN equals nothing, as in promtool; expect no sample of `x == x` instead");
    }
    let entries = |all: &[(Labels, f64)]| all.iter().map(sample_entry).collect::<Vec<_>>();
    let differences: Vec<Difference> = differences(&entries(&expected), &entries(&found));
    Some(CheckFailure { problem, differences, follows: false })
}

fn sample_entry((labels, value): &(Labels, f64)) -> Entry {
    let mut fields: BTreeMap<String, String> =
        labels.iter().map(|(name, value)| (format!("label {name}"), format!("{value:?}"))).collect();
    fields.insert("value".to_owned(), value.to_string());
    Entry { fields, title: format!("{labels} {value}") }
}
