//! Texts and numbers as verbs print them.

use super::{Out, Verb};
use crate::template::number::{fixed, general, scientific};
use crate::template::value::Value;

pub(super) fn pad(out: &mut Out, text: &str, verb: &Verb<'_>, zeros: bool) -> Result<(), String> {
    let missing = verb.width.unwrap_or(0).saturating_sub(text.chars().count());
    if verb.left {
        out.push(text)?;
        return out.push(&" ".repeat(missing));
    }
    out.push(&if zeros { "0" } else { " " }.repeat(missing))?;
    out.push(text)
}

pub(super) fn text(out: &mut Out, text: &str, verb: &Verb<'_>) -> Result<(), String> {
    let cut = match verb.precision.and_then(|most| text.char_indices().nth(most)) {
        Some((end, _)) if !"xX".contains(verb.letter) => text.get(..end).unwrap_or(text),
        _ => text,
    };
    let zeros = verb.has('0');
    match verb.letter {
        'x' | 'X' => pad(out, &hexadecimal(text, verb), verb, zeros),
        'q' if verb.has('#') && is_raw(cut) => pad(out, &format!("`{cut}`"), verb, zeros),
        'q' => pad(out, &quote(cut), verb, zeros),
        'v' if verb.has('#') => pad(out, &quote(cut), verb, zeros),
        _ => pad(out, cut, verb, zeros),
    }
}

fn hexadecimal(text: &str, verb: &Verb<'_>) -> String {
    let bytes = text.bytes().take(verb.precision.unwrap_or(usize::MAX));
    let before = if verb.has('#') { "0x" } else { "" };
    let shown = match verb.has(' ') {
        true => bytes.map(|byte| format!("{before}{byte:02x}")).collect::<Vec<_>>().join(" "),
        false if text.is_empty() => String::new(),
        false => bytes.fold(before.to_owned(), |shown, byte| format!("{shown}{byte:02x}")),
    };
    if verb.letter == 'X' { shown.to_uppercase() } else { shown }
}

/// Whether a text can stand in backquotes.
fn is_raw(text: &str) -> bool {
    !text.contains(|c: char| c == '`' || c.is_control() && c != '\t')
}

/// As Go quotes a text.
pub(in crate::template) fn quote(text: &str) -> String {
    quoted(text, '"')
}

fn quoted(text: &str, quote: char) -> String {
    let mut shown = String::from(quote);
    for c in text.chars() {
        match escape(c) {
            Some(escape) => shown.push_str(escape),
            None if c == quote || c == '\\' => shown.extend(['\\', c]),
            None if is_printed(c) => shown.push(c),
            None => shown.push_str(&coded(c)),
        }
    }
    shown.push(quote);
    shown
}

/// The letter that Go writes for a control character.
fn escape(c: char) -> Option<&'static str> {
    Some(match c {
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\x0c' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\x0b' => "\\v",
        _ => return None,
    })
}

fn coded(c: char) -> String {
    match u32::from(c) {
        code @ (0..0x20 | 0x7f) => format!("\\x{code:02x}"),
        code @ 0..0x10000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Roughly what Go calls printable: no controls, no spaces but ` `, nothing without a width.
fn is_printed(c: char) -> bool {
    c == ' '
        || !c.is_control()
            && !c.is_whitespace()
            && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}')
}

pub(super) fn integer(out: &mut Out, number: i64, verb: &Verb<'_>, value: &Value) -> Result<(), String> {
    let size = number.unsigned_abs();
    let (digits, prefix) = match verb.letter {
        'v' | 'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), if verb.has('#') { "0b" } else { "" }),
        'o' => (format!("{size:o}"), if verb.has('#') && size != 0 { "0" } else { "" }),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), if verb.has('#') { "0x" } else { "" }),
        'X' => (format!("{size:X}"), if verb.has('#') { "0X" } else { "" }),
        'c' | 'q' | 'U' => return rune(out, number, verb),
        _ => return super::bad_verb(out, verb, value),
    };
    let sign = verb.sign(number < 0);
    if verb.precision == Some(0) && size == 0 {
        return pad(out, "", verb, false);
    }
    let zeros = match (verb.precision, verb.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if verb.has('0') && !verb.left => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let missing = "0".repeat(zeros.saturating_sub(digits.len()));
    pad(out, &format!("{sign}{prefix}{missing}{digits}"), verb, false)
}

fn rune(out: &mut Out, number: i64, verb: &Verb<'_>) -> Result<(), String> {
    let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
    let shown = match verb.letter {
        'c' => c.to_string(),
        'q' => quoted(&c.to_string(), '\''),
        _ if verb.has('#') => format!("U+{number:04X} '{c}'"),
        _ => format!("U+{number:04X}"),
    };
    pad(out, &shown, verb, false)
}

pub(super) fn float(out: &mut Out, number: f64, verb: &Verb<'_>, value: &Value) -> Result<(), String> {
    let text = match verb.letter {
        'v' | 'g' | 'G' => general(number, verb.precision),
        'f' | 'F' => fixed(number, verb.precision.unwrap_or(6)),
        'e' | 'E' => scientific(number, verb.precision.unwrap_or(6)),
        _ => return super::bad_verb(out, verb, value),
    };
    let text = if "GE".contains(verb.letter) { text.replace('e', "E") } else { text };
    let unsigned = text.trim_start_matches(['-', '+']);
    if number.is_nan() || number.is_infinite() {
        // Go keeps the sign of an infinity only where one is asked for; `+Inf` is one word to it.
        let explicit = if number.is_nan() { verb.sign(false) } else { verb.sign(number < 0.0) };
        let explicit = if explicit.is_empty() && number > 0.0 { "+" } else { explicit };
        return pad(out, &format!("{explicit}{unsigned}"), verb, false);
    }
    let unsigned =
        if verb.has('#') && verb.letter != 'v' { with_point(unsigned, verb) } else { unsigned.to_owned() };
    let sign = verb.sign(text.starts_with('-'));
    let width = verb.width.unwrap_or(0);
    let missing = width.saturating_sub(sign.len() + unsigned.len());
    if verb.has('0') && !verb.left && !sign.is_empty() {
        return out.push(&format!("{sign}{}{unsigned}", "0".repeat(missing)));
    }
    pad(out, &format!("{sign}{unsigned}"), verb, verb.has('0'))
}

/// `%#g`: with a point, and with zeros up to the precision.
fn with_point(number: &str, verb: &Verb<'_>) -> String {
    let (mantissa, exponent) = match number.find(['e', 'E']) {
        Some(at) => number.split_at(at),
        None => (number, ""),
    };
    let point = if mantissa.contains('.') { "" } else { "." };
    let digits = mantissa.chars().filter(char::is_ascii_digit);
    let significant = match mantissa.trim_start_matches(['0', '.']) {
        "" => 1,
        _ => digits.skip_while(|c| *c == '0').count(),
    };
    let wanted = if "gG".contains(verb.letter) { verb.precision.unwrap_or(6) } else { 0 };
    format!("{mantissa}{point}{}{exponent}", "0".repeat(wanted.saturating_sub(significant)))
}
