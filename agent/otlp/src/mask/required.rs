//! What everything that a regular expression finds must contain, derived from the expression.
//!
//! Letters lose their case and assertions are passed over, so what is derived asks for less than the expression does. It serves to
//! tell quickly where nothing can be found, and never where something is.

use std::collections::BTreeSet;

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, ClassBytesRange, ClassUnicodeRange, Hir, HirKind, Repetition};

/// The most bytes of a text that are looked for: what is longer is found by its beginning.
pub(super) const MAX_TEXT: usize = 16;

/// Texts beyond this stand for too little to be looked for one by one.
const MAX_TEXTS: usize = 128;

/// Single bytes beyond this are found everywhere, and not at once.
pub(super) const MAX_BYTES: usize = 3;

/// Classes of more characters than this are not spelled out.
const MAX_CLASS: usize = 10;

/// Parts of a sequence beyond this many are not tried as beginnings of a text.
const MAX_PARTS: usize = 32;

/// Texts that are found more often than in every fiftieth byte are worse than runs.
const OFTEN: f64 = 0.02;

/// Of texts that are found less often than this, fewer are better than rarer ones.
const SELDOM: f64 = 1e-4;

/// Texts that are found more often than this are found everywhere.
const EVERYWHERE: f64 = 0.3;

/// The least bytes of a run that is worth looking for.
const MIN_RUN: usize = 6;

/// The most bytes of a run that are looked for: a longer one holds a shorter one.
pub(super) const MAX_RUN: usize = 64;

/// The most values that a byte of a run may have: all others end it.
const MAX_RUN_BYTES: usize = 100;

/// What everything found contains.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Required {
    /// One of these texts, without regard to case: each byte as [`folded`] makes it.
    Texts(BTreeSet<Vec<u8>>),
    /// So many bytes of these in a row.
    Run(Run),
}

/// Bytes in a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) length: usize,
    /// For each value of a byte, whether it may stand in the run.
    pub(super) bytes: Vec<bool>,
}

/// A byte that is the same for a letter of either case. Others fall together, too: that finds more, not less.
pub(super) const fn folded(byte: u8) -> u8 {
    byte | 0x20
}

/// Makes `out` a copy of `text` whose bytes are [`folded`]. Eight in one step: the program is linked for size, and there the
/// compiler leaves loops as they stand.
pub(super) fn fold(out: &mut Vec<u8>, text: &[u8]) {
    out.clear();
    out.extend_from_slice(text);
    let (words, rest) = out.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) | u64::from_ne_bytes([folded(0); 8])).to_ne_bytes();
    }
    for byte in rest {
        *byte = folded(*byte);
    }
}

/// What everything contains that `expression` finds; nothing if that cannot be told.
pub(super) fn required(expression: &Hir) -> Option<Required> {
    let texts = best(&relaxed(expression));
    match (texts, run(expression)) {
        (Some(texts), _) if rate(&texts) < OFTEN => Some(Required::Texts(texts)),
        (_, Some(run)) => Some(Required::Run(run)),
        (texts, None) => texts.map(Required::Texts),
    }
}

/// The expression without assertions and without case.
fn relaxed(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0.iter().copied().map(folded).collect::<Vec<_>>()),
        HirKind::Class(class) => spelled_out(class),
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(relaxed(&repetition.sub)), ..repetition.clone() })
        }
        HirKind::Capture(capture) => relaxed(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(relaxed).collect()),
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(relaxed).collect()),
    }
}

fn spelled_out(class: &Class) -> Hir {
    fn is_small(lengths: impl Iterator<Item = usize>) -> bool {
        lengths.sum::<usize>() <= MAX_CLASS
    }
    let mut texts = BTreeSet::new();
    let mut add = |text: &[u8]| {
        texts.insert(text.iter().copied().map(folded).collect::<Vec<_>>());
    };
    match class {
        Class::Unicode(ranges) if is_small(ranges.iter().map(ClassUnicodeRange::len)) => {
            let characters = ranges.iter().flat_map(|range| range.start()..=range.end());
            characters.for_each(|character| add(character.encode_utf8(&mut [0; 4]).as_bytes()));
        }
        Class::Bytes(ranges) if is_small(ranges.iter().map(ClassBytesRange::len)) => {
            ranges.iter().flat_map(|range| range.start()..=range.end()).for_each(|byte| add(&[byte]));
        }
        class => return Hir::class(class.clone()),
    }
    Hir::alternation(texts.into_iter().map(Hir::literal).collect())
}

/// The texts that are found least often, of those of which one is in everything found.
fn best(hir: &Hir) -> Option<BTreeSet<Vec<u8>>> {
    let mut found = vec![texts(hir, ExtractKind::Prefix), texts(hir, ExtractKind::Suffix)];
    match hir.kind() {
        HirKind::Concat(parts) => {
            for (at, part) in parts.iter().enumerate().take(MAX_PARTS) {
                let rest = parts.get(at..).unwrap_or_default().to_vec();
                found.push(texts(&Hir::concat(rest), ExtractKind::Prefix));
                found.push(best(part));
            }
        }
        HirKind::Alternation(branches) => {
            let all: Option<Vec<_>> = branches.iter().map(best).collect();
            found.push(all.map(|all| shortest(&all.into_iter().flatten().collect())));
        }
        HirKind::Repetition(repetition) if repetition.min > 0 => found.push(best(&repetition.sub)),
        _ => {}
    }
    let bytes = |texts: &BTreeSet<Vec<u8>>| texts.iter().filter(|text| text.len() == 1).count();
    let found = found.into_iter().flatten();
    let found = found.filter(|texts| texts.len() <= MAX_TEXTS && bytes(texts) <= MAX_BYTES);
    let found = found.filter(|texts| rate(texts) < EVERYWHERE);
    let rank = |texts: &BTreeSet<Vec<u8>>| rate(texts).max(SELDOM);
    found.min_by(|one, other| rank(one).total_cmp(&rank(other)).then(one.len().cmp(&other.len())))
}

/// The texts with which everything found begins or ends.
fn texts(hir: &Hir, kind: ExtractKind) -> Option<BTreeSet<Vec<u8>>> {
    let is_prefix = matches!(kind, ExtractKind::Prefix);
    let found = Extractor::new().kind(kind).limit_class(MAX_CLASS).extract(hir);
    let cut = |text: &[u8]| {
        let kept =
            if is_prefix { text.get(..MAX_TEXT) } else { text.get(text.len().wrapping_sub(MAX_TEXT)..) };
        kept.unwrap_or(text).to_vec()
    };
    let texts: BTreeSet<_> = found.literals()?.iter().map(|literal| cut(literal.as_bytes())).collect();
    (!texts.is_empty() && !texts.contains(&Vec::new())).then(|| shortest(&texts))
}

/// Those that contain none of the others.
fn shortest(texts: &BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let contains = |text: &[u8], other: &[u8]| text.windows(other.len()).any(|window| window == other);
    let is_needless = |text: &[u8]| texts.iter().any(|other| other != text && contains(text, other));
    texts.iter().filter(|text| !is_needless(text)).cloned().collect()
}

/// How often texts begin at a byte of telemetry, about.
fn rate(texts: &BTreeSet<Vec<u8>>) -> f64 {
    texts.iter().map(|text| text.iter().map(|byte| frequency(*byte)).product::<f64>()).sum()
}

/// How probable a byte is where the one before it was right: punctuation and digits come in company.
const fn frequency(folded: u8) -> f64 {
    match folded {
        b'a'..=b'z' => 0.08,
        b'@' | b'`' => 0.004,
        b'0'..=b'9' | b' ' | b'"' | b'/' | b':' | b'.' | b',' | b'-' | b'=' | b'{' | b'}' => 0.3,
        _ => 0.05,
    }
}

/// The run that everything found is.
fn run(hir: &Hir) -> Option<Run> {
    let length = hir.properties().minimum_len().filter(|length| *length >= MIN_RUN)?;
    let mut bytes = vec![false; 256];
    add_bytes(hir, &mut bytes);
    let is_narrow = bytes.iter().filter(|is_in| **is_in).count() <= MAX_RUN_BYTES;
    is_narrow.then_some(Run { length: length.min(MAX_RUN), bytes })
}

/// Marks all bytes that may stand in what is found.
fn add_bytes(hir: &Hir, bytes: &mut [bool]) {
    let mut add = |first: u8, last: u8| {
        if let Some(marked) = bytes.get_mut(usize::from(first)..=usize::from(last)) {
            marked.fill(true);
        }
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| add(*byte, *byte)),
        HirKind::Class(Class::Bytes(ranges)) => {
            ranges.iter().for_each(|range| add(range.start(), range.end()));
        }
        HirKind::Class(Class::Unicode(ranges)) => {
            for range in ranges.iter() {
                if let Ok(first @ ..=0x7f) = u8::try_from(range.start()) {
                    add(first, u8::try_from(range.end()).unwrap_or(0x7f).min(0x7f));
                }
                if !range.end().is_ascii() {
                    add(0x80, 0xff);
                }
            }
        }
        HirKind::Repetition(repetition) => add_bytes(&repetition.sub, bytes),
        HirKind::Capture(capture) => add_bytes(&capture.sub, bytes),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            for part in parts {
                add_bytes(part, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests;
