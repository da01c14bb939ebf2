//! `printf`: what its format asks for.

use super::{Out, PLAIN, Verb, printed, typed};
use crate::template::value::Value;
use crate::template::{MAX_EXPANDED, too_long};

/// Go's `Sprintf`.
pub(in crate::template) fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = Out::default();
    let mut reader = Format { rest: format, values, next: 0, reordered: false, good_index: true };
    while let Some((plain, rest)) = reader.rest.split_once('%') {
        out.push(plain)?;
        reader.rest = rest;
        reader.verb(&mut out)?;
    }
    out.push(reader.rest)?;
    let extra = values.get(reader.next..).unwrap_or(&[]);
    if reader.reordered || extra.is_empty() {
        return Ok(out.into_text());
    }
    out.push("%!(EXTRA ")?;
    for (number, value) in extra.iter().enumerate() {
        out.push(if number > 0 { ", " } else { "" })?;
        typed(&mut out, value)?;
    }
    out.push(")")?;
    Ok(out.into_text())
}

struct Format<'a> {
    rest: &'a str,
    values: &'a [Value],
    next: usize,
    /// Whether the format said which value to print.
    reordered: bool,
    good_index: bool,
}

impl Format<'_> {
    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }

    /// Prints what follows a `%`.
    fn verb(&mut self, out: &mut Out) -> Result<(), String> {
        self.good_index = true;
        let after = self.rest.trim_start_matches(['#', '0', '+', '-', ' ']);
        let flags = self.rest.get(..self.rest.len() - after.len()).unwrap_or("");
        self.rest = after;
        let mut verb = Verb { flags, left: flags.contains('-'), ..PLAIN };
        let mut after_index = self.index();
        let width = self.number(out, "%!(BADWIDTH)", after_index)?;
        verb.left |= width.is_some_and(i64::is_negative);
        verb.width = width.map(|width| width.unsigned_abs() as usize);
        after_index &= width.is_none();
        if self.rest.len() > 1 && self.rest.starts_with('.') {
            self.skip(1);
            self.good_index &= !after_index;
            after_index = self.index();
            let precision = self.number(out, "%!(BADPREC)", false)?;
            verb.precision = usize::try_from(precision.unwrap_or(0)).ok();
            if verb.precision.is_none() {
                out.push("%!(BADPREC)")?;
            }
            after_index &= precision.is_none();
        }
        if !after_index {
            self.index();
        }
        let Some(letter) = self.rest.chars().next() else { return out.push("%!(NOVERB)") };
        self.skip(letter.len_utf8());
        verb.letter = letter;
        if letter == '%' {
            return out.push("%");
        }
        if !self.good_index {
            return out.push(&format!("%!{letter}(BADINDEX)"));
        }
        let Some(value) = self.values.get(self.next) else {
            return out.push(&format!("%!{letter}(MISSING)"));
        };
        self.next += 1;
        printed(out, value, &verb, true)
    }

    /// `[2]`: the value to print.
    fn index(&mut self) -> bool {
        if !self.rest.starts_with('[') {
            return false;
        }
        self.reordered = true;
        let Some(end) = self.rest.find(']') else {
            self.good_index = false;
            self.skip(1);
            return false;
        };
        let index = self.rest.get(1..end).and_then(|digits| digits.parse::<usize>().ok());
        self.skip(end + 1);
        match index.and_then(|index| index.checked_sub(1)).filter(|index| *index < self.values.len()) {
            Some(index) => self.next = index,
            None => self.good_index = false,
        }
        true
    }

    /// A width or a precision: digits, or the value that a `*` takes.
    fn number(&mut self, out: &mut Out, bad: &str, after_index: bool) -> Result<Option<i64>, String> {
        if self.rest.starts_with('*') {
            self.skip(1);
            let value = self.values.get(self.next);
            self.next += usize::from(value.is_some());
            return match value {
                Some(Value::Int(number)) if number.unsigned_abs() <= MAX_EXPANDED as u64 => Ok(Some(*number)),
                _ => out.push(bad).map(|()| None),
            };
        }
        let length = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        if length == 0 {
            return Ok(None);
        }
        let digits = self.rest.get(..length).unwrap_or("");
        let number = digits.parse::<i64>().ok().filter(|number| *number <= MAX_EXPANDED as i64);
        let number = number.ok_or_else(too_long)?;
        self.skip(length);
        self.good_index &= !after_index;
        Ok(Some(number))
    }
}
