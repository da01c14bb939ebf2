//! A prepared expression.

mod sources;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use series::Store;
use telemetry::{Labels, Origins, Timestamp};

use crate::ast::{Asked, Expr, MAX_MILLIS};
use crate::parser::check_subqueries;
use crate::plan::{Context, DEFAULT_SUBQUERY_STEP, MAX_SETS, Notes, Plan, QueryLimits, Sample, duplicate};
use crate::sets::{SetId, Sets};
use crate::{
    EvalError, EvalErrorKind, Note, ParseError, Point, RangeSeries, Reads, Value, VectorSample, parse,
};
use sources::Sources;

/// How far back an instant selector looks for a sample.
pub const LOOKBACK: Duration = Duration::from_mins(5);
const LOOKBACK_MILLIS: i64 = LOOKBACK.as_millis() as i64;

/// The most points in time that a range query evaluates, as in Prometheus.
pub const MAX_STEPS: i64 = 11_000;

/// Label sets that are always kept, so that a query over few series does not forget them every other round.
const MIN_SETS: usize = 256;

/// An expression, parsed once and bound to the series of the store that it was last evaluated on.
#[derive(Debug)]
pub struct Query {
    text: String,
    expr: Expr,
    plan: Plan,
    /// What the plan's durations were computed for, where they depend on what is asked.
    planned: Option<Asked>,
    computed: bool,
    sets: Sets,
    notes: Notes,
    /// How many sets are kept before all are forgotten, found anew whenever they were.
    sets_kept: usize,
    epoch: u64,
    reads: Reads,
    limits: QueryLimits,
    subquery_step: i64,
    sources: Sources,
}

/// When a query is evaluated: once, or at each step from start to end.
#[derive(Clone, Copy)]
struct When {
    start: i64,
    end: i64,
    step: i64,
    lookback: i64,
}

impl Query {
    /// Parses and checks `text`.
    ///
    /// # Errors
    ///
    /// The text is not PromQL, or uses a part of it that is not evaluated yet.
    pub fn new(text: &str) -> Result<Self, ParseError> {
        let expr = parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            planned: expr.has_computed_lengths().then_some(Asked::default()),
            computed: false,
            plan: Plan::new(&expr),
            sources: Sources::new(&expr),
            expr,
            sets: Sets::default(),
            notes: Notes::default(),
            sets_kept: 0,
            epoch: 0,
            reads: Reads::default(),
            limits: QueryLimits::default(),
            subquery_step: DEFAULT_SUBQUERY_STEP,
        })
    }

    /// The text it was made from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The expression.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// What Prometheus would warn of in the last evaluation.
    pub fn notes(&self) -> &[Note] {
        self.notes.list()
    }

    /// How much the last evaluation read and handled.
    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// Reads and answers no more than this from now on.
    pub fn set_limits(&mut self, limits: QueryLimits) {
        self.limits = limits;
    }

    /// Evaluates subqueries that do not say how often so often from now on, in place of [`DEFAULT_SUBQUERY_STEP`].
    pub fn set_subquery_step(&mut self, step: Duration) {
        self.subquery_step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).clamp(1, MAX_MILLIS);
    }

    /// Everything that the series were computed from that its selectors mean, whether or not they have samples now.
    pub fn origins(&mut self, store: &Store) -> Origins {
        self.sources.origins(store).clone()
    }

    /// The value at `at`.
    ///
    /// # Errors
    ///
    /// Series do not match as the expression needs it, the evaluation goes over one of its limits, or it was cancelled.
    pub fn instant(&mut self, store: &Store, at: Timestamp) -> Result<Value, EvalError> {
        self.look_back(store, at.as_millis(), LOOKBACK_MILLIS)
    }

    /// The value at `at`, where an instant selector sees no sample from `since` or before it. A range selector sees its
    /// whole window, and `offset` shifts what an instant selector sees by as much.
    ///
    /// # Errors
    ///
    /// As for [`Query::instant`].
    pub fn instant_since(
        &mut self,
        store: &Store,
        at: Timestamp,
        since: Timestamp,
    ) -> Result<Value, EvalError> {
        let at = at.as_millis();
        let length = at.saturating_sub(since.as_millis());
        self.look_back(store, at, length.clamp(0, LOOKBACK_MILLIS))
    }

    fn look_back(&mut self, store: &Store, at: i64, lookback: i64) -> Result<Value, EvalError> {
        self.begin(Asked::default())?;
        self.evaluate(store, at, When { start: at, end: at, step: 0, lookback })
    }

    /// The value at `from` and each `step` after it up to `to`; always [`Value::Matrix`].
    ///
    /// # Errors
    ///
    /// As for [`Query::instant`]; or the expression is a range vector or a text, or the steps are none or too many.
    pub fn range(
        &mut self,
        store: &Store,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<Value, EvalError> {
        let error = |message: String| EvalError { span: None, message, kind: EvalErrorKind::Execution };
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        let (start, end) = (from.as_millis(), to.as_millis());
        if step == 0 {
            return Err(error("the step of a range query must be at least a millisecond".to_owned()));
        }
        if (end - start) / step > MAX_STEPS {
            return Err(EvalError::limit(None, format!("the range query has more than {MAX_STEPS} steps")));
        }
        if matches!(self.plan, Plan::Window(_) | Plan::Text(_)) {
            let found = self.expr.value_type();
            return Err(error(format!("a range query needs a scalar or an instant vector, got {found}")));
        }
        self.begin(Asked { step, range: end - start })?;
        let mut series: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        let mut at = start;
        let mut points = 0;
        while at <= end {
            let samples =
                match self.evaluate(store, at, When { start, end, step, lookback: LOOKBACK_MILLIS })? {
                    Value::Scalar(value) => vec![VectorSample { labels: Labels::empty(), value }],
                    Value::Vector(samples) => samples,
                    Value::Matrix(_) | Value::String(_) => Vec::new(),
                };
            points += samples.len();
            for VectorSample { labels, value } in samples {
                series.entry(labels).or_default().push(Point { at, value });
            }
            self.limits.check_result(series.len(), points, &self.expr.span)?;
            at = at.saturating_add(step);
        }
        Ok(Value::Matrix(series.into_iter().map(|(labels, points)| RangeSeries { labels, points }).collect()))
    }

    fn begin(&mut self, asked: Asked) -> Result<(), EvalError> {
        self.notes.clear();
        self.reads = Reads::default();
        let Some(planned) = self.planned.as_mut() else { return Ok(()) };
        if *planned == asked && self.computed {
            return Ok(());
        }
        let mut expr = self.expr.clone();
        expr.compute_lengths(asked)?;
        check_subqueries(&expr)?;
        *planned = asked;
        self.computed = true;
        self.plan = Plan::new(&expr);
        Ok(())
    }

    fn evaluate(&mut self, store: &Store, at: i64, when: When) -> Result<Value, EvalError> {
        if self.epoch == 0 || self.sets.len() > self.sets_kept {
            self.sets.clear();
            self.epoch += 1;
            self.sets_kept = MAX_SETS;
        }
        let mut context = Context {
            store,
            sets: &mut self.sets,
            notes: &mut self.notes,
            limits: &self.limits,
            at,
            start: when.start,
            end: when.end,
            step: if when.start == when.end { 0 } else { when.step },
            lookback: when.lookback,
            subquery_step: self.subquery_step,
            epoch: self.epoch,
            is_repeated: when.start < when.end,
            reads: self.reads,
        };
        let value = run(&mut self.plan, &mut context, &self.expr.span);
        self.reads = context.reads;
        if self.sets_kept == MAX_SETS {
            // Sets of series that are gone make at most three quarters.
            self.sets_kept = (self.sets.len() * 4).clamp(MIN_SETS, MAX_SETS - 1);
        }
        value
    }
}

fn run(plan: &mut Plan, context: &mut Context<'_>, span: &Range<usize>) -> Result<Value, EvalError> {
    match plan {
        Plan::Scalar(scalar) => scalar.eval(context).map(Value::Scalar),
        Plan::Text(text) => Ok(Value::String(text.clone())),
        Plan::Vector(vector) => {
            let samples = vector.eval(context)?;
            context.limits.check_result(samples.len(), samples.len(), span)?;
            finish(samples, context.sets, span).map(Value::Vector)
        }
        Plan::Window(window) => {
            let mut found: Vec<(SetId, bool, Vec<Point>)> = Vec::new();
            let limits = context.limits;
            let (mut points, mut series_count) = (0, 0);
            window.each(context, |series| {
                points += series.values.len();
                series_count += 1;
                if limits.check_result(series_count, points, span).is_err() {
                    return;
                }
                let points = series.times.iter().zip(series.values);
                let points = points.map(|(at, value)| Point { at: *at, value: *value }).collect();
                found.push((series.set, series.nameless, points));
            })?;
            limits.check_result(series_count, points, span)?;
            matrix(found, context.sets, span).map(Value::Matrix)
        }
    }
}

/// Drops the names that are to be dropped; what is left must tell the samples apart.
fn finish(
    samples: Vec<Sample>,
    sets: &mut Sets,
    span: &Range<usize>,
) -> Result<Vec<VectorSample>, EvalError> {
    let mut seen = Vec::new();
    let mut result = Vec::with_capacity(samples.len());
    for Sample { set, nameless, value } in samples {
        let set = if nameless { sets.nameless(set) } else { set };
        if seen.len() <= set.number() {
            seen.resize(set.number() + 1, false);
        }
        if seen.get_mut(set.number()).is_some_and(|cell| std::mem::replace(cell, true)) {
            return Err(duplicate(span));
        }
        result.push(VectorSample { labels: sets.labels(set).clone(), value });
    }
    Ok(result)
}

fn matrix(
    found: Vec<(SetId, bool, Vec<Point>)>,
    sets: &mut Sets,
    span: &Range<usize>,
) -> Result<Vec<RangeSeries>, EvalError> {
    let mut result: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
    for (set, nameless, points) in found {
        let set = if nameless { sets.nameless(set) } else { set };
        let series = result.entry(sets.labels(set).clone()).or_default();
        // Two names of one thing, one after the other, are one series once the names are dropped.
        let joined = !series.is_empty();
        series.extend(points);
        if joined {
            series.sort_by_key(|point| point.at);
            if series.windows(2).any(|pair| matches!(pair, [a, b] if a.at == b.at)) {
                return Err(duplicate(span));
            }
        }
    }
    Ok(result.into_iter().map(|(labels, points)| RangeSeries { labels, points }).collect())
}

#[cfg(test)]
mod tests;
