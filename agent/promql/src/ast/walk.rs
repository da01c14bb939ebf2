//! Every part of an expression, for whoever looks for something in it.

use std::time::Duration;

use series::{MatchOp, Matcher};
use telemetry::METRIC_NAME;

use crate::ast::{Asked, At, Expr, ExprKind, Length, Selector, Shift};
use crate::{EvalError, LOOKBACK};

/// How far before the evaluation the part of an expression is looked at that is being visited.
#[derive(Clone, Copy)]
enum Before {
    /// So many milliseconds, less than zero if it looks ahead.
    Millis(i64),
    /// Further with every minute that passes.
    Unbounded,
}

impl Before {
    /// As far again as `shift` and a window of `length` look back from here.
    fn and(self, shift: &Shift, length: &Length) -> Self {
        let from = match shift.at {
            Some(At::Millis(_)) => return Self::Unbounded,
            // Those are the moment of evaluation itself where a rule is evaluated.
            Some(At::Start | At::End) => Self::Millis(0),
            None => self,
        };
        match from {
            Self::Millis(before) => Self::Millis(
                before.saturating_add(at_one_moment(&shift.offset)).saturating_add(at_one_moment(length)),
            ),
            Self::Unbounded => Self::Unbounded,
        }
    }

    fn duration(self) -> Duration {
        match self {
            Self::Millis(before) => Duration::from_millis(u64::try_from(before).unwrap_or(0)),
            Self::Unbounded => Duration::MAX,
        }
    }
}

/// Milliseconds where the expression is evaluated once; none if that cannot be computed.
fn at_one_moment(length: &Length) -> i64 {
    match length {
        Length::Millis(millis) => *millis,
        Length::Computed(expr) => expr.millis(Asked::default(), true).unwrap_or(0),
    }
}

impl Expr {
    /// Calls `visit` for this expression and every one inside it, from the outside in.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        self.each_child(&mut |child| child.walk(visit));
    }

    /// Calls `visit` for the expressions that this one is made of.
    fn each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Selector(_) | ExprKind::Range(..) => {}
            ExprKind::Subquery(subquery) => visit(&subquery.expr),
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => visit(inner),
            ExprKind::Binary(binary) => {
                visit(&binary.left);
                visit(&binary.right);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(parameter) = &aggregate.parameter {
                    visit(parameter);
                }
                visit(&aggregate.expr);
            }
            ExprKind::Call(_, arguments) => arguments.iter().for_each(visit),
        }
    }

    /// How far back each selector reads when the expression is evaluated once: its range or the lookback, offsets, and the
    /// subqueries around it. [`Duration::MAX`] where `@` fixes the time.
    pub fn reach(&self) -> Vec<(Vec<Matcher>, Duration)> {
        let mut found = Vec::new();
        self.reach_into(Before::Millis(0), &mut found);
        found
    }

    fn reach_into(&self, before: Before, found: &mut Vec<(Vec<Matcher>, Duration)>) {
        let mut add = |selector: &Selector, length: &Length| {
            found.push((selector.matchers.clone(), before.and(&selector.shift, length).duration()));
        };
        match &self.kind {
            ExprKind::Selector(selector) => add(selector, &Length::Millis(LOOKBACK.as_millis() as i64)),
            ExprKind::Range(selector, range) => add(selector, range),
            ExprKind::Subquery(subquery) => {
                subquery.expr.reach_into(before.and(&subquery.shift, &subquery.range), found);
            }
            _ => self.each_child(&mut |child| child.reach_into(before, found)),
        }
    }

    /// Whether its value is the same at every step of a query, because `@` fixes all that it reads.
    pub(crate) fn is_fixed(&self) -> bool {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::Text(_) => true,
            ExprKind::Selector(selector) | ExprKind::Range(selector, _) => selector.shift.at.is_some(),
            ExprKind::Subquery(subquery) => subquery.shift.at.is_some(),
            ExprKind::Call(function, arguments) => {
                arguments.iter().all(Self::is_fixed) && !function.depends_on_time()
            }
            ExprKind::Aggregate(aggregate) => aggregate.expr.is_fixed(),
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => inner.is_fixed(),
            ExprKind::Binary(binary) => binary.left.is_fixed() && binary.right.is_fixed(),
        }
    }

    /// Whether a duration in it depends on what is asked.
    pub(crate) fn has_computed_lengths(&self) -> bool {
        let mut found = false;
        self.walk(&mut |expr| {
            found |= expr.lengths().into_iter().flatten().any(|length| matches!(length, Length::Computed(_)));
        });
        found
    }

    fn lengths(&self) -> [Option<&Length>; 3] {
        match &self.kind {
            ExprKind::Selector(selector) => [Some(&selector.shift.offset), None, None],
            ExprKind::Range(selector, range) => [Some(&selector.shift.offset), Some(range), None],
            ExprKind::Subquery(subquery) => {
                [Some(&subquery.shift.offset), Some(&subquery.range), subquery.step.as_ref()]
            }
            _ => [None; 3],
        }
    }

    /// Computes the durations that depend on what is asked.
    pub(crate) fn compute_lengths(&mut self, asked: Asked) -> Result<(), EvalError> {
        let span = self.span.clone();
        let compute = |length: &mut Length, may_be_negative| {
            if let Length::Computed(expr) = length {
                let millis = expr.millis(asked, may_be_negative);
                *length = Length::Millis(millis.map_err(|message| EvalError::new(&span, message))?);
            }
            Ok::<(), EvalError>(())
        };
        match &mut self.kind {
            ExprKind::Number(_) | ExprKind::Text(_) => {}
            ExprKind::Selector(selector) => compute(&mut selector.shift.offset, true)?,
            ExprKind::Range(selector, range) => {
                compute(&mut selector.shift.offset, true)?;
                compute(range, false)?;
            }
            ExprKind::Subquery(subquery) => {
                compute(&mut subquery.shift.offset, true)?;
                compute(&mut subquery.range, false)?;
                if let Some(step) = &mut subquery.step {
                    compute(step, false)?;
                }
                subquery.expr.compute_lengths(asked)?;
            }
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => inner.compute_lengths(asked)?,
            ExprKind::Binary(binary) => {
                binary.left.compute_lengths(asked)?;
                binary.right.compute_lengths(asked)?;
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(parameter) = &mut aggregate.parameter {
                    parameter.compute_lengths(asked)?;
                }
                aggregate.expr.compute_lengths(asked)?;
            }
            ExprKind::Call(_, arguments) => {
                for argument in arguments {
                    argument.compute_lengths(asked)?;
                }
            }
        }
        Ok(())
    }

    /// All selectors in it, in the order in which they are written.
    pub fn selectors(&self) -> Vec<&Selector> {
        let mut found = Vec::new();
        self.walk(&mut |expr| {
            if let ExprKind::Selector(selector) | ExprKind::Range(selector, _) = &expr.kind {
                found.push(selector);
            }
        });
        found
    }
}

impl Selector {
    /// The name that its series have, if it asks for one.
    pub fn name(&self) -> Option<&str> {
        let named = |matcher: &&Matcher| matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal;
        self.matchers.iter().find(named).map(Matcher::value)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::parse;

    #[test]
    fn a_selector_reads_as_far_back_as_everything_around_it_looks() {
        for (text, minutes) in [
            ("a", 5),
            ("sum(a offset 10m)", 15),
            ("rate(a[1h])", 60),
            ("rate(a[1h] offset 30m)", 90),
            ("max_over_time(rate(a[5m])[1h:1m])", 65),
            ("max_over_time((1 + a offset 1m)[1h:1m] offset 1h)", 126),
            ("rate(a[10m] offset -30m)", 0),
            ("max_over_time(rate(a[10m] offset -30m)[1h:])", 40),
            ("max_over_time(rate(a[10m] @ end())[1h:])", 10),
            ("max_over_time(rate(a[10m] @ start())[1h:] @ 7)", 10),
        ] {
            let reach = parse(text).unwrap().reach();
            assert_eq!(reach[0].1, Duration::from_mins(minutes), "{text}");
            assert_eq!(reach[0].0[0].value(), "a");
        }
        for text in ["a @ 5", "rate(a[5m] @ 7 offset 1h)", "max_over_time(rate(a[5m])[1h:] @ 7)"] {
            assert_eq!(parse(text).unwrap().reach()[0].1, Duration::MAX, "{text}");
        }
    }

    #[test]
    fn selectors_are_found_wherever_they_stand() {
        let text = "sum by (x) (rate(a[5m])) / on () -(b offset 1m) > bool max_over_time((c + 1)[5m:1m]) and \
                    topk(scalar(d), e)";
        let expr = parse(text).unwrap();
        let names: Vec<&str> = expr.selectors().iter().map(|selector| selector.matchers[0].value()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }
}
