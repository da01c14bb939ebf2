//! Where in a request something may have to be masked, told at the speed of memory.
//!
//! Looks for what every finding must contain, in the bytes of the whole request at once: most requests hold nothing of it, and most
//! of the others in few places. What is suspected is looked at exactly; what is not is left alone. Letters have no case here, so that one
//! text stands for all spellings, and a copy of a few KiB without case is what is searched.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, Input, MatchKind, Span, packed};
use regex_syntax::hir::Hir;

use super::required::{MAX_BYTES, MAX_RUN, MAX_TEXT, Required, Run, fold, required};
use super::rule::Finds;

/// How much is looked through at once: little enough to stay in the fastest cache.
const CHUNK: usize = 4096;

/// How far a look reaches beyond that: as far as what begins within may go.
const OVERLAP: usize = if MAX_TEXT > MAX_RUN { MAX_TEXT } else { MAX_RUN };

/// Patterns by their numbers; the last bit stands for all beyond it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers(u64);

impl Numbers {
    const fn one(number: usize) -> Self {
        Self(1 << if number < 63 { number } else { 63 })
    }

    /// Whether the pattern of this number is among them.
    pub(super) const fn has(self, number: usize) -> bool {
        self.0 & Self::one(number).0 != 0
    }

    const fn add(&mut self, others: Self) {
        self.0 |= others.0;
    }
}

/// What may have to be masked, and by which patterns; by none where only keys are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefilter {
    texts: Texts,
    /// For each of `texts`.
    of_texts: Vec<Numbers>,
    /// Single bytes, folded.
    bytes: BTreeMap<u8, Numbers>,
    runs: Vec<(Run, Numbers)>,
    /// Something cannot be told quickly, so everything is suspected.
    pub(super) is_blind: bool,
}

/// Texts of two bytes or more, folded.
#[derive(Clone, Debug, Default)]
enum Texts {
    #[default]
    None,
    /// Looks at many bytes in one instruction.
    Packed(packed::Searcher),
    /// For machines and numbers of texts for which there is no such thing.
    Automaton(AhoCorasick),
}

impl Prefilter {
    /// A filter that suspects wherever one of `expressions` may find something; nothing stands for one that cannot be told.
    /// Those that are patterns are numbered as they come.
    pub(super) fn new(expressions: impl Iterator<Item = (Finds, Option<Hir>)>) -> Self {
        let mut filter = Self::default();
        let mut texts: BTreeMap<Vec<u8>, Numbers> = BTreeMap::new();
        let mut patterns = 0;
        for (finds, expression) in expressions {
            let mut number = Numbers::default();
            if finds == Finds::Texts {
                number = Numbers::one(patterns);
                patterns += 1;
            }
            match expression.and_then(|hir| required(&hir)) {
                Some(Required::Texts(found)) => {
                    for text in found {
                        texts.entry(text).or_default().add(number);
                    }
                }
                Some(Required::Run(run)) => filter.runs.push((run, number)),
                None => filter.is_blind = true,
            }
        }
        filter.look_for(&texts);
        filter
    }

    fn look_for(&mut self, texts: &BTreeMap<Vec<u8>, Numbers>) {
        for (text, numbers) in texts {
            if let [byte] = text[..] {
                self.bytes.insert(byte, *numbers);
                continue;
            }
            // Of two that begin at the same place the shorter is found.
            let mut all = *numbers;
            let longer = texts.iter().filter(|(longer, _)| longer.starts_with(text));
            longer.for_each(|(_, numbers)| all.add(*numbers));
            self.of_texts.push(all);
        }
        let texts: Vec<_> = texts.keys().filter(|text| text.len() > 1).collect();
        match Texts::new(&texts) {
            Some(texts) => self.texts = texts,
            None => self.is_blind = true,
        }
        self.is_blind |= self.bytes.len() > MAX_BYTES;
    }

    /// Where in `raw`, of which `folded` is the copy without case, something may be found first.
    fn find(&self, raw: &[u8], folded: &[u8]) -> Option<usize> {
        let mut bytes = self.bytes.keys().copied();
        let byte = match (bytes.next(), bytes.next(), bytes.next()) {
            (None, ..) => None,
            (Some(one), None, _) => memchr::memchr(one, folded),
            (Some(one), Some(two), None) => memchr::memchr2(one, two, folded),
            (Some(one), Some(two), Some(three)) => memchr::memchr3(one, two, three, folded),
        };
        let runs = self.runs.iter().filter_map(|(run, _)| run.find(raw));
        let text = self.texts.find(folded).map(|(at, _)| at);
        text.into_iter().chain(byte).chain(runs).min()
    }

    /// The patterns that may find something in `raw`, of which `folded` is the copy without case.
    fn which(&self, raw: &[u8], mut folded: &[u8]) -> Numbers {
        let mut which = Numbers::default();
        let bytes = self.bytes.iter().filter(|(byte, _)| memchr::memchr(**byte, folded).is_some());
        bytes.for_each(|(_, numbers)| which.add(*numbers));
        let runs = self.runs.iter().filter(|(run, _)| run.find(raw).is_some());
        runs.for_each(|(_, numbers)| which.add(*numbers));
        while let Some((at, text)) = self.texts.find(folded) {
            which.add(self.of_texts.get(text).copied().unwrap_or_default());
            folded = folded.get(at + 1..).unwrap_or_default();
        }
        which
    }
}

impl Texts {
    fn new(texts: &[&Vec<u8>]) -> Option<Self> {
        if texts.is_empty() {
            return Some(Self::None);
        }
        if let Some(searcher) = packed::Config::new().builder().extend(texts).build() {
            return Some(Self::Packed(searcher));
        }
        let mut automaton = AhoCorasick::builder();
        automaton.match_kind(MatchKind::LeftmostFirst).build(texts).ok().map(Self::Automaton)
    }

    /// Where the first one begins, and which it is.
    fn find(&self, folded: &[u8]) -> Option<(usize, usize)> {
        let found = match self {
            Self::None => None,
            Self::Packed(searcher) => searcher.find_in(folded, Span::from(0..folded.len())),
            Self::Automaton(automaton) => automaton.find(Input::new(folded)),
        };
        found.map(|found| (found.start(), found.pattern().as_usize()))
    }
}

impl Run {
    /// Where the first run begins.
    fn find(&self, raw: &[u8]) -> Option<usize> {
        let is_in = |byte: &u8| self.bytes.get(usize::from(*byte)).is_some_and(|is_in| *is_in);
        // A run has one of every `length` bytes.
        let mut at = self.length - 1;
        while let Some(byte) = raw.get(at) {
            if is_in(byte) {
                let before = raw.get(..at).unwrap_or_default().iter().rev().take_while(|byte| is_in(byte));
                let begin = at - before.count();
                let length =
                    raw.get(begin..).unwrap_or_default().iter().take_while(|byte| is_in(byte)).count();
                if length >= self.length {
                    return Some(begin);
                }
                at = begin + length;
            }
            at += self.length;
        }
        None
    }
}

/// A look through bytes, from front to back.
#[derive(Debug)]
pub(super) struct Suspects<'m, 'a> {
    filter: &'m Prefilter,
    bytes: &'a [u8],
    /// What is looked through at the time, without case, and where that begins.
    folded: Vec<u8>,
    begin: usize,
    /// A text that is suspected, without case.
    text: Vec<u8>,
    /// The first place not before those asked for; behind all ends if there is none.
    next: Option<usize>,
}

impl<'m, 'a> Suspects<'m, 'a> {
    pub(super) const fn new(filter: &'m Prefilter, bytes: &'a [u8]) -> Self {
        Self { filter, bytes, folded: Vec::new(), begin: 0, text: Vec::new(), next: None }
    }

    /// Whether something may be found in `part`, which is a part of the bytes and does not begin before one that was asked for earlier.
    pub(super) fn are_in(&mut self, part: &[u8]) -> bool {
        if self.filter.is_blind || part.is_empty() {
            return self.filter.is_blind;
        }
        let begin = part.as_ptr().addr().wrapping_sub(self.bytes.as_ptr().addr());
        let next = match self.next {
            Some(next) if next >= begin => next,
            _ => self.find(begin),
        };
        self.next = Some(next);
        next < begin.saturating_add(part.len())
    }

    /// The patterns that may find something in `text`; nothing if that cannot be told.
    pub(super) fn which(&mut self, text: &[u8]) -> Option<Numbers> {
        if self.filter.is_blind {
            return None;
        }
        fold(&mut self.text, text);
        Some(self.filter.which(text, &self.text))
    }

    fn find(&mut self, from: usize) -> usize {
        let mut at = from;
        while at < self.bytes.len() {
            if at < self.begin || at >= self.begin + CHUNK.min(self.folded.len()) {
                let end = (at + CHUNK + OVERLAP).min(self.bytes.len());
                let chunk = self.bytes.get(at..end).unwrap_or_default();
                fold(&mut self.folded, chunk);
                self.begin = at;
            }
            let raw = self.bytes.get(at..self.begin + self.folded.len()).unwrap_or_default();
            let folded = self.folded.get(at - self.begin..).unwrap_or_default();
            if let Some(found) = self.filter.find(raw, folded) {
                return at + found;
            }
            at = self.begin + CHUNK;
        }
        usize::MAX
    }
}

#[cfg(test)]
mod tests;
