//! The same query asked in other ways, as Prometheus' own tests do with every `eval instant`.

use std::collections::BTreeMap;

use telemetry::Labels;

use ::series::Store;

use super::compare::{as_middle, same};
use super::eval::{Eval, When, ask};
use super::expectation::Steps;
use crate::ast::{At, Expr, ExprKind, Shift};
use crate::{Value, parse};

/// What depends on the time of the evaluation even where all selectors have `@`.
const MOVING: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
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

/// What is another in a range query.
const OF_THE_RANGE: [&str; 4] = ["start", "end", "range", "step"];

/// The query with its time fixed, and as the middle of a range, must have the result that it has by itself.
pub(super) fn check(eval: &Eval, value: &Value, at: i64, store: &Store) -> Result<(), String> {
    if !calls_any(&eval.expression, &MOVING) {
        with_fixed_time(&eval.expression, value, at, store)?;
    }
    let expectation = &eval.expectation;
    let other_kind = expectation.text.is_some() || expectation.window.is_some();
    if other_kind || expectation.ordered || calls_any(&eval.expression, &OF_THE_RANGE) {
        return Ok(());
    }
    in_a_range(&eval.expression, value, at, store)
}

fn calls_any(expression: &str, functions: &[&str]) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    expression.match_indices('(').any(|(at, _)| {
        let before = expression.get(..at).unwrap_or_default().trim_end();
        let name = before.rsplit(|c: char| !is_word(c)).next().unwrap_or_default();
        functions.contains(&name)
    })
}

fn with_fixed_time(expression: &str, value: &Value, at: i64, store: &Store) -> Result<(), String> {
    let Ok(mut expr) = parse(expression) else { return Ok(()) };
    fix(&mut expr, at);
    let fixed = expr.to_string();
    let moments = match at {
        0 => vec![-1000, 0, 1000],
        _ => vec![at.saturating_mul(-10), 0, at / 5, at, at.saturating_mul(10)],
    };
    for moment in moments {
        let told = |problem: String| format!("as {fixed} at {moment} ms: {problem}");
        let (other, _) = ask(&fixed, When::Instant(moment), store).map_err(|error| told(error.message))?;
        same(value, &other).map_err(told)?;
    }
    Ok(())
}

fn in_a_range(expression: &str, value: &Value, at: i64, store: &Store) -> Result<(), String> {
    const MINUTE: i64 = 60_000;
    let steps = Steps { from: at.saturating_sub(MINUTE), to: at.saturating_add(MINUTE), step: MINUTE };
    let series = match ask(expression, When::Range(steps), store) {
        Ok((Value::Matrix(series), _)) => series,
        Ok(_) => return Err("a range query has no matrix".to_owned()),
        // What goes wrong a minute earlier or later says nothing about the middle; a range vector has no range.
        Err(error)
            if ["a range query needs", "same labelset"].iter().any(|text| error.message.contains(text)) =>
        {
            return Ok(());
        }
        Err(error) => return Err(format!("as a range: {}", error.message)),
    };
    let middle: BTreeMap<Labels, f64> = series
        .into_iter()
        .filter_map(|series| {
            let point = series.points.into_iter().find(|point| point.at == at)?;
            Some((series.labels, point.value))
        })
        .collect();
    as_middle(value, &middle).map_err(|problem| format!("as the middle of a range: {problem}"))
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
