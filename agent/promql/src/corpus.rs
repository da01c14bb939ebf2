//! Prometheus' own tests of PromQL, run against this crate.
//!
//! `tests/scripts/` holds them as they are, and they run as those of users do. Nothing is left out by hand: what is
//! skipped was refused by our own parser.

mod rule_files;

use std::collections::BTreeMap;

use crate::script::run;

/// How many evals of all scripts pass. It only ever grows.
const PASSED: usize = 755;

#[test]
fn evals_of_prometheus_have_the_results_it_states() {
    let mut passed = 0;
    let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for outcome in run(&std::fs::read_to_string(&path).unwrap()) {
            match outcome.failure {
                None => passed += 1,
                Some(failure) => match failure.message.split_once(" not supported yet") {
                    Some((feature, _)) => *skipped.entry(feature.to_owned()).or_default() += 1,
                    None => failures.push(format!("{name}: {}: {failure:?}", outcome.title)),
                },
            }
        }
    }
    println!("{passed} passed, {} failed, skipped: {skipped:#?}", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(passed, PASSED, "skipped: {skipped:#?}");
}

#[test]
fn published_host_rules_are_understood_and_print_as_they_were_read() {
    let expressions = rule_files::expressions();
    assert_eq!(expressions.len(), 76);
    for text in expressions {
        let expr = crate::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(crate::parse(&expr.to_string()).as_ref(), Ok(&expr), "{text}");
    }
}
