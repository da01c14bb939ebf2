//! Evaluates queries without keeping others from the series.
//!
//! Whoever collects waits while a query reads. So a range is evaluated in slices of about [`SLICE`], between which others
//! have their turn, and nothing reads longer than [`HOLD_WITHIN`] at once. An expression that speaks of the range's own
//! start or end cannot be sliced: it must do within one hold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use promql::{EvalError, EvalErrorKind, MAX_STEPS, Note, Point, Query, QueryLimits, RangeSeries, Value};
use series::Store;
use telemetry::{Labels, Timestamp};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::failure::{Failure, Kind};
use super::parameters::Parameters;
use crate::clock;

/// How long one slice of a range is meant to take.
const SLICE: Duration = Duration::from_millis(10);

/// How long a query may read at once; then it is ended.
const HOLD_WITHIN: Duration = Duration::from_millis(250);

/// Samples that a query reads, and hands from operator to operator, in all its slices, as in Prometheus: about half a second's
/// work.
const MAX_SAMPLES: u64 = 50_000_000;

/// Points of an answer: more would not fit the longest one, and these take 6 MB.
const MAX_POINTS: usize = 400_000;

/// How many notes are told.
const MAX_NOTES: usize = 32;

/// Within which a query is evaluated.
pub(super) struct Bounds<'a> {
    pub(super) store: &'a RwLock<Store>,
    pub(super) deadline: Instant,
    pub(super) nobody_waits: &'a AtomicBool,
}

/// What a query gave.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) value: Value,
    pub(super) notes: Vec<Note>,
}

/// The times at which a query is evaluated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    to: Timestamp,
    /// Milliseconds, at least one.
    step: i64,
}

impl Window {
    /// Reads `start`, `end` and `step`.
    ///
    /// # Errors
    ///
    /// One is missing or wrong, or they give too many steps.
    pub(super) fn read(parameters: &Parameters) -> Result<Self, Failure> {
        let from = parameters.needed_time("start")?;
        let to = parameters.needed_time("end")?;
        if to < from {
            return Err(Failure::parameter("end", "end timestamp must not be before start time"));
        }
        let step = parameters.duration("step")?;
        if step <= 0 {
            let why =
                "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(Failure::parameter("step", why));
        }
        if (to.as_millis().saturating_sub(from.as_millis())) / step > MAX_STEPS {
            return Err(Failure::bad(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ));
        }
        Ok(Self { from, to, step })
    }

    /// The first steps of it, `steps` of them, and what is left.
    fn split(self, steps: i64) -> (Self, Option<Self>) {
        let rest = self.from.as_millis().saturating_add(self.step.saturating_mul(steps));
        if rest > self.to.as_millis() {
            return (self, None);
        }
        let last = Timestamp::from_millis(rest - self.step);
        (Self { to: last, ..self }, Some(Self { from: Timestamp::from_millis(rest), ..self }))
    }

    fn step(self) -> Duration {
        Duration::from_millis(self.step.unsigned_abs())
    }
}

/// The value of `query` at one time.
///
/// # Errors
///
/// It has none, or goes over a limit.
pub(super) fn evaluate(bounds: &Bounds<'_>, query: &mut Query, at: Timestamp) -> Result<Evaluated, Failure> {
    let value = hold(bounds, query, |query, store| query.instant(store, at))?;
    Ok(Evaluated { value, notes: query.notes().to_vec() })
}

/// The values of `query` over time.
///
/// # Errors
///
/// It has none, or goes over a limit.
pub(super) fn evaluate_over(
    bounds: &Bounds<'_>,
    query: &mut Query,
    window: &Window,
) -> Result<Evaluated, Failure> {
    let mut found = Found::default();
    let mut steps = if is_sliceable(query) { 1 } else { MAX_STEPS + 1 };
    let mut left = Some(*window);
    while let Some(next) = left {
        let slice;
        (slice, left) = next.split(steps);
        let begun = clock::monotonic();
        let value =
            hold(bounds, query, |query, store| query.range(store, slice.from, slice.to, slice.step()))?;
        found.add(value, query)?;
        steps = next_steps(steps, clock::monotonic().saturating_duration_since(begun));
    }
    Ok(found.finish())
}

/// How many steps take about [`SLICE`], if so many took `took`; no sudden growth, as not all steps are alike.
fn next_steps(steps: i64, took: Duration) -> i64 {
    let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX).max(1);
    let fitting = steps.saturating_mul(SLICE.as_micros() as i64) / micros;
    fitting.clamp(1, steps.saturating_mul(4).min(MAX_STEPS))
}

/// Whether each step means the same, of whatever range it is.
fn is_sliceable(query: &Query) -> bool {
    // The print of an expression is canonical; a text that holds these words costs only the slicing.
    let printed = query.expr().to_string();
    !["start()", "end()", "range()"].iter().any(|word| printed.contains(word))
}

/// The slices so far.
#[derive(Default)]
struct Found {
    series: BTreeMap<Labels, Vec<Point>>,
    notes: Vec<Note>,
    points: usize,
    samples: u64,
}

impl Found {
    fn add(&mut self, value: Value, query: &Query) -> Result<(), Failure> {
        let Value::Matrix(series) = value else { return Ok(()) };
        for RangeSeries { labels, points } in series {
            self.points += points.len();
            self.series.entry(labels).or_default().extend(points);
        }
        if self.points > MAX_POINTS {
            let text = format!(
                "the query gives more than {MAX_POINTS} points; ask for fewer series or a larger step"
            );
            return Err(Failure::new(Kind::TooLarge, text));
        }
        self.samples += query.reads().total();
        if self.samples > MAX_SAMPLES {
            let text = format!("the query handles more than {MAX_SAMPLES} samples");
            return Err(Failure::new(Kind::TooLarge, text));
        }
        for note in query.notes() {
            if self.notes.len() < MAX_NOTES && !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
        Ok(())
    }

    fn finish(self) -> Evaluated {
        let series = self.series.into_iter().map(|(labels, points)| RangeSeries { labels, points });
        Evaluated { value: Value::Matrix(series.collect()), notes: self.notes }
    }
}

/// Has `work` read the series, not for long.
fn hold(
    bounds: &Bounds<'_>,
    query: &mut Query,
    work: impl FnOnce(&mut Query, &Store) -> Result<Value, EvalError>,
) -> Result<Value, Failure> {
    if bounds.nobody_waits.load(Ordering::Relaxed) {
        return Err(Failure::new(Kind::Canceled, "query was canceled in expression evaluation"));
    }
    let cancelled = Arc::<AtomicBool>::default();
    let limits =
        QueryLimits { points: MAX_POINTS, cancelled: Some(Arc::clone(&cancelled)), ..QueryLimits::default() };
    query.set_limits(limits);
    let store = bounds.store.read().unwrap_or_else(PoisonError::into_inner);
    let left = clock::left(bounds.deadline);
    if left.is_zero() {
        return Err(Failure::new(Kind::Timeout, "query timed out in expression evaluation"));
    }
    let _alarm = Alarm::set(cancelled, left.min(HOLD_WITHIN));
    work(query, &store).map_err(|error| of_evaluation(&error, left > HOLD_WITHIN))
}

fn of_evaluation(error: &EvalError, held_too_long: bool) -> Failure {
    let failure = match error.kind {
        EvalErrorKind::Execution => Failure::new(Kind::Execution, &error.message),
        EvalErrorKind::Limit => Failure::new(Kind::TooLarge, &error.message),
        EvalErrorKind::Cancelled if held_too_long => Failure::new(
            Kind::Timeout,
            format!(
                "the query reads series for longer than {HOLD_WITHIN:?} at one time; ask for less of them"
            ),
        ),
        EvalErrorKind::Cancelled => Failure::new(Kind::Timeout, "query timed out in expression evaluation"),
    };
    Failure { span: error.span.clone(), ..failure }
}

/// Becomes true after a time, unless it is dropped before.
struct Alarm(Option<tokio::task::JoinHandle<()>>);

impl Alarm {
    /// Outside a runtime, as in unit tests, there is none.
    fn set(flag: Arc<AtomicBool>, after: Duration) -> Self {
        let ring = async move {
            sleep(after).await;
            flag.store(true, Ordering::Relaxed);
        };
        Self(Handle::try_current().ok().map(|runtime| runtime.spawn(ring)))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
