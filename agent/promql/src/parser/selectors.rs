//! Selectors and what is attached to an expression: ranges, subqueries, `offset` and `@`.

use std::ops::Range;
use std::time::Duration;

use series::{MatchOp, Matcher};
use telemetry::METRIC_NAME;

use super::{MAX_MATCHERS, Nested, Parser, error, hinted, not_yet};
use crate::ParseError;
use crate::ast::{At, Expr, ExprKind, Selector, Shift, Subquery, ValueType};
use crate::error::brief;
use crate::lexer::Token;
use crate::plan::{DEFAULT_SUBQUERY_STEP, MAX_SAMPLES};

/// The longest duration and the furthest time from the epoch, in milliseconds: 292 years, which is what 64 bits of
/// nanoseconds hold. Sums of such times cannot overflow.
const MAX_MILLIS: i64 = i64::MAX / 1_000_000;

/// The most operators, functions and operands that a subquery evaluates, each once a step; 50 million take about half a
/// second. What they read is counted when they are evaluated.
const MAX_SUBQUERY_WORK: u64 = 50_000_000;

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
                let offset = self.signed_duration()?;
                let span = start..self.end();
                let shift = shift(&mut expr, &span, "the offset modifier")?;
                if shift.offset != 0 {
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
        let range_span = self.span();
        let range = self.duration()?;
        if range.is_zero() {
            return Err(error(range_span, "a range must be longer than zero"));
        }
        if self.take_sign(":") {
            let step_span = self.span();
            let step = if self.is_sign("]") { None } else { Some(self.duration()?) };
            self.expect_sign("]")?;
            let found = expr.value_type();
            if step == Some(Duration::ZERO) {
                return Err(error(step_span, "the step of a subquery must be longer than zero"));
            }
            if found != ValueType::Vector {
                let message = format!("subquery is only allowed on instant vector, got {found}");
                return Err(error(expr.span.start..self.end(), message));
            }
            let span = expr.span.start..self.end();
            let subquery = Subquery { expr, range, step, shift: Shift::default() };
            if subquery_work(&subquery) > MAX_SUBQUERY_WORK {
                let message = "the subquery has too many steps for so long an expression";
                return Err(hinted(span, message, "make its range shorter, or its step longer"));
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

    /// A duration in brackets: `5m`, or a number of seconds.
    fn duration(&mut self) -> Result<Duration, ParseError> {
        let span = self.span();
        let duration = match self.peek() {
            Token::Duration(duration) => bounded(duration.as_millis() as f64, &span)?,
            Token::Number(seconds) => bounded(seconds * 1000.0, &span)?,
            Token::Name(_) | Token::Sign("(" | "-" | "+") => {
                return Err(not_yet(span, "duration expressions are"));
            }
            _ => return Err(self.unexpected("a duration")),
        };
        self.at += 1;
        if self.binary_operator()?.is_some() {
            return Err(not_yet(span.start..self.span().end, "duration expressions are"));
        }
        Ok(duration)
    }

    /// What follows `offset`, in milliseconds.
    fn signed_duration(&mut self) -> Result<i64, ParseError> {
        let negative = self.take_sign("-");
        if !negative {
            self.take_sign("+");
        }
        let span = self.span();
        let duration = match self.peek() {
            Token::Duration(duration) => bounded(duration.as_millis() as f64, &span)?,
            Token::Number(seconds) => bounded(seconds * 1000.0, &span)?,
            Token::Sign("(" | "-" | "+") => return Err(not_yet(span, "duration expressions are")),
            Token::Name(_) if matches!(self.peek_at(1), Token::Sign("(")) => {
                return Err(not_yet(span, "duration expressions are"));
            }
            _ => return Err(self.unexpected("a duration")),
        };
        self.at += 1;
        let millis = duration.as_millis() as i64;
        Ok(if negative { -millis } else { millis })
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
    let step = subquery.step.map_or(DEFAULT_SUBQUERY_STEP as u128, |step| step.as_millis());
    let steps = subquery.range.as_millis() / step.max(1) + 1;
    u64::try_from(steps).unwrap_or(u64::MAX).min(MAX_SAMPLES).saturating_mul(work(&subquery.expr))
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

fn bounded(millis: f64, span: &Range<usize>) -> Result<Duration, ParseError> {
    let millis = millis.round();
    if !(0.0..=MAX_MILLIS as f64).contains(&millis) {
        return Err(error(span.clone(), "a duration must be between 0 and 292 years"));
    }
    Ok(Duration::from_millis(millis as u64))
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
