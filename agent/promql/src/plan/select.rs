//! Series by selector, at a moment or over a window.
//!
//! A selector remembers which series it means and under which numbers their labels go; it asks the store again only when
//! a series of its metric came or went, or when the numbers were cleared.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use series::{Matcher, Scratch, SeriesId, is_stale};

use super::{Context, Sample, VectorNode, vector};
use crate::EvalError;
use crate::ast::{At, Length, Selector, Shift, Subquery};
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

    fn refresh(&mut self, context: &mut Context<'_>, span: &Range<usize>) -> Result<(), EvalError> {
        let same_sets = std::mem::replace(&mut self.epoch, context.epoch) == context.epoch;
        let [any, own] = &mut self.seen;
        let unchanged = any.replace(context.store.generation()) == Some(context.store.generation());
        if same_sets && unchanged {
            return context.limits.check_selected(self.series.len(), span);
        }
        let generation = context.store.generation_of(&self.matchers);
        if own.replace(generation) == Some(generation) && same_sets {
            return context.limits.check_selected(self.series.len(), span);
        }
        self.series = context
            .store
            .select(&self.matchers)
            .into_iter()
            .map(|id| (id, context.sets.intern(context.store.labels(id).clone())))
            .collect();
        context.limits.check_selected(self.series.len(), span)
    }
}

/// Which moment is looked at, lengths computed.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Option<At>,
    offset: i64,
}

impl Moment {
    fn new(shift: &Shift) -> Self {
        Self { at: shift.at, offset: shift.offset.millis() }
    }

    /// The moment in question when `context` is evaluated.
    fn of(self, context: &Context<'_>) -> i64 {
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
    moment: Moment,
    span: Range<usize>,
}

impl Select {
    pub(super) fn new(selector: &Selector, span: Range<usize>) -> Self {
        let binding = Binding::new(selector);
        Self { binding, moment: Moment::new(&selector.shift), span }
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
        self.binding.refresh(context, &self.span)?;
        let to = self.moment.of(context);
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
    moment: Moment,
    range: i64,
    span: Range<usize>,
    scratch: Scratch,
    times: Vec<i64>,
    values: Vec<f64>,
}

#[derive(Debug)]
pub(crate) struct SubqueryNode {
    inner: VectorNode,
    range: i64,
    /// The query's default where it is left out.
    step: Option<i64>,
    moment: Moment,
    span: Range<usize>,
}

impl WindowNode {
    pub(super) fn select(selector: &Selector, range: i64, span: Range<usize>) -> Self {
        let binding = Binding::new(selector);
        Self::Select(WindowSelect {
            binding,
            moment: Moment::new(&selector.shift),
            range,
            span,
            scratch: Scratch::default(),
            times: Vec::new(),
            values: Vec::new(),
        })
    }

    pub(super) fn subquery(subquery: &Subquery, span: Range<usize>) -> Self {
        Self::Subquery(Box::new(SubqueryNode {
            inner: vector(&subquery.expr),
            range: subquery.range.millis(),
            step: subquery.step.as_ref().map(Length::millis),
            moment: Moment::new(&subquery.shift),
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
        self.binding.refresh(context, &self.span)?;
        let to = self.moment.of(context);
        let bounds = Bounds { from: to.saturating_sub(self.range), to };
        let between = context.store.between(bounds.from, bounds.to);
        let mut read = 0;
        let most = usize::try_from(context.left()).unwrap_or(usize::MAX);
        for (id, set) in &self.binding.series {
            let samples = between.samples(*id, &mut self.scratch);
            let (mut times, mut values) = (samples.times, samples.values);
            read += values.len();
            if read >= most {
                break;
            }
            context.limits.check_cancelled()?;
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
        let to = self.moment.of(context);
        let step = self.step.unwrap_or(context.subquery_step);
        let bounds = Bounds { from: to.saturating_sub(self.range), to };
        let mut order: Vec<SetId> = Vec::new();
        let mut series: HashMap<SetId, Collected, RandomState> = HashMap::default();
        let outer = (context.at, context.is_repeated);
        // Steps are multiples of the step since the epoch, whenever the query is evaluated.
        let mut at = (bounds.from.div_euclid(step) + 1) * step;
        let is_repeated = at != bounds.to;
        while at <= bounds.to {
            (context.at, context.is_repeated) = (at, is_repeated);
            let samples = self.inner.eval(context);
            (context.at, context.is_repeated) = outer;
            let samples = samples?;
            context.reads.steps += 1;
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
            at += step;
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
    EvalError::new(span, "vector cannot contain metrics with the same labelset")
}
