//! Operators between two vectors.
//!
//! Samples belong together when their signatures agree: the labels that `on` names, or all but those that `ignoring`
//! names and the metric's name. Signatures and result labels are kept by label set, so a steady round compares numbers.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use foldhash::fast::RandomState;
use telemetry::{Labels, METRIC_NAME};

use super::scalar::{compare, compute};
use super::{Context, Sample, VectorNode, vector};
use crate::EvalError;
use crate::ast::{Binary, BinaryOp, Matching};
use crate::sets::{ABOUT_THE_METRIC, SetId, Sets, Table};

#[derive(Debug)]
pub(crate) struct Join {
    op: BinaryOp,
    bool_modifier: bool,
    matching: Matching,
    left: VectorNode,
    right: VectorNode,
    span: Range<usize>,
    epoch: u64,
    signatures: Signatures,
    results: HashMap<(SetId, SetId), SetId, RandomState>,
    result_of: Table<SetId>,
}

/// The number of each label set's signature.
#[derive(Debug, Default)]
struct Signatures {
    numbers: HashMap<Labels, usize, RandomState>,
    labels: Vec<Labels>,
    of: Table<usize>,
}

impl Signatures {
    fn clear(&mut self) {
        self.numbers.clear();
        self.labels.clear();
        self.of.clear();
    }

    fn of(&mut self, set: SetId, matching: &Matching, sets: &Sets) -> usize {
        if let Some(number) = self.of.get(set) {
            return number;
        }
        let listed = |name: &str| matching.labels.iter().any(|label| label == name);
        let signature = sets
            .labels(set)
            .filtered(|name| if matching.on { listed(name) } else { name != METRIC_NAME && !listed(name) });
        let next = self.labels.len();
        let number = *self.numbers.entry(signature.clone()).or_insert(next);
        if number == next {
            self.labels.push(signature);
        }
        self.of.set(set, number);
        number
    }

    fn all(&mut self, samples: &[Sample], matching: &Matching, sets: &Sets) -> Vec<usize> {
        samples.iter().map(|sample| self.of(sample.set, matching, sets)).collect()
    }

    fn labels(&self, number: usize) -> Labels {
        self.labels.get(number).cloned().unwrap_or_default()
    }

    fn present(&self, numbers: &[usize]) -> Vec<bool> {
        let mut present = vec![false; self.numbers.len()];
        for number in numbers {
            if let Some(cell) = present.get_mut(*number) {
                *cell = true;
            }
        }
        present
    }
}

/// As Prometheus prints labels without a name.
fn braced(labels: &Labels) -> String {
    let text = labels.to_string();
    if text.is_empty() { "{}".to_owned() } else { text }
}

fn has(present: &[bool], number: usize) -> bool {
    present.get(number).copied().unwrap_or(false)
}

impl Join {
    pub(super) fn new(binary: &Binary, span: Range<usize>) -> Self {
        Self {
            op: binary.op,
            bool_modifier: binary.bool_modifier,
            matching: binary.matching.clone().unwrap_or_default(),
            left: vector(&binary.left),
            right: vector(&binary.right),
            span,
            epoch: 0,
            signatures: Signatures::default(),
            results: HashMap::default(),
            result_of: Table::default(),
        }
    }

    pub(super) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        if self.epoch != context.epoch {
            self.epoch = context.epoch;
            self.signatures.clear();
            self.results.clear();
            self.result_of.clear();
        }
        let left = self.left.eval(context)?;
        let right = self.right.eval(context)?;
        let left_numbers = self.signatures.all(&left, &self.matching, context.sets);
        let right_numbers = self.signatures.all(&right, &self.matching, context.sets);
        if self.op.is_set() {
            return Ok(self.set_operation(left, &left_numbers, right, &right_numbers));
        }
        let group_right = self.matching.group.as_ref().is_some_and(|group| !group.left);
        if group_right {
            self.match_one((right, right_numbers), (left, left_numbers), true, context)
        } else {
            self.match_one((left, left_numbers), (right, right_numbers), false, context)
        }
    }

    fn set_operation(
        &self,
        mut left: Vec<Sample>,
        left_numbers: &[usize],
        right: Vec<Sample>,
        right_numbers: &[usize],
    ) -> Vec<Sample> {
        if self.op == BinaryOp::Or {
            let present = self.signatures.present(left_numbers);
            let others = right.into_iter().zip(right_numbers).filter(|(_, number)| !has(&present, **number));
            left.extend(others.map(|(sample, _)| sample));
            return left;
        }
        let present = self.signatures.present(right_numbers);
        let wanted = self.op == BinaryOp::And;
        let mut numbers = left_numbers.iter();
        left.retain(|_| numbers.next().is_some_and(|number| has(&present, *number) == wanted));
        left
    }

    /// Matches each of the many with at most one of the ones.
    fn match_one(
        &mut self,
        (many, many_numbers): (Vec<Sample>, Vec<usize>),
        (ones, one_numbers): (Vec<Sample>, Vec<usize>),
        swapped: bool,
        context: &mut Context<'_>,
    ) -> Result<Vec<Sample>, EvalError> {
        let (fill_many, fill_one) = if swapped {
            (self.matching.fill_right, self.matching.fill_left)
        } else {
            (self.matching.fill_left, self.matching.fill_right)
        };
        if (many.is_empty() || ones.is_empty()) && fill_many.or(fill_one).is_none() {
            return Ok(Vec::new());
        }
        let mut by_number: Vec<Option<Sample>> = vec![None; self.signatures.labels.len()];
        for (one, number) in ones.iter().zip(&one_numbers) {
            let Some(cell) = by_number.get_mut(*number) else { continue };
            if let Some(first) = cell.replace(*one) {
                return Err(self.ambiguous(first.set, one.set, swapped, context));
            }
        }
        let mut pairs = Vec::with_capacity(many.len());
        for (sample, number) in many.iter().zip(&many_numbers) {
            let found = by_number.get(*number).copied().flatten();
            if let Some(one) =
                found.or_else(|| fill_one.map(|fill| self.stand_in(*number, fill, context.sets)))
            {
                pairs.push((*sample, one, *number));
            }
        }
        if let Some(fill) = fill_many {
            let met = self.signatures.present(&many_numbers);
            for (one, number) in ones.iter().zip(&one_numbers) {
                if !has(&met, *number) {
                    pairs.push((self.stand_in(*number, fill, context.sets), *one, *number));
                }
            }
        }
        self.combine(&pairs, swapped, context.sets)
    }

    /// One result for each pair, of which the first is one of the many.
    fn combine(
        &mut self,
        pairs: &[(Sample, Sample, usize)],
        swapped: bool,
        sets: &mut Sets,
    ) -> Result<Vec<Sample>, EvalError> {
        let mut matched = vec![false; self.signatures.labels.len()];
        let mut unique = HashSet::new();
        let mut result = Vec::with_capacity(pairs.len());
        for (sample, one, number) in pairs {
            let seen = matched.get_mut(*number).is_some_and(|cell| std::mem::replace(cell, true));
            if seen && self.matching.group.is_none() {
                return Err(self.error(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
            let (left, right) = if swapped { (one.value, sample.value) } else { (sample.value, one.value) };
            let set = self.result_set(sample.set, one.set, sets);
            if self.matching.group.is_some() && !unique.insert((*number, set)) {
                return Err(
                    self.error("multiple matches for labels: grouping labels must ensure unique matches")
                );
            }
            let value = match compare(self.op, left, right) {
                Some(holds) if self.bool_modifier => f64::from(u8::from(holds)),
                Some(true) => left,
                Some(false) => continue,
                None => compute(self.op, left, right),
            };
            result.push(Sample { set, nameless: self.bool_modifier, value });
        }
        Ok(result)
    }

    /// What takes the place of a sample that a signature has not.
    fn stand_in(&self, number: usize, value: f64, sets: &mut Sets) -> Sample {
        let labels = self.signatures.labels(number);
        Sample { set: sets.intern(labels), nameless: false, value }
    }

    fn result_set(&mut self, many: SetId, one: SetId, sets: &mut Sets) -> SetId {
        let includes = self.matching.group.as_ref().map_or(&[][..], |group| group.include.as_slice());
        let known = if includes.is_empty() {
            self.result_of.get(many)
        } else {
            self.results.get(&(many, one)).copied()
        };
        if let Some(known) = known {
            return known;
        }
        let renames = !self.op.is_comparison();
        let grouped = self.matching.group.is_some();
        let matching = &self.matching;
        let listed = |name: &str| matching.labels.iter().any(|label| label == name);
        let kept = sets.labels(many).filtered(|name| {
            !(renames && ABOUT_THE_METRIC.contains(&name)) && (grouped || listed(name) == matching.on)
        });
        let mut labels = kept.to_builder();
        for name in includes {
            labels.set(name, sets.labels(one).get(name));
        }
        let set = sets.intern(labels.build());
        if includes.is_empty() {
            self.result_of.set(many, set);
        } else {
            self.results.insert((many, one), set);
        }
        set
    }

    fn error(&self, message: &str) -> EvalError {
        EvalError::new(&self.span, message)
    }

    fn ambiguous(&self, first: SetId, second: SetId, swapped: bool, context: &Context<'_>) -> EvalError {
        let side = if swapped { "left" } else { "right" };
        let group = self.signatures.of.get(first).map_or_else(Labels::empty, |it| self.signatures.labels(it));
        let (first, second) =
            (context.sets.labels(first).to_string(), context.sets.labels(second).to_string());
        let (first, second) = if first <= second { (first, second) } else { (second, first) };
        self.error(&format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{first}, {second}]\
             ;many-to-many matching not allowed: matching labels must be unique on one side",
            braced(&group)
        ))
    }
}
