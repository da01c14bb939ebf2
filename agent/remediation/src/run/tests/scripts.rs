use super::*;

#[test]
fn a_script_ends_a_run_in_its_own_words() {
    for (script, outcome, reason) in [
        ("fn remediate(ctx) { skip(\"well again\") }", RunOutcome::Skipped, "well again"),
        (
            "fn remediate(ctx) { failed(\"no idea\") }",
            RunOutcome::Escalated,
            "web is still down; nothing was done; failed: no idea",
        ),
        (
            "fn remediate(ctx) { loop {} }",
            RunOutcome::Escalated,
            "web is still down; nothing was done; Too many operations",
        ),
    ] {
        let mut bench = Bench::with_script(script);
        assert_eq!(bench.respond(), Some(outcome), "{script}");
        assert!(bench.reason().starts_with(reason), "{}", bench.reason());
    }
}

#[test]
fn a_refused_action_is_seen_by_the_script_and_told_in_the_escalation() {
    let mut bench = Bench::with_script(RESTART);
    bench.world.failures.push_back(Some(ActionError::Refused { reason: "the budget is used up".to_owned() }));
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    let reason = bench.reason();
    assert!(
        reason.starts_with("web is still down; restart process web: refused: the budget is used up; "),
        "{reason}"
    );
}

#[test]
fn only_what_is_granted_on_this_target_is_done() {
    for (call, expected) in [
        ("proc::restart(\"db\")", "runbook restart-web does not grant there"),
        ("file::remove_old(\"/var/spool/db\", \"1m\", 1)", "does not grant there"),
        ("proc::signal(#{pid: 1, start_ticks: 0}, \"KILL\")", "process 1 was not found by this run"),
        ("proc::signal(proc::find(\"db\")[0], \"KILL\")", "does not grant there"),
    ] {
        let script = format!(
            "fn remediate(ctx) {{ try {{ {call}; }} catch (e) {{ return failed(e); }} fixed(\"x\") }}"
        );
        let mut bench = Bench::with_script(&script);
        assert_eq!(bench.respond(), Some(RunOutcome::Escalated), "{call}");
        assert!(
            bench.reason().contains("permission denied") && bench.reason().contains(expected),
            "{}",
            bench.reason()
        );
        assert!(bench.world.performed.is_empty(), "{call}");
        assert!(bench.steps().iter().any(|step| step.contains("permission denied")), "{call}");
    }
}

#[test]
fn a_function_without_its_grant_does_not_exist() {
    let runbook = RUNBOOK.replace("process.restart: [web], ", "");
    let mut bench = Bench::new(&runbook, RESTART);
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert!(bench.reason().contains("proc::restart"), "{}", bench.reason());
    assert!(bench.world.performed.is_empty());
}

#[test]
fn a_process_that_the_run_has_found_may_be_signalled() {
    let script =
        "fn remediate(ctx) { for p in proc::find(\"web\") { proc::signal(p, \"SIGABRT\"); } fixed(\"x\") }";
    let mut bench = Bench::with_script(script);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    assert!(bench.steps().contains(&"intended: send ABRT to process 42 (started at tick 7)".to_owned()));
}

#[test]
fn facts_and_notes_are_in_the_journal() {
    let script = "fn remediate(ctx) { incident::note(`attempt ${ctx.run.attempt}`); let x = metric::query(\"up\"); \
                  disk::directory_usage(\"/tmp\"); if x == () { skip(\"y\") } else { failed(\"z\") } }";
    let mut bench = Bench::with_script(script);
    assert_eq!(bench.respond(), Some(RunOutcome::Skipped));
    assert_eq!(
        bench.steps()[2..5],
        ["note: attempt 1", "metric::query(\"up\") -> null", "disk::directory_usage(\"/tmp\") -> 4096"]
    );
}

#[test]
fn a_script_learns_which_attempt_it_is_within_its_runbook_s_window() {
    let runbook = RUNBOOK.replace("3 per 10m", "3 per 10m, stable: 0s");
    let mut bench = Bench::new(&runbook, "fn remediate(ctx) { skip(`attempt ${ctx.run.attempt}`) }");
    let wait = |bench: &Bench, minutes| bench.world.wait(Duration::from_mins(minutes));
    for (minutes, expected) in [(0, "attempt 1"), (2, "attempt 2"), (9, "attempt 2"), (11, "attempt 1")] {
        wait(&bench, minutes);
        assert_eq!(bench.respond(), Some(RunOutcome::Skipped));
        assert_eq!(bench.reason(), expected);
    }
}

#[test]
fn a_script_that_sleeps_beyond_its_timeout_is_ended() {
    let mut bench = Bench::with_script("fn remediate(ctx) { loop { clock::sleep(\"4s\"); } }");
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert_eq!(bench.world.now().since(NOON), Duration::from_secs(10));
    assert!(bench.reason().contains("ended at its timeout of 10s"), "{}", bench.reason());
}

#[test]
fn a_script_cannot_ask_or_act_without_end() {
    let script = "fn remediate(ctx) { for i in 0..1000 { try { proc::restart(\"web\"); } catch (e) { } } fixed(\"x\") }";
    let mut bench = Bench::with_script(script);
    bench.respond();
    assert_eq!(bench.world.performed.len(), 20);
}

#[test]
fn a_script_that_begins_steps_without_end_does_not_fill_the_journal() {
    for body in ["step(\"x\", || { throw 1 })", "undo()"] {
        let script = format!(
            "fn remediate(ctx) {{ for i in 0..2000 {{ try {{ {body}; }} catch (e) {{ }} }} fixed(\"x\") }}"
        );
        let mut bench = Bench::with_script(&script);
        bench.respond();
        assert!(bench.world.events.borrow().len() < 1100, "{}", bench.world.events.borrow().len());
    }
}

#[test]
fn a_comparison_that_does_not_hold_is_told_with_what_was_compared() {
    let mut bench = Bench::new(&RUNBOOK.replace("up == 1", "load < 1"), RESTART);
    bench.world.up = (NOON.plus(Duration::from_mins(1)), NOON);
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert!(bench.reason().contains("it gave no result; load is 3.5"), "{}", bench.reason());
}

#[test]
fn an_error_of_a_script_names_its_file_line_and_column() {
    let mut bench = Bench::with_script("fn remediate(ctx) { ctx.params.nothing.at_all }");
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    let (reason, place) = (bench.reason(), "s.rhai:");
    let at = reason.find(place).unwrap_or_else(|| panic!("{reason}")) + place.len();
    assert!(reason[at..].starts_with(|c: char| c.is_ascii_digit()) && !reason.contains("(line"), "{reason}");
}
