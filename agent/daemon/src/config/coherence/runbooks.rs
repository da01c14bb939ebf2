//! Whether runbooks fit what the host is told, and each other: whose word their alerts take, what two of them would both
//! change, and what their guards would ask in vain.

use std::collections::BTreeSet;

use documents::Problem;
use remediation::Runbook;
use telemetry::{Labels, Origin, Stage};

use super::{Site, Whole};

/// What does not fit about one runbook.
pub(super) fn check(runbook: &Runbook, whole: &Whole<'_>, site: &Site<'_>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = untrusted(runbook, whole, site).into_iter().collect();
    problems.extend(strangers(runbook, whole, site));
    problems.extend(shared(runbook, whole, site));
    if runbook.guards.fleet_lock.is_some() && whole.repairs.host.fleet_lock.is_none() {
        let message = "hostmend.yaml says nowhere hosts agree, so every run of this runbook is refused";
        let problem = site.warning("fleet_lock", message.to_owned());
        problems.push(problem.with_hint("add remediation: { fleet_lock: { file: DIRECTORY } }"));
    }
    if runbook.guards.error_budget.is_some() {
        let message =
            "no objective is measured yet, so only scripts of low risk and such that restore are run";
        problems.push(site.warning("error_budget", message.to_owned()));
    }
    problems
}

/// An alert that takes the word of somebody whom the runbook does not trust starts nothing.
fn untrusted(runbook: &Runbook, whole: &Whole<'_>, site: &Site<'_>) -> Option<Problem> {
    let of_name: Vec<_> =
        runbook.matchers.iter().filter(|matcher| matcher.label() == alerting::ALERT_NAME).collect();
    let answered = |alert: &str| {
        let labels: Labels = [(alerting::ALERT_NAME, alert)].into_iter().collect();
        of_name.iter().all(|matcher| matcher.matches(&labels))
    };
    // Without a name it may answer any alert, and which is not known.
    let mut alerts = whole.origins.iter().filter(|alert| !of_name.is_empty() && answered(&alert.alert));
    let (alert, strangers) = alerts.find_map(|alert| {
        let outside = alert.origins.iter().filter(|origin| Origin::is_outside(origin));
        let strangers: BTreeSet<String> =
            outside.map(ToString::to_string).filter(|origin| !runbook.trust.contains(origin)).collect();
        (!strangers.is_empty()).then_some((alert.alert.as_str(), strangers))
    })?;
    let strangers = strangers.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let message = format!("the alert {alert:?} may depend on {strangers}, so this runbook would be refused");
    let problem = site.warning(alert, message);
    Some(problem.with_hint(format!("if whoever can say so may start it, write trust: [{strangers}]")))
}

/// Trust in somebody who has no say.
fn strangers(runbook: &Runbook, whole: &Whole<'_>, site: &Site<'_>) -> Vec<Problem> {
    let listeners = whole.listeners.iter().map(|name| format!("otlp:{name}"));
    let sources = whole.sources.iter().map(|name| format!("log:{name}"));
    let known: Vec<String> =
        listeners.chain(sources).chain(whole.textfiles.then(|| "textfile".to_owned())).collect();
    let unknown = runbook.trust.iter().filter(|trusted| !known.contains(trusted));
    unknown
        .map(|trusted| {
            let problem = site.warning(trusted, format!("nobody called {trusted:?} can say anything here"));
            problem.with_nearest(trusted, known.iter().map(String::as_str))
        })
        .collect()
}

/// Two runbooks that act on one target fight, sooner or later, and are both held back.
fn shared(runbook: &Runbook, whole: &Whole<'_>, site: &Site<'_>) -> Option<Problem> {
    let acts = |runbook: &Runbook| matches!(runbook.stage, Stage::Ask | Stage::Auto);
    let earlier = whole.repairs.runbooks.iter().take_while(|other| other.name != runbook.name);
    let (other, target) = earlier
        .filter(|other| acts(other) && acts(runbook))
        .find_map(|other| Some((other, runbook.shared_target(other)?)))?;
    let message = format!(
        "the runbook {:?} changes {target} too; when both have run within an hour, both are held back",
        other.name
    );
    let word = target.split_once(' ').map_or(target.as_str(), |(_, name)| name).to_owned();
    Some(site.warning(&word, message))
}

#[cfg(test)]
mod tests {
    use documents::Trust;

    use crate::config::load;
    use crate::self_telemetry::environment::Variables;

    const HOST: &str = "rules: [rules.yaml]\nrunbooks: [runbooks.yaml]\nscripts: .\npolicy: policy.yaml\n\
                        receive: { listeners: [{ name: apps, http: 127.0.0.1:4318 }] }\n";
    const RULES: &str = "groups:\n- name: g\n  rules:\n  - { alert: Slow, expr: app_latency_seconds > 1 }\n  - { alert: Idle, expr: system_cpu_time_seconds_total > 1 }\n";
    const POLICY: &str =
        "units:\n- { name: a.service, at_most: 3 per 1h }\n- { name: b.service, at_most: 3 per 1h }\n";
    const SCRIPT: &str = "//! summary: x\n//! params: { unit: { type: unit } }\n//! needs: { unit.restart: [\"${unit}\"] }\n//! risk: low\n\
                          fn remediate(ctx) { unit::restart(ctx.params.unit); fixed(\"x\") }\n";

    fn book(name: &str, alert: &str, unit: &str, more: &str) -> String {
        format!(
            "- name: {name}\n  matchers: ['alertname=~\"{alert}\"']\n  script: x.rhai\n  stage: auto\n  params: {{ unit: {unit} }}\n  grants: {{ unit.restart: [{unit}] }}\n  verify: {{ expr: app_up == 1 }}\n{more}"
        )
    }

    /// The problems of these runbooks, without their places.
    fn problems(host: &str, books: &[String]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let runbooks = format!("runbooks:\n{}", books.concat());
        for (name, text) in [
            ("hostmend.yaml", host),
            ("rules.yaml", RULES),
            ("policy.yaml", POLICY),
            ("x.rhai", SCRIPT),
            ("runbooks.yaml", &runbooks),
        ] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let loaded = load(&directory.path().join("hostmend.yaml"), Trust::invoking_user(), &Variables::new());
        assert!(loaded.config.is_some(), "{:?}", loaded.problems);
        loaded.problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn a_runbook_learns_whose_word_its_alert_takes() {
        let a = |more: &str| book("a", "Slow|Other", "a.service", more);
        let refused = "the alert \"Slow\" may depend on otlp:apps, so this runbook would be refused";
        assert_eq!(problems(HOST, &[a("")]), [refused]);
        assert_eq!(problems(HOST, &[a("  trust: [otlp:apps]\n")]), [""; 0]);
        assert_eq!(
            problems(HOST, &[a("  trust: [otlp:apps, otlp:other]\n")]),
            ["nobody called \"otlp:other\" can say anything here"]
        );
        assert_eq!(problems(HOST, &[book("a", "Idle", "a.service", "")]), [""; 0]);
    }

    #[test]
    fn two_runbooks_that_would_fight_over_a_target_are_told() {
        let fight = "the runbook \"one\" changes unit a.service too; when both have run within an hour, both are held back";
        let one = book("one", "Idle", "a.service", "");
        let same = book("two", "Idle", "a.service", "");
        assert_eq!(problems(HOST, &[one.clone(), same.clone()]), [fight]);
        assert_eq!(problems(HOST, &[one.clone(), same.replace("auto", "shadow")]), [""; 0]);
        assert_eq!(problems(HOST, &[one, book("two", "Idle", "b.service", "")]), [""; 0]);
    }

    #[test]
    fn a_lock_or_an_objective_that_does_not_exist_is_told() {
        let with = |guards: &str| book("a", "Idle", "a.service", &format!("  guards: {{ {guards} }}\n"));
        let lock = with("fleet_lock: { group: web }");
        assert_eq!(
            problems(HOST, std::slice::from_ref(&lock)),
            ["hostmend.yaml says nowhere hosts agree, so every run of this runbook is refused"]
        );
        let host = format!("{HOST}remediation: {{ fleet_lock: {{ file: /srv/locks }} }}\n");
        assert_eq!(problems(&host, &[lock]), [""; 0]);
        assert_eq!(problems(HOST, &[with("error_budget: { objective: x }")]).len(), 1);
    }
}
