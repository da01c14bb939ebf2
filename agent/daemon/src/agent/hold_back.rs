//! For how long people are not told of an alert, because a runbook is to repair it first.
//!
//! An alert is held back from its beginning for as long as a run may take, and never longer: a run that does not begin, for
//! whatever reason, delays the call and does not swallow it. What ends a hold before is the run's own end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use notify::Call;
use remediation::{Page, Paging, Runbook};
use series::LabelMatcher;
use telemetry::{Alert, RunEvent, RunOutcome, RunStep, Stage};

/// What a run may take besides its script and its verification: its turn, guards, evidence, taking back.
const MARGIN: Duration = Duration::from_secs(30);

/// Until a run that a person is to approve has its plan, so that they are told of it with the alert.
const UNTIL_ASKED: Duration = Duration::from_secs(15);

/// Which alerts are answered, in the order in which runbooks are asked.
#[derive(Debug, Default)]
pub(crate) struct HoldBack(RwLock<Vec<Answered>>);

#[derive(Debug)]
struct Answered {
    matchers: Vec<LabelMatcher>,
    /// Whose word it takes.
    trust: BTreeSet<String>,
    /// None if people are told at once.
    hold: Option<Duration>,
}

impl HoldBack {
    /// By these runbooks from now on.
    pub(crate) fn put_in_force(&self, runbooks: &[Runbook]) {
        let answered = |runbook: &Runbook| Answered {
            matchers: runbook.matchers.clone(),
            trust: runbook.trust.clone(),
            hold: hold(runbook),
        };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = runbooks.iter().map(answered).collect();
    }

    /// How long an alert is held back; the first runbook that answers it says so. One that depends on somebody whom that
    /// does not trust is not: nothing will be run for it.
    pub(crate) fn of(&self, alert: &Alert) -> Option<Duration> {
        let answered = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let answers =
            |answered: &&Answered| answered.matchers.iter().all(|matcher| matcher.matches(&alert.labels));
        let answer = answered.iter().find(answers)?;
        let mut outside = alert.origins.iter().filter(|origin| origin.is_outside());
        answer.hold.filter(|_| outside.all(|origin| answer.trust.contains(&origin.to_string())))
    }
}

fn hold(runbook: &Runbook) -> Option<Duration> {
    let fixes_first = runbook.escalate.page == Paging::FixThenPage;
    if fixes_first && runbook.stage == Stage::Ask {
        return Some(UNTIL_ASKED);
    }
    let verifying = runbook.verify.as_ref().map_or(Duration::ZERO, |verify| verify.within + verify.settle);
    (fixes_first && runbook.stage == Stage::Auto).then(|| runbook.timeout + verifying + MARGIN)
}

/// Why people are to be told now of an alert that is held back, if the step of a run says so. `Repaired` does not: the alert
/// is about to end, or its hold is.
pub(crate) fn ends_hold(event: &RunEvent) -> Option<BTreeMap<String, String>> {
    let why = match &event.step {
        RunStep::Awaiting { plan, until } => {
            let plan = if plan.is_empty() { "do nothing".to_owned() } else { plan.join("; ") };
            format!("it waits for approval until {until}: `hostmend approve {}`; it would {plan}", event.run)
        }
        RunStep::Finished { outcome: RunOutcome::Repaired, .. } => return None,
        RunStep::Finished { reason, .. } => reason.clone(),
        _ => return None,
    };
    Some(told(&event.run.0, &why))
}

/// What people are called with when a repair has failed.
pub(crate) fn call(page: &Page) -> Call {
    let mut annotations = told(&page.run.0, &page.why);
    let about = match page.alert.labels.get("alertname") {
        "" => "what it was for",
        name => name,
    };
    for (name, text) in [
        ("summary", format!("{} has not repaired {about}", page.runbook)),
        ("hostmend_tried", page.tried.join("; ")),
        ("hostmend_escalation", page.escalation.clone()),
    ] {
        if !text.is_empty() {
            annotations.insert(name.to_owned(), text);
        }
    }
    Call {
        alert: page.alert.labels.clone(),
        expression: page.alert.source.expression.clone(),
        runbook: page.runbook.clone(),
        run: page.run.0.clone(),
        annotations,
    }
}

fn told(run: &str, why: &str) -> BTreeMap<String, String> {
    [("hostmend_run".to_owned(), run.to_owned()), ("hostmend_why".to_owned(), why.to_owned())].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use documents::Document;
    use telemetry::{AlertState, Labels, Origin, RunId, Timestamp};

    fn runbooks(text: &str) -> Vec<Runbook> {
        Runbook::read(&Document::from_text(Path::new("runbooks.yaml"), text)).unwrap()
    }

    #[test]
    fn only_what_a_runbook_repairs_by_itself_is_held_back_and_for_as_long_as_that_may_take() {
        let book = |name: &str, stage: &str, rest: &str| {
            format!(
                "  - name: {name}\n    matchers: ['alertname=\"{name}\"']\n    script: a.rhai\n    stage: {stage}\n    \
                 timeout: 20s\n    verify: {{ expr: up == 1, within: 10s, settle: 2s }}\n{rest}"
            )
        };
        let text = format!(
            "runbooks:\n{}{}{}{}{}",
            book("A", "auto", ""),
            book("B", "ask", ""),
            book("C", "auto", "    escalate: { text: call, page: always }\n"),
            book("D", "observe", ""),
            book("F", "auto", "    escalate: { text: call, page: never }\n"),
        );
        let held = HoldBack::default();
        held.put_in_force(&runbooks(&text));
        let alert = |name: &str| {
            let labels: Labels = [("alertname", name), ("job", "x")].into_iter().collect();
            Alert::new(labels, AlertState::Firing, Timestamp::EPOCH)
        };
        let of = |name: &str| held.of(&alert(name));
        assert_eq!(of("A"), Some(Duration::from_secs(62)));
        assert_eq!(of("B"), Some(UNTIL_ASKED));
        assert_eq!(["C", "D", "E", "F"].map(of), [None; 4]);
        let from_outside = |name| {
            let mut alert = alert(name);
            alert.origins.insert(Origin::Otlp("apps".into()));
            alert
        };
        assert_eq!(held.of(&from_outside("A")), None, "no run will begin");
    }

    #[test]
    fn a_hold_ends_with_every_end_of_a_run_but_a_repair() {
        let step = |step| RunEvent { run: RunId("r1".to_owned()), at: Timestamp::EPOCH, step };
        let finished = |outcome| step(RunStep::Finished { outcome, reason: "no".to_owned() });
        assert_eq!(ends_hold(&finished(RunOutcome::Repaired)), None);
        for outcome in
            [RunOutcome::Refused, RunOutcome::Escalated, RunOutcome::Interrupted, RunOutcome::Skipped]
        {
            let added = ends_hold(&finished(outcome)).unwrap();
            assert_eq!((added["hostmend_run"].as_str(), added["hostmend_why"].as_str()), ("r1", "no"));
        }
        let plan = vec!["restart web.service".to_owned()];
        let added = ends_hold(&step(RunStep::Awaiting { plan, until: Timestamp::EPOCH })).unwrap();
        let why = "it waits for approval until 1970-01-01T00:00:00.000Z: `hostmend approve r1`; it would restart web.service";
        assert_eq!((added["hostmend_run"].as_str(), added["hostmend_why"].as_str()), ("r1", why));
        assert_eq!(ends_hold(&step(RunStep::Note { text: "x".to_owned() })), None);
    }

    #[test]
    fn a_page_says_what_was_tried() {
        let page = Page {
            run: RunId("r1".to_owned()),
            alert: Alert::new(Labels::empty(), AlertState::Firing, Timestamp::EPOCH),
            runbook: "restart".to_owned(),
            escalation: String::new(),
            tried: vec!["restart web.service: done".to_owned(), "wait".to_owned()],
            why: "it does not answer".to_owned(),
        };
        let call = call(&page);
        assert_eq!(call.annotations["hostmend_tried"], "restart web.service: done; wait");
        assert_eq!(call.annotations["summary"], "restart has not repaired what it was for");
        assert!(!call.annotations.contains_key("hostmend_escalation"));
        assert_eq!((call.run.as_str(), call.runbook.as_str()), ("r1", "restart"));
    }
}
