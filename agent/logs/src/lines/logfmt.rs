//! Lines of `key=value` pairs.
//!
//! The first word must be a pair, or the line is none of these. A later word without `=` is an attribute that is true.

use super::draft::{Draft, Value};
use super::json::{number_length, unescape};

/// Reads a whole line; `None` where it is not of pairs.
pub(super) fn read(line: &[u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>) -> Option<()> {
    let mut rest = line.trim_ascii_start();
    let mut is_first = true;
    while !rest.is_empty() {
        let length = rest.iter().take_while(|byte| is_of_key(**byte)).count();
        let (key, after) = rest.split_at_checked(length).filter(|(key, _)| !key.is_empty())?;
        rest = match after.split_first() {
            Some((b'=', after)) => pair(key, after, scratch, draft)?,
            None | Some((b' ' | b'\t', _)) if !is_first && !draft.writer.has(None, key) => {
                draft.writer.attribute(key, telemetry::LogScalar::Bool(true));
                after
            }
            None | Some((b' ' | b'\t', _)) if !is_first => after,
            _ => return None,
        };
        rest = rest.trim_ascii_start();
        is_first = false;
    }
    (!is_first).then_some(())
}

const fn is_of_key(byte: u8) -> bool {
    byte > b' ' && byte != b'=' && byte != b'"' && byte != 0x7f
}

/// Reads a value, and returns what follows it.
fn pair<'t>(key: &[u8], text: &'t [u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>) -> Option<&'t [u8]> {
    let (value, rest) = if let Some(text) = text.strip_prefix(b"\"") {
        let (raw, rest) = quoted(text)?;
        (Value::Text(unquoted(raw, scratch)), rest)
    } else {
        let length = text.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        let (word, rest) = text.split_at_checked(length)?;
        (typed(word), rest)
    };
    (rest.is_empty() || rest.first().is_some_and(u8::is_ascii_whitespace)).then_some(())?;
    if !draft.writer.has(None, key) {
        draft.field(key, value);
    }
    Some(rest)
}

/// What a word without quotes says.
pub(super) fn typed(word: &[u8]) -> Value<'_> {
    match word {
        b"true" => Value::Bool(true),
        b"false" => Value::Bool(false),
        word if number_length(word) == Some(word.len()) => Value::Number(word),
        word => Value::Text(word),
    }
}

/// What stands up to the closing quote, and what follows it.
pub(super) fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some((text.get(..at)?, text.get(at + 1..)?));
        }
        at += 2;
    }
}

/// What a text with escapes says; where one is not known, the text as it stands.
fn unquoted<'s>(raw: &'s [u8], scratch: &'s mut Vec<u8>) -> &'s [u8] {
    if memchr::memchr(b'\\', raw).is_none() {
        return raw;
    }
    scratch.clear();
    match unescape(raw, scratch) {
        Some(()) => scratch,
        None => raw,
    }
}
