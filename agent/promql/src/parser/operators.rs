//! Binary operators and the matching of their sides.

use super::{Nested, Parser, error, hinted};
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
        if scalars > 0 && matching.as_ref().is_some_and(|m| !m.labels.is_empty()) {
            return Err(error(matching_span, "vector matching only allowed between instant vectors"));
        }
        if scalars > 0 && matching.as_ref().is_some_and(|m| m.fill_left.or(m.fill_right).is_some()) {
            let message = "filling in missing series only allowed between instant vectors";
            return Err(error(matching_span, message));
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
            let matching = self.fills(op, Matching::default())?;
            return Ok((matching != Matching::default()).then_some(matching));
        }
        self.at += 1;
        let labels = self.label_list()?;
        let left = self.is_keyword("group_left");
        let group_span = self.span();
        if !left && !self.is_keyword("group_right") {
            let matching = Matching { on, labels, ..Matching::default() };
            return self.fills(op, matching).map(Some);
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
        let matching = Matching { on, labels, group: Some(Group { left, include }), ..Matching::default() };
        self.fills(op, matching).map(Some)
    }

    /// `fill(0)`, or `fill_left(0)` and `fill_right(0)` in either order.
    fn fills(&mut self, op: BinaryOp, mut matching: Matching) -> Result<Matching, ParseError> {
        for (keyword, left, right) in [
            ("fill", true, true),
            ("fill_left", true, false),
            ("fill_right", false, true),
            ("fill_left", true, false),
        ] {
            let span = self.span();
            let known = (left && matching.fill_left.is_some()) || (right && matching.fill_right.is_some());
            if known || !self.is_keyword(keyword) || !matches!(self.peek_at(1), Token::Sign("(")) {
                continue;
            }
            self.at += 2;
            let value = self.signed_number()?;
            self.expect_sign(")")?;
            if op.is_set() {
                let message = format!("no filling in allowed for {:?} operation", op.spelling());
                return Err(error(span.start..self.end(), message));
            }
            matching.fill_left = if left { Some(value) } else { matching.fill_left };
            matching.fill_right = if right { Some(value) } else { matching.fill_right };
        }
        Ok(matching)
    }

    fn signed_number(&mut self) -> Result<f64, ParseError> {
        let negative = self.take_sign("-");
        if !negative {
            self.take_sign("+");
        }
        let number = match self.peek() {
            Token::Number(number) => *number,
            Token::Duration(duration) => duration.as_secs_f64(),
            Token::Name(name) if name.eq_ignore_ascii_case("inf") => f64::INFINITY,
            Token::Name(name) if name.eq_ignore_ascii_case("nan") => f64::NAN,
            _ => return Err(self.unexpected("a number")),
        };
        self.at += 1;
        Ok(if negative { -number } else { number })
    }
}
