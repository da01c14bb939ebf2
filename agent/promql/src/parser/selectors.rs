//! Selectors and what is attached to an expression: ranges, subqueries, `offset` and `@`.

use std::ops::Range;

use series::{MatchOp, Matcher};
use telemetry::METRIC_NAME;

use super::{MAX_MATCHERS, Nested, Parser, error, hinted, not_yet};
use crate::ast::{At, Expr, ExprKind, Length, MAX_MILLIS, Selector, Shift, Subquery, ValueType};
use crate::error::brief;
use crate::lexer::Token;
use crate::plan::{DEFAULT_SUBQUERY_STEP, MAX_SAMPLES};
use crate::{EvalError, ParseError};

/// The most operators, functions and operands that a subquery evaluates, each once a step; 50 million take about half a
/// second. What they read is counted when they are evaluated.
const MAX_SUBQUERY_WORK: u64 = 50_000_000;

const TOO_MANY_STEPS: &str = "the subquery has too many steps for so long an expression";

impl Parser {
    /// What follows a metric's name, or an opening brace that stands first.
    pub(super) fn selector(&mut self, name: Option<(String, Range<usize>)>) -> Result<Selector, ParseError> {
        let start = name.as_ref().map_or(self.span().start, |(_, span)| span.start);
        let mut named = name.as_ref().map(|(name, _)| name.clone());
        let mut matchers: Vec<Matcher> =
            name.map(|(name, _)| Matcher::equal(METRIC_NAME, name)).into_iter().collect();
        if self.take_sign("{") {
            while !self.take_sign("}") {
                if matchers.len() >= MAX_MATCHERS {
                    let message = format!("the selector has more than {MAX_MATCHERS} matchers");
                    return Err(hinted(self.span(), message, "join values with =~, as in job=~\"a|b\""));
                }
                self.matcher(&mut named, &mut matchers)?;
                if !self.take_sign(",") && !self.is_sign("}") {
                    return Err(self.unexpected("\",\" or \"}\""));
                }
            }
        }
        if matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(hinted(
                start..self.end(),
                "a selector must contain at least one matcher that does not match the empty text",
                "name a metric, or require a label as in {job=~\".+\"}",
            ));
        }
        Ok(Selector { matchers, shift: Shift::default() })
    }

    fn matcher(&mut self, named: &mut Option<String>, matchers: &mut Vec<Matcher>) -> Result<(), ParseError> {
        let span = self.span();
        let label = match self.next() {
            Token::Name(name) => name,
            Token::Text(text) if self.is_sign(",") || self.is_sign("}") => {
                if let Some(first) = named.replace(text.clone()) {
                    return Err(named_twice(span, &first, &text));
                }
                matchers.insert(0, Matcher::equal(METRIC_NAME, text));
                return Ok(());
            }
            Token::Text(text) => text,
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a label or \"}\""));
            }
        };
        let op = match self.peek() {
            Token::Sign("=") => MatchOp::Equal,
            Token::Sign("!=") => MatchOp::NotEqual,
            Token::Sign("=~") => MatchOp::Regex,
            Token::Sign("!~") => MatchOp::NotRegex,
            _ => return Err(self.unexpected("one of \"=\", \"!=\", \"=~\", \"!~\"")),
        };
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
            self.count_regex(span.clone())?;
        }
        self.at += 1;
        let value_span = self.span();
        let Token::Text(value) = self.next() else {
            self.at -= 1;
            return Err(self.unexpected("a string"));
        };
        if label == METRIC_NAME
            && op == MatchOp::Equal
            && let Some(first) = named.as_ref()
        {
            return Err(named_twice(span, first, &value));
        }
        let matcher = Matcher::new(label, op, value).map_err(|problem| {
            let hint = std::error::Error::source(&problem).map(|source| reason(&source.to_string()));
            ParseError { span: value_span, message: problem.to_string(), hint }
        })?;
        matchers.push(matcher);
        Ok(())
    }

    /// Ranges, subqueries, `offset` and `@` behind an expression.
    pub(super) fn attached(&mut self, (mut expr, mut depth): Nested) -> Result<Nested, ParseError> {
        loop {
            if self.is_sign("[") {
                let subquery;
                (expr, subquery) = self.range(expr)?;
                if subquery {
                    depth = self.deeper(depth)?;
                }
            } else if self.is_sign("@") {
                let start = self.span().start;
                self.at += 1;
                let at = self.fixed_time()?;
                let span = start..self.end();
                let shift = shift(&mut expr, &span, "the @ modifier")?;
                if shift.at.replace(at).is_some() {
                    return Err(error(span, "@ may be set only once"));
                }
            } else if self.is_keyword("offset") {
                let start = self.span().start;
                self.at += 1;
                let offset = self.offset()?;
                let span = start..self.end();
                let shift = shift(&mut expr, &span, "the offset modifier")?;
                if !shift.offset.is_zero() {
                    return Err(error(span, "offset may be set only once"));
                }
                shift.offset = offset;
            } else if self.is_keyword("anchored") || self.is_keyword("smoothed") {
                return Err(not_yet(self.span(), "anchored and smoothed selectors are"));
            } else {
                expr.span.end = expr.span.end.max(self.end());
                return Ok((expr, depth));
            }
            expr.span.end = self.end();
        }
    }

    /// `[5m]` or `[5m:1m]` behind `expr`, and whether it was the latter.
    fn range(&mut self, expr: Expr) -> Result<(Expr, bool), ParseError> {
        let start = self.span().start;
        self.at += 1;
        let range = self.length()?;
        if self.take_sign(":") {
            let step = if self.is_sign("]") { None } else { Some(self.length()?) };
            self.expect_sign("]")?;
            let found = expr.value_type();
            if found != ValueType::Vector {
                let message = format!("subquery is only allowed on instant vector, got {found}");
                return Err(error(expr.span.start..self.end(), message));
            }
            let span = expr.span.start..self.end();
            let subquery = Subquery { expr, range, step, shift: Shift::default() };
            if subquery_work(&subquery) > MAX_SUBQUERY_WORK {
                return Err(hinted(span, TOO_MANY_STEPS, "make its range shorter, or its step longer"));
            }
            return Ok((Expr { kind: ExprKind::Subquery(Box::new(subquery)), span }, true));
        }
        self.expect_sign("]")?;
        let span = expr.span.start..self.end();
        match expr.kind {
            ExprKind::Selector(selector) if selector.shift == Shift::default() => {
                Ok((Expr { kind: ExprKind::Range(selector, range), span }, false))
            }
            ExprKind::Selector(_) => {
                Err(hinted(start..self.end(), "no modifiers allowed before a range", "write x[5m] offset 1h"))
            }
            _ => Err(hinted(
                start..self.end(),
                "ranges are only allowed for selectors",
                "write a subquery, as in (expression)[5m:1m]",
            )),
        }
    }

    /// What follows `@`.
    fn fixed_time(&mut self) -> Result<At, ParseError> {
        for (keyword, at) in [("start", At::Start), ("end", At::End)] {
            if self.is_keyword(keyword) && matches!(self.peek_at(1), Token::Sign("(")) {
                self.at += 2;
                self.expect_sign(")")?;
                return Ok(at);
            }
        }
        let negative = self.take_sign("-");
        if !negative {
            self.take_sign("+");
        }
        let span = self.span();
        let seconds = match self.next() {
            Token::Number(seconds) => seconds,
            Token::Duration(duration) => duration.as_secs_f64(),
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a Unix time in seconds, start() or end()"));
            }
        };
        let seconds = if negative { -seconds } else { seconds };
        let millis = (seconds * 1000.0).round();
        if millis.is_nan() || millis.abs() > MAX_MILLIS as f64 {
            return Err(error(span, "the time of @ is further than 292 years from 1970"));
        }
        Ok(At::Millis(millis as i64))
    }
}

/// How much a subquery evaluates. More steps than one evaluation may make are refused when they are made.
fn subquery_work(subquery: &Subquery) -> u64 {
    let step = subquery.step.as_ref().map_or(DEFAULT_SUBQUERY_STEP, Length::millis);
    let steps = subquery.range.millis() / step.max(1) + 1;
    u64::try_from(steps).unwrap_or(0).min(MAX_SAMPLES).saturating_mul(work(&subquery.expr))
}

/// Refuses an expression whose subqueries, their lengths computed, have too much to do.
pub(crate) fn check_subqueries(expr: &Expr) -> Result<(), EvalError> {
    let mut result = Ok(());
    expr.walk(&mut |part| {
        if let ExprKind::Subquery(subquery) = &part.kind
            && subquery_work(subquery) > MAX_SUBQUERY_WORK
        {
            result = Err(EvalError::limit(Some(&part.span), TOO_MANY_STEPS));
        }
    });
    result
}

fn work(expr: &Expr) -> u64 {
    let inside = match &expr.kind {
        ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Selector(_) | ExprKind::Range(..) => 0,
        ExprKind::Subquery(subquery) => subquery_work(subquery),
        ExprKind::Paren(inner) => return work(inner),
        ExprKind::Unary(_, inner) => work(inner),
        ExprKind::Binary(binary) => work(&binary.left).saturating_add(work(&binary.right)),
        ExprKind::Aggregate(aggregate) => {
            aggregate.parameter.as_ref().map_or(0, work).saturating_add(work(&aggregate.expr))
        }
        ExprKind::Call(_, arguments) => arguments.iter().map(work).fold(0, u64::saturating_add),
    };
    inside.saturating_add(1)
}

fn named_twice(span: Range<usize>, first: &str, second: &str) -> ParseError {
    error(span, format!("the metric is named twice: {:?} and {:?}", brief(first), brief(second)))
}

/// What is wrong with a regular expression. The whole text marks the place in the pattern; of a long pattern only the last
/// line is told.
fn reason(text: &str) -> String {
    const LONG: usize = 400;
    if text.len() <= LONG { text.to_owned() } else { brief(text.lines().last().unwrap_or(text)).into_owned() }
}

fn shift<'a>(expr: &'a mut Expr, span: &Range<usize>, what: &str) -> Result<&'a mut Shift, ParseError> {
    match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Range(selector, _) => Ok(&mut selector.shift),
        ExprKind::Subquery(subquery) => Ok(&mut subquery.shift),
        _ => Err(error(
            span.clone(),
            format!(
                "{what} must be preceded by an instant vector selector, a range vector selector or a subquery"
            ),
        )),
    }
}
