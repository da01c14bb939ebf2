//! Counts the lines of one origin by the log rules and their labels.
//!
//! What was seen of records that may still be lost waits until [`LogTap::commit`]. A rule makes no more series of one origin
//! than it says; lines of further ones go to one series that says so (`otel.metric.overflow`). One that has been idle for
//! [`IDLE`] makes room for new ones.
//!
//! A label is shown to whoever asks for series, and kept. So no series begins but under values of which is taken what is
//! masked: its labels are looked for once more in the masked line.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use telemetry::{LogView, Timestamp};

use super::log_rules::{Line, MaskedLine, Values};
use super::{LogRule, LogRules, TapFigures, walk};
use crate::Masking;
use crate::view::LogRecordView;

/// After how long without a line a series of labels may make room for another.
const IDLE: Duration = Duration::from_mins(10);

/// The lines of one rule with the same labels.
#[derive(Debug)]
pub struct Matches {
    /// Tells it from all others that there were, so that a reader may keep what it made of it.
    pub number: u64,
    /// The place of its rule.
    pub rule: usize,
    /// The values of its labels, in the order of the rule's; none where it has none or there was no room.
    pub values: Vec<Box<str>>,
    /// Whether it stands for all that found no room.
    pub overflow: bool,
    /// How many lines there were.
    pub count: u64,
    pending: u64,
    last: Timestamp,
}

type Known = HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>;

/// Counts the lines of one origin.
#[derive(Debug)]
pub struct LogTap {
    rules: Arc<LogRules>,
    /// Which of the rules count lines of this origin.
    counting: Box<[bool]>,
    /// For each rule the one without labels, or for what finds no room; then those with labels.
    all: Vec<Option<Matches>>,
    free: Vec<u32>,
    /// The places of those with labels, for each rule by their values.
    known: Box<[Known]>,
    numbers: u64,
    /// Those that have something pending.
    pending: Vec<u32>,
    values: Values,
    overflowed: u64,
    figures: TapFigures,
}

impl LogTap {
    /// Counts the lines of `source`. All counts are zero.
    pub fn new(rules: Arc<LogRules>, source: &str) -> Self {
        let all = rules.rules().iter().enumerate().map(|(at, rule)| {
            let overflow = !rule.labels.is_empty();
            Some(fresh(at as u64, at, (Vec::new(), overflow), Timestamp::EPOCH))
        });
        Self {
            all: all.collect(),
            counting: rules.rules().iter().map(|rule| rule.counts(source)).collect(),
            free: Vec::new(),
            known: rules.rules().iter().map(|_| Known::default()).collect(),
            numbers: rules.rules().len() as u64,
            rules,
            pending: Vec::new(),
            values: Values::default(),
            overflowed: 0,
            figures: TapFigures::default(),
        }
    }

    /// Whether any rule counts lines of this origin.
    pub fn is_counting(&self) -> bool {
        self.counting.iter().any(|counts| *counts)
    }

    /// Looks at the records of a request that came at `now`. Only a body that is a text can match. `matched` is called
    /// with each rule that a record satisfies and the record's body. The request is masked already.
    pub fn see(&mut self, payload: &[u8], now: Timestamp, mut matched: impl FnMut(&LogRule, &[u8])) {
        let mut figures = self.figures;
        walk(
            payload,
            &mut figures,
            |_| (),
            |(), record| {
                self.look(&LogRecordView::read(record)?, None, now, &mut matched);
                Ok(())
            },
        );
        self.figures = figures;
    }

    /// The same for a record of another source, which is not masked yet.
    pub fn see_record(
        &mut self,
        record: &LogView<'_>,
        masking: &Masking,
        now: Timestamp,
        mut matched: impl FnMut(&LogRule, &[u8]),
    ) {
        self.figures.seen += 1;
        let masking = Some(masking).filter(|masking| !masking.is_empty());
        self.look(record, masking, now, &mut matched);
    }

    fn look(
        &mut self,
        line: &impl Line,
        masking: Option<&Masking>,
        now: Timestamp,
        matched: &mut impl FnMut(&LogRule, &[u8]),
    ) {
        let rules = Arc::clone(&self.rules);
        let mut values = std::mem::take(&mut self.values);
        rules.find(line, &mut values, |at, rule, values| {
            if self.counting.get(at).is_some_and(|counts| *counts) {
                if let Some(masking) = masking.filter(|_| self.is_new(at, rule, values)) {
                    rules.label(at, &MaskedLine::new(line, masking), values);
                }
                self.add(at, rule, values.as_bytes(), now);
                matched(rule, line.body());
            }
        });
        self.values = values;
    }

    /// Whether a series would begin by these values.
    fn is_new(&self, at: usize, rule: &LogRule, values: &Values) -> bool {
        let known = self.known.get(at);
        !rule.labels.is_empty() && known.is_none_or(|known| !known.contains_key(values.as_bytes()))
    }

    fn add(&mut self, at: usize, rule: &LogRule, values: &[u8], now: Timestamp) {
        let mut place = at as u32;
        if !rule.labels.is_empty() {
            let known = self.known.get(at).and_then(|known| known.get(values)).copied();
            match known.or_else(|| self.begin(at, rule, values, now)) {
                Some(found) => place = found,
                None => self.overflowed += 1,
            }
        }
        if let Some(Some(matches)) = self.all.get_mut(place as usize) {
            if matches.pending == 0 {
                self.pending.push(place);
            }
            matches.pending += 1;
            matches.last = now;
        }
    }

    /// Keeps values that were not there, if there is room.
    fn begin(&mut self, at: usize, rule: &LogRule, values: &[u8], now: Timestamp) -> Option<u32> {
        let known = self.known.get_mut(at).filter(|known| known.len() < rule.max_series)?;
        let place = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.all.len() as u32 - 1
        });
        *self.all.get_mut(place as usize)? =
            Some(fresh(self.numbers, at, (Values::texts(values), false), now));
        self.numbers += 1;
        known.insert(values.into(), place);
        Some(place)
    }

    /// What was seen counts. `changed` is called with each rule of which a count has changed.
    pub fn commit(&mut self, mut changed: impl FnMut(&LogRule)) {
        for place in self.pending.drain(..) {
            if let Some(Some(matches)) = self.all.get_mut(place as usize) {
                matches.count += std::mem::take(&mut matches.pending);
                if let Some(rule) = self.rules.rules().get(matches.rule) {
                    changed(rule);
                }
            }
        }
    }

    /// What was seen and not committed does not count.
    pub fn discard(&mut self) {
        for place in self.pending.drain(..) {
            if let Some(Some(matches)) = self.all.get_mut(place as usize) {
                matches.pending = 0;
            }
        }
    }

    /// Gives up what has been idle for long, of rules that have no room for anything new, and says which numbers are
    /// gone.
    pub fn make_room(&mut self, now: Timestamp) -> Vec<u64> {
        let mut gone = Vec::new();
        for (known, rule) in self.known.iter_mut().zip(self.rules.rules()) {
            if known.is_empty() || known.len() < rule.max_series {
                continue;
            }
            known.retain(|_, place| {
                let slot = self.all.get_mut(*place as usize);
                let idle = slot.and_then(|slot| {
                    slot.take_if(|matches| matches.pending == 0 && now.since(matches.last) >= IDLE)
                });
                let Some(idle) = idle else { return true };
                gone.push(idle.number);
                self.free.push(*place);
                false
            });
        }
        gone
    }

    /// All counts: of rules without labels from the beginning, else from the first line on.
    pub fn matches(&self) -> impl Iterator<Item = &Matches> {
        let counts = |rule: usize| self.counting.get(rule).is_some_and(|counts| *counts);
        let is_plain = |matches: &Matches| matches.values.is_empty() && !matches.overflow;
        let all = self.all.iter().flatten();
        all.filter(move |matches| matches.count > 0 || (is_plain(matches) && counts(matches.rule)))
    }

    /// The rules.
    pub fn rules(&self) -> &LogRules {
        &self.rules
    }

    /// How many lines found no room for their labels.
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// What became of the records.
    pub fn figures(&self) -> TapFigures {
        self.figures
    }
}

fn fresh(number: u64, rule: usize, (values, overflow): (Vec<Box<str>>, bool), now: Timestamp) -> Matches {
    Matches { number, rule, values, overflow, count: 0, pending: 0, last: now }
}

#[cfg(test)]
mod tests;
