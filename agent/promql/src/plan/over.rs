//! Functions of windows, and what they tell of the numbers and names that they were given.

use std::ops::Range;

use super::scalar::ScalarNode;
use super::select::WindowNode;
use super::vector::warn_of_quantile;
use super::{Context, Sample, bare_span};
use crate::ast::{Expr, ExprKind};
use crate::functions::Window;
use crate::sets::Table;
use crate::value::short;
use crate::{EvalError, Severity};

/// A function of each window.
#[derive(Debug)]
pub(crate) struct Over {
    pub(super) function: fn(&Window<'_>) -> Option<f64>,
    pub(super) keeps_name: bool,
    pub(super) window: WindowNode,
    pub(super) scalars: Vec<(ScalarNode, Range<usize>)>,
    pub(super) check: Check,
}

/// What is looked at beside the samples.
#[derive(Debug)]
pub(super) enum Check {
    Nothing,
    /// The name of what ought to be a counter.
    Counter(CounterNames),
    Quantile,
    Factors,
    Strategy,
}

/// Whether a label set lacks the name of a counter, found once.
#[derive(Debug)]
pub(super) struct CounterNames {
    span: Range<usize>,
    epoch: u64,
    lacks: Table<bool>,
}

const COUNTER_ENDINGS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

fn is_counter(name: &str) -> bool {
    COUNTER_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

impl Check {
    pub(super) fn of(function: &str, window: &Expr) -> Self {
        match function {
            "rate" | "increase" => {
                let named = match &window.unparenthesised().kind {
                    ExprKind::Range(selector, _) => selector.name(),
                    _ => None,
                };
                if named.is_some_and(is_counter) {
                    return Self::Nothing;
                }
                Self::Counter(CounterNames { span: bare_span(window), epoch: 0, lacks: Table::default() })
            }
            "quantile_over_time" => Self::Quantile,
            "double_exponential_smoothing" => Self::Factors,
            "integral" => Self::Strategy,
            _ => Self::Nothing,
        }
    }

    /// Looks at the numbers once it is known that there is a series to use them on.
    fn numbers(
        &self,
        scalars: &[f64],
        nodes: &[(ScalarNode, Range<usize>)],
        context: &mut Context<'_>,
    ) -> Result<(), EvalError> {
        let numbers = scalars.iter().zip(nodes).map(|(value, (_, span))| (*value, span));
        match self {
            Self::Nothing | Self::Counter(_) => {}
            Self::Quantile => numbers.for_each(|(q, span)| warn_of_quantile(q, span, context)),
            Self::Factors => {
                for ((factor, span), (name, sign)) in numbers.zip([("smoothing", "sf"), ("trend", "tf")]) {
                    if factor <= 0.0 || factor >= 1.0 {
                        let message =
                            format!("invalid {name} factor. Expected: 0 < {sign} < 1, got: {factor:.6}");
                        return Err(EvalError::new(span, message));
                    }
                }
            }
            Self::Strategy => numbers.for_each(|(strategy, span)| {
                if ![0.0, 1.0, 2.0].contains(&strategy) {
                    let strategy = short(strategy);
                    let message = format!("strategy should be 0, 1, or 2 (default), using 2, got {strategy}");
                    context.note(Severity::Warning, span, message);
                }
            }),
        }
        Ok(())
    }
}

impl CounterNames {
    fn check(&mut self, samples: &[Sample], context: &mut Context<'_>) {
        if self.epoch != context.epoch {
            self.epoch = context.epoch;
            self.lacks.clear();
        }
        let mut last = String::new();
        for sample in samples {
            let lacks = self.lacks.get(sample.set).unwrap_or_else(|| {
                let name = context.sets.labels(sample.set).metric_name();
                let lacks = !name.is_empty() && !is_counter(name);
                self.lacks.set(sample.set, lacks);
                lacks
            });
            if lacks && last != context.sets.labels(sample.set).metric_name() {
                context.sets.labels(sample.set).metric_name().clone_into(&mut last);
                let message = format!(
                    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {last:?}"
                );
                context.note(Severity::Info, &self.span, message);
            }
        }
    }
}

impl Over {
    pub(super) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        let mut scalars = Vec::with_capacity(self.scalars.len());
        for (scalar, _) in &mut self.scalars {
            scalars.push(scalar.eval(context)?);
        }
        let (function, keeps_name, at) = (self.function, self.keeps_name, context.at);
        let mut samples = Vec::new();
        let mut any = false;
        self.window.each(context, |series| {
            any = true;
            let window = Window {
                times: series.times,
                values: series.values,
                from: series.bounds.from,
                to: series.bounds.to,
                at,
                scalars: &scalars,
            };
            if let Some(value) = function(&window) {
                samples.push(Sample { set: series.set, nameless: series.nameless || !keeps_name, value });
            }
        })?;
        if any {
            self.check.numbers(&scalars, &self.scalars, context)?;
        }
        if let Check::Counter(names) = &mut self.check {
            names.check(&samples, context);
        }
        Ok(samples)
    }
}
