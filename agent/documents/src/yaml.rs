//! YAML into types, with the place of every scalar.
//!
//! The library's budget stops alias bombs and deep nesting. It stops at the first structural problem of a file;
//! everything that a type's constructor finds is collected by [`crate::Review`] and comes at once.

use std::marker::PhantomData;
use std::ops::Range;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
pub use serde_saphyr::Spanned;
use serde_saphyr::UserMessageFormatter;

use crate::{Document, Place, Problem, nearest};

/// Reads a document as a `T`. Only `true` and `false` are booleans, and a key may stand once.
///
/// # Errors
///
/// The first structural problem: bad syntax, an unknown or missing key, a value of another type, or a document whose
/// aliases or nesting grow beyond the library's budget.
pub fn parse<T: DeserializeOwned>(document: &Document) -> Result<T, Problem> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(document.text(), options).map_err(|error| problem(document, &error))
}

fn problem(document: &Document, error: &serde_saphyr::Error) -> Problem {
    let text = error.render_with_formatter(&UserMessageFormatter);
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let range = error.location().map_or(0..0, |location| {
        byte_range(&location).unwrap_or_else(|| {
            let (line, column) = (location.line() as usize, location.column() as usize);
            let start = document.offset(Place { line, column });
            start..start + 1
        })
    });
    let plain = match message {
        "expected sequence start" => "expected a list, as in [web] or lines that begin with a dash",
        "expected mapping start" => "expected keys and values, as in name: web",
        "invalid u64" | "invalid u32" | "invalid u16" | "invalid usize" => {
            "expected a whole number in digits, without a unit, as in 16777216"
        }
        _ => message,
    };
    // The library names the last key that is there.
    let range = if message.starts_with("missing field") { opening(document, range.start) } else { range };
    let problem = Problem::at(document, range, plain);
    match unknown_word(message) {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    }
}

/// Where the mapping begins that has a key at `key`: its brace, or its first key.
fn opening(document: &Document, key: usize) -> Range<usize> {
    let text = document.text();
    let line_start = |at: usize| text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let start = line_start(key);
    let mut closed = 0;
    for (at, c) in text.get(start..key).unwrap_or("").char_indices().rev() {
        match c {
            '}' => closed += 1,
            '{' if closed == 0 => return start + at..start + at + 1,
            '{' => closed -= 1,
            _ => {}
        }
    }
    let column = key - start;
    let (mut first, mut end) = (key, start);
    while end > 0 {
        let start = line_start(end - 1);
        let line = text.get(start..end).unwrap_or("");
        end = start;
        let indent = line.len() - line.trim_start().len();
        if line.trim().is_empty() || line.trim_start().starts_with('#') || indent > column {
            continue;
        }
        let before = line.get(..column).unwrap_or(line);
        if before.trim_matches([' ', '-']).is_empty() {
            first = start + column;
        }
        if indent < column {
            break;
        }
    }
    first..first + 1
}

/// A mapping whose keys keep their places, in the order in which they are written.
#[derive(Clone, Debug)]
pub struct Entries<V>(pub Vec<(Spanned<String>, V)>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Entries<V>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("keys and values, as in name: web")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

/// The hint for ``unknown field `intervall`, expected one of interval, rules``.
fn unknown_word(message: &str) -> Option<String> {
    let (unknown, known) = message.split_once(", expected one of ")?;
    let word = unknown.split('`').nth(1)?;
    let meant = nearest(word, known.split(", ").map(|name| name.trim_matches('`')))?;
    Some(format!("did you mean `{meant}`?"))
}

fn byte_range(location: &serde_saphyr::Location) -> Option<Range<usize>> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    Some(start..start + usize::try_from(span.byte_len()?).ok()?)
}

/// The bytes that a value takes in its document; empty at the start when the library lost the place.
pub fn range<T>(value: &Spanned<T>) -> Range<usize> {
    byte_range(&value.referenced).unwrap_or(0..0)
}

/// The bytes that a part of a text value takes in its document.
///
/// Quoting, folding and indentation add and remove only white space, quotes and backslashes, so the part is found by
/// counting the other characters. Where escapes make even that wrong, the whole value is named.
pub fn range_within(document: &Document, value: &Spanned<String>, part: Range<usize>) -> Range<usize> {
    let whole = range(value);
    let Some(raw) = document.text().get(whole.clone()) else { return whole };
    let counts = |c: &char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\' | '|' | '>');
    let solid = |text: &str| text.chars().filter(counts).count();
    // A block scalar's header (`|2-`, `>+`) may be part of the span; its digits and signs are no content.
    let header = if raw.starts_with(['|', '>']) { raw.find('\n').unwrap_or(0) } else { 0 };
    let body = raw.get(header..).unwrap_or("");
    let before = value.value.get(..part.start).map(solid);
    let inside = value.value.get(part.clone()).map(|text| solid(text).max(1));
    let (Some(before), Some(inside)) = (before, inside) else { return whole };
    if solid(body) != solid(&value.value) {
        return whole;
    }
    let solid_at: Vec<(usize, char)> = body.char_indices().filter(|(_, c)| counts(c)).collect();
    let base = whole.start + header;
    match (solid_at.get(before), solid_at.get(before + inside - 1)) {
        (Some((start, _)), Some((end, last))) => base + start..base + end + last.len_utf8(),
        _ => whole.end.saturating_sub(1).max(whole.start)..whole.end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::path::Path;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        expr: Spanned<String>,
        #[serde(default)]
        #[expect(dead_code, reason = "only its parsing is tested")]
        enabled: Option<bool>,
        #[serde(default)]
        #[expect(dead_code, reason = "only its parsing is tested")]
        max_bytes: Option<u64>,
    }

    fn document(text: &str) -> Document {
        Document::from_text(Path::new("rule.yaml"), text)
    }

    #[test]
    fn structural_problems_name_the_place_and_what_was_meant() {
        for (text, expected) in [
            (
                "expr: a\nenabld: true\n",
                "rule.yaml:2:1: unknown field `enabld`, expected one of expr, enabled, max_bytes; did you mean `enabled`?",
            ),
            ("enabled: true\n", "rule.yaml:1:1: missing field `expr`"),
            ("# a\nenabled: true\n# b\n\nmax_bytes: 1\n", "rule.yaml:2:1: missing field `expr`"),
            ("{ enabled: true, max_bytes: 1 }\n", "rule.yaml:1:1: missing field `expr`"),
            ("expr: a\nenabled: yes\n", "rule.yaml:2:10: invalid boolean (true or false expected)"),
            ("expr: a\nexpr: b\n", "rule.yaml:2:1: duplicate mapping key: expr not allowed here"),
            (
                "expr: a\nmax_bytes: 1GiB\n",
                "rule.yaml:2:12: expected a whole number in digits, without a unit, as in 16777216",
            ),
            ("expr: [a]\n", "rule.yaml:1:7: expected string scalar"),
        ] {
            assert_eq!(parse::<Rule>(&document(text)).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn of_several_mappings_the_one_that_lacks_a_key_is_named() {
        for (text, place) in [
            ("- enabled: true\n  max_bytes: 1\n", "1:3"),
            ("- expr: a\n- enabled: true\n\n  # b\n  max_bytes: 1\n- expr: a\n", "2:3"),
            ("-\n  enabled: true\n  max_bytes: 1\n", "2:3"),
            ("- expr: a\n- { enabled: true, max_bytes: 1 }\n", "2:3"),
        ] {
            let problem = parse::<Vec<Rule>>(&document(text)).unwrap_err().to_string();
            assert_eq!(problem, format!("rule.yaml:{place}: missing field `expr`"), "{text}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        use std::fmt::Write as _;
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let refs = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{refs}]").unwrap();
        }
        assert!(
            parse::<std::collections::BTreeMap<String, Vec<serde::de::IgnoredAny>>>(&document(&text))
                .is_err()
        );
    }

    #[test]
    fn a_part_of_an_expression_is_found_however_the_text_is_written() {
        for text in [
            "expr: rate(oops[5m]) > 1\n",
            "expr: \"rate(oops[5m]) > 1\"\n",
            "expr: 'rate(oops[5m]) > 1'\n",
            "expr: |\n  rate(oops[5m]) > 1\n",
            "expr: |-\n    rate(\n      oops[5m])\n    > 1\n",
            "expr: >\n  rate(oops[5m])\n  > 1\n",
        ] {
            let document = document(text);
            let rule: Rule = parse(&document).unwrap();
            let start = rule.expr.value.find("oops").unwrap();
            let found = range_within(&document, &rule.expr, start..start + 4);
            assert_eq!(document.text().get(found), Some("oops"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}", start in 0_usize..90, end in 0_usize..90) {
            let document = document(&text);
            if let Ok(rule) = parse::<Rule>(&document) {
                let _ = range_within(&document, &rule.expr, start..end);
            }
        }
    }
}
