//! The language of Prometheus' PromQL tests: `load`, `eval`, `clear`.

mod compare;
mod expectation;
mod load;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ast::{At, Expr, ExprKind, Shift};
use crate::{Note, Query, Value, parse};
use series::{Limits, Store};
use telemetry::{Labels, Origin, Timestamp, parse_duration};

pub(crate) use expectation::Expectation;
use load::Data;

/// What became of one `eval`.
pub(crate) enum Outcome {
    Passed,
    /// Our parser does not know the feature.
    Skipped(String),
    Failed(String),
}

/// Runs a script and says what became of the `eval` on each line.
pub(crate) fn run(text: &str) -> Vec<(usize, Outcome)> {
    let lines: Vec<&str> =
        text.lines().map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut outcomes = Vec::new();
    let mut data = Data::new();
    let mut store = None;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let end = lines[at..].iter().position(|line| line.is_empty()).map_or(lines.len(), |n| at + n);
        let block = &lines[at + 1..end.max(at + 1)];
        match line.split_whitespace().next() {
            None => {}
            Some("clear") => {
                data.clear();
                store = None;
                at += 1;
                continue;
            }
            Some(word) if word.starts_with("load") => {
                load::load(line, block, &mut data);
                store = None;
            }
            Some(word) if word.starts_with("eval") => {
                let store = store.get_or_insert_with(|| fill(&data));
                outcomes.push((at + 1, eval(line, block, store)));
            }
            Some(word) => panic!("line {}: unknown command {word}", at + 1),
        }
        at = end + 1;
    }
    outcomes
}

fn fill(data: &Data) -> Store {
    let mut store = Store::new(Limits {
        max_series: usize::MAX,
        retention: Duration::from_hours(24 * 365 * 10),
        max_samples_per_series: usize::MAX,
    });
    for (labels, points) in data {
        for (at, value) in points {
            store.append_sample(labels, &Origin::Rule, Timestamp::from_millis(*at), *value).unwrap();
        }
    }
    store
}

/// When and what an `eval` line evaluates.
#[derive(Clone, Copy)]
pub(crate) enum When {
    Instant(i64),
    Range { from: i64, to: i64, step: i64 },
}

fn millis(text: &str) -> i64 {
    parse_duration(text).unwrap_or_else(|error| panic!("{error}")).as_millis() as i64
}

fn split_eval(line: &str) -> (&str, When, &str) {
    let (command, rest) = line.split_once(char::is_whitespace).unwrap();
    let (kind, rest) = rest.trim().split_once(char::is_whitespace).unwrap();
    let mut rest = rest.trim();
    let mut word = |keyword: &str| {
        let after = rest.strip_prefix(keyword)?.trim_start();
        let (value, tail) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
        rest = tail.trim_start();
        Some(millis(value))
    };
    let when = match kind {
        "instant" => When::Instant(word("at ").unwrap_or(0)),
        "range" => When::Range {
            from: word("from ").unwrap(),
            to: word("to ").unwrap(),
            step: word("step ").unwrap(),
        },
        other => panic!("unknown eval {other}"),
    };
    (command, when, rest)
}

fn eval(line: &str, block: &[&str], store: &Store) -> Outcome {
    let (command, when, text) = split_eval(line);
    let expectation = Expectation::new(command, block);
    match check(text, when, store, &expectation) {
        Ok(()) => {}
        Err(problem) if problem.contains("not supported yet") => {
            return Outcome::Skipped(
                problem.split(" not supported yet").next().unwrap_or_default().to_owned(),
            );
        }
        Err(problem) => return Outcome::Failed(format!("{line}: {problem}")),
    }
    if let When::Instant(at) = when
        && let Err(problem) = variations(text, at, store, &expectation)
    {
        return Outcome::Failed(format!("{line}: {problem}"));
    }
    Outcome::Passed
}

type Answer = Result<(Value, Vec<Note>), String>;

fn ask(text: &str, when: When, store: &Store) -> Answer {
    let mut query = Query::new(text).map_err(|error| error.to_string())?;
    let value = match when {
        When::Instant(at) => query.instant(store, Timestamp::from_millis(at)),
        When::Range { from, to, step } => query.range(
            store,
            Timestamp::from_millis(from),
            Timestamp::from_millis(to),
            Duration::from_millis(step as u64),
        ),
    };
    value.map(|value| (value, query.notes().to_vec())).map_err(|error| error.message)
}

fn check(text: &str, when: When, store: &Store, expectation: &Expectation) -> Result<(), String> {
    match ask(text, when, store) {
        Err(problem) if problem.contains("not supported yet") => Err(problem),
        Err(problem) => expectation.check_failure(&problem),
        Ok((value, notes)) => {
            expectation.check_notes(text, &notes)?;
            expectation.check_value(&value, when)
        }
    }
}

/// The same query with its time fixed, and as the middle of a range.
fn variations(text: &str, at: i64, store: &Store, expectation: &Expectation) -> Result<(), String> {
    const MOVING: [&str; 13] = [
        "days_in_month",
        "day_of_",
        "hour",
        "minute",
        "month",
        "year",
        "predict_linear",
        "time",
        "timestamp",
        "start",
        "end",
        "range",
        "step",
    ];
    let Ok(mut expr) = parse(text) else { return Ok(()) };
    let Ok((value, _)) = ask(text, When::Instant(at), store) else { return Ok(()) };
    let moves = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if !moves(&MOVING) {
        fix(&mut expr, at);
        let fixed = expr.to_string();
        let moments = if at == 0 { vec![-1000, 0, 1000] } else { vec![-10 * at, 0, at / 5, at, 10 * at] };
        for moment in moments {
            let (other, _) = ask(&fixed, When::Instant(moment), store)
                .map_err(|problem| format!("as {fixed} at {moment} ms: {problem}"))?;
            compare::same(&value, &other)
                .map_err(|problem| format!("as {fixed} at {moment} ms: {problem}"))?;
        }
    }
    if expectation.is_ordered() || moves(&["start()", "end()"]) {
        return Ok(());
    }
    let minute = 60_000;
    let range = When::Range { from: at - minute, to: at + minute, step: minute };
    let Value::Matrix(series) = (match ask(text, range, store) {
        Ok((value, _)) => value,
        Err(problem) if problem.contains("a range query needs") => return Ok(()),
        // What goes wrong a minute earlier or later says nothing about the middle.
        Err(problem) if problem.contains("same labelset") => return Ok(()),
        Err(problem) => return Err(format!("as a range: {problem}")),
    }) else {
        return Err("a range query has no matrix".to_owned());
    };
    let middle: BTreeMap<Labels, f64> = series
        .into_iter()
        .filter_map(|series| {
            let point = series.points.into_iter().find(|point| point.at == at)?;
            Some((series.labels, point.value))
        })
        .collect();
    compare::as_middle(&value, &middle).map_err(|problem| format!("as the middle of a range: {problem}"))
}

/// Puts `@` on every selector and subquery that has none.
fn fix(expr: &mut Expr, at: i64) {
    let set = |shift: &mut Shift| {
        shift.at.get_or_insert(At::Millis(at));
    };
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::Text(_) => {}
        ExprKind::Selector(selector) | ExprKind::Range(selector, _) => set(&mut selector.shift),
        ExprKind::Subquery(subquery) => set(&mut subquery.shift),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => fix(inner, at),
        ExprKind::Binary(binary) => {
            fix(&mut binary.left, at);
            fix(&mut binary.right, at);
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(parameter) = &mut aggregate.parameter {
                fix(parameter, at);
            }
            fix(&mut aggregate.expr, at);
        }
        ExprKind::Call(_, arguments) => arguments.iter_mut().for_each(|argument| fix(argument, at)),
    }
}
