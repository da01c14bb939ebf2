use std::time::Duration;

use executor::{ByteCount, Selection, Signal};
use serde_json::{Value, json};

use super::*;

fn call(path: &str, values: &[Value]) -> Result<Call, String> {
    let function = HostFunction::at(path).unwrap();
    (function.read)(&Arguments { function, values })
}

#[test]
fn every_function_that_acts_needs_a_capability_and_no_other_does() {
    for function in HOST_FUNCTIONS {
        let asks_others = function.namespace == "http";
        let acts = function.kind == FunctionKind::Act;
        assert_eq!(acts || asks_others, function.needs.is_some(), "{}", function.path());
        assert!(function.summary.ends_with('.'), "{}", function.path());
        assert!(function.optional <= function.parameters.len() && function.parameters.len() <= 4);
    }
}

#[test]
fn arguments_become_a_typed_call() {
    let process = ProcessId { pid: 42, start_ticks: 7 };
    assert_eq!(
        call("proc::signal", &[json!({"pid": 42, "start_ticks": 7, "command": "x"}), json!("KILL")]),
        Ok(Call::Act {
            action: Action::SignalProcess { process, signal: Signal::Kill },
            on: Target::Found(process)
        })
    );
    let removed = call(
        "file::remove_old",
        &[json!("/var/spool/web"), json!("1m"), json!("1MiB"), json!({"matching": "*.gz"})],
    );
    let selection = Selection {
        matching: Some("*.gz".to_owned()),
        ..Selection::old_files("/var/spool/web", Duration::from_mins(1), ByteCount(1 << 20))
    };
    let on = Target::Named("/var/spool/web".to_owned());
    assert_eq!(removed, Ok(Call::Act { action: Action::RemoveFiles { selection }, on }));
}

#[test]
fn a_wrong_argument_is_refused_with_what_would_be_right() {
    for (path, values, expected) in [
        ("proc::find", vec![json!(7)], "argument 1 of `proc::find` must be a map, not a number"),
        (
            "proc::find",
            vec![json!({"nmae": "web"})],
            "`proc::find` knows no option `nmae`; known are name, pid, ppid, unit, state",
        ),
        ("proc::find", vec![json!({})], "say which processes: by name, pid, ppid, unit or state"),
        (
            "proc::top",
            vec![json!(5), json!("disk")],
            "argument 2 of `proc::top` must be one of cpu, memory, io, not a string",
        ),
        (
            "proc::top",
            vec![json!(0)],
            "argument 1 of `proc::top` must be a whole number from 1 to 100, not a number",
        ),
        ("unit::limit", vec![json!("a.service"), json!({})], "no limit is given"),
        (
            "disk::usage",
            vec![json!("/a/../b")],
            "\"/a/../b\" is not an absolute path without `.`, `..` and control characters",
        ),
        (
            "unit::restart",
            vec![json!("*.service")],
            "\"*.service\" is not the exact name of a service; write it as in nginx.service or getmail@ann.service",
        ),
        ("metric::query", vec![], "`metric::query` lacks an argument"),
        (
            "clock::sleep",
            vec![json!(5)],
            "argument 1 of `clock::sleep` must be a duration, as in \"5s\", not a number",
        ),
        ("clock::sleep", vec![json!("5")], "\"5\" is not a duration; write it as in 90s, 5m or 1h30m"),
        (
            "proc::signal",
            vec![json!(42), json!("KILL")],
            "argument 1 of `proc::signal` must be a process that proc::find has returned, not a number",
        ),
        (
            "file::remove_old",
            vec![json!("/x"), json!("1m"), json!(-1)],
            "argument 3 of `file::remove_old` must be bytes, as in 65536 or \"64KiB\", not a number",
        ),
    ] {
        assert_eq!(call(path, &values).unwrap_err(), expected);
    }
}
