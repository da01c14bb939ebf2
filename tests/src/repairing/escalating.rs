//! People are told when a repair has failed, with what was tried, and not before; and of one that helped, never.

use super::{Host, WITHIN, stop};
use crate::notifying::Alertmanager;

const RESTART: &str = "proc::restart(p.process); fixed(\"restarted\")";

/// A host whose repairs are verified by an expression, and which tells an Alertmanager.
fn host(alertmanager: &Alertmanager, verified_by: &str) -> Host {
    let notify =
        format!("notify: {{ alertmanagers: [{{ name: main, url: \"{}\" }}] }}\n", alertmanager.url());
    let verify = format!(
        "    verify: {{ expr: '{verified_by}', within: 4s, settle: 0s }}\n    \
         escalate: {{ text: \"${{process}} does not stay\", page: fix_then_page }}\n"
    );
    Host::new("auto", RESTART, &notify, &verify)
}

#[test]
fn a_repair_that_does_not_help_reaches_the_alertmanager_with_what_was_tried_and_not_before() {
    let Some(alertmanager) = Alertmanager::start(false) else { return };
    // The process comes back, and what users need does not.
    let host = host(&alertmanager, "vector(1) == 2");
    // So that the alert goes on.
    let rules = "groups:\n- name: g\n  rules:\n  - { alert: VictimDoesNotServe, expr: 'vector(1)' }\n";
    host.write("rules.yaml", rules);
    let mut agent = host.start();
    let told = agent.wait_for("page", WITHIN, |_| {
        let told = alertmanager.get("/api/v2/alerts?filter=alertname%3DVictimDoesNotServe");
        let told = told.as_array().and_then(|alerts| alerts.first().cloned());
        if told.is_some() {
            assert_eq!(host.steps_of("finished").len(), 1, "told before the run was over");
        }
        told
    });
    let (outcome, _) = host.finished(&mut agent, 1);
    assert_eq!(outcome, "escalated");
    let text = |name: &str| told["annotations"][name].as_str().unwrap_or_default().to_owned();
    assert!(text("hostmend_tried").contains("started victim"), "{told}");
    assert!(text("hostmend_why").contains("did not hold within"), "{told}");
    assert!(!text("hostmend_run").is_empty(), "{told}");
    let page = agent.wait_for("call", WITHIN, |_| {
        let pages = alertmanager.get("/api/v2/alerts?filter=alertname%3DHostmendRepairFailed");
        pages.as_array().and_then(|pages| pages.first().cloned())
    });
    assert_eq!(page["labels"]["alert"], "VictimDoesNotServe", "{page}");
    assert_eq!(page["labels"]["run"], told["annotations"]["hostmend_run"], "{page}");
    assert_eq!(page["annotations"]["hostmend_why"], told["annotations"]["hostmend_why"], "{page}");
    stop(agent);
}

#[test]
fn of_an_alert_that_a_repair_ends_nobody_is_told() {
    let Some(alertmanager) = Alertmanager::start(false) else { return };
    let host = host(&alertmanager, "hostmend_watch_process_count{hostmend_watch_name=\"victim\"} == 1");
    let mut agent = host.start();
    assert_eq!(host.finished(&mut agent, 1).0, "repaired");
    agent.wait_for("watchdog", WITHIN, |_| {
        let alerts = alertmanager.alerts();
        alerts.iter().any(|(name, ..)| name == "Watchdog").then_some(())
    });
    agent.wait_for("the end of the alert", WITHIN, |_| {
        let status = host.ask(&["alerts"], 0);
        (!status.contains("VictimGone")).then_some(())
    });
    let told = alertmanager.alerts();
    assert!(!told.iter().any(|(name, ..)| name == "VictimGone"), "{told:?}");
    stop(agent);
}

#[test]
fn a_run_that_waits_for_a_person_shows_its_plan_and_does_nothing_until_it_is_approved() {
    let verify = "    verify: { expr: 'hostmend_watch_process_count{hostmend_watch_name=\"victim\"} == 1', within: 10s }\n    \
                  approve_within: 5m\n";
    let host = Host::new("ask", RESTART, "", verify);
    let mut agent = host.start();
    let awaiting = agent.wait_for("plan", WITHIN, |_| host.steps_of("awaiting").first().cloned());
    let plan = awaiting["step"]["plan"].to_string();
    assert!(plan.contains("restart process victim"), "{plan}");
    assert_eq!(host.victim(), None, "done without a word");
    let run = awaiting["run"].as_str().unwrap();
    host.ask(&["approve", run, "--comment", "go"], 0);
    assert_eq!(host.finished(&mut agent, 1).0, "repaired", "{}", agent.log());
    let decided = host.steps_of("decided");
    assert_eq!(decided[0]["step"]["comment"], "go", "{decided:?}");
    stop(agent);
}

#[test]
fn a_run_that_a_person_denies_does_nothing() {
    let host = Host::new(
        "ask",
        RESTART,
        "",
        "    verify: { expr: 'vector(1) == 1', within: 10s }\n    approve_within: 5m\n",
    );
    let mut agent = host.start();
    let awaiting = agent.wait_for("plan", WITHIN, |_| host.steps_of("awaiting").first().cloned());
    host.ask(&["approve", awaiting["run"].as_str().unwrap(), "--deny", "--comment", "not today"], 0);
    let (outcome, reason) = host.finished(&mut agent, 1);
    assert_eq!(outcome, "denied", "{reason}");
    assert!(
        reason.contains("denied by") && reason.ends_with(": not today") && host.victim().is_none(),
        "{reason}"
    );
    assert_eq!(host.steps_of("decided")[0]["step"]["comment"], "not today");
    stop(agent);
}
