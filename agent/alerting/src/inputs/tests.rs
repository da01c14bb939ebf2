use super::*;
use crate::RuleFile;
use documents::Document;
use promql::Query;
use std::path::Path;
use telemetry::Origin;

const NOW: i64 = 100_000;

/// A series as PromQL writes it.
fn labels(text: &str) -> Labels {
    let Ok(query) = Query::new(text) else { panic!("{text}") };
    let selectors = query.expr().selectors();
    selectors[0].matchers.iter().map(|matcher| (matcher.name(), matcher.value())).collect()
}

/// A store that has these series, each sampled 20 s and 10 s ago. A `!` before one says that it has ended since, a `?`
/// that only the later sample is there.
fn store(series: &str) -> Store {
    let mut store = Store::default();
    for series in series.split(' ').filter(|series| !series.is_empty()) {
        let labels = labels(series.trim_start_matches(['!', '?']));
        let mut sample = |ago: i64, value: f64| {
            store.append_sample(&labels, &Origin::Host, Timestamp::from_secs(NOW - ago), value).unwrap();
        };
        if !series.starts_with('?') {
            sample(20, 1.0);
        }
        sample(10, 1.0);
        if series.starts_with('!') {
            sample(5, series::STALE);
        }
    }
    store
}

/// What `expr` lacks for a sample with these labels, among these series.
fn missing(expr: &str, sample: &str, series: &str) -> String {
    let query = Query::new(expr).unwrap();
    let store = store(series);
    let inputs = Inputs::new(&store, Timestamp::from_secs(NOW));
    inputs.missing(query.expr(), &labels(sample)).map_or("", |found| found.matchers[0].value()).to_owned()
}

#[test]
fn an_alert_misses_the_series_that_gave_its_sample() {
    for (expr, sample, series, expected) in [
        ("free < 10", r#"free{disk="a"}"#, r#"free{disk="a"}"#, ""),
        ("free < 10", r#"free{disk="a"}"#, r#"free{disk="b"}"#, "free"),
        ("free < 10", r#"free{disk="a"}"#, r#"!free{disk="a"} free{disk="b"}"#, "free"),
        ("free < 10", "free", r#"free{disk="b"}"#, ""),
        ("free < 10", "free", "", "free"),
        ("1 > bool 2", "free", "", ""),
        // Both sides of an operator are needed, but for `unless` and `or`.
        ("free / size < 0.1", r#"{disk="a"}"#, r#"free{disk="a"}"#, "size"),
        ("free / size < 0.1", r#"{disk="a"}"#, r#"size{disk="a"}"#, "free"),
        ("free unless size", r#"{disk="a"}"#, r#"free{disk="a"}"#, ""),
        ("free or size", r#"{disk="a"}"#, r#"size{disk="a"}"#, ""),
        ("free or size", r#"{disk="a"}"#, r#"size{disk="b"}"#, "free"),
        ("free and on () up", r#"{disk="a"}"#, r#"free{disk="a"} up{disk="b"}"#, ""),
        ("free and on () up", r#"{disk="a"}"#, r#"free{disk="a"}"#, "up"),
        // A series is not asked for labels that it does not share with the sample.
        (
            "free * on (host) group_left (os) info",
            r#"{host="x",disk="a",os="l"}"#,
            r#"free{host="x",disk="a",os="-"} info{host="x",os="l",disk="-"}"#,
            "",
        ),
        (
            "free * on (host) group_left (os) info",
            r#"{host="x",disk="a",os="l"}"#,
            r#"free{host="x",disk="a"} info{host="y",os="l"}"#,
            "info",
        ),
        ("free * ignoring (os) info", r#"{host="x"}"#, r#"free{host="x"} info{host="x",os="l"}"#, ""),
        (r#"label_replace(free, "disk", "new", "", "")"#, r#"{disk="new"}"#, r#"free{disk="a"}"#, ""),
        (r#"count_values("value", free)"#, r#"{value="1"}"#, r#"free{value="2"}"#, ""),
        ("sum by (host) (free)", r#"{host="x"}"#, r#"free{host="x",disk="a"}"#, ""),
        ("sum by (host) (free)", r#"{host="x"}"#, r#"free{host="y",disk="a"}"#, "free"),
        // What is made to notice absence is not without its series.
        ("absent(free)", "free", "", ""),
        ("absent_over_time(free[5m]) and up", "free", "up", ""),
    ] {
        assert_eq!(missing(expr, sample, series), expected, "{expr}, {sample}, {series}");
    }
}

#[test]
fn a_window_is_missed_when_it_has_too_few_samples_for_its_function() {
    for (expr, series, expected) in [
        ("rate(errors[5m]) > 1", "errors", ""),
        ("rate(errors[5m]) > 1", "?errors", "errors"),
        ("rate(errors[15s]) > 1", "errors", "errors"),
        ("max_over_time(errors[15s]) > 1", "errors", ""),
        ("max_over_time(errors[5m]) > 1", "!errors", ""),
        ("rate(errors[5m] offset 15s) > 1", "errors", "errors"),
        ("errors offset 1m", "errors", "errors"),
        ("max_over_time(rate(errors[5m])[1h:1m])", "errors", ""),
        ("max_over_time(errors[10m:1m] offset 15s)", "?errors", "errors"),
    ] {
        assert_eq!(missing(expr, "errors", series), expected, "{expr}, {series}");
    }
}

#[test]
fn a_selector_that_matches_nothing_is_told_and_looked_for_again_after_a_minute() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: 'rate(a[5m]) > 1 and b{x=\"y\"} unless c or absent(d)'}]}]";
    let file = RuleFile::read(&Document::from_text(Path::new("r.yaml"), text)).unwrap();
    let rule = &file.groups[0].rules()[0];
    let mut unmatched = Unmatched::default();
    let at = |seconds| Timestamp::from_secs(NOW + seconds);
    unmatched.look(rule, &store("b"), at(-60));
    assert!(unmatched.selectors.is_empty(), "too early to say");
    unmatched.look(rule, &store("b"), at(0));
    assert_eq!(unmatched.selectors, ["a[5m]", r#"b{x="y"}"#]);
    unmatched.look(rule, &store(r#"a b{x="y"}"#), at(59));
    assert_eq!(unmatched.selectors.len(), 2);
    unmatched.look(rule, &store(r#"a b{x="y"}"#), at(60));
    assert!(unmatched.selectors.is_empty());
}

#[test]
fn absence_has_the_labels_that_the_selector_asks_for() {
    for (selector, expected) in [
        ("up", "{}"),
        (r#"up{job="node",host=~"a.*",web!=""}"#, r#"{job="node"}"#),
        (r#"up{job="node",job="web"}"#, "{}"),
    ] {
        let query = Query::new(selector).unwrap();
        assert_eq!(absent_labels(query.expr().selectors()[0]).to_string(), expected, "{selector}");
    }
}
