//! From a text to an expression, or to the place where it goes wrong.
//!
//! A Pratt parser over the words of [`crate::lexer`]. Types are checked as expressions are built, so an [`Expr`] that
//! leaves here can be evaluated; what Prometheus knows and we do not is refused by name.

mod calls;
mod durations;
mod operators;
mod selectors;

use std::ops::Range;

use crate::ast::{AggregateOp, BinaryOp, Expr, ExprKind, ValueType};
use crate::error::brief;
use crate::lexer::{Spanned, Token, tokens};
use crate::{ParseError, functions};

/// The longest text that is read, in bytes; published rules stay under 4,000.
pub const MAX_LENGTH: usize = 64 * 1024;

/// How deep expressions may nest, operators in a row included; the deepest published rule nests 20 deep. The limit
/// keeps a hostile text from exhausting the stack.
pub const MAX_DEPTH: usize = 100;

/// The most matchers in one selector; published rules have at most 10.
pub(crate) const MAX_MATCHERS: usize = 64;

/// The most regular expressions in one expression. Each may take 8 ms to compile.
pub(crate) const MAX_REGEXES: usize = 100;

/// Parses and checks an expression.
///
/// # Errors
///
/// The text is not PromQL, an operand or argument has the wrong type, or a part of PromQL is used that is not evaluated
/// yet.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > MAX_LENGTH {
        return Err(error(
            text.floor_char_boundary(MAX_LENGTH)..text.len(),
            format!("the expression is longer than {MAX_LENGTH} bytes"),
        ));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, regexes: 0, duration_operators: 0 };
    if parser.peek() == &Token::End {
        return Err(error(parser.span(), "there is no expression"));
    }
    let (expr, _) = parser.expression(0)?;
    if parser.peek() != &Token::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok(expr)
}

pub(crate) fn error(span: Range<usize>, message: impl Into<String>) -> ParseError {
    ParseError { span, message: message.into(), hint: None }
}

pub(crate) fn hinted(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> ParseError {
    ParseError { span, message: message.into(), hint: Some(hint.into()) }
}

fn not_yet(span: Range<usize>, what: &str) -> ParseError {
    error(span, format!("{what} not supported yet"))
}

/// An expression and how deep it nests.
type Nested = (Expr, usize);

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    /// How deep the parser itself has descended.
    depth: usize,
    /// Regular expressions met so far.
    regexes: usize,
    /// Operators in durations met so far.
    duration_operators: usize,
}

pub(crate) use selectors::check_subqueries;

static END: Token = Token::End;

impl Parser {
    fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).map_or(&END, |spanned| &spanned.token)
    }

    fn span(&self) -> Range<usize> {
        let last = self.tokens.last().map_or(0..0, |spanned| spanned.span.clone());
        self.tokens.get(self.at).map_or(last, |spanned| spanned.span.clone())
    }

    /// Where the last consumed word ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |spanned| spanned.span.end)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), ParseError> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("{sign:?}"))) }
    }

    /// Whether the next word is a keyword, in any case.
    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Name(name) if name.eq_ignore_ascii_case(keyword))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self, wanted: &str) -> ParseError {
        let found = match self.peek() {
            Token::End => "end of the expression".to_owned(),
            Token::Name(name) => format!("{:?}", brief(name)),
            Token::Sign(sign) => format!("{sign:?}"),
            Token::Text(_) => "string".to_owned(),
            Token::Number(_) => "number".to_owned(),
            Token::Duration(_) => "duration".to_owned(),
        };
        error(self.span(), format!("unexpected {found}, expected {wanted}"))
    }

    fn deeper(&self, depth: usize) -> Result<usize, ParseError> {
        if depth >= MAX_DEPTH {
            return Err(error(self.span(), format!("the expression nests deeper than {MAX_DEPTH} levels")));
        }
        Ok(depth + 1)
    }

    fn count_regex(&mut self, span: Range<usize>) -> Result<(), ParseError> {
        self.regexes += 1;
        if self.regexes > MAX_REGEXES {
            let message = format!("the expression has more than {MAX_REGEXES} regular expressions");
            return Err(hinted(span, message, "join them with |, as in a|b"));
        }
        Ok(())
    }

    /// An expression of operators that bind at least as tightly as `minimum`.
    fn expression(&mut self, minimum: u8) -> Result<Nested, ParseError> {
        self.depth = self.deeper(self.depth)?;
        let mut left = self.operand()?;
        while let Some(op) = self.binary_operator()? {
            if op.precedence() < minimum {
                break;
            }
            left = self.binary(op, left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn binary_operator(&self) -> Result<Option<BinaryOp>, ParseError> {
        Ok(Some(match self.peek() {
            Token::Sign(sign) => match *sign {
                "==" => BinaryOp::Equal,
                "!=" => BinaryOp::NotEqual,
                "<=" => BinaryOp::LessOrEqual,
                "<" => BinaryOp::Less,
                ">=" => BinaryOp::GreaterOrEqual,
                ">" => BinaryOp::Greater,
                "+" => BinaryOp::Add,
                "-" => BinaryOp::Subtract,
                "*" => BinaryOp::Multiply,
                "/" => BinaryOp::Divide,
                "%" => BinaryOp::Modulo,
                "^" => BinaryOp::Power,
                "</" | ">/" => return Err(not_yet(self.span(), "trimming of native histograms is")),
                _ => return Ok(None),
            },
            Token::Name(name) => match name.to_ascii_lowercase().as_str() {
                "or" => BinaryOp::Or,
                "and" => BinaryOp::And,
                "unless" => BinaryOp::Unless,
                "atan2" => BinaryOp::Atan2,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    /// A sign and what follows it, or a primary with what is attached to it.
    fn operand(&mut self) -> Result<Nested, ParseError> {
        let start = self.span().start;
        let negative = self.is_sign("-");
        if !negative && !self.is_sign("+") {
            let primary = self.primary()?;
            return self.attached(primary);
        }
        self.at += 1;
        let (inner, depth) = self.expression(BinaryOp::Power.precedence())?;
        let span = start..inner.span.end;
        if let ExprKind::Number(number) = inner.kind {
            let number = if negative { -number } else { number };
            return Ok((Expr { kind: ExprKind::Number(number), span }, depth));
        }
        let found = inner.value_type();
        if !matches!(found, ValueType::Scalar | ValueType::Vector) {
            let message =
                format!("unary expression only allowed on scalars and instant vectors, got {found}");
            return Err(error(span, message));
        }
        let depth = self.deeper(depth)?;
        Ok((Expr { kind: ExprKind::Unary(negative, Box::new(inner)), span }, depth))
    }

    fn primary(&mut self) -> Result<Nested, ParseError> {
        let span = self.span();
        let kind = match self.peek().clone() {
            Token::Number(number) => {
                self.at += 1;
                ExprKind::Number(number)
            }
            Token::Duration(duration) => {
                self.at += 1;
                ExprKind::Number(duration.as_secs_f64())
            }
            Token::Text(text) => {
                self.at += 1;
                ExprKind::Text(text)
            }
            Token::Sign("(") => {
                self.at += 1;
                let (inner, depth) = self.expression(0)?;
                self.expect_sign(")")?;
                let depth = self.deeper(depth)?;
                let span = span.start..self.end();
                return Ok((Expr { kind: ExprKind::Paren(Box::new(inner)), span }, depth));
            }
            Token::Sign("{") => ExprKind::Selector(self.selector(None)?),
            Token::Name(name) => return self.named(&name),
            _ => return Err(self.unexpected("an expression")),
        };
        Ok((Expr { kind, span: span.start..self.end() }, 1))
    }

    /// What begins with a name: a number, an aggregation, a call or a metric.
    fn named(&mut self, name: &str) -> Result<Nested, ParseError> {
        let span = self.span();
        for (word, number) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if name.eq_ignore_ascii_case(word) {
                self.at += 1;
                return Ok((Expr { kind: ExprKind::Number(number), span }, 1));
            }
        }
        let called = matches!(self.peek_at(1), Token::Sign("("));
        let grouped = matches!(self.peek_at(1), Token::Name(word)
            if word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without"));
        if called || grouped {
            let lower = name.to_ascii_lowercase();
            if let Some((op, _)) = AggregateOp::ALL.iter().find(|(_, keyword)| *keyword == lower) {
                return self.aggregation(*op);
            }
        }
        if called {
            return self.call(name);
        }
        let reserved = ["and", "or", "unless", "atan2"];
        if reserved.iter().any(|word| name.eq_ignore_ascii_case(word)) {
            return Err(self.unexpected("an expression"));
        }
        self.at += 1;
        let selector = self.selector(Some((name.to_owned(), span.clone())))?;
        Ok((Expr { kind: ExprKind::Selector(selector), span: span.start..self.end() }, 1))
    }

    /// `(a, "b.c",)`
    fn label_list(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect_sign("(")?;
        let mut labels = Vec::new();
        while !self.take_sign(")") {
            let span = self.span();
            match self.next() {
                Token::Name(name) if !name.contains(':') => labels.push(name),
                Token::Text(name) if !name.is_empty() => labels.push(name),
                Token::Name(_) | Token::Text(_) => {
                    return Err(error(span, "this is not the name of a label"));
                }
                _ => {
                    self.at -= 1;
                    return Err(self.unexpected("a label or \")\""));
                }
            }
            if !self.take_sign(",") && !self.is_sign(")") {
                return Err(self.unexpected("\",\" or \")\""));
            }
        }
        Ok(labels)
    }
}

/// The name among `known` that is nearest to `name`, if it is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.len() / 3 + 1;
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, candidate)| (*distance, !candidate.starts_with(name)))
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added or removed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn function_names() -> impl Iterator<Item = &'static str> {
    functions::FUNCTIONS.iter().map(|function| function.name)
}

#[cfg(test)]
mod tests;
