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
    assert_eq!(ask(11_000, 1_000).unwrap_err(), "the range query has more than 11000 steps");
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
