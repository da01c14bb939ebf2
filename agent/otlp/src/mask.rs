//! Masks secrets in telemetry that arrives, before anything is kept of it.
//!
//! A look over the bytes of the request tells where something may be found. Only there the encoded request is walked, for
//! attributes, by key, and the texts in their values and in the bodies of log records, by pattern. Only messages around a finding
//! are written anew; a request without one stays the same bytes. Names of spans and metrics are left alone. What would
//! surprise you: patterns see bytes, for nobody has checked that texts are UTF-8.

mod builtin;
mod required;
mod rule;
mod shape;
mod suspects;

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;
use regex::bytes::RegexSet;
use telemetry::Signal;

use crate::wire::{Field, Fields, Malformed, Raw, bytes_field};

pub use builtin::Builtin;
use rule::Pattern;
pub use rule::{MaskAction, MaskError, MaskRule};
use shape::Shape;
use suspects::{Numbers, Prefilter, Suspects};

/// How deep values may lie within one another: as deep as protobuf's decoders go.
const DEPTH: usize = 100;

/// How many bytes a request may gain, as when attributes are added to it: reached only by hundreds of thousands of masked
/// values that are far shorter than what stands in their place.
const MOST_ADDED: usize = 16 * 1024 * 1024;

/// Keys whose verdict is remembered for the length of one request: more than applications use.
const MAX_VERDICTS: usize = 512;

/// Rules, in the order in which they apply.
#[derive(Clone, Debug, Default)]
pub struct Masking {
    rules: Vec<MaskRule>,
    /// The patterns of all rules together, to tell quickly that there is nothing to do.
    patterns: RegexSet,
    /// The rule and the pattern within it, for each of `patterns`.
    places: Vec<(usize, usize)>,
    has_keys: bool,
    prefilter: Prefilter,
}

impl PartialEq for Masking {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Masking {}

/// What becomes of a field.
enum Change {
    None,
    Content(Vec<u8>),
    Dropped,
}

impl Masking {
    /// Masking by these rules. For an attribute the first rule that names its key decides; otherwise the patterns of all
    /// rules apply to its value, one after the other.
    ///
    /// # Errors
    ///
    /// All patterns together are too much.
    pub fn new(rules: Vec<MaskRule>) -> Result<Self, MaskError> {
        let texts = rules.iter().flat_map(|rule| &rule.patterns).map(Pattern::as_str);
        let patterns = RegexSet::new(texts).map_err(MaskError::together)?;
        let of_rule =
            |(at, rule): (usize, &MaskRule)| (0..rule.patterns.len()).map(move |pattern| (at, pattern));
        let places = rules.iter().enumerate().flat_map(of_rule).collect();
        let has_keys = rules.iter().any(|rule| rule.keys.is_some());
        let prefilter = Prefilter::new(rules.iter().flat_map(MaskRule::expressions));
        Ok(Self { rules, patterns, places, has_keys, prefilter })
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        !self.has_keys && self.patterns.is_empty()
    }

    /// The request `payload` as it may be kept. The same bytes, not a copy, when nothing in it is masked.
    ///
    /// # Errors
    ///
    /// Where something may have to be masked, the bytes are no protobuf message, or values lie deeper than a hundred in one
    /// another; or the request would grow by more than 16 MiB.
    pub fn apply(&self, signal: Signal, payload: Bytes) -> Result<Bytes, Malformed> {
        if self.is_empty() {
            return Ok(payload);
        }
        let masked = self.pass(&payload).message(&payload, shape::of(signal))?;
        Ok(masked.map_or(payload, Bytes::from))
    }

    /// A line as it may be kept or shown; nothing of it where a rule drops it.
    pub fn line<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        match self.text(line, None) {
            Change::None => Cow::Borrowed(line),
            Change::Content(masked) => Cow::Owned(masked),
            Change::Dropped => Cow::Borrowed(&[]),
        }
    }

    /// The text of the attribute `key` as it may be kept or shown; nothing of it where a rule drops it.
    pub fn attribute<'a>(&self, key: &[u8], text: &'a [u8]) -> Cow<'a, [u8]> {
        match self.rules.iter().find(|rule| rule.names(key)) {
            Some(MaskRule { action: MaskAction::Drop, .. }) => Cow::Borrowed(&[]),
            Some(rule) => Cow::Owned(rule.action.replacement(text).into_owned()),
            None => self.line(text),
        }
    }

    /// The `Resource` in `message` as it may be kept; nothing when nothing in it is masked.
    ///
    /// # Errors
    ///
    /// As for [`Masking::apply`].
    pub(crate) fn resource(&self, message: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        if self.is_empty() { Ok(None) } else { self.pass(message).message(message, shape::RESOURCE) }
    }

    /// The `LogRecord`s of a `ScopeLogs` as they may be kept: those that change, each with its place and its new content, which is
    /// nothing when it cannot be masked. In `fields` they lie one after the other, with key and length, and end at `ends`.
    pub(crate) fn log_records(
        &self,
        fields: &[u8],
        ends: impl Iterator<Item = usize>,
    ) -> Vec<(usize, Option<Vec<u8>>)> {
        let mut changed = Vec::new();
        if self.is_empty() {
            return changed;
        }
        let mut pass = self.pass(fields);
        let mut begin = 0;
        for (place, end) in ends.enumerate() {
            let field = fields.get(begin..end).unwrap_or_default();
            begin = end;
            if !pass.suspects.are_in(field) {
                continue;
            }
            let Some(Ok((_, Field::Bytes(message)))) = Fields::of(field).next() else { continue };
            match pass.message(message, shape::LOG_RECORD) {
                Ok(None) => {}
                masked => changed.push((place, masked.ok().flatten())),
            }
        }
        changed
    }

    fn pass<'m, 'a>(&'m self, bytes: &'a [u8]) -> Pass<'m, 'a> {
        let suspects = Suspects::new(&self.prefilter, bytes);
        Pass { masking: self, verdicts: HashMap::default(), suspects }
    }
}

/// One walk.
struct Pass<'m, 'a> {
    masking: &'m Masking,
    verdicts: HashMap<&'a [u8], Option<usize>, RandomState>,
    suspects: Suspects<'m, 'a>,
}

impl<'a> Pass<'_, 'a> {
    fn message(&mut self, body: &'a [u8], fields: &[(u32, Shape)]) -> Result<Option<Vec<u8>>, Malformed> {
        if !self.suspects.are_in(body) {
            return Ok(None);
        }
        rewrite(body, |raw| {
            let Some((_, shape)) = fields.iter().find(|(number, _)| *number == raw.number) else {
                return Ok(Change::None);
            };
            let content = raw.value.bytes()?;
            if !self.suspects.are_in(content) {
                return Ok(Change::None);
            }
            match shape {
                Shape::Message(fields) => {
                    Ok(self.message(content, fields)?.map_or(Change::None, Change::Content))
                }
                Shape::KeyValue => self.key_value(content, DEPTH),
                Shape::AnyValue => self.any_value(content, DEPTH),
            }
        })
    }

    fn key_value(&mut self, body: &'a [u8], depth: usize) -> Result<Change, Malformed> {
        let mut key: &[u8] = &[];
        for field in Fields::of(body) {
            if let (1, value) = field? {
                key = value.bytes()?;
            }
        }
        let verdict = self.verdict(key).and_then(|rule| self.masking.rules.get(rule));
        if let Some(MaskRule { action: MaskAction::Drop, .. }) = verdict {
            return Ok(Change::Dropped);
        }
        let mut is_dropped = false;
        let changed = rewrite(body, |raw| {
            if raw.number != 2 {
                return Ok(Change::None);
            }
            let value = raw.value.bytes()?;
            let change = match verdict {
                Some(rule) => Change::Content(masked_value(rule, value)?),
                None => self.any_value(value, depth)?,
            };
            is_dropped |= matches!(change, Change::Dropped);
            Ok(change)
        })?;
        Ok(match changed {
            _ if is_dropped => Change::Dropped,
            Some(changed) => Change::Content(changed),
            None => Change::None,
        })
    }

    fn any_value(&mut self, body: &'a [u8], depth: usize) -> Result<Change, Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed::new("values lie too deep in one another"))?;
        let mut is_dropped = false;
        let changed = rewrite(body, |raw| {
            let change = match (raw.number, raw.value) {
                (1..=7, Field::Bytes(value)) if !self.suspects.are_in(value) => Change::None,
                (1 | 7, Field::Bytes(text)) => self.masking.text(text, self.suspects.which(text)),
                (5, Field::Bytes(list)) => rewrite(list, |raw| match (raw.number, raw.value) {
                    (1, Field::Bytes(value)) => self.any_value(value, depth),
                    _ => Ok(Change::None),
                })?
                .map_or(Change::None, Change::Content),
                (6, Field::Bytes(pairs)) => rewrite(pairs, |raw| match (raw.number, raw.value) {
                    (1, Field::Bytes(pair)) => self.key_value(pair, depth),
                    _ => Ok(Change::None),
                })?
                .map_or(Change::None, Change::Content),
                _ => Change::None,
            };
            is_dropped |= matches!(change, Change::Dropped);
            Ok(change)
        })?;
        Ok(match changed {
            _ if is_dropped => Change::Dropped,
            Some(changed) => Change::Content(changed),
            None => Change::None,
        })
    }

    /// The rule that names the key.
    fn verdict(&mut self, key: &'a [u8]) -> Option<usize> {
        if !self.masking.has_keys {
            return None;
        }
        if let Some(known) = self.verdicts.get(key) {
            return *known;
        }
        let verdict = self.masking.rules.iter().position(|rule| rule.names(key));
        if self.verdicts.len() < MAX_VERDICTS {
            self.verdicts.insert(key, verdict);
        }
        verdict
    }
}

impl Masking {
    /// What becomes of `text`, in which only the patterns `which` may find something; any of them if that cannot be told.
    fn text(&self, text: &[u8], which: Option<Numbers>) -> Change {
        let mut masked = Cow::Borrowed(text);
        for (rule, pattern) in self.found(text, which) {
            let Some(changed) = pattern.mask(&masked, &rule.action) else { continue };
            if matches!(rule.action, MaskAction::Drop) {
                return Change::Dropped;
            }
            masked = Cow::Owned(changed);
        }
        match masked {
            Cow::Owned(masked) if masked != text => Change::Content(masked),
            _ => Change::None,
        }
    }

    /// The patterns that find something in `text`, in their order.
    fn found(&self, text: &[u8], which: Option<Numbers>) -> Vec<(&MaskRule, &Pattern)> {
        let place = |&(rule, pattern): &(usize, usize)| {
            let rule = self.rules.get(rule)?;
            Some((rule, rule.patterns.get(pattern)?))
        };
        match which {
            Some(which) => {
                let places = self.places.iter().enumerate().filter(|(number, _)| which.has(*number));
                let suspected = places.filter_map(|(_, found)| place(found));
                suspected.filter(|(_, pattern)| pattern.is_in(text)).collect()
            }
            None if !self.patterns.is_match(text) => Vec::new(),
            None => {
                let found = self.patterns.matches(text).into_iter();
                found.filter_map(|number| place(self.places.get(number)?)).collect()
            }
        }
    }
}

/// The value that stands in place of `value`, an encoded `AnyValue`: a text.
fn masked_value(rule: &MaskRule, value: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut plain = value;
    for field in Fields::of(value) {
        if let (1 | 7, Field::Bytes(text)) = field? {
            plain = text;
        }
    }
    let mut masked = Vec::new();
    bytes_field(&mut masked, 1, &rule.action.replacement(plain));
    Ok(masked)
}

/// Copies a message with the changes that `each` makes to its fields; nothing when it makes none.
fn rewrite<'a>(
    body: &'a [u8],
    mut each: impl FnMut(&Raw<'a>) -> Result<Change, Malformed>,
) -> Result<Option<Vec<u8>>, Malformed> {
    let mut out: Option<Vec<u8>> = None;
    let mut begin = 0;
    for raw in Fields::of(body).raw() {
        let raw = raw?;
        let change = each(&raw)?;
        if out.is_none() && !matches!(change, Change::None) {
            let mut copied = Vec::with_capacity(body.len() + 64);
            copied.extend_from_slice(body.get(..begin).unwrap_or_default());
            out = Some(copied);
        }
        if let Some(out) = &mut out {
            match change {
                Change::None => out.extend_from_slice(raw.bytes),
                Change::Content(content) => bytes_field(out, raw.number, &content),
                Change::Dropped => {}
            }
            if out.len() > begin + raw.bytes.len() + MOST_ADDED {
                return Err(Malformed::new("masking makes too much of it"));
            }
        }
        begin += raw.bytes.len();
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
