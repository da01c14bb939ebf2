use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
pub(crate) use read::any_header;

const SOUND: &str = r#"//! summary: Restart a failed unit, pausing longer before each try
//! params:
//!   unit:  { type: unit }
//!   tries: { type: int, default: 3, min: 1, max: 5 }
//!   pause: { type: duration, default: 10s, max: 1m }
//!   room:  { type: bytes, default: 64MiB }
//!   how:   { type: enum, of: [hard, soft], default: soft }
//! needs:
//!   unit.restart: ["${unit}"]
//!   http.get: ["http://127.0.0.1:8080/"]
//! risk: low
//! class: restore
//! timeout: 9m
//! verify: { promql: 'up{unit="${unit}"} == 1', for: 1m }
//! escalate: "${unit} did not come back after ${tries} restarts"

fn remediate(ctx) { fixed("x") }
"#;

fn read(text: &str) -> Result<Header, Vec<String>> {
    let document = Document::from_text(Path::new("s.rhai"), text);
    Header::read(&document).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn params(value: Value) -> Params {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_sound_header_is_read() {
    let header = read(SOUND).unwrap();
    assert_eq!((header.risk, header.class), (Risk::Low, Class::Restore));
    assert_eq!(header.timeout, Some(Duration::from_mins(9)));
    let bound = header.bind(&params(json!({"unit": "a.service", "room": "1KiB"}))).unwrap();
    let expected = json!({"unit": "a.service", "tries": 3, "pause": "10s", "room": 1024, "how": "soft"});
    assert_eq!(bound, params(expected));
    assert_eq!(header.escalation(&bound).unwrap(), "a.service did not come back after 3 restarts");
    let verify = header.verify(&bound).unwrap().unwrap();
    assert_eq!(verify.expr, "up{unit=\"a.service\"} == 1");
    assert_eq!((verify.settle, verify.within), (Duration::from_mins(1), Duration::from_secs(90)));
    let needs = header.needs(&bound);
    assert!(needs.reach(Capability::UnitRestart, "a.service"));
    assert!(!needs.reach(Capability::UnitRestart, "b.service"));
    assert!(!needs.reach(Capability::UnitStop, "a.service"));
    assert!(needs.reach(Capability::HttpGet, "http://127.0.0.1:8080/healthz"));
}

#[test]
fn what_a_runbook_hands_over_is_of_the_type_and_within_the_bounds() {
    let header = read(SOUND).unwrap();
    for (handed, expected) in [
        (json!({}), "parameter `unit` is missing: it is the exact name of a service, as in nginx.service"),
        (
            json!({"unit": "a"}),
            "parameter `unit`: \"a\" is not the exact name of a service, as in nginx.service",
        ),
        (json!({"unit": "a.service", "tries": 6}), "parameter `tries`: 6 is more than 5"),
        (json!({"unit": "a.service", "tries": 0}), "parameter `tries`: 0 is less than 1"),
        (json!({"unit": "a.service", "tries": 1.5}), "parameter `tries`: 1.5 is not a whole number"),
        (json!({"unit": "a.service", "pause": "2m"}), "parameter `pause`: \"2m\" is more than \"1m\""),
        (json!({"unit": "a.service", "how": "x"}), "parameter `how`: \"x\" is not one of hard, soft"),
        (
            json!({"unit": "a.service", "trise": 1}),
            "the script has no parameter `trise`; did you mean `tries`?",
        ),
    ] {
        let problems = header.bind(&params(handed)).unwrap_err();
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }
    // What a label says is a text.
    let bound = header.bind(&params(json!({"unit": "a.service", "tries": "2"}))).unwrap();
    assert_eq!(bound.get("tries"), Some(&json!(2)));
}

#[test]
fn every_problem_of_a_header_has_its_place_in_the_script() {
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        ("summary: R", "sumary: R", "s.rhai:1:5: unknown field `sumary`"),
        ("type: unit", "type: unti", "s.rhai:3:22: there is no type `unti`; did you mean `unit`?"),
        ("default: 3", "default: 9", "s.rhai:4:36: 9 is more than 5"),
        ("max: 1m", "max: soon", "s.rhai:5:51: `max` is a duration, as in 90s or 5m"),
        (", of: [hard, soft]", "", "s.rhai:7:22: an enum says what it can be; add of: [first, second]"),
        ("type: bytes", "type: bytes, of: [a]", "s.rhai:6:22: `of` belongs to a parameter of type enum"),
        ("unit.restart:", "unit.restrat:", "s.rhai:9:7: there is no capability `unit.restrat`"),
        (
            "[\"${unit}\"]",
            "[\"${uint}\"]",
            "s.rhai:9:22: there is no parameter `uint`; did you mean `${unit}`?",
        ),
        ("risk: low", "risk: none", "s.rhai:11:11: \"none\" is not a risk; write low, medium or high"),
        ("class: restore", "class: x", "s.rhai:12:12: \"x\" is not a class"),
        ("timeout: 9m", "timeout: 2h", "s.rhai:13:14: a script may take up to 10m"),
        ("== 1'", "=='", "s.rhai:14:"),
        ("for: 1m", "for: 1h", "s.rhai:14:55: it cannot hold for 1h within 1h30s"),
        ("after ${tries}", "after ${tries", "s.rhai:15:15: a `${` is not closed"),
        (SOUND, "fn remediate(ctx) { }", "s.rhai:1:1: the script has no header; begin the script with"),
        ("  unit:  {", " unit:  {", "s.rhai:"),
        ("tries: {", "Tries: {", "s.rhai:4:7: the name of a parameter is made of a-z"),
    ] {
        assert!(SOUND.contains(from), "{from}");
        let problems = read(&SOUND.replacen(from, to, 1)).unwrap_err();
        if !problems.first().is_some_and(|first| first.starts_with(expected)) {
            wrong.push((to, problems));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_value_cannot_leave_the_quotes_of_an_expression() {
    let text = SOUND.replace("type: unit ", "type: string ");
    let header = read(&text).unwrap();
    let bound = header.bind(&params(json!({"unit": "a\"} or vector(1) #"}))).unwrap();
    assert!(header.verify(&bound).unwrap().unwrap_err().contains("a quote or a backslash"));
    assert!(header.bind(&params(json!({"unit": "a\nb"}))).is_err());
}

#[test]
fn of_an_empty_parameter_nothing_is_needed() {
    let text = SOUND.replace("type: unit ", "type: string, default: \"\" ");
    let header = read(&text).unwrap();
    let bound = header.bind(&Params::new()).unwrap();
    assert_eq!(header.needs(&bound).targets(Capability::UnitRestart).count(), 0);
}

#[test]
fn a_header_for_tests_lets_a_script_do_what_its_runbook_grants() {
    let header = read(&any_header()).unwrap();
    assert!(header.needs(&Params::new()).reach(Capability::FileRemove, "/anything"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(//! ?[a-z{}:\\[\\] $'\"\\-&*|>!#\\t]{0,30}\r?\n){0,6}\\PC{0,10}") {
        let _ = read(&text);
    }

    #[test]
    fn what_is_bound_is_within_the_bounds(tries in any::<i64>(), pause in "[0-9]{1,4}(ms|s|m|h)?") {
        let header = read(SOUND).unwrap();
        let handed = params(json!({"unit": "a.service", "tries": tries, "pause": pause}));
        if let Ok(bound) = header.bind(&handed) {
            prop_assert!((1..=5).contains(&bound.get("tries").unwrap().as_i64().unwrap()));
            let pause = telemetry::parse_duration(bound.get("pause").unwrap().as_str().unwrap()).unwrap();
            prop_assert!(pause <= Duration::from_mins(1));
        }
    }
}
