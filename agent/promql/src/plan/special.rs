//! `absent` and `absent_over_time`.

use std::collections::HashSet;

use series::{MatchOp, Matcher};
use telemetry::{Labels, LabelsBuilder, METRIC_NAME};

use super::select::WindowNode;
use super::{Context, Sample, VectorNode, vector, window};
use crate::EvalError;
use crate::ast::{Expr, ExprKind, ValueType};

#[derive(Debug)]
enum Watched {
    Vector(VectorNode),
    Window(WindowNode),
}

#[derive(Debug)]
pub(crate) struct Absent {
    watched: Watched,
    labels: Labels,
}

impl Absent {
    pub(super) fn new(expr: &Expr) -> Self {
        let labels = match &expr.unparenthesised().kind {
            ExprKind::Selector(selector) | ExprKind::Range(selector, _) => certain(&selector.matchers),
            _ => Labels::empty(),
        };
        let watched = match expr.value_type() {
            ValueType::Range => Watched::Window(window(expr)),
            _ => Watched::Vector(vector(expr)),
        };
        Self { watched, labels }
    }

    pub(super) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        let mut present = false;
        match &mut self.watched {
            Watched::Vector(vector) => present = !vector.eval(context)?.is_empty(),
            Watched::Window(window) => window.each(context, |_| present = true)?,
        }
        if present {
            return Ok(Vec::new());
        }
        let set = context.sets.intern(self.labels.clone());
        Ok(vec![Sample { set, nameless: false, value: 1.0 }])
    }
}

/// The labels that the missing series would surely have: those with one `=` and no other matcher.
fn certain(matchers: &[Matcher]) -> Labels {
    let mut labels = LabelsBuilder::default();
    let mut equalled = HashSet::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME) {
        let once = matcher.op() == MatchOp::Equal && equalled.insert(matcher.name());
        labels.set(matcher.name(), if once { matcher.value() } else { "" });
    }
    labels.build()
}
