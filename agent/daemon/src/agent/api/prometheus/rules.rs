//! The rules and their alerts, as the agent judges by them now.

use std::collections::BTreeSet;

use alerting::{GroupView, KindView, RuleView};
use series::Matcher;
use telemetry::AlertState;

use super::super::routes::Reply;
use super::super::{Facts, repairs};
use super::Question;
use super::failure::{Failure, answer};
use super::json::{Body, Json};
use super::parameters::Parameters;
use super::select::selectors;
use crate::agent::MOST_WITH_LINES;

pub(in super::super) fn rules(facts: &Facts, question: &Question) -> Reply {
    answer(facts, || {
        let wanted = Wanted::read(&Parameters::read(question)?)?;
        listed(views(facts), &wanted)
    })
}

pub(in super::super) fn alerts(facts: &Facts, _: &Question) -> Reply {
    answer(facts, || active(&views(facts)))
}

fn views(facts: &Facts) -> Vec<GroupView> {
    let mut views: Vec<GroupView> =
        facts.shared.groups.read(|groups| groups.iter().map(|judged| judged.group.view()).collect());
    let rules = views.iter_mut().flat_map(|group| &mut group.rules);
    let alerts = rules.filter_map(|rule| match &mut rule.kind {
        KindView::Alerting(view) => Some(&mut view.alerts),
        KindView::Recording => None,
    });
    let held = facts.shared.notify.notifier.held();
    let mut firing = 0;
    for alert in alerts.flatten() {
        alert.held_until = held.get(&alert.labels).copied();
        let silence = facts.shared.notify.notifier.silencing(&alert.labels);
        alert.silenced_by = silence.into_iter().map(|silence| silence.id).collect();
        if alert.state == AlertState::Firing {
            alert.repair = repairs::about(facts, &alert.labels);
            firing += 1;
            if firing <= MOST_WITH_LINES {
                alert.lines = facts.shared.lines_of(alert.labels.get("alertname"));
            }
        }
    }
    views
}

/// Which rules are asked for.
#[derive(Debug, Default)]
struct Wanted {
    alerting: bool,
    recording: bool,
    without_alerts: bool,
    names: BTreeSet<String>,
    groups: BTreeSet<String>,
    files: BTreeSet<String>,
    selectors: Vec<Vec<Matcher>>,
}

impl Wanted {
    fn read(parameters: &Parameters) -> Result<Self, Failure> {
        let kind = parameters.first("type").to_ascii_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            return Err(Failure::parameter("type", &format!("not supported value {kind:?}")));
        }
        let without_alerts = match parameters.first("exclude_alerts") {
            "" | "false" | "0" => false,
            "true" | "1" => true,
            other => {
                let why = format!("converting exclude_alerts: {other:?} is neither true nor false");
                return Err(Failure::parameter("exclude_alerts", &why));
            }
        };
        let texts = |name| parameters.all(name).map(str::to_owned).collect();
        Ok(Self {
            alerting: kind != "record",
            recording: kind != "alert",
            without_alerts,
            names: texts("rule_name[]"),
            groups: texts("rule_group[]"),
            files: texts("file[]"),
            selectors: selectors(parameters)?,
        })
    }

    fn group(&self, group: &GroupView) -> bool {
        let file = group.file.to_string_lossy();
        (self.groups.is_empty() || self.groups.contains(&group.name))
            && (self.files.is_empty() || self.files.contains(file.as_ref()))
    }

    fn rule(&self, rule: &RuleView) -> bool {
        let kind = match rule.kind {
            KindView::Alerting(_) => self.alerting,
            KindView::Recording => self.recording,
        };
        let value = |matcher: &Matcher| rule.labels.get(matcher.name()).map_or("", String::as_str);
        let selected =
            |matchers: &Vec<Matcher>| matchers.iter().all(|matcher| matcher.matches(value(matcher)));
        kind && (self.names.is_empty() || self.names.contains(&rule.name))
            && (self.selectors.is_empty() || self.selectors.iter().any(selected))
    }
}

/// A group of which no rule is asked for is left out.
fn listed(groups: Vec<GroupView>, wanted: &Wanted) -> Result<Body, Failure> {
    let groups = groups.into_iter().filter(|group| wanted.group(group)).filter_map(|mut group| {
        let had_none = group.rules.is_empty();
        group.rules.retain(|rule| wanted.rule(rule));
        if wanted.without_alerts {
            group.rules.iter_mut().for_each(forget_alerts);
        }
        (had_none || !group.rules.is_empty()).then_some(group)
    });
    Json::success(|json| {
        json.raw(r#"{"groups":"#).list(groups, |json, group| json.value(&group))?;
        json.raw("}").fits()
    })
}

fn forget_alerts(rule: &mut RuleView) {
    if let KindView::Alerting(view) = &mut rule.kind {
        view.alerts.clear();
        view.resolved.clear();
    }
}

/// The alerts that are pending or fire.
fn active(groups: &[GroupView]) -> Result<Body, Failure> {
    let alerts = groups.iter().flat_map(|group| &group.rules).filter_map(|rule| match &rule.kind {
        KindView::Alerting(view) => Some(&view.alerts),
        KindView::Recording => None,
    });
    Json::success(|json| {
        json.raw(r#"{"alerts":"#).list(alerts.flatten(), Json::value)?;
        json.raw("}").fits()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use alerting::{Defaults, GroupState, RuleFile};
    use documents::Document;
    use series::Store;
    use std::time::Duration;
    use telemetry::Timestamp;

    use super::*;

    const RULES: &str = "groups:\n- name: g\n  limit: 5\n  rules:\n  \
        - { alert: Always, expr: 'vector(2) > 1', labels: { severity: page }, annotations: { summary: 'is {{ $value }}' } }\n  \
        - { alert: Later, expr: vector(1), for: 1h, keep_firing_for: 5m }\n  \
        - { record: 'a:b', expr: vector(1) + 1, labels: { x: y } }\n  \
        - { record: 'bad:b', expr: 'label_replace(a:b, \"x\", \"\", \"\", \"\") or a:b' }\n\
        - name: empty\n  rules: []\n";

    fn groups() -> Vec<GroupView> {
        let file = RuleFile::read(&Document::from_text(Path::new("rules.yaml"), RULES)).unwrap();
        let defaults = Defaults { interval: Duration::from_secs(15), externals: std::sync::Arc::default() };
        let at = Timestamp::from_secs(1_795_296_430);
        let mut store = Store::default();
        let states = file.groups.into_iter().map(|group| GroupState::new(group, &defaults, at));
        states
            .map(|mut group| {
                group.evaluate(&mut store, at, &mut || Duration::ZERO);
                group.view()
            })
            .collect()
    }

    fn asked(query: &str) -> Result<serde_json::Value, Failure> {
        let question = Question { query: query.to_owned(), ..Question::default() };
        let body = listed(groups(), &Wanted::read(&Parameters::read(&question)?)?)?;
        Ok(serde_json::from_str::<serde_json::Value>(&body.0).unwrap()["data"]["groups"].clone())
    }

    /// Takes away what Prometheus does not say.
    fn without_ours(value: &mut serde_json::Value) {
        const OURS: [&str; 12] = [
            "evaluations",
            "matchesNothing",
            "origins",
            "onMissing",
            "clearWhen",
            "resolved",
            "flapScore",
            "flapping",
            "firedAt",
            "resolvedAt",
            "missedEvaluations",
            "sourceFile",
        ];
        match value {
            serde_json::Value::Object(fields) => {
                fields.retain(|name, _| !OURS.contains(&name.as_str()));
                fields.values_mut().for_each(without_ours);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(without_ours),
            _ => {}
        }
    }

    #[test]
    fn rules_and_alerts_are_written_as_prometheus_writes_them() {
        let mut found = asked("").unwrap();
        without_ours(&mut found);
        let at = "2026-11-21T21:27:10.000Z";
        let expected = serde_json::json!([{
            "name": "g", "file": "rules.yaml", "interval": 15.0, "limit": 5, "evaluationTime": 0.0, "lastEvaluation": at,
            "rules": [
                { "state": "firing", "name": "Always", "query": "vector(2) > 1", "duration": 0.0, "keepFiringFor": 0.0,
                  "labels": { "severity": "page" }, "annotations": { "summary": "is {{ $value }}" },
                  "alerts": [{ "labels": { "alertname": "Always", "severity": "page" }, "annotations": { "summary": "is 2" },
                               "state": "firing", "activeAt": at, "value": "2e+00" }],
                  "health": "ok", "evaluationTime": 0.0, "lastEvaluation": at, "type": "alerting" },
                { "state": "pending", "name": "Later", "query": "vector(1)", "duration": 3600.0, "keepFiringFor": 300.0,
                  "labels": {}, "annotations": {},
                  "alerts": [{ "labels": { "alertname": "Later" }, "annotations": {}, "state": "pending", "activeAt": at,
                               "value": "1e+00" }],
                  "health": "ok", "evaluationTime": 0.0, "lastEvaluation": at, "type": "alerting" },
                { "name": "a:b", "query": "vector(1) + 1", "labels": { "x": "y" }, "health": "ok", "evaluationTime": 0.0,
                  "lastEvaluation": at, "type": "recording" },
                { "name": "bad:b", "query": "label_replace(a:b, \"x\", \"\", \"\", \"\") or a:b", "labels": {}, "health": "ok",
                  "evaluationTime": 0.0, "lastEvaluation": at, "type": "recording" },
            ],
        }, {
            "name": "empty", "file": "rules.yaml", "interval": 15.0, "limit": 0, "evaluationTime": 0.0,
            "lastEvaluation": at, "rules": [],
        }]);
        assert_eq!(found, expected, "{found:#}");
        let alerts: serde_json::Value = serde_json::from_str(&active(&groups()).unwrap().0).unwrap();
        let names: Vec<_> = alerts["data"]["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| &alert["labels"]["alertname"])
            .collect();
        assert_eq!(names, ["Always", "Later"]);
    }

    #[test]
    fn only_the_rules_are_told_that_are_asked_for() {
        for (query, expected) in [
            ("type=alert", &["Always", "Later"][..]),
            ("type=record", &["a:b", "bad:b"]),
            ("rule_name[]=Later&rule_name[]=a:b", &["Later", "a:b"]),
            ("rule_group[]=other", &[]),
            ("rule_group[]=g&file[]=rules.yaml&rule_name[]=Later", &["Later"]),
            ("file[]=other.yaml", &[]),
            ("match[]={severity=\"page\"}", &["Always"]),
        ] {
            let groups = asked(query).unwrap();
            let rules =
                groups.as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
            assert_eq!(
                rules.map(|rule| rule["name"].as_str().unwrap()).collect::<Vec<_>>(),
                expected,
                "{query}"
            );
        }
        assert_eq!(asked("exclude_alerts=true").unwrap()[0]["rules"][0]["alerts"], serde_json::json!([]));
        let failure = asked("type=x").unwrap_err();
        assert_eq!(failure.text, r#"invalid parameter "type": not supported value "x""#);
    }
}
