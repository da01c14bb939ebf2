//! Aggregations over series.
//!
//! Which group a label set belongs to is found once and kept; a steady round adds values into numbered groups.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use telemetry::{Labels, METRIC_NAME};

use super::scalar::ScalarNode;
use super::vector::{nan_last, out_of_quantiles};
use super::{Context, Sample, VectorNode, bare_span, sampling, scalar, text, vector};
use crate::EvalError;
use crate::ast::{Aggregate, AggregateOp, Grouping};
use crate::functions::{Mean, Sum, Variance, quantile};
use crate::sets::{SetId, Sets, Table};
use crate::value::{format_number, short};

#[derive(Debug)]
enum Fold {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stdvar,
    Stddev,
}

#[derive(Debug)]
enum Kind {
    Fold(Fold),
    Best { most: ScalarNode, greatest: bool },
    Quantile { q: ScalarNode, span: Range<usize> },
    Limit { most: ScalarNode },
    Ratio { ratio: ScalarNode, span: Range<usize> },
    CountValues { label: String },
}

#[derive(Debug)]
pub(crate) struct AggregateNode {
    kind: Kind,
    inner: VectorNode,
    span: Range<usize>,
    groups: Groups,
}

/// The groups met so far.
#[derive(Debug)]
struct Groups {
    grouping: Grouping,
    epoch: u64,
    of: Table<u32>,
    numbers: HashMap<Labels, u32, RandomState>,
    sets: Vec<SetId>,
}

impl Groups {
    fn refresh(&mut self, epoch: u64) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.of.clear();
            self.numbers.clear();
            self.sets.clear();
        }
    }

    fn lists(&self, name: &str) -> bool {
        self.grouping.labels.iter().any(|label| label == name)
    }

    fn labels(&self, set: SetId, sets: &Sets) -> Labels {
        let listed = |name: &str| self.lists(name);
        sets.labels(set).filtered(|name| {
            if self.grouping.without { name != METRIC_NAME && !listed(name) } else { listed(name) }
        })
    }

    #[inline]
    fn of(&mut self, set: SetId, sets: &mut Sets) -> usize {
        if let Some(number) = self.of.get(set) {
            return number as usize;
        }
        let labels = self.labels(set, sets);
        let next = self.sets.len() as u32;
        let number = *self.numbers.entry(labels.clone()).or_insert(next);
        if number == next {
            let group = sets.intern(labels);
            self.sets.push(group);
        }
        self.of.set(set, number);
        number as usize
    }

    fn set(&self, number: usize) -> SetId {
        *self.sets.get(number).expect("a number is given to a group that is kept")
    }
}

/// A value for each group that has one, in the order in which the groups appeared.
struct Cells<T> {
    cells: Vec<Option<T>>,
    order: Vec<usize>,
}

impl<T> Cells<T> {
    fn new(groups: &Groups) -> Self {
        Self { cells: std::iter::repeat_with(|| None).take(groups.sets.len()).collect(), order: Vec::new() }
    }

    #[inline]
    fn entry(&mut self, number: usize, new: impl FnOnce() -> T) -> &mut T {
        if self.cells.len() <= number {
            self.cells.resize_with(number + 1, || None);
        }
        let order = &mut self.order;
        self.cells.get_mut(number).expect("resized to hold it").get_or_insert_with(|| {
            order.push(number);
            new()
        })
    }

    fn into_ordered(mut self) -> impl Iterator<Item = (usize, T)> {
        let order = std::mem::take(&mut self.order);
        order.into_iter().filter_map(move |number| Some((number, self.cells.get_mut(number)?.take()?)))
    }
}

#[derive(Clone, Copy, Default)]
struct Accumulator {
    count: f64,
    extreme: f64,
    sum: Sum,
    mean: Mean,
    variance: Variance,
    nameless: bool,
}

impl AggregateNode {
    pub(super) fn new(aggregate: &Aggregate, span: Range<usize>) -> Self {
        let number = || aggregate.parameter.as_ref().map_or(ScalarNode::Number(f64::NAN), scalar);
        let kind = match aggregate.op {
            AggregateOp::Sum => Kind::Fold(Fold::Sum),
            AggregateOp::Avg => Kind::Fold(Fold::Avg),
            AggregateOp::Min => Kind::Fold(Fold::Min),
            AggregateOp::Max => Kind::Fold(Fold::Max),
            AggregateOp::Count => Kind::Fold(Fold::Count),
            AggregateOp::Group => Kind::Fold(Fold::Group),
            AggregateOp::Stddev => Kind::Fold(Fold::Stddev),
            AggregateOp::Stdvar => Kind::Fold(Fold::Stdvar),
            AggregateOp::Topk => Kind::Best { most: number(), greatest: true },
            AggregateOp::Bottomk => Kind::Best { most: number(), greatest: false },
            AggregateOp::Quantile => {
                let span = aggregate.parameter.as_ref().map_or(0..0, bare_span);
                Kind::Quantile { q: number(), span }
            }
            AggregateOp::Limitk => Kind::Limit { most: number() },
            AggregateOp::LimitRatio => {
                let span = aggregate.parameter.as_ref().map_or(0..0, bare_span);
                Kind::Ratio { ratio: number(), span }
            }
            AggregateOp::CountValues => {
                Kind::CountValues { label: aggregate.parameter.as_ref().map(text).unwrap_or_default() }
            }
        };
        let everything = Grouping { without: false, labels: Vec::new() };
        let groups = Groups {
            grouping: aggregate.grouping.clone().unwrap_or(everything),
            epoch: 0,
            of: Table::default(),
            numbers: HashMap::default(),
            sets: Vec::new(),
        };
        Self { kind, inner: vector(&aggregate.expr), span, groups }
    }

    pub(super) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        self.groups.refresh(context.epoch);
        match &mut self.kind {
            Kind::Fold(fold) => {
                let samples = self.inner.eval(context)?;
                Ok(fold_groups(fold, &mut self.groups, &samples, context.sets))
            }
            Kind::Best { most, greatest } => {
                let most = whole(most.eval(context)?, &self.span)?;
                let samples = self.inner.eval(context)?;
                Ok(best(&mut self.groups, samples, most, *greatest, context.sets))
            }
            Kind::Limit { most } => {
                let most = whole(most.eval(context)?, &self.span)?;
                let samples = self.inner.eval(context)?;
                let mut taken: Cells<usize> = Cells::new(&self.groups);
                let mut take = |sample: &Sample| {
                    let count = taken.entry(self.groups.of(sample.set, context.sets), || 0);
                    *count += 1;
                    *count <= most
                };
                Ok(samples.into_iter().filter(|sample| take(sample)).collect())
            }
            Kind::Ratio { ratio, span } => {
                let ratio = capped(ratio.eval(context)?, span, context)?;
                let mut samples = self.inner.eval(context)?;
                samples.retain(|sample| {
                    let offset = sampling::offset(context.sets.labels(sample.set));
                    if ratio < 0.0 { offset >= 1.0 + ratio } else { offset < ratio }
                });
                Ok(samples)
            }
            Kind::Quantile { q, span } => {
                let q = q.eval(context)?;
                if !(0.0..=1.0).contains(&q) {
                    context.note_worst(q, span, out_of_quantiles(q));
                }
                let samples = self.inner.eval(context)?;
                context.count_passed(samples.len() as u64 * SORT_COST)?;
                Ok(quantiles(&mut self.groups, &samples, q, context.sets))
            }
            Kind::CountValues { label } => {
                let samples = self.inner.eval(context)?;
                context.count_passed(samples.len() as u64 * SORT_COST)?;
                Ok(count_values(&self.groups, label, &samples, context.sets))
            }
        }
    }
}

/// What a sample costs where groups are sorted or values become labels, in samples that are only added up.
const SORT_COST: u64 = 10;

/// The `k` of `topk`, cut to a whole number.
fn whole(number: f64, span: &Range<usize>) -> Result<usize, EvalError> {
    if number.is_nan() {
        return Err(EvalError::new(span, "Parameter value is NaN"));
    }
    if number >= i64::MAX as f64 {
        return Err(EvalError::new(span, format!("Scalar value {} overflows int64", short(number))));
    }
    Ok((number as i64).max(0) as usize)
}

fn capped(ratio: f64, span: &Range<usize>, context: &mut Context<'_>) -> Result<f64, EvalError> {
    if ratio.is_nan() {
        return Err(EvalError::new(span, "Ratio value is NaN"));
    }
    let within = ratio.clamp(-1.0, 1.0);
    if ratio.abs() > 1.0 {
        let message =
            format!("ratio value should be between -1 and 1, got {}, capping to {within}", short(ratio));
        context.note_worst(ratio, span, message);
    }
    Ok(within)
}

fn fold_groups(fold: &Fold, groups: &mut Groups, samples: &[Sample], sets: &mut Sets) -> Vec<Sample> {
    let mut cells: Cells<Accumulator> = Cells::new(groups);
    for sample in samples {
        let number = groups.of(sample.set, sets);
        let cell = cells.entry(number, || Accumulator { extreme: f64::NAN, ..Accumulator::default() });
        cell.nameless |= sample.nameless;
        cell.count += 1.0;
        match fold {
            Fold::Sum => cell.sum.add(sample.value),
            Fold::Avg => cell.mean.add(sample.value),
            Fold::Min => cell.extreme = cell.extreme.min(sample.value),
            Fold::Max => cell.extreme = cell.extreme.max(sample.value),
            Fold::Count | Fold::Group => {}
            Fold::Stdvar | Fold::Stddev => cell.variance.add(sample.value),
        }
    }
    cells
        .into_ordered()
        .map(|(number, cell)| {
            let value = match fold {
                Fold::Sum => cell.sum.value(),
                Fold::Avg => cell.mean.value(),
                Fold::Min | Fold::Max => cell.extreme,
                Fold::Count => cell.count,
                Fold::Group => 1.0,
                Fold::Stdvar => cell.variance.value(),
                Fold::Stddev => cell.variance.value().sqrt(),
            };
            Sample { set: groups.set(number), nameless: cell.nameless, value }
        })
        .collect()
}

fn best(
    groups: &mut Groups,
    samples: Vec<Sample>,
    most: usize,
    greatest: bool,
    sets: &mut Sets,
) -> Vec<Sample> {
    if most == 0 {
        return Vec::new();
    }
    let mut cells: Cells<Vec<Sample>> = Cells::new(groups);
    for sample in samples {
        cells.entry(groups.of(sample.set, sets), Vec::new).push(sample);
    }
    let mut result = Vec::new();
    for (_, mut group) in cells.into_ordered() {
        group.sort_by(|a, b| nan_last(a.value, b.value, greatest));
        group.truncate(most);
        result.append(&mut group);
    }
    result
}

fn quantiles(groups: &mut Groups, samples: &[Sample], q: f64, sets: &mut Sets) -> Vec<Sample> {
    let mut cells: Cells<(Vec<f64>, bool)> = Cells::new(groups);
    for sample in samples {
        let (values, nameless) = cells.entry(groups.of(sample.set, sets), Default::default);
        values.push(sample.value);
        *nameless |= sample.nameless;
    }
    cells
        .into_ordered()
        .map(|(number, (values, nameless))| Sample {
            set: groups.set(number),
            nameless,
            value: quantile(q, values),
        })
        .collect()
}

/// The groups depend on the values, so nothing is kept from round to round.
fn count_values(groups: &Groups, label: &str, samples: &[Sample], sets: &mut Sets) -> Vec<Sample> {
    let mut counts: HashMap<SetId, usize, RandomState> = HashMap::default();
    let mut result: Vec<Sample> = Vec::new();
    for sample in samples {
        let grouped = groups.labels(sample.set, sets);
        let left_out = groups.grouping.without && groups.lists(label);
        let set = if left_out {
            sets.intern(grouped)
        } else {
            let mut labels = grouped.to_builder();
            labels.set(label, &format_number(sample.value));
            sets.intern(labels.build())
        };
        let at = *counts.entry(set).or_insert_with(|| {
            result.push(Sample { set, nameless: false, value: 0.0 });
            result.len() - 1
        });
        if let Some(counted) = result.get_mut(at) {
            counted.value += 1.0;
        }
    }
    result
}
