use std::sync::atomic::{AtomicUsize, Ordering};

use rhai::OptimizationLevel;
use serde_json::json;

use super::*;
use crate::functions::HOST_FUNCTIONS;
use crate::sandbox::interpreter;

/// What a script asked, and how an agent answers it.
struct Agent {
    asked: Arc<Mutex<Vec<String>>>,
    /// What was undone, a step each, and whether.
    undone: Arc<Mutex<Vec<String>>>,
    host: Host,
}

impl Agent {
    fn new(states: &'static [(&'static str, StepState)]) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let undone = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::clone(&undone);
        let (log, failures) = (Arc::clone(&asked), AtomicUsize::new(0));
        let host = Host::new(Arc::new(move |request| {
            let (line, answer) = match request {
                Request::StepBegin { id, keeps } => {
                    let known = states.iter().find(|(step, _)| *step == id);
                    let state = known.map_or(StepState::Run, |(_, state)| state.clone());
                    let keeps = if keeps { ", which stays" } else { "" };
                    (format!("begin {id}{keeps}"), Answer::Step(state))
                }
                Request::UndoBegin { .. } => return Answer::Value(json!(null)),
                Request::UndoEnd { step, ok } => {
                    lock(&ended).push(format!("{step:?} {ok}"));
                    return Answer::Value(json!(null));
                }
                Request::StepEnd { id, result } => (format!("end {id} {result}"), Answer::Value(json!(null))),
                Request::StepFailed { id, .. } => (format!("fail {id}"), Answer::Value(json!(null))),
                Request::RolledBack { ok, what } => {
                    (format!("rolled back {ok} {what}"), Answer::Value(json!(null)))
                }
                Request::Call { function, arguments } => {
                    let answer = match (function.as_str(), arguments.first().and_then(Value::as_str)) {
                        ("unit::restart", Some("twice.service"))
                            if failures.fetch_add(1, Ordering::Relaxed) < 2 =>
                        {
                            Answer::Error("not yet".to_owned())
                        }
                        ("unit::stop", Some("bad.service")) => Answer::Error("refused".to_owned()),
                        ("unit::stop", Some("over.service")) => Answer::Rollback,
                        _ => Answer::Value(json!({"change": "c1"})),
                    };
                    (format!("{function} {}", json!(arguments)), answer)
                }
                other => (format!("{other:?}"), Answer::Finish),
            };
            lock(&log).push(line);
            answer
        }));
        Self { asked, undone, host }
    }

    /// Runs the body; what it asked, and its value or error.
    fn run(&self, body: &str) -> (Vec<String>, Result<String, String>) {
        let engine = interpreter(HOST_FUNCTIONS, &self.host, OptimizationLevel::Simple);
        let script = engine.compile(format!("fn main() {{ {body} }}")).unwrap();
        self.host.runs(&script);
        let value = engine.call_fn::<Dynamic>(&mut rhai::Scope::new(), &script, "main", ());
        let asked = std::mem::take(&mut *lock(&self.asked));
        (asked, value.map(|value| value.to_string()).map_err(|error| error.to_string()))
    }
}

#[test]
fn a_step_is_written_down_before_and_after_and_gives_its_result() {
    let (asked, value) =
        Agent::new(&[]).run("let made = step(\"cap\", || unit::stop(\"a.service\")); made.change");
    assert_eq!(asked, ["begin cap", "unit::stop [\"a.service\"]", "end cap {\"change\":\"c1\"}"]);
    assert_eq!(value, Ok("c1".to_owned()));
}

#[test]
fn a_step_that_was_done_before_the_crash_is_not_done_again_and_can_still_be_undone() {
    static DONE: &[(&str, StepState)] = &[("cap", StepState::Done(Value::Bool(true)))];
    let (asked, value) = Agent::new(DONE)
        .run("let made = step(\"cap\", || unit::stop(\"a.service\"), |made| incident::note(`${made}`)); undo(); made");
    assert_eq!(asked, ["begin cap", "incident::note [\"true\"]", "rolled back true undone: cap"]);
    assert_eq!(value, Ok("true".to_owned()));
}

#[test]
fn an_uncertain_step_is_repeated_only_if_it_is_still_needed() {
    static UNCERTAIN: &[(&str, StepState)] = &[("cap", StepState::Uncertain)];
    let act = "|| unit::stop(\"a.service\")";
    let (asked, value) = Agent::new(UNCERTAIN).run(&format!("step(\"cap\", {act})"));
    assert_eq!(asked, ["begin cap", "fail cap"]);
    assert!(value.unwrap_err().contains("it is not known whether \"cap\" was done"));
    let (asked, _) = Agent::new(UNCERTAIN).run(&format!("step(\"cap\", || true, {act}, |made| 1)"));
    assert_eq!(asked, ["begin cap", "unit::stop [\"a.service\"]", "end cap {\"change\":\"c1\"}"]);
    let (asked, _) = Agent::new(UNCERTAIN).run(&format!("step(\"cap\", || false, {act}, |made| 1)"));
    assert_eq!(asked, ["begin cap", "end cap null"]);
}

#[test]
fn undoing_goes_backwards_with_each_step_s_own_values_and_does_not_stop_at_a_failure() {
    let body = "for name in [\"a\", \"bad\", \"c\"] { \
                step(name, || name, |made| unit::stop(`${made}.service`)); step(`${name}2`, || 1, || incident::note(name)); } \
                undo()";
    let (asked, value) = Agent::new(&[]).run(body);
    let undone: Vec<&str> = asked
        .iter()
        .map(String::as_str)
        .filter(|line| !line.starts_with("begin") && !line.starts_with("end"))
        .collect();
    assert_eq!(
        undone,
        [
            "incident::note [\"c\"]",
            "unit::stop [\"c.service\"]",
            "incident::note [\"bad\"]",
            "unit::stop [\"bad.service\"]",
            "incident::note [\"a\"]",
            "unit::stop [\"a.service\"]",
            "rolled back false undone: c2, c, bad2, a2, a; undoing bad failed: Runtime error: refused (line 1, position 78), in closure call (line 1, position 155)",
        ]
    );
    assert_eq!(value, Ok("false".to_owned()));
}

#[test]
fn the_agent_is_told_of_each_step_whether_it_is_undone() {
    let agent = Agent::new(&[]);
    let step = |name: &str| format!("step(\"{name}\", || 1, || unit::stop(\"{name}.service\"));");
    let (_, value) = agent.run(&format!("{} {} undo()", step("a"), step("bad")));
    assert_eq!(value, Ok("false".to_owned()));
    let undone = lock(&agent.undone).clone();
    assert_eq!(undone, ["Some(\"bad\") false", "Some(\"a\") true"]);
}

#[test]
fn a_step_is_kept_on_purpose_by_an_undo_that_does_nothing() {
    for (undo, keeps) in [
        (", || ()", true),
        (", || {}", true),
        (", |made| {}", true),
        (", || { () }", true),
        (", || ok()", true),
        (", || { /* it stays */ ok() }", true),
        ("", false),
        (", || 1", false),
        (", || unit::stop(\"a.service\")", false),
        (", || { ok(); unit::stop(\"a.service\") }", false),
    ] {
        let (asked, _) = Agent::new(&[]).run(&format!("step(\"cap\", || 1{undo})"));
        assert_eq!(
            asked.first().is_some_and(|line| line.ends_with("which stays")),
            keeps,
            "{undo}: {asked:?}"
        );
    }
}

#[test]
fn a_step_in_a_loop_hands_over_what_its_closure_has_captured() {
    let body = "let p = #{ under: \"/a\", most: 5 }; let least = 80; \
                for name in [\"x\", \"y\"] { let which = #{ matching: name }; if p.most < least { which.used = p.most; } \
                step(name, || file::remove_old(p.under, \"1h\", least, which), || ok()); if p.most > least { break; } }";
    let (asked, value) = Agent::new(&[]).run(body);
    let calls: Vec<&String> = asked.iter().filter(|line| line.starts_with("file::")).collect();
    let call = |name| format!("file::remove_old [\"/a\",\"1h\",80,{{\"matching\":\"{name}\",\"used\":5}}]");
    assert_eq!(calls, [&call("x"), &call("y")], "{value:?}");
}

#[test]
fn trying_again_pauses_between_the_attempts_and_gives_up_with_the_last_error() {
    let act = |unit: &str, times: i64| {
        Agent::new(&[]).run(&format!("retry({times}, \"5s\", || unit::restart(\"{unit}.service\")).change"))
    };
    let (asked, value) = act("twice", 3);
    let restart = "unit::restart [\"twice.service\"]";
    let pause = "clock::sleep [\"5s\"]";
    assert_eq!(asked, [restart, pause, restart, pause, restart]);
    assert_eq!(value, Ok("c1".to_owned()));
    let (asked, value) = act("twice", 2);
    assert_eq!(asked, [restart, pause, restart]);
    assert!(value.unwrap_err().contains("not yet"));
    assert!(act("twice", 0).1.unwrap_err().contains("retry tries 1 to 20 times"));
    let (asked, value) = Agent::new(&[]).run("retry(2, \"1s\", || false)");
    assert_eq!((asked.len(), value), (1, Ok("false".to_owned())));
}

#[test]
fn what_would_make_a_step_ambiguous_is_refused() {
    for (body, expected) in [
        ("step(\"a\", || 1); step(\"a\", || 1)", "\"a\" is done already"),
        ("step(\"a\", || step(\"b\", || 1))", "stands inside of step \"a\""),
        ("step(\"\", || 1)", "1 to 100 printable bytes"),
        ("step(\"a\", || || 1)", "cannot leave the script"),
        ("for i in 0..200 { step(`s${i}`, || 1) }", "may have 100 steps"),
    ] {
        let (_, value) = Agent::new(&[]).run(body);
        assert!(value.clone().unwrap_err().contains(expected), "{body}: {value:?}");
    }
}

#[test]
fn a_failed_step_can_be_tried_again() {
    let body = "retry(3, \"1s\", || step(\"a\", || unit::restart(\"twice.service\")))";
    let (asked, value) = Agent::new(&[]).run(body);
    assert!(value.is_ok(), "{value:?}");
    assert_eq!(asked.iter().filter(|line| *line == "begin a").count(), 3);
    assert_eq!(asked.iter().filter(|line| line.starts_with("end a")).count(), 1);
}

#[test]
fn a_script_that_is_broken_off_cannot_go_on() {
    let body = "try { retry(3, \"1s\", || unit::stop(\"over.service\")) } catch { } incident::note(\"on\")";
    let (asked, value) = Agent::new(&[]).run(body);
    assert_eq!(asked, ["unit::stop [\"over.service\"]"]);
    assert!(value.is_err());
}
