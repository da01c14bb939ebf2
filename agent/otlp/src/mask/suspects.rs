//! Where in a request something may have to be masked, told at the speed of memory.
//!
//! Looks for what every finding must contain, in the bytes of the whole request at once: most requests hold nothing of it, and most
//! of the others in few places. What is suspected is looked at exactly; what is not is left alone. Letters have no case here, so that one
//! text stands for all spellings, and a copy of a few KiB without case is what is searched.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, Input, Span, packed};
use regex_syntax::hir::Hir;

use super::required::{MAX_BYTES, MAX_RUN, MAX_TEXT, Required, Run, folded, required};

/// How much is looked through at once: little enough to stay in the fastest cache.
const CHUNK: usize = 4096;

/// How far a look reaches beyond that: as far as what begins within may go.
const OVERLAP: usize = if MAX_TEXT > MAX_RUN { MAX_TEXT } else { MAX_RUN };

/// What may have to be masked.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefilter {
    texts: Texts,
    /// Single bytes.
    bytes: BTreeSet<u8>,
    runs: Vec<Run>,
    /// Something cannot be told quickly, so everything is suspected.
    is_blind: bool,
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
    pub(super) fn new(expressions: impl Iterator<Item = Option<Hir>>) -> Self {
        let mut filter = Self::default();
        let mut texts = BTreeSet::new();
        for expression in expressions {
            match expression.and_then(|hir| required(&hir)) {
                Some(Required::Texts(found)) => texts.extend(found),
                Some(Required::Run(run)) if filter.runs.contains(&run) => {}
                Some(Required::Run(run)) => filter.runs.push(run),
                None => filter.is_blind = true,
            }
        }
        let is_byte = |text: &Vec<u8>| text.len() == 1;
        filter.bytes = texts.iter().filter(|text| is_byte(text)).flatten().copied().collect();
        let texts: Vec<_> = texts.into_iter().filter(|text| !is_byte(text)).collect();
        match Texts::new(&texts) {
            Some(texts) => filter.texts = texts,
            None => filter.is_blind = true,
        }
        filter.is_blind |= filter.bytes.len() > MAX_BYTES;
        filter
    }

    /// Where in `raw`, of which `folded` is the copy without case, something may be found first.
    fn find(&self, raw: &[u8], folded: &[u8]) -> Option<usize> {
        let mut bytes = self.bytes.iter().copied();
        let byte = match (bytes.next(), bytes.next(), bytes.next()) {
            (None, ..) => None,
            (Some(one), None, _) => memchr::memchr(one, folded),
            (Some(one), Some(two), None) => memchr::memchr2(one, two, folded),
            (Some(one), Some(two), Some(three)) => memchr::memchr3(one, two, three, folded),
        };
        let runs = self.runs.iter().filter_map(|run| run.find(raw));
        self.texts.find(folded).into_iter().chain(byte).chain(runs).min()
    }
}

impl Texts {
    fn new(texts: &[Vec<u8>]) -> Option<Self> {
        if texts.is_empty() {
            return Some(Self::None);
        }
        match packed::Config::new().builder().extend(texts).build() {
            Some(searcher) => Some(Self::Packed(searcher)),
            None => AhoCorasick::new(texts).ok().map(Self::Automaton),
        }
    }

    fn find(&self, folded: &[u8]) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Packed(searcher) => {
                searcher.find_in(folded, Span::from(0..folded.len())).map(|found| found.start())
            }
            Self::Automaton(automaton) => automaton.find(Input::new(folded)).map(|found| found.start()),
        }
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
    /// The first place not before those asked for; behind all ends if there is none.
    next: Option<usize>,
}

impl<'m, 'a> Suspects<'m, 'a> {
    pub(super) const fn new(filter: &'m Prefilter, bytes: &'a [u8]) -> Self {
        Self { filter, bytes, folded: Vec::new(), begin: 0, next: None }
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

    fn find(&mut self, from: usize) -> usize {
        let mut at = from;
        while at < self.bytes.len() {
            if at < self.begin || at >= self.begin + CHUNK.min(self.folded.len()) {
                let end = (at + CHUNK + OVERLAP).min(self.bytes.len());
                let chunk = self.bytes.get(at..end).unwrap_or_default();
                self.folded.clear();
                self.folded.extend(chunk.iter().copied().map(folded));
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
