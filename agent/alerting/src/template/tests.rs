use super::*;
use proptest::prelude::*;

fn labels() -> Labels {
    [("__name__", "disk_free"), ("device", "sda1"), ("size", "2048")].into_iter().collect()
}

#[test]
fn templates_expand_as_in_prometheus() {
    for (text, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("disk {{ $labels.device }} at {{$value}}", "disk sda1 at 0.25"),
        ("{{ $labels }}", "map[__name__:disk_free device:sda1 size:2048]"),
        ("[{{ $labels.absent }}]", "[]"),
        ("{{ $value | humanizePercentage }}", "25%"),
        ("{{ humanizePercentage $value }}", "25%"),
        ("{{ printf \"%.1f%%\" $value }}", "0.2%"),
        ("{{ $value | printf \"%.2f\" }}", "0.25"),
        ("{{ printf `%s is %v` $labels.device $value }}", "sda1 is 0.25"),
        ("{{ $labels.size | humanize1024 }}B", "2kiB"),
        ("{{ \"{{\" }} {{ \"a \\\"b\\\"\" }}", "{{ a \"b\""),
        ("}} is text", "}} is text"),
        ("{{ $value | humanize | printf \"%s free\" }}", "250m free"),
    ] {
        let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(template.expand(&labels(), 0.25), expected, "{text}");
    }
}

#[test]
fn what_is_not_supported_is_refused_with_its_place() {
    for (text, blamed, message) in [
        ("a {{ $label.foo }}", "$label.foo", "there is no variable `$label`"),
        ("{{ if $value }}x{{ end }}", "if", "`if` is not supported yet"),
        ("{{ end }}", "end", "`end` is not supported yet"),
        ("{{ query \"up\" | first | value }}", "query", "`query` is not supported yet"),
        ("{{ .Labels.foo }}", ".Labels.foo", "`.Labels.foo` is not supported yet"),
        ("{{ $externalURL }}/x", "$externalURL", "`$externalURL` is not supported yet"),
        ("{{- $value }}", "-", "`-` is not supported yet"),
        ("{{ $value", "{{", "the action is not ended; write }} after it"),
        ("{{ }}", "{{ }}", "a value or a function is missing here"),
        ("{{ $value | }}", "{{ $value | }}", "a value or a function is missing here"),
        ("{{ $value $value }}", "$value", "a value takes no arguments"),
        ("{{ $value | $value }}", "$value", "a value cannot follow a pipe"),
        (
            "{{ $labels.cpu.mode }}",
            "$labels.cpu.mode",
            "\"cpu.mode\" is not a label name that a template can read",
        ),
        ("{{ $labels | humanize }}", "humanize", "`humanize` needs a number, not $labels"),
        ("{{ humanize }}", "humanize", "`humanize` needs one number, found 0 values"),
        ("{{ printf $value }}", "printf", "`printf` needs a format first, as in printf \"%.2f\" $value"),
        ("{{ $value | printf }}", "printf", "`printf` needs a format first, as in printf \"%.2f\" $value"),
        ("{{ printf \"%d\" $value }}", "\"%d\"", "`%d` is not supported yet"),
        ("{{ printf \"%\" $value }}", "\"%\"", "`%` is not supported yet"),
        ("{{ printf \"%.2f\" }}", "\"%.2f\"", "the format needs 1 values, found 0"),
        ("{{ \"open }}", "\"open }}", "the text is not ended, or holds a bad escape"),
    ] {
        let error = Template::parse(text).expect_err(text);
        assert_eq!((text.get(error.span.clone()), error.message.as_str()), (Some(blamed), message), "{text}");
    }
}

#[test]
fn length_and_pipes_have_limits() {
    let piped = |commands: usize| format!("a {{{{ $value{} }}}} b", " | humanize".repeat(commands - 1));
    assert!(Template::parse(&piped(32)).is_ok());
    let long = piped(1_300);
    for (text, at, message) in [
        (piped(33), piped(32).len() - 2, "the action has more than 32 commands"),
        (long.clone(), piped(32).len() - 2, "the action has more than 32 commands"),
        (piped(3_000), 16_384, "the template is longer than 16384 bytes"),
        ("é".repeat(8_193), 16_384, "the template is longer than 16384 bytes"),
    ] {
        let error = Template::parse(&text).unwrap_err();
        assert_eq!((error.span.start, error.message.as_str()), (at, message));
    }
    let parentheses = Template::parse(&format!("{{{{ {} }}}}", "(".repeat(16_000))).unwrap_err();
    assert_eq!(parentheses.message, format!("`{}…` is not supported yet", "(".repeat(100)));
}

#[test]
fn a_message_quotes_no_more_than_a_line() {
    let long = "é".repeat(5_000);
    for text in [
        format!("{{{{ ({long} }}}}"),
        format!("{{{{ $value | {long} }}}}"),
        format!("{{{{ ${long} }}}}"),
        format!("{{{{ $labels.{long}.x }}}}"),
        format!("{{{{ printf \"%{}\" $value }}}}", "1".repeat(10_000)),
    ] {
        let error = Template::parse(&text).unwrap_err();
        assert!(error.message.chars().count() < 160 && error.message.contains('…'), "{}", error.message);
    }
    for text in ["{{ $labels.x | humanize }}", "{{ printf \"%f\" $labels.x }}"] {
        let labels = [("x", long.as_str())].into_iter().collect();
        let found = Template::parse(text).unwrap().expand(&labels, 1.0);
        assert!(found.chars().count() < 160 && found.contains('…'), "{found}");
    }
}

#[test]
fn a_text_that_would_grow_too_long_is_a_failure() {
    let long = "x".repeat(40_000);
    let labels = [("x", long.as_str())].into_iter().collect();
    for (text, fits) in [
        ("{{ $labels.x }}", true),
        ("{{ $labels.x }}{{ $labels.x }}", false),
        ("{{ printf \"%s %s\" $labels.x $labels.x }}", false),
        ("{{ $labels }}{{ $labels }}", false),
    ] {
        let found = Template::parse(text).unwrap().expand(&labels, 1.0);
        let failure = "<error expanding template: the text is longer than 65536 bytes>";
        assert_eq!(found == failure, !fits, "{text}");
    }
}

#[test]
fn a_slip_in_a_variable_is_answered_with_the_one_that_was_meant() {
    let error = Template::parse("{{ $label.foo }}").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `$labels`?"));
}

#[test]
fn a_failure_becomes_the_text() {
    for (text, expected) in [
        ("free: {{ $labels.device | humanize }}", "<error expanding template: \"sda1\" is not a number>"),
        ("{{ printf \"%s\" $value }}", "<error expanding template: %s prints no number; use %v>"),
        (
            "{{ printf \"%.1f\" $labels.size }}",
            "<error expanding template: \"2048\" is a text; use %s or %v>",
        ),
    ] {
        assert_eq!(Template::parse(text).unwrap().expand(&labels(), 1.0), expected);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\PC|\\{\\{|\\}\\}|\\$value|printf|\"|%){0,12}") {
        match Template::parse(&text) {
            Ok(template) => { template.expand(&labels(), 1.0); }
            Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{error:?}"),
        }
    }

    #[test]
    fn text_without_actions_stays_as_it_is(text in "[^{]{0,40}") {
        prop_assert_eq!(Template::parse(&text).unwrap().expand(&labels(), 1.0), text);
    }
}
