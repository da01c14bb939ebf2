use super::*;
use serde_json::json;

fn job(script: &str, functions: &[&str]) -> Job {
    let functions = functions.iter().map(|path| (*path).to_owned()).collect();
    Job { script: script.to_owned(), context: json!({"parameters": {"process": "web"}}), functions }
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
        "fn remediate(ctx) { let p = process::find(ctx.parameters.process); fixed(`${p[0].pid} ${p[0].idle}`) }",
        &["process::find"],
    );
    let call = Request::Call { function: "process::find".to_owned(), arguments: vec![json!("web")] };
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
        "fn remediate(ctx) { try { process::find(\"x\") } catch (e) { return failed(e); } fixed(\"\") }";
    let mut session = start(caught, &["process::find"]);
    next(&mut session).unwrap();
    session.answer(&Answer::Error("no such thing".to_owned())).unwrap();
    assert_eq!(next(&mut session).unwrap(), Request::Ended(Ending::Failed("no such thing".to_owned())));
    let mut session = start("fn remediate(ctx) {\n  process::find(\"x\")\n}", &["process::find"]);
    next(&mut session).unwrap();
    session.answer(&Answer::Error("no such thing".to_owned())).unwrap();
    let Ok(Request::Broke(error)) = next(&mut session) else { panic!() };
    assert!(error.contains("no such thing") && error.contains("line 2"), "{error}");
}

#[test]
fn what_a_script_cannot_do_breaks_it_with_a_reason() {
    for (body, expected) in [
        ("process::restart(\"web\"); fixed(\"x\")", "process"),
        ("sleep(5); fixed(\"x\")", "use clock::sleep"),
        ("sleep(0.5); fixed(\"x\")", "use clock::sleep"),
        ("loop { }", "Too many operations"),
        ("try { loop { } } catch { } fixed(\"x\")", "Too many operations"),
        ("remediate(ctx)", "Stack overflow"),
        ("let s = \"xxxxxxxxxxxxxxxx\"; loop { s += s; }", "too large"),
        ("let f = Fn(\"eval\"); f.call(\"1\")", "eval"),
        ("\"well\"", "must return fixed(..), failed(..) or skip(..)"),
        ("ctx.parametres.process", "parametres"),
    ] {
        let mut session = start(&format!("fn remediate(ctx) {{ {body} }}"), &["clock::sleep"]);
        let Ok(Request::Broke(error)) = next(&mut session) else { panic!("{body}") };
        assert!(error.contains(expected), "{body}: {error}");
    }
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
