//! Every part of an expression, for whoever looks for something in it.

use crate::ast::{Expr, ExprKind, Selector};

impl Expr {
    /// Calls `visit` for this expression and every one inside it, from the outside in.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Selector(_) | ExprKind::Range(..) => {}
            ExprKind::Subquery(subquery) => subquery.expr.walk(visit),
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => inner.walk(visit),
            ExprKind::Binary(binary) => {
                binary.left.walk(visit);
                binary.right.walk(visit);
            }
            ExprKind::Aggregate(aggregate) => {
                if let Some(parameter) = &aggregate.parameter {
                    parameter.walk(visit);
                }
                aggregate.expr.walk(visit);
            }
            ExprKind::Call(_, arguments) => arguments.iter().for_each(|argument| argument.walk(visit)),
        }
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

#[cfg(test)]
mod tests {
    use crate::parse;

    #[test]
    fn selectors_are_found_wherever_they_stand() {
        let text = "sum by (x) (rate(a[5m])) / on () -(b offset 1m) > bool max_over_time((c + 1)[5m:1m]) and \
                    topk(scalar(d), e)";
        let expr = parse(text).unwrap();
        let names: Vec<&str> = expr.selectors().iter().map(|selector| selector.matchers[0].value()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
    }
}
