use super::*;

const UNDOABLE: &str = "fn remediate(ctx) { \
     step(\"stop\", || unit::start(\"web.service\"), |done| unit::reset_failed(\"web.service\")); \
     fixed(\"x\") } fn rollback(ctx) { proc::restart(\"web\"); }";

#[test]
fn what_did_not_help_is_undone_and_a_person_is_called_with_all_of_it() {
    let mut bench = Bench::with_script(UNDOABLE);
    bench.world.up = (NOON.plus(Duration::from_mins(1)), NOON);
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    let performed: Vec<String> = bench.world.performed.iter().map(ToString::to_string).collect();
    assert_eq!(performed, ["start web.service", "forget that web.service failed", "restart process web"]);
    let steps = bench.steps();
    let undone = steps.iter().position(|step| step.starts_with("rolled back: true, undone: stop")).unwrap();
    let paged =
        steps.iter().position(|step| step.starts_with("paged oncall: web is still down; up == 1")).unwrap();
    assert!(undone < paged && paged < steps.len() - 1, "{steps:?}");
    let page = &bench.world.pages[0];
    assert_eq!((page.runbook.as_str(), page.escalation.as_str()), ("restart-web", "web is still down"));
    assert_eq!(page.tried.len(), 3);
    assert!(page.why.contains("taken back: undone: stop, rollback(ctx)"), "{}", page.why);
}

#[test]
fn a_script_that_fails_or_breaks_undoes_what_it_did() {
    for end in ["failed(\"no\")", "throw \"no\"", "loop {}"] {
        let script = UNDOABLE.replace("fixed(\"x\")", end);
        let mut bench = Bench::with_script(&script);
        assert_eq!(bench.respond(), Some(RunOutcome::Escalated), "{end}");
        assert!(bench.steps().iter().any(|step| step.starts_with("rolled back: true")), "{end}");
        assert_eq!(bench.world.pages.len(), 1, "{end}");
    }
}

#[test]
fn a_script_that_is_ended_at_its_timeout_takes_back_what_it_did() {
    let script = UNDOABLE.replace("fixed(\"x\")", "loop { clock::sleep(\"4s\"); }");
    let mut bench = Bench::with_script(&script);
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    let said = bench.reason();
    assert!(said.contains("ended at its timeout of 10s; taken back: undone: stop, rollback(ctx)"), "{said}");
    assert_eq!(bench.world.performed.len(), 3);
}

#[test]
fn what_a_script_did_whose_process_died_is_taken_back_by_another_process() {
    let mut bench =
        Bench::with_script(&UNDOABLE.replace("fixed(\"x\")", "clock::sleep(\"4s\"); fixed(\"x\")"));
    let Some(Considered::Begun(run)) = bench.remediator.consider(&mut bench.world, &alert()) else {
        panic!()
    };
    let (mut script, _) = session::ScriptRun::start(&run, &mut bench.world, replay::Replay::default());
    assert!(script.run().in_words().0);
    script.session = None;
    assert_eq!(script.roll_back(), Some((true, "undone: stop, rollback(ctx)".to_owned())));
    let performed: Vec<String> = bench.world.performed.iter().map(ToString::to_string).collect();
    assert_eq!(performed, ["start web.service", "forget that web.service failed", "restart process web"]);
}

#[test]
fn a_script_that_skips_after_it_has_acted_takes_that_back_and_a_person_is_called() {
    let mut bench = Bench::with_script(&UNDOABLE.replace("fixed(", "skip("));
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    let said = bench.reason();
    assert!(said.contains("skip: x, though it had acted; taken back: undone: stop"), "{said}");
    assert_eq!(bench.world.pages.len(), 1);
}

#[test]
fn evidence_is_taken_before_the_first_action_and_what_cannot_be_had_says_why() {
    let mut bench = Bench::with_script(RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    let events = bench.world.events.borrow();
    let acted = events.iter().position(|event| matches!(event.step, RunStep::ActionIntended { .. })).unwrap();
    let pieces: Vec<(String, String)> = events[..acted]
        .iter()
        .filter_map(|event| match &event.step {
            RunStep::Evidence { name, text, .. } => Some((name.clone(), text.clone())),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = pieces.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["alert", "pressure", "status of web.service", "processes by cpu", "processes by memory"]
    );
    for later in ["sockets", "log of web.service"] {
        let is_it = |event: &RunEvent| matches!(&event.step, RunStep::Evidence { name, .. } if name == later);
        assert!(events[acted..].iter().any(is_it), "{later} holds nothing up");
    }
    assert!(pieces[0].1.contains("\"alertname\":\"WebDown\""), "{}", pieces[0].1);
    assert_eq!(pieces[1].1, "no answer for Pressure");
}

#[test]
fn lines_in_which_log_rules_found_what_the_alert_is_about_are_evidence() {
    let mut bench = Bench::with_script(RESTART);
    let line = |text: &str| MatchedLine { at: NOON, origin: "log:app".to_owned(), text: text.to_owned() };
    bench.world.lines = vec![line("out of memory"), line("two\nlines")];
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    let events = bench.world.events.borrow();
    let said = events.iter().find_map(|event| match &event.step {
        RunStep::Evidence { name, text, .. } if name == "matched lines" => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(said.unwrap(), format!("{NOON} log:app out of memory\n{NOON} log:app two\\nlines"));
}

#[test]
fn a_run_at_stage_shadow_performs_nothing_and_calls_nobody() {
    let mut bench = Bench::new(&RUNBOOK.replace("auto", "shadow"), RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Shadowed));
    assert!(bench.world.performed.is_empty() && bench.world.pages.is_empty());
    assert_eq!(
        bench.reason(),
        "would have: restart process web: ended process 42 and started web as process 1073741825; fixed: restarted"
    );
}

#[test]
fn a_runbook_that_calls_nobody_says_so_in_the_journal() {
    for (page, called) in [("never", 0), ("always", 1), ("fix_then_page", 1)] {
        let runbook = RUNBOOK.replace("escalate: {", &format!("escalate: {{ page: {page},"));
        let mut bench = Bench::new(&runbook, "fn remediate(ctx) { failed(\"no\") }");
        assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
        assert_eq!(bench.world.pages.len(), called, "{page}");
        let said = bench.steps().iter().any(|step| {
            step.starts_with(
                "note: nobody is called, as the runbook says (escalate.page: never); web is still",
            )
        });
        assert_eq!(said, called == 0, "{:?}", bench.steps());
    }
}
