//! Aggregations and function calls, with the types of what they are given.

use super::{Nested, Parser, error, function_names, hinted, nearest, not_yet};
use crate::ParseError;
use crate::ast::{Aggregate, AggregateOp, Expr, ExprKind, Grouping, ValueType};
use crate::error::brief;
use crate::functions::{self, Arity, Eval, Function, Special};
use crate::lexer::Token;

impl Parser {
    pub(super) fn aggregation(&mut self, op: AggregateOp) -> Result<Nested, ParseError> {
        let start = self.span().start;
        self.at += 1;
        let before = self.grouping()?;
        let (arguments, depth) = self.arguments()?;
        let after = if before.is_none() { self.grouping()? } else { None };
        let span = start..self.end();
        let keyword = op.spelling();
        let wanted = if op.parameter().is_some() { 2 } else { 1 };
        let found = arguments.len();
        let mut arguments = arguments.into_iter();
        let (parameter, Some(expr), None) = (
            if op.parameter().is_some() { arguments.next() } else { None },
            arguments.next(),
            arguments.next(),
        ) else {
            let message = format!(
                "wrong number of arguments for aggregation {keyword}: expected {wanted}, got {found}"
            );
            return Err(error(span, message));
        };
        if let (Some(parameter), Some(wanted)) = (&parameter, op.parameter()) {
            expect_type(parameter, wanted, &format!("the parameter of aggregation {keyword}"))?;
        }
        expect_type(&expr, ValueType::Vector, &format!("aggregation {keyword}"))?;
        let aggregate = Aggregate { op, grouping: before.or(after), parameter, expr };
        Ok((Expr { kind: ExprKind::Aggregate(Box::new(aggregate)), span }, self.deeper(depth)?))
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = self.is_keyword("without");
        if !without && !self.is_keyword("by") {
            return Ok(None);
        }
        self.at += 1;
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    pub(super) fn call(&mut self, name: &str) -> Result<Nested, ParseError> {
        let name_span = self.span();
        let Some(function) = functions::find(name) else {
            if functions::NOT_YET.contains(&name) {
                return Err(not_yet(name_span, &format!("function {name}() is")));
            }
            let message = format!("unknown function {:?}", brief(name));
            return Err(match nearest(name, function_names()) {
                Some(known) => hinted(name_span, message, format!("did you mean `{known}`?")),
                None => error(name_span, message),
            });
        };
        if matches!(function.eval, Eval::Special(Special::LabelReplace)) {
            self.count_regex(name_span.clone())?;
        }
        self.at += 1;
        let (arguments, depth) = self.arguments()?;
        let span = name_span.start..self.end();
        check_count(function, arguments.len()).map_err(|message| error(span.clone(), message))?;
        for (number, argument) in arguments.iter().enumerate() {
            let Some(wanted) = function.arguments.get(number).or(function.arguments.last()) else { continue };
            expect_type(argument, *wanted, &format!("function {name}()"))?;
        }
        Ok((Expr { kind: ExprKind::Call(function, arguments), span }, self.deeper(depth)?))
    }

    fn arguments(&mut self) -> Result<(Vec<Expr>, usize), ParseError> {
        self.expect_sign("(")?;
        let mut arguments = Vec::new();
        let mut deepest = 0;
        if self.take_sign(")") {
            return Ok((arguments, deepest));
        }
        loop {
            let (argument, depth) = self.expression(0)?;
            arguments.push(argument);
            deepest = deepest.max(depth);
            if self.take_sign(")") {
                return Ok((arguments, deepest));
            }
            self.expect_sign(",")?;
            if matches!(self.peek(), Token::Sign(")")) {
                return Err(self.unexpected("an argument"));
            }
        }
    }
}

fn check_count(function: &Function, found: usize) -> Result<(), String> {
    let declared = function.arguments.len();
    let (least, most) = match function.arity {
        Arity::Exact => (declared, declared),
        Arity::Optional => (declared - 1, declared),
        Arity::Repeated => (declared - 1, usize::MAX),
        Arity::UpTo(most) => (declared - 1, most),
    };
    if (least..=most).contains(&found) {
        return Ok(());
    }
    let wanted = match function.arity {
        Arity::Exact => format!("{declared}"),
        Arity::Optional => format!("{least} or {most}"),
        Arity::Repeated => format!("at least {least}"),
        Arity::UpTo(most) => format!("{least} to {most}"),
    };
    Err(format!("wrong number of arguments for function {}(): expected {wanted}, got {found}", function.name))
}

fn expect_type(argument: &Expr, wanted: ValueType, by: &str) -> Result<(), ParseError> {
    let found = argument.value_type();
    if found == wanted {
        return Ok(());
    }
    let message = format!("expected {wanted} for {by}, got {found}");
    let printed = argument.to_string();
    let printed = brief(&printed);
    let selector = matches!(argument.unparenthesised().kind, ExprKind::Selector(_));
    Err(match (wanted, found) {
        (ValueType::Range, ValueType::Vector) if selector => {
            hinted(argument.span.clone(), message, format!("give it a range, as in {printed}[5m]"))
        }
        (ValueType::Range, ValueType::Vector) => {
            hinted(argument.span.clone(), message, "make it a subquery, as in (expression)[5m:1m]")
        }
        (ValueType::Scalar, ValueType::Vector) => {
            hinted(argument.span.clone(), message, format!("write scalar({printed})"))
        }
        (ValueType::Vector, ValueType::Scalar) => {
            hinted(argument.span.clone(), message, format!("write vector({printed})"))
        }
        _ => error(argument.span.clone(), message),
    })
}
