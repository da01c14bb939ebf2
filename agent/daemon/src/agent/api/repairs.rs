//! What would be done about an alert and why, what runs wait for, and how runbooks stand: answered by the thread that decides.

use promql::ast::ExprKind;
use remediation::Undecided;
use series::Matcher;
use telemetry::{Alert, AlertState, Labels, RunId};

use super::Facts;
use super::parameters::pairs;
use super::routes::Reply;
use crate::agent::remediate::RemediateStage;
use crate::clock;
use crate::run_report::{Wanted, reports};
use crate::status::{Decided, Explained};

/// Alerts that are explained at once.
const MOST_EXPLAINED: usize = 20;

pub(super) fn explain(facts: &Facts, query: &str) -> Reply {
    let alerts = match meant(facts, query) {
        Ok(alerts) => alerts,
        Err(error) => return Reply::error(400, &error),
    };
    let shared = facts.shared.clone();
    answered(facts, move |stage| {
        let explain = |(alert, fires): (Alert, bool)| Explained {
            alert: alert.labels.to_string(),
            fires,
            runbooks: stage.explain(&alert),
            lines: shared.lines_of(alert.name()).into_iter().map(Into::into).collect(),
        };
        Reply::json(200, &alerts.into_iter().map(explain).collect::<Vec<_>>())
    })
}

pub(super) fn plan(facts: &Facts, query: &str) -> Reply {
    let mut alerts = match meant(facts, query) {
        Ok(alerts) => alerts,
        Err(error) => return Reply::error(400, &error),
    };
    let (Some((alert, _)), []) = (alerts.pop(), alerts.as_slice()) else {
        return Reply::error(
            400,
            "several alerts are meant; add labels until it is one: name{label=\"value\"}",
        );
    };
    answered(facts, move |stage| match stage.plan(&alert) {
        Ok(plan) => Reply::json(200, &plan),
        Err(error) => Reply::error(404, &error),
    })
}

pub(super) fn standing(facts: &Facts, _query: &str) -> Reply {
    answered(facts, |stage| Reply::json(200, &stage.standings()))
}

pub(super) fn approve(facts: &Facts, query: &str, by: &str) -> Reply {
    let (mut run, mut approved, mut comment) = (None, true, String::new());
    let asked = match pairs(query) {
        Ok(asked) => asked,
        Err(error) => return Reply::error(400, &error),
    };
    for (name, value) in asked {
        match name.as_str() {
            "run" => run = Some(RunId(value)),
            "deny" => approved = value != "true",
            "comment" => comment = value,
            _ => return Reply::error(400, &format!("{name:?} is not understood: run, deny, comment")),
        }
    }
    let Some(run) = run else { return Reply::error(400, "name a run: run=ID") };
    let (by, state) = (by.to_owned(), facts.state.clone());
    answered(facts, move |stage| {
        let outcome = match stage.decide(&run, approved, &by, &comment) {
            Ok(outcome) => outcome,
            Err(error @ Undecided::Unknown(_)) => return Reply::error(404, &error.to_string()),
            Err(error @ Undecided::NotNow(_)) => return Reply::error(409, &error.to_string()),
        };
        let wanted = Wanted { run: Some(run.0.clone()), ..Wanted::default() };
        let report = reports(&state, &wanted).ok().and_then(|reports| reports.into_iter().next());
        let reason = outcome.and(report).and_then(|report| report.reason);
        let refused = outcome == Some(telemetry::RunOutcome::Refused);
        let outcome = outcome.map(|outcome| outcome.to_string());
        Reply::json(if refused { 422 } else { 200 }, &Decided { run: run.0, outcome, reason })
    })
}

/// What is done about an alert, or why nothing is.
pub(super) fn about(facts: &Facts, labels: &Labels) -> Option<String> {
    let silence = facts.shared.notify.notifier.silencing(labels);
    facts.shared.runs.about(labels, silence.is_some_and(|silence| silence.repairs))
}

/// Lets go on what held itself back over a target, or as a runbook.
pub(super) fn release(facts: &Facts, what: String, by: &str) -> Reply {
    let by = by.to_owned();
    answered(facts, move |stage| match stage.release(&what, &by) {
        Ok(()) => Reply::json(200, &serde_json::json!({ "released": what })),
        Err(error) => Reply::error(404, &error),
    })
}

fn answered(facts: &Facts, what: impl FnOnce(&mut RemediateStage) -> Reply + Send + 'static) -> Reply {
    let shared = &facts.shared;
    let answer = shared.orders.carry_out(|| shared.firing.wake(), what);
    answer.unwrap_or_else(|unanswered| Reply::error(503, unanswered.describe()))
}

/// The alerts that `?alert=` means, and whether they fire: those that do, or else one with just the labels that were given.
fn meant(facts: &Facts, query: &str) -> Result<Vec<(Alert, bool)>, String> {
    let text = match pairs(query)?.as_slice() {
        [(name, value)] if name == "alert" => value.clone(),
        _ => return Err("name an alert: alert=NAME, or alert=NAME{label=\"value\"}".to_owned()),
    };
    let matchers = matchers(&text)?;
    let matching =
        |alert: &Alert| matchers.iter().all(|matcher| matcher.matches(alert.labels.get(label(matcher))));
    let firing = facts.shared.firing.now().into_iter().filter(matching).take(MOST_EXPLAINED);
    let firing: Vec<(Alert, bool)> = firing.map(|alert| (alert, true)).collect();
    if !firing.is_empty() {
        return Ok(firing);
    }
    let equal = matchers.iter().filter(|matcher| matcher.op() == series::MatchOp::Equal);
    let labels: Labels = equal.map(|matcher| (label(matcher), matcher.value())).collect();
    Ok(vec![(Alert::new(labels, AlertState::Firing, clock::now()), false)])
}

/// `NAME{label="value"}`, or any selector of alerts.
fn matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let hint = "write an alert as NAME or NAME{label=\"value\"}";
    let parsed = promql::parse(text).map_err(|error| format!("{error}; {hint}"))?;
    match parsed.kind {
        ExprKind::Selector(selector) => Ok(selector.matchers),
        _ => Err(format!("{text:?} is no alert; {hint}")),
    }
}

/// The name before the braces is the alert's.
fn label(matcher: &Matcher) -> &str {
    if matcher.name() == "__name__" { "alertname" } else { matcher.name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_meant_by_its_name_and_labels() {
        let labels: Labels = [("alertname", "DiskFull"), ("path", "/srv")].into_iter().collect();
        for (text, meant) in [
            ("DiskFull", true),
            ("DiskFull{path=\"/srv\"}", true),
            ("DiskFull{path=~\"/s.*\"}", true),
            ("{path=\"/srv\"}", true),
            ("DiskFull{path=\"/\"}", false),
            ("WebDown", false),
        ] {
            let matchers = matchers(text).unwrap();
            let all = matchers.iter().all(|matcher| matcher.matches(labels.get(label(matcher))));
            assert_eq!(all, meant, "{text}");
        }
        assert!(matchers("DiskFull > 1").unwrap_err().contains("is no alert"));
        assert!(matchers("Disk Full").is_err());
    }
}
