//! A prepared expression.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use series::Store;
use telemetry::{Labels, Timestamp};

use crate::ast::Expr;
use crate::plan::{Context, MAX_SETS, Plan, Sample, duplicate};
use crate::sets::{SetId, Sets};
use crate::{EvalError, Note, ParseError, Point, RangeSeries, Reads, Value, VectorSample, parse};

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
    sets: Sets,
    notes: Vec<Note>,
    /// How many sets are kept before all are forgotten, found anew whenever they were.
    sets_kept: usize,
    epoch: u64,
    reads: Reads,
}

/// When a query is evaluated: once, or at each step from start to end.
#[derive(Clone, Copy)]
struct When {
    start: i64,
    end: i64,
    is_range: bool,
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
            plan: Plan::new(&expr),
            expr,
            sets: Sets::default(),
            notes: Vec::new(),
            sets_kept: 0,
            epoch: 0,
            reads: Reads::default(),
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
        &self.notes
    }

    /// How much the last evaluation read.
    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// The value at `at`.
    ///
    /// # Errors
    ///
    /// Series do not match as the expression needs it, or more samples than the limit would have to be read.
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
        self.begin();
        self.evaluate(store, at, When { start: at, end: at, is_range: false, lookback })
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
        let error = |message: String| EvalError { span: None, message };
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        let (start, end) = (from.as_millis(), to.as_millis());
        if step == 0 {
            return Err(error("the step of a range query must be at least a millisecond".to_owned()));
        }
        if (end - start) / step >= MAX_STEPS {
            return Err(error(format!("the range query has more than {MAX_STEPS} steps")));
        }
        if matches!(self.plan, Plan::Window(_) | Plan::Text(_)) {
            let found = self.expr.value_type();
            return Err(error(format!("a range query needs a scalar or an instant vector, got {found}")));
        }
        self.begin();
        let mut series: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        let mut at = start;
        while at <= end {
            let samples = match self.evaluate(
                store,
                at,
                When { start, end, is_range: true, lookback: LOOKBACK_MILLIS },
            )? {
                Value::Scalar(value) => vec![VectorSample { labels: Labels::empty(), value }],
                Value::Vector(samples) => samples,
                Value::Matrix(_) | Value::String(_) => Vec::new(),
            };
            for VectorSample { labels, value } in samples {
                series.entry(labels).or_default().push(Point { at, value });
            }
            at = at.saturating_add(step);
        }
        Ok(Value::Matrix(series.into_iter().map(|(labels, points)| RangeSeries { labels, points }).collect()))
    }

    fn begin(&mut self) {
        self.notes.clear();
        self.reads = Reads::default();
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
            at,
            start: when.start,
            end: when.end,
            lookback: when.lookback,
            epoch: self.epoch,
            is_range: when.is_range,
            reads: self.reads,
            steps: 0,
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
            finish(samples, context.sets, span).map(Value::Vector)
        }
        Plan::Window(window) => {
            let mut found: Vec<(SetId, bool, Vec<Point>)> = Vec::new();
            window.each(context, |series| {
                let points = series.times.iter().zip(series.values);
                let points = points.map(|(at, value)| Point { at: *at, value: *value }).collect();
                found.push((series.set, series.nameless, points));
            })?;
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
        if result.insert(sets.labels(set).clone(), points).is_some() {
            return Err(duplicate(span));
        }
    }
    Ok(result.into_iter().map(|(labels, points)| RangeSeries { labels, points }).collect())
}

#[cfg(test)]
mod tests;
