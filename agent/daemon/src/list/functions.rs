//! `hostmend list functions`: every function that a remediation script can call, from the table that the agent runs on,
//! and docs/functions.md, which is this list as a page.

use std::fmt::Write as _;

use remediation::{Capability, FunctionKind, HOST_FUNCTIONS, HostFunction};
use serde_json::{Value, json};

use crate::cli::{FunctionsArgs, MetricsFormat};

pub(super) fn text(args: &FunctionsArgs) -> anyhow::Result<String> {
    Ok(match if args.json { MetricsFormat::Json } else { args.format } {
        MetricsFormat::Text => as_text(),
        MetricsFormat::Json => {
            let rows: Vec<Value> = HOST_FUNCTIONS.iter().map(as_json).collect();
            serde_json::to_string_pretty(&rows)? + "\n"
        }
        MetricsFormat::Markdown => as_markdown(),
    })
}

fn as_text() -> String {
    HOST_FUNCTIONS.iter().fold(String::new(), |mut text, function| {
        let needs =
            function.needs.map(|needs| format!(" Needs the grant {}.", needs.name())).unwrap_or_default();
        let _ = writeln!(text, "{}\n    {}{needs}", function.signature(), function.summary);
        text
    })
}

fn as_json(function: &HostFunction) -> Value {
    let required = function.parameters.len() - function.optional;
    let parameters = function.parameters.iter().enumerate().map(|(at, parameter)| {
        json!({ "name": parameter.name, "type": parameter.kind.to_string(), "optional": at >= required })
    });
    json!({
        "name": function.path(),
        "signature": function.signature(),
        "parameters": parameters.collect::<Vec<_>>(),
        "returns": function.returns.to_string(),
        "kind": kind(function),
        "needs": function.needs.map(Capability::name),
        "summary": function.summary,
    })
}

const PAGE_HEAD: &str = "\
# Functions for scripts

What a remediation script can ask of the agent. A row that acts asks for a change to the host: it needs its grant in the
runbook, and the executor's policy judges it as well. This page is printed by
`hostmend list functions --format markdown`; a test holds it current.
";

fn as_markdown() -> String {
    let mut text = PAGE_HEAD.to_owned();
    for functions in HOST_FUNCTIONS.chunk_by(|one, next| one.namespace == next.namespace) {
        let Some(first) = functions.first() else { continue };
        let _ = writeln!(text, "\n## {}\n", first.namespace);
        let _ = writeln!(text, "| function | | grant | meaning |\n|---|---|---|---|");
        for function in functions {
            let signature = function.signature().replace('|', "\\|");
            let needs = function.needs.map(|needs| format!("`{}`", needs.name())).unwrap_or_default();
            let summary = function.summary.replace('|', "\\|");
            let _ = writeln!(text, "| `{signature}` | {} | {needs} | {summary} |", kind(function));
        }
    }
    text
}

const fn kind(function: &HostFunction) -> &'static str {
    match function.kind {
        FunctionKind::Read => "reads",
        FunctionKind::Act => "acts",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_functions_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/functions.md");
        let page = as_markdown();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == kept,
            "docs/functions.md is not current; renew it by this test with UPDATE_GOLDEN=1, or by \
             `cargo run -p daemon -- list functions --format markdown > docs/functions.md`"
        );
    }

    #[test]
    fn every_function_is_listed_in_every_form() {
        let (page, plain) = (as_markdown(), as_text());
        for function in HOST_FUNCTIONS {
            let row = as_json(function);
            assert!(plain.contains(&function.signature()), "{}", function.path());
            assert!(page.contains(&format!("| `{}(", function.path())), "{}", function.path());
            assert_eq!(row["parameters"].as_array().unwrap().len(), function.parameters.len());
        }
    }
}
