use super::*;
use proptest::prelude::*;

fn labels() -> Labels {
    [("__name__", "disk_free"), ("device", "sda1"), ("size", "2048"), ("instance", "web-01.example.com:9100")]
        .into_iter()
        .collect()
}

fn externals() -> Externals {
    Externals {
        labels: [("region", "eu")].into_iter().collect(),
        url: "http://testhost:9090/path/prefix".to_owned(),
    }
}

fn answer(expression: &str) -> Result<Vec<(Labels, f64)>, String> {
    let one = [("__name__", "metric"), ("instance", "b"), ("__value__", "x")].into_iter().collect();
    let other = [("__name__", "metric"), ("instance", "a")].into_iter().collect();
    match expression {
        "none" => Ok(Vec::new()),
        "two" => Ok(vec![(one, 21.0), (other, 11.5)]),
        _ => Err("it is bad".to_owned()),
    }
}

fn expand(template: &Template, labels: &Labels, value: f64) -> String {
    template.expand(&mut Scene {
        rule: "Test",
        at: Timestamp::from_millis(1_353_755_652_000),
        labels,
        value,
        externals: &externals(),
        ask: &mut answer,
    })
}

fn expanded(text: &str) -> String {
    expand(&Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")), &labels(), 0.25)
}

/// What `golden/main.go` says that Prometheus makes of a template.
#[derive(serde::Deserialize)]
struct Case {
    template: String,
    expanded: Option<String>,
}

#[test]
fn templates_expand_as_in_prometheus() {
    let mut wrong = Vec::new();
    for line in include_str!("../../golden/cases.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let found = Template::parse(&case.template).map(|template| expand(&template, &labels(), 0.25));
        if found.as_ref().ok() != case.expanded.as_ref() {
            wrong.push((case.template, case.expanded, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_would_not_load_is_refused_with_its_place() {
    for (text, blamed, message) in [
        ("a {{ $label.foo }}", "$label", "there is no variable `$label`"),
        ("{{ if $value }}x", "if", "`if` is not ended; write {{ end }} after it"),
        ("{{ end }}", "end", "`end` ends nothing here"),
        ("{{ else }}x", "else", "`else` ends nothing here"),
        ("{{ humanise $value }}", "humanise", "there is no function `humanise`"),
        ("{{ $value", "{{", "the action is not ended; write }} after it"),
        ("{{ }}", "}}", "a value or a function is missing here"),
        ("{{ $value | 1 }}", "1", "a value cannot follow a pipe"),
        ("{{ $labels.cpu-mode }}", "-", "'-' cannot stand in a name"),
        ("{{ \"open }}", "\"open }}", "the text is not ended"),
        ("{{ \"\\q\" }}", "\"\\q\"", "the text holds a bad escape"),
        ("{{ (1 }}", "(", "the parenthesis is not closed"),
        ("{{ 1) }}", ")", "no parenthesis is open here"),
        ("{{ break }}", "break", "`break` is for the inside of `range`"),
        ("{{ template x }}", "x", "`x` cannot stand here; a name in quotes follows `template`"),
        ("{{/* a }}", "{{/*", "the comment is not ended; write */}} after it"),
        ("{{ 1i }}", "1i", "this is no number that a template can hold"),
        ("{{ é", "{{", "the action is not ended; write }} after it"),
        ("{{ @ }}", "@", "`@` cannot stand here; values are separated by spaces"),
    ] {
        let error = Template::parse(text).expect_err(text);
        assert_eq!((text.get(error.span.clone()), error.message.as_str()), (Some(blamed), message), "{text}");
    }
}

#[test]
fn a_slip_is_answered_with_what_was_meant() {
    for (text, hint) in [
        ("{{ $label.foo }}", "did you mean `$labels`?"),
        ("{{ humanise $value }}", "did you mean `humanize`?"),
        (
            "{{ $labels.cpu-mode }}",
            "write index $labels \"a.b\" for a name that is more than letters, digits and _",
        ),
    ] {
        assert_eq!(Template::parse(text).unwrap_err().hint.as_deref(), Some(hint));
    }
}

#[test]
fn length_and_depth_have_limits() {
    let nested = |depth: usize| format!("{{{{ {}1{} }}}}", "(".repeat(depth), ")".repeat(depth));
    let blocks = |depth: usize| format!("{}x{}", "{{if 1}}".repeat(depth), "{{end}}".repeat(depth));
    let chain = |depth: usize| format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(depth));
    assert_eq!((expanded(&nested(50)), expanded(&blocks(50))), ("1".to_owned(), "x".to_owned()));
    for (text, message) in [
        (nested(51), "this stands more than 50 levels deep"),
        (blocks(51), "this stands more than 50 levels deep"),
        (chain(50), "this stands more than 50 levels deep"),
        ("é".repeat(8_193), "the template is longer than 16384 bytes"),
    ] {
        assert_eq!(Template::parse(&text).unwrap_err().message, message);
    }
}

#[test]
fn a_message_quotes_no_more_than_a_line() {
    let long = "é".repeat(5_000);
    for text in [format!("{{{{ {long} }}}}"), format!("{{{{ ${long} }}}}"), format!("{{{{ 1 {{{long} }}}}")] {
        let error = Template::parse(&text).unwrap_err();
        assert!(error.message.chars().count() < 160, "{}", error.message);
    }
    let labels = [("x", long.as_str())].into_iter().collect();
    let found = expand(&Template::parse("{{ $labels.x | humanize }}").unwrap(), &labels, 1.0);
    assert!(found.chars().count() < 400 && found.contains('…'), "{found}");
}

#[test]
fn an_expansion_is_bounded_in_text_steps_and_depth() {
    let long = "x".repeat(40_000);
    let labels = [("x", long.as_str())].into_iter().collect();
    for (text, limit) in [
        ("{{ $labels.x }}", None),
        ("{{ $labels.x }}{{ $labels.x }}", Some("the text is longer than 65536 bytes")),
        ("{{ printf \"%s %s\" $labels.x $labels.x }}", Some("the text is longer than 65536 bytes")),
        ("{{ printf \"%1000000d\" 1 }}", Some("the text is longer than 65536 bytes")),
        ("{{ printf \"%*d\" 1000000 1 }}", None),
        ("{{ reReplaceAll \"x\" \"$0$0$0\" $labels.x }}", Some("the text is longer than 65536 bytes")),
        ("{{ range 1000000000 }}{{ end }}", Some("the template takes more than 100000 steps")),
        (
            "{{ range 100 }}{{ query \"two\" | len }}{{ end }}",
            Some("the template takes more than 100000 steps"),
        ),
        (
            "{{ range 1000 }}{{ match \"a\" \"b\" }}{{ end }}",
            Some("the template takes more than 100000 steps"),
        ),
        (
            "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
            Some("exceeded maximum template depth (100)"),
        ),
        (
            "{{ $m := 1 }}{{ range 50 }}{{ $m = args $m }}{{ end }}",
            Some("maps hold one another more than 16 deep"),
        ),
        (
            "{{ $m := \"ab\" }}{{ range 50 }}{{ $m = print $m $m }}{{ end }}",
            Some("the text is longer than 65536 bytes"),
        ),
    ] {
        let found = expand(&Template::parse(text).unwrap(), &labels, 1.0);
        match limit {
            Some(limit) => assert!(found.starts_with("<error") && found.contains(limit), "{text}: {found}"),
            None => assert!(!found.contains("<error"), "{text}"),
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_template_panic(
        text in "(\\PC|\\{\\{|\\}\\}|\\{\\{- | -\\}\\}|\\$value|\\$labels|\\.x|printf|index|slice|\"%[-+# 0]*[0-9*]{0,2}[.]?[a-zA-Z]\"|\"a\"|[0-9]| |if |range |with |end|else|define |template |:=|=|query|args|[(]|[)]|[|]|%){0,16}"
    ) {
        match Template::parse(&text) {
            Ok(template) => { expand(&template, &labels(), 1.0); }
            Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{error:?}"),
        }
    }

    #[test]
    fn text_without_actions_stays_as_it_is(text in "[^{]{0,40}") {
        prop_assert_eq!(expanded(&text), text);
    }
}

#[test]
fn expressions_that_are_written_in_a_template_are_known() {
    for (text, expected) in [
        ("{{ query \"up\" }}", vec!["up"]),
        ("{{ query `up == 0` | first | value }}", vec!["up == 0"]),
        ("{{ \"up\" | query | len }}", vec!["up"]),
        (
            "{{ with query \"a\" }}{{ . | first | value }}{{ else }}{{ query \"b\" | len }}{{ end }}",
            vec!["a", "b"],
        ),
        ("{{ range (query \"a\") }}{{ .Value }}{{ end }}", vec!["a"]),
        ("{{ (query \"a\" | first).Value }}", vec!["a"]),
        (
            "{{ define \"x\" }}{{ query \"a\" | len }}{{ end }}{{ template \"x\" (query \"b\") }}",
            vec!["b", "a"],
        ),
        ("{{ if gt $value 1.0 }}{{ printf \"%v\" (len (query \"a\")) }}{{ end }}", vec!["a"]),
        ("{{ query (printf \"up{a='%s'}\" $labels.a) }} {{ len \"query\" }} query \"b\"", vec![]),
    ] {
        assert_eq!(Template::parse(text).unwrap().queries(), expected, "{text}");
    }
}
