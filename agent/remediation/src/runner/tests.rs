use super::*;
use serde_json::json;

use crate::sandbox::Ending;

fn job(script: &str, functions: &[&str]) -> Job {
    let functions = functions.iter().map(|path| (*path).to_owned()).collect();
    Job {
        script: script.to_owned(),
        context: json!({"params": {"process": "web"}}),
        functions,
        catches_up: false,
    }
}

fn start(script: &str, functions: &[&str]) -> Session {
    Sandbox::thread().start(&job(script, functions)).unwrap()
}

fn next(session: &mut Session) -> Result<Request, RunnerError> {
    session.next(Duration::from_secs(10), &mut || Ok(()))
}

#[test]
fn a_script_asks_and_is_answered() {
    let mut session = start(
        "fn remediate(ctx) { let p = proc::find(ctx.params.process); fixed(`${p[0].pid} ${p[0].idle}`) }",
        &["proc::find"],
    );
    let call = Request::Call { function: "proc::find".to_owned(), arguments: vec![json!("web")] };
    assert_eq!(next(&mut session).unwrap(), call);
    session.answer(&Answer::Value(json!([{"pid": 42, "idle": 0.5}]))).unwrap();
    assert_eq!(next(&mut session).unwrap(), Request::Ended(Ending::Fixed("42 0.5".to_owned())));
}

#[test]
fn a_precheck_that_skips_ends_the_script_before_it_acts() {
    let mut session = start("fn precheck(ctx) { skip(\"well\") }\nfn remediate(ctx) { fixed(\"no\") }", &[]);
    assert_eq!(next(&mut session).unwrap(), Request::Ended(Ending::Skip("well".to_owned())));
    let mut session = start("fn precheck(ctx) { 1 }\nfn remediate(ctx) { fixed(\"yes\") }", &[]);
    assert_eq!(next(&mut session).unwrap(), Request::Ended(Ending::Fixed("yes".to_owned())));
}

#[test]
fn an_error_of_the_agent_can_be_caught_and_has_a_place() {
    let caught =
        "fn remediate(ctx) { try { proc::find(\"x\") } catch (e) { return failed(e); } fixed(\"\") }";
    let mut session = start(caught, &["proc::find"]);
    next(&mut session).unwrap();
    session.answer(&Answer::Error("no such thing".to_owned())).unwrap();
    assert_eq!(next(&mut session).unwrap(), Request::Ended(Ending::Failed("no such thing".to_owned())));
    let mut session = start("fn remediate(ctx) {\n  proc::find(\"x\")\n}", &["proc::find"]);
    next(&mut session).unwrap();
    session.answer(&Answer::Error("no such thing".to_owned())).unwrap();
    let Ok(Request::Broke(error)) = next(&mut session) else { panic!() };
    assert!(error.contains("no such thing") && error.contains("line 2"), "{error}");
}

#[test]
fn what_a_script_cannot_do_breaks_it_with_a_reason() {
    for (body, expected) in [
        ("proc::restart(\"web\"); fixed(\"x\")", "proc"),
        ("sleep(5); fixed(\"x\")", "use clock::sleep"),
        ("sleep(0.5); fixed(\"x\")", "use clock::sleep"),
        ("loop { }", "Too many operations"),
        ("try { loop { } } catch { } fixed(\"x\")", "Too many operations"),
        ("remediate(ctx)", "Stack overflow"),
        ("let s = \"xxxxxxxxxxxxxxxx\"; loop { s += s; }", "too large"),
        ("let f = Fn(\"eval\"); f.call(\"1\")", "eval"),
        ("\"well\"", "must return fixed(..), failed(..) or skip(..)"),
        ("ctx.parmas.process", "parmas"),
    ] {
        let mut session = start(&format!("fn remediate(ctx) {{ {body} }}"), &["clock::sleep"]);
        let Ok(Request::Broke(error)) = next(&mut session) else { panic!("{body}") };
        assert!(error.contains(expected), "{body}: {error}");
    }
}

#[test]
fn a_script_that_has_ended_can_still_be_rolled_back() {
    let steps = "fn rollback(ctx) { incident::note(ctx.params.process) }\n\
                 fn remediate(ctx) { step(\"a\", || 1, |made| incident::note(`${made}`)); fixed(\"x\") }";
    for finish in [true, false] {
        let mut session = start(steps, &["incident::note"]);
        assert_eq!(next(&mut session).unwrap(), Request::StepBegin { id: "a".to_owned(), keeps: false });
        session.answer(&Answer::Step(StepState::Run)).unwrap();
        assert_eq!(next(&mut session).unwrap(), Request::StepEnd { id: "a".to_owned(), result: json!(1) });
        session.answer(&Answer::Value(json!(null))).unwrap();
        assert_eq!(next(&mut session).unwrap(), Request::Ended(Ending::Fixed("x".to_owned())));
        if finish {
            session.answer(&Answer::Finish).unwrap();
            assert!(matches!(next(&mut session), Err(RunnerError::Died(_))));
            continue;
        }
        session.answer(&Answer::Rollback).unwrap();
        for (note, step) in [("1", Some("a".to_owned())), ("web", None)] {
            let call = Request::Call { function: "incident::note".to_owned(), arguments: vec![json!(note)] };
            let begin = Request::UndoBegin { step: step.clone() };
            for request in [begin, call, Request::UndoEnd { step, ok: true }] {
                assert_eq!(next(&mut session).unwrap(), request);
                session.answer(&Answer::Value(json!(null))).unwrap();
            }
        }
        let what = "undone: a, rollback(ctx)".to_owned();
        assert_eq!(next(&mut session).unwrap(), Request::RolledBack { ok: true, what });
    }
}

#[test]
fn a_script_that_waits_can_be_broken_off_and_rolled_back() {
    let mut session = start(
        "fn remediate(ctx) { step(\"a\", || 1, || incident::note(\"back\")); \
         try { clock::sleep(\"1h\") } catch { } failed(\"x\") }",
        &["incident::note", "clock::sleep"],
    );
    next(&mut session).unwrap();
    session.answer(&Answer::Step(StepState::Run)).unwrap();
    next(&mut session).unwrap();
    session.answer(&Answer::Value(json!(null))).unwrap();
    assert!(matches!(next(&mut session).unwrap(), Request::Call { .. }));
    session.answer(&Answer::Rollback).unwrap();
    for _ in ["it begins", "the note", "it ends"] {
        assert!(!matches!(next(&mut session).unwrap(), Request::RolledBack { .. }));
        session.answer(&Answer::Value(json!(null))).unwrap();
    }
    assert_eq!(next(&mut session).unwrap(), Request::RolledBack { ok: true, what: "undone: a".to_owned() });
}

#[test]
fn a_stop_ends_the_waiting() {
    let mut session = start("fn remediate(ctx) { clock::sleep(\"1s\"); fixed(\"x\") }", &["clock::sleep"]);
    next(&mut session).unwrap();
    let stopped = session.next(Duration::from_secs(10), &mut || Err(RunnerError::Stopping));
    assert!(matches!(stopped, Err(RunnerError::Stopping)));
}

#[test]
fn a_child_that_talks_all_the_time_does_not_hide_the_deadline() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(ATTENTION)).unwrap();
    let mut session = Session { stream: ours, pending: Vec::new(), child: None };
    let talking = std::thread::spawn(move || while theirs.write_all(b"x").is_ok() {});
    let mut turns = 0;
    let ended = session.next(Duration::from_secs(10), &mut || {
        turns += 1;
        if turns > 3 { Err(RunnerError::Timeout(Duration::ZERO)) } else { Ok(()) }
    });
    assert!(matches!(ended, Err(RunnerError::Timeout(_))));
    drop(session);
    talking.join().unwrap();
}

#[test]
fn a_child_that_says_no_message_or_one_without_end_is_not_listened_to() {
    for babble in [b"{}\n".to_vec(), vec![b'x'; MAX_LINE_BYTES + 4096]] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(ATTENTION)).unwrap();
        let mut session = Session { stream: ours, pending: Vec::new(), child: None };
        let talking = std::thread::spawn(move || theirs.write_all(&babble));
        assert!(matches!(next(&mut session), Err(RunnerError::Babble)));
        drop(session);
        let _ = talking.join().unwrap();
    }
}

#[test]
fn the_traps_of_the_language_are_as_the_readme_of_the_scripts_tells_them() {
    for (expression, expected) in [
        ("() > 80", "false"),
        ("\"91\" > 80", "false"),
        ("\"91\" == 91", "false"),
        ("\"91\".parse_int() > 80", "true"),
        ("() ?? 5", "5"),
        ("#{}.get(\"x\") ?? 5", "5"),
        ("\"${1 + 1}\"", "${1 + 1}"),
        ("`${1 + 1}`", "2"),
        ("type_of('x')", "char"),
        ("7 / 2", "3"),
        ("7 / 2.0", "3.5"),
    ] {
        let mut session = start(&format!("fn remediate(ctx) {{ fixed(`${{{expression}}}`) }}"), &[]);
        let expected = Request::Ended(Ending::Fixed(expected.to_owned()));
        assert_eq!(next(&mut session).unwrap(), expected, "{expression}");
    }
    let closures = "let made = []; for f in [\"a\", \"b\"] { made.push(|| f); }";
    let mut session =
        start(&format!("fn remediate(ctx) {{ {closures} fixed(made[0].call() + made[1].call()) }}"), &[]);
    assert_eq!(next(&mut session).unwrap(), Request::Ended(Ending::Fixed("bb".to_owned())));
    for broken in ["let y = ctx.nothing", "|_| 1", "sleep(5)", "'two'", "y = 1"] {
        let mut session = start(&format!("fn remediate(ctx) {{ {broken}; fixed(\"\") }}"), &[]);
        assert!(matches!(next(&mut session).unwrap(), Request::Broke(_)), "{broken}");
    }
}
