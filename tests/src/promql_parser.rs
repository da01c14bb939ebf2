//! Another parser of PromQL beside ours, on every expression that Prometheus' tests and published rules hold.
//!
//! Both must accept the same texts, and read the same tree: what ours prints must mean to the other what the text meant.

#[path = "../../agent/promql/src/corpus/rule_files.rs"]
mod rule_files;

use std::collections::BTreeMap;

use regex::Regex;

use crate::program::root;

/// What the other parser refuses though Prometheus does not, by a piece of text that gives it away, with the reason.
const THEY_REFUSE: [(&str, &str); 11] = [
    ("step()", "duration expressions are not known"),
    ("range()", "duration expressions are not known"),
    ("STEP()", "duration expressions are not known"),
    ("start()", "scalar functions of the query are not known"),
    ("end()", "scalar functions of the query are not known"),
    ("offset (", "duration expressions are not known"),
    ("offset -(", "duration expressions are not known"),
    ("min_of", "functions of numbers are not known"),
    ("max_of", "functions of numbers are not known"),
    ("histogram_quantiles", "the function is not known"),
    ("\\x", "strings that are not UTF-8 are read otherwise"),
];

/// What we refuse and the other parser does not.
const WE_REFUSE: [(&str, &str); 3] = [
    ("info(", "info() is not evaluated"),
    ("start_timestamp(", "starts of series are not kept"),
    ("\\x", "strings that are not UTF-8 are not kept"),
];

fn expressions() -> Vec<String> {
    let eval = Regex::new(
        r"^eval\S*\s+(?:instant\s+(?:at\s+\S+\s+)?|range\s+from\s+\S+\s+to\s+\S+\s+step\s+\S+\s+)(.+)$",
    )
    .unwrap();
    let mut found = rule_files::expressions();
    let folder = root().join("agent/promql/tests/scripts");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("test") => found.extend(
                text.lines().filter_map(|line| Some(eval.captures(line.trim())?.get(1)?.as_str().to_owned())),
            ),
            Some("expressions") => found.extend(text.lines().map(ToOwned::to_owned)),
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

fn is_known(known: &[(&str, &str)], text: &str) -> bool {
    known.iter().any(|(piece, _)| text.contains(piece))
}

/// A duration in brackets or behind `offset` that is computed.
fn computes_durations(text: &str) -> bool {
    let computed = Regex::new(r"\[[^\]]*[-+*/%^(][^\]]*\]|offset -?\(").unwrap();
    computed.is_match(text)
}

#[test]
fn another_parser_accepts_the_same_and_reads_the_same_tree() {
    let expressions = expressions();
    assert!(expressions.len() > 1_200, "{}", expressions.len());
    let mut told: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut same = 0;
    for text in &expressions {
        let ours = promql::parse(text);
        let theirs = promql_parser::parser::parse(text);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                let printed = ours.to_string();
                match promql_parser::parser::parse(&printed) {
                    Ok(again) if again.to_string() == theirs.to_string() => same += 1,
                    // It prints `{__name__="up"}` as it was written.
                    Ok(_) if promql::parse(&theirs.to_string()).as_ref() == Ok(&ours) => same += 1,
                    Ok(again) => told
                        .entry("read otherwise")
                        .or_default()
                        .push(format!("{text}\n   {theirs}\n   {again}")),
                    Err(error) => {
                        told.entry("what we print")
                            .or_default()
                            .push(format!("{text} as {printed}: {error}"));
                    }
                }
            }
            (Err(_), Err(_)) => same += 1,
            (Ok(_), Err(error)) => {
                if !is_known(&THEY_REFUSE, text) && !computes_durations(text) {
                    told.entry("only they refuse").or_default().push(format!("{text}: {error}"));
                }
            }
            (Err(error), Ok(_)) => {
                if !is_known(&WE_REFUSE, text) {
                    told.entry("only we refuse").or_default().push(format!("{text}: {error}"));
                }
            }
        }
    }
    println!("{} expressions, {same} of which both read alike", expressions.len());
    assert!(told.is_empty(), "{told:#?}");
}
