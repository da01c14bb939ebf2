//! What docs/scripts.md says is so.

use documents::Severity;
use rhai::{Dynamic, Engine, OptimizationLevel, Scope};

use super::*;
use crate::functions::HOST_FUNCTIONS;
use crate::header::tests::any_header;
use crate::sandbox::{Host, TAKEN, interpreter};

const PAGE: &str = include_str!("../../../../../docs/scripts.md");

/// The blocks of the page that are Rhai.
fn examples() -> Vec<String> {
    let blocks = PAGE.split("```rhai\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_example_of_the_page_is_sound() {
    let examples = examples();
    assert!(examples.iter().filter(|example| example.starts_with("//!")).count() >= 2);
    for example in examples {
        if example.starts_with("//!") {
            assert_eq!(problems(&example), Vec::<String>::new(), "{example}");
            continue;
        }
        let whole = format!("{}fn remediate(ctx) {{\n{example}fixed(\"x\")\n}}\n", any_header());
        let document = Document::from_text(Path::new("part.rhai"), &whole);
        let errors: Vec<String> = check_script(&document)
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{example}");
    }
}

fn engine() -> Engine {
    interpreter(HOST_FUNCTIONS, &Host::nobody(), OptimizationLevel::Simple)
}

/// What these lines, which may hold functions too, come to; `!` for an error.
fn value(functions: &str, body: &str) -> String {
    let engine = engine();
    let Ok(script) = engine.compile(format!("{functions}\nfn main() {{ {body} }}")) else {
        return "!".to_owned();
    };
    let value = engine.call_fn::<Dynamic>(&mut Scope::new(), &script, "main", ());
    value.map_or_else(|_| "!".to_owned(), |value| format!("{value:?}"))
}

#[test]
fn the_surprises_of_the_page_are_those_that_there_are() {
    let add = "fn add(list) { list.push(1); }";
    let mut wrong = Vec::new();
    for (functions, body, expected) in [
        ("", "() > 80", "false"),
        ("", "\"91\" > 80", "false"),
        ("", "\"91\".parse_int() > 80", "true"),
        ("", "let m = #{}; m.missing", "!"),
        ("", "let m = #{}; m?.missing", "!"),
        ("", "let m = #{}; m.get(\"missing\") ?? 5", "5"),
        ("", "'web'", "!"),
        ("", "\"process ${pid}\"", "\"process ${pid}\""),
        ("", "7 / 2", "3"),
        ("", "7 / 2.0", "3.5"),
        ("", "[1, 2][5]", "!"),
        ("", "[1, 2].get(5) ?? 0", "0"),
        (add, "let mine = []; add(mine); mine.len()", "0"),
        ("fn add(list) { list.push(1); list }", "let mine = []; mine = add(mine); mine.len()", "1"),
        ("let tries = 3;", "tries", "!"),
        ("", "let all = []; for n in [1, 2, 3] { all.push(|| n); } all[0].call()", "3"),
        ("", "|_| 1", "!"),
        ("", "(|unused| 1).call(2)", "1"),
        ("", "let x = try { 1 };", "!"),
        ("", "let x = (); try { x = 2; } catch (error) { x = 3; } x", "2"),
        ("", "x = 1", "!"),
        ("", "sleep(5)", "!"),
        ("", "ok()", "()"),
    ] {
        let value = value(functions, body);
        if value != expected {
            wrong.push((functions, body, value));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_page_names_every_function_that_a_script_may_not_define() {
    for name in TAKEN {
        assert!(PAGE.contains(&format!("{name}(")) || PAGE.contains(&format!("`{name}`")), "{name}");
    }
}
