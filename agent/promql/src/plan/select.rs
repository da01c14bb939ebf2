//! Series by selector, at a moment or over a window.
//!
//! A selector remembers which series it means and under which numbers their labels go; it asks the store again only when
//! a series of its metric came or went, or when the numbers were cleared.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use foldhash::fast::RandomState;
use series::{Matcher, SeriesId, is_stale};

use super::{Context, Sample, VectorNode, vector};
use crate::EvalError;
use crate::ast::{At, Selector, Shift, Subquery};
use crate::sets::SetId;

/// The time between evaluations of a subquery that gives none, in milliseconds.
pub const DEFAULT_SUBQUERY_STEP: i64 = 60_000;

#[derive(Debug)]
struct Binding {
    matchers: Vec<Matcher>,
    series: Vec<(SeriesId, SetId)>,
    epoch: u64,
    /// The store's generation when the binding was last looked at, and that of its matchers.
    seen: [Option<u64>; 2],
}

impl Binding {
    fn new(selector: &Selector) -> Self {
        Self { matchers: selector.matchers.clone(), series: Vec::new(), epoch: 0, seen: [None; 2] }
    }

    fn refresh(&mut self, context: &mut Context<'_>) {
        let same_sets = std::mem::replace(&mut self.epoch, context.epoch) == context.epoch;
        let [any, own] = &mut self.seen;
        let unchanged = any.replace(context.store.generation()) == Some(context.store.generation());
        if same_sets && unchanged {
            return;
        }
        let generation = context.store.generation_of(&self.matchers);
        if own.replace(generation) == Some(generation) && same_sets {
            return;
        }
        self.series = context
            .store
            .select(&self.matchers)
            .into_iter()
            .map(|id| (id, context.sets.intern(context.store.labels(id).clone())))
            .collect();
    }
}

impl Shift {
    /// The moment in question when `context` is evaluated.
    fn moment(self, context: &Context<'_>) -> i64 {
        let at = match self.at {
            None => context.at,
            Some(At::Millis(millis)) => millis,
            Some(At::Start) => context.start,
            Some(At::End) => context.end,
        };
        at.saturating_sub(self.offset)
    }
}

/// An instant selector.
#[derive(Debug)]
pub(crate) struct Select {
    binding: Binding,
    shift: Shift,
    span: Range<usize>,
}

impl Select {
    pub(super) fn new(selector: &Selector, span: Range<usize>) -> Self {
        let binding = Binding::new(selector);
        Self { binding, shift: selector.shift, span }
    }

    pub(super) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        self.newest(context, |_, value| value)
    }

    /// The newest samples, each as `pick` makes it of its time and value.
    pub(super) fn newest(
        &mut self,
        context: &mut Context<'_>,
        pick: fn(i64, f64) -> f64,
    ) -> Result<Vec<Sample>, EvalError> {
        self.binding.refresh(context);
        let to = self.shift.moment(context);
        let between = context.store.between(to.saturating_sub(context.lookback), to);
        let mut samples = Vec::with_capacity(self.binding.series.len());
        for (id, set) in &self.binding.series {
            if let Some((time, value)) = between.latest(*id) {
                samples.push(Sample { set: *set, nameless: false, value: pick(time, value) });
            }
        }
        context.count(self.binding.series.len(), samples.len(), &self.span)?;
        Ok(samples)
    }
}

/// The bounds of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// Samples of one series in a window, without stale markers and never empty.
pub(crate) struct SeriesWindow<'a> {
    pub(crate) set: SetId,
    pub(crate) nameless: bool,
    pub(crate) times: &'a [i64],
    pub(crate) values: &'a [f64],
    pub(crate) bounds: Bounds,
}

/// What evaluates to a range vector.
#[derive(Debug)]
pub(crate) enum WindowNode {
    Select(WindowSelect),
    Subquery(Box<SubqueryNode>),
}

#[derive(Debug)]
pub(crate) struct WindowSelect {
    binding: Binding,
    shift: Shift,
    range: i64,
    span: Range<usize>,
    times: Vec<i64>,
    values: Vec<f64>,
}

#[derive(Debug)]
pub(crate) struct SubqueryNode {
    inner: VectorNode,
    range: i64,
    step: i64,
    shift: Shift,
    span: Range<usize>,
}

impl WindowNode {
    pub(super) fn select(selector: &Selector, range: Duration, span: Range<usize>) -> Self {
        let binding = Binding::new(selector);
        Self::Select(WindowSelect {
            binding,
            shift: selector.shift,
            range: millis(range),
            span,
            times: Vec::new(),
            values: Vec::new(),
        })
    }

    pub(super) fn subquery(subquery: &Subquery, span: Range<usize>) -> Self {
        Self::Subquery(Box::new(SubqueryNode {
            inner: vector(&subquery.expr),
            range: millis(subquery.range),
            step: subquery.step.map_or(DEFAULT_SUBQUERY_STEP, millis),
            shift: subquery.shift,
            span,
        }))
    }

    /// Visits each series that has a sample in the window.
    #[inline]
    pub(crate) fn each(
        &mut self,
        context: &mut Context<'_>,
        visit: impl FnMut(SeriesWindow<'_>),
    ) -> Result<(), EvalError> {
        match self {
            Self::Select(select) => select.each(context, visit),
            Self::Subquery(subquery) => subquery.each(context, visit),
        }
    }
}

impl WindowSelect {
    #[inline]
    fn each(
        &mut self,
        context: &mut Context<'_>,
        mut visit: impl FnMut(SeriesWindow<'_>),
    ) -> Result<(), EvalError> {
        self.binding.refresh(context);
        let to = self.shift.moment(context);
        let bounds = Bounds { from: to.saturating_sub(self.range), to };
        let between = context.store.between(bounds.from, bounds.to);
        let mut read = 0;
        for (id, set) in &self.binding.series {
            let samples = between.samples(*id);
            let (mut times, mut values) = (samples.times, samples.values);
            read += values.len();
            if samples.may_be_stale && values.iter().any(|value| is_stale(*value)) {
                self.times.clear();
                self.values.clear();
                let live = times.iter().zip(values).filter(|(_, value)| !is_stale(**value));
                for (time, value) in live {
                    self.times.push(*time);
                    self.values.push(*value);
                }
                (times, values) = (&self.times, &self.values);
            }
            if !values.is_empty() {
                visit(SeriesWindow { set: *set, nameless: false, times, values, bounds });
            }
        }
        context.count(self.binding.series.len(), read, &self.span)
    }
}

#[derive(Default)]
struct Collected {
    nameless: bool,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl SubqueryNode {
    fn each(
        &mut self,
        context: &mut Context<'_>,
        mut visit: impl FnMut(SeriesWindow<'_>),
    ) -> Result<(), EvalError> {
        let to = self.shift.moment(context);
        let bounds = Bounds { from: to.saturating_sub(self.range), to };
        let mut order: Vec<SetId> = Vec::new();
        let mut series: HashMap<SetId, Collected, RandomState> = HashMap::default();
        let outer = context.at;
        // Steps are multiples of the step since the epoch, whenever the query is evaluated.
        let mut at = (bounds.from.div_euclid(self.step) + 1) * self.step;
        while at <= bounds.to {
            context.at = at;
            let samples = self.inner.eval(context);
            context.at = outer;
            let samples = samples?;
            context.steps += 1;
            context.count(0, 0, &self.span)?;
            for sample in samples {
                let collected = series.entry(sample.set).or_insert_with(|| {
                    order.push(sample.set);
                    Collected::default()
                });
                if collected.times.last() == Some(&at) {
                    return Err(duplicate(&self.span));
                }
                collected.nameless |= sample.nameless;
                collected.times.push(at);
                collected.values.push(sample.value);
            }
            at += self.step;
        }
        for set in order {
            if let Some(Collected { nameless, times, values }) = series.get(&set) {
                visit(SeriesWindow { set, nameless: *nameless, times, values, bounds });
            }
        }
        Ok(())
    }
}

pub(crate) fn duplicate(span: &Range<usize>) -> EvalError {
    EvalError {
        span: Some(span.clone()),
        message: "vector cannot contain metrics with the same labelset".to_owned(),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
