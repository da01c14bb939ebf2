use super::*;

fn asked() -> (Bench, RunId) {
    let mut bench = Bench::new(&RUNBOOK.replace("auto", "ask"), RESTART);
    assert_eq!(bench.respond(), None);
    let run = bench.remediator.waiting().pop().unwrap().run;
    (bench, run)
}

fn decide(bench: &mut Bench, run: &RunId, approved: bool) -> Result<Considered, Undecided> {
    let decision = Decision { approved, by: "alice (1000)", comment: "now" };
    bench.remediator.decide(run, decision, &mut bench.world)
}

#[test]
fn a_run_waits_with_its_plan_and_is_performed_when_it_is_approved() {
    let (mut bench, run) = asked();
    assert_eq!(bench.respond(), None, "it waits already");
    assert!(bench.world.performed.is_empty());
    let awaiting = bench.world.events.borrow().iter().find_map(|event| match &event.step {
        RunStep::Awaiting { plan, .. } => Some(plan.clone()),
        _ => None,
    });
    assert_eq!(awaiting.unwrap(), ["restart process web"]);
    let Ok(Considered::Begun(begun)) = decide(&mut bench, &run, true) else { panic!("it has to begin") };
    assert_eq!(begun.id(), &run);
    assert_eq!(begun.perform(&mut bench.world), RunOutcome::Repaired);
    let over = decide(&mut bench, &run, true).unwrap_err();
    assert!(matches!(&over, Undecided::NotNow(why) if why.contains("does not wait for anybody")), "{over}");
    let unknown = decide(&mut bench, &RunId("no-such".to_owned()), true).unwrap_err();
    assert!(matches!(&unknown, Undecided::Unknown(why) if why.contains("none waits")), "{unknown}");
}

const ASKING: &str = "stage: ask";

/// A reload, with something in the runbook's text replaced.
fn reload(bench: &mut Bench, from: &str, to: &str, script: &str) {
    let directory = tempfile::tempdir().unwrap();
    let text = RUNBOOK.replace("stage: auto", ASKING);
    assert!(text.contains(from));
    let other = remediator(&text.replace(from, to), script, directory.path());
    bench.remediator.answer_by(other.runbooks, other.scripts);
}

#[test]
fn what_was_denied_or_not_decided_in_time_is_not_asked_again_while_the_alert_fires() {
    for waits in [false, true] {
        let (mut bench, run) = asked();
        if waits {
            bench.world.wait(Duration::from_hours(100));
            bench.remediator.expire(&mut bench.world, &run);
            assert!(bench.reason().starts_with("nobody approved it until"), "{}", bench.reason());
        } else {
            assert!(matches!(decide(&mut bench, &run, false), Ok(Considered::Told(RunOutcome::Denied))));
            assert_eq!(bench.reason(), "denied by alice (1000): now");
        }
        assert_eq!(bench.respond(), None);
        assert!(bench.remediator.waiting().is_empty());
        let held_by = bench.remediator.explain(&bench.world, &alert())[0].held_by.clone().unwrap();
        assert!(held_by.contains("has denied it; that holds until"), "{held_by}");
        let again = Alert { active_at: NOON.plus(Duration::from_secs(1)), ..alert() };
        assert_eq!(bench.respond_to(&again), None);
        assert_eq!(bench.remediator.waiting().len(), 1, "an alert that fires anew is asked about");
        assert!(bench.world.performed.is_empty());
    }
}

#[test]
fn guards_are_asked_again_when_a_run_is_approved() {
    let (mut bench, run) = asked();
    bench.world.frozen = true;
    assert!(matches!(decide(&mut bench, &run, true), Ok(Considered::Told(RunOutcome::Refused))));
    assert!(bench.reason().contains("by a test"), "{}", bench.reason());
    let (mut bench, run) = asked();
    let other = remediator(
        &RUNBOOK.replace("auto", "ask"),
        "fn remediate(ctx) { skip(\"x\") }",
        bench.directory.path(),
    );
    bench.remediator.answer_by(other.runbooks, other.scripts);
    assert!(matches!(decide(&mut bench, &run, true), Ok(Considered::Told(RunOutcome::Refused))));
    assert!(bench.reason().contains("has changed since its plan was shown"), "{}", bench.reason());
}

#[test]
fn a_denial_is_over_with_the_texts_and_the_stage_that_were_denied() {
    for (from, to, script) in [
        ("cooldown: 1m", "cooldown: 2m", RESTART),
        (ASKING, "stage: shadow", RESTART),
        (ASKING, ASKING, "fn remediate(ctx) { proc::restart(ctx.params.process); fixed(\"again\") }"),
    ] {
        let (mut bench, run) = asked();
        decide(&mut bench, &run, false).unwrap();
        reload(&mut bench, ASKING, ASKING, RESTART);
        bench.world.wait(Duration::from_mins(2));
        assert_eq!((bench.respond(), bench.remediator.waiting().len()), (None, 0), "nothing has changed");
        reload(&mut bench, from, to, script);
        let answered = bench.respond().is_some() || bench.remediator.waiting().len() == 1;
        assert!(answered, "{from} has become {to}");
    }
}

#[test]
fn a_denial_is_over_after_the_time_that_people_had_or_the_cooldown() {
    for (guards, holds) in [("cooldown: 1m", 15), ("cooldown: 40m", 40)] {
        let (mut bench, _) = asked();
        reload(&mut bench, "cooldown: 1m", guards, RESTART);
        for waiting in bench.remediator.waiting() {
            bench.remediator.expire(&mut bench.world, &waiting.run);
        }
        assert_eq!(bench.respond(), None);
        let run = bench.remediator.waiting().pop().unwrap().run;
        decide(&mut bench, &run, false).unwrap();
        bench.world.wait(Duration::from_secs(holds * 60 - 1));
        assert_eq!((bench.respond(), bench.remediator.waiting().len()), (None, 0), "{guards}");
        bench.world.wait(Duration::from_secs(1));
        assert_eq!((bench.respond(), bench.remediator.waiting().len()), (None, 1), "{guards}");
    }
}

#[test]
fn a_run_that_waits_is_withdrawn_when_its_runbook_or_its_script_changes() {
    for (from, to, script, why) in [
        ("cooldown: 1m", "cooldown: 1m ", RESTART, None),
        ("cooldown: 1m", "cooldown: 2m", RESTART, Some("the text of its runbook or script has changed")),
        (ASKING, ASKING, "fn remediate(ctx) { fixed(\"x\") }", Some("the text of its runbook or script")),
        ("WebDown", "Other", RESTART, Some("restart-web does not answer this alert any more")),
    ] {
        let (mut bench, run) = asked();
        reload(&mut bench, from, to, script);
        bench.remediator.expire(&mut bench.world, &run);
        assert_eq!(bench.remediator.waiting().is_empty(), why.is_some(), "{to}");
        let Some(why) = why else { continue };
        assert!(bench.reason().starts_with(why), "{}", bench.reason());
        bench.respond();
        let asked_anew = to != "Other";
        assert_eq!(bench.remediator.waiting().len(), usize::from(asked_anew), "nobody has denied it");
    }
}

#[test]
fn an_approval_that_comes_during_another_run_is_given_again_when_that_is_over() {
    let (mut bench, run) = asked();
    let other = RunId("other".to_owned());
    let step = |step| RunEvent { run: other.clone(), at: NOON, step };
    let matched = RunStep::Matched {
        alert: String::new(),
        runbook: "another".to_owned(),
        stage: Stage::Auto,
        script: String::new(),
        script_sha256: String::new(),
        target: String::new(),
        runbook_sha256: String::new(),
        touches: vec!["process web".to_owned()],
    };
    let finished = RunStep::Finished { outcome: RunOutcome::Repaired, reason: String::new() };
    let apply = |bench: &Bench, it| bench.remediator.ledger().append(&step(it)).unwrap();
    apply(&bench, matched);
    apply(&bench, RunStep::Started { parameters: String::new() });
    let Err(Undecided::NotNow(why)) = decide(&mut bench, &run, true) else { panic!("it has to wait on") };
    let expected = "one per target: run other of another is at work on process web; approve it again when";
    assert!(why.starts_with(expected), "{why}");
    assert_eq!(bench.remediator.waiting().len(), 1);
    apply(&bench, finished);
    bench.remediator.release(&mut bench.world, "process web", "alice").unwrap();
    let begun = decide(&mut bench, &run, true);
    assert!(matches!(begun, Ok(Considered::Begun(_))), "{begun:?}");
}

#[test]
fn an_explanation_judges_the_target_that_the_alert_chose_at_the_stage_in_force() {
    let script = "//! summary: x\n//! params: { process: { type: string } }\n//! needs: { process.restart: [\"${process}\"] }\n//! risk: low\nfn remediate(ctx) { failed(\"no\") }\n";
    let runbook = RUNBOOK
        .replace("process: web }", "process: '${labels.process}' }")
        .replace("process.restart: [web]", "process.restart: [web, db]")
        .replace("stage: auto", "stage: auto\n    success: 100% of 1");
    let mut bench = Bench::new(&runbook, script);
    let labels = [("alertname", "WebDown"), ("process", "web")].into_iter().collect();
    let alert = Alert { labels, ..alert() };
    assert_eq!(bench.respond_to(&alert), Some(RunOutcome::Escalated));
    let explanation = bench.remediator.explain(&bench.world, &alert).remove(0);
    assert_eq!(explanation.target, "process=\"web\"");
    let says = |name: &str| &explanation.guards.iter().find(|says| says.guard == name).unwrap().reason;
    assert_eq!(says("parameters"), "it would run with process=\"web\"");
    assert_eq!(says("one per target"), "no other run is at work on process web");
    assert_eq!(says("attempts"), "1 of 3 per 10m used");
    assert_eq!(explanation.stage, Stage::Ask);
    let demoted = explanation.demoted.unwrap();
    assert!(demoted.starts_with("it says auto, and went back at"), "{demoted}");
}

#[test]
fn what_a_conflict_names_can_be_released_however_wide_the_grant_is() {
    let mut bench = Bench::with_script(RESTART);
    let mut release = |what: &str| bench.remediator.release(&mut bench.world, what, "alice");
    assert_eq!(release("path /var/spool/web/old"), Ok(()));
    assert_eq!(release("restart-web"), Ok(()));
    assert!(release("path /var/spool/website").unwrap_err().contains("neither a runbook nor a target"));
}

#[test]
fn a_run_whose_alert_resolves_does_not_wait_any_longer() {
    let (mut bench, run) = asked();
    bench.world.sightings.set(0);
    bench.remediator.expire(&mut bench.world, &run);
    assert_eq!(bench.reason(), "the alert resolved by itself");
    assert!(bench.remediator.waiting().is_empty());
}

#[test]
fn a_plan_and_an_explanation_tell_nobody_and_change_nothing() {
    let bench = Bench::with_script(RESTART);
    let plan = bench.remediator.plan(&bench.world, &alert()).unwrap();
    assert_eq!((plan.actions.as_slice(), plan.ok), (["restart process web".to_owned()].as_slice(), true));
    let explained = bench.remediator.explain(&bench.world, &alert());
    assert_eq!(explained.len(), 1);
    assert!(explained[0].unmatched.is_empty() && explained[0].guards.iter().all(|guard| guard.allowed));
    let other = Alert { labels: [("alertname", "Other")].into_iter().collect(), ..alert() };
    assert!(bench.remediator.plan(&bench.world, &other).is_err());
    assert_eq!(bench.remediator.explain(&bench.world, &other)[0].unmatched.len(), 1);
    assert!(bench.world.events.borrow().is_empty() && bench.world.performed.is_empty());
    assert_eq!(bench.remediator.ledger().figures().events, 0);
}
