use super::*;
use proptest::prelude::*;

/// `LINE: MESSAGE` of each failure, with the text that is to blame, and how many passed.
fn told(text: &str) -> (usize, Vec<String>) {
    let outcomes = run(text);
    let passed = outcomes.iter().filter(|outcome| outcome.failure.is_none()).count();
    let failures = outcomes.iter().filter_map(|outcome| outcome.failure.as_ref());
    let failures = failures.map(|failure| {
        let line = text[..failure.place.start].matches('\n').count() + 1;
        format!("{line}: {} [{}]", failure.message, &text[failure.place.clone()])
    });
    (passed, failures.collect())
}

#[test]
fn an_eval_passes_whose_result_is_the_one_it_states() {
    let (passed, failures) = told(
        "# Loads add up.
load 1m
  up{job=\"a\"} 1+1x5

load 1m
  up{job=\"b\"} 7 _ stale

eval instant at 1m up
  {__name__=\"up\", job=\"a\"} 2
  up{job=\"b\"} 7

eval range from 0 to 2m step 1m up
  up{job=\"a\"} 1 2 3
  up{job=\"b\"} 7 7

eval_ordered instant at 1m sort_desc(up)
  up{job=\"b\"} 7
  up{job=\"a\"} 2

eval instant at 5m 0x10 + 1
  17

eval instant at 5m \"a text\"
  expect string \"a text\"

eval instant at 2m up{job=\"a\"}[2m]
  expect range vector from 1m to 2m step 1m
  up{job=\"a\"} 2 3

eval_fail instant at 0 up + on () up
  expected_fail_regexp found duplicate series

clear
eval instant at 1m up
",
    );
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(passed, 8);
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_and_the_rest_runs() {
    for (text, expected) in [
        ("evaluate 5", "1: this is not an eval [evaluate 5]"),
        ("  explain up", "1: \"explain\" is not a command [explain up]"),
        ("\neval instant at 5 up", "2: \"5\" is not a duration; write it as in 90s, 5m or 1h30m [5]"),
        ("eval instant at 5m up +", "1: unexpected end of the expression, expected an expression []"),
        (
            "eval instant at 5m up\n  up 1 2",
            "2: an instant has one value for each series, here are 2 [up 1 2]",
        ),
        ("eval range from 0 to 1m step 1m up\n  up 1x5", "2: the range holds 2 points, here are 6 [up 1x5]"),
        ("eval range from 1m to 0 step 1m up", "1: the end is before the start [0]"),
        ("eval range from 0 to 1m step 0 up", "1: the step must be at least a millisecond [0]"),
        (
            "eval instant at 5m up\n expect warm",
            "2: this is not something that can be expected [expect warm]",
        ),
        (
            "eval instant at 5m up\n expect fail regex: (",
            "2: \"(\" is not a regular expression [expect fail regex: (]",
        ),
        ("eval instant at 5m up\n expect string up", "2: the expected text needs quotes [expect string up]"),
        ("load_with_nhcb 5m\n up 1", "1: native histograms are not supported [load_with_nhcb]"),
        ("load 5m\n up {{schema:1 sum:2}}x3", "2: native histograms are not supported [{{schema:1 sum:2}}]"),
        ("load 5m\n up@st 1s", "2: start times (`@st`) are not supported [@st]"),
        ("load 5m\n up 1x1000000000", "2: the test loads more than 1000000 samples [up 1x1000000000]"),
        ("load soon\n up 1", "1: \"soon\" is not a duration; write it as in 90s, 5m or 1h30m [soon]"),
    ] {
        let (passed, failures) = told(&format!("{text}\n\nclear\neval instant at 0 1\n 1\n"));
        assert_eq!((passed, failures), (1, vec![expected.to_owned()]), "{text}");
    }
}

#[test]
fn nothing_is_evaluated_over_half_the_data() {
    let (passed, failures) = told("load 5m\n up 1 2 three\n\neval instant at 0 up\n up 1\n");
    assert_eq!(passed, 0);
    assert_eq!(
        failures,
        [
            "2: \"three\" is not a value [three]",
            "4: not evaluated, since the load in line 1 cannot be read [eval instant at 0 up]",
        ]
    );
}

#[test]
fn another_result_is_told_label_by_label() {
    let outcomes = run("load 1m\n up{job=\"a\"} 1\n\neval instant at 0 up\n up{job=\"b\"} 1\n");
    let failure = outcomes[0].failure.as_ref().unwrap();
    assert_eq!(failure.message, "the result is another one");
    let field = Field {
        name: "label job".to_owned(),
        expected: Some("\"b\"".to_owned()),
        found: Some("\"a\"".to_owned()),
    };
    let title = "up{job=\"b\"} 1".to_owned();
    assert_eq!(failure.differences, [Difference::Differs { title, fields: vec![field] }]);
}

#[test]
fn other_kinds_of_results_are_told_in_words() {
    for (text, expected) in [
        ("eval instant at 0 1\n  2", "1: the number 2 is expected, and the result is 1 [1]"),
        (
            "eval instant at 0 vector(1)\n  1",
            "1: the number 1 is expected, and the result is a vector of 1 samples [vector(1)]",
        ),
        (
            "eval instant at 0 \"a\"\n  expect string \"b\"",
            "1: the text \"b\" is expected, and the result is \"a\" [\"a\"]",
        ),
        ("eval_fail instant at 0 1", "1: the query should fail and does not [1]"),
        (
            "eval instant at 0 vector(1)\n  expect warn\n  {} 1",
            "1: a warning is expected, and there is none [vector(1)]",
        ),
        (
            "eval instant at 0 rate(up)\n  expect fail msg: no",
            "1: the query should fail with \"no\", and failed with \"expected range vector for function rate(), got instant vector\" [up]",
        ),
    ] {
        assert_eq!(told(text), (0, vec![expected.to_owned()]), "{text}");
    }
}

#[test]
fn a_command_within_a_block_is_told_to_be_parted_from_it() {
    let outcomes = run("load 1m\n up 1\nload 1m\n up 2\n");
    let hint = outcomes[0].failure.as_ref().unwrap().hint.as_deref();
    assert_eq!(hint, Some("put an empty line before it: only that ends a block"));
}

proptest! {
    #[test]
    fn no_script_makes_the_runner_panic(
        text in "((load|eval|eval_fail|clear|expect|up|_|stale|instant|range|from|to|step|at|[0-9]{1,2}m?|x|sum\\(up\\)|\\{a=\"b\"\\}|\\{\\{|[\\PC])[ \n]{1,2}){0,30}"
    ) {
        for outcome in run(&text) {
            let place = outcome.failure.map_or(outcome.place, |failure| failure.place);
            prop_assert!(text.get(place).is_some());
        }
    }
}
