//! Expressions as text.
//!
//! What is printed reads back as the same expression: names that need quotes get them, and times and durations are
//! exact to the millisecond that they are kept in.

use std::fmt::{self, Write as _};
use std::time::Duration;

use series::Matcher;
use telemetry::{METRIC_NAME, format_duration};

use super::{Aggregate, At, Binary, Expr, ExprKind, Length, Matching, Selector, Shift};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => write_number(f, *number),
            ExprKind::Text(text) => write_text(f, text),
            ExprKind::Selector(selector) => write!(f, "{selector}{}", selector.shift),
            ExprKind::Range(selector, range) => {
                write!(f, "{selector}[{range}]{}", selector.shift)
            }
            ExprKind::Subquery(subquery) => {
                write!(f, "{}[{}:", subquery.expr, subquery.range)?;
                if let Some(step) = &subquery.step {
                    write!(f, "{step}")?;
                }
                write!(f, "]{}", subquery.shift)
            }
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary(negative, inner) => write!(f, "{}{inner}", if *negative { '-' } else { '+' }),
            ExprKind::Binary(binary) => binary.fmt(f),
            ExprKind::Aggregate(aggregate) => aggregate.fmt(f),
            ExprKind::Call(function, arguments) => {
                write!(f, "{}(", function.name)?;
                write_list(f, arguments)?;
                f.write_char(')')
            }
        }
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.left, self.op.spelling())?;
        if self.bool_modifier {
            f.write_str(" bool")?;
        }
        if let Some(matching) = &self.matching {
            matching.fmt(f)?;
        }
        write!(f, " {}", self.right)
    }
}

/// Begins with a blank.
impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.on { " on " } else { " ignoring " })?;
        write_labels(f, &self.labels)?;
        if let Some(group) = &self.group {
            f.write_str(if group.left { " group_left " } else { " group_right " })?;
            write_labels(f, &group.include)?;
        }
        for (name, value) in [("fill_left", self.fill_left), ("fill_right", self.fill_right)] {
            if let Some(value) = value {
                write!(f, " {name} (")?;
                write_number(f, value)?;
                f.write_char(')')?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Millis(millis) => {
                let sign = if *millis < 0 { "-" } else { "" };
                write!(f, "{sign}{}", format_duration(Duration::from_millis(millis.unsigned_abs())))
            }
            Self::Computed(expr) => expr.fmt(f),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.spelling())?;
        if let Some(grouping) = &self.grouping {
            f.write_str(if grouping.without { " without " } else { " by " })?;
            write_labels(f, &grouping.labels)?;
            f.write_char(' ')?;
        }
        f.write_char('(')?;
        if let Some(parameter) = &self.parameter {
            write!(f, "{parameter}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

/// Without `offset` and `@`, which stand behind a range.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |matcher: &&Matcher| {
            matcher.name() == METRIC_NAME
                && matcher.op() == series::MatchOp::Equal
                && !matcher.value().is_empty()
        };
        let name = self.matchers.first().filter(named);
        let mut separator = "";
        match name {
            Some(name) if is_metric_name(name.value()) => {
                f.write_str(name.value())?;
                if self.matchers.len() == 1 {
                    return Ok(());
                }
                f.write_char('{')?;
            }
            Some(name) => {
                f.write_char('{')?;
                write_text(f, name.value())?;
                separator = ", ";
            }
            None => f.write_char('{')?,
        }
        for matcher in self.matchers.iter().skip(usize::from(name.is_some())) {
            f.write_str(separator)?;
            write_label(f, matcher.name())?;
            write!(f, "{}", matcher.op())?;
            write_text(f, matcher.value())?;
            separator = ", ";
        }
        f.write_char('}')
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At::Millis(millis)) => {
                let sign = if millis < 0 { "-" } else { "" };
                write!(f, " @ {sign}{}.{:03}", millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000)?;
            }
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            None => {}
        }
        match &self.offset {
            Length::Millis(0) => Ok(()),
            Length::Millis(_) => write!(f, " offset {}", self.offset),
            // Behind a parenthesis without a sign, an operator would go on with the duration.
            Length::Computed(expr) => write!(f, " offset +({expr})"),
        }
    }
}

/// Whether a name needs no quotes where a metric is named.
fn is_metric_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(word)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && !["inf", "nan"].iter().any(|number| name.eq_ignore_ascii_case(number))
}

fn write_label(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if is_metric_name(name) && !name.contains(':') { f.write_str(name) } else { write_text(f, name) }
}

fn write_labels(f: &mut fmt::Formatter<'_>, labels: &[String]) -> fmt::Result {
    f.write_char('(')?;
    for (number, label) in labels.iter().enumerate() {
        if number > 0 {
            f.write_str(", ")?;
        }
        write_label(f, label)?;
    }
    f.write_char(')')
}

fn write_list(f: &mut fmt::Formatter<'_>, expressions: &[Expr]) -> fmt::Result {
    for (number, expression) in expressions.iter().enumerate() {
        if number > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{expression}")?;
    }
    Ok(())
}

pub(super) fn write_number(f: &mut fmt::Formatter<'_>, number: f64) -> fmt::Result {
    if number.is_nan() {
        f.write_str("NaN")
    } else if number.is_infinite() {
        f.write_str(if number > 0.0 { "Inf" } else { "-Inf" })
    } else {
        // As Go prints it: without an exponent where that is short.
        let size = number.abs();
        if size == 0.0 || (1e-4..1e21).contains(&size) {
            return write!(f, "{number}");
        }
        let text = format!("{number:e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
        write!(f, "{digits}e{sign}{power:0>2}")
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
