use std::time::Duration;

use super::*;

fn set(action: &str, [what, before, after]: [&str; 3], id: &str) -> Vec<RunStep> {
    let (what, before, after) = (what.to_owned(), before.to_owned(), after.to_owned());
    let outcome = Outcome::Set { what, before, after, change: Some(ChangeId(id.to_owned())) };
    acted(action, true, Some(serde_json::to_string(&outcome).unwrap()))
}

fn acted(action: &str, ok: bool, answer: Option<String>) -> Vec<RunStep> {
    vec![
        RunStep::ActionIntended { number: 1, action: action.to_owned(), simulated: false },
        RunStep::ActionDone { number: 1, ok, outcome: String::new(), answer, took: Duration::ZERO },
    ]
}

fn a() -> Vec<RunStep> {
    set("set x to 2", ["x", "1", "2"], "a")
}

fn b() -> Vec<RunStep> {
    set("set y to 2", ["y", "1", "2"], "b")
}

fn begun(id: &str, keeps: bool) -> Vec<RunStep> {
    vec![RunStep::StepBegun { id: id.to_owned(), keeps }]
}

fn done(id: &str) -> Vec<RunStep> {
    vec![RunStep::StepDone { id: id.to_owned(), result: "null".to_owned() }]
}

fn undo_begun(id: Option<&str>) -> Vec<RunStep> {
    vec![RunStep::UndoBegun { id: id.map(str::to_owned) }]
}

fn undo_ended(id: Option<&str>, ok: bool) -> Vec<RunStep> {
    vec![RunStep::UndoEnded { id: id.map(str::to_owned), ok }]
}

fn ended() -> Vec<RunStep> {
    vec![RunStep::Ended { ok: false, result: "failed: x".to_owned() }]
}

fn resumed() -> Vec<RunStep> {
    vec![RunStep::Resumed { reason: String::new() }]
}

/// A step in which `a` is changed and which is over.
fn step(keeps: bool) -> Vec<RunStep> {
    [begun("one", keeps), a(), done("one")].concat()
}

#[test]
fn what_stands_is_what_nobody_has_undone_or_wants_to_stay() {
    let undoes_a = || acted("take change a back: set x to 2", true, None);
    for (what, steps, standing) in [
        ("the last first", [a(), b()].concat(), &["b", "a"][..]),
        ("a step without an undo", step(false), &["a"]),
        ("a step that is kept", step(true), &[]),
        ("a kept step that failed", [begun("one", true), a()].concat(), &[]),
        ("beside a kept step", [step(true), b()].concat(), &["b"]),
        (
            "a step that is undone",
            [step(false), undo_begun(Some("one")), undo_ended(Some("one"), true)].concat(),
            &[],
        ),
        ("a step whose undo failed", [step(false), undo_ended(Some("one"), false)].concat(), &["a"]),
        ("another step is undone", [step(false), undo_ended(Some("two"), true)].concat(), &["a"]),
        (
            "what undoing sets",
            [step(false), undo_begun(Some("one")), b(), undo_ended(Some("one"), true)].concat(),
            &[],
        ),
        ("what comes after undoing", [undo_begun(None), undo_ended(None, true), a()].concat(), &["a"]),
        ("what comes before", [a(), step(false), undo_ended(Some("one"), true)].concat(), &["a"]),
        ("all is rolled back", [a(), step(false), ended(), undo_ended(None, true)].concat(), &[]),
        ("rolling back failed", [a(), ended(), undo_ended(None, false)].concat(), &["a"]),
        ("undoing after the end", [a(), ended(), b()].concat(), &["a"]),
        ("after a crash", [a(), ended(), resumed(), b()].concat(), &["b", "a"]),
        ("it is taken back", [a(), b(), undoes_a()].concat(), &["b"]),
        ("that is only intended", [a(), undoes_a().drain(..1).collect()].concat(), &["a"]),
        ("that failed", [a(), acted("take change a back: set x to 2", false, None)].concat(), &["a"]),
        ("an action that failed", acted("set x to 2", false, None), &[]),
        ("one that changed nothing", acted("restart web", true, Some("{}".to_owned())), &[]),
        ("brought back outside of a step", [a(), set("set x to 1", ["x", "2", "1"], "c")].concat(), &[]),
        (
            "brought back by way of another value",
            [a(), set("set x to 3", ["x", "2", "3"], "c"), b(), set("set x to 1", ["x", "3", "1"], "d")]
                .concat(),
            &["b"],
        ),
        (
            "set to what another changed it to",
            [a(), set("set x to 1", ["x", "5", "1"], "c")].concat(),
            &["c", "a"],
        ),
    ] {
        let mut changes = Changes::default();
        for step in &steps {
            changes.see(step);
        }
        let stands: Vec<String> = changes.standing().into_iter().map(|standing| standing.id.0).collect();
        assert_eq!(stands, standing, "{what}");
    }
}

#[test]
fn files_that_wait_in_quarantine_are_a_change() {
    let removed = Outcome::Removed {
        quarantined: true,
        change: Some(ChangeId("q".to_owned())),
        files: 1,
        bytes: executor::ByteCount(1),
        too_large: 0,
        failed: 0,
        first_failure: None,
        incomplete: false,
    };
    let mut changes = Changes::default();
    let steps = acted("remove files", true, Some(serde_json::to_string(&removed).unwrap()));
    for step in &steps {
        changes.see(step);
    }
    let standing = changes.standing();
    assert_eq!(standing.first().unwrap().printed(), "take change q back: remove files");
}
