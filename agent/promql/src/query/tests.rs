use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use series::Limits;
use telemetry::{Instrument, MetricSpec, Origin, SampleBuffer, Scope, Value as Attribute, ValueType};

use super::*;

static CPU_TIME: MetricSpec = MetricSpec {
    name: "system.cpu.time",
    unit: "s",
    instrument: Instrument::Counter,
    value: ValueType::Double,
    attributes: &["cpu.mode"],
    scope: Scope::Conventions,
    description: "",
    source: "",
    shows: None,
    by_default: true,
};

fn collect(store: &mut Store, second: i64, modes: &[(&str, Option<f64>)]) {
    let mut buffer = SampleBuffer::default();
    buffer.reset(Timestamp::from_secs(second), Timestamp::EPOCH);
    for (mode, value) in modes {
        match value {
            Some(value) => buffer.double(&CPU_TIME, &[Attribute::Str(mode)], *value),
            None => buffer.gone(&CPU_TIME, &[Attribute::Str(mode)]),
        }
    }
    store.append(&buffer);
}

fn host() -> Store {
    let mut store = Store::new(Limits::default());
    for second in [10, 20, 30] {
        let value = second as f64;
        collect(&mut store, second, &[("idle", Some(value * 0.75)), ("user", Some(value * 0.25))]);
    }
    store
}

/// The vector at `second`, one line per sample.
fn lines(query: &mut Query, store: &Store, second: i64) -> Vec<String> {
    match query.instant(store, Timestamp::from_secs(second)).unwrap() {
        Value::Vector(samples) => samples.iter().map(|s| format!("{} {}", s.labels, s.value)).collect(),
        other => panic!("{other:?} is not a vector"),
    }
}

#[test]
fn host_series_are_queried_by_either_name() {
    let store = host();
    for (text, expected) in [
        (r#"{"system.cpu.time", "cpu.mode"="idle"}"#, r#"{"system.cpu.time", "cpu.mode"="idle"} 22.5"#),
        (
            r#"system_cpu_time_seconds_total{cpu_mode="idle"}"#,
            r#"system_cpu_time_seconds_total{cpu_mode="idle"} 22.5"#,
        ),
        (r#"sum by ("cpu.mode") ({"system.cpu.time", "cpu.mode"="user"})"#, r#"{"cpu.mode"="user"} 7.5"#),
        (r#"rate(system_cpu_time_seconds_total{cpu_mode="user"}[30s])"#, r#"{cpu_mode="user"} 0.25"#),
        (r#"count({__name__=~".+"})"#, "{} 2"),
    ] {
        assert_eq!(lines(&mut Query::new(text).unwrap(), &store, 30), [expected], "{text}");
    }
}

#[test]
fn a_query_sees_series_that_came_and_went_since_it_was_last_asked() {
    let mut store = host();
    let mut query = Query::new("sum by (cpu_mode) (system_cpu_time_seconds_total) > 0").unwrap();
    assert_eq!(lines(&mut query, &store, 30), [r#"{cpu_mode="idle"} 22.5"#, r#"{cpu_mode="user"} 7.5"#]);
    collect(&mut store, 40, &[("idle", None), ("user", Some(10.0)), ("steal", Some(1.0))]);
    assert_eq!(lines(&mut query, &store, 40), [r#"{cpu_mode="user"} 10"#, r#"{cpu_mode="steal"} 1"#]);
    let other = host();
    assert_eq!(lines(&mut query, &other, 30), [r#"{cpu_mode="idle"} 22.5"#, r#"{cpu_mode="user"} 7.5"#]);
}

#[test]
fn a_query_may_be_told_to_see_no_sample_from_a_moment_or_before_it() {
    let store = host();
    for (text, at, since, expected) in [
        ("sum(system_cpu_time_seconds_total)", 35, 29, vec!["{} 30"]),
        ("sum(system_cpu_time_seconds_total)", 35, 30, vec![]),
        ("absent(system_cpu_time_seconds_total)", 35, 30, vec!["{} 1"]),
        ("sum(system_cpu_time_seconds_total)", 35, 40, vec![]),
        // No further back than ever.
        ("sum(system_cpu_time_seconds_total)", 330, 0, vec![]),
        ("sum(system_cpu_time_seconds_total)", 329, 0, vec!["{} 30"]),
        // A window is as long as it says.
        ("sum(count_over_time(system_cpu_time_seconds_total[1m]))", 35, 34, vec!["{} 6"]),
        ("sum(system_cpu_time_seconds_total offset 10s)", 35, 29, vec!["{} 20"]),
        ("sum(system_cpu_time_seconds_total offset 10s)", 35, 30, vec![]),
    ] {
        let mut query = Query::new(text).unwrap();
        let secs = Timestamp::from_secs;
        let found = query.instant_since(&store, secs(at), secs(since)).unwrap();
        let Value::Vector(samples) = found else { panic!("{found:?} is not a vector") };
        let found: Vec<String> = samples.iter().map(|s| format!("{} {}", s.labels, s.value)).collect();
        assert_eq!(found, expected, "{text} at {at} since {since}");
    }
}

#[test]
fn a_stale_marker_in_a_window_is_passed_over() {
    let mut store = host();
    collect(&mut store, 40, &[("idle", None)]);
    collect(&mut store, 50, &[("idle", Some(30.0))]);
    let mut query =
        Query::new(r#"count_over_time(system_cpu_time_seconds_total{cpu_mode="idle"}[1m])"#).unwrap();
    assert_eq!(lines(&mut query, &store, 50), [r#"{cpu_mode="idle"} 4"#]);
}

#[test]
fn an_error_of_evaluation_says_where() {
    let store = host();
    for (text, place, message) in [
        (
            "1 + (system_cpu_time_seconds_total * on () system_cpu_time_seconds_total)",
            "system_cpu_time_seconds_total * on () system_cpu_time_seconds_total",
            "found duplicate series for the match group",
        ),
        (
            "topk(NaN, system_cpu_time_seconds_total)",
            "topk(NaN, system_cpu_time_seconds_total)",
            "Parameter value is NaN",
        ),
        ("sum_over_time(nothing[1y:1ms])", "nothing[1y:1ms]", "the query reads more than 10000000 samples"),
        (
            r#"count_over_time(count_values("v", vector(time()))[6d:1s])"#,
            r#"count_values("v", vector(time()))[6d:1s]"#,
            "the query makes more than 200000 label sets",
        ),
    ] {
        let error = Query::new(text).unwrap().instant(&store, Timestamp::from_secs(30)).unwrap_err();
        assert_eq!(&text[error.span.unwrap()], place);
        assert!(error.message.starts_with(message), "{}", error.message);
    }
}

#[test]
fn a_range_query_without_end_is_refused() {
    let store = Store::new(Limits::default());
    let mut query = Query::new("time()").unwrap();
    let mut ask = |seconds, step| {
        let to = Timestamp::from_secs(seconds);
        query.range(&store, Timestamp::EPOCH, to, Duration::from_millis(step)).map_err(|error| error.message)
    };
    assert!(ask(10, 1_000).is_ok());
    assert_eq!(ask(10, 0).unwrap_err(), "the step of a range query must be at least a millisecond");
    assert!(ask(11_000, 1_000).is_ok(), "as many as Prometheus allows");
    assert_eq!(ask(11_001, 1_000).unwrap_err(), "the range query has more than 11000 steps");
}

#[test]
fn the_longest_durations_do_not_overflow() {
    let store = host();
    for text in [
        "rate(system_cpu_time_seconds_total[292y] @ -9223372036 offset 292y)",
        "sum_over_time(vector(1)[292y:292y] @ 9223372036 offset -292y)",
        "rate(sum_over_time(rate(system_cpu_time_seconds_total[292y])[292y:291y])[292y:292y] offset 292y)",
    ] {
        assert!(Query::new(text).unwrap().instant(&store, Timestamp::from_secs(30)).is_ok(), "{text}");
    }
    let mut query = Query::new("time()").unwrap();
    assert!(query.range(&store, Timestamp::EPOCH, Timestamp::from_secs(1), Duration::MAX).is_ok());
}

#[test]
fn values_that_become_labels_do_not_pile_up() {
    let mut store = Store::new(Limits { max_series: 2_000, ..Limits::default() });
    let mut query = Query::new(r#"count_values("v", x)"#).unwrap();
    for round in 0..250_i64 {
        for number in 0..1_000_i64 {
            let labels: Labels = [("__name__", "x"), ("n", &number.to_string())].into_iter().collect();
            let value = (round * 1_000 + number) as f64;
            store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(round), value).unwrap();
        }
        assert_eq!(lines(&mut query, &store, round).len(), 1_000);
        assert!(query.sets.len() <= MAX_SETS + 2_000);
    }
}

#[test]
fn a_long_chain_of_operators_over_many_series_is_refused_in_time() {
    let mut store = Store::new(Limits::default());
    for number in 0..Limits::default().max_series {
        let labels = [("__name__", "many"), ("n", &number.to_string())].into_iter().collect();
        store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(10), 1.0).unwrap();
    }
    let chain = |length: usize| "quantile by (n) (0.5, ".repeat(length) + "many" + &")".repeat(length);
    let at = Timestamp::from_secs(10);
    assert!(Query::new(&chain(3)).unwrap().instant(&store, at).is_ok());
    let error = Query::new(&chain(90)).unwrap().instant(&store, at).unwrap_err();
    assert_eq!(error.message, "the query handles more than 10000000 samples, intermediate ones counted in");
}

#[test]
fn a_query_over_a_limit_fails_alone_and_names_it() {
    let mut store = Store::new(Limits::default());
    for number in 0..10 {
        let labels = [("__name__", "x"), ("n", &number.to_string())].into_iter().collect();
        for second in 1..=30 {
            store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(second), 1.0).unwrap();
        }
    }
    let at = Timestamp::from_secs;
    let unlimited = QueryLimits::default();
    let cancelled = Some(Arc::new(AtomicBool::new(true)));
    for (limits, text, message) in [
        (
            QueryLimits { series: 9, ..unlimited.clone() },
            "sum(x)",
            "the selector means 10 series, the limit is 9",
        ),
        (
            QueryLimits { samples: 200, ..unlimited.clone() },
            "rate(x[1m])",
            "the query reads more than 200 samples",
        ),
        (QueryLimits { points: 299, ..unlimited.clone() }, "x[1m]", "the result has more than 299 points"),
        (QueryLimits { cancelled, ..unlimited.clone() }, "x", "the query was cancelled"),
    ] {
        let mut query = Query::new(text).unwrap();
        query.set_limits(limits);
        let error = query.instant(&store, at(30)).unwrap_err();
        assert_eq!(error.message, message);
        assert_eq!(error.kind == EvalErrorKind::Cancelled, message.ends_with("cancelled"));
        query.set_limits(unlimited.clone());
        assert!(query.instant(&store, at(30)).is_ok());
    }
    let mut query = Query::new("x").unwrap();
    for (limits, message) in [
        (QueryLimits { points: 299, ..unlimited.clone() }, "the result has more than 299 points"),
        (
            QueryLimits { samples: 599, ..unlimited.clone() },
            "the query handles more than 599 samples, intermediate ones counted in",
        ),
    ] {
        query.set_limits(limits);
        let error = query.range(&store, at(1), at(30), Duration::from_secs(1)).unwrap_err();
        assert_eq!((error.message.as_str(), error.kind), (message, EvalErrorKind::Limit));
    }
    let mut chain = Query::new("quantile by (n) (0.5, quantile by (n) (0.5, x))").unwrap();
    let mut steps_until = |second| {
        chain.range(&store, at(1), at(second), Duration::from_secs(1)).unwrap();
        chain.reads().steps
    };
    let [one, ten, thirty] = [1, 10, 30].map(&mut steps_until);
    assert!(ten >= one + 9 * 20 && thirty == ten + 20 * (ten - one) / 9, "{one} {ten} {thirty}");
    chain.set_limits(QueryLimits { samples: thirty, ..unlimited });
    let error = chain.range(&store, at(1), at(30), Duration::from_secs(1)).unwrap_err();
    assert_eq!(
        error.message,
        format!("the query handles more than {thirty} samples, intermediate ones counted in")
    );
}

#[test]
fn names_that_come_one_after_the_other_are_one_series_where_names_are_dropped() {
    let outcomes = crate::script::run(
        "load 1m
  a{x=\"1\"} 1 2 stale
  b{x=\"1\"} _ _ 3 4

eval instant at 3m (-(a or b))[3m:1m]
  expect range vector from 1m to 3m step 60s
  {x=\"1\"} -2 -3 -4

eval instant at 1m (-({__name__=~\"a|b\"} offset -1m or a offset -1m))[1m:1m]
  expect range vector from 1m to 1m step 60s
  {x=\"1\"} -3
",
    );
    let failures: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).collect();
    assert!(failures.is_empty() && outcomes.len() == 2, "{failures:#?}");
    let both = crate::script::run(
        "load 1m
  a{x=\"1\"} 1 2
  b{x=\"1\"} 1 2

eval instant at 1m (-{__name__=~\"a|b\"})[1m:1m]
  expect fail
",
    );
    assert!(both.iter().all(|outcome| outcome.failure.is_none()), "{both:#?}");
}
