use super::*;

#[test]
fn a_rule_counts_lines_of_the_sources_that_it_names() {
    for (sources, source, counts) in [
        (&[][..], "nginx", true),
        (&["nginx"][..], "nginx", true),
        (&["nginx"], "nginx-2", false),
        (&["nginx*"], "nginx-2", true),
        (&["*-?"], "nginx-2", true),
        (&["*-?"], "nginx-22", false),
        (&["a*b*c"], "aXbXbXc", true),
        (&["a*b*c"], "aXbXbX", false),
        (&["otlp:*"], "otlp:apps", true),
        (&["otlp:*", "db"], "nginx", false),
        (&["**"], "", true),
    ] {
        let sources = sources.iter().map(|glob| (*glob).to_owned()).collect();
        let rule = LogRule { sources, ..LogRule::new("a", "a") };
        assert_eq!(rule.counts(source), counts, "{:?} {source}", rule.sources);
    }
}

#[test]
fn a_bad_pattern_and_one_that_grows_without_end_are_refused() {
    let refused = |pattern: &str| LogRules::new(vec![LogRule::new("bad", pattern)]).unwrap_err().to_string();
    assert!(refused("a(b").contains("unclosed group"));
    assert!(refused(r"(\w{500}){500}").contains("make them simpler"));
}

#[test]
fn labels_that_cannot_be_made_are_refused_with_the_reason() {
    let nine: Vec<(String, &str)> = (0..9).map(|number| (format!("l{number}"), "x")).collect();
    for (labels, expected) in [
        (
            vec![("path".to_owned(), "${path")],
            "the label \"path\" has a `${` without a name and a `}` after it",
        ),
        (vec![("path".to_owned(), "${}")], "the label \"path\" has a `${` without a name and a `}` after it"),
        (
            vec![("log_rule_name".to_owned(), "x")],
            "the label \"log_rule_name\" is said by hostmend; choose another name",
        ),
        (
            vec![("a b".to_owned(), "x")],
            "the label \"a b\" is no name: letters, digits, dots and underscores make one",
        ),
        (
            vec![("a.b".to_owned(), "x"), ("a_b".to_owned(), "y")],
            "the label \"a_b\" is there twice as Prometheus spells it, with underscores for dots",
        ),
        (nine, "the label \"l8\" is one too many; a rule has 8 at most"),
    ] {
        let labels = labels.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        let rule = LogRule { labels, ..LogRule::new("a", "a") };
        assert_eq!(LogRules::new(vec![rule]).unwrap_err().to_string(), expected);
    }
}
