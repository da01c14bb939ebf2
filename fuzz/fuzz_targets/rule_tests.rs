//! Whatever a test file says, as a test of PromQL and as one of rules: it is run or refused, and every place that is told
//! lies within it.
#![no_main]

use std::path::Path;

use alerting::unit_test::{UnitTests, without_unknown_fields};
use documents::Document;

/// Longer numbers make tests that are right and take minutes.
const MAX_DIGITS: usize = 3;

const RULES: &str = "groups:
- name: fuzz
  interval: 2m
  rules:
  - {record: 'a', expr: 'sum(up)'}
  - {alert: A, expr: 'up == 0', for: 1m, annotations: {a: '{{ $value }}'}}
";

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let digits = text.split(|c: char| !c.is_ascii_digit());
    if digits.map(str::len).max().unwrap_or(0) > MAX_DIGITS || text.contains(['w', 'y']) {
        return;
    }
    for outcome in promql::script::run(text) {
        assert!(text.get(outcome.place).is_some());
        assert!(outcome.failure.is_none_or(|failure| text.get(failure.place).is_some()));
    }
    let document = Document::from_text(Path::new("fuzz.yaml"), text);
    let (rules, _) = without_unknown_fields(&document);
    assert_eq!(rules.text().len(), text.len());
    if let Ok(tests) = UnitTests::read(&document) {
        let rules = Document::from_text(Path::new("rules.yaml"), RULES);
        tests.run(&[rules], &|_| true).expect("the rules are right");
    }
});
