use super::*;

/// Two steps, one that knows whether it is needed, and an action outside of any.
const STEPS: &str = "fn remediate(ctx) { \
     step(\"first\", || unit::reset_failed(\"web.service\")); \
     step(\"second\", || true, || unit::start(\"web.service\"), |done| unit::reload(\"web.service\")); \
     proc::restart(\"web\"); fixed(\"x\") }";

/// The journal's first so many lines, as they are found by the next agent.
fn crashed_after(lines: usize, runbook: &str, script: &str) -> Bench {
    let mut bench = Bench::new(RUNBOOK, STEPS);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired), "{:?}", bench.steps());
    let path = bench.directory.path().join(JOURNAL);
    let journal = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = journal.lines().take(lines).collect();
    std::fs::write(&path, kept.join("\n") + "\n").unwrap();
    bench.remediator = remediator(runbook, script, bench.directory.path());
    bench.world.events.borrow_mut().clear();
    bench.world.performed.clear();
    bench.world.up_at_once = true;
    bench
}

fn lines() -> Vec<String> {
    let bench = crashed_after(usize::MAX, RUNBOOK, STEPS);
    let journal = std::fs::read_to_string(bench.directory.path().join(JOURNAL)).unwrap();
    journal.lines().map(str::to_owned).collect()
}

fn recover(bench: &mut Bench) -> Vec<RunOutcome> {
    let runs = bench.remediator.recover(&mut bench.world);
    let outcomes = runs.into_iter().map(|run| run.perform(&mut bench.world)).collect();
    assert_eq!(bench.remediator.ledger().history().open().count(), 0);
    outcomes
}

#[test]
fn wherever_the_agent_ends_the_next_one_goes_on_and_does_nothing_twice() {
    let lines = lines();
    let started = lines.iter().position(|line| line.contains("\"step\":\"started\"")).unwrap();
    let alert = lines.iter().position(|line| line.contains("\"name\":\"alert\"")).unwrap();
    assert_eq!(alert, started + 1);
    let ended = lines.iter().position(|line| line.contains("\"step\":\"ended\"")).unwrap();
    for cut in alert + 1..=ended + 1 {
        let before: Vec<&String> = lines.iter().take(cut).collect();
        let last = before.last().unwrap().as_str();
        let is_uncertain = last.contains("\"step\":\"action_intended\"");
        let done = before.iter().filter(|line| line.contains("\"step\":\"action_done\"")).count();
        let mut bench = crashed_after(cut, RUNBOOK, STEPS);
        let outcomes = recover(&mut bench);
        let undoing = |action: &&Action| action.to_string().starts_with("reload");
        let undone = bench.world.performed.iter().filter(undoing).count();
        let performed = bench.world.performed.len() - undone;
        // Whether the action was done is not known: only a step that says whether it is needed is repeated.
        if is_uncertain && !last.contains("start web.service") {
            assert_eq!(outcomes, [RunOutcome::Escalated], "{last}");
            assert_eq!(performed, 0, "{last}: {:?}", bench.steps());
            let said = bench.reason();
            assert!(said.contains("not known") || said.contains("not repeated"), "{said}");
        } else {
            assert_eq!(outcomes, [RunOutcome::Repaired], "{last}: {:?}", bench.steps());
            assert_eq!(performed + done, 3, "{last}");
        }
    }
}

#[test]
fn a_run_whose_script_or_runbook_has_changed_does_not_go_on_and_a_person_is_called() {
    let begun = lines().iter().position(|line| line.contains("action_done")).unwrap() + 1;
    let other = STEPS.replace("fixed(\"x\")", "fixed(\"y\")");
    for (runbook, script) in [
        (RUNBOOK, other.as_str()),
        (&RUNBOOK.replace("10s", "9s"), STEPS),
        (&RUNBOOK.replace("auto", "observe"), STEPS),
    ] {
        let mut bench = crashed_after(begun, runbook, script);
        assert!(recover(&mut bench).is_empty());
        assert!(bench.reason().contains("its runbook or its script has changed"), "{}", bench.reason());
        assert_eq!((bench.world.performed.len(), bench.world.pages.len()), (0, 1));
        let page = &bench.world.pages[0];
        assert_eq!((page.alert.name(), page.tried.len()), ("WebDown", 1));
    }
}

#[test]
fn a_run_that_has_begun_long_ago_or_while_repairs_are_frozen_does_not_go_on() {
    let begun = lines().iter().position(|line| line.contains("action_done")).unwrap() + 1;
    let mut bench = crashed_after(begun, RUNBOOK, STEPS);
    bench.world.now.set(bench.world.now().plus(Duration::from_mins(11)));
    assert!(recover(&mut bench).is_empty());
    assert!(bench.reason().contains("it began at"), "{}", bench.reason());
    let mut bench = crashed_after(begun, RUNBOOK, STEPS);
    bench.world.frozen = true;
    assert!(recover(&mut bench).is_empty());
    assert!(bench.reason().contains("repairs are frozen: by a test"), "{}", bench.reason());
}

#[test]
fn a_script_that_takes_another_way_than_before_is_not_followed() {
    let script = "fn remediate(ctx) { if metric::query(\"up\") == () { proc::restart(\"web\"); } \
                  unit::start(\"web.service\"); fixed(\"x\") }";
    let mut bench = Bench::new(RUNBOOK, script);
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired));
    let path = bench.directory.path().join(JOURNAL);
    let journal = std::fs::read_to_string(&path).unwrap();
    let cut = journal.find("\"step\":\"ended\"").and_then(|at| journal[..at].rfind('\n')).unwrap() + 1;
    std::fs::write(&path, &journal[..cut]).unwrap();
    bench.remediator = remediator(RUNBOOK, script, bench.directory.path());
    let performed = bench.world.performed.len();
    assert_eq!(recover(&mut bench), [RunOutcome::Interrupted]);
    assert!(bench.reason().contains("where it had asked to restart process web"), "{}", bench.reason());
    assert_eq!((bench.world.performed.len(), bench.world.pages.len()), (performed, 1));
}

#[test]
fn a_run_during_which_the_agent_ends_again_and_again_is_given_up() {
    let begun = lines().iter().position(|line| line.contains("action_done")).unwrap() + 1;
    let mut bench = crashed_after(begun, RUNBOOK, STEPS);
    for _ in 0..3 {
        let run = bench.remediator.recover(&mut bench.world).pop().unwrap();
        bench.world.stops_at = Some(NOON);
        // What the journal would hold if the agent had ended as soon as it went on.
        run.chronicle.tell(&mut bench.world, RunStep::Resumed { reason: String::new() });
        bench.remediator = remediator(RUNBOOK, STEPS, bench.directory.path());
    }
    assert!(bench.remediator.recover(&mut bench.world).is_empty());
    assert!(bench.reason().contains("the agent has ended 4 times during it"), "{}", bench.reason());
}

/// The agent has ended right after so many lines that hold this were written down, and others have begun.
fn cut_off(mut bench: Bench, script: &str, line: &str, times: usize) -> Bench {
    bench.respond();
    let path = bench.directory.path().join(JOURNAL);
    let journal = std::fs::read_to_string(&path).unwrap();
    let (end, _) = journal
        .match_indices('\n')
        .filter(|(at, _)| journal[..*at].rsplit('\n').next().unwrap().contains(line))
        .nth(times - 1)
        .unwrap();
    std::fs::write(&path, &journal[..=end]).unwrap();
    bench.remediator = remediator(RUNBOOK, script, bench.directory.path());
    bench.world.events.borrow_mut().clear();
    bench.world.performed.clear();
    bench.world.pages.clear();
    bench.world.up_at_once = true;
    bench
}

#[test]
fn what_is_uncertain_stays_so_however_often_the_script_tries() {
    for tried in ["step(\"start\", || unit::start(\"web.service\"))", "unit::start(\"web.service\")"] {
        let script = format!("fn remediate(ctx) {{ retry(3, \"1s\", || {tried}); fixed(\"x\") }}");
        let mut bench = cut_off(Bench::with_script(&script), &script, "action_intended", 1);
        assert_eq!(recover(&mut bench), [RunOutcome::Escalated], "{tried}");
        assert!(bench.world.performed.is_empty(), "{tried}: {:?}", bench.steps());
    }
}

#[test]
fn a_script_may_go_on_without_a_step_that_is_uncertain_but_does_not_get_its_action_by_another_way() {
    let script = "fn remediate(ctx) { try { step(\"a\", || unit::start(\"web.service\")); } catch (e) { } \
                  try { step(\"b\", || unit::start(\"web.service\")); } catch (e) { } \
                  step(\"c\", || unit::reload(\"web.service\")); fixed(\"x\") }";
    let mut bench = cut_off(Bench::with_script(script), script, "action_intended", 1);
    assert_eq!(recover(&mut bench), [RunOutcome::Repaired], "{:?}", bench.steps());
    let performed: Vec<String> = bench.world.performed.iter().map(ToString::to_string).collect();
    assert_eq!(performed, ["reload web.service"]);
}

#[test]
fn a_try_that_failed_before_the_crash_does_not_hide_the_one_that_succeeded() {
    let script = "fn remediate(ctx) { retry(3, \"1s\", || step(\"start\", || unit::start(\"web.service\"))); fixed(\"x\") }";
    let mut bench = Bench::with_script(script);
    let failed = ActionError::Failed { doing: "starting".into(), cause: executor::Cause("no".into()) };
    bench.world.failures = VecDeque::from([Some(failed)]);
    let mut bench = cut_off(bench, script, "action_done", 2);
    assert_eq!(recover(&mut bench), [RunOutcome::Repaired], "{:?}", bench.steps());
    assert!(bench.world.performed.is_empty(), "{:?}", bench.steps());
}

#[test]
fn what_a_resumed_script_does_not_come_to_again_is_taken_back() {
    let script = "fn precheck(ctx) { if metric::query(\"up\") != () { skip(\"well\") } } fn remediate(ctx) { \
                  step(\"throttle\", || unit::start(\"web.service\"), || unit::reload(\"web.service\")); \
                  clock::sleep(\"4s\"); proc::restart(\"web\"); fixed(\"x\") }";
    let mut bench = cut_off(Bench::with_script(script), script, "step_done", 1);
    assert_eq!(recover(&mut bench), [RunOutcome::Escalated], "{:?}", bench.steps());
    let performed: Vec<String> = bench.world.performed.iter().map(ToString::to_string).collect();
    assert_eq!(performed, ["reload web.service"]);
    assert!(bench.reason().contains("taken back: undone: throttle"), "{}", bench.reason());
    assert_eq!(bench.world.pages.len(), 1);
}

#[test]
fn a_step_that_is_not_reached_again_even_so_is_told() {
    let script = "fn remediate(ctx) { if metric::query(\"up\") == () { step(\"throttle\", || unit::start(\"web.service\")); } \
                  fixed(\"x\") }";
    let mut bench = cut_off(Bench::with_script(script), script, "step_done", 1);
    assert_eq!(recover(&mut bench), [RunOutcome::Interrupted], "{:?}", bench.steps());
    let said = bench.reason();
    assert!(
        said.contains("not all taken back") && said.contains("step throttle was not reached again"),
        "{said}"
    );
    assert_eq!((bench.world.performed.len(), bench.world.pages.len()), (0, 1));
}

#[test]
fn a_run_whose_target_a_person_has_taken_in_hand_meanwhile_does_not_go_on() {
    use crate::circumstances::{Hold, HoldKind};
    let begun = lines().iter().position(|line| line.contains("action_done")).unwrap() + 1;
    let mut bench = crashed_after(begun, RUNBOOK, STEPS);
    let what = "web.service is masked".to_owned();
    bench.world.circumstances.holds = vec![Hold { kind: HoldKind::Stopped, what }];
    assert!(recover(&mut bench).is_empty());
    assert!(bench.reason().contains("operator: web.service is masked"), "{}", bench.reason());
    assert_eq!((bench.world.performed.len(), bench.world.pages.len()), (0, 1));
    let known = |name: &&'static str| guard::GUARDS.iter().any(|guard| guard.name == *name);
    assert!(super::super::recovery::ASKED_AGAIN.iter().all(known));
}

#[test]
fn a_resumed_run_has_the_actions_left_that_it_had_before() {
    let script = "fn remediate(ctx) { for i in 0..30 { try { unit::start(\"web.service\"); } catch (e) { } } fixed(\"x\") }";
    let mut bench = cut_off(Bench::with_script(script), script, "action_done", 15);
    assert_eq!(recover(&mut bench), [RunOutcome::Repaired], "{:?}", bench.steps());
    assert_eq!(bench.world.performed.len(), 5);
}

#[test]
fn a_page_says_of_each_action_what_became_of_it_and_first_of_all_what_is_not_known() {
    let lines = lines();
    let at = |what: &str| lines.iter().position(|line| line.contains(what)).unwrap() + 1;
    let uncertain = "restart process web: the agent ended before it was known whether this was done";
    let intended = at("\"action\":\"restart process web\"");
    for other in [false, true] {
        let script = if other { STEPS.replace("fixed(\"x\")", "fixed(\"y\")") } else { STEPS.to_owned() };
        let mut bench = crashed_after(intended, RUNBOOK, &script);
        recover(&mut bench);
        let tried = &bench.world.pages[0].tried;
        assert_eq!(tried.first().map(String::as_str), Some(uncertain), "{tried:?}");
        for done in ["forget that web.service failed: ", "start web.service: "] {
            assert!(tried.iter().any(|line| line.starts_with(done)), "{done}: {tried:?}");
        }
    }
}

#[test]
fn after_a_run_whose_doing_is_not_known_a_person_decides_about_the_next_and_then_no_more() {
    let lines = lines();
    let intended = lines.iter().position(|line| line.contains("\"action\":\"restart process web\"")).unwrap();
    let mut bench = crashed_after(intended + 1, RUNBOOK, STEPS);
    assert_eq!(recover(&mut bench), [RunOutcome::Escalated]);
    bench.world.now.set(bench.world.now().plus(Duration::from_mins(30)));
    assert_eq!(bench.respond(), None);
    let waiting = bench.remediator.waiting();
    let [waiting] = waiting.as_slice() else { panic!("{:?}", bench.steps()) };
    assert!(
        bench.steps().iter().any(|step| step.contains("it is not known what run")),
        "{:?}",
        bench.steps()
    );
    let decision = Decision { approved: true, by: "ann", comment: "" };
    let Ok(Considered::Begun(run)) = bench.remediator.decide(&waiting.run, decision, &mut bench.world) else {
        panic!("{:?}", bench.steps())
    };
    assert_eq!(run.perform(&mut bench.world), RunOutcome::Repaired);
    bench.world.now.set(bench.world.now().plus(Duration::from_mins(30)));
    assert_eq!(bench.respond(), Some(RunOutcome::Repaired), "it acts by itself again");
}
