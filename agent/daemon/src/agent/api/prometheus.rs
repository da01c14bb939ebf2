//! Prometheus' HTTP API, so that Grafana, promtool and whoever else speaks it ask this agent as if it were a Prometheus.
//!
//! What is answered and how it is spelled is Prometheus' 3: names, texts of errors, codes, how numbers are written. It
//! only reads. Every answer is bounded: in series, samples, points, bytes and time, and in how long it keeps others from
//! the series.

mod describe;
mod evaluate;
mod failure;
mod json;
mod parameters;
mod rules;
mod select;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use promql::ast::ValueType;
use promql::{Query, Value};
use series::Store;
use telemetry::Timestamp;

use super::Facts;
use super::routes::Reply;
use crate::clock;
pub(super) use describe::{build_information, metadata, query_exemplars};
use evaluate::{Bounds, Evaluated, Window, evaluate, evaluate_over};
pub(crate) use failure::QueryFigures;
use failure::{Failure, Kind, answer};
use json::{Body, Json};
use parameters::Parameters;
pub(super) use rules::{alerts, rules};
pub(super) use select::{label_values, labels, series};

/// How long an answer may take unless `timeout` says less.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Everything that was asked.
#[derive(Debug, Default)]
pub(super) struct Question {
    /// What the path names.
    pub(super) name: String,
    /// What stands after `?`.
    pub(super) query: String,
    pub(super) content_type: String,
    pub(super) body: Bytes,
    /// Becomes true when the answer is of no use any more.
    pub(super) nobody_waits: Arc<AtomicBool>,
}

/// For whom no turn came to read series.
pub(super) fn refuse_turn(facts: &Facts) -> Reply {
    answer(facts, || Err(Failure::new(Kind::Timeout, "query timed out in query queue")))
}

pub(super) fn query(facts: &Facts, question: &Question) -> Reply {
    answer(facts, || at_one_time(&facts.shared.store, question, clock::now()))
}

pub(super) fn query_range(facts: &Facts, question: &Question) -> Reply {
    answer(facts, || over_time(&facts.shared.store, question))
}

pub(super) fn format_query(facts: &Facts, question: &Question) -> Reply {
    answer(facts, || {
        let parameters = Parameters::read(question)?;
        let query = parse(parameters.first("query"))?;
        Json::success(|json| json.text(&query.expr().to_string()))
    })
}

fn at_one_time(store: &RwLock<Store>, question: &Question, now: Timestamp) -> Result<Body, Failure> {
    let parameters = Parameters::read(question)?;
    let limit = parameters.limit("limit")?;
    let at = parameters.time("time", now)?;
    let bounds = bounds(store, question, &parameters)?;
    let mut query = parse(parameters.first("query"))?;
    let evaluated = evaluate(&bounds, &mut query, at)?;
    Json::success(|json| result(json, evaluated, at, query.text(), limit))
}

fn over_time(store: &RwLock<Store>, question: &Question) -> Result<Body, Failure> {
    let parameters = Parameters::read(question)?;
    let limit = parameters.limit("limit")?;
    let window = Window::read(&parameters)?;
    let bounds = bounds(store, question, &parameters)?;
    let mut query = parse(parameters.first("query"))?;
    let found = query.expr().value_type();
    if matches!(found, ValueType::Range | ValueType::String) {
        let text =
            format!("invalid expression type \"{found}\" for range query, must be Scalar or instant Vector");
        return Err(Failure::parameter("query", &text));
    }
    let evaluated = evaluate_over(&bounds, &mut query, &window)?;
    Json::success(|json| result(json, evaluated, window.from, query.text(), limit))
}

fn bounds<'a>(
    store: &'a RwLock<Store>,
    question: &'a Question,
    parameters: &Parameters,
) -> Result<Bounds<'a>, Failure> {
    if !parameters.first("lookback_delta").is_empty() {
        return Err(Failure::parameter("lookback_delta", "it is 5m here and cannot be changed"));
    }
    let within = parameters.timeout("timeout", ANSWER_WITHIN)?;
    Ok(Bounds { store, deadline: clock::monotonic() + within, nobody_waits: &question.nobody_waits })
}

fn parse(text: &str) -> Result<Query, Failure> {
    Query::new(text).map_err(|error| Failure::of_expression("query", text, &error))
}

/// Writes what a query gave, at most `limit` series of it.
fn result(
    json: &mut Json,
    evaluated: Evaluated,
    at: Timestamp,
    text: &str,
    limit: Option<usize>,
) -> Result<(), Failure> {
    let most = limit.unwrap_or(usize::MAX);
    let mut cut = false;
    let at = at.as_millis();
    match evaluated.value {
        Value::Scalar(value) => json.raw(r#"{"resultType":"scalar","result":"#).scalar(at, value)?,
        Value::String(value) => json.raw(r#"{"resultType":"string","result":"#).string_at(at, &value)?,
        Value::Vector(samples) => {
            cut = samples.len() > most;
            json.raw(r#"{"resultType":"vector","result":"#).list(
                samples.iter().take(most),
                |json, sample| {
                    json.raw(r#"{"metric":"#).labels(&sample.labels)?;
                    json.raw(r#","value":"#).sample(at, sample.value)?;
                    json.raw("}").fits()
                },
            )?;
        }
        Value::Matrix(series) => {
            cut = series.len() > most;
            json.raw(r#"{"resultType":"matrix","result":"#).list(
                series.iter().take(most),
                |json, series| {
                    json.raw(r#"{"metric":"#).labels(&series.labels)?;
                    json.raw(r#","values":"#);
                    json.list(series.points.iter(), |json, point| json.sample(point.at, point.value))?;
                    json.raw("}").fits()
                },
            )?;
        }
    }
    json.raw("}");
    json.notes(text, &evaluated.notes);
    if cut {
        json.warn("results truncated due to limit");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
