//! Durations, and the expressions that may stand in their place.
//!
//! What is the same in every query is computed here; what depends on `step()` or `range()` is left to the evaluation.

use std::ops::Range;

use super::{Parser, error};
use crate::ParseError;
use crate::ast::{Asked, BinaryOp, DurationExpr, Length};
use crate::lexer::Token;

/// The most operators in all durations of an expression. One has a few; the limit keeps a hostile text from exhausting the
/// stack.
const MAX_OPERATORS: usize = 500;

impl Parser {
    /// What stands in brackets: longer than zero.
    pub(super) fn length(&mut self) -> Result<Length, ParseError> {
        let start = self.span().start;
        let duration = self.duration(0)?;
        length(duration, start..self.end(), false)
    }

    /// What follows `offset`. Only parentheses go on with an operator: `a offset 1h + 1` adds 1 to `a offset 1h`.
    pub(super) fn offset(&mut self) -> Result<Length, ParseError> {
        let start = self.span().start;
        let duration = match self.peek() {
            Token::Sign("(") => self.duration(0)?,
            Token::Sign(sign @ ("-" | "+")) => {
                let negative = *sign == "-";
                self.at += 1;
                let inner = self.duration_operand()?;
                if negative { negated(inner) } else { inner }
            }
            _ => self.duration_operand()?,
        };
        length(duration, start..self.end(), true)
    }

    /// An expression of operators that bind at least as tightly as `minimum`.
    fn duration(&mut self, minimum: u8) -> Result<DurationExpr, ParseError> {
        self.depth = self.deeper(self.depth)?;
        let mut left = match self.peek() {
            Token::Sign(sign @ ("-" | "+")) => {
                let negative = *sign == "-";
                self.at += 1;
                let inner = self.duration(BinaryOp::Power.precedence())?;
                if negative { negated(inner) } else { inner }
            }
            _ => self.duration_operand()?,
        };
        while let Some(op) = self.binary_operator()?.filter(|op| is_arithmetic(*op)) {
            if op.precedence() < minimum {
                break;
            }
            let span = self.span();
            self.count_duration_operator(&span)?;
            self.at += 1;
            let tighter = if op == BinaryOp::Power { op.precedence() } else { op.precedence() + 1 };
            let right = self.duration(tighter)?;
            let computed = DurationExpr::Compute(op, Box::new((left, right)));
            left = folded(computed, &span)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// Operators in a row nest too, to the left.
    fn count_duration_operator(&mut self, span: &Range<usize>) -> Result<(), ParseError> {
        self.duration_operators += 1;
        if self.duration_operators > MAX_OPERATORS {
            let message = format!("the durations have more than {MAX_OPERATORS} operators");
            return Err(error(span.clone(), message));
        }
        Ok(())
    }

    fn duration_operand(&mut self) -> Result<DurationExpr, ParseError> {
        const EXPECTED: &str = "a duration, a number of seconds, step() or range()";
        let span = self.span();
        let called = matches!(self.peek_at(1), Token::Sign("("));
        match self.peek().clone() {
            Token::Number(seconds) => {
                self.at += 1;
                Ok(DurationExpr::Seconds(seconds))
            }
            Token::Duration(duration) => {
                self.at += 1;
                Ok(DurationExpr::Seconds(duration.as_secs_f64()))
            }
            Token::Sign("(") => {
                self.at += 1;
                let inner = self.duration(0)?;
                self.expect_sign(")")?;
                Ok(inner)
            }
            Token::Name(name) if called => {
                let name = name.to_ascii_lowercase();
                let pair: fn(Box<_>) -> DurationExpr = match name.as_str() {
                    "step" | "range" => {
                        self.at += 2;
                        self.expect_sign(")")?;
                        return Ok(if name == "step" { DurationExpr::Step } else { DurationExpr::Range });
                    }
                    "min_of" => DurationExpr::MinOf,
                    "max_of" => DurationExpr::MaxOf,
                    _ => return Err(self.unexpected(EXPECTED)),
                };
                self.at += 2;
                let first = self.duration(0)?;
                self.expect_sign(",")?;
                let second = self.duration(0)?;
                self.expect_sign(")")?;
                folded(pair(Box::new((first, second))), &(span.start..self.end()))
            }
            _ => Err(self.unexpected(EXPECTED)),
        }
    }
}

fn is_arithmetic(op: BinaryOp) -> bool {
    (op.precedence() >= BinaryOp::Add.precedence()) && op != BinaryOp::Atan2
}

fn negated(inner: DurationExpr) -> DurationExpr {
    match inner {
        DurationExpr::Seconds(seconds) => DurationExpr::Seconds(-seconds),
        inner => DurationExpr::Negate(Box::new(inner)),
    }
}

fn folded(expr: DurationExpr, span: &Range<usize>) -> Result<DurationExpr, ParseError> {
    if !expr.is_constant() {
        return Ok(expr);
    }
    let seconds = expr.seconds(Asked::default()).map_err(|message| error(span.clone(), message))?;
    Ok(DurationExpr::Seconds(seconds))
}

fn length(expr: DurationExpr, span: Range<usize>, may_be_negative: bool) -> Result<Length, ParseError> {
    if !expr.is_constant() {
        return Ok(Length::Computed(Box::new(expr)));
    }
    expr.millis(Asked::default(), may_be_negative).map(Length::Millis).map_err(|message| error(span, message))
}
