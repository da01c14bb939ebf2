//! What the lines of the agent's own log sources are to the rules.
//!
//! Records are seen as they are read and count once they are durable: a batch that is read again after a crash has not been
//! counted before. The thread that reads never waits for the rules, nor for the series: it says which counts have changed,
//! and the rules fetch them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use otlp::Masking;
use telemetry::{LogBuffer, LogView, Timestamp};

use super::evidence::{LINES, kept};
use super::source::SourceTaps;
use super::{Changed, Taps};

/// A line that a rule matched, not masked yet.
#[derive(Debug)]
struct Matched {
    origin: String,
    text: Vec<u8>,
}

/// The taps of the log sources, for the thread that reads them.
#[derive(Debug)]
pub(crate) struct LineTaps {
    taps: Arc<Taps>,
    /// Those that have seen something since the last commit.
    touched: Vec<Arc<Mutex<SourceTaps>>>,
    /// The last lines by the rules that they matched.
    matched: BTreeMap<String, Vec<Matched>>,
}

impl LineTaps {
    pub(super) const fn new(taps: Arc<Taps>) -> Self {
        Self { taps, touched: Vec::new(), matched: BTreeMap::new() }
    }

    /// Looks at records that were read at `now`. They count with the next [`LineTaps::commit`], by labels of which is taken
    /// what is masked.
    pub(crate) fn see(&mut self, records: &LogBuffer, masking: &Masking, now: Timestamp) {
        let taps = Arc::clone(&self.taps);
        let in_force = taps.in_force.read().unwrap_or_else(PoisonError::into_inner);
        if !in_force.options.looks_at_lines() {
            return;
        }
        let mut records = records.records().peekable();
        while let Some(first) = records.peek().copied() {
            let of_group = std::iter::from_fn(|| records.next_if(|record| record.is_beside(&first)));
            match taps.of_source(&first.group().source, &in_force.options) {
                Some(source) => self.see_group(&source, of_group, masking, now),
                None => of_group.for_each(drop),
            }
        }
    }

    fn see_group<'a>(
        &mut self,
        source: &Arc<Mutex<SourceTaps>>,
        records: impl Iterator<Item = LogView<'a>>,
        masking: &Masking,
        now: Timestamp,
    ) {
        if !self.touched.iter().any(|touched| Arc::ptr_eq(touched, source)) {
            self.touched.push(Arc::clone(source));
        }
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        let (matched, origin) = (&mut self.matched, source.origin.to_string());
        for record in records {
            source.see(&record, masking, now, |rule, line| keep(matched, &rule.name, &origin, line));
        }
    }

    /// What was seen is durable at `now`: it counts, and the rules that depend on it are judged at once. Of the lines that
    /// matched the last ones are kept as evidence, masked.
    pub(crate) fn commit(&mut self, masking: &Masking, now: Timestamp) {
        let mut changed = Changed::default();
        for source in self.touched.drain(..) {
            source.lock().unwrap_or_else(PoisonError::into_inner).commit(&mut changed);
        }
        for (rule, lines) in std::mem::take(&mut self.matched) {
            for Matched { origin, text } in lines {
                self.taps.evidence.push(&rule, kept(now, origin, &masking.line(&text)));
            }
        }
        self.taps.tell(changed);
    }

    /// What was seen is lost, or read again later: it does not count.
    pub(crate) fn discard(&mut self) {
        for source in self.touched.drain(..) {
            source.lock().unwrap_or_else(PoisonError::into_inner).discard();
        }
        self.matched.clear();
    }
}

/// Keeps a line, in the place of the oldest if there are as many as are ever shown.
fn keep(matched: &mut BTreeMap<String, Vec<Matched>>, rule: &str, origin: &str, line: &[u8]) {
    if line.is_empty() {
        return;
    }
    let lines = match matched.get_mut(rule) {
        Some(lines) => lines,
        None => matched.entry(rule.to_owned()).or_default(),
    };
    if lines.len() == LINES {
        lines.rotate_left(1);
        if let Some(oldest) = lines.last_mut() {
            oldest.text.clear();
            oldest.text.extend_from_slice(line);
            origin.clone_into(&mut oldest.origin);
        }
    } else {
        lines.push(Matched { origin: origin.to_owned(), text: line.to_vec() });
    }
}

#[cfg(test)]
mod tests;
