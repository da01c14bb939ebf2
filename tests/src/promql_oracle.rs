//! Our PromQL against Prometheus' own engine: generated queries over generated series.
//!
//! `tests/promql-oracle` holds the engine. Every case follows from its seed, which is printed with a difference:
//! `PROMQL_ORACLE_SEED=7 PROMQL_ORACLE_CASES=1` asks the seventh again. What is known to differ, and why, is in
//! `differences`.

mod differences;
mod engine;
mod queries;
mod random;
mod stored;

use std::collections::BTreeMap;
use std::time::Duration;

use promql::{EvalErrorKind, Query, Value};
use series::Store;
use telemetry::{Labels, Timestamp};

use crate::program::skip;
use engine::{Answer, Engine, Question};
use queries::Queries;
use random::Random;

/// How many queries are asked of the same series.
const QUERIES_PER_STORE: u64 = 100;

/// Cases unless told otherwise: about half a minute.
const CASES: u64 = 8_000;

/// The first of them.
const FIRST: u64 = 12_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
#[ignore = "asks Prometheus' engine: ./test --system"]
fn promql_has_the_results_that_prometheus_has() {
    let Some(mut engine) = Engine::start() else {
        skip("oracle", "it is not built (tests/promql-oracle/build.sh)");
        return;
    };
    let (first, cases) = (number("PROMQL_ORACLE_SEED", FIRST), number("PROMQL_ORACLE_CASES", CASES));
    let most = number("PROMQL_ORACLE_SHOW", 20);
    let mut differing = 0;
    let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut store = (u64::MAX, Store::default(), Vec::new());
    for seed in first..first + cases {
        if store.0 != seed / QUERIES_PER_STORE {
            let series = stored::series(&mut Random::new(seed / QUERIES_PER_STORE));
            store = (seed / QUERIES_PER_STORE, stored::store(&series), series);
        }
        let mut question = Queries::new(Random::new(seed)).question();
        question.series = std::mem::take(&mut store.2);
        let theirs = engine.ask(&question);
        let ours = evaluate(&question, &store.1);
        *seen.entry(theirs.kind()).or_default() += 1;
        if let Err(difference) = differences::compare(&question, &ours, &theirs) {
            differing += 1;
            if differing <= most {
                println!("seed {seed}: {}\n  {}\n  {difference}\n", question.moment(), question.expr);
            }
        }
        store.2 = Vec::new();
    }
    println!("{cases} cases from seed {first}, of which {seen:?}; {differing} differ");
    assert_eq!(differing, 0);
    assert!(cases < CASES || seen.get("error").is_none_or(|errors| *errors < cases / 3), "too many errors");
}

/// Asks our evaluator.
fn evaluate(question: &Question, store: &Store) -> Answer {
    let mut query = match Query::new(&question.expr) {
        Ok(query) => query,
        Err(error) => return Answer::refused(error.message),
    };
    let at = Timestamp::from_millis(question.start);
    let value = if question.step > 0 {
        let step = Duration::from_millis(question.step.unsigned_abs());
        query.range(store, at, Timestamp::from_millis(question.end), step)
    } else {
        query.instant(store, at)
    };
    match value {
        Ok(value) => Answer::new(&question.expr, value, query.notes()),
        Err(error) => {
            assert_eq!(error.kind, EvalErrorKind::Execution, "{}: {}", question.expr, error.message);
            Answer::refused(error.message)
        }
    }
}

/// The points of a value, series by series.
fn points(value: Value) -> Vec<(Labels, Vec<(i64, f64)>)> {
    match value {
        Value::Scalar(value) => vec![(Labels::empty(), vec![(0, value)])],
        Value::Vector(samples) => samples.into_iter().map(|s| (s.labels, vec![(0, s.value)])).collect(),
        Value::Matrix(series) => series
            .into_iter()
            .map(|s| (s.labels, s.points.into_iter().map(|point| (point.at, point.value)).collect()))
            .collect(),
        Value::String(_) => Vec::new(),
    }
}
