//! Binary operators and the matching of their sides.

use super::{Nested, Parser, error, hinted, not_yet};
use crate::ParseError;
use crate::ast::{Binary, BinaryOp, Expr, ExprKind, Group, Matching, ValueType};
use crate::error::brief;
use crate::lexer::Token;

impl Parser {
    /// The rest of a binary expression, from its operator on.
    pub(super) fn binary(&mut self, op: BinaryOp, (left, left_depth): Nested) -> Result<Nested, ParseError> {
        let op_span = self.span();
        self.at += 1;
        let bool_span = self.span();
        let bool_modifier = self.take_keyword("bool");
        if bool_modifier && !op.is_comparison() {
            return Err(error(bool_span, "the bool modifier can only be used on comparison operators"));
        }
        let matching_span = self.span();
        let matching = self.matching(op)?;
        let minimum = if op == BinaryOp::Power { op.precedence() } else { op.precedence() + 1 };
        let (right, right_depth) = self.expression(minimum)?;
        for side in [&left, &right] {
            let found = side.value_type();
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                let message = format!(
                    "binary expression must contain only scalar and instant vector types, got {found}"
                );
                return Err(error(side.span.clone(), message));
            }
        }
        let scalars = [&left, &right].iter().filter(|side| side.value_type() == ValueType::Scalar).count();
        let spelling = op.spelling();
        if scalars == 2 && op.is_comparison() && !bool_modifier {
            return Err(hinted(
                op_span,
                "comparisons between scalars must use the bool modifier",
                format!("write {spelling} bool"),
            ));
        }
        if scalars > 0 && op.is_set() {
            let message = format!("set operator {spelling:?} not allowed in binary scalar expression");
            return Err(error(op_span, message));
        }
        if scalars > 0 && matching.as_ref().is_some_and(|m| m.group.is_some() || !m.labels.is_empty()) {
            return Err(error(matching_span, "vector matching only allowed between instant vectors"));
        }
        let matching = matching.filter(|_| scalars == 0);
        let depth = self.deeper(left_depth.max(right_depth))?;
        let span = left.span.start..right.span.end;
        let binary = Binary { op, bool_modifier, matching, left, right };
        Ok((Expr { kind: ExprKind::Binary(Box::new(binary)), span }, depth))
    }

    fn matching(&mut self, op: BinaryOp) -> Result<Option<Matching>, ParseError> {
        let on = self.is_keyword("on");
        let opens = matches!(self.peek_at(1), Token::Sign("("));
        if !opens || !(on || self.is_keyword("ignoring")) {
            self.refuse_fill()?;
            return Ok(None);
        }
        self.at += 1;
        let labels = self.label_list()?;
        let left = self.is_keyword("group_left");
        let group_span = self.span();
        if !left && !self.is_keyword("group_right") {
            self.refuse_fill()?;
            return Ok(Some(Matching { on, labels, group: None }));
        }
        self.at += 1;
        if op.is_set() {
            let message = format!("no grouping allowed for {:?} operation", op.spelling());
            return Err(error(group_span, message));
        }
        let include = if self.is_sign("(") { self.label_list()? } else { Vec::new() };
        if on && let Some(label) = include.iter().find(|label| labels.contains(label)) {
            let message = format!("label {:?} must not occur in both on and group", brief(label));
            return Err(error(group_span.start..self.end(), message));
        }
        self.refuse_fill()?;
        Ok(Some(Matching { on, labels, group: Some(Group { left, include }) }))
    }

    fn refuse_fill(&self) -> Result<(), ParseError> {
        let fill = ["fill", "fill_left", "fill_right"].iter().any(|keyword| self.is_keyword(keyword));
        if fill && matches!(self.peek_at(1), Token::Sign("(")) {
            return Err(not_yet(self.span(), "fill modifiers are"));
        }
        Ok(())
    }
}
