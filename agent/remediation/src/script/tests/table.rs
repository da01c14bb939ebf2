//! What the check of a script knows of the table of functions and of the header.

use super::*;

#[test]
fn arguments_that_stand_in_the_script_are_held_against_the_table() {
    let mut wrong = Vec::new();
    for (line, expected) in [
        (
            "unit::status(\"nginx\");",
            "s.rhai:3:18: argument 1 of `unit::status` must be the exact name of a service, as in \"nginx.service\", not \"nginx\"",
        ),
        ("unit::status(`${ctx.params.process}.service`);", ""),
        ("unit::status(ctx.params.process);", ""),
        (
            "clock::sleep(5);",
            "s.rhai:3:18: argument 1 of `clock::sleep` must be a duration, as in \"5s\", not 5",
        ),
        ("clock::sleep(\"5\");", "s.rhai:3:18: argument 1 of `clock::sleep` must be a duration"),
        ("disk::usage(\"/a/../b\");", "s.rhai:3:17: argument 1 of `disk::usage` must be an absolute path"),
        ("proc::top(\"5\");", "s.rhai:3:15: argument 1 of `proc::top` must be a whole number, not \"5\""),
        ("proc::top(`${1}`);", "s.rhai:3:15: argument 1 of `proc::top` must be a whole number, not a string"),
        ("proc::top(0);", "s.rhai:3:15: argument 1 of `proc::top` must be a whole number from 1 to 100"),
        (
            "proc::top(5, \"cup\");",
            "s.rhai:3:18: argument 2 of `proc::top` must be one of cpu, memory, io, not \"cup\"; did you mean \"cpu\"?",
        ),
        ("proc::stack(42);", "s.rhai:3:17: argument 1 of `proc::stack` must be a process that proc::find"),
        (
            "proc::find(42);",
            "s.rhai:3:16: argument 1 of `proc::find` must be a map, as in #{ name: value }, not 42",
        ),
        ("proc::find(#{ pid: ctx.alert.value });", ""),
        (
            "proc::find(#{ nmae: \"web\" });",
            "s.rhai:3:19: argument 1 of `proc::find` knows no option `nmae`; did you mean `name`?",
        ),
        ("proc::find(#{});", "s.rhai:3:16: say which processes: by name, pid, ppid, unit or state"),
        ("proc::find(#{ pid: \"1\" });", "s.rhai:3:24: option `pid` must be a whole number, not \"1\""),
        (
            "file::list(\"/x\", #{ order: \"oldst\" });",
            "s.rhai:3:32: option `order` must be one of oldest, newest, largest, not \"oldst\"; did you mean \"oldest\"?",
        ),
        ("unit::wait_active(\"a.service\", \"5s\", ());", ""),
        ("http::get(\"http://a/\", 5);", "s.rhai:3:28: argument 2 of `http::get` must be a duration"),
    ] {
        let found = problems(&within_remediate(line));
        // What is granted is another test's.
        let found: Vec<&String> =
            found.iter().filter(|problem| !problem.contains("header does not say")).collect();
        let as_expected = match (expected, found.as_slice()) {
            ("", []) => true,
            (expected, [only]) => !expected.is_empty() && only.starts_with(expected),
            _ => false,
        };
        if !as_expected {
            wrong.push((line, expected, format!("{found:?}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn fields_that_nothing_has_are_found_where_it_is_known_what_a_variable_holds() {
    let mut wrong = Vec::new();
    for (line, expected) in [
        (
            "let u = unit::status(\"a.service\"); u.activ;",
            "there is no field `activ` here; did you mean `active`?",
        ),
        ("unit::status(\"a.service\").activ;", "there is no field `activ` here; did you mean `active`?"),
        ("let u = unit::status(\"a.service\"); u.active;", ""),
        ("let u = unit::status(\"a.service\"); u.note = 1; u.note;", ""),
        ("let u = unit::status(\"a.service\"); if u.active == \"x\" { let u = #{ a: 1 }; u.a; }", ""),
        ("for p in proc::find(\"web\") { p.pidd; }", "there is no field `pidd` here; did you mean `pid`?"),
        (
            "let f = proc::find(\"web\"); f[0].comand;",
            "there is no field `comand` here; did you mean `command`?",
        ),
        (
            "let f = proc::find(\"web\").filter(|p| p.pid == 1); f[0].comand;",
            "there is no field `comand` here",
        ),
        (
            "let f = proc::find(\"web\").filter(|p| p.pdi == 1);",
            "there is no field `pdi` here; did you mean `pid`?",
        ),
        ("let n = 1; let f = proc::find(\"web\").filter(|p| p.pdi == n);", "there is no field `pdi` here"),
        ("let m = #{}; let f = [m].map(|p| p.pdi);", ""),
        ("let l = net::sockets().listening[0].prot;", "there is no field `prot` here; did you mean `port`?"),
        ("let l = net::sockets(); let u = [1]; u[l.established].x;", ""),
        ("ctx.params.proces;", "the header has no parameter `proces`; did you mean `process`?"),
        ("ctx.params.get(\"proces\");", ""),
        ("let p = ctx.params; p.proces;", "the header has no parameter `proces`; did you mean `process`?"),
        ("ctx.parameters.process;", "there is no field `parameters` here; known are alert, params, run"),
        ("ctx.alert.labels.anything;", ""),
        ("ctx.alert.lables;", "there is no field `lables` here; did you mean `labels`?"),
        ("ctx.run.number;", "there is no field `number` here; known are attempt"),
        ("let f = || ctx.params.proces; f.call();", "the header has no parameter `proces`"),
        ("helped(ctx.params);", ""),
        ("let s = disk::usage(\"/\").mount.len;", ""),
    ] {
        let text =
            within_remediate(line) + "fn helped(given) { given.process }\nfn handed(given) { given }\n";
        let found = problems(&text);
        let as_expected = match (expected, found.as_slice()) {
            ("", []) => true,
            (expected, [only]) => !expected.is_empty() && only.contains(expected),
            _ => false,
        };
        if !as_expected {
            wrong.push((line, expected, format!("{found:?}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_handed_to_a_function_is_known_there() {
    let text = within_remediate("helped(ctx.params);") + "fn helped(given) { given.proces }\n";
    assert_eq!(
        problems(&text),
        ["s.rhai:6:26: the header has no parameter `proces`; did you mean `process`?"]
    );
    let twice = text.replace("helped(ctx.params);", "helped(ctx.params); helped(#{ proces: 1 });");
    assert_eq!(problems(&twice), Vec::<String>::new());
}

#[test]
fn steps_have_names_of_their_own_that_stand_in_the_script() {
    for (line, expected) in [
        ("step(\"a\", || 1); step(\"b\", || 1);", ""),
        ("for n in [1, 2] { step(`stop ${n}`, || n); }", ""),
        ("step(\"a\", || 1); step(\"a\", || 2);", "s.rhai:3:27: step \"a\" stands twice"),
        ("let id = \"a\"; step(id, || 1);", "s.rhai:3:24: the name of a step must begin with words"),
        ("step(`${1}`, || 1);", "s.rhai:3:10: the name of a step must begin with words"),
        (
            "for n in [1, 2] { step(\"a\", || n); }",
            "s.rhai:3:28: step \"a\" fails in the second turn of the loop",
        ),
        // Each keeps its own turn's value: no warning.
        ("for n in [1, 2] { step(`a ${n}`, || n, |done| n); }", ""),
    ] {
        let found = problems(&within_remediate(line));
        if expected.is_empty() {
            assert_eq!(found, Vec::<String>::new(), "{line}");
        } else {
            assert!(
                found.len() == 1 && found.iter().all(|one| one.starts_with(expected)),
                "{line}: {found:?}"
            );
        }
    }
}
